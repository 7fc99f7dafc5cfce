#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 10 s, works 4 s
"""The commands of README and docs/, run in the order in which they stand there, on a host that has what they name."""
import os
import pathlib
import re
import sys
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lab"))
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402

CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
  api: {select: {labels: {tier: api}}}
  db: {select: {labels: {tier: db}}}
allow:
  - {from: web, to: api, ports: [tcp/8080]}
  - {from: api, to: db, ports: [tcp/5432]}
"""
BLOCK = re.compile(r"(?:^    .*\n|^\n(?=    ))+", re.M)
# What is run elsewhere, or is no call of ours.
ELSEWHERE = {
    r"tools/": "the tools run this test, or are run by themselves",
    r"(apt|systemctl|journalctl) ": "tests/kernels: a machine with systemd",
    r"bulkhead top": "test_top has a terminal",
    r"bulkheadd --metrics": "test_metrics",
    r"bulkheadd?$": "the name, not a call",
}
# What a reader puts in the place of these.
MEANT = {"/tmp/bulkhead.yaml": "{config}", "/etc/bulkhead/bulkhead.yaml": "{config}", "rules/": f"{TOP}/rules/", " FILE": " {config}",
         " A B tcp/PORT": " web1 db1 tcp/5432", " NAME": " web1"}
DOCS = [TOP / "README.md", *(TOP / "docs" / f"{n}.md" for n in ("FIRST-TEN-MINUTES", "RECIPES", "TROUBLESHOOTING"))]


def commands(text):
    """Calls in blocks and between backquotes, in order."""
    at = []
    for block in BLOCK.finditer(text):
        if not block[0].lstrip("\n").startswith("    version:"):
            at += [(block.start() + m.start(), m[1]) for m in re.finditer(r"^    (\S.*)$", block[0], re.M)]
    at += [(m.start(), m[1]) for m in re.finditer(r"`([^`\n]+)`", text)]
    for _, line in sorted(at):
        for part in line.split("&&"):
            part = re.sub(r"\s+#.*|\s{2,}.*", "", part.strip()).removeprefix("sudo ")
            if re.match(r"(bulkheadd?|install|tools/\S+|apt|systemctl|journalctl)( |$)", part):
                yield part


class Documents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.h = h = simhost.SimHost(CONFIG)
        cls.addClassCleanup(h.close)
        cls.d = h.daemon
        for name, tier in (("web1", "web"), ("api1", "api"), ("db1", "db")):
            h.start(name, tier)
            cls.d.wait_zone(name, tier)
        cls.bin, cls.work = h.lab.root / "path", h.lab.root / "work"
        cls.bin.mkdir()
        cls.work.mkdir()
        (cls.bin / "bulkhead").symlink_to(lab.program("bulkhead"))
        (cls.bin / "bulkheadd").symlink_to(lab.program("bulkheadd"))

    def meant(self, line):
        for what, by in MEANT.items():
            line = line.replace(what, by.format(config=self.d.config))
        if line in ("bulkhead check", "bulkhead plan"):
            line += f" {self.d.config}"
        if line.startswith("bulkhead scan"):
            line += f" --docker {self.h.lab.socket}"
        if line.startswith("bulkheadd --teardown"):
            line += f" --socket {self.d.socket} --state {self.d.state}"
        return line

    def test_each(self):
        n, left = 0, []
        for doc in DOCS:
            self.d.reload(CONFIG)
            for line in commands(doc.read_text()):
                why = next((w for pattern, w in ELSEWHERE.items() if re.match(pattern, line)), None)
                if why or "--teardown" in line:
                    left.append(line)
                    continue
                if line.startswith("bulkhead release"):
                    self.run_it("bulkhead quarantine NAME")
                r = self.run_it(line)
                n += 1
                if line == "bulkhead confirm":
                    self.d.reload(CONFIG)       # what is said afterwards names its zones
                with self.subTest(doc=doc.name, command=line):
                    self.assertIn(r.returncode, (0, 1), (line, r.stdout, r.stderr))
                    self.assertFalse([s for s in r.stderr.splitlines() if s.startswith("bulkhead: ")], (line, r.stderr))
                    self.assertTrue(r.stdout or line.startswith("install") or " > " in line, line)
        self.assertGreater(n, 35)
        self.assertIn("bulkheadd --teardown", left)
        print(f"# {n} commands; elsewhere: {', '.join(sorted(set(left)))}")

    def run_it(self, line):
        env = {"PATH": f"{self.bin}:{os.environ['PATH']}", "BULKHEAD_SOCKET": str(self.d.socket)}
        return self.h.lab.host.run_cmd("sh", "-c", f"cd {self.work} && {self.meant(line)}", timeout=60, env=env)

    def test_last(self):
        r = self.run_it("bulkheadd --teardown")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertNotIn("bulkhead", self.h.lab.ruleset())

    def test_control(self):
        """What no document may say."""
        self.assertEqual(self.run_it("bulkhead explode").returncode, 2)


if __name__ == "__main__":
    tap.main()
