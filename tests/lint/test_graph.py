#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""bulkhead graph FILE: its picture is XML, its boxes are apart, and it shows each zone and each pair that its JSON has.

    test_graph.py BULKHEAD     the built command; no daemon, no root
"""
import json
import pathlib
import re
import subprocess
import sys
import unittest
import xml.etree.ElementTree as ET

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lab"))
import tap  # noqa: E402

FILES = [*sorted((TOP / "rules").glob("*.yaml")), TOP / "tests/fixtures/graph/twenty.yaml"]
SVG = "{http://www.w3.org/2000/svg}"


def graph(path, *args):
    return subprocess.run([BULKHEAD, "graph", str(path), *args], capture_output=True, text=True)


class Box:
    def __init__(self, g):
        r = g.find(f"{SVG}rect")
        self.x, self.y, self.w, self.h = (float(r.get(k)) for k in ("x", "y", "width", "height"))
        self.name = g.find(f"{SVG}title").text
        self.texts = [(float(t.get("x")), float(t.get("y")), t.text) for t in g.findall(f"{SVG}text")]
        self.rows = [t for _, _, t in self.texts[1:]]

    def meets(self, o):
        return self.x < o.x + o.w and o.x < self.x + self.w and self.y < o.y + o.h and o.y < self.y + self.h


class Graph(unittest.TestCase):
    def test_pictures(self):
        for path in FILES:
            with self.subTest(path.name):
                doc = json.loads(graph(path, "--format", "json").stdout)
                svg = ET.fromstring(graph(path, "--format", "svg").stdout)
                boxes = [Box(g) for g in svg.findall(f"{SVG}g")]
                width, height = float(svg.get("width")), float(svg.get("height"))
                for i, b in enumerate(boxes):
                    self.assertTrue(0 <= b.x and b.x + b.w <= width and 0 <= b.y and b.y + b.h <= height, b.name)
                    self.assertFalse([o.name for o in boxes[:i] if o.meets(b)], b.name)
                    for x, y, text in b.texts:
                        self.assertTrue(b.x < x < b.x + b.w and b.y < y < b.y + b.h, text)
                        self.assertLessEqual(len(text), 36)
                self.assertEqual({z["name"] for z in doc["zones"]}, {b.name for b in boxes})
                titles = {t.text for t in svg.iterfind(f"{SVG}path/{SVG}title")}
                for e in doc["edges"]:
                    by = "itself" if e["from"] == e["to"] else e["from"]
                    written = f"{by}: {e['ports']}"
                    self.assertTrue(f"{e['from']} to {e['to']}: {e['ports']}" in titles or
                                    any(b.name == e["to"] and any(written.startswith(r.removesuffix("..")) for r in b.rows) for b in boxes), e)

    def test_twenty_zones_fit(self):
        """Without a line for each zone that `host` may call."""
        svg = ET.fromstring(graph(FILES[-1], "--format", "svg").stdout)
        self.assertLess(float(svg.get("width")), 2200)
        self.assertLess(float(svg.get("height")), 900)
        self.assertLess(len(svg.findall(f"{SVG}path")), 60)

    def test_dot(self):
        """Each statement of its own form, so that no name of a zone is one."""
        q = r'"(?:[^"\\]|\\.)*"'
        for path in FILES:
            lines = graph(path).stdout.splitlines()
            doc = json.loads(graph(path, "--json").stdout)
            self.assertEqual((lines[0], lines[-1]), ("digraph bulkhead {", "}"))
            nodes = [x for x in lines if re.fullmatch(rf"\t{q} \[label={q}, shape=\w+, style=\w+\];", x)]
            edges = [x for x in lines if re.fullmatch(rf"\t{q} -> {q} \[label={q}\];", x)]
            self.assertEqual((len(nodes), len(edges)), (len(doc["zones"]), len(doc["edges"])))
            self.assertEqual(len(lines), len(nodes) + len(edges) + 5)

    def test_errors(self):
        for args, code, text in ((("--format", "svgg"), 2, "graph: no format 'svgg': dot, svg or json"),
                                 (("--format", "png"), 2, "graph: no format 'png': dot, svg or json"),
                                 (("--live",), 2, "--live shows what flows on this host")):
            r = graph(FILES[0], *args)
            self.assertEqual((r.returncode, r.stdout), (code, ""))
            self.assertIn(text, r.stderr)
        r = graph(TOP / "README.md")
        self.assertEqual((r.returncode, r.stdout), (2, ""))
        self.assertRegex(r.stderr, r"README\.md:\d+:\d+: error: ")


if __name__ == "__main__":
    BULKHEAD = sys.argv.pop(1)
    tap.main()
