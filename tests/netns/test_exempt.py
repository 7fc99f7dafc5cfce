#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# alone: measures rates
"""`exempt` on the real kernel: what no cap counts, by the kernel's counts, and that everything else stays under it."""
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import tap  # noqa: E402
from shape_net import Case  # noqa: E402

SECONDS = 1.5
WISH = """zone c 4000000 4000000 0 0
zone office 0 0 0 0
zone other 4000000 4000000 0 0
addresses office 203.0.113.64/26
exempt c {}
member c va1
member other va3
"""
OUTSIDE = {"lan": ("192.168.77", "fd77:", "192.168.77.2", "fd77::2"), "far": ("203.0.113", "2001:db8:113:", "203.0.113.2", "2001:db8:113::2")}
# answers with what it got; one connection
ECHO = """
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", 5500))
s.listen()
print("ready", flush=True)
while True:
    c, peer = s.accept()
    data = b""
    while len(data) < 20000:
        data += c.recv(65536)
    c.sendall(data)
    c.close()
    print(peer[0], flush=True)
"""
CALL = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
s.sendall(bytes(20000))
n = 0
while n < 20000:
    got = len(s.recv(65536))
    assert got
    n += got
print(n)
"""
NAT = """table ip play {
 chain pre { type nat hook prerouting priority dstnat; policy accept
  ip daddr 192.168.77.1 tcp dport 8080 dnat to 10.1.1.1:5500
  ip daddr 192.168.77.1 tcp dport 8081 meta mark set 1 dnat to 10.1.1.1:5500
  ip daddr 192.168.77.1 tcp dport 8082 dnat to 10.2.1.1:5500
 }
 chain post { type nat hook postrouting priority srcnat; policy accept
  meta mark 1 masquerade
 }
}
"""


class Exempt(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        n = cls.net
        for name, (net4, net6, addr4, addr6) in OUTSIDE.items():
            n.add(name)
            n.run("host", "ip", "link", "add", f"w-{name}", "type", "veth", "peer", "name", "e0", "netns", n.ns(name))
            n.run("host", "ip", "addr", "add", f"{net4}.1/24", "dev", f"w-{name}")
            n.run("host", "ip", "addr", "add", f"{net6}:1/64", "dev", f"w-{name}", "nodad")
            n.run("host", "ip", "link", "set", f"w-{name}", "up")
            n.run(name, "ip", "addr", "add", f"{addr4}/24", "dev", "e0")
            n.run(name, "ip", "addr", "add", f"{addr6}/64", "dev", "e0", "nodad")
            n.run(name, "ip", "link", "set", "e0", "up")
            n.run(name, "ip", "route", "add", "default", "via", f"{net4}.1")
            n.run(name, "ip", "-6", "route", "add", "default", "via", f"{net6}:1")
        # not on-link, so not lan
        n.run("host", "ip", "addr", "del", "203.0.113.1/24", "dev", "w-far")
        n.run("host", "ip", "addr", "add", "203.0.113.1/32", "dev", "w-far")
        n.run("host", "ip", "route", "add", "203.0.113.0/24", "dev", "w-far")
        n.run("host", "ip", "addr", "del", "2001:db8:113::1/64", "dev", "w-far")
        n.run("host", "ip", "addr", "add", "2001:db8:113::1/128", "dev", "w-far", "nodad")
        n.run("host", "ip", "-6", "route", "add", "2001:db8:113::/64", "dev", "w-far")
        n.run("far", "ip", "addr", "add", "203.0.113.70/24", "dev", "e0")
        for name in ("lan", "far", "a2", "b1"):
            for port in ("5301", "5302"):
                n.start(name, "nice", "-n", "-15", "iperf3", "-s", "-p", port)
        time.sleep(0.5)

    def leaf(self, wish, port="va1"):
        return re.search(rf"port {port} egress (bb:\w+)", self.check(wish))[1]

    def grew(self, leaf, act):
        """Packets and bytes of (leaf out, leaf in, exempt in) by ACT."""
        keys = (("bh-egress", leaf), ("bh-ingress", leaf), ("bh-ingress", "bb:fffc"))
        a = self.net.stats()[1]
        act()
        b = self.net.stats()[1]
        return [(b[k][0] - a[k][0], b[k][1] - a[k][1]) for k in keys]

    def pings(self, src, dst):
        self.net.run(src, "ping", "-q", "-c", "10", "-i", "0.01", "-W", "1", dst)

    def assertPath(self, leaf, src, dst, free):
        out, into, exempt = (p for p, _ in self.grew(leaf, lambda: self.pings(src, dst)))
        # neighbours are asked for now and then, by the host too; ARP is never exempt
        if free:
            self.assertTrue(out < 5 and into < 5 and exempt >= 10, (src, dst, out, into, exempt))
        else:
            self.assertTrue(out >= 10 and into >= 10 and exempt < 5, (src, dst, out, into, exempt))

    def test_every_path(self):
        """Both families, both directions, routed and on one bridge: what is exempt by the names is in no cap's class, and nothing else."""
        ip = self.net.ip
        link = re.search(r"inet6 (fe80:\S+)/64", self.net.run("a2", "ip", "addr", "show", "e0").stdout)[1]
        gateway = re.search(r"inet6 (fe80:\S+)/64", self.net.run("host", "ip", "addr", "show", "br-1").stdout)[1]
        paths = {"lan": [("a1", "192.168.77.2"), ("a1", "fd77::2"), ("lan", ip["a1"]), ("lan", "fd00:1::1")],
                 "internet": [("a1", "203.0.113.2"), ("a1", "2001:db8:113::2"), ("far", "fd00:1::1")],
                 "office": [("a1", "203.0.113.70")],
                 "host": [("a1", ip["host"]), ("a1", "fd00:1::ffff"), ("a1", f"{gateway}%e0"), ("a1", "192.168.77.1"), ("host", ip["a1"])],
                 "containers": [("a1", ip["a2"]), ("a1", "fd00:1::2"), ("a1", f"{link}%e0"), ("a1", ip["b1"]), ("a1", "fd00:2::1")]}
        for names in (["lan"], ["host"], ["internet", "office"], ["world"]):
            wish = WISH.format(" ".join(names))
            self.net.apply(wish)
            self.assertInSync(wish)
            leaf = self.leaf(wish)
            free = {"lan", "internet"} if names == ["world"] else set(names)
            for what, each in paths.items():
                for src, dst in each:
                    with self.subTest(exempt=names, src=src, dst=dst):
                        self.assertPath(leaf, src, dst, what in free)
            # a zone that exempts nothing, beside it
            self.assertEqual(self.grew(self.leaf(wish, "va3"), lambda: self.pings("a3", "192.168.77.2"))[2][0], 0)

    def published(self, wish, port, src="lan"):
        self.net.apply(wish)
        return self.grew(self.leaf(wish), lambda: self.net.run(src, "python3", "-c", CALL, "192.168.77.1", port))

    def test_published_ports(self):
        """What counts is the address that the container sees: behind DNAT the client's; behind masquerading or a proxy this host's."""
        for name in ("a1", "b1"):
            self.assertEqual(self.net.start(name, "python3", "-c", ECHO).stdout.readline(), "ready\n")
        self.net.run("host", "nft", "-f", "-", text=NAT)
        try:
            for names, port, src, free in (("lan", "8080", "lan", True), ("internet", "8080", "lan", False), ("lan", "8081", "lan", False),
                                           ("host", "8081", "lan", True), ("lan", "8082", "a1", False), ("host", "8082", "a1", True)):
                with self.subTest(exempt=names, port=port, src=src):
                    out, into, exempt = (n for _, n in self.published(WISH.format(names), port, src))
                    if free:
                        self.assertTrue(out < 2000 and into < 2000 and exempt > 20000, (out, into, exempt))
                    else:
                        self.assertTrue(out > 20000 and into > 20000 and exempt < 2000, (out, into, exempt))
        finally:
            self.net.run("host", "nft", "delete", "table", "ip", "play")

    def flow(self, dst, port, reverse, *most):
        return self.net.start("a1", "timeout", "20", "nice", "-n", "-15", "iperf3", "-c", dst, "-p", port, "-t", str(SECONDS + 2), *most,
                              *(["-R"] if reverse else []))

    def port_bytes(self, reverse):
        return int(self.net.run("host", "cat", f"/sys/class/net/va1/statistics/{'tx' if reverse else 'rx'}_bytes").stdout)

    @tap.limit(90)
    def test_rates(self):
        """Together: an exempt flow runs free, and the other has its cap, no more and no less."""
        wish = WISH.format("lan")
        self.net.apply(wish)
        leaf = self.leaf(wish)
        for lan, far in (("192.168.77.2", "203.0.113.2"), ("fd77::2", "2001:db8:113::2")):
            for reverse in (False, True):
                key = ("bh-ingress" if reverse else "bh-egress", leaf)
                # not all that the machine can, which would leave the other without a processor
                flows = [self.flow(lan, "5301", reverse, "-b", "200M"), self.flow(far, "5302", reverse)]
                time.sleep(1.0)
                (t0, a), n0 = self.net.stats(), self.port_bytes(reverse)
                time.sleep(SECONDS)
                (t1, b), n1 = self.net.stats(), self.port_bytes(reverse)
                for p in flows:
                    p.kill()
                    p.communicate()
                capped, whole = (b[key][1] - a[key][1]) * 8 / (t1 - t0) / 1e6, (n1 - n0) * 8 / (t1 - t0) / 1e6
                print(f"# {'to' if reverse else 'from'} the container, {lan} and {far}: {capped:.2f} of 4 Mbit/s, {whole - capped:.0f} free",
                      flush=True)
                self.assertTrue(3.6 < capped < 4.2, capped)
                self.assertGreater(whole - capped, 100)

    def test_comes_and_goes_in_place(self):
        before = self.net.state()
        self.net.apply(WISH.format("lan"))
        self.assertTrue(self.net.quiet(lambda: self.net.apply(WISH.format("lan"))))
        text = self.net.run("host", "nft", "list", "ruleset").stdout
        self.assertRegex(text, r"ip daddr @exempt4_0_c accept")
        self.net.run("host", "nft", "-c", "-f", "-", text="flush ruleset\n" + text)
        p = self.net.start("a1", "ping", "-q", "-c", "150", "-i", "0.01", "192.168.77.2")
        for names in ("host", "world", "lan", "office internet", "metadata"):
            self.net.apply(WISH.format(names))
            time.sleep(0.1)
            self.net.apply(WISH.format("lan").replace("exempt c lan\n", ""))
            self.assertNotIn("exempt", self.net.run("host", "nft", "list", "ruleset").stdout)
            time.sleep(0.1)
        self.assertIn(" 150 received", p.communicate(timeout=30)[0])
        self.net.apply(WISH.format("lan") + "audit\n")
        self.assertEqual(self.net.state(), before)

    def test_address_that_becomes_the_hosts(self):
        """Who is at an address follows the host."""
        wish = WISH.format("lan")
        self.net.apply(wish)
        self.net.run("host", "ip", "addr", "add", "192.168.77.9/32", "dev", "w-lan")
        try:
            self.net.apply(wish)
            self.assertPath(self.leaf(wish), "a1", "192.168.77.9", False)
        finally:
            self.net.run("host", "ip", "addr", "del", "192.168.77.9/32", "dev", "w-lan")


if __name__ == "__main__":
    tap.main()
