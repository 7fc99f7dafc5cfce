#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 12 s
"""`exempt` through the daemon: status tells it, a forged source gains nothing by it, reload and teardown take it away. What flows and
how fast: netns/test_exempt.py. Simulated containers."""
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
    select: {labels: {tier: web}}
    bandwidth:
      container: {egress: 1mbit, ingress: {guarantee: 500kbit, max: 1mbit}}
      exempt: [lan, metadata]
  evil: {select: {labels: {tier: evil}}}
allow:
  - {from: [world, evil], to: web}
"""
N = 20
SEND = """
import socket, struct, sys
src, dst, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
v6 = ":" in src
fam = socket.AF_INET6 if v6 else socket.AF_INET
s = socket.socket(fam, socket.SOCK_RAW, socket.IPPROTO_RAW)
data = bytes(100)
udp = struct.pack("!HHHH", 7001, 7000, 8 + len(data), 0) + data
a, b = socket.inet_pton(fam, src), socket.inet_pton(fam, dst)
if v6:
    s.setsockopt(socket.IPPROTO_IPV6, 36, 1)    # IPV6_HDRINCL
    total = 0
    for w in struct.unpack(f"!{(32 + 8 + len(udp)) // 2}H", a + b + struct.pack("!IHBB", len(udp), 0, 0, 17) + udp):
        total += w
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    udp = udp[:6] + struct.pack("!H", ~total & 0xffff) + udp[8:]
    packet = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + a + b + udp
else:
    packet = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + a + b + udp
for _ in range(n):
    s.sendto(packet, (dst, 0))
"""


class Exempt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = h = simhost.SimHost(CONFIG)
        cls.addClassCleanup(h.close)
        cls.web, cls.evil = h.start("web1", "web", place=True), h.start("evil1", "evil", place=True)
        h.daemon.wait_zone("web1", "web")
        h.daemon.wait_zone("evil1", "evil")
        lab.wait_for("the redirection", lambda: "mirred" in h.lab.host.exec("tc", "filter", "show", "dev", cls.web.port, "egress"))
        lab.wait_for("sync", lambda: h.daemon.status()["kernel"]["in_sync"])

    def classes(self):
        out = self.host.lab.host.exec("tc", "-s", "class", "show", "dev", "bh-ingress")
        return {c: int(n) for c, n in re.findall(r"class htb (bb:\w+).*\n Sent \d+ bytes (\d+) pkt", out)}

    def grew(self, act):
        """Packets of (the exempt class, all of the container's class)."""
        a = self.classes()
        act()
        time.sleep(0.1)
        b = self.classes()
        leaf = next(h for h in b if h.startswith("bb:4"))
        return b.get("bb:fffc", 0) - a.get("bb:fffc", 0), b[leaf] - a[leaf]

    def send(self, place, src, dst):
        return self.grew(lambda: place.exec("python3", "-c", SEND, src, dst, N))

    def denied(self):
        return self.host.lab.host.exec("nft", "list", "counter", "bridge", "bulkhead", "denied_identity")

    def test_1_whoever_is_there_is_exempt(self):
        """The control of what follows: the very packets, from where they say."""
        for src, dst in ((lab.OUT4, self.web.ip4), (lab.OUT6, self.web.ip6)):
            exempt, leaf = self.send(self.host.lab.out, src, dst)
            self.assertTrue(exempt >= N and leaf < N, (exempt, leaf))

    def test_2_a_forged_source_is_denied_first(self):
        for src, dst in ((lab.OUT4, self.web.ip4), (lab.OUT6, self.web.ip6)):
            before = self.denied()
            exempt, leaf = self.send(self.evil.place, src, dst)
            self.assertTrue(exempt < 5 and leaf < 5, (exempt, leaf))
            self.assertNotEqual(self.denied(), before)

    def test_3_a_neighbour_is_not_exempt(self):
        for src, dst in ((self.evil.ip4, self.web.ip4), (self.evil.ip6, self.web.ip6), (self.evil.link_local, self.web.link_local)):
            if src.startswith("fe80"):
                act = ["python3", "-c", "import socket,sys\ns = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
                       f"for _ in range({N}): s.sendto(bytes(100), ('{dst}', 7000, 0, socket.if_nametoindex('eth0')))"]
                exempt, leaf = self.grew(lambda act=act: self.evil.place.exec(*act))
            else:
                exempt, leaf = self.send(self.evil.place, src, dst)
            self.assertTrue(exempt < 5 and leaf >= N, (src, exempt, leaf))

    def test_4_status_tells(self):
        s = self.host.daemon.status()
        zones = {z["name"]: z for z in s["zones"]}
        self.assertEqual(zones["web"]["exempt"], ["lan", "metadata"])
        self.assertNotIn("exempt", zones["evil"])
        text = self.host.daemon.cli("status").stdout
        self.assertIn("web: no cap counts what goes to or comes from lan, metadata", text)
        self.assertIn("web: each container is guaranteed -/500k", text)
        self.assertLessEqual(max(map(len, text.splitlines())), 80)

    def test_5_reload_and_teardown(self):
        self.host.daemon.reload(CONFIG.replace("      exempt: [lan, metadata]\n", ""))
        self.assertNotIn("exempt_", self.host.lab.ruleset())
        exempt, leaf = self.send(self.host.lab.out, lab.OUT4, self.web.ip4)
        self.assertTrue(exempt == 0 and leaf >= N, (exempt, leaf))
        self.assertNotIn("bb:fffc", self.classes())
        self.host.daemon.reload(CONFIG)
        self.assertIn("exempt4_", self.host.lab.ruleset())
        self.host.daemon.reload(CONFIG.replace("mode: enforce", "mode: audit"))
        self.assertNotIn("exempt4_", self.host.lab.ruleset())
        self.assertNotIn("bh-ingress", self.host.lab.host.exec("ip", "link"))
        self.host.daemon.reload(CONFIG)
        self.host.daemon.teardown()
        self.assertNotIn("bulkhead", self.host.lab.ruleset())
        self.assertNotIn("bh-", self.host.lab.host.exec("ip", "link"))


if __name__ == "__main__":
    tap.main()
