# SPDX-License-Identifier: Apache-2.0
"""What every benchmark shares: runs that take turns, medians, tables and plots made of what was measured.

    r = measure.Report("packet")
    got = measure.interleave({"bulkhead": one, "none": other}, rounds=measure.rounds(9), seed=1)
    for name, values in got.items():
        r.add("Packets a second", name, "routed", values, "packets/s")
    r.base("Packets a second", "none")      # the others are told as ratios to that row
    r.cannot("Packets a second", "icc=false", "routed", "knows one bridge only")
    r.plot("packet-endpoints", "…", "endpoints", "ns a packet", {"bulkhead": [(10, [1, 2, 3]), (100, [1, 2, 3])]}, logx=True)
    r.write()

write() makes docs/performance/NAME.json, and from that file alone the section of docs/PERFORMANCE.md between
`<!-- bench NAME -->` and `<!-- end NAME -->`: no figure there is copied by hand. Prose stands outside of the markers.
Python 3.11 and its standard library only; plots are gnuplot's."""
import datetime
import json
import math
import os
import pathlib
import random
import re
import statistics
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[2]
ENV = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
QUICK = os.environ.get("BH_BENCH_QUICK") == "1"


def rounds(n):
    """N, or 2 in a quick run, which only shows that a benchmark works."""
    return min(n, 2) if QUICK else n


def out_dir():
    """Where the documents are: the project's, or those of a quick run."""
    return pathlib.Path(os.environ.get("BH_BENCH_OUT") or TOP / "docs")


def interleave(variants, rounds, seed):
    """{name: what its function returned in each round, a number or a dict of numbers}.

    The variants take turns, A B C then C B A, so that a machine that becomes slower or faster does so to all of them; SEED
    shuffles who is first. A function that raises ends the run: a figure that is missing is not a figure."""
    names = list(variants)
    random.Random(seed).shuffle(names)
    out = {n: [] for n in variants}
    for i in range(rounds):
        for n in names if i % 2 == 0 else reversed(names):
            out[n].append(variants[n]())
    return out


def column(values, key):
    """One figure of what interleave() gave as dicts."""
    return [v[key] for v in values]


def summary(values):
    """{"median", "low", "high", "n"} of at least one number; low and high are the quartiles."""
    v = sorted(values)
    if not v or any(isinstance(x, bool) or not math.isfinite(x) for x in v):
        raise ValueError(f"not figures: {values!r:.200}")
    if len(v) == 1:
        return {"median": v[0], "low": v[0], "high": v[0], "n": 1}
    low, median, high = statistics.quantiles(v, n=4, method="inclusive")
    return {"median": median, "low": low, "high": high, "n": len(v)}


def ratio(a, b):
    """{"ratio", "noise"} of two summaries, or lists: A's median by B's. Noise: the spread of either (between its quartiles)
    is as wide as the difference of the medians, or wider. The ratio is None where B's median is 0."""
    a, b = (x if isinstance(x, dict) else summary(x) for x in (a, b))
    spread = max(x["high"] - x["low"] for x in (a, b))
    return {"ratio": a["median"] / b["median"] if b["median"] else None,
            "noise": abs(a["median"] - b["median"]) <= spread}


def number(x):
    """Three digits that count, thousands apart: 1.23, 0.0457, 12.3, 1,234; whole numbers whole."""
    if x == int(x):
        return f"{int(x):,}"
    x = float(f"{x:.3g}") if abs(x) < 1000 else round(x)
    return f"{x:,.{max(0, 2 - math.floor(math.log10(abs(x))))}f}"


def cell(s, base=None, best=None):
    """A figure as a table tells it: its median, its quartiles, its ratio to BASE."""
    text = number(s["median"])
    if s["n"] > 1:
        text += f" ({number(s['low'])}–{number(s['high'])})"
    if base is not None:
        r = ratio(s, base)
        text += "" if r["ratio"] is None else f" ×{r['ratio']:.2f}"
        if r["noise"]:
            text += ", within noise"
    return text


def table_text(t):
    """Markdown of one table of the JSON."""
    cells, rows, columns = {}, [], []
    for c in t["cells"]:
        cells[c["row"], c["column"]] = c
        for seen, what in ((rows, c["row"]), (columns, c["column"])):
            if what not in seen:
                seen.append(what)
    units = {c["unit"] for c in t["cells"] if "unit" in c}
    one = units.pop() if len(units) == 1 else None
    title = f"**{t['title']}**" + (f", {one}" if one else "") + (f"; × is the ratio to {t['base']}" if t.get("base") else "")
    out = [title, "", "| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    reasons = []
    for r in rows:
        texts = []
        for c in columns:
            d = cells.get((r, c))
            if d is None:
                texts.append("")
            elif "cannot" in d:
                if d["cannot"] not in reasons:
                    reasons.append(d["cannot"])
                texts.append(f"cannot ({reasons.index(d['cannot']) + 1})")
            else:
                base = cells.get((t.get("base"), c)) if r != t.get("base") else None
                base = base if base and base.get("unit") == d["unit"] else None
                texts.append(cell(d, base) + ("" if one else f" {d['unit']}"))
        out.append(f"| {r} | " + " | ".join(texts) + " |")
    if reasons:
        out += ["", "; ".join(f"({i + 1}) {r}" for i, r in enumerate(reasons)) + "."]
    return "\n".join(out)


def section_text(doc):
    """The section of docs/PERFORMANCE.md that a JSON document makes."""
    e = doc["environment"]
    what = ", ".join(f"{k} {e[k]}" for k in ("Linux", "nft", "Docker", "iptables") if e.get(k))
    parts = [f"Made by `{e['command']}` on {e['date']}, commit {e['commit']}: {what}; {e['cpus']} CPUs ({e['model']}), load "
             f"{e['load'][0]} before and {e['load'][1]} after. Medians, in brackets the quartiles; all figures: "
             f"[{doc['name']}.json](performance/{doc['name']}.json)."]
    parts += [table_text(t) for t in doc["tables"]]
    parts += [f"![{p['title']}](performance/{p['file']}.svg)" for p in doc["plots"]]
    parts += doc["notes"]
    return "\n\n".join(parts) + "\n"


def section_put(text, name, body):
    """TEXT with BODY between the markers of NAME, which are added at the end where there are none."""
    begin, end = f"<!-- bench {name} -->", f"<!-- end {name} -->"
    if text.count(begin) > 1 or text.count(begin) != text.count(end) or (begin in text and text.index(end) < text.index(begin)):
        raise ValueError(f"the markers of {name} are not one pair")
    if begin not in text:
        text = text.rstrip("\n") + f"\n\n{begin}\n{end}\n"
    head, rest = text.split(begin)
    return f"{head}{begin}\n\n{body.strip()}\n\n{end}{rest.split(end)[1]}"


def plot_script(p, svg):
    """What gnuplot(1) is told: lines through medians, bars from quartile to quartile."""
    def quoted(s):
        return '"' + s.replace("\\", "\\\\").replace('"', '\\"') + '"'
    lines = ['set terminal svg size 760,420 dynamic font "sans-serif,12" background rgb "white"', f"set output {quoted(str(svg))}",
             f"set title {quoted(p['title'])} noenhanced", f"set xlabel {quoted(p['xlabel'])} noenhanced",
             f"set ylabel {quoted(p['ylabel'])} noenhanced", "set key outside right top noenhanced", "set grid", "set tics nomirror", "set border 3"]
    lines += ["set logscale x"] if p["logx"] else []
    lines += ["set logscale y"] if p["logy"] else ["set yrange [0:*]"]
    for i, points in enumerate(p["series"].values()):
        lines += [f"$s{i} << END", *(f"{x} {s['median']} {s['low']} {s['high']}" for x, s in points), "END"]
    lines.append("plot " + ", ".join(f"$s{i} using 1:2:3:4 with yerrorlines lw 1.5 pt 7 ps 0.5 title {quoted(n)}"
                                     for i, n in enumerate(p["series"])))
    return "\n".join(lines) + "\n"


def plot(p, directory):
    svg = directory / f"{p['file']}.svg"
    r = subprocess.run(["gnuplot", "-"], input=plot_script(p, svg), text=True, capture_output=True, env=ENV, timeout=60)
    if r.returncode or not svg.exists():
        raise RuntimeError(f"gnuplot: {r.stderr.strip()[:500]}")
    owned(svg)


def owned(path):
    """To whom the folder belongs: root measures, somebody else commits."""
    s = path.parent.stat()
    os.chown(path, s.st_uid, s.st_gid)


def first_line(*cmd, pattern=r"[\d.]+"):
    """A program's version, None where it is not installed."""
    try:
        r = subprocess.run(cmd, capture_output=True, text=True, env=ENV, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    m = re.search(pattern, r.stdout)
    return m.group() if m else None


def load():
    return float(pathlib.Path("/proc/loadavg").read_text().split()[0])


def environment():
    commit = first_line("git", "-C", str(TOP), "rev-parse", "--short=12", "HEAD", pattern=r"\w+")
    changed = subprocess.run(["git", "-C", str(TOP), "status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"],
                             capture_output=True, text=True, env=ENV).stdout.strip()
    model = re.search(r"(?m)^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text())
    return {"command": os.environ.get("BH_BENCH_COMMAND", "sudo tools/bench"), "date": datetime.date.today().isoformat(),
            "commit": (commit or "none") + (" with changes" if changed else ""),
            "Linux": re.match(r"[\d.]+", os.uname().release).group(), "cpus": os.cpu_count(), "model": model.group(1) if model else "?",
            "Docker": first_line("dockerd", "--version"), "nft": first_line("nft", "--version"),
            "iptables": first_line("iptables", "--version")}


class Report:
    """What one benchmark has found. TITLE, ROW and COLUMN of a table come in the order in which they are first named."""

    def __init__(self, name):
        self.name, self.load = name, load()
        self.tables, self.notes, self.plots = {}, [], []

    def _table(self, title):
        return self.tables.setdefault(title, {"title": title, "base": None, "cells": []})

    def add(self, table, row, column, values, unit):
        values = [values] if isinstance(values, (int, float)) else list(values)
        s = summary(values)
        self._table(table)["cells"].append({"row": row, "column": column, "unit": unit, **s, "values": values})
        print(f"# {table}: {row}, {column}: {cell(s)} {unit}", flush=True)

    def cannot(self, table, row, column, why):
        """A peer that cannot do a thing, and why (a clause, no full stop)."""
        self._table(table)["cells"].append({"row": row, "column": column, "cannot": why})
        print(f"# {table}: {row}, {column}: cannot: {why}", flush=True)

    def base(self, table, row):
        """The row of TABLE that the others are told as ratios to."""
        self._table(table)["base"] = row

    def note(self, text):
        """A paragraph below the tables."""
        self.notes.append(text)
        print(f"# {text}", flush=True)

    def plot(self, file, title, xlabel, ylabel, series, logx=False, logy=False):
        """series: {name: [(x, number or values), …]}"""
        points = {n: [(x, summary([v] if isinstance(v, (int, float)) else v)) for x, v in s] for n, s in series.items()}
        self.plots.append({"file": file, "title": title, "xlabel": xlabel, "ylabel": ylabel, "logx": logx, "logy": logy,
                           "series": points})

    def document(self):
        e = environment()
        e["load"] = [self.load, load()]
        return {"name": self.name, "environment": e, "tables": list(self.tables.values()), "plots": self.plots, "notes": self.notes}

    def write(self):
        directory = out_dir() / "performance"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.name}.json"
        path.write_text(json.dumps(self.document(), indent=1, ensure_ascii=False) + "\n")
        owned(path)
        render(self.name)


def render(name):
    """The plots and the section of docs/PERFORMANCE.md, from the JSON alone."""
    out = out_dir()
    doc = json.loads((out / "performance" / f"{name}.json").read_text())
    for p in doc["plots"]:
        plot(p, out / "performance")
    page = out / "PERFORMANCE.md"
    text = page.read_text() if page.exists() else "# Performance\n"
    page.write_text(section_put(text, name, section_text(doc)))
    owned(page)
