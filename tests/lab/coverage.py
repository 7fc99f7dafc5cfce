#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Lines of the parsers that unit tests and corpora reach, by gcov: what reads bytes of strangers. `--write` puts the table into docs/SECURITY.md, `--missing` names the lines
that nobody reaches."""
import collections
import concurrent.futures
import gzip
import json
import os
import pathlib
import re
import subprocess
import sys

import runner

TOP = runner.TOP
BUILD = runner.BUILD / "coverage"
LEAST = 95.0
# What is read from whom: files of src/, in the order of the table.
PARSERS = (
    ("configuration", "whoever may write it", "config/{check,map,read,rates,require,rule,select,units,value,yaml,zone}.c model/yaml.c model/port.c base/addr.c"),
    ("Docker's JSON", "runtime, container authors", "runtime/{docker_build,docker_decode,docker_parts,docker_posture,json}.c"),
    ("a runtime's life", "runtime", "runtime/{docker_model,docker_tell}.c"),
    ("HTTP", "runtime", "runtime/http.c"),
    ("dockerd's words and files", "runtime", "runtime/docker_dns.c"),
    ("messages between processes", "the process without rights", "base/wire.c runtime/wire.c reports/wire.c"),
    ("nf_tables", "kernel, other programs", "nft/{attr,decode_chain,decode_match,decode_rule,decode_set,foreign_rule,foreign_xt}.c"),
    ("rtnetlink", "kernel", "tc/{links,nl,observe,route}.c"),
    ("NFLOG, conntrack, packets", "kernel, anybody", "flows/{attr,flow,packet,record}.c"),
    ("control protocol", "local users", "control/request.c"),
    ("state directory", "root, a damaged disk", "daemon/{hand_text,state}.c"),
    ("reports of scanners", "whoever writes them", "reports/{decode,grype,time,trivy,verified}.c"),
    ("escaping", "anybody", "base/buf.c"),
)
BEGIN, END = "<!-- coverage -->", "<!-- /coverage -->"


def files(text):
    for word in text.split():
        m = re.fullmatch(r"(.*)\{(.*)\}(.*)", word)
        yield from (f"src/{m[1]}{x}{m[3]}" for x in m[2].split(",")) if m else (f"src/{word}",)


def build_and_run():
    totals = runner.Totals()
    if not runner.build(BUILD, ["-Db_coverage=true", "-Dbuildtype=debug", "-Doptimization=0", "-Dc_args=-Wno-format-truncation"], totals):
        sys.exit(1)
    for f in BUILD.rglob("*.gcda"):
        f.unlink()
    # not as nobody, as tools/test does it: each program writes its counts beside its objects
    r = subprocess.run(["meson", "test", "-C", BUILD, "--no-rebuild", "--suite", "unit", "--suite", "golden", "--timeout-multiplier", "10", "-q"], env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"})
    if r.returncode:
        sys.exit("coverage: tests failed")


def count(names):
    """{file: {line: how often}}. An object may be linked into several programs, which add to its counts; a source may be in several objects."""
    lines = collections.defaultdict(dict)
    objects = [p for p in BUILD.rglob("*.gcda")]

    def one(p):
        r = subprocess.run(["gcov", "--json-format", "--stdout", p], cwd=p.parent, capture_output=True, check=True)
        return json.loads(r.stdout if r.stdout[:1] == b"{" else gzip.decompress(r.stdout))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for doc in pool.map(one, objects):
            for f in doc["files"]:
                name = os.path.relpath(os.path.normpath(os.path.join(doc["current_working_directory"], f["file"])), TOP)
                if name in names:
                    for line in f["lines"]:
                        n = line["line_number"]
                        lines[name][n] = lines[name].get(n, 0) + line["count"]
    return lines


def table(lines):
    """The rows, and whether it is enough of all."""
    out = ["| what is read | from whom | files | lines | reached |", "|---|---|---|---|---|"]
    every = hit = 0
    for what, whom, text in PARSERS:
        names = list(files(text))
        n = sum(len(lines[f]) for f in names)
        h = sum(1 for f in names for c in lines[f].values() if c)
        if not n:
            sys.exit(f"coverage: nothing is known of {what}")
        every, hit = every + n, hit + h
        out.append(f"| {what} | {whom} | {', '.join(f'`{x}`' for x in text.split())} | {n} | {100 * h / n:.1f} % |")
    out.append(f"| **all** | | | {every} | {100 * hit / every:.1f} % |")
    return out, 100 * hit / every >= LEAST


def main():
    unknown = set(sys.argv[1:]) - {"--write", "--missing", "--again"}
    if unknown:
        sys.exit("usage: tools/coverage [--again] [--missing] [--write]")
    if "--again" not in sys.argv:
        build_and_run()
    names = {f for _, _, text in PARSERS for f in files(text)}
    missing = [f for f in names if not (TOP / f).exists()]
    if missing:
        sys.exit(f"coverage: no such files: {missing}")
    lines = count(names)
    rows, ok = table(lines)
    if "--missing" in sys.argv:
        for f in sorted(lines):
            text = (TOP / f).read_text().splitlines()
            for n, c in sorted(lines[f].items()):
                if not c:
                    print(f"{f}:{n}: {text[n - 1].strip()}")
    print("\n".join(rows))
    if "--write" in sys.argv:
        path = TOP / "docs/SECURITY.md"
        doc = path.read_text()
        if BEGIN not in doc or END not in doc:
            sys.exit(f"coverage: {path.name} has no place for the table ({BEGIN} {END})")
        path.write_text(doc[:doc.index(BEGIN) + len(BEGIN)] + "\n" + "\n".join(rows) + "\n" + doc[doc.index(END):])
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
