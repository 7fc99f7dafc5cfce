#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The documents say what the programs do: every verb and option of theirs exists, every configuration in them is valid, every
file that they point at is there, and the manual pages know all of them.

    test_docs.py BULKHEAD BULKHEADD PAGE...
"""
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lab"))
import tap  # noqa: E402

BULKHEAD, BULKHEADD, *PAGES = sys.argv[1:]
del sys.argv[1:]
DOCS = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:^    .*\n|^\n(?=    ))+", re.M)


def run(*cmd):
    return subprocess.run(cmd, capture_output=True, text=True)


def blocks(text):
    for m in BLOCK.finditer(text):
        yield re.sub(r"^    ", "", m[0], flags=re.M).lstrip("\n")


def verbs():
    """{verb: set of its options}, as --help tells."""
    out = {}
    for m in re.finditer(r"^  ([a-z]+)( .*)?$", run(BULKHEAD, "--help").stdout, re.M):
        out[m[1]] = set(re.findall(r"--[a-z-]+", m[2] or ""))
    return out


def options(program):
    return set(re.findall(r"--[a-z][a-z-]*", run(program, "--help").stdout))


def commands(text):
    """The calls of bulkhead in blocks and between backquotes, as words."""
    lines = [line for b in blocks(text) for line in b.splitlines()] + re.findall(r"`([^`\n]+)`", text)
    for line in lines:
        for part in re.split(r"&&|\||;", line):
            part = re.sub(r"\s(#|  ).*", "", part).strip()
            if re.match(r"(sudo )?bulkhead [a-z-]", part):
                yield shlex.split(part.removeprefix("sudo "))[1:]


def wrong(words, known, common):
    """Why the command would be refused as usage, or None."""
    verb = next((w for w in words if not w.startswith("-")), None)
    if verb is None:
        given = known.get("", set())
    elif verb not in known:
        return f"no verb {verb}"
    else:
        given = known[verb]
    for w in words:
        if w.startswith("--") and w.split("=")[0] not in given | common:
            return f"no option {w} for {verb}"
    return None


class Docs(unittest.TestCase):
    def setUp(self):
        self.known = verbs()
        self.common = options(BULKHEAD) - set().union(*self.known.values())
        self.assertGreater(len(self.known), 3)

    def test_commands(self):
        n = 0
        for doc in DOCS:
            for words in commands(doc.read_text()):
                n += 1
                self.assertIsNone(wrong(words, self.known, self.common), f"{doc.name}: bulkhead {' '.join(words)}")
        self.assertGreater(n, 10)

    def test_control(self):
        self.assertTrue(wrong(["explode"], self.known, self.common))
        self.assertTrue(wrong(["check", "--watch"], self.known, self.common))
        self.assertIsNone(wrong(["status", "--watch", "--json"], self.known, self.common))

    def test_configurations(self):
        n = 0
        with tempfile.TemporaryDirectory() as d:
            for doc in DOCS:
                for text in blocks(doc.read_text()):
                    if not text.startswith("version: 1"):
                        continue
                    n += 1
                    path = pathlib.Path(d) / f"{n}.yaml"
                    path.write_text(text)
                    r = run(BULKHEAD, "check", path)
                    self.assertEqual(r.returncode, 0, f"{doc.name}:\n{text}\n{r.stderr}")
        self.assertGreater(n, 5)

    def test_links(self):
        for doc in DOCS:
            for target in re.findall(r"\]\(([^)#:]+)\)", doc.read_text()):
                self.assertTrue((doc.parent / target).exists(), f"{doc.name}: {target}")

    def test_pages(self):
        pages = {pathlib.Path(p).name: pathlib.Path(p).read_text().replace("\\-", "-") for p in PAGES}
        for verb, given in self.known.items():
            self.assertRegex(pages["bulkhead.1"], rf"(?m)^\.BI?R?.*\b{verb}\b", verb)
            for o in given | self.common:
                self.assertIn(o, pages["bulkhead.1"])
        for o in options(BULKHEADD):
            self.assertIn(o, pages["bulkheadd.8"])
        example = re.search(r"\.SH EXAMPLE\n\.EX\n(.*?)\.EE", pages["bulkhead.yaml.5"], re.S)[1]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(example)
            f.flush()
            self.assertEqual(run(BULKHEAD, "check", f.name).returncode, 0, example)

    def test_pages_are_well_formed(self):
        for p in PAGES:
            r = run("groff", "-man", "-Tutf8", "-ww", "-z", p)
            self.assertEqual((r.returncode, r.stderr), (0, ""), p)


if __name__ == "__main__":
    tap.main()
