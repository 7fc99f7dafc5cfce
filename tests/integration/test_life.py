#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 18 s, works 17 s
"""What happens to containers while they live: bursts, networks that come and go, restarts, other names, shared
namespaces, every kind of bridge. After each step the kernel's sets hold exactly what exists.
"""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import sets  # noqa: E402
import tap  # noqa: E402
from fakedocker import FakeDocker  # noqa: E402

BURST = 20 if lab.SOAK else 8
ROUNDS = 5 if lab.SOAK else 1
CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
  api: {select: {labels: {tier: api}}}
  blue: {priority: 1, select: {name: "blue*"}}
allow:
  - {from: web, to: api, ports: [tcp/7000, udp/7000]}
  - {from: blue, to: api, ports: [udp/7001]}
"""
ALL = {(p, n) for p in ("tcp", "udp") for n in (7000, 7001)}
WEB = {("tcp", 7000), ("udp", 7000)}
BLUE = {("udp", 7001)}


class Life(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        cls.fake = FakeDocker(str(l.root / "twin.sock"))    # a second runtime, for what dockerd refuses to make
        cls.addClassCleanup(cls.fake.stop)
        cls.fake.networks.clear()
        l.network("one")
        l.network("two")
        cls.web, cls.api = lab.parallel([lambda: l.run("web", labels={"tier": "web"}, network="one"),
                                         lambda: l.run("api", labels={"tier": "api"}, network="one")], 2)
        cls.rx, cls.count = {}, 0
        cls.daemon = None

    # -- packets -----------------------------------------------------------

    def receiver(self, place):
        pid = getattr(place, "pid", None)
        if self.rx.get(place.name, (None, None))[0] != pid:    # after a restart it is another namespace
            self.forget(place)
        if place.name not in self.rx:
            self.rx[place.name] = (pid, self.lab.receiver(place, [7000, 7001]))
        return self.rx[place.name][1]

    def forget(self, *places):
        """Their namespaces are gone, or other ones."""
        for p in places:
            if p.name in self.rx:
                self.rx.pop(p.name)[1].stop()

    def reach(self, src, dst, addresses, timeout=1.0):
        """(protocol, port) that arrive from src at every address of dst, and nothing at one address alone."""
        rx = self.receiver(dst)
        type(self).count += 1
        cells = [(p, a, n, f"m{self.count}-{p}-{n}-{a}") for p, n in ALL for a in addresses]
        self.lab.send(src, cells, timeout)
        self.lab.send(dst, [("udp", "127.0.0.1", 7000, f"alive{self.count}")], 1)
        heard = rx.markers()
        self.assertIn(f"alive{self.count}", heard, f"{dst.name} does not hear")
        got = [{(p, n) for p, a, n, m in cells if m in heard and a == address} for address in addresses]
        self.assertEqual(got, [got[0]] * len(got), f"{src.name} to {dst.name}: not the same at {addresses}")
        return got[0]

    def both(self, c, network=None):
        n = c.networks[network] if network else next(iter(c.networks.values()))
        return [n["IPAddress"], n["GlobalIPv6Address"]]

    def settled(self):
        sets.check(self, self.lab)

    def row(self, name):
        return next((c for c in self.daemon.status()["containers"] if c["name"] == name), None)

    def pair(self, network, tag):
        l = self.lab
        return lab.parallel([lambda: l.run(f"{tag}-web", labels={"tier": "web"}, network=network),
                             lambda: l.run(f"{tag}-api", labels={"tier": "api"}, network=network)], 2)

    def stray(self, bridge, addresses):
        """A port on a bridge of which no runtime knows, with what is behind it."""
        l, name = self.lab, f"stray-{bridge}"
        l.host.exec("ip", "netns", "add", name)
        place = lab.Place(l, name, ["-n", f"/run/netns/{name}"])
        l.host.exec("sh", "-ec", f"ip link add st0 netns {name} type veth peer name st-{bridge[-8:]}; "
                    f"ip link set st-{bridge[-8:]} master {bridge} up")
        place.exec("sh", "-ec", "ip link set lo up; ip link set st0 up; "
                   + "; ".join(f"ip addr add {a} dev st0 {'nodad' if ':' in a else ''}" for a in addresses))
        return place

    def unstray(self, bridge):
        self.lab.host.exec("sh", "-ec", f"ip link del st-{bridge[-8:]}; ip netns del stray-{bridge}")

    # -- life -----------------------------------------------------------------

    def test_01_control_and_start(self):
        self.assertEqual(self.reach(self.web, self.api, self.both(self.api)), ALL)
        self.assertEqual(self.reach(self.api, self.web, self.both(self.web)), ALL)
        type(self).daemon = self.lab.bulkheadd(CONFIG, extra=["--runtime", f"docker={self.fake.path}"])
        self.assertEqual(self.reach(self.web, self.api, self.both(self.api)), WEB)
        self.assertEqual(self.reach(self.api, self.web, self.both(self.web)), set())
        self.settled()

    def test_02_bursts_of_run_rm(self):
        """Many at once, half of them nobody's: those of web arrive, the others never, and none leaves anything."""
        rx = self.receiver(self.api)
        for r in range(ROUNDS):
            def one(i):
                mine = i % 2 == 0
                to = self.both(self.api)[i // 2 % 2]
                cid = self.lab.create(f"burst{r}-{i}", labels={"tier": "web"} if mine else {}, network="one",
                                      cmd=["sh", "-c", f"firstpkt udp {to} 7000 b{r}-{i}x 20 100000 & sleep 3"],
                                      host_config={"AutoRemove": True})
                self.lab.api("POST", f"/containers/{cid}/start")
            lab.parallel([lambda i=i: one(i) for i in range(BURST)], BURST)
            lab.wait_for("the burst to be over", lambda: len(self.lab.api("GET", "/containers/json?all=1")) == 2, 120, 0.2)
            ended = lab.time.monotonic()
            lab.wait_for("two left", lambda: {c["name"] for c in self.daemon.status()["containers"]} == {"web", "api"}, 10, 0.05)
            heard = rx.markers()
            late = [i for i in range(0, BURST, 2) if f"b{r}-{i}x 0" not in heard]
            lost = [i for i in range(0, BURST, 2) if not any(m.startswith(f"b{r}-{i}x ") for m in heard)]
            leaked = [i for i in range(1, BURST, 2) if any(m.startswith(f"b{r}-{i}x ") for m in heard)]
            print(f"# {len(late)} of {BURST // 2} without their very first packet; gone from status "
                  f"{lab.time.monotonic() - ended:.2f} s after the last one")
            self.assertEqual((lost, leaked), ([], []))
            self.settled()

    def test_03_connect_and_disconnect_a_running_one(self):
        l = self.lab
        other = l.run("other", labels={"tier": "api"}, network="two")
        rx = self.receiver(other)
        to = self.both(other)[0]
        # it sends all the time from the moment on that it has the interface
        sender = self.web.popen("sh", "-c", f"while ! ip -o -4 addr show eth1 2>/dev/null | grep -q inet; do :; done; "
                                f"exec {l.bin('firstpkt')} udp {to} 7000 hot 6000 1000")
        began = lab.time.monotonic()
        l.api("POST", "/networks/two/connect", {"Container": self.web.id})
        l.api("POST", "/networks/two/connect", {"Container": self.api.id})
        lab.wait_for("its packets", lambda: rx.count("hot "), 20, 0.005)
        first = min(int(m.split()[1]) for m in rx.markers() if m.startswith("hot "))
        print(f"# heard {lab.time.monotonic() - began:.2f} s after `network connect` began; {first} packets of 1 ms came before")
        sender.kill()
        self.web.refresh(), self.api.refresh()
        self.settled()
        self.assertEqual(self.reach(self.web, other, self.both(other)), WEB)
        self.assertEqual(self.reach(self.web, self.api, self.both(self.api, "one") + self.both(self.api, "two")), WEB)
        self.assertEqual(self.reach(other, self.web, self.both(self.web, "two")), set())
        self.assertEqual(sorted(e["network"] for e in self.row("web")["endpoints"]), ["one", "two"])
        # back to one network, and off that one too
        l.api("POST", "/networks/two/disconnect", {"Container": self.web.id})
        lab.wait_for("one endpoint", lambda: [e["network"] for e in self.row("web")["endpoints"]] == ["one"], 10, 0.05)
        self.settled()
        l.api("POST", "/networks/one/disconnect", {"Container": self.web.id})
        lab.wait_for("no endpoint", lambda: self.row("web")["endpoints"] == [], 10, 0.05)
        self.assertEqual((self.row("web")["enforced"], self.row("web")["unenforced_reason"]), ("none", "has no network"))
        self.settled()
        l.api("POST", "/networks/one/connect", {"Container": self.web.id})
        self.web.refresh()
        self.settled()
        self.assertEqual(self.reach(self.web, self.api, self.both(self.api, "one"), 2.5), WEB)
        l.api("POST", "/networks/two/disconnect", {"Container": self.api.id})
        self.forget(other)
        other.remove()
        self.api.refresh()
        self.settled()

    def test_04_restart_pause_stop_start(self):
        l = self.lab
        before = self.row("web")["endpoints"][0]["interface"]
        l.api("POST", f"/containers/{self.web.id}/restart?t=0")
        self.web.refresh()
        self.settled()
        self.assertNotEqual(self.row("web")["endpoints"][0]["interface"], before)
        self.assertEqual(self.reach(self.web, self.api, self.both(self.api)), WEB)
        l.api("POST", f"/containers/{self.api.id}/pause")
        self.settled()
        self.assertEqual((self.row("api")["zone"], self.row("api")["enforced"]), ("api", "full"))
        l.api("POST", f"/containers/{self.api.id}/unpause")
        self.assertEqual(self.reach(self.web, self.api, self.both(self.api)), WEB)
        # somebody else gets the address of one that stopped; both directions of it are the new one's
        address = self.web.ip4
        self.web.stop()
        lab.wait_for("web to be gone", lambda: self.row("web") is None, 10, 0.02)
        self.settled()
        heir = l.run("heir", network="one", ip=address)
        self.assertEqual(self.row("heir")["zone"], "quarantine")
        self.assertEqual(self.reach(heir, self.api, self.both(self.api)), set())
        self.settled()
        heir.remove()
        self.web.start()
        self.settled()
        self.assertEqual(self.reach(self.web, self.api, self.both(self.api)), WEB)

    def test_05_rename_moves_where_the_name_decides(self):
        l = self.lab
        l.api("POST", f"/containers/{self.web.id}/rename?name=blue1")
        self.daemon.wait_zone("blue1", "blue")
        self.settled()
        self.assertEqual(self.reach(self.web, self.api, self.both(self.api)), BLUE)
        l.api("POST", f"/containers/{self.web.id}/rename?name=web")
        self.daemon.wait_zone("web", "web")
        self.assertEqual(self.reach(self.web, self.api, self.both(self.api)), WEB)
        self.assertEqual([c["name"] for c in self.daemon.status()["containers"]].count("web"), 1)

    def test_06_shared_namespace_is_its_owners(self):
        l = self.lab
        sharer = l.run("sharer", labels={"tier": "api"}, network=f"container:{self.web.id}")
        lab.wait_for("sharer in status", lambda: self.row("sharer"), 10, 0.05)
        row = self.row("sharer")
        self.assertEqual((row["zone"], row["endpoints"], row["enforced"]), ("web", [], "full"))
        self.assertIn("by itself it would be in api", row["reason"])
        self.assertEqual(self.reach(sharer, self.api, self.both(self.api)), WEB)
        # the owner starts again in a namespace of its own: the sharer is left in one without a network
        self.web.stop()
        lab.wait_for("web to be gone", lambda: self.row("web") is None, 10, 0.05)
        self.assertEqual(self.row("sharer")["zone"], "quarantine")
        self.settled()
        self.web.start()
        self.settled()
        self.assertEqual(self.reach(sharer, self.api, self.both(self.api)), set())
        self.assertEqual(self.reach(self.web, self.api, self.both(self.api)), WEB)
        l.api("POST", f"/containers/{sharer.id}/restart?t=0")
        sharer.refresh()
        self.assertEqual(self.reach(sharer, self.api, self.both(self.api)), WEB)
        self.assertEqual(self.row("sharer")["zone"], "web")
        sharer.remove()
        lab.wait_for("sharer to be gone", lambda: self.row("sharer") is None, 10, 0.05)
        self.settled()

    def test_07_host_and_none_are_listed_with_the_reason(self):
        l = self.lab
        hosty, none = l.run("hosty", labels={"tier": "web"}, network="host"), l.run("none", labels={"tier": "web"}, network="none")
        lab.wait_for("both in status", lambda: self.row("hosty") and self.row("none"), 10, 0.05)
        for name, reason in (("hosty", "uses the host's network"), ("none", "has no network")):
            row = self.row(name)
            self.assertEqual((row["enforced"], row["unenforced_reason"], row["endpoints"]), ("none", reason, []))
        # what it sends is the host's, whatever its labels say
        self.assertEqual(self.reach(hosty, self.api, self.both(self.api)), set())
        for c in (hosty, none):
            c.remove()
        lab.wait_for("both gone", lambda: not self.row("hosty") and not self.row("none"), 10, 0.05)
        self.settled()

    def test_08_internal_named_and_many_networks(self):
        l = self.lab
        l.network("inner", internal=True)
        l.network("named", options={"com.docker.network.bridge.name": "lifebr0"})
        # With bridged frames in iptables, Docker's own rules drop neighbour discovery on an internal network.
        l.lift_docker_isolation()
        multi = l.run("multi", labels={"tier": "web"}, network="inner")
        for n in ("named", "two"):
            l.api("POST", f"/networks/{n}/connect", {"Container": multi.id})
        multi.refresh()
        pairs = {n: self.pair(n, n) for n in ("inner", "named")}
        self.settled()
        for n, (web, api) in pairs.items():
            with self.subTest(network=n):
                self.assertEqual(self.reach(web, api, self.both(api)), WEB)
                self.assertEqual(self.reach(multi, api, self.both(api)), WEB)
                self.assertEqual(self.reach(api, web, self.both(web)), set())
                self.assertEqual(self.reach(api, multi, self.both(multi, n)), set())
                bridge = l.networks[n]
                self.assertIn(bridge, [e["bridge"] for e in self.row(f"{n}-web")["endpoints"]])
                v4, v6 = self.both(api)
                stray = self.stray(bridge, [v4.rsplit(".", 1)[0] + ".99/24", v6.rsplit(":", 1)[0] + ":99/64"])
                self.assertEqual(self.reach(stray, api, self.both(api)), set())
                self.unstray(bridge)
        self.assertEqual(sorted(e["network"] for e in self.row("multi")["endpoints"]), ["inner", "named", "two"])
        for c in (multi, *pairs["inner"], *pairs["named"]):
            self.forget(c)
            c.remove()
        self.settled()
        for n in ("inner", "named"):
            l.api("DELETE", f"/networks/{n}")
        lab.wait_for("their bridges to be forgotten", lambda: not {("lifebr0",), (l.networks["inner"],)}
                     & (sets.kernel(l)["inet nf_call4"] | sets.kernel(l)["inet bridges"]), 10, 0.1)
        self.settled()

    def test_09_ipv6_alone(self):
        """Docker 20.10 gives every network an IPv4 subnet; a container may still do without."""
        l = self.lab
        web, api = self.pair("two", "six")
        for c in (web, api):
            c.exec("ip", "-4", "addr", "flush", "dev", "eth0")
        v6 = self.both(api)[1:]
        self.assertEqual(self.reach(web, api, v6), WEB)
        self.assertEqual(self.reach(api, web, self.both(web)[1:]), set())
        l.api("POST", f"/containers/{web.id}/restart?t=0")
        web.refresh()
        web.exec("ip", "-4", "addr", "flush", "dev", "eth0")
        self.settled()
        self.assertEqual(self.reach(web, api, v6), WEB)
        for c in (web, api):
            self.forget(c)
            c.remove()
        self.settled()

    def test_10_the_same_subnet_on_two_bridges(self):
        """dockerd refuses it; a second runtime has it, with everybody's zones the other way round."""
        l = self.lab
        net4 = self.web.networks["one"]["IPAddress"].rsplit(".", 1)[0] + ".0/24"
        with self.assertRaisesRegex(lab.LabError, "overlap"):
            l.api("POST", "/networks/create", {"Name": "overlap", "Driver": "bridge", "IPAM": {"Config": [{"Subnet": net4}]}})
        net6 = self.both(self.web, "one")[1].rsplit("::", 1)[0] + "::/64"
        bridge = "br-feedfeedfeed"
        l.host.exec("sh", "-ec", f"ip link add {bridge} type bridge; ip link set {bridge} up")
        nid = self.fake.network("twin", bridge=bridge, subnets=(net4, net6))
        self.fake.event("network", "create", nid)
        # iptables knows nothing of this bridge, and dockerd masquerades what comes from its own subnet and leaves elsewhere
        l.lift_docker_isolation()
        for tool in ("iptables", "ip6tables"):
            l.host.exec(tool, "-t", "nat", "-I", "POSTROUTING", "-o", bridge, "-j", "ACCEPT")
        twins = {}
        for real, tier in ((self.web, "api"), (self.api, "web")):
            name, mac = f"twin-{real.name}", real.mac.replace("02:42", "02:43", 1)
            v4, v6 = self.both(real, "one")
            l.host.exec("ip", "netns", "add", name)
            place = twins[tier] = lab.Place(l, name, ["-n", f"/run/netns/{name}"])
            place.exec("sh", "-ec", "echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad; echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; "
                       "ip link set lo up")
            l.host.exec("sh", "-ec", f"ip link add eth0 address {mac} netns {name} type veth peer name vt-{real.name}; "
                        f"ip link set vt-{real.name} master {bridge} up")
            place.exec("sh", "-ec", f"ip link set eth0 up; ip addr add {v4}/24 dev eth0; ip addr add {v6}/64 dev eth0 nodad")
            place.addresses = [v4, v6]
            self.fake.run(name, {"tier": tier}, "twin", mac=mac, addresses=(f"{v4}/24", f"{v6}/64"))
        lab.wait_for("the twins in status", lambda: all(
            (self.row(f"twin-{n}") or {"endpoints": [{"interface": None}]})["endpoints"][0]["interface"] for n in ("web", "api")), 10, 0.05)
        self.assertEqual(self.reach(twins["web"], twins["api"], twins["api"].addresses, 2.5), WEB)
        self.assertEqual(self.reach(twins["api"], twins["web"], twins["web"].addresses), set())
        self.assertEqual(self.reach(self.web, self.api, self.both(self.api, "one")), WEB)
        self.assertEqual(self.reach(self.api, self.web, self.both(self.web, "one")), set())
        for real in (self.web, self.api):
            self.fake.remove(f"twin-{real.name}")
            self.forget(lab.Place(l, f"twin-{real.name}", []))
            l.host.exec("ip", "link", "del", f"vt-{real.name}")
        with self.fake.lock:
            del self.fake.networks[nid]
        self.fake.event("network", "destroy", nid)
        l.host.exec("ip", "link", "del", bridge)
        self.settled()

    def test_11_nothing_is_left(self):
        names = {c["name"] for c in self.daemon.status()["containers"]}
        self.assertEqual(names, {"web", "api"})
        self.assertEqual(self.daemon.status()["daemon"]["state"], "enforcing")
        self.settled()
        self.daemon.teardown()
        self.assertEqual(self.reach(self.api, self.web, self.both(self.web)), ALL)
        stray = self.stray(self.lab.networks["one"], [self.api.ip4.rsplit(".", 1)[0] + ".99/24",
                                                       self.api.ip6.rsplit(":", 1)[0] + ":99/64"])
        self.assertEqual(self.reach(stray, self.api, self.both(self.api)), ALL)


if __name__ == "__main__":
    tap.main()
