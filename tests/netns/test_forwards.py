#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 20 s, works 2 s
"""`forwards`: addresses that a container routes for, on a real kernel, with the rules of tests/golden/compile/forwards.

    docker0  10.111.0.0/24  2001:db8:d0::/64   rt1, which routes for 10.8.0.0/24 and fd08::/64 (far is behind it);
                                                gw1, which routes for everybody (ext, 203.0.113.2, is behind it);
                                                lm1, lm2, which route for 10.7.0.0/24 and may open 3 connections a minute;
                                                cl1, ot1, which route for nobody; st1 is not known
    up0      198.51.100.0/24  2001:db8:51::/64  out

Every probe runs with the rules, with the file in audit, and without our tables.
"""
import os
import pathlib
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab")]
import lab  # noqa: E402
import tap  # noqa: E402
import wires as W  # noqa: E402

CASE = HERE.parent / "golden/compile/forwards"
COMPILER = pathlib.Path(os.environ.get("BH_BUILD", "build")) / "tests/golden/golden_compile"
HOSTS = {"rt1": 11, "gw1": 12, "cl1": 13, "ot1": 14, "lm1": 15, "lm2": 16, "st1": 31}
TABLES = ("inet", "bridge")
CLASSES = ("policy", "unknown", "quarantine", "identity", "metadata", "invalid", "noise")
FAR4, FAR6, EXT4, EXT6 = "10.8.0.2", "fd08::2", "203.0.113.2", "2001:db8:99::2"
OUT4, OUT6, GW4, GW6, HOST4 = "198.51.100.2", "2001:db8:51::2", "10.111.0.1", "2001:db8:d0::1", "198.51.100.1"
GWMAC = "02:42:00:00:00:01"
NET = None


def a4(n):
    return f"10.111.0.{HOSTS[n]}"


def a6(n):
    return f"2001:db8:d0::{HOSTS[n]:x}"


def mac(n):
    return f"02:42:0a:6f:00:{HOSTS[n]:02x}"


class Net(W.Wires):
    def build(self):
        self.ns("host", "out", "far", "ext", *HOSTS)
        for n in self.fds:
            self.sh(n, "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0"
                    " net.ipv6.conf.default.router_solicitations=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0"
                    " net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv4.conf.all.send_redirects=0"
                    " net.ipv4.conf.default.send_redirects=0; ip link set lo up")
        for n in ("host", "rt1", "gw1"):
            self.sh(n, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        self.sh("host", f"ip link add docker0 address {GWMAC} type bridge nf_call_iptables 1 nf_call_ip6tables 1; ip link set docker0 up;"
                f"ip addr add {GW4}/24 dev docker0; ip addr add {GW6}/64 dev docker0")
        for n in HOSTS:
            self.veth("host", f"veth{n}", n, "eth0", mac(n))
            self.sh("host", f"ip link set veth{n} master docker0 up")
            self.sh(n, f"ip link set eth0 up; ip addr add {a4(n)}/24 dev eth0; ip addr add {a6(n)}/64 dev eth0")
        self.veth("host", "up0", "out", "eth0")
        self.sh("host", f"ip link set up0 up; ip addr add {HOST4}/24 dev up0; ip addr add 2001:db8:51::1/64 dev up0")
        self.sh("out", f"ip link set eth0 up; ip addr add {OUT4}/24 dev eth0; ip addr add {OUT6}/64 dev eth0;"
                f"ip route add default via {HOST4}; ip -6 route add default via 2001:db8:51::1")
        for n, behind, net4, net6 in (("rt1", "far", "10.8.0.", "fd08::"), ("gw1", "ext", "203.0.113.", "2001:db8:99::")):
            self.veth(n, "tun0", behind, "eth0")
            self.sh(n, f"ip link set tun0 up; ip addr add {net4}1/24 dev tun0; ip addr add {net6}1/64 dev tun0")
            self.sh(behind, f"ip link set eth0 up; ip addr add {net4}2/24 dev eth0; ip addr add {net6}2/64 dev eth0;"
                    f"ip route add default via {net4}1; ip -6 route add default via {net6}1")
        self.routes()
        self.sniff = {n: W.Sniffer(self, n, "eth0") for n in [*HOSTS, "out", "far", "ext"]}
        self.sniff["host"] = W.Sniffer(self, "host", "docker0")
        self.servers = [W.Server(self, n, (80, 81, 2222), (5000, 5001)) for n in (*HOSTS, "out", "far", "ext", "host")]
        self.probe = W.Prober(self, self.servers)
        self.rules = subprocess.run([COMPILER, "--print", CASE], check=True, capture_output=True, text=True).stdout

    def routes(self):
        for n in ("rt1", "gw1", "ot1", "st1"):
            self.sh(n, f"ip route add default via {GW4}; ip -6 route add default via {GW6}")
        self.sh("cl1", f"ip route add default via {a4('gw1')}; ip -6 route add default via {a6('gw1')}")
        for n in ("host", "cl1", "ot1", "st1"):
            self.sh(n, f"ip route add 10.8.0.0/24 via {a4('rt1')}; ip -6 route add fd08::/64 via {a6('rt1')}")

    def load(self):
        self.unload()
        self.nft("host", self.rules)

    def unload(self):
        self.nft("host", "".join(f"table {f} bulkhead\ndelete table {f} bulkhead\n" for f in TABLES))

    def audit(self):
        self.load()
        self.nft("host", "".join(f"add element {f} bulkhead modes {{ 0 : accept }}\n" for f in TABLES))

    def denied(self):
        c = self.counters("host")
        return {k: sum(c.get(f"{f}.denied_{k}", 0) for f in TABLES) for k in CLASSES}


def tcp(frm, dst, port):
    return lambda: NET.probe.tcp(frm, dst, port)


def udp(frm, dst, port):
    return lambda: NET.probe.udp(frm, dst, port)


def ping(frm, dst):
    return lambda: NET.probe.ping(frm, dst)


def frame(src, to, data):
    """Sends DATA by hand from a container and looks whether it comes out at TO."""
    def f():
        NET.sniff[to].clear()
        NET.probe.raw(src, "eth0", data)
        end = time.monotonic() + W.SILENT
        while time.monotonic() < end:
            if any(b"MARK" in x for x in NET.sniff[to].frames()):
                return "ok"
            time.sleep(0.005)
        return "silent"
    return f


def datagram(src, dst_mac, saddr, daddr, port):
    body = W.udp(40000, port)
    if ":" in saddr:
        return W.ether(dst_mac, mac(src), 0x86dd, W.ip6(saddr, daddr, 17, body))
    return W.ether(dst_mac, mac(src), 0x800, W.ip4(saddr, daddr, 17, body))


def both(name, make, want, klass=None):
    return [(f"{name} v{v}", make(v), want, klass) for v in (4, 6)]


def pick(v, four, six):
    return four if v == 4 else six


def adr(v, n):
    return pick(v, a4(n), a6(n))


def far(v):
    return pick(v, FAR4, FAR6)


def ext(v):
    return pick(v, EXT4, EXT6)


def out(v):
    return pick(v, OUT4, OUT6)


RESPONDER = [
    *both("client to what the router forwards, by its port", lambda v: tcp("cl1", far(v), 80), "ok"),
    *both("client to the same, udp", lambda v: udp("cl1", far(v), 5000), "ok"),
    *both("client to the same, ping", lambda v: ping("cl1", far(v)), "ok"),
    *both("client to the same, another port", lambda v: tcp("cl1", far(v), 81), "reset", "policy"),
    *both("client to the router itself", lambda v: tcp("cl1", adr(v, "rt1"), 80), "ok"),
    *both("other to what the router forwards", lambda v: tcp("ot1", far(v), 80), "reset", "policy"),
    *both("host to the same", lambda v: tcp("host", far(v), 80), "ok"),
    *both("host to the same, another port", lambda v: udp("host", far(v), 5001), "told", "policy"),
    *both("lan to the same", lambda v: tcp("out", far(v), 80), "ok"),
    *both("lan to the same, another port", lambda v: tcp("out", far(v), 81), "silent", "policy"),
    *both("client by its gateway to the internet", lambda v: tcp("cl1", ext(v), 2222), "ok"),
    *both("client by its gateway, udp", lambda v: udp("cl1", ext(v), 5001), "ok"),
    *both("client by its gateway, another port", lambda v: tcp("cl1", ext(v), 80), "reset", "policy"),
]
INITIATOR = [
    *both("what the router forwards, to other", lambda v: tcp("far", adr(v, "ot1"), 80), "ok"),
    *both("the same, udp", lambda v: udp("far", adr(v, "ot1"), 5000), "ok"),
    *both("the same, another port", lambda v: tcp("far", adr(v, "ot1"), 81), "reset", "policy"),
    *both("what the router forwards, to the client", lambda v: tcp("far", adr(v, "cl1"), 80), "reset", "policy"),
    *both("what the router forwards, to lan", lambda v: tcp("far", out(v), 80), "ok"),
    *both("the same, another port ", lambda v: udp("far", out(v), 5001), "told", "policy"),
    *both("what the router forwards, to the host", lambda v: tcp("far", pick(v, GW4, GW6), 80), "ok"),
    *both("the same, another port  ", lambda v: tcp("far", pick(v, GW4, GW6), 81), "reset", "policy"),
    # nor is it told, for the host has no route back to it
    *both("what the gateway forwards opens nothing that the gateway may not", lambda v: tcp("ext", adr(v, "cl1"), 80), "silent", "policy"),
]
LIES = [
    *both("router from what it forwards, by hand", lambda v: frame("rt1", "ot1", datagram("rt1", mac("ot1"), far(v), adr(v, "ot1"), 5000)), "ok"),
    *both("router from beyond it", lambda v: frame("rt1", "ot1", datagram(
        "rt1", mac("ot1"), pick(v, "10.8.1.2", "fd08:0:0:1::2"), adr(v, "ot1"), 5000)), "silent", "identity"),
    *both("gateway from what the router forwards: the longer prefix", lambda v: frame("gw1", "ot1", datagram(
        "gw1", mac("ot1"), far(v), adr(v, "ot1"), 5000)), "silent", "identity"),
    *both("gateway from another container's address", lambda v: frame("gw1", "ot1", datagram(
        "gw1", mac("ot1"), adr(v, "rt1"), adr(v, "ot1"), 5000)), "silent", "identity"),
    *both("gateway from an address of the network that nobody has", lambda v: frame("gw1", "ot1", datagram(
        "gw1", mac("ot1"), pick(v, "10.111.0.99", "2001:db8:d0::99"), adr(v, "ot1"), 5000)), "silent", "identity"),
    *both("gateway from the bridge's own address", lambda v: frame("gw1", "ot1", datagram(
        "gw1", mac("ot1"), pick(v, GW4, GW6), adr(v, "ot1"), 5000)), "silent", "identity"),
    *both("gateway from the host's other address", lambda v: frame("gw1", "ot1", datagram(
        "gw1", mac("ot1"), pick(v, HOST4, "2001:db8:51::1"), adr(v, "ot1"), 5000)), "silent", "identity"),
    *both("other from what the router forwards", lambda v: frame("ot1", "cl1", datagram(
        "ot1", mac("cl1"), far(v), adr(v, "cl1"), 5000)), "silent", "identity"),
    *both("unknown from what the router forwards", lambda v: frame("st1", "ot1", datagram(
        "st1", mac("ot1"), far(v), adr(v, "ot1"), 5000)), "silent", "identity"),
    *both("unknown from what the router forwards, to the host", lambda v: frame("st1", "host", datagram(
        "st1", GWMAC, far(v), pick(v, GW4, GW6), 5000)), "silent", "identity"),
    *both("unknown from what the gateway forwards", lambda v: frame("st1", "ot1", datagram(
        "st1", mac("ot1"), ext(v), adr(v, "ot1"), 5000)), "silent", "identity"),
    ("router answers ARP for what it forwards", frame("rt1", "ot1", W.ether(mac("ot1"), mac("rt1"), 0x806, W.arp(
        2, mac("rt1"), FAR4, mac("ot1"), a4("ot1")) + b"MARK")), "silent", "identity"),
    ("router advertises what it forwards as a neighbour", frame("rt1", "ot1", W.ether(mac("ot1"), mac("rt1"), 0x86dd, W.nd(
        136, FAR6, mac("rt1"), a6("rt1"), a6("ot1"), 0x60000000))), "silent", "identity"),
    *both("DHCP server from a forwarded address", lambda v: frame("rt1", "ot1", W.ether(mac("ot1"), mac("rt1"), pick(v, 0x800, 0x86dd), pick(
        v, W.ip4(FAR4, a4("ot1"), 17, W.udp(67, 5000)), W.ip6(FAR6, a6("ot1"), 17, W.udp(547, 5000))))), "silent", "identity"),
]
ANOTHER_PORT = [    # inet judges the address: a MAC that is not the address's must lead nowhere
    *both("client to the router's address, other's MAC", lambda v: frame("cl1", "ot1", datagram(
        "cl1", mac("ot1"), adr(v, "cl1"), adr(v, "rt1"), 5000)), "silent", "identity"),
    *both("client to a forwarded address, other's MAC", lambda v: frame("cl1", "ot1", datagram(
        "cl1", mac("ot1"), adr(v, "cl1"), far(v), 5000)), "silent", "identity"),
    *both("client to a forwarded address, an unknown port's MAC", lambda v: frame("cl1", "st1", datagram(
        "cl1", mac("st1"), adr(v, "cl1"), far(v), 5000)), "silent", "unknown"),
    *both("client to the router's address, a broadcast MAC", lambda v: frame("cl1", "ot1", datagram(
        "cl1", "ff:ff:ff:ff:ff:ff", adr(v, "cl1"), adr(v, "rt1"), 5000)), "silent", None),
    *both("client to the router's address, a MAC that nobody has", lambda v: frame("cl1", "ot1", datagram(
        "cl1", "02:42:0a:6f:00:63", adr(v, "cl1"), adr(v, "rt1"), 5000)), "silent", None),
]
GROUPS = {"responder": RESPONDER, "initiator": INITIATOR, "lies": LIES, "another_port": ANOTHER_PORT}


def setUpModule():
    global NET
    NET = Net()


def tearDownModule():
    if NET:
        NET.close()


class Base(unittest.TestCase):
    def group(self, checks):
        bad = [f"{name}: {why}" for name, probe, want, klass in checks if (why := self.judge(probe, want, klass))]
        if bad:
            self.fail("\n" + "\n".join(bad) + f"\n{len(bad)} of {len(checks)}")


class T1Enforced(Base):
    @classmethod
    def setUpClass(cls):
        """Who is new on a link makes a noise: what is counted here must be our own."""
        NET.load()
        end, was = time.monotonic() + 20, None
        while time.monotonic() < end and was != (was := NET.denied()):
            time.sleep(1)

    def setUp(self):
        self.before = NET.denied()

    def judge(self, probe, want, klass):
        got = probe()
        after = NET.denied()
        rose = {k for k in CLASSES if after[k] > self.before[k]} - {"noise"}
        self.before = after
        why = [] if got == want else [f"{got}, not {want}"]
        if klass and rose != {klass} or want == "ok" and rose:
            why.append(f"counted as {sorted(rose)}, not {klass}")
        return "; ".join(why)

    def test_limits_on_connections_count_for_whom_it_forwards_too(self):
        """Else any container that forwards could open as many as it has addresses to send from. Own and forwarded together."""
        for v in (4, 6):
            NET.load()
            arrived = []
            for i in range(6):
                src = a4("lm1") if v == 4 and i == 1 else a6("lm1") if i == 1 else pick(v, f"10.7.0.{i + 2}", f"fd07::{i + 2:x}")
                arrived.append(frame("lm1", "ot1", datagram("lm1", mac("ot1"), src, adr(v, "ot1"), 5000))())
            self.assertEqual(arrived, ["ok"] * 3 + ["silent"] * 3, v)
            # lm2's own are its own
            self.assertEqual(frame("lm2", "ot1", datagram("lm2", mac("ot1"), adr(v, "lm2"), adr(v, "ot1"), 5000))(), "ok")

    def test_it_lists_and_loads_again(self):
        def listing():
            return lab.without_passing(NET.sh("host", "nft -s list table inet bulkhead; nft -s list table bridge bulkhead"))
        text = listing()
        NET.unload()
        NET.nft("host", text)
        self.assertEqual(listing(), text)
        self.assertIn('"vethrt1" . 10.8.0.0/24', text)


class T2Audited(Base):
    @classmethod
    def setUpClass(cls):
        NET.audit()

    def judge(self, probe, want, klass):
        got = probe()
        return "" if got == "ok" else f"{got}, not ok"

    def group(self, checks):
        before = NET.denied()
        super().group(checks)
        after = NET.denied()
        for k in CLASSES:
            self.assertGreaterEqual(after[k] - before[k], sum(x[3] == k for x in checks), k)


class T3Control(Base):
    @classmethod
    def setUpClass(cls):
        NET.unload()

    def judge(self, probe, want, klass):
        got = probe()
        return "" if got == "ok" else f"{got}, not ok"


def add(cls):
    for name, checks in GROUPS.items():
        setattr(cls, f"test_{name}", lambda self, c=checks: self.group(c))


add(T1Enforced)
add(T2Audited)
add(T3Control)

if __name__ == "__main__":
    tap.main()
