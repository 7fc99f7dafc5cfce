#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 29 s, works 8 s
"""Ways around the rules that a look at the kernel's bridge found, on the rules of tests/golden/skeleton.nft, in namespaces.

Each is tried with the rules, with the file in audit (where somebody's denial is what closes it) and without our tables: the
control, in which it must get through. What is honest and alike passes with the rules.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import re
import socket
import struct
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "netns"), str(HERE.parent / "lab")]
import skeleton_net as S  # noqa: E402
import tap  # noqa: E402
import wires as W  # noqa: E402
from skeleton_net import a4, a6, ll, mac  # noqa: E402

NET = None
# 00 is for everybody while the bridge speaks no STP, 01 (pause) no bridge passes on
GROUPS = [f"01:80:c2:00:00:{n:02x}" for n in (2, 3, 0x0e, 0x0f)]
OUT4, OUT6, GW4, GW6 = "198.51.100.2", "2001:db8:51::2", "10.111.0.1", "2001:db8:d0::1"


def setUpModule():
    global NET
    NET = S.Net()
    NET.load()


def tearDownModule():
    if NET:
        NET.close()


def udp6(src, dst, sport, dport, data=b"MARK", hops=64):
    a, b = (socket.inet_pton(socket.AF_INET6, x) for x in (src, dst))
    p = W.udp(sport, dport, data)
    return W.ip6(src, dst, 17, p[:6] + struct.pack("!H", W.checksum(a + b + struct.pack("!II", len(p), 17) + p)) + p[8:], hops)


def arrives(src, to, data, mark=b"MARK", send=None):
    """Whether a frame with MARK comes out at TO after SRC has sent DATA by hand."""
    NET.sniff[to].clear()
    (send or (lambda: NET.probe.raw(src, "eth0", data)))()
    end = time.monotonic() + W.SILENT
    while time.monotonic() < end:
        if any(mark in x for x in NET.sniff[to].frames()):
            return True
        time.sleep(0.005)
    return False


def denied():
    out = {}
    for k, v in NET.counters("host").items():
        if ".denied_" in k:
            out[k.split("denied_")[1]] = out.get(k.split("denied_")[1], 0) + v
    return out


class Wires(unittest.TestCase):
    def after_rules(self):
        """What else goes away with our tables."""

    def tearDown(self):
        NET.unload()
        NET.load()
        NET.forget()

    def rows(self, tries, klass=None):
        """{name: try} gets through for nobody with the rules, each counted as KLASS, and for all without them."""
        for name, f in tries.items():
            with self.subTest(name, rules=True):
                before = denied()
                self.assertFalse(f())
                if klass:
                    self.assertGreater(denied()[klass], before[klass])
        NET.unload()
        NET.forget()
        self.after_rules()
        for name, f in tries.items():
            with self.subTest(name, rules=False):
                self.assertTrue(f(), "control")

    def heard(self, sock, data, frm="web1"):
        """Whether a datagram comes out at a socket of the host after FRM has sent DATA by hand."""
        with contextlib.suppress(BlockingIOError):
            while True:
                sock.recv(100)
        NET.probe.raw(frm, "eth0", data)
        return NET.probe.pump(sock, lambda s: s.recv(100) if W.select.select([s], [], [], 0)[0] else None) != "silent"

    def test_groups_of_the_bridge_itself(self):
        """A frame to 01:80:c2:00:00:0X goes to the host by its port, not by its bridge, and past the bridge table's prerouting."""
        port = NET.sh("host", "ip -6 addr show dev vethweb1 scope link").split("inet6 ")[1].split("/")[0]
        with NET.at("host"):
            four, six = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        tries = {}
        for s, a, n in ((four, "", 777), (six, "::", 778)):
            s.bind((a, n))
            s.setblocking(False)
            self.addCleanup(s.close)
        for g in GROUPS:
            for who, src in (("own", a4("web1")), ("another's", "192.0.2.9")):
                tries[f"{g}, {who} IPv4 address"] = lambda g=g, src=src: self.heard(four, W.ether(
                    g, mac("web1"), 0x800, W.ip4(src, GW4, 17, W.udp(1, 777))))
            for who, src, dst in (("own", a6("web1"), GW6), ("another's", "2001:db8:99::9", GW6), ("link-local", ll("web1"), port)):
                tries[f"{g}, {who} IPv6 address"] = lambda g=g, src=src, dst=dst: self.heard(six, W.ether(
                    g, mac("web1"), 0x86dd, udp6(src, dst, 1, 778)))
            tries[f"{g}, unknown port"] = lambda g=g: self.heard(four, W.ether(
                g, mac("stray1"), 0x800, W.ip4(a4("stray1"), GW4, 17, W.udp(1, 777))), "stray1")
        self.rows(tries)

    def ping_web1(self):
        with NET.at("host"), socket.socket(socket.AF_INET, socket.SOCK_RAW, 1) as s:
            s.sendto(W.icmp(8, 0, b"\0\1\0\1MARK"), (a4("web1"), 0))

    def ping6_web1(self):
        with NET.at("host"), socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58) as s:
            s.sendto(b"\x80\0\0\0\0\1\0\1MARK", (a6("web1"), 0))

    def stolen(self, group, ping, thief):
        """Whether THIEF gets what the host sends to web1 once the bridge has seen that MAC on its port."""
        NET.sh("host", "ip link set docker0 type bridge fdb_flush")
        self.assertEqual([NET.probe.ping("host", a) for a in (a4("web1"), a6("web1"))], ["ok"] * 2)
        NET.probe.raw(thief, "eth0", W.ether(group, mac("web1"), 0x88cc, b"theft"))
        time.sleep(0.02)
        where = re.search(mac("web1") + r" dev (\S+)", NET.sh("host", "bridge fdb show br docker0 dynamic"))
        got = arrives(None, thief, None, send=ping)
        self.assertEqual(where and where[1], f"veth{thief if self.learns else 'web1'}")
        return got

    def test_what_the_host_sends_to_another_is_not_stolen(self):
        """A bridge learns from such frames, too: whose MAC is the source, gets what the host sends there. Where only the daemon's switch
        on the bridge stops that (0e, of which no hook hears), the other's packets still leave by no other's port."""
        def learn(on):
            self.learns = on
            NET.sh("host", f"ip link set docker0 type bridge no_linklocal_learn {int(not on)}")
        learn(True)
        for g in GROUPS[2:3]:
            self.assertFalse(self.stolen(g, self.ping_web1, "api1"))
        learn(False)
        self.after_rules = lambda: learn(True)
        self.rows({f"{g} {ping.__name__} to {thief}": lambda g=g, ping=ping, thief=thief: self.stolen(g, ping, thief)
                   for g in GROUPS for ping in (self.ping_web1, self.ping6_web1) for thief in ("api1", "stray1")})

    def test_what_the_host_sends_is_not_flooded(self):
        """What it does not know where, a bridge sends by every port."""
        def flooded(ping, to):
            self.assertEqual([NET.probe.ping("host", a) for a in (a4("web1"), a6("web1"))], ["ok"] * 2)
            NET.sh("host", "ip link set docker0 type bridge fdb_flush")
            return arrives(None, to, None, send=ping)
        self.assertTrue(flooded(self.ping_web1, "web1"))
        self.rows({f"{ping.__name__} seen by {to}": lambda ping=ping, to=to: flooded(ping, to)
                   for ping in (self.ping_web1, self.ping6_web1) for to in ("api1", "stray1")}, "noise")

    def test_neighbour_discovery_is_not_routed(self):
        """It passes on its own link, as it must; by the gateway it would go anywhere, with any payload."""
        def nd(kind, to, dst):
            body = bytes([kind, 0, 0, 0]) + b"\0" * 4 + socket.inet_pton(socket.AF_INET6, a6("web1")) + W.MARK
            return lambda: arrives("web1", to, W.ether(S.GWMAC, mac("web1"), 0x86dd, W.ip6(a6("web1"), dst, 58, body, 255)))
        self.assertTrue(arrives("web1", "api1", W.ether(mac("api1"), mac("web1"), 0x86dd, W.nd(
            136, a6("web1"), mac("web1"), a6("web1"), a6("api1")))))
        self.rows({f"type {k} to {to}": nd(k, to, dst) for k in (135, 136) for to, dst in (("pb1", a6("pb1")), ("out", OUT6))}, "invalid")

    def open_flow(self, v):
        with NET.at("web1"):
            s = socket.socket(socket.AF_INET6 if v == 6 else socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.connect((a6("api1") if v == 6 else a4("api1"), 5000))
        s.send(b"x")
        NET.probe.pump(s, lambda x: None, 0.05)
        return s.getsockname()[1]

    def error(self, v, frm, src, smac=None):
        """Whether web1 hears of an error about its open flow to api1 that FRM sends as SRC."""
        port = self.open_flow(v)
        if v == 4:
            p = W.ip4(src, a4("web1"), 1, W.icmp(3, 1, b"\0" * 4 + W.ip4(a4("web1"), a4("api1"), 17, W.udp(port, 5000))))
        else:
            p = W.ip6(src, a6("web1"), 58, b"\1\4\0\0" + b"\0" * 4 + udp6(a6("web1"), a6("api1"), port, 5000))
        to = mac("web1")
        if frm == "out":
            to, smac = (re.search(r"link/ether (\S+)", NET.sh(n, f"ip link show {d}"))[1] for n, d in (("host", "up0"), ("out", "eth0")))
        return arrives(frm, "web1", W.ether(to, smac or mac(frm), 0x86dd if v == 6 else 0x800, p))

    def test_errors_are_told_by_who_is_on_the_way(self):
        for v in (4, 6):
            self.assertTrue(self.error(v, "api1", a6("api1") if v == 6 else a4("api1")), "api1 tells of what it was sent")
        rows = {}
        for v in (4, 6):
            rows[f"v{v}: db1"] = lambda v=v: self.error(v, "db1", a6("db1") if v == 6 else a4("db1"))
            rows[f"v{v}: outside"] = lambda v=v: self.error(v, "out", OUT6 if v == 6 else OUT4)
        self.rows(rows, "identity")

    def test_errors_are_not_told_by_the_unknown(self):
        rows = {f"v{v}": lambda v=v: self.error(v, "stray1", "2001:db8:d0::77" if v == 6 else "10.111.0.77") for v in (4, 6)}
        self.rows(rows, "unknown")

    def test_what_a_helper_expects_is_judged_by_its_own_ends(self):
        """The host's rules may ask for conntrack's helper for FTP: web1 says in its allowed connection where api1 may call back."""
        NET.nft("host", """table ip helpers {
            ct helper ftp { type "ftp" protocol tcp; }
            chain pre { type filter hook prerouting priority -150; tcp dport 21 ct helper set "ftp"; }
        }""")
        self.addCleanup(NET.nft, "host", "delete table ip helpers")
        server = W.Server(NET, "api1", (21,))
        NET.servers.append(server)

        def called_back(port):
            s, _ = NET.probe.open("web1", socket.SOCK_STREAM, a4("api1"), 21)
            self.addCleanup(s.close)
            self.assertEqual(NET.probe.pump(s, NET.probe._result), "ok")
            s.send(b"USER nobody\r\n")   # the helper waits for the end of a line
            NET.probe.pump(s, lambda x: None, 0.05)
            s.send(f"PORT {a4('web1').replace('.', ',')},{port >> 8},{port & 255}\r\n".encode())
            NET.probe.pump(s, lambda x: None, 0.05)
            self.assertIn(f"dport={port}", NET.sh("host", "conntrack -L expect 2>/dev/null"), "nothing is expected")
            return NET.probe.tcp("api1", a4("web1"), port)
        try:
            NET.nft("host", "add element inet bulkhead ports_1_web { b8:2 . tcp . 21 }")
            self.assertEqual(called_back(2222), "reset")
            NET.unload()
            self.assertEqual(called_back(2222), "ok", "control")
        finally:
            NET.servers.remove(server)
            for x in server.socks.values():
                x.close()

    def test_net_admin_alone_makes_links_at_the_host(self):
        """Why status tells of a container that has it: nothing of ours can stop that."""
        def attr(kind, data):
            return struct.pack("HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)
        host = json.loads(NET.run("web1", ["ip", "-j", "link", "show", "eth0"]))[0]["link_netnsid"]
        with NET.at("web1"):
            s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self.addCleanup(s.close)
        s.bind((0, 0))
        b = (struct.pack("BBHiII", 0, 0, 0, 0, 1, 1) + attr(3, b"bypass0\0") + attr(46, struct.pack("i", host))     # IFLA_TARGET_NETNSID
             + attr(18, attr(1, b"veth\0")))
        pid = os.fork()
        if not pid:     # CAP_NET_ADMIN and no other
            ctypes.CDLL(None).syscall(126, struct.pack("II", 0x20080522, 0), struct.pack("6I", 1 << 12, 1 << 12, 0, 0, 0, 0))
            s.send(struct.pack("IHHII", 16 + len(b), 16, 0x605, 1, 0) + b)
            os._exit(struct.unpack_from("i", s.recv(4096), 16)[0] != 0)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.assertIn("bypass0", NET.sh("host", "ip link show bypass0; ip link del bypass0"))


if __name__ == "__main__":
    tap.main()
