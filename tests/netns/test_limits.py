#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 21 s, works 2 s
"""`connections` on a real kernel, with the rules that the compiler makes of YAML and WORLD below.

Each container is a port of a bridge whose other end sends frames by hand: a flow is a source port. What arrives outside is counted by
source address.
"""
import functools
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab")]
import tap  # noqa: E402
import wires as W  # noqa: E402

COMPILER = pathlib.Path(os.environ.get("BH_BUILD", "build")) / "tests/golden/golden_compile"
D0, B2 = "docker0", "br-00000000000b"
NETS = {D0: ("10.111.0.", "2001:db8:d0::"), B2: ("10.112.0.", "2001:db8:d1::")}
OUT4, OUT6 = "198.51.100.2", "2001:db8:51::2"
GWMAC = "02:42:00:00:00:01"
MANY = [f"many{i}" for i in range(64)]
# name -> (label, host number, bridges)
WHO = {"web1": ("web", 11, (D0, B2)), "web2": ("web", 12, (D0,)), "api1": ("api", 13, (D0,)), "big1": ("big", 14, (D0,)),
       "aud1": ("aud", 15, (D0,)), "slow1": ("slow", 16, (D0,)), **{n: ("many", 100 + i, (D0,)) for i, n in enumerate(MANY)}}
YAML = """version: 1
mode: %s
zones:
  web: {select: {labels: {tier: web}}%s}
  api: {select: {labels: {tier: api}}%s}
  big: {select: {labels: {tier: big}}%s}
  aud: {select: {labels: {tier: aud}}, mode: audit%s}
  slow: {select: {labels: {tier: slow}}%s}
  many: {select: {labels: {tier: many}}%s}
allow:
  - {from: containers, to: internet, ports: [udp/7]}
  - {from: internet, to: web, ports: [udp/5000]}
"""
LIMITS = ("{max: 50}", "{new: 20/second}", "{max: 2000}", "{max: 10}", "{new: 60/minute}", "{max: 8, new: 1000/second}")
NET = None


def address(n, bridge, six):
    num = WHO[n][1]
    return f"{NETS[bridge][1]}{num:x}" if six else f"{NETS[bridge][0]}{num}"


def mac(n, bridge):
    return f"02:42:0a:{0x6f if bridge == D0 else 0x70:02x}:00:{WHO[n][1]:02x}"


def port(n, bridge):
    return f"v{n}{'b' if bridge == B2 else ''}"


def world():
    out = ["link 1 lo loopback", f"bridge 2 {D0} nf_call", f"bridge 3 {B2} nf_call", "link 6 up0 physical", "addr 6 198.51.100.1/32"]
    for name, b in (("bridge", D0), ("b", B2)):
        out.append(f"network {name} {b} {NETS[b][0]}0/24 {NETS[b][1]}/64 via {NETS[b][0]}1 {NETS[b][1]}1")
    index = 20
    for n, (label, _, bridges) in WHO.items():
        out.append(f"container {n} tier={label}")
        for b in bridges:
            index += 1
            out.append(f"endpoint {'bridge' if b == D0 else 'b'} {mac(n, b)} {address(n, b, 0)} {address(n, b, 1)} port {index} {port(n, b)}")
    return "\n".join(out) + "\n"


@functools.cache
def rules(limits=LIMITS, mode="enforce"):
    with tempfile.TemporaryDirectory(prefix="bh-limits-") as d:
        text = YAML % (mode, *(f", connections: {x}" if x else "" for x in limits))
        (pathlib.Path(d) / "bulkhead.yaml").write_text(text)
        (pathlib.Path(d) / "world").write_text(world())
        return subprocess.run([COMPILER, "--print", d], check=True, capture_output=True, text=True).stdout


class Net(W.Wires):
    def build(self):
        self.ns("host", "all", "out")
        quiet = "sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0; ip link set lo up; "
        self.sh("all", "sysctl -qw net.ipv6.conf.default.disable_ipv6=1; ip link set lo up")
        self.sh("out", quiet)
        self.sh("host", quiet + "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0"
                " net.ipv4.conf.default.rp_filter=0")
        script = []
        for b, (n4, n6) in NETS.items():
            script += [f"link add {b} address {GWMAC} type bridge nf_call_iptables 1 nf_call_ip6tables 1", f"link set {b} up",
                       f"addr add {n4}1/24 dev {b}", f"addr add {n6}1/64 dev {b}"]
        for n, (_, _, bridges) in WHO.items():
            for b in bridges:
                p = port(n, b)
                script += [f"link add {p} type veth peer name {p} netns {self.name('all')}", f"link set {p} master {b} up"]
                script += [f"neigh add {address(n, b, s)} lladdr {mac(n, b)} dev {b}" for s in (0, 1)]
        self.run("host", ["ip", "-batch", "-"], input="\n".join(script))
        ports = [(n, b) for n in WHO for b in WHO[n][2]]
        self.run("all", ["ip", "-batch", "-"], input="\n".join(f"link set {port(n, b)} address {mac(n, b)} up" for n, b in ports))
        self.veth("host", "up0", "out", "eth0")
        self.sh("host", "ip link set up0 up; ip addr add 198.51.100.1/24 dev up0; ip addr add 2001:db8:51::1/64 dev up0")
        self.sh("out", f"ip link set eth0 up; ip addr add {OUT4}/24 dev eth0; ip addr add {OUT6}/64 dev eth0;"
                "ip route add default via 198.51.100.1; ip -6 route add default via 2001:db8:51::1; ping -qc1 198.51.100.1 >&2")
        self.nft("out", """table inet count {
            set four { typeof ip saddr; size 4096; flags dynamic; counter; }
            set six { typeof ip6 saddr; size 4096; flags dynamic; counter; }
            chain in { type filter hook input priority 0; policy accept;
                udp dport { 7, 9 } update @four { ip saddr counter }
                udp dport { 7, 9 } update @six { ip6 saddr counter }
                udp dport { 7, 9 } drop
            }
        }""")
        self.socks = {}
        with self.at("all"):
            for n, b in ports:
                s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                s.bind((port(n, b), 0))
                self.socks[n, b] = s
        self.next = 1024

    def load(self, text):
        self.unload()
        self.nft("host", text)

    def unload(self):
        self.nft("host", "".join(f"table {f} bulkhead\ndelete table {f} bulkhead\n" for f in ("inet", "bridge")))

    def forget(self):
        """No flow, and no element of one: the kernel takes those out that count nothing."""
        self.sh("host", "conntrack -F 2>/dev/null")

    def ports(self, n):
        self.next = self.next + n if self.next + 2 * n < 65000 else 1024
        return range(self.next - n, self.next)

    def send(self, n, sports, bridge=D0, six=False, dport=7, src=None):
        s = self.socks[n, bridge]
        src = src or address(n, bridge, six)
        for sp in sports:
            u = struct.pack("!HHHH", sp, dport, 12, 0) + b"MARK"
            if six:
                pseudo = socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, OUT6) + struct.pack("!II", 12, 17)
                u = u[:6] + struct.pack("!H", W.checksum(pseudo + u) or 0xffff) + u[8:]
                s.send(W.ether(GWMAC, mac(n, bridge), 0x86dd, W.ip6(src, OUT6, 17, u)))
            else:
                s.send(W.ether(GWMAC, mac(n, bridge), 0x800, W.ip4(src, OUT4, 17, u)))

    def arrived(self):
        """Packets at the outside by source address since the last time."""
        import json
        time.sleep(0.1)
        got = {}
        for name in ("four", "six"):
            d = json.loads(self.run("out", ["nft", "-j", "list", "set", "inet", "count", name]))
            for e in next(x["set"] for x in d["nftables"] if "set" in x).get("elem", ()):
                got[e["elem"]["val"]] = e["elem"]["counter"]["packets"]
        self.sh("out", "nft flush set inet count four; nft flush set inet count six")
        return got

    def count(self, n, got=None):
        got = self.arrived() if got is None else got
        return sum(got.get(address(n, b, s), 0) for b in WHO[n][2] for s in (0, 1))

    def elements(self, name):
        out = self.run("host", ["nft", "list", "set", "inet", "bulkhead", name])
        return out.split("elements = {")[1] if "elements" in out else ""

    def denied(self):
        return self.counters("host").get("inet.denied_limit", 0)


def setUpModule():
    global NET
    NET = Net()


def tearDownModule():
    if NET:
        NET.close()


class Limits(unittest.TestCase):
    def setUp(self):
        NET.forget()
        NET.load(rules())
        NET.arrived()

    def test_control_without_limits_all_arrive(self):
        NET.load(rules(("",) * 6))
        for n in ("web1", "api1", "big1", "aud1"):
            NET.send(n, NET.ports(200))
        got = NET.arrived()
        self.assertEqual([NET.count(n, got) for n in ("web1", "api1", "big1", "aud1")], [200] * 4)

    def test_max_is_exact_and_one_for_networks_and_families(self):
        first = NET.ports(30)
        NET.send("web1", first)
        NET.send("web1", NET.ports(15), six=True)
        NET.send("web1", NET.ports(20), bridge=B2)
        NET.send("web1", NET.ports(20), bridge=B2, six=True)
        NET.send("web2", NET.ports(51))
        got = NET.arrived()
        self.assertEqual(NET.count("web1", got), 50)
        self.assertEqual(NET.count("web2", got), 50)     # the others go on, each with its own
        self.assertEqual(NET.denied(), 36)
        NET.send("web1", first)                          # what is open is not harmed
        self.assertEqual(NET.count("web1"), 30)
        NET.send("web1", NET.ports(5))
        self.assertEqual(NET.count("web1"), 0)
        NET.sh("host", f"conntrack -D -s {address('web1', D0, 0)} -p udp --sport {first[0]} 2>/dev/null")
        NET.send("web1", NET.ports(5))                   # one has ended: one more, at once
        self.assertEqual(NET.count("web1"), 1)
        NET.forget()
        NET.send("web1", NET.ports(60), six=True)
        self.assertEqual(NET.count("web1"), 50)

    def test_two_thousand(self):
        NET.send("big1", NET.ports(1001))
        self.assertEqual(NET.count("big1"), 1001)
        NET.send("big1", NET.ports(1099))
        self.assertEqual(NET.count("big1"), 999)
        NET.forget()
        time.sleep(1.2)    # who was denied a hundred times is not counted for a moment
        NET.send("big1", NET.ports(2100))
        self.assertEqual(NET.count("big1"), 2000)

    def test_who_hammers_is_denied_and_others_are_not(self):
        NET.send("big1", NET.ports(2000))
        NET.arrived()
        for _ in range(5):
            NET.send("big1", NET.ports(2000))
        NET.send("web2", NET.ports(10))
        got = NET.arrived()
        self.assertEqual((NET.count("big1", got), NET.count("web2", got)), (0, 10))
        self.assertEqual(NET.denied(), 10000)
        NET.forget()
        time.sleep(1.2)
        NET.send("big1", NET.ports(10))
        self.assertEqual(NET.count("big1"), 10)

    def test_new_burst_and_rate(self):
        start = time.monotonic()
        NET.send("api1", NET.ports(200))
        took = time.monotonic() - start
        burst = NET.count("api1")
        self.assertTrue(20 <= burst <= 20 + 20 * took + 1, (burst, took))
        time.sleep(1.2)                                  # full again
        start, sent, after = time.monotonic(), 0, 0
        while after < 3:
            after = time.monotonic() - start
            if sent < after * 100:
                NET.send("api1", NET.ports(1))
                sent += 1
            else:
                time.sleep(0.002)
        got = NET.count("api1")
        self.assertGreater(sent, 250)
        self.assertTrue(abs(got - (20 + 20 * after)) <= 3, (got, sent, after))

    def test_new_a_minute(self):
        NET.send("slow1", NET.ports(100))
        self.assertIn(NET.count("slow1"), (60, 61))
        time.sleep(2.1)
        NET.send("slow1", NET.ports(100))
        self.assertIn(NET.count("slow1"), (2, 3))

    def test_a_flow_is_counted_once(self):
        one = NET.ports(1)
        for _ in range(100):
            NET.send("api1", one)
        self.assertEqual(NET.count("api1"), 100)         # one flow without an answer is still one
        NET.send("api1", NET.ports(100))
        self.assertIn(NET.count("api1"), range(19, 23))

    def test_sixty_four_at_once(self):
        sports = [(NET.ports(6), NET.ports(6)) for _ in MANY]
        for i in range(6):
            for n, (four, six) in zip(MANY, sports):
                NET.send(n, four[i:i + 1])
                NET.send(n, six[i:i + 1], six=True)
        got = NET.arrived()
        self.assertEqual({n: NET.count(n, got) for n in MANY}, {n: 8 for n in MANY})

    def test_what_policy_and_identity_deny_costs_nothing(self):
        NET.send("web2", NET.ports(100), dport=9)
        NET.send("web2", NET.ports(100), src=address("web1", D0, 0))
        NET.send("web2", NET.ports(51))
        got = NET.arrived()
        self.assertEqual((NET.count("web2", got), NET.count("web1", got)), (50, 0))

    def test_answers_cost_nothing(self):
        with NET.at("out"):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((OUT4, 0))
        NET.sh("out", "ip route replace 10.111.0.0/24 via 198.51.100.1")
        socks = []
        for _ in range(60):
            with NET.at("out"):
                c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            c.bind((OUT4, 0))
            c.sendto(b"MARK", (address("web2", D0, 0), 5000))
            socks.append(c)
        time.sleep(0.1)
        raw = NET.socks["web2", D0]
        for c in socks:                                  # web2 answers each
            c.setblocking(False)
            u = struct.pack("!HHHH", 5000, c.getsockname()[1], 12, 0) + b"BACK"
            raw.send(W.ether(GWMAC, mac("web2", D0), 0x800, W.ip4(address("web2", D0, 0), OUT4, 17, u)))
        time.sleep(0.1)
        back = 0
        for c in (*socks, s):
            try:
                back += c.recv(100) == b"BACK"
            except BlockingIOError:
                pass
            c.close() if c is not s else None
            s.setblocking(False)
        s.close()
        self.assertEqual(back, 60)
        NET.send("web2", NET.ports(51))
        self.assertEqual(NET.count("web2"), 50)

    def test_audit(self):
        NET.send("aud1", NET.ports(4), dport=9)          # denied by policy, but it passes, and so it counts
        NET.send("aud1", NET.ports(20))
        self.assertEqual(NET.count("aud1"), 10)
        NET.load(rules(mode="audit"))
        NET.forget()
        NET.send("aud1", NET.ports(20))
        NET.send("web2", NET.ports(60))
        got = NET.arrived()
        self.assertEqual((NET.count("aud1", got), NET.count("web2", got)), (20, 60))

    def test_nothing_is_left_and_the_listing_loads(self):
        NET.send("web1", NET.ports(60))
        NET.send("api1", NET.ports(60))
        self.assertIn("ct count 50", NET.elements("max_50"))
        listing = NET.run("host", ["nft", "list", "ruleset"])
        with W.Wires() as other:
            other.ns("other")
            other.nft("other", listing)
        NET.forget()
        end = time.monotonic() + 10
        while NET.elements("max_50") and time.monotonic() < end:
            time.sleep(0.2)
        self.assertEqual(NET.elements("max_50"), "")


if __name__ == "__main__":
    tap.main()
