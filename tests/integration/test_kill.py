#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 60 s, works 45 s
"""kill -9 of the daemon between any two steps: the kernel holds the old or the new generation, never a mixture, and the next
start brings it in line. Needs a build with -Dfaults=true beside the one under test (BH_FAULTS_BUILD, or ../asan)."""
import os
import pathlib
import re
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402

HEAD = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}%s}
  api: {select: {labels: {tier: api}}}
  db: {select: {labels: {tier: db}}}
%sallow:
  - {from: web, to: api, ports: [tcp/80, udp/80]}
  - {from: api, to: db, ports: [udp/80, %s]}
"""
# the second adds trees, a zone and a port, and takes a port away
CONFIGS = (HEAD % ("", "", "tcp/81"),
           HEAD % (", bandwidth: {container: {egress: 500mbit, ingress: 500mbit}}", "  more: {select: {labels: {tier: more}}}\n", "tcp/82"))


def faulty():
    """The bulkheadd that can be killed at its points."""
    for d in (os.environ.get("BH_FAULTS_BUILD"), lab.build_dir().parent / "asan", lab.build_dir()):
        p = pathlib.Path(d or "/nowhere") / "src/daemon/bulkheadd"
        if p.is_file() and b"BULKHEAD_FAULT" in p.read_bytes():
            return str(p)
    raise lab.LabError("no build with -Dfaults=true: set BH_FAULTS_BUILD")


class Kill(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.binary = faulty()
        cls.host = h = simhost.SimHost()
        cls.addClassCleanup(h.close)
        cls.dir = h.lab.root / "bulkhead"
        cls.dir.mkdir()
        cls.config = cls.dir / "bulkhead.yaml"
        cls.socket = cls.dir / "control.sock"
        cls.web, cls.api, cls.db = (h.start(f"{z}1", z, place=True) for z in ("web", "api", "db"))
        cls.proc, cls.now, cls.right_at, cls.last = None, 0, None, None
        # what each generation is, and what it takes to start a program here at all
        cls.start_time = cls.empty()
        cls.generations = []
        cls.trace = {}
        for i, text in enumerate(CONFIGS):
            cls.write(i)
            cls.boot()
            lab.wait_for("the first generation", lambda: cls.quiet(), 20, 0.1)
            cls.generations.append(h.rules())
            cls.end()
        cls.learn()
        cls.flood = simhost.Flood(h, cls.web, cls.db)
        cls.addClassCleanup(cls.flood.stop)

    @classmethod
    def empty(cls):
        t0 = time.monotonic()
        cls.host.lab.host.exec(cls.binary, "--version")
        return time.monotonic() - t0

    @classmethod
    def write(cls, i):
        cls.config.write_text(CONFIGS[i])
        os.chmod(cls.config, 0o644)
        cls.now = i

    @classmethod
    def argv(cls, *more):
        return [cls.binary, "--config", cls.config, "--socket", cls.dir / "control.sock", "--state", cls.dir / "state",
                "--runtime", f"docker={cls.host.lab.socket}", *more]

    @classmethod
    def boot(cls, fault=None, trace=None):
        # the search for leaks at the end takes its time, and other tests do it
        env = {"ASAN_OPTIONS": "detect_leaks=0"} | {k: str(v) for k, v in (("BULKHEAD_FAULT", fault), ("BULKHEAD_FAULT_TRACE", trace)) if v}
        with open(cls.dir / "log", "a") as log:
            cls.proc = cls.host.lab.host.popen(*cls.argv("--foreground"), stdout=log, stderr=log, env=env)
        return cls.proc

    @classmethod
    def end(cls):
        if cls.proc.poll() is None:
            cls.proc.terminate()
        return cls.proc.wait(20)

    @classmethod
    def dead(cls):
        return cls.proc.poll() is not None

    @classmethod
    def answers(cls):
        """Whether the daemon answers and thinks that it is in line."""
        r = cls.host.lab.host.run_cmd(lab.program("bulkhead"), "status", "--json", "--socket", cls.dir / "control.sock")
        return r.returncode == 0 and '"in_sync": true' in r.stdout

    @classmethod
    def quiet(cls):
        return cls.answers() and not cls.host.differences()

    # what a daemon goes through; each of them may be its last step
    @classmethod
    def reload(cls):
        cls.write(1 - cls.now)
        cls.proc.send_signal(signal.SIGHUP)
        return None

    @classmethod
    def container(cls):
        cls.guest = cls.host.start("guest", "web", shout=(cls.db, cls.api))

    @classmethod
    def gone(cls):
        cls.host.stop(cls.guest)

    @classmethod
    def command(cls, *args):
        """Also where the daemon dies of it."""
        cls.host.lab.host.run_cmd(lab.program("bulkhead"), *args, "--socket", cls.dir / "control.sock")

    @classmethod
    def by_hand(cls):
        cls.command("quarantine", "db1")
        cls.command("release", "db1")

    @classmethod
    def confirmed(cls):
        cls.write(1 - cls.now)
        cls.command("reload", "--confirm", "1m")
        cls.command("confirm")

    @classmethod
    def recover(cls):
        """What was said by hand, and what was not confirmed, outlives a death."""
        cls.boot()
        lab.wait_for("an answer", cls.answers, 20, 0.05)
        cls.command("release", "db1")
        cls.command("reload")
        lab.wait_for("all as it was", cls.quiet, 20, 0.05)
        cls.end()

    @classmethod
    def settle(cls, want, seconds):
        """Until the daemon is dead, or the kernel is as WANT says. True when it is dead."""
        lab.wait_for("the daemon to be dead or done", lambda: cls.dead() or want(), seconds, 0.02)
        return cls.dead()

    @classmethod
    def is_generation(cls, *which):
        return cls.host.rules() in [cls.generations[i] for i in which]

    def distance(self, *which):
        """What is too many and missing, for each generation."""
        now = set(self.host.rules())
        return [(sorted(now - set(self.generations[i]))[:5], sorted(set(self.generations[i]) - now)[:5]) for i in which]

    @classmethod
    def steps(cls):
        """(name, what to do, what the kernel holds when it is done)"""
        return (("start", lambda: None, lambda: cls.in_line() and cls.answers()),
                ("reload", cls.reload, lambda: cls.is_generation(cls.now)),
                ("container", cls.container, lambda: not cls.host.differences()),
                ("gone", cls.gone, lambda: not cls.host.differences()),
                ("by hand", cls.by_hand, lambda: not cls.host.differences()),
                ("confirm", cls.confirmed, lambda: cls.is_generation(cls.now)))

    @classmethod
    def in_line(cls):
        """Whether the generation that is asked for is there; notes when a look first showed it."""
        t = time.monotonic()
        if not cls.is_generation(cls.now):
            return False
        cls.right_at = cls.right_at or t
        return True

    @classmethod
    def learn(cls):
        """Which points are passed in which step, and how often so far: [(step, point, n)]."""
        trace, seen, cls.points = cls.dir / "trace", 0, []
        cls.write(0)
        cls.boot(trace=trace)
        for name, do, done in cls.steps():
            do()
            lab.wait_for(name, done, 20)
            time.sleep(0.7)
            lines = trace.read_text().split()
            for i in range(seen, len(lines)):
                cls.points.append((name, lines[i], lines[:i + 1].count(lines[i])))
            seen = len(lines)
        cls.end()

    def one(self, point, n):
        """A daemon that dies when it passes POINT for the N-th time. Returns the step that it died in, or None."""
        t0 = time.monotonic()
        Kill.right_at = None
        self.boot(f"{point}:{n}")
        for name, do, done in self.steps():
            before = self.now
            do()
            if self.settle(done, 10):
                self.assertEqual(self.proc.returncode, -signal.SIGKILL, f"{point}:{n} in {name}")
                self.check_dead(name, before)
                if name == "container":
                    self.gone()
                if name in ("by hand", "confirm"):
                    self.recover()
                Kill.last = self.host.rules()
                return name
            if name == "start":
                self.worst = max(self.worst, self.right_at - t0)
                if self.right_at - t0 > 1:  # where everything is slow, as slow as an empty program shows
                    self.assertLess(self.right_at - t0, 1 + 5 * max(self.start_time, self.empty()),
                                    f"in line again after the death before {point}:{n}")
        time.sleep(0.3)     # what comes later by itself: second looks
        return "later" if self.dead() else None

    def check_dead(self, step, before):
        if step == "by hand":
            return  # there or not, what may not pass does not
        if step in ("start", "reload", "confirm"):
            # a start after a death may begin in either
            same = step == "start" and self.host.rules() == self.last   # what the death before has left
            self.assertTrue(same or self.is_generation(0, 1), f"a mixture: {self.distance(0, 1)}")
            return
        other = dict(self.host.sims)
        with_guest = self.host.differences()
        if with_guest:
            if step == "container":
                other = self.host.sims.pop("guest")
                self.assertEqual(self.host.differences(), [], f"neither with ({with_guest}) nor without the container")
                self.host.sims["guest"] = other
            else:
                self.host.sims["guest"] = self.guest
                left = self.host.differences()
                del self.host.sims["guest"]
                # its port has gone, and the kernel's chain on it; the elements are all there or all gone
                self.assertEqual(left, [], f"neither without ({with_guest}) nor with the container")

    @tap.limit(300 if not lab.SOAK else 7200)
    def test_1_killed_at_every_point(self):
        rng, points = tap.rng("kill"), self.points
        if not lab.SOAK:    # one for each point
            by = {}
            for step, point, n in points:
                by.setdefault(point, []).append((step, point, n))
            points = [rng.choice(v) for v in by.values()]
        paced = simhost.Paced(self.web, self.api)
        self.addCleanup(paced.end.set)
        self.worst, died = 0, {}
        for step, point, n in points:
            with self.subTest(point, n=n):
                try:
                    where = self.one(point, n)
                    died[where] = died.get(where, 0) + 1
                finally:
                    self.end()
                self.assertEqual(self.flood.leaked(), [])
        self.boot()
        lab.wait_for("the end", self.quiet, 10, 0.1)
        self.end()
        sent, lost = paced.stop()
        print(f"# {len(points)} deaths of {len(self.points)} known: {died}; in line {self.worst:.2f} s after the start at the latest "
              f"(an empty program takes {self.start_time:.2f} s); {lost} of {sent} lost", flush=True)
        self.assertEqual(lost, 0)
        self.assertGreater(len(points) - died.get(None, 0), 0.6 * len(points))

    # -- many deaths: a start and one step each, no more

    @classmethod
    def ready(cls):
        """Whether the daemon answers and thinks that it is in line, asked without a process for it."""
        try:
            r = lab.Daemon.ask(cls, "status", 5)
        except (OSError, lab.LabError, ValueError):
            return False
        return r["ok"] and r["result"]["kernel"]["in_sync"]

    @classmethod
    def short_steps(cls):
        """(name, what to do, how it is known to be done where nobody died of it)"""
        return (("reload", cls.reload, lambda: cls.is_generation(cls.now)),
                ("container", cls.container, lambda: not cls.host.differences()),
                ("by hand", cls.by_hand, cls.ready),
                ("confirm", cls.confirmed, cls.ready))

    @classmethod
    def learn_short(cls):
        """[(step, point, n)] for a start with another configuration than the kernel has, and for each step after a start."""
        found = []
        for name, do, done in cls.short_steps():
            trace = cls.dir / f"trace-{name.replace(' ', '-')}"
            cls.write(1 - cls.now)
            cls.boot(trace=trace)
            lab.wait_for("a start", cls.ready, 20)
            begun = len(trace.read_text().split())
            do()
            lab.wait_for(name, done, 20)
            time.sleep(0.3)
            lines = trace.read_text().split()
            cls.end()
            if name == "container":
                cls.gone()
            for i, point in enumerate(lines):
                found.append(("start" if i < begun else name, point, lines[:i + 1].count(point)))
        return sorted(set(found))

    def die(self, step, point, n):
        """A start, which has to bring what the death before has left in line, and the death. Where it happened; None where it did not."""
        self.write(1 - self.now if step == "start" else self.now)
        t0 = time.monotonic()
        self.boot(f"{point}:{n}")
        try:
            lab.wait_for("the daemon to be dead or ready", lambda: self.dead() or self.ready(), 20, 0.02)
        except lab.LabError:
            print(f"# {point}:{n} in {step}\n" + "\n".join("# " + line for line in (self.dir / "log").read_text()[-3000:].splitlines()), flush=True)
            raise
        if not self.dead():
            took = time.monotonic() - t0
            self.worst = max(self.worst, took)
            if took > 1:    # where everything is slow, as slow as an empty program shows
                self.assertLess(took, 1 + 5 * max(self.start_time, self.empty()), f"in line again with {point}:{n} to come")
            self.assertTrue(self.is_generation(self.now), f"ready, and not in line: {self.distance(self.now)}")
            if step == "start":
                return None
            dict((name, do) for name, do, _ in self.short_steps())[step]()
            end = time.monotonic() + 2
            while not self.dead() and time.monotonic() < end:
                time.sleep(0.01)
            if not self.dead():
                return None
        else:
            step = "start"
        self.assertEqual(self.proc.returncode, -signal.SIGKILL, f"{point}:{n} in {step}")
        if step in ("start", "reload"):
            self.assertTrue(self.host.rules() == self.last or self.is_generation(0, 1), f"a mixture: {self.distance(0, 1)}")
        return step

    def after(self, step):
        """What the death leaves for the next start to find."""
        if self.proc.poll() is None:
            self.end()
        if step == "container":
            self.gone()
        if step in ("by hand", "confirm"):
            self.recover()
        Kill.last = self.host.rules()

    @tap.limit(300 if not lab.SOAK else 36000)
    def test_2_many_deaths(self):
        wanted = int(os.environ.get("BH_KILLS", "10000" if lab.SOAK else "30"))
        rng, points = tap.rng("deaths"), self.learn_short()
        paced = simhost.Paced(self.web, self.api)
        self.addCleanup(paced.end.set)
        Kill.last, self.worst, died, tried, t0 = self.host.rules(), 0, {}, 0, time.monotonic()
        while sum(died.values()) < wanted:
            step, point, n = rng.choice(points)
            tried += 1
            where = self.die(step, point, n)
            self.after(where or step)
            if where:
                died[where] = died.get(where, 0) + 1
            self.assertEqual(self.flood.leaked(), [], f"leaked at {point}:{n} in {step}")
            self.assertLess(tried, 4 * wanted, f"few die: {died}")
        took = time.monotonic() - t0
        self.boot()
        lab.wait_for("the end", self.quiet, 10, 0.1)
        self.end()
        sent, lost = paced.stop()
        print(f"# {wanted} deaths at {len(set(points))} places of {len({p for _, p, _ in points})} points in {took:.0f} s: {died}; in line {self.worst:.2f} s "
              f"after a start at the latest; {lost} of {sent} lost", flush=True)
        self.assertEqual(lost, 0)

    def test_2_every_point_is_passed(self):
        source = "".join(p.read_text() for p in (lab.TOP / "src").rglob("*.c"))
        names = set(re.findall(r'BH_FAULT\("([a-z-]+)"\)', source))
        self.assertGreater(len(names), 20)
        self.assertEqual({n for n in names if not n.startswith("teardown")} - {p for _, p, _ in self.points}, set())

    def test_3_shipped_without(self):
        if lab.program("bulkheadd") != self.binary:
            self.assertNotIn(b"BULKHEAD_FAULT", pathlib.Path(lab.program("bulkheadd")).read_bytes())

    def test_4_teardown_killed(self):
        """A second teardown ends what the first began: nothing of ours is left, and the bridge's flags are what they were."""
        self.flood.stop()
        # A death between a clsact and its first filter leaves one that nobody can tell from another program's: it stays (docs/STATUS.md).
        for sim in self.host.sims.values():
            self.host.lab.host.run_cmd("tc", "qdisc", "del", "dev", sim.port, "clsact")
        for point in ("teardown-begin", "teardown-flags", "teardown-tables", "teardown-trees"):
            self.write(1)
            self.boot()
            lab.wait_for("a daemon in line", self.quiet, 10, 0.1)
            self.end()
            r = self.host.lab.host.run_cmd(*self.argv("--teardown"), env={"BULKHEAD_FAULT": f"{point}:1"})
            self.assertEqual(r.returncode, -signal.SIGKILL, point)
            r = self.host.lab.host.run_cmd(*self.argv("--teardown"))
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertEqual(self.host.rules(), [], point)
            left = self.host.lab.host.exec("ip", "-d", "link")
            self.assertNotIn("bh-egress", left)
            self.assertNotRegex(left, "nf_call_ip6?tables 1", point)
            self.assertNotIn("clsact", self.host.lab.host.exec("tc", "qdisc"))


if __name__ == "__main__":
    tap.main()
