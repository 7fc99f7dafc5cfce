#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 9 s, works 3 s
"""bulkheadd as a process: what others change is put back, who may ask what, and a
teardown that a daemon which hangs cannot stop."""
import os
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402

CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}, bandwidth: {container: {egress: 10mbit, ingress: 10mbit}}}
  api: {select: {labels: {tier: api}}}
allow:
  - {from: web, to: api, ports: [tcp/80]}
"""


class Daemon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        cls.bridge = l.network("net")
        cls.web = l.run("web1", labels={"tier": "web"}, network="net")
        cls.api = l.run("api1", labels={"tier": "api"}, network="net")
        cls.before = l.kernel_state()
        # Where the kernel can own the tables nobody else can change them (test_drift).
        cls.daemon = l.bulkheadd(CONFIG, mask="table_persist")

    def repaired(self, what, undo, seconds=3, by=r"nft \(pid \d+\)"):
        """UNDO is put back within SECONDS, and counted once."""
        before, was, logged = self.lab.ruleset(), self.daemon.status()["kernel"]["repairs"], len(self.daemon.log())
        self.lab.host.exec(*undo)
        lab.wait_for(f"{what} to be repaired",
                     lambda: (k := self.daemon.status()["kernel"])["repairs"] > was and k["in_sync"], seconds)
        self.assertEqual(sorted(before.split("\n")), sorted(self.lab.ruleset().split("\n")))
        self.assertEqual(self.daemon.status()["kernel"]["repairs"], was + 1)
        self.assertRegex(self.daemon.log()[logged:], rf"repair: {by} changed")

    def test_1_deleted_table(self):
        self.repaired("the inet table", ["nft", "delete", "table", "inet", "bulkhead"])
        self.repaired("the bridge table", ["nft", "delete", "table", "bridge", "bulkhead"])

    def test_2_added_rule(self):
        self.repaired("a rule", ["nft", "insert", "rule", "inet", "bulkhead", "forward", "accept"])

    def test_3_deleted_member(self):
        self.repaired("an element", ["nft", "delete", "element", "inet", "bulkhead", "zone_of4",
                                     "{", f'"{self.bridge}"', ".", self.web.address("net"), "}"])

    def test_4_deleted_qdisc(self):
        self.daemon.stop()
        self.daemon.mask = None
        self.daemon.start()
        self.repaired("the tree", ["tc", "qdisc", "del", "dev", "bh-egress", "root"], by="somebody")

    def test_5_bridge_flag(self):
        """There is no notification: the poll finds it."""
        self.repaired("the flag", ["ip", "link", "set", self.bridge, "type", "bridge", "nf_call_iptables", "0"], 12,
                      "somebody")

    def test_6_nothing_is_counted_for_what_containers_do(self):
        was = self.daemon.status()["kernel"]["repairs"]
        c = self.lab.run("web2", labels={"tier": "web"}, network="net")
        self.daemon.wait_zone("web2", "web")
        c.remove()
        lab.wait_for("web2 to be gone", lambda: self.daemon.zone_of("web2") is None)
        time.sleep(0.5)
        kernel = self.daemon.status()["kernel"]
        self.assertEqual((kernel["repairs"], kernel["in_sync"]), (was, True))

    def test_7_others_than_root(self):
        for verb in ("status", "reload"):
            r = self.lab.host.run_cmd("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                                      lab.program("bulkhead"), verb, "--socket", self.daemon.socket)
            self.assertEqual(r.returncode, 4, r.stderr + r.stdout)
            self.assertEqual(len(r.stderr.strip().split("\n")), 1)

    def test_8_teardown_of_a_daemon_that_hangs(self):
        pid = self.lab.pids_of("bulkheadd", str(self.daemon.socket))[0]
        self.lab.host.exec("kill", "-STOP", str(pid))
        t = time.monotonic()
        r = self.lab.host.run_cmd(*self.daemon.argv("--teardown"), timeout=30)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertLess(time.monotonic() - t, 15)
        self.assertEqual(self.lab.pids_of("bulkheadd", str(self.daemon.socket)), [])
        self.assertFalse(os.path.exists(self.daemon.socket))
        after = self.lab.kernel_state()
        self.maxDiff = None
        for part, want in self.before.items():
            with self.subTest(part=part):
                self.assertEqual(want, after[part])

    def test_9_sigterm_leaves_the_rules(self):
        self.daemon.start()
        self.daemon.signal(signal.SIGTERM)
        self.daemon.proc.wait(10)
        self.assertIn("table inet bulkhead", self.lab.ruleset())
        self.assertFalse(os.path.exists(self.daemon.socket))
        self.daemon.teardown()


if __name__ == "__main__":
    tap.main()
