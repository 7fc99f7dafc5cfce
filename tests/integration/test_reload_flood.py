#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 10 s, works 10 s
"""Reloads between two configurations of 500 rules, again and again, while every denied
pair is flooded and every allowed one probed: nothing leaks, nothing is lost.

As many reloads as fit in 10 s in tools/test, 100 at least; 10,000 in tools/soak.
BH_RELOADS sets another number.
"""
import os
import pathlib
import random
import re
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import fakehost  # noqa: E402
import lab  # noqa: E402
import tap  # noqa: E402

RULES = 500
RELOADS = int(os.environ.get("BH_RELOADS", "10000" if lab.SOAK else "0"))  # 0: what fits
SECONDS, LEAST = 10, 100
ALLOWED, DENIED = 7000, 7001

# What stays open in both configurations; everything else about these zones stays closed on both ports.
OPEN = """  - {from: web, to: api, ports: [udp/7000]}
  - {from: lan, to: web, ports: [udp/7000]}
  - {from: web, to: lan, ports: [udp/7000]}
  - {from: host, to: api, ports: [udp/7000]}
"""


def config(which, rules=RULES):
    """One of two: 30 of 40 zones are in both, hardly a rule is, and the real zones' other rules differ too."""
    rng = tap.rng(f"reload-{which}")
    real = ["web", "api", "db"]
    fill = [f"fill{i}" for i in range(10 * which, 10 * which + 40)]
    lines = ["version: 1", "mode: enforce", "zones:"]
    lines += [f"  {z}: {{select: {{labels: {{tier: {z}}}}}}}" for z in real + fill]
    lines += ["allow:", OPEN.rstrip("\n")]
    pairs = rng.sample([(a, b) for a in real + fill for b in real + fill if a != b], rules - OPEN.count("\n"))
    lines += [f"  - {{from: {a}, to: {b}, ports: [{rng.choice(['tcp', 'udp'])}/{rng.randrange(1, 6000)}]}}" for a, b in pairs]
    return "\n".join(lines) + "\n"


class ReloadFlood(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = h = fakehost.FakeHost().up()
        cls.addClassCleanup(h.down)
        for n in ("front", "back"):
            h.network(n)
        cls.box = dict(zip(("web1", "api1", "db1", "web2", "api2", "db2"), h.add(
            [(f"{z}{i}", {"tier": z}, n) for i, n in ((1, "front"), (2, "back")) for z in ("web", "api", "db")])))
        cls.configs = [config(0), config(1)]
        cls.daemon = h.bulkheadd(cls.configs[0])

    def denied(self):
        """(place, port, addresses): same bridge and two, both ways, the host and the outside too."""
        b, h = self.box, self.host
        out = []
        for i, j in ((1, 2), (2, 1)):
            web, api, db = b[f"web{i}"], b[f"api{i}"], b[f"db{i}"]
            out += [(web, DENIED, fakehost.both(api, db, b[f"db{j}"])),
                    (api, DENIED, fakehost.both(web, db, b[f"web{j}"])),
                    (db, DENIED, [*fakehost.both(web, api, b[f"api{j}"], b[f"db{j}"]), f"10.111.{db.network['n']}.1", lab.OUT4, lab.OUT6])]
        return out + [(h.host, DENIED, fakehost.both(b["db1"], b["web2"])), (h.out, DENIED, fakehost.both(b["db1"], b["api2"], b["web1"]))]

    def allowed(self):
        b, h = self.box, self.host
        return [(b["web1"], ALLOWED, [*fakehost.both(b["api1"], b["api2"]), lab.OUT4, lab.OUT6]),
                (b["web2"], ALLOWED, fakehost.both(b["api1"], b["api2"])),
                (h.out, ALLOWED, fakehost.both(b["web1"], b["web2"])), (h.host, ALLOWED, fakehost.both(b["api1"], b["api2"]))]

    def measure(self, action):
        h = self.host
        return fakehost.measure(h, [*self.box.values(), h.host, h.out], self.allowed(), self.denied(), action)

    def memory(self):
        pid = self.host.pids_of("bulkheadd", str(self.daemon.socket))[0]
        out = self.host.host.exec("sh", "-c", f"grep VmRSS /proc/{pid}/status; ls /proc/{pid}/fd | wc -l")
        return list(map(int, re.findall(r"\d+", out)))

    def reload(self, which):
        self.daemon.write(self.configs[which])
        t = time.monotonic()
        r = self.daemon.ask("reload")
        self.took.append(time.monotonic() - t)
        self.assertTrue(r.get("result", {}).get("loaded"), r)

    @tap.limit(7200 if lab.SOAK else 300)
    def test_1_reloads_leak_nothing_and_lose_nothing(self):
        self.took = []
        self.reload(1)
        self.reload(0)
        # More than a chance: the two really are two.
        self.assertEqual(len(self.daemon.status()["rules"]), RULES)
        before = self.host.ruleset()
        self.reload(1)
        other = self.host.ruleset()
        self.assertGreater(len(set(before.splitlines()) ^ set(other.splitlines())), RULES)
        self.reload(0)
        # until neighbours are found the host queues a few hundred datagrams and drops the rest: when its first question is lost, for a second
        self.measure(lambda: time.sleep(1.5))
        memory = self.memory()
        self.took = []

        def action():
            end = time.monotonic() + SECONDS
            while len(self.took) < RELOADS if RELOADS else time.monotonic() < end or len(self.took) < LEAST:
                self.reload((len(self.took) + 1) % 2)
            if len(self.took) % 2:
                self.reload(0)
        seen = self.measure(action)
        took = sorted(self.took)
        now = self.memory()
        print(f"# {len(took)} reloads in {sum(took):.1f} s, median {took[len(took) // 2] * 1000:.1f} ms, worst {took[-1] * 1000:.0f} ms; "
              f"{seen.denied} datagrams to denied pairs, {seen.allowed} to allowed ones, longest pause {seen.gap} ms; "
              f"memory {memory[0]} -> {now[0]} KiB, descriptors {memory[1]} -> {now[1]}")
        self.assertEqual((seen.leaked, seen.lost), ({}, {}))
        self.assertGreater(seen.denied, 50 * len(took))
        self.assertGreater(seen.allowed, 10 * len(took))
        # The same configuration is the same rules: nothing piles up.
        self.assertEqual(sorted(before.splitlines()), sorted(self.host.ruleset().splitlines()))
        self.assertEqual(self.daemon.status()["kernel"]["repairs"], 0)
        self.assertLess(now[0], memory[0] + 8192)
        # the last answers may be under way; one a reload would be thousands
        self.assertLessEqual(now[1] - memory[1], 2)

    def test_2_control_everything_arrives_without_bulkhead(self):
        self.daemon.teardown()
        seen = self.measure(lambda: time.sleep(1))
        self.assertEqual(seen.lost, {})
        pairs = sum(len(a) for _, _, a in self.denied())
        self.assertEqual(len(seen.leaked), pairs, "a flood that never could have arrived proves nothing")
        self.assertEqual(sum(n[1] for n in seen.leaked.values()), seen.denied)


if __name__ == "__main__":
    tap.main()
