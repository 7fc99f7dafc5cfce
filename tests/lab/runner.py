#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Builds, runs every test program, counts its TAP cases, ends with `N passed, N failed`.

A test program is what meson lists, and every executable tests/{netns,integration,bypass}/test_*.
It prints TAP (cmocka does with CMOCKA_MESSAGE_OUTPUT=TAP). One that dies, prints no
case, fewer than it planned, or skips one, has failed.

Most of what a program does is wait. It says for how long it runs on an idle machine, and how
much of that a processor works (`# takes: 40 s, works 12 s`): as many run at a time as keep the
processors busy, the longest first, so that nothing long is left for the end. What the kernel tests
need is built first; the build with sanitizers is made while they run.

One that says `# alone: WHY` measures rates or first packets and runs after all others, and only
beside such as leave half of the processors idle together.
"""
import argparse
import contextlib
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
ROOMS = ("unit", "golden", "lint", "netns", "integration", "bypass")
KERNEL_ROOMS = ("netns", "integration", "bypass", "kernels")
CASE = re.compile(r"^(not )?ok\b\s*(\d+)?\s*(?:- )?(.*)$")
PLAN = re.compile(r"^1\.\.(\d+)")
ALONE = re.compile(r"^# alone: ", re.M)
TAKES = re.compile(r"^# takes: (\d+) s(?:, works (\d+) s)?$", re.M)
NEEDS_ASAN = re.compile(r"BH_UNIT|BH_FAULTS_BUILD")
CPUS = os.cpu_count() or 1
BUSY, BUSY_ALONE = 1.0 * CPUS, 0.5 * CPUS  # processors that programs running at once may use together
AT_ONCE = 3 * CPUS
# uid 0 with nothing but what files ask for (a clone may be in a closed home): no network, no mounts
UNPRIVILEGED = ["setpriv", "--bounding-set=-all,+chown,+fowner,+dac_override,+dac_read_search", "--inh-caps=-all", "--no-new-privs"]


class Totals:
    def __init__(self):
        self.passed = self.failed = 0
        self.failures = []
        self.running = set()
        self.lock = threading.RLock()

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
        takes, works = m.groups() if (m := TAKES.search(text)) else (0, None)
        self.takes = int(takes)
        self.share = int(works) / self.takes if works else 0.5    # of a processor
        if room not in KERNEL_ROOMS or not text:
            self.share = 1.0
        self.asan = not text or bool(NEEDS_ASAN.search(text))


def sh(cmd, log, env, totals=None):
    """Appends what it says to log; TOTALS knows of it meanwhile, so that it can be ended."""
    p = subprocess.Popen([str(c) for c in cmd], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=TOP,
                         env={**os.environ, **(env or {})}, start_new_session=bool(totals))
    if totals:
        totals.running.add(p)
    log.append(p.communicate()[0])
    if totals:
        totals.running.discard(p)
    return p.returncode == 0


def needed(directory):
    """What the tests run of a build, and what an installation takes: everything but the unit tests and corpora, which run in another one."""
    out = subprocess.run(["meson", "introspect", "--targets", directory], capture_output=True, text=True, check=True).stdout
    return [os.path.relpath(f, directory) for t in json.loads(out)
            if (t["type"] == "executable" or t["installed"]) and not re.search("/tests/(unit|fuzz)/", t["defined_in"]) for f in t["filename"]]


def build(directory, options, totals, env=None, targets=lambda directory: (), nice=0):
    """Configures and builds; a failed build is a failed case with the end of its log."""
    log = []
    name = directory.relative_to(TOP)
    fresh = not (directory / "build.ninja").exists()
    setup = ["meson", "setup", directory, *options] if fresh else ["meson", "configure", directory, *options]
    t0 = time.monotonic()
    ninja = ["nice", "-n", str(nice), "ninja", "-C", directory, "-j", str(min(CPUS, 4))]
    ok = sh(setup, log, env, totals) and sh([*ninja, *targets(directory)], log, env, totals)
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
        programs.append(Program(room, t["name"], t["cmd"], max(t["timeout"], 300), env,
                                t.get("workdir") or directory))
    return programs


def from_tree(known):
    programs = []
    for room in ("golden", "netns", "integration", "bypass"):
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
    root = program.room in KERNEL_ROOMS
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
    cases = planned = bad = works = 0
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
        try:
            _, status, used = os.wait4(p.pid, 0)
            p.returncode, works = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
        except ChildProcessError:   # expire() was first
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
    if root:
        totals.say(f"# {label}: took {time.monotonic() - t0:.0f} s, worked {works:.0f} s")


class Schedule:
    """Runs programs, as many at a time as BUSY processors have room for. They may be added by any thread until it is closed."""

    def __init__(self, totals, tier, busy, programs=(), open_=False):
        self.totals, self.tier, self.busy, self.open = totals, tier, busy, open_
        self.waiting, self.used, self.count = [], 0.0, 0
        self.changed = threading.Condition()
        self.add(programs)

    def add(self, programs, close=False):
        with self.changed:
            self.waiting = sorted([*self.waiting, *programs], key=lambda p: (-p.takes, ROOMS.index(p.room)))
            self.open = self.open and not close
            self.changed.notify()

    def _next(self):
        """The longest that there is room for, or whatever waits when nothing runs."""
        if self.count >= AT_ONCE:
            return None
        return next((p for p in self.waiting if not self.count or self.used + p.share <= self.busy), None)

    def _one(self, p):
        try:
            run(p, self.totals, self.tier)
        except Exception as e:
            self.totals.case(False, f"{p.room}/{p.name}: {e!r}")
        finally:
            with self.changed:
                self.used, self.count = self.used - p.share, self.count - 1
                self.changed.notify()

    def run(self):
        with self.changed:
            while self.open or self.waiting or self.count:
                p = self._next()
                if not p:
                    self.changed.wait()
                    continue
                self.waiting.remove(p)
                self.used, self.count = self.used + p.share, self.count + 1
                threading.Thread(target=self._one, args=(p,)).start()


def build_plain(totals):
    """What enforces in kernel tests is the program as it is shipped."""
    return build(BUILD / "plain", ["-Dwerror=true", "-Dbuildtype=debugoptimized"], totals, targets=needed)


def run_all(totals, tier, names=(), rooms=ROOMS):
    try:
        build_and_run(totals, tier, names, rooms)
    except BaseException:
        for p in list(totals.running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(p.pid, signal.SIGTERM)
        raise


def build_and_run(totals, tier, names, rooms):
    print(f"# kernel {os.uname().release}, {CPUS} cpus, tier {tier}, "
          f"seed {os.environ.get('BH_SEED', '20261125')}", flush=True)

    def wanted(programs):
        return [p for p in programs if p.room in rooms and (not names or any(n in f"{p.room}/{p.name}" for n in names))]
    if not build_plain(totals):
        return
    programs = wanted(from_tree(from_meson(BUILD / "plain")))
    first = Schedule(totals, tier, BUSY, [p for p in programs if not p.alone and not p.asan], open_=True)

    def sanitized():
        """Unit and golden tests run under ASan and UBSan, and the fault points of tests/integration/test_kill.py are in this build
        alone. It is not optimised: that is made in a third of the time, runs as fast, and hides nothing from the sanitizers. But
        without the optimiser gcc does not see that what it calls too long for a buffer never is; the other build warns of that."""
        more = []
        try:
            if build(BUILD / "asan", ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dwerror=true", "-Dfaults=true",
                                      "-Dbuildtype=debugoptimized", "-Doptimization=0", "-Dc_args=-Wno-format-truncation"], totals, nice=10):
                more = wanted(from_meson(BUILD / "asan")) + [p for p in programs if p.asan and not p.alone]
        except Exception as e:
            totals.case(False, f"build: {e!r}")
        finally:
            first.add(more, close=True)
    threading.Thread(target=sanitized).start()
    first.run()
    Schedule(totals, tier, BUSY_ALONE, [p for p in programs if p.alone]).run()


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
