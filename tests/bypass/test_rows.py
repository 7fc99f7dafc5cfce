#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 1 s, works 1 s
"""Every id of tests/bypass/rows has a row in docs/SECURITY.md, and that names tests that are there or says why there can be none."""
import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
sys.path[:0] = [str(HERE), str(TESTS / "netns"), str(TESTS / "lab")]
import frames  # noqa: E402
import tap  # noqa: E402

ROW = re.compile(r"^\| ([A-Z]\d?-\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.M)


def ids():
    return [w for line in (HERE / "rows").read_text().splitlines() if not line.startswith("#") for w in line.split()]


def table():
    return {m[1]: m for m in ROW.finditer((TESTS.parent / "docs/SECURITY.md").read_text())}


def tests(text):
    """(program, case or None) of `room/program case`, `case`, unit `name`."""
    program = None
    for m in re.finditer(r"(unit )?`([^`]+)`", text):
        words = m[2].split()
        if m[1]:
            yield f"unit/test_{words[0]}.c", None
            continue
        if "/" in words[0]:
            program = f"{words.pop(0)}.py"
        yield program, words[0] if words else None


class Rows(unittest.TestCase):
    def test_each_has_one(self):
        rows, want = table(), ids()
        self.assertEqual(len(want), len(set(want)))
        self.assertEqual(sorted(rows), sorted(want))

    def test_each_names_its_tests(self):
        for i, m in table().items():
            with self.subTest(i):
                if m[4].startswith("no: "):
                    self.assertGreater(len(m[4]), 15)
                    continue
                named = list(tests(m[4]))
                self.assertTrue(named)
                for program, case in named:
                    self.assertTrue(program and (TESTS / program).is_file(), program)
                    if case:
                        self.assertRegex((TESTS / program).read_text(), rf"def {re.escape(case)}")

    def test_each_row_of_frames_is_told(self):
        """And what test_docker sends is in the table with test_docker beside it."""
        nobody = frames.Party("02:00:00:00:00:01", "10.0.0.1", "2001:db8::1")
        made = frames.Rows(*[nobody] * 8, host4="10.0.0.1", host6="2001:db8::1", out4="10.0.0.1", out6="2001:db8::1").make()
        rows = table()
        for r in made:
            if not r.allowed:
                self.assertIn("bypass/test_docker test_2", rows[r.id][4], r.id)
        sent = {r.id for r in made}
        claimed = {i for i, m in rows.items() if "test_docker test_2" in m[4]}
        self.assertEqual(claimed - sent, {"L2-15"}, "said to be sent, and is not")


if __name__ == "__main__":
    tap.main()
