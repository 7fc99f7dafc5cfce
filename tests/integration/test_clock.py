#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 28 s, works 5 s
"""Clocks that jump and numbers that wrap change nothing: the wall clock goes an hour to and fro, days, past 2038; the clocks of the machine's uptime cross 2^32 milliseconds (49.7 days)
while the daemon runs."""
import os
import pathlib
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402

CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}, connections: {max: 50, new: 20/second}, bandwidth: {container: {egress: 50mbit}}}
  api: {select: {labels: {tier: api}}}
  db: {select: {labels: {tier: db}}}
allow:
  - {from: web, to: api, ports: [udp/80]}
"""
HOUR, DAY = 3600, 86400
JUMPS = (("an hour on", HOUR), ("an hour back", -HOUR), ("past 2038", 2**31 - 1735689600 + DAY), ("to 1970", -55 * 365 * DAY))


class Moved(lab.Daemon):
    """A daemon with clocks of its own."""
    before, env = (), ()

    def argv(self, *more):
        return [*self.before, *super().argv(*more)]

    def cpu(self):
        pid = self.lab.pids_of("bulkheadd", str(self.socket))[0]
        w = self.lab.host.exec("cat", f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
        return (int(w[11]) + int(w[12])) / os.sysconf("SC_CLK_TCK")


class Clock(unittest.TestCase):
    def setUp(self):
        self.host = h = simhost.SimHost()
        self.addCleanup(h.close)
        self.web, self.api, self.db = (h.start(f"{z}1", z) for z in ("web", "api", "db"))

    def daemon(self, *before):
        d = Moved(self.host.lab, CONFIG, start=False)
        d.before = before
        self.host.daemon = d.start()
        self.host.check(5)
        return d

    def goes_on(self, d, what, meanwhile=lambda: None):
        """A container that comes is there within a second, and gone within one; what is allowed passes and nothing else; what is opened for two seconds is open for two,
        whatever happens MEANWHILE; it does not spin."""
        h, cpu, t0 = self.host, d.cpu(), time.monotonic()
        paced = simhost.Paced(self.web, self.api)
        wrong = simhost.Paced(self.api, self.web)      # two who know each other's MAC
        guest = h.start("guest", "api", shout=(self.db,))
        h.check(1)
        h.stop(guest)
        h.check(1)
        said = time.monotonic()
        r = d.ask("allow", **{"from": "api", "to": "web", "ports": ["udp/80"], "seconds": 2})   # no process, which may take its time on a busy machine
        self.assertTrue(r["ok"], r)
        lab.wait_for(f"{what}: opened by hand", lambda: any(wrong.got) or not d.status()["overrides"], 5)
        self.assertTrue(any(wrong.got), f"{what}: {wrong.sent} sent while it was open, none arrived")
        meanwhile()
        lab.wait_for(f"{what}: and closed again", lambda: not d.status()["overrides"], 10)
        took = time.monotonic() - said
        self.assertGreater(took, 1.5, f"{what}: closed too early")
        self.assertLess(took, 5, f"{what}: closed too late")
        time.sleep(0.2)
        before = sum(map(len, wrong.got))
        time.sleep(0.3)
        _, lost = paced.stop()
        wrong.stop()
        self.assertEqual((sum(map(len, wrong.got)) - before, lost), (0, 0), what)
        # an answer is made for each question here; what turns in a circle takes all of a processor
        self.assertLess(d.cpu() - cpu, 0.7 * (time.monotonic() - t0), f"{what}: it spins")

    def test_1_the_wall_clock_jumps(self):
        shim, clock = self.host.lab.root / "clockjump.so", self.host.lab.root / "clock"
        subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", shim, lab.HERE / "clockjump.c"], check=True)
        clock.write_bytes(struct.pack("q", 0))
        d = self.daemon("env", f"LD_PRELOAD={shim}", f"BH_CLOCK={clock}")

        def jump(seconds):
            with open(clock, "r+b") as f:
                f.write(struct.pack("q", seconds))
        for what, seconds in JUMPS:
            self.goes_on(d, what, lambda: jump(seconds))
        # control: it is the daemon's clock that was moved
        jump(10 * 365 * DAY)
        d.reload(CONFIG)
        self.assertGreater(d.status()["daemon"]["config"]["loaded"][:4], f"{time.gmtime().tm_year + 8}")
        self.assertEqual(d.status()["kernel"]["repairs"], 0)

    def test_2_uptime_crosses_49_7_days(self):
        """A namespace of its own for CLOCK_MONOTONIC and CLOCK_BOOTTIME, eight seconds before 2^32 ms."""
        now = max(time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(time.CLOCK_BOOTTIME))
        ahead = int(2**32 / 1000 - now - 8)
        d = self.daemon("unshare", "--time", f"--monotonic={ahead}", f"--boottime={ahead}", "--fork", "--kill-child", "--")
        t0 = time.monotonic()
        self.goes_on(d, "before and at the wrap")
        while time.monotonic() - t0 < 9:
            time.sleep(0.1)
        self.goes_on(d, "after the wrap")
        self.assertEqual(d.status()["kernel"]["repairs"], 0)


if __name__ == "__main__":
    tap.main()
