#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 5 s, works 2 s
"""No lies: other frames than IP and ARP, other addresses than one's own, a container's
address from outside. Each arrives when bulkhead is torn down."""
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402

CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
  api: {select: {labels: {tier: api}}}
allow:
  - {from: web, to: api, ports: [udp/81]}
"""

# Raw frames from a container's eth0, one a line on standard input, in hexadecimal.
RAW = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
for line in sys.stdin:
    s.send(bytes.fromhex(line.strip()))
"""


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ipv4(text):
    return bytes(int(x) for x in text.split("."))


def checksum(data):
    n = sum(int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return (~n & 0xffff).to_bytes(2, "big")


def udp4(src, dst, port, text):
    body = text.encode()
    udp = (4000).to_bytes(2, "big") + port.to_bytes(2, "big") + (8 + len(body)).to_bytes(2, "big") + b"\0\0" + body
    head = bytes([0x45, 0]) + (20 + len(udp)).to_bytes(2, "big") + b"\0\1\0\0\x40\x11\0\0" + ipv4(src) + ipv4(dst)
    return head[:10] + checksum(head) + head[12:] + udp


class Identity(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        l.network("net")
        cls.web, cls.api, cls.web2 = lab.parallel([lambda n=n, t=t: l.run(n, labels={"tier": t}, network="net")
                                                   for n, t in (("web1", "web"), ("api1", "api"), ("web2", "web"))], 3)
        l.lift_docker_isolation()
        for c, family in ((cls.web2, 4), (cls.web2, 6)):
            a = c.ip4 + "/32" if family == 4 else c.ip6 + "/128"
            l.out.exec("ip", "addr", "add", a, "dev", "lo")
        # the bridge forwards to a port that it has seen
        l.send(cls.web, [("udp", cls.api.ip4, 81, "warm"), ("udp", cls.api.ip6, 81, "warm")], 0.3)
        cls.rx = l.receiver(cls.api, [81])
        cls.daemon = l.bulkheadd(CONFIG)

    def frames(self):
        """Name -> frame from web1 to api1; the last is the honest one."""
        to, me, other = mac(self.api.mac), mac(self.web.mac), mac(self.web2.mac)
        a, w, w2 = self.api.ip4, self.web.ip4, self.web2.ip4

        def eth(src, kind, body):
            return to + src + kind + body.ljust(46, b"\0")
        arp = b"\0\1\x08\0\6\4\0\2"
        return {
            "unknown ethertype": eth(me, b"\x88\xb5", b"LIE1"),
            "vlan tag": eth(me, b"\x81\0", b"\0\5\x08\0" + udp4(w, a, 81, "LIE2")),
            "another's IPv4": eth(me, b"\x08\0", udp4(w2, a, 81, "LIE3")),
            "another's MAC": eth(other, b"\x08\0", udp4(w, a, 81, "LIE4")),
            "arp for another": eth(me, b"\x08\x06", arp + me + ipv4(w2) + to + ipv4(a) + b"LIE5"),
            "honest": eth(me, b"\x08\0", udp4(w, a, 81, "TRUE")),
        }

    def arrived(self):
        """Names of the frames that api1's interface received."""
        frames = self.frames()
        sniff = self.lab.sniffer(self.api)
        self.web.exec("python3", "-c", RAW, input="".join(f.hex() + "\n" for f in frames.values()))
        time.sleep(0.5)
        seen = sniff.frames()
        sniff.stop()
        marks = {"unknown ethertype": ("LIE1",), "vlan tag": ("LIE2",), "another's IPv4": ("LIE3",),
                 "another's MAC": ("LIE4",), "honest": ("TRUE",), "arp for another": ("LIE5",)}
        return {n for n, (m,) in marks.items() if any(m in f["payload"] for f in seen)}

    def outside(self, tag):
        """What arrives at api1 from outside with the addresses of web2."""
        cells = [("udp", f"{self.api.ip4}@{self.web2.ip4}", 81, f"{tag}4"), ("udp", f"{self.api.ip6}@{self.web2.ip6}", 81, f"{tag}6")]
        self.lab.send(self.lab.out, cells, 0.8)
        self.lab.send(self.api, [("udp", "127.0.0.1", 81, f"alive{tag}")], 1)
        self.assertEqual(self.rx.count(f"alive{tag}"), 1)
        return {m for m in (f"{tag}4", f"{tag}6") if self.rx.count(m)}

    def test_1_only_honest_frames_arrive(self):
        self.assertEqual(self.arrived(), {"honest"})

    def test_2_a_containers_address_from_outside_is_denied(self):
        self.assertEqual(self.outside("spoof"), set())

    def test_3_another_bridge_of_the_same_name_pattern_is_closed_at_once(self):
        """A network made now, a container on it that bulkheadd is not told of: SIGSTOP."""
        for pid in self.lab.pids_of("bulkheadd"):
            self.lab.host.exec("kill", "-STOP", pid)
        try:
            self.lab.network("late")
            self.lab.lift_docker_isolation()
            c = self.lab.run("late1", labels={"tier": "web"}, network="late")
            res = self.lab.send(c, [("udp", self.api.ip4, 81, "late4"), ("udp", self.api.ip6, 81, "late6"),
                                    ("udp", lab.OUT4, 81, "lateout")], 0.8)
            self.assertNotIn("ok", [r[0] for r in res.values()])
            self.assertEqual(self.rx.count("late"), 0)
        finally:
            for pid in self.lab.pids_of("bulkheadd"):
                self.lab.host.exec("kill", "-CONT", pid)
        self.daemon.wait_zone("late1", "web")
        def passes():   # a neighbour that did not answer is asked again in a second, and what waited for it is lost
            res = self.lab.send(c, [("udp", self.api.ip4, 81, "then4"), ("udp", self.api.ip6, 81, "then6")], 2)
            return {m: r[0] for m, r in res.items()} == {"then4": "ok", "then6": "ok"}
        lab.wait_for("what is allowed to pass", passes, 15)

    def test_4_control_all_of_it_arrives_without_bulkhead(self):
        self.daemon.teardown()
        self.lab.lift_docker_isolation()
        self.assertEqual(self.arrived(), set(self.frames()))
        self.assertEqual(self.outside("control"), {"control4", "control6"})


if __name__ == "__main__":
    tap.main()
