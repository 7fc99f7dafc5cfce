#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 59 s, works 14 s
"""Published ports: by whatever way a connection comes, it is judged as one to the container behind, at the container's port.

What Docker itself makes of each way is measured first, without bulkhead; with bulkhead a cell is open when it was open then
and the rules say so, and after teardown all is as it was.
"""
import concurrent.futures
import errno
import pathlib
import re
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402

OFFICE4, OFFICE6 = "198.51.100.4", "2001:db8:51::4"
SECOND4, SECOND6 = "198.51.100.101", "2001:db8:51::101"   # the host's, too
CONFIG = f"""
version: 1
mode: enforce
zones:
  web: {{select: {{labels: {{tier: web}}}}}}
  old: {{select: {{labels: {{tier: old}}}}}}
  good: {{select: {{labels: {{tier: good}}}}}}
  bad: {{select: {{labels: {{tier: bad}}}}}}
  office: {{cidrs: [{OFFICE4}/32, "{OFFICE6}/128"]}}
allow:
  - {{from: [world, host, good, web], to: [web, old], ports: [tcp/80, udp/80]}}
  - {{from: bad, to: host}}
"""
SERVED = {80, 81}
ALLOWED_FROM = {"lan", "internet", "host", "good", "web"}
PROTOS = ("tcp", "udp")


UDP_CLIENT = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.settimeout(5)
for line in sys.stdin:  # docker-proxy may answer from another address of the host
    s.sendto(line.encode(), (sys.argv[1], int(sys.argv[2])))
    print(s.recv(100).decode().strip(), flush=True)
"""


# Calls one address of a host, and whichever of them answers from then on, as WireGuard does; prints who answers each, or -.
ROAMER = """
import socket, sys, time
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
to = (sys.argv[1], int(sys.argv[2]))
for line in sys.stdin:
    s.settimeout(1)
    s.sendto(line.encode(), to)
    try:
        while line not in (got := s.recvfrom(100))[0].decode():
            pass
        to = got[1][:2]
        print(to[0], flush=True)
    except socket.timeout:
        print('-', flush=True)
"""


class Cell:
    """One connection: from a place (of a zone) to an address of the host or of a container."""

    def __init__(self, way, place, zone, proto, address, port, target, real, source=None):
        self.way, self.place, self.zone, self.proto = way, place, zone, proto
        self.address, self.port, self.target, self.real, self.source = address, port, target, real, source
        self.allowed = zone in ALLOWED_FROM and real == 80
        self.family = 6 if ":" in address else 4

    def __str__(self):
        return (f"{self.way}: {self.place.name}({self.zone}) -> {self.proto} {self.address} {self.port} "
                f"[{self.target}:{self.real}]")

    def line(self, marker):
        return (self.proto, f"{self.address}@{self.source}" if self.source else self.address, self.port, marker)


class Host:
    """Containers that publish ports in every form, and everybody who may try."""

    def __init__(self, l):
        self.lab, self.round = l, 0
        l.host.exec("sh", "-ec", f"ip addr add {SECOND4}/24 dev {lab.UPLINK}; ip addr add {SECOND6}/64 dev {lab.UPLINK} nodad")
        l.network("front")
        l.network("side")
        l.network("four", ipv6=False)
        both = {f"{p}/{proto}": [str(8000 + p), str(8500 + p)] for p in SERVED for proto in PROTOS}
        # one container port on many: every address twice, a range, one address alone
        web = {k: list(v) for k, v in both.items()}
        web["80/tcp"] += ["9100-9105", (lab.HOST4, 8282), ("127.0.0.1", 8383), (lab.HOST6, 8484), (lab.HOST4, 8686), (lab.HOST6, 8686)]
        twin = {"81/tcp": [(SECOND4, 8282), (SECOND6, 8484)], "80/tcp": [("127.0.0.1", 8282), ("::1", 8484)]}
        old = {f"{p}/{proto}": str(7000 + p) for p in SERVED for proto in PROTOS}
        jobs = [("web", "web", "front", web), ("twin", "web", "front", twin), ("old", "old", "four", old),
                ("good1", "good", "front", None), ("good2", "good", "side", None),
                ("bad1", "bad", "front", None), ("bad2", "bad", "side", None)]
        self.containers = {c.name: c for c in lab.parallel([
            lambda n=n, z=z, net=net, p=p: l.run(n, labels={"tier": z}, network=net, ports=p) for n, z, net, p in jobs], 2)}
        self.zone = {n: z for n, z, _, _ in jobs}
        self.receivers = {n: l.receiver(self.containers[n], sorted(SERVED)) for n in ("web", "twin", "old")}
        info = self.containers["web"].info["NetworkSettings"]["Ports"]["80/tcp"]
        self.ranged = next(int(b["HostPort"]) for b in info if 9100 <= int(b["HostPort"]) <= 9105)
        net = {n: l.api("GET", f"/networks/{n}")["IPAM"]["Config"] for n in ("front", "side", "four")}
        self.gateway = {n: [c.get("Gateway") or c["Subnet"].replace("0/24", "1").replace("::/64", "::1") for c in cs]
                        for n, cs in net.items()}

    def addresses(self):
        """How a host is called: way, address."""
        out = [("uplink", lab.HOST4), ("uplink", lab.HOST6), ("second", SECOND4), ("second", SECOND6)]
        for n, gws in self.gateway.items():
            out += [(f"gateway-{n}", g) for g in gws]
        return out

    def everywhere(self):
        """Ports on every address of the host: port, target, container's port."""
        out = [(8000 + p, "web", p) for p in sorted(SERVED)] + [(8500 + p, "web", p) for p in sorted(SERVED)]
        return out + [(7000 + p, "old", p) for p in sorted(SERVED)]

    def one_address(self):
        """Ports on one address: address, port, target, container's port."""
        return [(lab.HOST4, 8282, "web", 80), (SECOND4, 8282, "twin", 81), (lab.HOST6, 8484, "web", 80),
                (SECOND6, 8484, "twin", 81), ("127.0.0.1", 8383, "web", 80), ("127.0.0.1", 8282, "twin", 80),
                ("::1", 8484, "twin", 80)]

    def sources(self):
        """place, zone, source addresses (4, 6)"""
        l, out = self.lab, []
        out += [(l.out, "lan", None, None), (l.out, "office", OFFICE4, OFFICE6), (l.out, "internet", lab.INTERNET4, lab.INTERNET6)]
        out += [(l.host, "host", None, None)]
        return out + [(self.containers[n], self.zone[n], None, None) for n in ("good1", "good2", "bad1", "bad2", "web")]

    def cells(self):
        out = []
        for place, zone, s4, s6 in self.sources():
            outside, host = place is self.lab.out, place is self.lab.host
            ways = [("loopback", "127.0.0.1"), ("loopback", "::1")] if host else []
            ways += [w for w in self.addresses() if not outside or w[0] in ("uplink", "second")]
            for way, a in ways:
                s = s6 if ":" in a else s4
                for port, target, real in self.everywhere():
                    if port >= 8500 and way != "uplink":
                        continue
                    out += [Cell(way, place, zone, proto, a, port, target, real, s) for proto in PROTOS]
                if way == "uplink":
                    out.append(Cell("range", place, zone, "tcp", a, self.ranged, "web", 80, s))
            for a, port, target, real in self.one_address():
                if host or not a.startswith(("127", "::1")):
                    out.append(Cell("one-address", place, zone, "tcp", a, port, target, real, s6 if ":" in a else s4))
            if place.name != "web":
                for target in ("web", "old"):
                    c = self.containers[target]
                    out += [Cell("direct", place, zone, proto, a, real, target, real, s6 if ":" in a else s4)
                            for a in (c.ip4, c.ip6) if a for real in sorted(SERVED) for proto in PROTOS]
        return out

    def probe(self, cells, timeout):
        """[(cell, arrived, what the sender saw, ms)]"""
        self.round += 1
        per = {}
        for i, c in enumerate(cells):
            per.setdefault(c.place.name, (c.place, []))[1].append((f"r{self.round}.{i}.", c))
        results = {}
        for r in lab.parallel([lambda p=p, v=v: self.lab.send(p, [c.line(m) for m, c in v], timeout) for p, v in per.values()], len(per)):
            results.update(r)
        for n in self.receivers:
            alive = f"r{self.round}.alive.{n}"
            self.lab.send(self.containers[n], [("tcp", "127.0.0.1", 80, alive)])
            lab.wait_for(f"{n} to hear itself", lambda n=n, alive=alive: self.receivers[n].count(alive), 5)
        heard = {n: {} for n in self.receivers}
        for n, r in self.receivers.items():
            for _, proto, port, _, marker in r.lines():
                heard[n].setdefault(marker, set()).add((proto, port))
        out = []
        for _, v in per.values():
            for m, c in v:
                for n in heard:
                    got = heard[n].get(m, set())
                    if got and (n != c.target or got != {(c.proto, c.real)}):
                        raise lab.LabError(f"{c}: arrived at {n} {got}")
                out.append((c, m in heard[c.target], *results[m]))
        return out


class Base:
    options = ()
    ip6tables = True

    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab(dockerd_options=cls.options, ip6tables=cls.ip6tables).up()
        cls.addClassCleanup(l.down)
        cls.h = Host(l)
        cls.cells = cls.h.cells()
        cls.daemon = None

    def test_1_what_docker_opens_without_bulkhead(self):
        res = self.h.probe(self.cells, 2.0)
        type(self).open = {id(c) for c, arrived, _, _ in res if arrived}
        wrong = [str(c) for c in self.cells if (id(c) in self.open) == self.docker_closes(c)]
        print(f"# {len(self.cells)} cells, Docker opens {len(self.open)}")
        self.assertFalse(wrong, f"{len(wrong)} cells:\n" + "\n".join(wrong[:40]))
        type(self).own = self.own_services()

    def docker_closes(self, c):
        """Bridges are kept apart from each other, by address."""
        other = c.place.name in ("good1", "good2", "bad1", "bad2") and (c.target == "old") + c.place.name.endswith("2") != 0
        return c.way == "direct" and other and (c.family == 4 or self.ip6tables)

    def test_2_judged_as_the_container_behind(self):
        type(self).daemon = self.lab.bulkheadd(CONFIG)
        bad, late = [], []
        for c, arrived, saw, ms in self.h.probe(self.cells, 2.0):
            want = c.allowed and id(c) in self.open
            if arrived != want or (c.proto == "tcp" and (saw == "ok") != want):
                bad.append(f"{c}: want {'open' if want else 'closed'}, {'arrived' if arrived else 'did not arrive'}, saw {saw}")
            # containers and the host are told, whoever would have carried the connection on
            if not c.allowed and c.proto == "tcp" and self.resets(c) and (saw != "refused" or ms > 1000):
                late.append(f"{c}: {saw} after {ms} ms")
        self.assertFalse(bad, f"{len(bad)} of {len(self.cells)} cells are wrong:\n" + "\n".join(bad[:40]))
        self.assertFalse(late, f"{len(late)} denials:\n" + "\n".join(late[:40]))

    def resets(self, c):
        """Who is told of every denial: who is outside never is."""
        return c.place is not self.lab.out

    def own_services(self):
        """What this host serves itself on a port that a container publishes on another address: {name: arrived}."""
        g = self.h.gateway["side"][0]
        r = self.lab.receiver(self.lab.host, [f"{a}@8686" for a in ("127.0.0.1", "::1", SECOND4, SECOND6, g)])
        tries = [("host", self.lab.host, "127.0.0.1"), ("host6", self.lab.host, "::1"), ("out", self.lab.out, SECOND4),
                 ("out6", self.lab.out, SECOND6), ("office", self.lab.out, f"{SECOND4}@{OFFICE4}"),
                 ("good2", self.h.containers["good2"], g), ("bad2", self.h.containers["bad2"], g)]
        got = {}
        for n, place, a in tries:
            got[n] = [self.lab.send(place, [(p, a, 8686, f"own-{n}-{p}")], 1.0)[f"own-{n}-{p}"][0] == "ok" for p in PROTOS]
        r.stop()
        return got

    def test_3_a_service_of_the_host_on_that_port_elsewhere_is_the_hosts(self):
        self.assertEqual(set(map(tuple, self.own.values())), {(True, True)}, self.own)
        self.assertEqual(self.own_services(), {n: [n != "good2"] * 2 for n in self.own})

    def test_8_teardown(self):
        self.daemon.teardown()
        res = self.h.probe(self.cells, 2.0)
        wrong = [str(c) for c, arrived, _, _ in res if arrived != (id(c) in self.open)]
        self.assertFalse(wrong, wrong[:40])


class Usual(Base, unittest.TestCase):
    """Besides: docker-proxy's second leg passes when the first was judged, and nobody else's connection from this host does."""

    def reload(self, *without):
        """The configuration, but that WITHOUT may not any more."""
        zones = ["world", "host", "good", "web"]
        left = CONFIG.replace(f"[{', '.join(zones)}]", f"[{', '.join(z for z in zones if z not in without)}]")
        assert left != CONFIG or not without
        self.daemon.reload(left)

    def by_proxy(self, n, marker, port=7080):
        """What N clients outside see who come over IPv6 to the container that has only IPv4."""
        res = self.lab.send(self.lab.out, [("tcp", lab.HOST6, port, f"{marker}.{i}") for i in range(n)], 5.0 if port == 7080 else 1.0)
        return [saw for saw, _ in res.values()]

    def as_host(self, marker, uid=None):
        """A process of the host connects to that container itself: what it sees."""
        old = self.h.containers["old"].ip4
        cmd = [self.lab.bin("probe"), "send", "1000"]
        if uid:
            cmd = ["setpriv", "--reuid", uid, "--clear-groups", *cmd]
        out = self.lab.host.exec(*cmd, input=f"tcp {old} 80 {marker}\n")
        return out.split()[1]

    def refused_alone(self, marker):
        """At once, or when the crowd is over that a host which stood still for a second made by answering a client twice."""
        if self.as_host(marker) != "refused":
            self.assertIn("expires", self.lab.host.exec("nft", "list", "set", "inet", "bulkhead", "crowd"))
            time.sleep(2.5)
            self.assertEqual(self.as_host(marker), "refused")

    def test_4a_the_second_leg_follows_the_first(self):
        self.reload("host")
        time.sleep(2.5)
        self.as_host("leg.left")  # what a first leg left while a rule for the host let the second one pass by itself
        for i in range(50 if lab.SOAK else 10):
            self.assertEqual(self.as_host(f"leg.alone{i}"), "refused")
            self.assertEqual(self.by_proxy(1, f"leg.one{i}"), ["ok"])
        count = 2000 if lab.SOAK else 300
        for i in range(0, count, 100):
            self.assertEqual(set(self.by_proxy(100, f"leg.burst{i}")), {"ok"})
        self.assertEqual(self.as_host("leg.other", uid="65534"), "refused")
        time.sleep(2.5)  # of a crowd nobody can tell who has got through: 2 s
        self.assertEqual(self.as_host("leg.late"), "refused")
        self.assertEqual(self.by_proxy(1, "leg.again"), ["ok"])
        self.refused_alone("leg.again")
        self.assertEqual(set(self.by_proxy(20, "leg.denied", port=7081)), {"timeout"})

    def test_4b_what_the_second_leg_repeats_passes(self):
        """Its first packet took the token; the container could not answer it."""
        old, gateway = self.h.containers["old"], self.h.gateway["four"][0]
        old.exec("ip", "route", "add", "blackhole", f"{gateway}/32")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            seen = pool.submit(self.by_proxy, 1, "leg.repeated")
            time.sleep(0.5)
            old.exec("ip", "route", "del", "blackhole", f"{gateway}/32")
            self.assertEqual(seen.result(), ["ok"])
        self.refused_alone("leg.beside")

    def opened(self):
        """The ports from which second legs were opened."""
        return set(re.findall(r" \. (\d+) ", self.lab.host.exec("nft", "list", "set", "inet", "bulkhead", "opened")))

    def test_4c_its_port_is_nobody_elses(self):
        """A second leg that was refused frees its port; who takes it within the minute has not been judged."""
        old, before = self.h.containers["old"], self.opened()
        self.h.receivers["old"].stop()
        # its process ends a moment after what started it, and a leg that it still took would be none that was refused
        lab.wait_for("nobody listens", lambda: not re.search(r":0050 \S+ 0A ", old.exec("cat", "/proc/net/tcp", "/proc/net/tcp6")))
        self.assertEqual(self.by_proxy(1, "leg.nobody"), ["reset"])
        self.h.receivers["old"] = self.lab.receiver(old, sorted(SERVED))
        port, = self.opened() - before
        self.refused_alone("leg.else")
        client = ("import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.settimeout(2); "
                  f"s.bind(('', {port})); print(s.connect_ex(('{old.ip4}', 80)))")
        self.assertEqual(int(self.lab.host.exec("python3", "-c", client)), errno.ECONNREFUSED)
        self.assertEqual(self.by_proxy(1, "leg.alive"), ["ok"])

    def test_5_a_datagram_may_always_be_the_first_again(self):
        """docker-proxy forgets a silent client after 90 s, conntrack after 120: forced here by forgetting the second leg."""
        p = self.lab.out.popen("python3", "-c", UDP_CLIENT, lab.HOST6, "7080", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for i, what in enumerate(("one", "two", "three")):
            if what == "three":
                time.sleep(2.5)
                self.lab.host.exec("conntrack", "-D", "-p", "udp", "-d", self.h.containers["old"].ip4)
            p.stdin.write(what + "\n")
            p.stdin.flush()
            self.assertEqual(p.stdout.readline().strip(), what)
        p.kill()

    def test_5_an_answer_from_another_address_is_the_clients_flow(self):
        """To conntrack the host has opened it: it ends with the rule all the same, and needs none of the host's."""
        addresses = {lab.HOST6, SECOND6}
        gateway = self.h.gateway["side"][1]
        for zone, place, others in (("world", self.lab.out, addresses), ("good", self.h.containers["good2"], addresses | {gateway})):
            self.reload("host")
            roamers = []
            for a in sorted(others):
                p = place.popen("python3", "-c", ROAMER, a, "7080", stdin=subprocess.PIPE, stdout=subprocess.PIPE)

                def say(what, p=p):
                    p.stdin.write(what + "\n")
                    p.stdin.flush()
                    return p.stdout.readline().strip()
                roamers.append((a, say, p))
            moved = [(say, p) for a, say, p in roamers if say(f"{zone}.{a}.first") not in ("-", a)]
            self.assertTrue(moved, f"{zone}: every address answers for itself: nothing to see")
            for say, _ in moved:
                self.assertNotEqual(say("second"), "-")
            self.reload("host", zone)
            time.sleep(0.3)
            n = len(self.h.receivers["old"].lines())
            for say, _ in moved:
                self.assertEqual([say("third"), say("fourth")], ["-", "-"])
            self.assertEqual(len(self.h.receivers["old"].lines()), n)
            for _, _, p in roamers:
                p.kill()
        self.reload()

    def test_5_without_a_flow_nothing_is_published(self):
        """Somebody on this host takes packets out of conntrack: to a published port they are then nobody's."""
        cells = [(proto, f"{lab.HOST6}@{OFFICE6}", port, f"flowless.{proto}{port}") for proto in PROTOS for port in (7080, 8080)]
        self.lab.host.exec("nft", "add table inet flowless; add chain inet flowless pre { type filter hook prerouting priority raw; }; "
                           f"add rule inet flowless pre ip6 saddr {OFFICE6} notrack")
        try:
            self.assertEqual({saw for saw, _ in self.lab.send(self.lab.out, cells, 1.0).values()}, {"timeout"})
            self.assertEqual(self.h.receivers["old"].count("flowless"), 0)
        finally:
            self.lab.host.exec("nft", "delete", "table", "inet", "flowless")

    def test_6_a_rule_that_goes_ends_the_first_leg(self):
        self.reload()
        p = self.lab.out.popen(self.lab.bin("probe"), "stream", lab.HOST6, "7080", "stream", "50", "30", stdout=subprocess.PIPE)
        r = self.h.receivers["old"]
        lab.wait_for("the stream", lambda: r.count("stream") > 5, 10)
        self.reload("world")
        n = r.count("stream")
        time.sleep(1)
        self.assertLessEqual(r.count("stream") - n, 2)
        self.reload()
        p.kill()


class WithoutIp6tables(Base, unittest.TestCase):
    ip6tables = False


class WithoutProxy(Base, unittest.TestCase):
    options = ["--userland-proxy=false"]

    def docker_closes(self, c):
        """What only a proxy can do, and everything between bridges."""
        if super().docker_closes(c):
            return True
        if c.family == 6 and c.target == "old":
            return True
        if c.address == "::1":
            return c.proto == "tcp"
        bridge = {"good1": "front", "bad1": "front", "web": "front", "good2": "side", "bad2": "side"}.get(c.place.name)
        return c.way != "direct" and bridge is not None and bridge != {"web": "front", "twin": "front", "old": "four"}[c.target]

    def resets(self, c):
        return c.place is self.lab.host or c.place is not self.lab.out and c.way == "direct"

    def test_4_containers_are_told_by_an_error(self):
        """A reset would come from the address behind DNAT; an error comes back through it, six at once and then one a second.
        The kernel forgets one that comes while connect() still holds the socket; the next one is a second later."""
        for name, address in [(n, a) for n in ("bad1", "bad2") for a in (lab.HOST4, lab.HOST6)]:
            def told(name=name, address=address):
                return self.lab.send(self.h.containers[name], [("tcp", address, 8081, "told")], 2.0)["told"][0] == "unreach"
            lab.wait_for(f"{name} to be told about {address}", told, 10, 1.1)


if __name__ == "__main__":
    tap.main()
