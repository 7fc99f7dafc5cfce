#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Builds for release, then runs the benchmarks tests/bench/bench_*.py one after the other, or those whose name contains
NAME. Each writes docs/performance/NAME.json and its section of docs/PERFORMANCE.md (measure.py).

--quick   two rounds of everything, written to build-bench/ instead: shows that it works
--render  measures nothing: makes sections and plots again from the JSON that is there
--list    names them"""
import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
BUILD = TOP / "build-bench"
LIMIT = 1200    # seconds for one of them; they mean to take ten minutes
sys.path[:0] = [str(HERE), str(TOP / "tests/lab")]
import measure  # noqa: E402
import runner  # noqa: E402


def build():
    log = []
    setup = ["meson", "configure"] if (BUILD / "build.ninja").exists() else ["meson", "setup"]
    ok = (runner.sh([*setup, BUILD, "-Dbuildtype=release"], log, measure.ENV) and
          runner.sh(["ninja", "-C", BUILD, "-j2", *runner.needed(BUILD)], log, measure.ENV))
    if not ok:
        print("".join(log)[-4000:], file=sys.stderr)
        raise SystemExit("bench: does not build")


def end(p):
    """First the polite way, so that it cleans up after itself."""
    for sig, wait in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
        try:
            os.killpg(p.pid, sig)
            p.wait(wait)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass


def run(path, command, env):
    name = path.stem.removeprefix("bench_")
    t0 = time.monotonic()
    print(f"# {name}", flush=True)
    p = subprocess.Popen([sys.executable, path], env={**env, "BH_BENCH_COMMAND": command}, start_new_session=True,
                         stdin=subprocess.DEVNULL)
    why = None
    try:
        status = p.wait(LIMIT)
        why = f"ended with status {status}" if status else None
    except subprocess.TimeoutExpired:
        why = f"took longer than {LIMIT} s"
    finally:
        end(p)
    print(f"{'not ok' if why else 'ok'} {name}" + (f": {why}" if why else "") + f" # {time.monotonic() - t0:.0f} s", flush=True)
    return why is None


def main():
    a = argparse.ArgumentParser(prog="tools/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--quick", action="store_true")
    a.add_argument("--render", action="store_true")
    a.add_argument("--list", action="store_true")
    a.add_argument("name", nargs="*")
    args = a.parse_args()
    signal.signal(signal.SIGTERM, lambda *x: sys.exit(143))
    programs = [p for p in sorted(HERE.glob("bench_*.py")) if not args.name or any(n in p.stem for n in args.name)]
    if not programs:
        raise SystemExit(f"bench: none is called {' or '.join(args.name)}")
    names = [p.stem.removeprefix("bench_") for p in programs]
    if args.list:
        print("\n".join(names))
        return
    if args.render:
        for n in names:
            measure.render(n)
        return
    env = {**os.environ, "BH_BUILD": str(BUILD), "PYTHONDONTWRITEBYTECODE": "1"}
    if args.quick:
        env |= {"BH_BENCH_QUICK": "1", "BH_BENCH_OUT": str(BUILD / "docs")}
    build()
    reap = [TOP / "tests/lab/reap"]
    subprocess.run(reap, check=False)
    try:
        ok = [run(p, f"sudo tools/bench {'--quick ' * args.quick}{n}", env) for p, n in zip(programs, names)]
    finally:
        subprocess.run(reap, check=False)
    sys.exit(0 if all(ok) else 1)


if __name__ == "__main__":
    main()
