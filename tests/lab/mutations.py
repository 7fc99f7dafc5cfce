#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks bulkhead on purpose, one fault at a time: the named test must turn red.

tests/mutations/NAME.patch is applied to a copy of the tree, which is built and tested.
Its head, before the diff, says what and which:

    why: the reason
    test: integration/test_matrix OneBridge.test_3
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import runner

TOP = runner.TOP


def head(path):
    keys = {}
    for line in path.read_text().splitlines():
        if line.startswith(("diff ", "--- ")):
            break
        k, sep, v = line.partition(":")
        if sep:
            keys[k.strip()] = v.strip()
    if not keys.get("test") or not keys.get("why"):
        raise SystemExit(f"mutations: {path.name} does not say why and which test")
    return keys


def copy_tree(to):
    skip = shutil.ignore_patterns(".git", "build*", "__pycache__")
    shutil.copytree(TOP, to, ignore=skip, symlinks=True)


def run_test(tree, build, test):
    """Returns (status, output) of one test of the tree: ROOM/PROGRAM [CASE...]"""
    program, *cases = test.split()
    env = {**os.environ, "BH_BUILD": str(build), "BH_TIER": "test", "CMOCKA_MESSAGE_OUTPUT": "TAP"}
    script = tree / "tests" / f"{program}.py"
    if script.exists():
        cmd = [sys.executable, str(script), *cases]
    else:
        name = program.split("/")[-1]
        found = [p for p in build.rglob(name) if p.is_file() and os.access(p, os.X_OK)]
        if not found:
            raise SystemExit(f"mutations: no test {program}")
        cmd = [str(found[0])]
    p = subprocess.run(cmd, env=env, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       errors="replace", timeout=600)
    return p.returncode, p.stdout


def build_tree(tree, build, tests):
    """The programs, and everything only where a test of C needs it."""
    setup = [] if (build / "build.ninja").exists() else [["meson", "setup", str(build), str(tree), "-Dwerror=false"]]
    programs = ["src/daemon/bulkheadd", "src/daemon/bulkhead-runtime", "src/daemon/bulkhead-control", "src/daemon/bulkhead-reports", "src/cli/bulkhead"]
    targets = programs if all(t.startswith(("integration/", "bypass/test_docker")) for t in tests) else []
    for cmd in setup + [["ninja", "-C", str(build), *targets]]:
        p = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if p.returncode:
            return p.stdout
    return None


def run_all(totals, names=()):
    patches = [p for p in sorted((TOP / "tests/mutations").glob("*.patch")) if not names or p.stem in names]
    totals.case(bool(patches), "mutations: there are some")
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="bh-mutations-") as work:
        tree, build = pathlib.Path(work) / "tree", pathlib.Path(work) / "build"
        copy_tree(tree)
        error = build_tree(tree, build, [head(p)["test"] for p in patches])
        if error:
            totals.case(False, "mutations: the tree builds")
            print("\n".join("# " + s for s in error.splitlines()[-30:]))
            return
        green = {}
        for p in patches:
            keys = head(p)
            test = keys["test"]
            label = f"mutations/{p.stem}: {test} turns red"
            if test not in green:
                build_tree(tree, build, [test])     # without the mutation before it
                status, out = run_test(tree, build, test)
                green[test] = status == 0
                if status:
                    print("\n".join("# " + s for s in out.splitlines()[-30:]))
            if not green[test]:
                totals.case(False, label, " # it is red without the mutation, too")
                continue
            apply = ["patch", "-p1", "-s", "-d", str(tree), "-i", str(p)]
            r = subprocess.run(apply, capture_output=True, text=True)
            if r.returncode:
                totals.case(False, label, f" # does not apply: {(r.stdout + r.stderr).strip().splitlines()[:1]}")
                shutil.rmtree(tree)
                copy_tree(tree)
                continue
            error = build_tree(tree, build, [test])
            if error:
                totals.case(False, label, " # does not build")
                print("\n".join("# " + s for s in error.splitlines()[-30:]))
            else:
                status, out = run_test(tree, build, test)
                died = status != 0 and "not ok" not in out
                totals.case(status != 0 and not died, label, " # it dies instead" if died else "")
                if died:
                    print("\n".join("# " + s for s in out.splitlines()[-30:]))
            subprocess.run([*apply, "-R"], check=True, capture_output=True)


if __name__ == "__main__":
    t = runner.Totals()
    run_all(t, sys.argv[1:])
    print(f"{t.passed} passed, {t.failed} failed")
    sys.exit(1 if t.failed else 0)
