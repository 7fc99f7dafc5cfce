#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 12 s
"""bulkhead plan, then reload: what it said would move, open, close and end is what did, by real packets between simulated containers. Random
pairs of configurations; BH_PAIRS and BH_SEED give another series."""
import json
import os
import pathlib
import random
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402

PAIRS = int(os.environ.get("BH_PAIRS", "100" if lab.SOAK else "4"))
TIERS = ("web", "api", "db", "job")
PORTS = (80, 81, 8500)
BASE = "version: 1\nmode: enforce\nzones:\n  web: {select: {labels: {tier: web}}}\n"


def random_config(rnd):
    zones = {
        "web": ("{select: {labels: {tier: web}}}", "{select: {labels: {tier: [web, job]}}}", "{select: {name: \"web*\"}}"),
        "api": ("{select: {labels: {tier: api}}}", "{select: {name: [api1, web2]}, priority: 2}"),
        "db": ("{select: {labels: {tier: db}}}", "{select: {labels: {tier: db}}, mode: audit}", "{select: {name: \"*b1\"}, priority: 3}"),
        "job": ("{select: {labels: {tier: job}}}", "{select: {any: [{labels: {tier: job}}, {name: db2}]}, priority: 1}"),
    }
    there = [z for z in zones if z in ("web", "db") or rnd.random() < 0.8]
    rules = []
    for _ in range(rnd.randint(3, 8)):
        a, b = rnd.choice(there), rnd.choice(there + ["quarantine"])
        ports = rnd.sample(["udp/80", "udp/81", "tcp/80", "tcp", "udp/8000-9000", "udp", "tcp/81"], rnd.randint(0, 3))
        rules.append(f"  - {{from: {a}, to: {b}" + (f", ports: [{', '.join(ports)}]" if ports else "") + "}\n")
    return "version: 1\nmode: enforce\nzones:\n" + "".join(f"  {z}: {rnd.choice(zones[z])}\n" for z in there) + "allow:\n" + "".join(rules)


class Plan(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = h = simhost.SimHost(BASE)
        cls.addClassCleanup(h.close)
        cls.sims = [h.start(f"{t}{i}", t) for t in TIERS for i in (1, 2)]
        h.daemon.reload(BASE)
        cls.rx = {(s.name, p): s.socket(port=p) for s in cls.sims for p in PORTS}
        cls.tx = {s.name: s.socket() for s in cls.sims}
        cls.listeners = {}
        for s in cls.sims:
            for p in PORTS:
                x = cls.listeners[s.name, p] = s.socket(socket.SOCK_STREAM, port=p)
                x.listen(64)
        cls.serial = 0

    def arrives(self):
        """{(from, to, port)} that datagrams get through for."""
        Plan.serial += 1
        got = set()
        for _ in range(2):      # the first may only have made somebody's address known
            for s in self.sims:
                for d in self.sims:
                    for p in PORTS:
                        if s is not d:
                            for _ in range(2):      # the second reports what became of the first
                                try:
                                    self.tx[s.name].sendto(f"{self.serial} {s.name}".encode(), (d.ip4, p))
                                    break
                                except OSError:
                                    continue
            time.sleep(0.15)
            for (name, p), sock in self.rx.items():
                while True:
                    try:
                        n, who = sock.recv(100).decode().split()
                    except OSError:
                        break
                    if int(n) == self.serial:
                        got.add((who, name, p))
        return got

    def connect(self, pairs):
        """TCP connections for (from, to, port), both ends."""
        out = {}
        for s, d, p in pairs:
            a, b = next(x for x in self.sims if x.name == s), next(x for x in self.sims if x.name == d)
            c = a.socket(socket.SOCK_STREAM)
            c.setblocking(True)
            c.settimeout(3)
            try:
                c.connect((b.ip4, p))
                x, _ = self.listeners[d, p].accept()
            except OSError:
                c.close()
                continue
            x.settimeout(0.4)
            out[s, d, p] = (c, x)
        return out

    @staticmethod
    def goes(ends):
        c, x = ends
        try:
            c.sendall(b"hello\n")
            return x.recv(100) == b"hello\n"
        except OSError:
            return False

    def predicted(self, plan, zones_before, proto, src, dst, port):
        """What PLAN says becomes of one: 'opens', 'closes' or None."""
        moved = {m["name"]: (m["from"], m["to"]) for m in plan["moves"] if m["kind"] == "container"}

        def is_end(end, name):
            z = moved.get(name, (zones_before[name],) * 2)
            return (end["before"], end["after"]) == z and ("->" in end["name"]) == (name in moved)

        def has(path):
            def within(text):
                kind, _, n = text.partition("/")
                lo, _, hi = n.partition("-")
                return kind == proto and (not n or int(lo) <= port <= int(hi or lo))
            return (not path["ports"] or any(map(within, path["ports"]))) and not any(map(within, path["but"]))
        said = {p["change"] for p in plan["paths"] if is_end(p["from"], src) and is_end(p["to"], dst) and has(p)}
        self.assertLess(len(said), 2)
        return said.pop() if said else None

    def audited(self):
        return {z["name"] for z in self.host.daemon.status()["zones"] if z["mode"] == "audit"}

    def zones(self):
        return {c["name"]: c["zone"] for c in self.host.daemon.status()["containers"]}

    def one_pair(self, rnd, tally):
        d = self.host.daemon
        d.reload(random_config(rnd))
        zones, audit = self.zones(), self.audited()
        before = self.arrives()
        names = [s.name for s in self.sims]
        tcp = self.connect(rnd.sample([(a, b, p) for a in names for b in names for p in (80, 81) if a != b], 20))
        d.write(random_config(rnd))
        rules = self.host.rules()
        r = d.cli("plan", "--json")
        plan = json.loads(r.stdout)
        self.assertEqual(self.host.rules(), rules, "a plan changed the kernel")
        loaded = json.loads(d.cli("reload", "--json", check=True).stdout)
        after, audit_then, zones_then = self.arrives(), self.audited(), self.zones()

        moves = {m["name"]: (m["from"], m["to"]) for m in plan["moves"]}
        self.assertEqual(moves, {n: (zones[n], zones_then[n]) for n in names if zones[n] != zones_then[n]})
        for s in names:
            for t in names:
                for p in PORTS:
                    if s == t or zones[t] in audit or zones_then[t] in audit_then:
                        continue        # passes whatever the rules say
                    said = self.predicted(plan, zones, "udp", s, t, p)
                    did = {(False, True): "opens", (True, False): "closes"}.get(((s, t, p) in before, (s, t, p) in after))
                    self.assertEqual(said, did, f"{s} -> {t} udp/{p}: {json.dumps(plan, indent=1)}")
                    tally[did] = tally.get(did, 0) + 1
        ended = {k for k, ends in tcp.items() if not self.goes(ends)}
        for ends in tcp.values():
            for x in ends:
                x.close()
        self.assertEqual(plan["connections"]["total"], len(ended), f"{ended}: {plan['connections']}")
        self.assertEqual(loaded["ended"]["total"], len(ended))
        tally["ended"] = tally.get("ended", 0) + len(ended)
        tally["go on"] = tally.get("go on", 0) + len(tcp) - len(ended)
        tally["moved"] = tally.get("moved", 0) + len(moves)
        self.assertEqual(r.returncode, 1 if plan["changes"] else 0)

    @tap.limit(3600 if lab.SOAK else 300)
    def test_1_what_it_says_is_what_happens(self):
        seed = int(os.environ.get("BH_SEED", "1127"))
        tally = {}
        for i in range(PAIRS):
            with self.subTest(seed=seed, pair=i):
                self.one_pair(random.Random(f"{seed}-{i}"), tally)
        print(f"# {PAIRS} pairs: {tally}")
        self.assertGreater(tally.get("opens", 0), 5 * PAIRS)
        self.assertGreater(tally.get("closes", 0), 5 * PAIRS)
        self.assertGreater(tally["ended"], 0)

    def test_2_nothing_and_what_is_not_valid(self):
        d = self.host.daemon
        d.reload(BASE)
        r = d.cli("plan")
        self.assertEqual((r.returncode, r.stdout), (0, "plan      bulkhead.yaml: nothing changes\n"), r.stderr)
        d.write("# only a comment\n" + BASE)
        self.assertEqual(d.cli("plan").returncode, 0)
        d.write(BASE + "zoness: {secret: 1}\n")
        r = d.cli("plan")
        self.assertEqual(r.returncode, 2)
        self.assertIn("bulkhead.yaml:", r.stderr)
        self.assertNotIn("secret", r.stderr)    # who asks may not be allowed to read the file
        d.write(BASE)
        other = d.dir / "other.yaml"
        other.write_text(BASE + "  db: {select: {labels: {tier: db}}}\nallow:\n  - {from: web, to: db, ports: [tcp/5432]}\n"
                         "expect:\n  - {from: web, to: db, verdict: deny}\n")
        rules = self.host.rules()
        r = d.cli("plan", other)
        self.assertEqual(r.returncode, 1, r.stderr)
        for text in ("db zone: not there -> there", "db1: quarantine -> db", "and 1 more (quarantine -> db): tcp/5432", "breaks", "would be refused"):
            self.assertIn(text, " ".join(r.stdout.split()))
        self.assertLessEqual(max(map(len, r.stdout.splitlines())), 80)
        other.write_text(BASE + "zoness: {secret: 1}\n")
        r = d.cli("plan", other)
        self.assertEqual(r.returncode, 2)
        self.assertIn("secret", r.stderr)       # the caller's own file
        self.assertEqual(d.cli("plan", d.dir / "nowhere.yaml").returncode, 2)
        self.assertEqual(self.host.rules(), rules)


if __name__ == "__main__":
    tap.main()
