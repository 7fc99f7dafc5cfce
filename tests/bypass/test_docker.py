#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 60 s, works 12 s
"""Frames by hand from a container of a real Docker, counted where they arrive: frames.py has them, docs/SECURITY.md their ids.

First all without bulkhead: each arrives, or it is said why no kernel would deliver it. Then all with it: what is permitted arrives
and nothing else does, anywhere, and as many more are counted as denied.
"""
import json
import pathlib
import select
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "netns"), str(HERE.parent / "lab")]
import frames  # noqa: E402
import lab  # noqa: E402
import tap  # noqa: E402

CONFIG = f"""version: 1
mode: enforce
zones:
  web: {{select: {{labels: {{tier: web}}}}}}
  api: {{select: {{labels: {{tier: api}}}}}}
  far: {{select: {{labels: {{tier: far}}}}}}
allow:
  - {{from: web, to: api, ports: [udp/{frames.OPEN}, tcp/{frames.OPEN}]}}
  - {{from: host, to: api, ports: [udp/{frames.OPEN}]}}
"""
# Numbers that a kernel takes for itself or finds broken, so that what they carry arrives nowhere as it was: each family, where
SWALLOWED = {(4, "host"): {0, 255}, (6, "host"): {0, 43, 44, 50, 51, 60, 255, 58, 59, 135}}
FEW = 8     # others that this kernel may not deliver


class Wire:
    """wire.py in a place."""

    def __init__(self, place, *args):
        self.p = place.popen("python3", HERE / "wire.py", *args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.line(30)

    def line(self, seconds=60):
        if not select.select([self.p.stdout], [], [], seconds)[0]:
            raise lab.LabError("wire.py does not answer")
        text = self.p.stdout.readline()
        if not text:
            raise lab.LabError(f"wire.py ended with {self.p.wait()}")
        return text

    def ask(self, text):
        self.p.stdin.write(text + "\n")
        self.p.stdin.flush()
        return self.line()


class Docker(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        cls.bridges = [l.network(n) for n in ("net1", "net2")]
        local = {f"{frames.OPEN}/udp": [("127.0.0.1", "8090")]}
        cls.c = dict(zip(("me", "peer", "same", "far"), lab.parallel([
            lambda n=n, t=t, net=net, p=p: l.run(n, labels={"tier": t}, network=net, ports=p) for n, t, net, p in (
                ("web1", "web", "net1", None), ("api1", "api", "net1", None), ("web2", "web", "net1", None), ("far1", "far", "net2", local))], 2)))
        l.lift_docker_isolation()
        party = {n: frames.Party(c.mac, c.ip4, c.ip6) for n, c in cls.c.items()}
        for n, c in cls.c.items():
            here = json.loads(c.exec("ip", "-j", "addr", "show", "dev", "eth0"))[0]
            assert here["address"] == c.mac and c.ip4 in {a["local"] for a in here["addr_info"]}, (n, here)
        for n, place, dev, a4, a6 in (("uplink", l.host, lab.UPLINK, lab.HOST4, lab.HOST6), ("outside", l.out, "eth0", lab.OUT4, lab.OUT6)):
            party[n] = frames.Party(json.loads(place.exec("ip", "-j", "link", "show", "dev", dev))[0]["address"], a4, a6)
        for n, b, like in (("gw", cls.bridges[0], "me"), ("other_gw", cls.bridges[1], "far")):
            i = json.loads(l.host.exec("ip", "-j", "addr", "show", "dev", b))[0]
            six = next(a["local"] for a in i["addr_info"] if a["family"] == "inet6" and a["scope"] == "global")
            party[n] = frames.Party(i["address"], next(iter(cls.c[like].networks.values()))["Gateway"], six)
            party[n].ll = next((a["local"] for a in i["addr_info"] if a["family"] == "inet6" and a["scope"] == "link"), party[n].ll)
        cls.party = party
        cls.rows = frames.Rows(**party, host4=lab.HOST4, host6=lab.HOST6, out4=lab.INTERNET4, out6=lab.INTERNET6).make()
        cls.wires = {n: Wire(c, "sniff") for n, c in cls.c.items() if n != "me"}
        cls.wires["out"] = Wire(l.out, "sniff")
        cls.wires["host"] = Wire(l.host, "listen")
        cls.senders = {"me": Wire(cls.c["me"], "send", "eth0"), "out": Wire(l.out, "send", "eth0")}
        cls.daemon = None
        cls.by_id = {}

    # -- sending and counting -------------------------------------------------------

    def warm(self):
        """Bridges and neighbours know who is where, so that what is lost is not lost for that."""
        for c in self.c.values():
            gw = next(iter(c.networks.values()))["Gateway"]
            c.run_cmd("busybox", "arping", "-c", "1", "-w", "1", "-I", "eth0", gw)
        self.lab.host.exec("sh", "-c", "".join(f"ping -c1 -W1 {c.ip4} >/dev/null 2>&1; ping -6 -c1 -W1 {c.ip6} >/dev/null 2>&1;"
                                               for c in self.c.values()) + "true")

    def settle(self):
        """What a bridge and neighbours were made to believe is gone."""
        self.lab.host.exec("sh", "-c", f"ip link set {self.bridges[0]} type bridge fdb_flush; ip neigh flush all; ip -6 neigh flush all")
        self.warm()

    def send(self, rows, control=False):
        for row in rows:
            for i in range(0, len(row.forms), 64):
                self.senders[row.sender].ask(" ".join(x.hex() for f in row.forms[i:i + 64] for x in f.frames))
            if control and row.disturbs:
                self.settle()

    def counted(self):
        """{form's number: {where: how often}}"""
        time.sleep(0.3)
        out = {}
        for where, w in self.wires.items():
            for number, n in json.loads(w.ask("")).items():
                out.setdefault(int(number), {})[where] = n
        return out

    def denied(self):
        out = {}
        for x in json.loads(self.lab.host.exec("nft", "-j", "list", "counters"))["nftables"]:
            c = x.get("counter")
            if c and c["name"].startswith("denied_"):
                out[c["name"][7:]] = out.get(c["name"][7:], 0) + c["packets"]
        return out

    def flooded(self):
        """Where it arrives when the host sends to api1, knows its MAC, and its bridge does not know where that is: of each family."""
        p, text, out = self.party["peer"], (HERE / "shout.py").read_text(), []
        for a in (p.ip4, p.ip6):
            self.lab.host.exec("ip", "neigh", "replace", a, "lladdr", p.mac, "dev", self.bridges[0], "nud", "permanent")
            self.lab.host.exec("ip", "link", "set", self.bridges[0], "type", "bridge", "fdb_flush")
            self.counted()
            self.lab.host.exec("python3", "-c", text, a)
            out.append({w for got in self.counted().values() for w in got if w != "host"})
            self.lab.host.exec("ip", "neigh", "del", a, "dev", self.bridges[0])
        return out

    # -- the tests ----------------------------------------------------------------------

    def test_1_control_without_bulkhead(self):
        self.warm()
        self.counted()
        self.send(self.rows, control=True)
        seen, wrong, swallowed = self.counted(), [], {}
        for row in self.rows:
            for f in row.forms:
                got = seen.get(f.number, {})
                if row.id == "L3-1":
                    if f.look not in got:
                        swallowed.setdefault((4 if "IPv4" in row.title else 6, f.look), set()).add(int(f.name))
                elif f.look and (f.look in got) != (f.control is None):
                    wrong.append(f"{row}, {f.name}: {got or 'nowhere'}" + (f", though {f.control}" if f.control else ""))
        print(f"# {sum(len(r.forms) for r in self.rows)} forms of {len(self.rows)} rows; protocol numbers that do not arrive: {swallowed}")
        self.assertFalse(wrong, "\n".join(wrong))
        # a bridge learns from whatever api1 says meanwhile
        lab.wait_for("what the host sends to be flooded", lambda: self.flooded() == [{"peer", "same"}] * 2, 60)
        for k, v in swallowed.items():
            self.assertLessEqual(len(v - SWALLOWED.get(k, set())), FEW, f"{k}: {sorted(v)}")

    def test_2_enforced(self):
        type(self).daemon = self.lab.bulkheadd(CONFIG)
        for place in (*self.c.values(), self.lab.host):     # what they believed
            place.exec("ip", "-6", "route", "flush", "proto", "ra")
        self.settle()
        self.counted()
        wrong, before, per_row, sent = [], self.denied(), {}, {}
        for row in self.rows:
            self.send([row])
            after = self.denied()
            per_row[row] = {k: n - before.get(k, 0) for k, n in after.items() if n != before.get(k, 0)}
            before = after
        seen = self.counted()
        for row in self.rows:
            for f in row.forms:
                got = seen.get(f.number, {})
                if row.allowed and f.look not in got:
                    wrong.append(f"{row}, {f.name}: did not arrive")
                if set(got) - ({f.look} if row.allowed else {f.may}):
                    wrong.append(f"{row}, {f.name}: arrived at {got}")
            n = sum(v for k, v in per_row[row].items() if row.noise or k != "noise")
            want = row.drops or sum(len(f.frames) for f in row.forms)
            sent[row.id] = sent.get(row.id, 0) + n
            if row.counted and not row.allowed and n < want:
                wrong.append(f"{row}: {n} of {want} counted: {per_row[row]}")
        print("# denied: " + ", ".join(f"{k} {v}" for k, v in sent.items()))
        self.assertFalse(wrong, "\n".join(wrong))

    def test_3_whatever_the_namespaces_sysctls_say(self):
        rows = [r for r in self.rows if r.id in ("L2-1", "L2-9", "L2-14", "L3-3", "L3-4", "L3-10")]
        for v in ("0", "1"):
            for s in ("call-iptables", "call-ip6tables", "filter-vlan-tagged", "filter-pppoe-tagged"):
                self.lab.host.exec("sysctl", "-qw", f"net.bridge.bridge-nf-{s}={v}")
            self.counted()
            self.send(rows)
            seen = self.counted()
            self.assertFalse({f"{r}, {f.name}": seen[f.number] for r in rows for f in r.forms if f.number in seen}, f"sysctls {v}")

    def test_4_nobody_believes_the_lies(self):
        """After all of them: neighbours, routes and the bridge are as they were."""
        p = self.party
        p = {n: p[n] for n in p if n not in ("uplink", "outside")}
        true = {a: p[n].mac for n in p for a in (p[n].ip4, p[n].ip6, p[n].ll) if a != p["gw"].ll}    # Docker's bridges are all fe80::1
        for place in (*self.c.values(), self.lab.host):
            for n in json.loads(place.exec("ip", "-j", "neigh")):
                if n.get("lladdr") and n["dst"] in true:
                    self.assertEqual(n["lladdr"], true[n["dst"]], f"{place.name}: {n}")
            self.assertNotIn("proto ra", place.exec("ip", "-6", "route"), place.name)
        ports = {}
        for e in json.loads(self.lab.host.exec("bridge", "-j", "fdb", "show")):
            if e["mac"] in {p[n].mac for n in self.c} and "permanent" not in e.get("state", ""):
                ports.setdefault(e["mac"], set()).add(e["ifname"])
        self.assertEqual({len(v) for v in ports.values()}, {1})
        self.assertEqual(len(set(map(tuple, ports.values()))), len(ports), ports)

    def test_5_status_tells_of_them(self):
        row = next(r for r in self.rows if r.id == "L2-6")

        def dropped():
            return next(c for c in self.daemon.status()["containers"] if c["name"] == "web1")["dropped_packets"]
        before = dropped()
        self.send([row])
        lab.wait_for("dropped_packets", lambda: dropped() - before >= len(row.forms), 10)


    def test_6_what_is_denied_leaves_nothing_behind(self):
        """Who fills conntrack denies it to all: what is denied takes no place in it."""
        rows = frames.Rows(**self.party, host4=lab.HOST4, host6=lab.HOST6, out4=lab.INTERNET4, out6=lab.INTERNET6)
        taken = {}
        for port in (frames.CLOSED, frames.OPEN):
            before = int(self.lab.host.exec("cat", "/proc/sys/net/netfilter/nf_conntrack_count"))
            self.senders["me"].ask(" ".join(f(b"BP99999!", port=port, sport=10000 + i).hex() for i in range(1000) for f in (rows.u4, rows.u6)))
            taken[port] = int(self.lab.host.exec("cat", "/proc/sys/net/netfilter/nf_conntrack_count")) - before
        self.assertLess(taken[frames.CLOSED], 50)
        self.assertGreater(taken[frames.OPEN], 1900, "control")

    def tricked(self, *commands):
        """What arrives of datagrams to the permitted port after COMMANDS in web1, with all rights over its own network."""
        p, me = self.party, self.c["me"]
        self.counted()
        me.exec("sh", "-ec", "; ".join(commands))
        with open(HERE / "shout.py") as f:
            me.exec("python3", "-c", f.read(), p["peer"].ip4, p["peer"].ip6, p["far"].ip4, p["far"].ip6, p["gw"].ip4, p["gw"].ip6)
        return {n: got for n, got in self.counted().items() if got}

    def test_7_with_all_rights_over_its_own_network(self):
        """CAP_NET_ADMIN inside: other addresses, MACs and devices. The permitted port is open to web1 as it is, and to nothing else."""
        p = self.party["me"]
        net4, net6 = p.ip4 + "/24", p.ip6 + "/64"
        away = f"echo 0 > /proc/sys/net/ipv6/conf/default/disable_ipv6; ip addr del {net4} dev eth0; ip -6 addr flush dev eth0 scope global"
        back = (f"for d in sub0 other0; do ip link del $d 2>/dev/null || true; done; ip link set eth0 nomaster; ip addr flush dev eth0;"
                f"ip link set eth0 down; ip link set eth0 address {p.mac} up; ip addr add {net4} dev eth0; ip addr add {net6} dev eth0 nodad;"
                f"ip route replace default via {self.party['gw'].ip4}; ip -6 route replace default via {self.party['gw'].ip6}")
        a4, a6 = p.ip4.rsplit(".", 1)[0] + ".201/24", p.ip6.rsplit(":", 1)[0] + ":c9/64"

        def at(dev):
            return f"ip link set {dev} up; ip addr add {a4} dev {dev}; ip addr add {a6} dev {dev} nodad"
        self.assertEqual(set(self.tricked("true")), {1, 2}, "the control: as it is")
        tricks = {
            "another address": f"{away}; {at('eth0')}",
            "another MAC": "ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:77; ip link set eth0 up;"
                           f"ip addr add {net6} dev eth0 nodad; ip route replace default via {self.party['gw'].ip4}",
            "a macvlan of it": f"{away}; ip link add link eth0 name sub0 type macvlan mode bridge; {at('sub0')}",
            "a bridge over it": f"{away}; ip link add other0 type bridge; ip link set eth0 master other0; {at('other0')}",
        }
        for name, commands in tricks.items():
            with self.subTest(name):
                try:
                    self.assertEqual(self.tricked(commands), {})
                finally:
                    self.c["me"].exec("sh", "-ec", back)
        self.settle()
        lab.wait_for("web1 to be as it was", lambda: set(self.tricked("true")) == {1, 2}, 20)

    def test_8_what_the_host_sends_goes_to_nobody_else(self):
        for _ in range(3):
            self.assertEqual(self.flooded(), [{"peer"}] * 2)


if __name__ == "__main__":
    tap.main()
