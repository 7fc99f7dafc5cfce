#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The rule set's text is nft's language: nft loads it, and lists the same rules again."""
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import tap  # noqa: E402

PRINTER = pathlib.Path(os.environ.get("BH_UNIT") or os.environ.get("BH_BUILD", "build")) / "tests/unit/test_ruleset_text"
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def sample():
    return subprocess.run([PRINTER, "--print"], capture_output=True, text=True, check=True).stdout


def in_namespace(script, text):
    """Runs SCRIPT with TEXT on stdin in a network namespace that ends with it."""
    return subprocess.run(["unshare", "-n", "sh", "-c", script], input=text, capture_output=True, text=True, env=ENV)


def words(listing):
    """Rules and elements of a listing without layout, as a set of lines."""
    return {" ".join(line.split()) for line in listing.splitlines() if line.strip()}


class Text(unittest.TestCase):
    def test_nft_accepts_the_text(self):
        r = in_namespace("nft -c -f -", sample())
        self.assertEqual((r.returncode, r.stderr), (0, ""))

    def test_nft_refuses_a_broken_text(self):
        """The control: one word wrong and nft says so."""
        r = in_namespace("nft -c -f -", sample().replace("vmap @p1_ports", "vmap @p1_portz"))
        self.assertNotEqual(r.returncode, 0)

    def test_loaded_text_lists_the_same_rules(self):
        text = sample()
        r = in_namespace("nft -f - && nft -s list ruleset", text)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        listed = words(r.stdout)
        rules = [" ".join(x.split()) for x in text.split("counter denied_policy { }")[1].splitlines()
                 if x.startswith("\t\t") and "type filter hook" not in x]
        # nft writes these differently, the meaning being the same
        for ours, theirs in (("ct state established,new", "ct state established,new"),
                             ("tcp flags & (fin | syn) == syn", "tcp flags syn / fin,syn"),
                             ("tcp flags == (fin | syn)", "tcp flags == 0x3"),
                             ("cs0 : 0, 4 : 0:2", "cs0 : none, 0x04 : 0:2"),
                             ("meta priority set 0", "meta priority set none"),
                             ("meta priority != 0 ", "meta priority != none "),
                             ("0x88cc", "0x88cc")):
            rules = [x.replace(ours, theirs) for x in rules]
        self.assertGreater(len(rules), 20)
        rules = [x for x in rules if x not in listed and not x.startswith(("typeof", "elements"))]
        self.assertEqual(rules, [])


if __name__ == "__main__":
    tap.main()
