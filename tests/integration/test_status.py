#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 9 s, works 3 s
"""`bulkhead status` with 0, 1 and 60 containers; the JSON as it is promised."""
import pathlib
import re
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
  web:
    description: public front ends
    select: {labels: {tier: web}}
    bandwidth: {container: {egress: 50mbit}, zone: {egress: 200mbit, ingress: 200mbit}}
  a-zone-with-a-rather-long-name1: {select: {labels: {tier: long}}}
  office: {cidrs: [10.20.0.0/16]}
allow:
  - {from: web, to: a-zone-with-a-rather-long-name1, ports: [tcp/8080-8089, udp/53, tcp/443, tcp/22, icmp]}
  - {from: world, to: web, ports: [tcp/80]}
"""
VIEWS = ((), ("zones",), ("containers",), ("rules",), ("drops",))
CONTAINER_KEYS = {"id", "name", "runtime", "zone", "reason", "enforced", "unenforced_reason", "endpoints", "bandwidth",
                  "packets", "bytes", "dropped_packets", "dropped_bytes"}


class Fits(unittest.TestCase):
    def fits(self):
        for view in VIEWS:
            with self.subTest(view=view):
                r = self.daemon.cli("status", *view)
                self.assertEqual(r.returncode, 0, r.stderr)
                self.assertEqual(r.stderr, "")
                self.assertTrue(r.stdout.strip())
                self.assertNotIn("\x1b", r.stdout)
                wide = [line for line in r.stdout.splitlines() if len(line) > 80]
                self.assertFalse(wide)
                self.assertFalse([line for line in r.stdout.splitlines() if line != line.rstrip()], "trailing blanks")
        first = self.daemon.cli("status").stdout.splitlines()[0]
        self.assertIn("enforc", first.lower())
        return self.daemon.printed_status()


class Status(Fits):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        l.network("net")
        cls.daemon = l.bulkheadd(CONFIG)

    def test_1_no_container(self):
        s = self.fits()
        self.assertEqual(s["containers"], [])
        self.assertEqual(s["version"], 1)
        self.assertEqual(s["daemon"]["state"], "enforcing")
        self.assertIsNone(s["daemon"]["reason"])
        self.assertEqual(s["daemon"]["pid"], self.lab.pids_of("bulkheadd")[0])
        self.assertRegex(s["daemon"]["since"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
        self.assertRegex(s["daemon"]["config"]["loaded"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
        self.assertEqual(s["kernel"]["table"], "inet bulkhead")
        self.assertIs(s["kernel"]["in_sync"], True)
        rt = s["runtimes"][0]
        self.assertEqual((rt["kind"], rt["socket"], rt["state"]), ("docker", self.lab.socket, "connected"))
        zones = {z["name"]: z for z in s["zones"]}
        self.assertLessEqual({"web", "office", "host", "lan", "internet", "quarantine"}, set(zones))
        self.assertEqual([zones[n]["kind"] for n in ("web", "office", "host")], ["containers", "addresses", "builtin"])
        self.assertEqual(zones["web"]["bandwidth"], {"egress_bps": 200000000, "ingress_bps": 200000000})
        self.assertIsNone(zones["office"]["bandwidth"]["egress_bps"])

    def test_2_one_container(self):
        c = self.lab.run("web1", labels={"tier": "web"}, network="net")
        self.daemon.wait_zone("web1", "web")
        s = self.fits()
        self.assertEqual(len(s["containers"]), 1)
        got = s["containers"][0]
        self.assertLessEqual(CONTAINER_KEYS, set(got))
        self.assertEqual((got["id"], got["runtime"], got["enforced"], got["unenforced_reason"]), (c.id, "docker", "full", None))
        self.assertRegex(got["reason"], r"tier=web.*bulkhead\.yaml:\d+")
        e = got["endpoints"][0]
        self.assertEqual((e["network"], e["bridge"], e["mac"]), ("net", self.lab.networks["net"], c.mac))
        self.assertIn(c.ip4, e["ipv4"])
        self.assertIn(c.ip6, e["ipv6"])
        self.assertIn(e["interface"], self.lab.host.exec("ip", "-o", "link", "show", "master", e["bridge"]))
        self.assertEqual(got["bandwidth"], {"egress_bps": 50000000, "ingress_bps": None})
        self.assertRegex(self.daemon.cli("status", "containers").stdout, r"(?m)^web1 .* 50M/- ")
        self.assertRegex(self.daemon.cli("status", "zones").stdout, r"(?m)^web .* 200M/200M ")
        rule = next(r for r in s["rules"] if r["from"] == "web")
        self.assertEqual(rule["source"], "bulkhead.yaml:11")
        self.assertEqual(rule["verdict"], "accept")
        self.assertIn("tcp/8080-8089", rule["ports"])

    def test_3_counters_move(self):
        self.lab.run("long1", labels={"tier": "long"}, network="net")
        self.daemon.wait_zone("long1", "a-zone-with-a-rather-long-name1")
        web = lab.Container(self.lab, self.lab.api("GET", "/containers/web1/json")["Id"], "web1")
        dst = lab.Container(self.lab, self.lab.api("GET", "/containers/long1/json")["Id"], "long1")
        r = self.lab.receiver(dst, [8080, 9])
        before = {c["name"]: c for c in self.daemon.printed_status()["containers"]}
        res = self.lab.send(web, [("tcp", dst.ip4, 8080, "hit"), ("udp", dst.ip4, 9, "denied"), ("udp", dst.ip6, 9, "denied6")], 1)
        self.assertEqual(res["hit"][0], "ok")
        self.assertNotEqual(res["denied"][0], "ok")
        self.assertEqual(r.count("denied"), 0)
        time.sleep(0.3)
        s = self.daemon.printed_status()
        after = {c["name"]: c for c in s["containers"]}
        self.assertGreaterEqual(after["web1"]["packets"] - before["web1"]["packets"], 5)
        self.assertGreater(after["web1"]["bytes"], before["web1"]["bytes"])
        self.assertGreaterEqual(after["web1"]["dropped_packets"] - before["web1"]["dropped_packets"], 2)
        rule = next(x for x in s["rules"] if x["from"] == "web" and x["to"].startswith("a-zone"))
        self.assertGreaterEqual(rule["packets"], 1)
        self.fits()

    def test_4_gone_within_a_second(self):
        self.lab.api("DELETE", "/containers/long1?force=1")
        t = time.monotonic()
        lab.wait_for("long1 to be gone", lambda: self.daemon.zone_of("long1") is None, 5, 0.02)
        self.assertLess(time.monotonic() - t, 1.0)

    def test_5_unmatched_and_unenforced_are_told(self):
        self.lab.run("stray", network="net")
        self.lab.run("onhost", network="host", labels={"tier": "web"})
        self.daemon.wait_zone("stray", "quarantine")
        lab.wait_for("onhost", lambda: self.daemon.zone_of("onhost"), 5)
        s = {c["name"]: c for c in self.daemon.printed_status()["containers"]}
        self.assertEqual(s["onhost"]["enforced"], "none")
        self.assertTrue(s["onhost"]["unenforced_reason"])
        self.assertEqual(s["onhost"]["endpoints"], [])
        self.assertTrue(s["stray"]["reason"])
        self.fits()

    def test_6_exit_status_without_a_daemon(self):
        self.daemon.stop()
        r = self.daemon.cli("status")
        self.assertEqual(r.returncode, 3, r.stdout + r.stderr)
        self.assertEqual(len(r.stderr.strip().splitlines()), 1)
        self.daemon.start()

    def test_7_usage(self):
        r = self.lab.host.run_cmd(lab.program("bulkhead"), "no-such-verb")
        self.assertEqual(r.returncode, 2)
        self.assertTrue(r.stderr.strip())
        r = self.lab.host.run_cmd(lab.program("bulkhead"), "--help")
        self.assertEqual(r.returncode, 0)
        self.assertIn("status", r.stdout)


class Sixty(Fits):
    """What is shown of 60 containers, from a scripted Docker: a real one takes a second of processor for each."""

    def test_1_sixty_containers(self):
        with simhost.SimHost(CONFIG) as h:
            self.daemon = h.daemon
            for i in range(60):
                name = f"container-with-quite-a-long-name-{i:02}" if i % 7 == 0 else f"c{i:02}"
                h.start(name, "nobodys" if i == 59 else "web" if i % 2 else "long")
            lab.wait_for("60 containers", lambda: len(self.daemon.status()["containers"]) == 60, 15, 0.2)
            t = time.monotonic()
            s = self.fits()
            print(f"# six statuses of 60 containers: {time.monotonic() - t:.2f} s")
            members = {z["name"]: z["containers"] for z in s["zones"]}
            self.assertEqual((members["web"], members["a-zone-with-a-rather-long-name1"], members["quarantine"]), (29, 30, 1))
            self.assertEqual({c["enforced"] for c in s["containers"]}, {"full"})
            text = self.daemon.cli("status", "containers").stdout
            self.assertEqual(len(set(re.findall(r"\bc\d\d\b", text))), 60 - len(range(0, 60, 7)))


if __name__ == "__main__":
    tap.main()
