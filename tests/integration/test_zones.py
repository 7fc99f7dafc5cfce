#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 26 s, works 6 s
"""Zones of addresses and interfaces that move while everything runs: an interface that appears, is renamed and goes, what is on-link,
the host's addresses under a flood, metadata redefined, resolvers that change, drop-ins, priorities. Both families.
"""
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
  app: {select: {labels: {tier: app}}}
  asker: {select: {labels: {tier: asker}}}
  tunnel: {interfaces: ["tnl*"]}
  metadata: {cidrs: [169.254.169.254, 203.0.113.66, "2001:db8:99::66"]}
allow:
  - {from: app, to: tunnel, ports: [udp/81]}
  - {from: tunnel, to: app, ports: [udp/80]}
  - {from: app, to: lan, ports: [udp/82]}
  - {from: app, to: internet, ports: [udp/83]}
  - {from: asker, to: dns}
"""
PORTS = [53, 80, 81, 82, 83]
SIDE4, SIDE6 = "198.18.5.2", "2001:db8:77::2"    # behind an interface that comes and goes; on-link only while it has an address there
RESOLVERS = {4: ("203.0.113.53", "203.0.113.54"), 6: ("2001:db8:99::53", "2001:db8:99::54")}


class Zones(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab(docker=False).up()
        cls.addClassCleanup(l.down)
        cls.resolv = l.root / "resolv.conf"
        cls.resolv.write_text(f"nameserver {RESOLVERS[4][0]}\nnameserver {RESOLVERS[6][0]}\n")
        l.host.exec("mount", "--bind", cls.resolv, "/etc/resolv.conf")
        l._start_dockerd()
        l._import_image()
        l.network("net")
        cls.app, cls.asker = lab.parallel([lambda t=t: l.run(f"{t}1", labels={"tier": t}, network="net") for t in ("app", "asker")], 2)
        l.host.exec("ip", "netns", "add", "side")
        cls.side = lab.Place(l, "side", ["-n", "/run/netns/side"])
        l.out.exec("sh", "-ec", "for a in 203.0.113.53 203.0.113.54 203.0.113.66 203.0.113.67 198.18.5.2; do ip addr add $a/32 dev lo; done;"
                   "for a in 2001:db8:99::53 2001:db8:99::54 2001:db8:99::66 2001:db8:99::67 2001:db8:77::2; do ip addr add $a/128 dev lo nodad; done")
        l.lift_docker_isolation()
        cls.rx = {"out": l.receiver(l.out, PORTS), "app": l.receiver(cls.app, PORTS), "host": l.receiver(l.host, PORTS)}
        cls.daemon = l.bulkheadd(CONFIG)

    def plug(self, name):
        """An interface NAME to a namespace that has the side's addresses; the host's address on it makes them on-link."""
        self.lab.host.exec("sh", "-ec", f"""
            ip link add {name} type veth peer name eth0 netns side
            ip addr add 198.18.5.1/24 dev {name}; ip addr add 2001:db8:77::1/64 dev {name} nodad; ip link set {name} up""")
        self.side.exec("sh", "-ec", f"""
            for i in all default; do echo 0 > /proc/sys/net/ipv6/conf/$i/accept_dad; done; ip link set lo up; ip link set eth0 up
            ip addr add {SIDE4}/24 dev eth0; ip addr add {SIDE6}/64 dev eth0 nodad
            ip route add default via 198.18.5.1; ip -6 route add default via 2001:db8:77::1""")
        if "side" not in self.rx:
            self.rx["side"] = self.lab.receiver(self.side, PORTS)

    def opened(self, place, addresses, ports=(80, 81, 82, 83), timeout=1.2):
        """The ports on which something came back, the same at all ADDRESSES."""
        tag = f"m{time.monotonic_ns()}"
        cells = [("udp", a, p, f"{tag}-{i}-{p}") for i, a in enumerate(addresses) for p in ports]
        r = self.lab.send(place, cells, timeout)
        got = [{p for p in ports if r[f"{tag}-{i}-{p}"][0] == "ok"} for i in range(len(addresses))]
        return got[0] if all(g == got[0] for g in got) else dict(zip(addresses, got))

    def becomes(self, want, *args, timeout=5, **kw):
        """Within a second or so; the last answer is the one that counts."""
        end = time.monotonic() + timeout
        while True:
            got = self.opened(*args, **kw)
            if got == want or time.monotonic() > end:
                self.assertEqual(got, want)
                return

    def test_1_an_interface_appears_is_renamed_and_goes(self):
        side = (SIDE4, SIDE6)
        self.plug("plain0")
        self.becomes({82}, self.app, side)          # on-link: lan
        self.assertEqual(self.opened(self.side, (self.app.ip4, self.app.ip6)), set())
        for name, out, back in (("tnl0", {81}, {80}), ("other0", {82}, set()), ("tnlx", {81}, {80})):
            old = next(x for x in ("plain0", "tnl0", "other0") if x in self.lab.host.exec("ip", "-br", "link"))
            self.lab.host.exec("sh", "-ec", f"ip link set {old} down; ip link set {old} name {name}; ip link set {name} up;"
                               f"ip addr replace 2001:db8:77::1/64 dev {name} nodad")
            self.becomes(out, self.app, side)
            self.becomes(back, self.side, (self.app.ip4, self.app.ip6))
        self.lab.host.exec("ip", "link", "del", "tnlx")
        self.becomes({83}, self.app, side)          # by the default route: the internet
        self.plug("tnl1")
        self.becomes({81}, self.app, side)
        self.lab.host.exec("ip", "link", "del", "tnl1")

    def test_2_what_is_on_link_comes_and_goes(self):
        """The prefix of an address on the uplink makes its neighbours lan; without it they are the internet."""
        site = ("203.0.113.67", "2001:db8:99::67")
        self.assertEqual(self.opened(self.app, site), {83})
        # what Docker masquerades takes the nearest address
        self.lab.out.exec("sh", "-ec", "ip route add 203.0.113.65 dev eth0; ip -6 route add 2001:db8:99::65 dev eth0")
        self.lab.host.exec("sh", "-ec", f"ip addr add 203.0.113.65/29 dev {lab.UPLINK} noprefixroute;"
                           f"ip addr add 2001:db8:99::65/124 dev {lab.UPLINK} nodad noprefixroute")
        self.becomes({82}, self.app, site)
        self.lab.host.exec("sh", "-ec", f"ip addr del 203.0.113.65/29 dev {lab.UPLINK}; ip addr del 2001:db8:99::65/124 dev {lab.UPLINK}")
        self.becomes({83}, self.app, site)

    def test_3_metadata_redefined(self):
        self.assertEqual(self.opened(self.app, ("203.0.113.66", "2001:db8:99::66")), set())
        r = self.lab.send(self.app, [("tcp", "203.0.113.66", 83, "meta")], 1)
        self.assertEqual(r["meta"][0], "refused")
        self.assertGreater(self.denied("metadata"), 0)

    def denied(self, which):
        text = self.lab.host.exec("nft", "list", "counter", "inet", "bulkhead", f"denied_{which}")
        return int(text.split("packets")[1].split()[0])

    def test_4_a_new_bridges_gateway_is_never_lan(self):
        """A flood from a container to what is lan (IPv6: the internet), until a new network's gateway has the address: the host must
        not hear a word."""
        flood = {}
        rounds = 12 if lab.SOAK else 1
        for i in range(rounds):
            n = self.lab._next_net
            gw = {4: f"10.111.{n}.1", 6: f"2001:db8:d0:{n:x}::1"}
            for v, a in gw.items():
                flood[v] = self.app.popen(self.lab.bin("probe"), "blast", "udp", a, 82 if v == 4 else 83, 120, 2)
            time.sleep(0.5)
            before = self.rx["host"].text().count("\n")
            self.lab.network(f"late{i}")
            time.sleep(1.5)
            self.assertEqual(self.rx["host"].text().count("\n"), before, "the host heard the flood")
            self.assertEqual([p.poll() for p in flood.values()], [None, None], "the flood is over")
            for p in flood.values():
                p.kill()
                p.wait()
            self.assertEqual(self.opened(self.app, tuple(gw.values())), set())
        self.lab.send(self.lab.host, [("udp", gw[4], 82, "alive4"), ("udp", gw[6], 82, "alive6")], 1)
        self.assertEqual(self.rx["host"].count("alive"), 2)

    def test_5_resolvers_change_while_containers_run(self):
        """A new one is known at once; the old one stays for who was started with it, and goes with them."""
        first, second = ({v: RESOLVERS[v][i] for v in (4, 6)} for i in (0, 1))
        self.assertEqual(self.opened(self.asker, tuple(first.values()), (53, 80)), {53})
        self.assertEqual(self.opened(self.asker, tuple(second.values()), (53, 80)), set())
        self.resolv.write_text(f"nameserver {second[4]}\nnameserver {second[6]}\n")
        self.becomes({53}, self.asker, tuple(second.values()), (53, 80))
        self.assertEqual(self.opened(self.asker, tuple(first.values()), (53, 80)), {53})
        for c in (self.app, self.asker):
            c.stop()
        lab.wait_for("both to be gone", lambda: not self.daemon.status()["containers"])
        for c in (self.app, self.asker):
            c.start()
        self.rx["app"].stop()
        self.rx["app"] = self.lab.receiver(self.app, PORTS)
        self.daemon.wait_zone("asker1", "asker")
        self.becomes({53}, self.asker, tuple(second.values()), (53, 80))
        self.becomes(set(), self.asker, tuple(first.values()), (53, 80))

    def test_6_what_dockerd_itself_gives(self):
        """dockerd with --dns gives that one alone."""
        for c in (self.app, self.asker):
            c.stop()
        self.lab.dockerd_options += ["--dns", RESOLVERS[4][0], "--dns", RESOLVERS[6][0]]
        self.lab.restart_dockerd()
        self.lab.lift_docker_isolation()
        lab.wait_for("docker connected again", lambda: self.daemon.status()["runtimes"][0]["state"] == "connected", 15)
        for c in (self.app, self.asker):
            c.start()
        self.rx["app"].stop()
        self.rx["app"] = self.lab.receiver(self.app, PORTS)
        self.daemon.wait_zone("asker1", "asker")
        self.becomes({53}, self.asker, tuple(RESOLVERS[v][0] for v in (4, 6)), (53, 80))
        self.becomes(set(), self.asker, tuple(RESOLVERS[v][1] for v in (4, 6)), (53, 80))

    def test_7_drop_ins_and_priorities(self):
        """conf.d in name order; places in errors are relative; the higher priority wins, a tie is quarantine with the reason."""
        d = self.daemon.dir / "conf.d"
        d.mkdir(exist_ok=True)
        (d / "20-office.yaml").write_text('version: 1\nzones:\n  office: {cidrs: [203.0.113.67, "2001:db8:99::67"]}\n'
                                          "allow:\n  - {from: app, to: office, ports: [udp/80]}\n")
        (d / "10-first.yaml").write_text("version: 1\nzones:\n  first: {priority: 3, select: {name: \"app*\"}}\n"
                                         "allow:\n  - {from: first, to: office, ports: [udp/81]}\n")
        self.daemon.reload()
        self.assertEqual(self.daemon.zone_of("app1"), "first")
        self.assertEqual(self.opened(self.app, ("203.0.113.67", "2001:db8:99::67")), {81})
        (d / "10-first.yaml").write_text("version: 1\nzones:\n  first: {select: {name: \"app*\"}}\n")
        self.daemon.reload()
        c = next(c for c in self.daemon.status()["containers"] if c["name"] == "app1")
        self.assertEqual(c["zone"], "quarantine")
        self.assertIn("app", c["reason"])
        self.assertIn("first", c["reason"])
        self.assertEqual(self.opened(self.app, ("203.0.113.67", "2001:db8:99::67")), set())
        (d / "10-first.yaml").write_text("version: 1\nzones:\n  first: {priority: -1, select: {name: \"app*\"}}\n")
        self.daemon.reload()
        self.assertEqual(self.opened(self.app, ("203.0.113.67", "2001:db8:99::67")), {80})
        (d / "30-bad.yaml").write_text("version: 1\nzones:\n  office: {cidrs: [198.18.9.0/24]}\n")
        r = self.daemon.cli("reload")
        self.assertEqual(r.returncode, 2)
        self.assertIn("conf.d/30-bad.yaml:3:3", r.stderr)
        self.assertIn("conf.d/20-office.yaml:3", r.stderr)
        self.assertEqual(self.opened(self.app, ("203.0.113.67", "2001:db8:99::67")), {80})
        for f in d.iterdir():
            f.unlink()
        self.daemon.reload()

    def test_8_control_open_without_bulkhead(self):
        self.daemon.teardown()
        self.lab.lift_docker_isolation()
        self.assertEqual(self.opened(self.app, ("203.0.113.66", "203.0.113.67", "2001:db8:99::66", "2001:db8:99::67")), {80, 81, 82, 83})
        self.assertEqual(self.opened(self.asker, [a for v in (4, 6) for a in RESOLVERS[v]], (53, 80)), {53, 80})


if __name__ == "__main__":
    tap.main()
