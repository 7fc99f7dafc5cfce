#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 8 s, works 3 s
"""One daemon ends, the next one of another version takes over its tables under traffic: nothing
leaks, nothing is lost, and a base chain that is right is never replaced.

tools/test simulates another version by tables that another version would have left. With
tools/soak, or BH_OLD_COMMIT=COMMIT, the daemon of the commit before is built and ends."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import fakehost  # noqa: E402
import lab  # noqa: E402
import tap  # noqa: E402

CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
  api: {select: {labels: {tier: api}}}
  db: {select: {labels: {tier: db}}}
  office: {cidrs: [198.51.100.4/32]}
allow:
  - {from: web, to: api, ports: [udp/7000]}
  - {from: lan, to: web, ports: [udp/7000]}
  - {from: host, to: api, ports: [udp/7000]}
"""
ALLOWED, DENIED = 7000, 7001
OLD_COMMIT = os.environ.get("BH_OLD_COMMIT", "HEAD~1" if lab.SOAK else "")

# What another version might have left: (name, what nft does to the tables, base chains that are then not ours any more)
SCHEMAS = [
    ("the same", "", []),
    ("one base chain more, that accepts", "add chain inet bulkhead older { type filter hook forward priority -20; policy accept; }\n"
     "add rule inet bulkhead older counter", []),
    ("a base chain at another priority", "add chain bridge bulkhead older { type filter hook forward priority -250; policy accept; }", []),
    ("a set, a chain and a counter more", "add set inet bulkhead older { type ipv4_addr; }\nadd element inet bulkhead older { 192.0.2.1 }\n"
     "add counter inet bulkhead older\nadd chain inet bulkhead older\nadd rule inet bulkhead older ip saddr @older counter name older", []),
    ("rules of the wrong kind in a chain of ours", "add rule inet bulkhead input meta mark 0x7 counter", []),
    ("a base chain less", "flush chain inet bulkhead {extra}\ndelete chain inet bulkhead {extra}", ["{extra}"]),
]


class Upgrade(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = h = fakehost.FakeHost().up()
        cls.addClassCleanup(h.down)
        for n in ("front", "back"):
            h.network(n)
        cls.web, cls.api, cls.db, cls.far = h.add(
            [("web1", {"tier": "web"}, "front"), ("api1", {"tier": "api"}, "front"), ("db1", {"tier": "db"}, "front"),
             ("api2", {"tier": "api"}, "back")])
        cls.daemon = h.bulkheadd(CONFIG)

    def measure(self, action):
        h = self.host
        allowed = [(self.web, ALLOWED, fakehost.both(self.api, self.far)), (h.out, ALLOWED, fakehost.both(self.web)), (h.host, ALLOWED, fakehost.both(self.api))]
        denied = [(self.web, DENIED, fakehost.both(self.api, self.db, self.far)), (self.db, DENIED, fakehost.both(self.web, self.api, self.far)),
                  (self.far, DENIED, [*fakehost.both(self.web, self.db), "10.111.17.1", lab.OUT4, lab.OUT6]),
                  (h.out, DENIED, fakehost.both(self.web, self.db, self.far)), (h.host, DENIED, fakehost.both(self.db))]
        s = fakehost.measure(h, [self.web, self.api, self.db, self.far, h.host, h.out], allowed, denied, action)
        print(f"# {s.denied} datagrams to denied pairs, {s.allowed} to allowed ones, longest pause {s.gap} ms")
        return s

    def base_chains(self):
        """{(family, name): handle}: a chain that is replaced has another."""
        out = {}
        for family in ("inet", "bridge"):
            for o in json.loads(self.host.host.exec("nft", "-j", "list", "table", family, "bulkhead"))["nftables"]:
                if "hook" in o.get("chain", {}):
                    out[family, o["chain"]["name"]] = o["chain"]["handle"]
        return out

    def end(self, sig):
        if sig == signal.SIGKILL:
            self.daemon.kill()
        else:
            self.daemon.stop()

    def takes_over(self, sig, schema, gone=()):
        chains, rules = self.base_chains(), sorted(self.host.ruleset().splitlines())

        def action():
            self.end(sig)
            if schema:
                self.host.host.exec("nft", "-f", "-", input=schema)
            time.sleep(0.2)
            self.daemon.start()
            time.sleep(0.2)
        s = self.measure(action)
        self.assertEqual((s.leaked, s.lost), ({}, {}))
        now = self.base_chains()
        keep = {k: h for k, h in chains.items() if k not in gone}
        self.assertEqual({k: now.get(k) for k in keep}, keep, "a base chain was replaced")
        self.assertEqual(now.keys(), chains.keys())
        self.assertEqual(sorted(self.host.ruleset().splitlines()), rules)
        self.assertTrue(self.daemon.status()["kernel"]["in_sync"])

    def extra(self):
        """A base chain that judges nothing: those that put the priority back behind the verdicts."""
        listing = json.loads(self.host.host.exec("nft", "-j", "list", "table", "inet", "bulkhead"))["nftables"]
        last = [c["chain"] for c in listing if c.get("chain", {}).get("hook") == "input"]
        return max(last, key=lambda c: c["prio"])["name"]

    def test_1_schemas(self):
        for i, (name, schema, gone) in enumerate(SCHEMAS):
            with self.subTest(schema=name):
                extra = self.extra()
                self.takes_over((signal.SIGTERM, signal.SIGKILL)[i % 2], schema.replace("{extra}", extra),
                                [("inet", g.replace("{extra}", extra)) for g in gone])

    def test_2_from_a_version_without_ownership(self):
        """Its tables cannot be given an owner: to make them anew would let packets through, so they stay while containers are there."""
        self.daemon.teardown()
        self.daemon.mask = "table_persist"
        self.daemon.start()
        self.daemon.mask = None
        self.takes_over(signal.SIGTERM, "")
        self.daemon.teardown()
        self.daemon.start()

    @tap.limit(900)
    def the_commit_before(self):
        """The real thing, where there is a repository and time: the old daemon sets up, the new one takes over, and back again."""
        old = self.build_old()
        new = self.daemon.argv
        self.daemon.stop()
        for first, then, name in ((lambda *a: [old, *new(*a)[1:]], new, "up"), (new, lambda *a: [old, *new(*a)[1:]], "down")):
            with self.subTest(name):
                self.daemon.argv = first
                self.daemon.teardown()
                self.daemon.start()
                chains = self.base_chains()

                def action():
                    self.end(signal.SIGTERM)
                    self.daemon.argv = then
                    self.daemon.start()
                    time.sleep(0.3)
                s = self.measure(action)
                self.assertEqual((s.leaked, s.lost), ({}, {}))
                now = self.base_chains()
                same = chains.keys() & now.keys()
                print(f"# {name}: base chains {len(chains)} -> {len(now)}, {len(same)} in both")
                self.assertEqual({k: now[k] for k in same}, {k: chains[k] for k in same})
                self.assertTrue(self.daemon.status()["kernel"]["in_sync"])
        self.daemon.argv = new

    if OLD_COMMIT:
        test_4_the_commit_before = the_commit_before

    def build_old(self):
        top = ["git", "-c", "safe.directory=*", "-C", str(lab.TOP)]
        tree = self.host.root / "old"
        tree.mkdir()
        tar = subprocess.run([*top, "archive", OLD_COMMIT], capture_output=True)
        if tar.returncode:  # a clone of depth 1
            raise lab.LabError(f"{OLD_COMMIT}: {tar.stderr.decode()}")
        subprocess.run(["tar", "-x", "-C", tree], input=tar.stdout, check=True)
        for cmd in (["meson", "setup", tree / "build", tree], ["ninja", "-j2", "-C", tree / "build", "src/daemon/bulkheadd"]):
            subprocess.run(list(map(str, cmd)), check=True, stdout=subprocess.DEVNULL)
        return str(tree / "build/src/daemon/bulkheadd")

    def test_3_control_a_table_that_is_made_anew_leaks(self):
        """What an upgrade that begins by removing the old tables would let through."""
        def action():
            self.daemon.stop()
            self.host.host.exec("nft", "delete table inet bulkhead; delete table bridge bulkhead")
            time.sleep(0.2)
            self.daemon.start()
        s = self.measure(action)
        self.assertGreater(sum(n[0] for n in s.leaked.values()), 20)


if __name__ == "__main__":
    tap.main()
