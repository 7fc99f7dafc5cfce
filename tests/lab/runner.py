#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Builds, runs every test program, counts its TAP cases, ends with `N passed, N failed`.

A test program is what meson lists, and every executable tests/{netns,integration}/test_*.
It prints TAP (cmocka does with CMOCKA_MESSAGE_OUTPUT=TAP). One that dies, prints no
case, fewer than it planned, or skips one, has failed.

Three programs run at a time, since most of what they do is wait; those that say how
long they take (`# takes: N s`) first, the longest at the front, so that nothing long is
left for the end. One that says `# alone: WHY` measures rates or first packets and runs
by itself, after all others.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = TOP / "build-test"
ROOMS = ("unit", "golden", "lint", "netns", "integration")
CASE = re.compile(r"^(not )?ok\b\s*(\d+)?\s*(?:- )?(.*)$")
PLAN = re.compile(r"^1\.\.(\d+)")
ALONE = re.compile(r"^# alone: ", re.M)
TAKES = re.compile(r"^# takes: (\d+) s$", re.M)
AT_ONCE = 3
# uid 0 with nothing but what files ask for (a clone may be in a closed home): no network, no mounts
UNPRIVILEGED = ["setpriv", "--bounding-set=-all,+chown,+fowner,+dac_override,+dac_read_search", "--inh-caps=-all", "--no-new-privs"]


class Totals:
    def __init__(self):
        self.passed = self.failed = 0
        self.failures = []
        self.running = set()
        self.lock = threading.Lock()

    def case(self, ok, name, note=""):
        with self.lock:
            if ok:
                self.passed += 1
            else:
                self.failed += 1
                self.failures.append(name)
        self.say(f"{'ok' if ok else 'not ok'} {name}{note}")

    def explain(self, label, lines):
        """The last lines of a program; others are telling at the same time."""
        if lines:
            self.say("\n".join(f"# {label}: {line}" for line in lines[-80:]))

    def say(self, text):
        with self.lock:
            print(text, flush=True)


class Program:
    def __init__(self, room, name, cmd, timeout, env=None, cwd=None):
        self.room, self.name, self.cmd, self.timeout = room, name, [str(c) for c in cmd], timeout
        self.env, self.cwd = env or {}, cwd or TOP
        text = "".join(pathlib.Path(c).read_text() for c in self.cmd if c.endswith(".py"))
        self.alone = bool(ALONE.search(text))
        self.takes = int(m[1]) if (m := TAKES.search(text)) else 0


def sh(cmd, log, env):
    r = subprocess.run([str(c) for c in cmd], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=TOP,
                       env={**os.environ, **(env or {})})
    log.append(r.stdout)
    return r.returncode == 0


def needed(directory):
    """What the tests run of a build: everything but the unit tests, which run in another one."""
    out = subprocess.run(["meson", "introspect", "--targets", directory], capture_output=True, text=True, check=True).stdout
    return [os.path.relpath(f, directory) for t in json.loads(out) if t["type"] == "executable"
            and "/tests/unit/" not in t["defined_in"] for f in t["filename"]]


def build(directory, options, totals, env=None, targets=lambda directory: ()):
    """Configures and builds; a failed build is a failed case with the end of its log."""
    log = []
    name = directory.relative_to(TOP)
    fresh = not (directory / "build.ninja").exists()
    setup = ["meson", "setup", directory, *options] if fresh else ["meson", "configure", directory, *options]
    t0 = time.monotonic()
    jobs = str(min(os.cpu_count() or 1, 4))
    ok = sh(setup, log, env) and sh(["ninja", "-C", directory, "-j", jobs, *targets(directory)], log, env)
    if not ok:
        print("\n".join("# " + s for s in "".join(log).splitlines()[-60:]), flush=True)
    totals.case(ok, f"build: {name} {' '.join(options)}", f" # {time.monotonic() - t0:.0f} s")
    return ok


def from_meson(directory):
    out = subprocess.run(["meson", "introspect", "--tests", directory], capture_output=True, text=True, check=True).stdout
    programs = []
    for t in json.loads(out):
        suites = [s.split(":")[-1] for s in t["suite"]]
        room = next((r for r in ROOMS if r in suites or t["name"].startswith(r)), "unit")
        env = dict(t["env"]) if isinstance(t["env"], dict) else {}
        programs.append(Program(room, t["name"], t["cmd"], max(t["timeout"], 60) if t["timeout"] > 0 else 120, env,
                                t.get("workdir") or directory))
    return programs


def from_tree(known):
    programs = []
    for room in ("golden", "netns", "integration"):
        for path in sorted((TOP / "tests" / room).glob("test_*")):
            if path.suffix not in (".py", ".sh", "") or not os.access(path, os.X_OK) or not path.is_file():
                if path.suffix in (".py", ".sh"):
                    raise SystemExit(f"runner: {path} is not executable")
                continue
            if any(str(path) in " ".join(p.cmd) for p in known):
                continue
            cmd = [sys.executable, path] if path.suffix == ".py" else [path]
            programs.append(Program(room, path.stem, cmd, 1200))
    return programs


def run(program, totals, tier, prefix=()):
    root = program.room in ("netns", "integration", "kernels")
    env = {**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", "BH_TIER": tier,
           "BH_BUILD": str(BUILD / "plain"), "BH_UNIT": str(BUILD / "asan"), "PYTHONDONTWRITEBYTECODE": "1",
           "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
           **program.env}
    timeout = program.timeout * (20 if tier == "soak" else 1)
    cmd = ([] if root else UNPRIVILEGED) + [*prefix, *program.cmd]
    label = f"{program.room}/{program.name}"
    t0 = time.monotonic()
    p = subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                         env=env, cwd=program.cwd, start_new_session=True, stdin=subprocess.DEVNULL)
    totals.running.add(p)
    timed_out = threading.Event()

    def expire():
        # first the polite way, so that it cleans up after itself
        timed_out.set()
        for sig, wait in ((signal.SIGTERM, 20), (signal.SIGKILL, 0)):
            try:
                os.killpg(p.pid, sig)
                p.wait(wait)
                return
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
    timer = threading.Timer(timeout, expire)
    timer.start()
    cases = planned = bad = 0
    ok = True
    tail = []
    try:
        for line in p.stdout:
            line = line.rstrip("\n")
            plan, case = PLAN.match(line), CASE.match(line)
            if plan:
                planned += int(plan.group(1))
            elif case:
                cases += 1
                ok = not case.group(1)
                name = case.group(3).strip()
                if re.search(r"#\s*(skip|todo)\b", name, re.I):
                    ok = False
                bad += not ok
                name, _, note = name.partition(" # ")
                if not ok:
                    totals.explain(label, tail)
                totals.case(ok, f"{label}: {name}", f" # {note}" if note else "")
                tail.clear()
            elif line.startswith("# seed") or (tier == "soak" and line.startswith("# ")):
                totals.say(f"# {label}: {line[2:]}")    # what the long tier measured belongs to its result
            elif not ok and line.startswith("#"):
                totals.explain(label, [line.lstrip("# ")])  # cmocka says why afterwards
            else:
                tail.append(line.lstrip("# "))
        p.wait()
    finally:
        timer.cancel()
        if p.poll() is None:
            expire()
        totals.running.discard(p)
    why = None
    if timed_out.is_set():
        why = f"longer than {timeout} s"
    elif p.returncode and not bad:
        why = f"ended with status {p.returncode}"
    elif not cases:
        why = "ran no test"
    elif planned != cases:
        why = f"planned {planned} tests, ran {cases}"
    if why:
        totals.explain(label, tail)
        totals.case(False, f"{label}: {why}", f" # {time.monotonic() - t0:.1f} s")


def run_all(totals, tier, names=(), rooms=ROOMS):
    print(f"# kernel {os.uname().release}, {os.cpu_count()} cpus, tier {tier}, "
          f"seed {os.environ.get('BH_SEED', '20261125')}", flush=True)
    meson = (TOP / "meson.build").exists()
    programs = []
    if meson:
        # unit and golden tests under ASan and UBSan; what enforces in kernel tests is the
        # program as it is shipped
        # the fault points of tests/integration/test_kill.py are in the first alone
        if not build(BUILD / "asan", ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dwerror=true", "-Dfaults=true",
                                      "-Dbuildtype=debugoptimized"], totals):
            return
        programs = from_meson(BUILD / "asan")
    programs += from_tree(programs)
    programs = [p for p in programs if p.room in rooms and (not names or any(n in f"{p.room}/{p.name}" for n in names))]
    programs.sort(key=lambda p: (-p.takes, ROOMS.index(p.room)))
    small = [p for p in programs if p.room in ("unit", "golden", "lint")]
    kernel = [p for p in programs if p not in small and not p.alone]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            futures = [pool.submit(run, p, totals, tier) for p in small]
            if meson and not build(BUILD / "plain", ["-Dwerror=true", "-Dbuildtype=debugoptimized"], totals, targets=needed):
                return
            futures += [pool.submit(run, p, totals, tier) for p in kernel]
            for f in futures:
                f.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for p in list(totals.running):
                os.killpg(p.pid, signal.SIGTERM)
            raise
    for p in programs:
        if p.alone:
            run(p, totals, tier)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--tier", default="test", choices=("test", "soak"))
    a.add_argument("name", nargs="*")
    args = a.parse_args()
    signal.signal(signal.SIGTERM, lambda *x: sys.exit(143))
    totals = Totals()
    t0 = time.monotonic()
    subprocess.run([TOP / "tests/lab/reap"], check=False)
    try:
        run_all(totals, args.tier, args.name)
    finally:
        subprocess.run([TOP / "tests/lab/reap"], check=False)
    for f in totals.failures:
        print(f"# failed: {f}")
    print(f"# {time.monotonic() - t0:.0f} s")
    print(f"{totals.passed} passed, {totals.failed} failed")
    sys.exit(0 if totals.passed and not totals.failed else 1)


if __name__ == "__main__":
    main()
