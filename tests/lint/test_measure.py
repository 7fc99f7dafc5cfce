#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What tools/bench makes of figures: turns, medians, what is noise, tables, the section of the page. Nothing is measured."""
import pathlib
import sys
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/lab"), str(TOP / "tests/bench")]
import measure  # noqa: E402
import tap  # noqa: E402

DOC = {"name": "x", "environment": {"command": "sudo tools/bench x", "date": "2026-01-01", "commit": "abc", "Linux": "6.1", "nft": None,
                                    "cpus": 2, "model": "M", "load": [0.5, 1.0]}, "plots": [], "notes": []}


def report(*calls):
    r = measure.Report("x")
    for name, *args in calls:
        getattr(r, name)(*args)
    return r


class Measure(unittest.TestCase):
    def test_turns(self):
        order = []
        got = measure.interleave({n: lambda n=n: order.append(n) or len(order) for n in "abc"}, 4, seed=3)
        self.assertEqual(order[:3], order[5:2:-1])
        self.assertEqual(order[6:9], order[0:3])
        self.assertEqual(sorted(order[:3]), ["a", "b", "c"])
        self.assertEqual({n: len(v) for n, v in got.items()}, {"a": 4, "b": 4, "c": 4})
        again = []
        measure.interleave({n: lambda n=n: again.append(n) for n in "abc"}, 4, seed=3)
        self.assertEqual(order, again)

    def test_a_variant_that_fails_ends_it(self):
        with self.assertRaises(ZeroDivisionError):
            measure.interleave({"a": lambda: 1 / 0, "b": lambda: 1}, 2, seed=1)

    def test_summary(self):
        self.assertEqual(measure.summary([5]), {"median": 5, "low": 5, "high": 5, "n": 1})
        self.assertEqual(measure.summary([4, 1, 3, 2, 5]), {"median": 3, "low": 2, "high": 4, "n": 5})
        for bad in ([], [float("nan")], [1, float("inf")], [True]):
            with self.assertRaises(ValueError):
                measure.summary(bad)

    def test_ratio(self):
        self.assertEqual(measure.ratio([10, 11, 12], [20, 21, 22])["noise"], False)
        self.assertAlmostEqual(measure.ratio([10, 11, 12], [20, 21, 22])["ratio"], 11 / 21)
        self.assertEqual(measure.ratio([10, 20, 30], [15, 21, 25])["noise"], True)
        self.assertEqual(measure.ratio([7, 7], [7, 7])["noise"], True)      # no difference is no finding
        self.assertIsNone(measure.ratio([1], [0])["ratio"])

    def test_numbers(self):
        for x, text in ((0, "0"), (1234567, "1,234,567"), (99.96, "100"), (12.34, "12.3"), (1.234, "1.23"), (0.04567, "0.0457"),
                        (5, "5"), (-2.5, "-2.50")):
            self.assertEqual(measure.number(x), text)

    def test_table(self):
        r = report(("add", "T", "none", "routed", [100, 102, 104], "p/s"), ("add", "T", "ours", "routed", [90, 92, 94], "p/s"),
                   ("add", "T", "near", "routed", [90, 100, 110], "p/s"), ("cannot", "T", "old", "routed", "has no bridge"),
                   ("add", "T", "none", "same", 50, "p/s"), ("base", "T", "none"))
        text = measure.table_text(r.tables["T"])
        self.assertIn("**T**, p/s; × is the ratio to none", text)
        self.assertIn("| none | 102 (101–103) | 50 |", text)
        self.assertIn("| ours | 92 (91–93) ×0.90 |  |", text)
        self.assertIn("×0.98, within noise", text)
        self.assertIn("| old | cannot (1) |", text)
        self.assertTrue(text.endswith("(1) has no bridge."))

    def test_units_that_differ(self):
        r = report(("add", "T", "a", "x", 5, "ms"), ("add", "T", "b", "x", 5, "s"), ("base", "T", "a"))
        text = measure.table_text(r.tables["T"])
        self.assertIn("| a | 5 ms |", text)
        self.assertIn("| b | 5 s |", text)      # and no ratio of seconds to milliseconds

    def test_section(self):
        body = measure.section_text({**DOC, "tables": list(report(("add", "T", "a", "x", 5, "ms")).tables.values())})
        page = "# P\n\nprose\n\n<!-- bench x -->\nold\n<!-- end x -->\n\nmore\n"
        new = measure.section_put(page, "x", body)
        self.assertTrue(new.startswith("# P\n\nprose\n\n<!-- bench x -->\n\nMade by `sudo tools/bench x`"))
        self.assertTrue(new.endswith("<!-- end x -->\n\nmore\n"))
        self.assertNotIn("old", new)
        self.assertEqual(measure.section_put(new, "x", body), new)
        other = measure.section_put(new, "xy", "other")
        self.assertTrue(other.endswith("<!-- bench xy -->\n\nother\n\n<!-- end xy -->\n"))
        self.assertIn(body.strip(), other)
        for bad in ("<!-- bench x -->\n", "<!-- end x -->\n<!-- bench x -->\n", page + page):
            with self.assertRaises(ValueError):
                measure.section_put(bad, "x", body)

    def test_plot(self):
        r = report(("plot", "f", 'a "b"', "n", "ns", {"ours": [(10, [1, 2, 3]), (100, 4)]}, True, False))
        text = measure.plot_script(r.plots[0], "/tmp/f.svg")
        self.assertIn("10 2.0 1.5 2.5\n100 4 4 4\nEND", text)
        self.assertIn('set title "a \\"b\\""', text)
        self.assertIn("set logscale x", text)
        self.assertIn("set yrange [0:*]", text)

    def test_page_has_the_markers_of_each(self):
        page = (TOP / "docs/PERFORMANCE.md").read_text()
        for p in (TOP / "tests/bench").glob("bench_*.py"):
            measure.section_put(page, p.stem.removeprefix("bench_"), "x")
            self.assertIn(f"<!-- bench {p.stem.removeprefix('bench_')} -->", page)


if __name__ == "__main__":
    tap.main()
