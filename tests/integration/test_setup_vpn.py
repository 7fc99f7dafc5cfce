#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 18 s, works 3 s
"""rules/vpn-gateway.yaml: a VPN container as the only way out of two others, set up as its header says.

The tunnel is tests/lab/tunnel.py, a stand-in for WireGuard: one UDP socket at each end. Where a packet got out is
told by its source when it arrives: the tunnel's address, or the host's.
"""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402

RULES = lab.TOP / "rules/vpn-gateway.yaml"
NET = "private"
SITE4, SITE6 = "203.0.113.77", "2001:db8:99::77"        # somewhere on the internet
SITE = {4: SITE4, 6: SITE6}
FAR = lab.INTERNET4                                     # the tunnel's far end, as in the file
INSIDE = {"10.66.0.2", "fd66::2"}                       # the tunnel's addresses of the VPN container
PORTS = [80, 53, 51820]


class VpnGateway(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        l.network(NET)
        cls.internet()
        forward = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1",
                   "net.ipv6.conf.default.disable_ipv6": "0"}
        cls.vpn = l.run("vpn", labels={"role": "vpn"}, network=NET, host_config={"CapAdd": ["NET_ADMIN"], "Sysctls": forward})
        via = f"ip route replace default via {cls.vpn.ip4} && ip -6 route replace default via {cls.vpn.ip6} && exec sleep 1000000"
        cls.routed, cls.sharer, cls.stranger = lab.parallel([
            lambda: l.run("routed", labels={"way-out": "vpn"}, network=NET, cmd=["sh", "-c", via], host_config={"CapAdd": ["NET_ADMIN"]}),
            lambda: l.run("sharer", labels={"way-out": "vpn"}, network="container:vpn"),
            lambda: l.run("stranger", network=NET)], 3)
        cls.tunnel = None
        cls.connect(cls)
        cls.rx = {p.name: l.receiver(p, PORTS) for p in (l.out, cls.routed, cls.stranger, l.host)}
        cls.before = l.kernel_state()

    @classmethod
    def internet(cls):
        """Beyond the host: a site, and the far end of the tunnel."""
        out = cls.lab.out
        out.exec("sh", "-ec", f"ip addr add {SITE4}/32 dev lo; ip addr add {SITE6}/128 dev lo nodad")
        cls.far = out.popen("python3", lab.HERE / "tunnel.py", "far0", FAR, 51820, stdout=lab.subprocess.PIPE)
        cls.far.stdout.readline()
        out.exec("sh", "-ec", "ip addr add 10.66.0.1/24 dev far0; ip addr add fd66::1/64 dev far0 nodad; ip link set far0 up")

    def connect(self):
        """What a WireGuard container does when it starts: device, addresses, routes, masquerading."""
        gw4, gw6 = (self.vpn.networks[NET][k] for k in ("Gateway", "IPv6Gateway"))
        VpnGateway.tunnel = self.vpn.popen("python3", lab.HERE / "tunnel.py", "wg0", "0.0.0.0", 51821, FAR, 51820, stdout=lab.subprocess.PIPE)
        self.tunnel.stdout.readline()
        self.vpn.exec("sh", "-ec", f"""
            ip addr add 10.66.0.2/24 dev wg0; ip addr add fd66::2/64 dev wg0 nodad; ip link set wg0 up
            ip route replace {FAR} via {gw4}
            ip route replace default dev wg0; ip -6 route replace default dev wg0
            nft add table inet vpn
            nft add chain inet vpn post '{{ type nat hook postrouting priority srcnat; }}'
            nft add rule inet vpn post oifname != lo masquerade""")

    def fall_back(self):
        """The tunnel goes, and the VPN container does the worst: it sends everything out by its network."""
        gw4, gw6 = (self.vpn.networks[NET][k] for k in ("Gateway", "IPv6Gateway"))
        self.tunnel.kill()
        self.tunnel.wait()
        lab.wait_for("wg0 to be gone", lambda: "wg0" not in self.vpn.exec("ip", "link"))
        self.vpn.exec("sh", "-ec", f"ip route replace default via {gw4}; ip -6 route replace default via {gw6}")

    def arrived(self, place, cells, tag, timeout=1.5):
        """Marker -> (result, sources that it arrived from); cells: name -> (proto, address, port)."""
        res = self.lab.send(place, [(*c, f"{tag}-{n}") for n, c in cells.items()], timeout)
        seen = [line for rx in self.rx.values() for line in rx.lines()]
        return {n: (res[f"{tag}-{n}"][0], {x[3].strip("[]") for x in seen if x[4] == f"{tag}-{n}"}) for n in cells}

    def alive(self):
        """The receivers hear, and right now."""
        for name, rx in self.rx.items():
            m = f"alive{lab.time.monotonic_ns()}"
            self.lab.send(rx.place, [("udp", "127.0.0.1", 80, m)], 1)
            self.assertEqual(rx.count(m), 1, f"{name} does not hear")

    def out(self):
        return {f"{p}{v}": (p, SITE[v], 80) for p in ("tcp", "udp") for v in (4, 6)}

    def everywhere(self):
        """Every way out that a container may try by itself, tunnel or not."""
        return {**self.out(), "dns4": ("udp", SITE4, 53), "dns6": ("udp", SITE6, 53), "wireguard": ("udp", SITE4, 51820),
                "lan4": ("tcp", lab.OUT4, 80), "lan6": ("udp", lab.OUT6, 80), "far end's other port": ("tcp", FAR, 80),
                "far end's other port udp": ("udp", FAR, 80)}

    def host_and_neighbours(self):
        return {"host4": ("tcp", lab.HOST4, 80), "host6": ("udp", lab.HOST6, 80),
                "gateway": ("udp", self.vpn.networks[NET]["Gateway"], 80), "stranger4": ("tcp", self.stranger.ip4, 80),
                "stranger6": ("udp", self.stranger.ip6, 80)}

    def direct(self):
        """The routed container's other way: the Docker network's own gateway."""
        n = self.routed.networks[NET]
        self.routed.exec("sh", "-ec", f"ip route replace default via {n['Gateway']}; ip -6 route replace default via {n['IPv6Gateway']}")

    def through(self):
        self.routed.exec("sh", "-ec", f"ip route replace default via {self.vpn.ip4}; ip -6 route replace default via {self.vpn.ip6}")

    def nothing(self, place, cells, tag):
        got = self.arrived(place, cells, tag)
        self.assertEqual({n: x for n, x in got.items() if x[1] or x[0] == "ok"}, {})

    def test_1_both_get_out_by_the_tunnel(self):
        type(self).daemon = self.lab.bulkheadd(RULES.read_text())
        for c in (self.routed, self.sharer):
            got = self.arrived(c, self.out(), f"up-{c.name}", 4)
            self.assertEqual({n: x[0] for n, x in got.items()}, dict.fromkeys(got, "ok"), c.name)
            for n, (_, sources) in got.items():
                self.assertTrue(sources and sources <= INSIDE, f"{c.name} {n}: from {sources}")

    def test_2_status_says_so(self):
        s = self.daemon.status()
        self.assertEqual(s["daemon"]["state"], "enforcing", s["daemon"])
        self.assertEqual({c["name"]: c["zone"] for c in s["containers"]},
                         {"vpn": "vpn", "sharer": "vpn", "routed": "tunnelled", "stranger": "quarantine"})
        self.assertIn("container:", next(c["reason"] for c in s["containers"] if c["name"] == "sharer") + "container:")

    def test_3_nothing_else_while_the_tunnel_is_up(self):
        self.nothing(self.routed, self.host_and_neighbours(), "up3")
        self.nothing(self.vpn, self.host_and_neighbours(), "vpn3")
        self.direct()
        try:
            self.nothing(self.routed, self.everywhere(), "direct")
        finally:
            self.through()
        self.alive()

    def test_4_nobody_gets_in(self):
        """Neither from the world, routed, nor from the tunnel's far end; its neighbours neither."""
        inward = {f"{p}{v}": (p, a, 80) for p in ("tcp", "udp") for v, a in ((4, self.routed.ip4), (6, self.routed.ip6))}
        self.nothing(self.lab.out, inward, "world")
        self.nothing(self.stranger, inward, "stranger")
        self.nothing(self.vpn, inward, "vpn4")
        net4, net6 = f"{self.routed.ip4}/32", f"{self.routed.ip6}/128"
        self.lab.out.exec("sh", "-ec", f"ip route add {net4} dev far0 src 10.66.0.1; ip -6 route add {net6} dev far0")
        try:
            self.nothing(self.lab.out, inward, "tunnel")
        finally:
            self.lab.out.exec("sh", "-ec", f"ip route del {net4} dev far0; ip -6 route del {net6} dev far0")
        self.alive()

    def test_5_nothing_gets_out_when_the_tunnel_is_down(self):
        self.fall_back()
        for c in (self.routed, self.sharer, self.vpn):
            self.nothing(c, self.everywhere(), f"down-{c.name}")
        self.alive()

    def test_6_it_comes_back_with_the_tunnel(self):
        self.connect()
        for c in (self.routed, self.sharer):
            got = self.arrived(c, self.out(), f"again-{c.name}", 4)
            self.assertEqual({n: x[0] for n, x in got.items()}, dict.fromkeys(got, "ok"), c.name)

    def test_7_nothing_gets_out_when_the_gateway_is_stopped(self):
        self.tunnel.kill()
        self.tunnel.wait()
        self.vpn.stop()
        self.nothing(self.routed, self.everywhere(), "stopped")
        self.direct()
        self.nothing(self.routed, self.everywhere(), "stopped-direct")
        self.through()
        self.alive()
        self.vpn.start()
        self.daemon.wait_zone("vpn", "vpn")
        self.connect()
        got = self.arrived(self.routed, self.out(), "restarted", 4)
        self.assertEqual({n: x[0] for n, x in got.items()}, dict.fromkeys(got, "ok"))

    def test_8_control_without_bulkhead_it_leaks(self):
        self.daemon.teardown()
        self.assertEqual(self.before["ruleset"], self.lab.kernel_state()["ruleset"])
        self.fall_back()
        got = self.arrived(self.vpn, self.everywhere(), "control-vpn", 4)
        self.assertEqual({n: x for n, x in got.items() if not x[1]}, {})
        got = self.arrived(self.routed, self.out(), "control-routed", 4)
        self.assertEqual({n: x for n, x in got.items() if not x[1]}, {})
        self.direct()
        got = self.arrived(self.routed, {**self.everywhere(), **self.host_and_neighbours()}, "control-direct", 4)
        self.assertEqual({n: x for n, x in got.items() if not x[1]}, {})


if __name__ == "__main__":
    tap.main()
