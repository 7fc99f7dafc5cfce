#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 19 s, works 4 s
"""Containers that come and go for a long time, and a daemon that is stopped meanwhile: memory and descriptors stay, nothing
leaks, nothing stale is left. Simulated containers, a scripted Docker."""
import collections
import os
import pathlib
import queue
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402

RATE = 20
SECONDS = int(os.environ.get("BH_CHURN_SECONDS", "3600" if lab.SOAK else "9"))
ALIVE = 20          # of those that churn
WORKERS = 8
CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
  api: {select: {labels: {tier: api}}}
  db: {select: {labels: {tier: db}}}
  project: {per: label:project}
allow:
  - {from: web, to: api, ports: [tcp/80, udp/80]}
  - {from: api, to: db, ports: [udp/80]}
  - {from: project, to: project}
"""
TIERS = ("web", "db", "p0", "p1", "p2", "p3", "p4")     # p…: a family's value, a zone that comes and goes


class Churn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = h = simhost.SimHost(CONFIG)
        cls.addClassCleanup(h.close)
        cls.web, cls.api, cls.db = (h.start(f"{z}1", z, place=True) for z in ("web", "api", "db"))
        h.check(5)
        cls.pid = h.daemon.status()["daemon"]["pid"]
        cls.serial = 0

    def start(self, tier):
        with self.host.lock:
            Churn.serial += 1
            n = self.serial
        return self.host.start(f"{tier}-{n}", tier, shout=(self.db, self.api))

    def resources(self):
        """(resident KiB, descriptors) when nothing is under way."""
        time.sleep(0.5)
        place, proc = self.host.lab.host, f"/proc/{self.pid}"
        rss = next(int(line.split()[1]) for line in place.exec("cat", f"{proc}/status").splitlines() if line.startswith("VmRSS"))
        return rss, len(place.exec("ls", f"{proc}/fd").split())

    def begin(self):
        paced, flood = simhost.Paced(self.web, self.api), simhost.Flood(self.host, self.web, self.db)
        self.addCleanup(paced.end.set)
        return paced, flood

    def end(self, paced, flood):
        sent, lost = paced.stop()
        self.assertTrue(flood.alive())
        self.assertEqual(flood.stop(), [])
        self.assertEqual(lost, 0, f"{lost} of {sent} allowed packets were lost")
        self.assertEqual([s for s in paced.strangers if not s.startswith("web")], [])
        return sent

    def churn(self, seconds, rate=RATE):
        """RATE starts and stops a second, as well as the machine can. Returns how many and how long it took."""
        alive, jobs, failed = collections.deque(), queue.Queue(2 * WORKERS), []

        def work():
            while (job := jobs.get()) is not None:
                try:
                    job()
                except Exception as e:  # noqa: BLE001 told by the test
                    failed.append(e)

        def step(tier):
            alive.append(self.start(tier))
            if len(alive) > ALIVE:
                self.host.stop(alive.popleft())
        workers = [threading.Thread(target=work, daemon=True) for _ in range(WORKERS)]
        for w in workers:
            w.start()
        t0, n = time.monotonic(), int(seconds * rate)
        for i in range(n):
            time.sleep(max(0, t0 + i / rate - time.monotonic()))
            jobs.put(lambda i=i: step(TIERS[i % len(TIERS)]))
        for _ in workers:
            jobs.put(None)
        for w in workers:
            w.join()
        took = time.monotonic() - t0
        for s in alive:
            self.host.stop(s)
        self.assertEqual(failed, [])
        return n, took

    @tap.limit(240 + 3 * SECONDS)
    def test_1_churn(self):
        before = self.host.rules()
        paced, flood = self.begin()
        self.churn(SECONDS / 3)
        self.host.check(5)
        warm = self.resources()
        n, took = self.churn(SECONDS * 2 / 3)
        right = self.host.check(5, names=True)
        rss, fds = self.resources()
        sent = self.end(paced, flood)
        print(f"# {n / took:.1f} starts and stops a second for {took:.0f} s after {SECONDS / 3:.0f} s: {warm[0]} -> {rss} KiB, "
              f"{warm[1]} -> {fds} descriptors; 0 of {sent} lost; right {right:.2f} s after the last", flush=True)
        self.assertGreater(n / took, RATE / 4)
        # what a whole round takes, once a minute, a short run may see for the first time after it was warm
        self.assertLess(rss - warm[0], 1024 if SECONDS > 240 else 4096)
        self.assertLessEqual(fds - warm[1], 2)
        self.assertEqual(self.host.rules(), before)
        self.assertEqual(self.host.daemon.status()["kernel"]["repairs"], 0)
        self.assertNotIn("degraded", self.host.daemon.log())

    @tap.limit(240)
    def test_2_stopped_while_containers_churn(self):
        """SIGSTOP: who starts meanwhile gets nothing; after SIGCONT everything is right within a second."""
        paced, flood = self.begin()
        old = [self.start(t) for t in ("web", "db")]
        self.host.check(5)
        self.host.lab.host.exec("kill", "-STOP", str(self.pid))
        try:
            heard = len(paced.strangers)
            for s in old:
                self.host.stop(s)
            new = [self.start(t) for t in ("db", "web", "p0", "web")]  # addresses and MACs of the dead among them
            self.assertEqual({s.ip4 for s in old} - {s.ip4 for s in new}, set())
            for i in range(5):
                time.sleep(0.2)
                for s in new:
                    s.shout(self.db, self.api)
            time.sleep(0.1)
            self.assertEqual(paced.strangers[heard:], [], "a new port was open before anybody knew it")
        finally:
            self.host.lab.host.exec("kill", "-CONT", str(self.pid))
        right = self.host.check(1)
        heard = len(paced.strangers)
        new[1].shout(self.api)
        lab.wait_for("the new web at api1", lambda: len(paced.strangers) >= heard + 2)
        for s in new:
            self.host.stop(s)
        self.host.check(1, names=True)
        self.end(paced, flood)
        print(f"# right {right:.2f} s after SIGCONT", flush=True)


if __name__ == "__main__":
    tap.main()
