#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The long tier: tests with large counts, valgrind, fuzzing, mutations, machines of their own; a result file."""
import datetime
import os
import pathlib
import re
import subprocess
import sys
import time

import runner

TOP = runner.TOP
PARTS = ("tests", "valgrind", "fuzz", "mutations", "kernels")
FUZZ_SECONDS = int(os.environ.get("BH_FUZZ_SECONDS", "600"))
SEED = os.environ.get("BH_SEED", "20261125")


def git(*args):
    # the clone may belong to the user who called sudo
    r = subprocess.run(["git", "-c", "safe.directory=*", "-C", str(TOP), *args], capture_output=True, text=True)
    return r.stdout.strip()


def fuzz(totals, lines):
    build = runner.BUILD / "fuzz"
    if not runner.build(build, ["-Dfuzzers=true", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Db_pie=false",
                                 "-Dc_args=-fsanitize=fuzzer-no-link"],
                        totals, {"CC": "clang"}):
        return
    targets = [p for p in sorted(build.rglob("fuzz_*")) if p.is_file() and os.access(p, os.X_OK)]
    totals.case(bool(targets), "fuzz: there are targets")
    for t in targets:
        corpus = TOP / "tests/fuzz" / "corpus" / t.name.removeprefix("fuzz_")
        scratch = runner.BUILD / "fuzz-corpus" / t.name
        scratch.mkdir(parents=True, exist_ok=True)
        dirs = [str(scratch)] + ([str(corpus)] if corpus.is_dir() else [])
        t0 = time.monotonic()
        p = subprocess.run([str(t), f"-max_total_time={FUZZ_SECONDS}", f"-seed={SEED}", "-timeout=20", "-rss_limit_mb=2048",
                            f"-artifact_prefix={scratch}/", *dirs], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, errors="replace", timeout=FUZZ_SECONDS + 300)
        runs = re.findall(r"#(\d+)\s", p.stdout)
        note = f"{runs[-1] if runs else 0} runs in {time.monotonic() - t0:.0f} s"
        if p.returncode:
            print("\n".join("# " + s for s in p.stdout.splitlines()[-40:]), flush=True)
        totals.case(p.returncode == 0, f"fuzz/{t.name}", f" # {note}")
        lines.append(f"fuzz {t.name}: {note}, status {p.returncode}")


def valgrind(totals, lines):
    """The daemon under valgrind through the tests that exercise most of it."""
    os.environ["BH_VALGRIND"] = "1"
    try:
        runner.run_all(totals, "test", ("integration/test_lifecycle", "integration/test_reload_matrix", "integration/test_ruleset"))
    finally:
        del os.environ["BH_VALGRIND"]


def kernels(totals):
    """Machines with kernels of their own."""
    if not runner.build_plain(totals):
        return
    for path in sorted((TOP / "tests/kernels").glob("test_*.py")):
        runner.run(runner.Program("kernels", path.stem, [sys.executable, path], 3600), totals, "test")


def main():
    asked = sys.argv[1:] or list(PARTS)
    names = [a.partition("=")[2] for a in asked if a.startswith("tests=")]
    parts = {"tests" if a.startswith("tests=") else a for a in asked}
    if parts - set(PARTS):
        sys.exit(f"usage: tools/soak [{' | '.join(PARTS)} | tests=NAME]...")
    totals, lines = runner.Totals(), []
    started = datetime.datetime.now(datetime.timezone.utc)
    commit = git("rev-parse", "--short=12", "HEAD") or "unknown"
    dirty = bool(git("status", "--porcelain", "--untracked-files=no"))
    log = []
    echo = totals.say

    def say(text):
        log.append(text.replace(f"{TOP}/", ""))
        echo(text)
    totals.say = say
    for part in PARTS:
        if part not in parts:
            continue
        n = (totals.passed, totals.failed)
        t0 = time.monotonic()
        if part == "tests":
            runner.run_all(totals, "soak", names)
        elif part == "valgrind":
            valgrind(totals, lines)
        elif part == "fuzz":
            fuzz(totals, lines)
        elif part == "kernels":
            kernels(totals)
        else:
            import mutations
            mutations.run_all(totals)
        lines.append(f"{part}: {totals.passed - n[0]} passed, {totals.failed - n[1]} failed, {time.monotonic() - t0:.0f} s")
    out = TOP / "docs/soak"
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{started:%Y-%m-%d}-{commit}.txt"
    docker = subprocess.run(["dockerd", "--version"], capture_output=True, text=True).stdout.strip()
    nft = subprocess.run(["nft", "--version"], capture_output=True, text=True).stdout.strip()
    earlier = [path.read_text()] if path.exists() else []
    path.write_text("\n".join([*earlier,
        f"started {started:%Y-%m-%dT%H:%M:%SZ}, {(datetime.datetime.now(datetime.timezone.utc) - started).seconds} s",
        f"commit {git('rev-parse', 'HEAD')}{' with changes' if dirty else ''}",
        f"kernel {os.uname().release} {os.uname().machine}, {os.cpu_count()} cpus", docker, nft, f"seed {SEED}",
        f"parts {' '.join(asked)}", *lines, "", *log, "", f"{totals.passed} passed, {totals.failed} failed", ""]))
    print(f"# {path.relative_to(TOP)}")
    print(f"{totals.passed} passed, {totals.failed} failed")
    sys.exit(0 if totals.passed and not totals.failed else 1)


if __name__ == "__main__":
    main()
