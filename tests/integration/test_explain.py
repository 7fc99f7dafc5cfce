#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 40 s
"""bulkhead explain says of a connection what a packet finds: random tuples under random configurations, sent between simulated containers, the host and
three kinds of outside, with rules of others that drop some. BH_CONFIGS and BH_SEED give another series."""
import json
import os
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402

CONFIGS = int(os.environ.get("BH_CONFIGS", "50" if lab.SOAK else "3"))
TUPLES = 20
PORTS = (80, 81)
OFFICE = {4: "198.51.100.4", 6: "2001:db8:51::4"}
OUTSIDE = {"lan": {4: lab.OUT4, 6: lab.OUT6}, "internet": {4: lab.INTERNET4, 6: lab.INTERNET6}, "office": OFFICE}
TIERS = ("web", "api", "db", "pa", "pb", "stray")
BASE = "version: 1\nmode: enforce\nzones:\n  web: {select: {labels: {tier: web}}}\n"
FROM = ("web", "api", "db", "project", "host", "lan", "internet", "office", "world", "any", "quarantine")
TO = ("web", "api", "db", "project", "host", "lan", "internet", "office", "containers", "any", "quarantine", "\"project:pa\"")
WORLD = {"host", "lan", "internet", "office", "world"}


def random_config(rnd):
    zones = ["web: {select: {labels: {tier: web}}}",
             "api: {select: {labels: {tier: api}}" + rnd.choice(("", "", ", mode: audit")) + "}",
             "db: {select: {labels: {tier: db}}" + rnd.choice(("", "", ", mode: enforce")) + "}",
             "project: {per: \"label:project\"}",
             f"office: {{cidrs: [{OFFICE[4]}/32, \"{OFFICE[6]}/128\"]}}"]
    rules = []
    while len(rules) < 34:
        a, b = rnd.choice(FROM), rnd.choice(TO)
        if (a in WORLD and b in WORLD) or (a == b == "any"):
            continue
        ports = rnd.sample(["tcp/80", "tcp/81", "udp/80", "udp/81", "tcp", "udp", "tcp/60-90", "tcp/1-1000", "icmp"], rnd.randint(1, 3))
        more = rnd.choice((", values: different", "")) if a == b == "project" else ""
        rules.append(f"  - {{from: {a}, to: {b}, ports: [{', '.join(ports)}]{more}}}\n")
    mode = "audit" if rnd.random() < 0.1 else "enforce"
    return f"version: 1\nmode: {mode}\nzones:\n" + "".join(f"  {z}\n" for z in zones) + "allow:\n" + "".join(rules)


class Explain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = h = simhost.SimHost(BASE)
        cls.addClassCleanup(h.close)
        cls.sims = [h.start(f"{t}{i}", t, place=True) for t in TIERS for i in (1, 2)]
        h.lab.out.exec("sh", "-ec", f"ip addr add {OFFICE[4]}/32 dev lo; ip addr add {OFFICE[6]}/128 dev lo nodad")
        h.lab.host.exec("sh", "-ec", f"ip route add {OFFICE[4]} via {lab.OUT4}; ip -6 route add {OFFICE[6]} via {lab.OUT6}")
        cls.rx = {p.name: h.lab.receiver(p, PORTS) for p in (*(s.place for s in cls.sims), h.lab.host, h.lab.out)}
        cls.serial = 0

    def explain(self, *words):
        """The answer, having looked at what must hold of each: its status, and that it is drawn on 80 columns."""
        r = self.host.daemon.cli("explain", *words, "--json")
        self.assertIn(r.returncode, (0, 1), (words, r.stderr))
        doc = json.loads(r.stdout)
        self.assertEqual(r.returncode, 1 if doc["verdict"] == "deny" else 0, doc)
        return doc

    def tuple_of(self, rnd):
        """(who sends, from which address, whom explain is asked of, at which address, where it would arrive, protocol, port)"""
        family, h = rnd.choice((4, 6)), self.host
        addr = lambda s: s.ip4 if family == 4 else s.ip6
        src = rnd.choice(("sim", "sim", "sim", "host", "outside"))
        dst = rnd.choice(("sim", "sim", "host", "outside")) if src == "sim" else "sim"
        a = b = rnd.choice(self.sims)
        while b is a:
            b = rnd.choice(self.sims)
        outside = rnd.choice(list(OUTSIDE.values()))[family]
        place, asked, source = {"sim": (a.place, rnd.choice((a.name, addr(a))), None), "host": (h.lab.host, "host", None),
                                "outside": (h.lab.out, outside, outside)}[src]
        if dst == "sim":
            to, receiver = addr(b), b.place.name
        elif dst == "host":
            to = rnd.choice(((lab.HOST4, str(simhost.NET4.network_address + 1)), (lab.HOST6, str(simhost.NET6.network_address + 1)))[family == 6])
            receiver = h.lab.host.name
        else:
            to, receiver = outside, h.lab.out.name
        return place, source, asked, to, receiver, rnd.choice(("tcp", "udp")), rnd.choice(PORTS)

    def compare(self, rnd, config, drops):
        """(open ones, texts of those that explain is wrong about) of TUPLES tuples. All are sent twice: the first may only have asked for somebody's
        MAC."""
        cases = [self.tuple_of(rnd) for _ in range(TUPLES)]
        docs = [self.explain(asked, to, f"{proto}/{port}") for _, _, asked, to, _, proto, port in cases]
        per = {}
        for i, (place, source, _, to, _, proto, port) in enumerate(cases):
            line = (proto, f"{to}@{source}" if source else to, port)
            per.setdefault(place, []).extend((*line, f"s{self.serial}.{i}.{k}") for k in range(2))
        lab.parallel([lambda p=p, v=v: self.host.lab.send(p, v, 1.0) for p, v in per.items()], 4)
        heard = {n: r.markers() for n, r in self.rx.items()}
        opened, wrong = 0, []
        for i, (case, doc) in enumerate(zip(cases, docs)):
            arrived = any(f"s{self.serial}.{i}.{k}" in heard[case[4]] for k in range(2))
            opened += arrived
            if arrived != (doc["verdict"] != "deny"):
                wrong.append(f"{case[2]} to {case[3]} {case[5]}/{case[6]}: {'arrived' if arrived else 'did not arrive'}, explain: "
                             f"{[(w['verdict'], w['reason'], w['besides']) for w in doc['ways']]}\n{config}\n{drops}")
            for w in doc["ways"]:
                self.assertTrue(all(e["there"] for e in w["elements"]), w)
                self.assertNotIn("unknown", [b["does"] for b in w["besides"]], w)
        Explain.serial += 1
        return opened, wrong

    def test_0_control_all_arrive_in_audit(self):
        """Every pair, so that what does not arrive later was denied; and everybody's MAC is known from then on."""
        h = self.host
        h.daemon.reload(BASE.replace("enforce", "audit"))
        ends = [(s.place, (s.ip4, s.ip6), None) for s in self.sims] + [(h.lab.host, (lab.HOST4, lab.HOST6), None)]
        ends += [(h.lab.out, (o[4], o[6]), o) for o in OUTSIDE.values()]
        for k in range(2):
            per = {}
            for a, _, source in ends:
                for b, addrs, _ in ends:
                    for addr, family in zip(addrs, (4, 6)):
                        if a is not b and not (a is h.lab.out and b is h.lab.host) and not (a is h.lab.host and b is h.lab.out):
                            per.setdefault(a, []).append(("udp", f"{addr}@{source[family]}" if source else addr, 80, f"c{k}.{a.name}.{source and source[4]}.{b.name}.{addr}"))
            lab.parallel([lambda p=p, v=v: h.lab.send(p, v, 1.0) for p, v in per.items()], 4)
        heard = set().union(*(r.markers() for r in self.rx.values()))
        sent = {line[3] for v in per.values() for line in v}
        self.assertGreater(len(sent), 300)
        self.assertEqual(sent - heard, set())

    def test_1_as_packets_find(self):
        seed = int(os.environ.get("BH_SEED", "20261127"))
        rnd, opened, other = random.Random(seed), 0, 0
        for n in range(CONFIGS):
            config = random_config(rnd)
            r = self.host.daemon.reload(config)
            self.assertEqual(r.returncode, 0, r.stderr)
            drops = [(f"-A {chain} -p {rnd.choice(('tcp', 'udp'))} --dport {rnd.choice(PORTS)} -j DROP") for chain in
                     rnd.sample(("FORWARD", "INPUT", "OUTPUT"), 1)] if n % 3 == 0 else []
            for d in drops:
                self.host.lab.host.exec("sh", "-ec", f"iptables-nft {d}; ip6tables-nft {d}")
            o, wrong = self.compare(rnd, config, drops)
            for d in drops:
                self.host.lab.host.exec("sh", "-ec", f"iptables-nft {d.replace('-A', '-D')}; ip6tables-nft {d.replace('-A', '-D')}")
            self.assertFalse(wrong, "\n".join(wrong))
            opened, other = opened + o, other + len(drops)
        total = CONFIGS * TUPLES
        print(f"# {total} tuples under {CONFIGS} configurations, {opened / total:.0%} open, seed {seed}")
        self.assertTrue(0.3 <= opened / total <= 0.7, opened / total)
        self.assertGreater(other, 0)

    def test_2_text(self):
        """On 80 columns, without colour on a pipe, whatever is asked."""
        for words in (("web1", "api1", "tcp/80"), ("web1", "api1"), ("web", "internet"), ("internet", "host", "tcp/22"), ("web1", lab.OUT6, "udp/53")):
            r = self.host.daemon.cli("explain", *words)
            self.assertIn(r.returncode, (0, 1), r.stderr)
            self.assertFalse([line for line in r.stdout.splitlines() if len(line) > 80 or "\x1b" in line])

    def test_3_names(self):
        for words, says in ((("wbe1", "api1"), "did you mean 'web1'?"), (("web1", "world"), "ask for one zone"), (("web1", "api1", "80"), "say tcp/80")):
            r = self.host.daemon.cli("explain", *words)
            self.assertEqual((r.returncode, len(r.stderr.splitlines())), (2, 1), r.stderr)
            self.assertIn(says, r.stderr)
        self.assertEqual(self.host.daemon.cli("explain", "web1", "api1", "--socket", "/nonexistent").returncode, 3)

    def test_4_a_configuration_that_is_not_loaded(self):
        self.host.daemon.reload(BASE)
        other = self.host.lab.root / "other.yaml"
        other.write_text(BASE + "allow:\n  - {from: host, to: web, ports: [tcp/81]}\n")
        before = self.host.rules()
        doc = self.explain("host", "web1", "tcp/81", "--config", str(other))
        self.assertEqual((doc["verdict"], doc["loaded"], doc["ways"][0]["rule"]["source"]), ("accept", False, "other.yaml:6"))
        self.assertEqual(self.explain("host", "web1", "tcp/81")["verdict"], "deny")
        self.assertEqual(self.host.rules(), before)
        other.write_text(BASE + "allow:\n  - {from: host, to: wbe}\n")
        r = self.host.daemon.cli("explain", "host", "web1", "--config", str(other))
        self.assertEqual(r.returncode, 2)
        self.assertIn("other.yaml:6", r.stderr)

    def test_5_others_rules_that_cannot_be_read(self):
        """A match of iptables that is not understood is said, not guessed."""
        self.host.daemon.reload(BASE + "allow:\n  - {from: host, to: web, ports: [tcp/80]}\n")
        rule = "OUTPUT -p tcp --dport 80 -m statistic --mode random --probability 0.5 -j DROP"
        self.host.lab.host.exec("iptables-nft", "-A", *rule.split())
        self.addCleanup(self.host.lab.host.exec, "iptables-nft", "-D", *rule.split())
        web = next(s for s in self.sims if s.name == "web1")
        doc = self.explain("host", web.ip4, "tcp/80")
        self.assertEqual((doc["verdict"], [b["does"] for b in doc["ways"][0]["besides"]]), ("accept", ["unknown"]), doc)

    def test_6_by_hand(self):
        """What was said by hand is part of the answer."""
        self.host.daemon.reload(BASE + "  api: {select: {labels: {tier: api}}}\nallow:\n  - {from: web, to: api, ports: [tcp/80]}\n")
        self.host.daemon.cli("allow", "--for", "60s", "web", "api", "tcp/81", check=True)
        doc = self.explain("web1", "api1", "tcp/81")
        self.assertEqual((doc["verdict"], doc["ways"][0]["reason"]), ("accept", "by hand opens it"))
        self.assertTrue(all(e["there"] for w in doc["ways"] for e in w["elements"]), doc)
        self.host.daemon.cli("quarantine", "api1", check=True)
        doc = self.explain("web1", "api1", "tcp/80")
        self.assertEqual((doc["verdict"], doc["to"]["zone"]), ("deny", "quarantine"))
        self.assertIn("bulkhead release api1", doc["to"]["reason"])
        self.host.daemon.cli("release", "api1", check=True)
        self.host.daemon.cli("lockdown", check=True)
        doc = self.explain("web1", "api1", "tcp/80")
        self.assertEqual(doc["verdict"], "deny")
        self.assertIn("bulkhead unlock", doc["advice"]["why"])
        self.host.daemon.cli("unlock", check=True)
        self.assertEqual(self.explain("web1", "api1", "tcp/80")["verdict"], "accept")


DOCKERS = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
allow:
  - {from: [web, world, host], to: web, ports: [tcp/80]}
"""


class Docker(unittest.TestCase):
    """What a real Docker's rules do besides: networks kept apart, icc=false, published ports by DNAT, and a container that is there in another way."""

    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        l.network("one")
        l.network("two")
        l.network("apart", options={"com.docker.network.bridge.enable_icc": "false"})
        jobs = (("a1", "one", None), ("a2", "one", {"80/tcp": "8080"}), ("b1", "two", None), ("c1", "apart", None), ("c2", "apart", None))
        cls.c = {n: c for (n, _, _), c in zip(jobs, lab.parallel([lambda n=n, net=net, p=p: l.run(n, labels={"tier": "web"}, network=net, ports=p)
                                                                   for n, net, p in jobs], 3))}
        l.run("h1", labels={"tier": "web"}, network="host")
        cls.daemon = l.bulkheadd(DOCKERS)
        cls.rx = {n: l.receiver(c, (80,)) for n, c in cls.c.items()}

    def ask(self, *words):
        r = self.daemon.cli("explain", *words, "--json")
        self.assertIn(r.returncode, (0, 1), r.stderr)
        return json.loads(r.stdout)

    def agree(self, name, src, dst, asked, to, port, receiver):
        """(verdict, who drops it) of the one way, having sent the packet."""
        doc = self.ask(asked, to, f"tcp/{port}")
        self.lab.send(src, [("tcp", to, port, f"{name}.{k}") for k in range(2)], 1.0)
        arrived = any(m.startswith(name + ".") for m in self.rx[receiver].markers())
        self.assertEqual(len(doc["ways"]), 1, doc)
        self.assertEqual(arrived, doc["verdict"] != "deny", doc)
        drops = [b["where"] for b in doc["ways"][0]["besides"] if b["does"] == "drop"]
        return doc["verdict"], drops[0] if drops else None

    def test_1_networks(self):
        c = self.c
        for to, want in (("ip4", ("accept", None)), ("ip6", ("accept", None))):
            self.assertEqual(self.agree("same" + to, c["a1"], "a2", "a1", getattr(c["a2"], to), 80, "a2"), want)
        v, where = self.agree("other", c["a1"], "b1", "a1", c["b1"].ip4, 80, "b1")
        self.assertEqual(v, "deny")
        self.assertRegex(where, r"^ip filter DOCKER-ISOLATION-STAGE-2 \(forward\)$")
        v, where = self.agree("icc", c["c1"], "c2", "c1", c["c2"].ip4, 80, "c2")
        self.assertEqual((v, where.split()[:2]), ("deny", ["ip", "filter"]))
        self.lab.lift_docker_isolation()
        self.assertEqual(self.agree("lifted", c["a1"], "b1", "a1", c["b1"].ip4, 80, "b1"), ("accept", None))
        self.assertEqual(self.agree("icclifted", c["c1"], "c2", "c1", c["c2"].ip4, 80, "c2"), ("accept", None))

    def test_2_published(self):
        for n, (asked, src) in enumerate(((lab.OUT4, self.lab.out), ("b1", self.c["b1"]), ("host", self.lab.host))):
            self.assertEqual(self.agree(f"published{n}", src, "a2", asked, lab.HOST4, 8080, "a2"), ("accept", None))
        doc = self.ask(lab.OUT4, lab.HOST4, "tcp/8080")
        self.assertEqual((doc["ways"][0]["published"]["container_port"], doc["ways"][0]["to_zone"]), ("tcp/80", "web"))
        self.lab.host.exec("iptables", "-I", "DOCKER-USER", "-p", "tcp", "--dport", "80", "-i", lab.UPLINK, "-j", "DROP")
        self.assertEqual(self.agree("dropped", self.lab.out, "a2", lab.OUT4, lab.HOST4, 8080, "a2"), ("deny", "ip filter DOCKER-USER (forward)"))
        self.lab.host.exec("iptables", "-D", "DOCKER-USER", "-p", "tcp", "--dport", "80", "-i", lab.UPLINK, "-j", "DROP")

    def test_3_on_the_hosts_network(self):
        doc = self.ask("h1", "a1", "tcp/80")
        self.assertEqual(doc["verdict"], "accept")
        self.assertTrue(any("uses the host's network" in n for n in doc["notes"]), doc["notes"])
        self.assertEqual(doc["from"]["enforced"], "none")

    def test_4_a_closed_policy_is_bulkheads_denial(self):
        self.daemon.reload(DOCKERS.replace("tcp/80", "tcp/81"))
        self.assertEqual(self.agree("closed", self.c["a1"], "a2", "a1", self.c["a2"].ip4, 80, "a2"), ("deny", None))
        self.assertEqual(self.agree("closedpub", self.lab.out, "a2", lab.OUT4, lab.HOST4, 8080, "a2"), ("deny", None))


if __name__ == "__main__":
    tap.main()
