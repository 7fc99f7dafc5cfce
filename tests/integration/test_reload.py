#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 10 s, works 3 s
"""A changed configuration: what is no longer allowed stops, what is allowed goes on."""
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402

ZONES = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
  api: {select: {labels: {tier: api}}}
  db: {select: {labels: {tier: db}}}
allow:
"""
TO_API = "  - {from: web, to: api, ports: [tcp/80]}\n"
TO_DB = "  - {from: web, to: db, ports: [tcp/80]}\n"


class Reload(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        l.network("net")
        cls.web, cls.api, cls.db = lab.parallel(
            [lambda z=z: l.run(f"{z}1", labels={"tier": z}, network="net") for z in ("web", "api", "db")], 3)
        cls.rx = {c.name: l.receiver(c, [80]) for c in (cls.api, cls.db)}
        cls.daemon = l.bulkheadd(ZONES + TO_API + TO_DB)

    def stream(self, address, marker):
        return self.web.popen(self.lab.bin("probe"), "stream", address, 80, marker, 20, 30, stdout=lab.subprocess.PIPE)

    def times(self, target, marker):
        return [line[0] / 1e6 for line in self.rx[target].lines() if line[4].startswith(marker + " ")]

    def stopped_by(self, change, n):
        """Streams to api and db in both families; CHANGE takes web -> db away."""
        names = {f"api{n}v4": ("api1", self.api.ip4), f"api{n}v6": ("api1", self.api.ip6),
                 f"db{n}v4": ("db1", self.db.ip4), f"db{n}v6": ("db1", self.db.ip6)}
        procs = {m: self.stream(a, m) for m, (_, a) in names.items()}
        for m, (target, _) in names.items():
            lab.wait_for(f"stream {m}", lambda: len(self.times(target, m)) > 20)
        at = time.time()
        change()
        time.sleep(2.5)
        end = time.time()
        last = {}
        for m, (target, _) in names.items():
            ts = self.times(target, m)
            if m.startswith("db"):
                last[m] = max(ts) - at
                self.assertLess(max(ts), at + 1, f"{m} went on for {max(ts) - at:.2f} s")
            else:
                self.assertGreater(max(ts), end - 0.5, f"{m} stopped {end - max(ts):.2f} s before the end")
                gaps = [b - a for a, b in zip(ts, ts[1:])]
                self.assertLess(max(gaps), 0.5, f"{m} paused for {max(gaps):.2f} s")
        for p in procs.values():
            p.kill()
            p.wait()
        print("# last packet after the change: " + ", ".join(f"{m} {t * 1000:.0f} ms" for m, t in last.items()))

    def test_1_removed_rule_stops_an_established_stream(self):
        self.stopped_by(lambda: self.daemon.reload(ZONES + TO_API), 1)

    def test_2_added_rule_opens(self):
        self.daemon.reload(ZONES + TO_API + TO_DB)
        r = self.lab.send(self.web, [("tcp", self.db.ip4, 80, "again4"), ("tcp", self.db.ip6, 80, "again6")])
        self.assertEqual({m: x[0] for m, x in r.items()}, {"again4": "ok", "again6": "ok"})

    def test_3_sighup_reloads_too(self):
        def change():
            self.daemon.write(ZONES + TO_API)
            self.daemon.signal(signal.SIGHUP)
            lab.wait_for("the new rules", lambda: len(self.daemon.status()["rules"]) == 1)
        self.stopped_by(change, 3)

    def test_4_a_bad_configuration_changes_nothing(self):
        self.daemon.reload(ZONES + TO_API + TO_DB)
        before = self.lab.ruleset("inet bulkhead")
        self.daemon.write(ZONES + "  - {from: web, to: nowhere}\n")
        r = self.daemon.cli("reload")
        self.assertEqual(r.returncode, 2, r.stderr + r.stdout)
        self.assertIn("nowhere", r.stderr)
        self.assertIn("bulkhead.yaml:8:", r.stderr)
        self.assertEqual(before, self.lab.ruleset("inet bulkhead"))
        s = self.lab.send(self.web, [("tcp", self.db.ip4, 80, "still")])
        self.assertEqual(s["still"][0], "ok")
        self.assertTrue(self.daemon.status()["daemon"]["config"]["error"])
        self.daemon.reload(ZONES + TO_API)
        self.assertIsNone(self.daemon.status()["daemon"]["config"]["error"])

    def test_5_last_good_configuration_survives_a_restart(self):
        self.daemon.reload(ZONES + TO_API)
        self.daemon.stop()
        self.daemon.write("version: 1\nmode: [")
        self.daemon.start()
        s = self.daemon.status()
        self.assertEqual(s["daemon"]["state"], "degraded", s["daemon"])
        r = self.lab.send(self.web, [("tcp", self.api.ip4, 80, "good"), ("tcp", self.db.ip4, 80, "bad")])
        self.assertEqual(r["good"][0], "ok")
        self.assertNotEqual(r["bad"][0], "ok")
        self.daemon.reload(ZONES + TO_API)

    def test_6_without_any_good_configuration_containers_get_nothing(self):
        self.daemon.stop()
        other = lab.Daemon(self.lab, "version: 1\nmode: enforce\nzones: 5\n", name="broken")
        try:
            s = other.status()
            self.assertEqual(s["daemon"]["state"], "degraded", s["daemon"])
            r = self.lab.send(self.web, [("tcp", self.api.ip4, 80, "none4"), ("udp", self.api.ip6, 80, "none6")], 1)
            self.assertNotIn("ok", [x[0] for x in r.values()])
        finally:
            other.stop()
            self.daemon.write(ZONES + TO_API)
            self.daemon.start()
        r = self.lab.send(self.web, [("tcp", self.api.ip4, 80, "back")])
        self.assertEqual(r["back"][0], "ok")


if __name__ == "__main__":
    tap.main()
