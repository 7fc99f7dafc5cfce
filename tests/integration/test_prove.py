#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 50 s
"""bulkhead prove: it agrees with a rule set that is whole, and finds one that somebody broke by hand, whichever way. Simulated containers.

A broken rule set is repaired as soon as the daemon looks. So it is stopped (SIGSTOP) until `prove` has read the kernel and asks for the policy."""
import json
import pathlib
import re
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402

CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
  api: {select: {labels: {tier: api}}, mode: audit}
  db: {select: {labels: {tier: db}}}
  project: {per: "label:project"}
  office: {cidrs: [10.20.0.0/16, "2001:db8:aa::/48"]}
  vpn: {interfaces: ["wg*"]}
allow:
  - {from: world, to: web, ports: [tcp/80, tcp/8000-8080]}
  - {from: web, to: api, ports: [tcp/8080, udp/53, icmp]}
  - {from: [office, vpn], to: api}
  - {from: db, to: db}
  - {from: project, to: project}
  - {from: any, to: [dns, internet], ports: [tcp/443, udp/53]}
  - {from: host, to: any}
"""


class Prove(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = h = simhost.SimHost()
        cls.addClassCleanup(h.close)
        h.daemon = cls.daemon = h.lab.bulkheadd(CONFIG, mask="table_persist")
        for name, tier in (("web1", "web"), ("db1", "db"), ("a1", "pa"), ("b1", "pb")):
            h.start(name, tier)
        h.daemon.wait_zone("b1", "project:pb")

    def tearDown(self):
        lab.wait_for("the rules to be right again", lambda: self.daemon.status()["kernel"]["in_sync"], 20)

    def nft(self, *args):
        return self.host.lab.host.exec("nft", *args)

    def asking(self):
        """Whether somebody waits at the control socket: the daemon's own and one more."""
        return self.host.lab.host.exec("cat", "/proc/net/unix").count(str(self.daemon.socket)) > 1

    def pids(self):
        return self.host.lab.pids_of("bulkheadd", str(self.daemon.socket))

    def broken(self, *change, args=("--json",)):
        """What `prove` says (exit code, output) after the command CHANGE."""
        kill = self.host.lab.host.exec
        for p in self.pids():
            kill("kill", "-STOP", str(p))
        try:
            self.host.lab.host.exec(*change)
            proc = self.host.lab.host.popen(lab.program("bulkhead"), "prove", "--socket", self.daemon.socket, *args,
                                            stdout=lab.subprocess.PIPE, stderr=lab.subprocess.PIPE, text=True)
            lab.wait_for("prove to have read the kernel", self.asking, 20)
        finally:
            for p in self.pids():
                kill("kill", "-CONT", str(p))
        out, err = proc.communicate(timeout=60)
        self.assertEqual(err, "")
        return proc.returncode, out

    def wrong(self, *change):
        """{(from, to, port): row} of what is not as configured after the command CHANGE."""
        code, out = self.broken(*change)
        doc = json.loads(out)
        self.assertEqual((code, doc["agree"]), (1, False))
        return {(r["from"], r["to"], r["port"]): r for r in doc["disagreements"]}

    def handle(self, chain, text):
        line = next(x for x in self.nft("-a", "list", "chain", "inet", "bulkhead", chain).splitlines() if f"{text} # handle" in x)
        return re.search(r"# handle (\d+)", line).group(1)

    def number(self, zone):
        """How nft writes the number of a zone."""
        doc = json.loads(self.nft("-j", "list", "map", "inet", "bulkhead", "from_zone"))
        for o in doc["nftables"]:
            for key, data in o.get("map", {}).get("elem", []):
                if any(isinstance(d, dict) and str(d.get("target", "")).endswith("_" + zone) for d in data.values()):
                    key = key["elem"]["val"] if isinstance(key, dict) else key
                    return key if isinstance(key, str) else f"0x{key:x}"
        self.fail(f"{zone} has no number")

    def map_of(self, kind, zone):
        return next(n for n in self.host.table("inet") if n.startswith(f"{kind}_") and n.endswith(f"_{zone}"))

    def test_1_a_whole_rule_set(self):
        before = self.host.rules()
        links = self.host.lab.host.exec("ip", "-o", "link")
        began = time.monotonic()
        r = self.daemon.cli("prove")
        took = time.monotonic() - began
        self.assertEqual((r.returncode, r.stderr), (0, ""), r.stdout)
        self.assertLess(took, 20)
        self.assertRegex(r.stdout, r"mode +enforce\nproved +\d+ packets between \d+ pairs of zones: each as configured\naudited +\d+ of them")
        self.assertFalse([x for x in r.stdout.splitlines() if len(x) > 80 or x != x.rstrip()])
        doc = json.loads(self.daemon.cli("prove", "--json").stdout)
        self.assertEqual((doc["agree"], doc["wrong"], doc["disagreements"], doc["foreign"], doc["untried_zones"]), (True, 0, [], [], 0))
        self.assertGreater(doc["packets"], 1000)
        self.assertGreater(doc["audited"], 50)
        self.assertEqual(before, self.host.rules())     # nothing of it is on the host itself
        self.assertEqual(links, self.host.lab.host.exec("ip", "-o", "link"))

    def no_drop(self):
        """The last word of two chains is deleted: what is not TCP comes back to where a packet is accepted."""
        return ("; ".join(f"delete rule inet bulkhead {chain} handle {self.handle(chain, text)}"
                          for chain, text in (("tell", "reject with icmpx admin-prohibited"), ("act_silent", "drop"))),)

    def test_2_a_drop_removed_by_hand(self):
        rows = self.wrong("nft", "delete", "rule", "inet", "bulkhead", "act_silent", "handle", self.handle("act_silent", "drop"))
        self.assertEqual({(r["expected"], r["measured"]) for r in rows.values()}, {("deny", "arrived")})
        self.assertEqual({k[0] for k in rows if k[1] == "web"}, {"unknown"})

    def test_2b_drops_removed_by_hand(self):
        rows = self.wrong("nft", *self.no_drop())
        self.assertEqual({(r["expected"], r["measured"]) for r in rows.values()}, {("deny", "arrived"), ("audit", "not denied at all")})
        udp = [k for k in rows if k[:2] == ("web", "db") and k[2].startswith("udp/")]
        self.assertTrue(udp, rows.keys())
        self.assertEqual(sorted(rows[udp[0]]["families"]), [4, 6])
        self.assertEqual(sorted(rows[udp[0]]["ways"]), ["across", "bridge"])
        self.assertIn(("project:pa", "project:pb", "icmp"), rows)
        self.assertFalse([k for k in rows if k[0] != "unknown" and k[1] != "unknown" and k[2].startswith("tcp/") or k[:2] == ("db", "db")])

    def test_3_one_pair_opened(self):
        rows = self.wrong("nft", "add", "element", "inet", "bulkhead", self.map_of("all", "db"), "{ " + self.number("web") + " }")
        self.assertEqual({k[:2] for k in rows}, {("db", "web")})
        self.assertIn("icmp", {k[2] for k in rows})
        self.assertEqual({r["source"] for r in rows.values()}, {None})

    def test_4_one_port_closed(self):
        """Named with the rule that opens it."""
        rows = self.wrong("nft", "delete", "element", "inet", "bulkhead", self.map_of("ports", "lan"), "{ " + self.number("web") + " . tcp . 80 }")
        line = next(n for n, x in enumerate(CONFIG.splitlines(), 1) if "tcp/80," in x)
        self.assertEqual({k: (r["expected"], r["measured"], r["source"]) for k, r in rows.items()},
                         {("lan", "web", "tcp/80"): ("accept", "did not arrive", f"bulkhead.yaml:{line}")})

    def test_5_ipv6_alone(self):
        rows = self.wrong("nft", "insert", "rule", "inet", "bulkhead", "forward", "meta", "nfproto", "ipv6", "accept")
        self.assertEqual({tuple(r["families"]) for r in rows.values()}, {(6,)})
        self.assertEqual(rows["web", "api", "tcp/9"]["measured"] if ("web", "api", "tcp/9") in rows else "not denied at all", "not denied at all")
        self.assertTrue([k for k in rows if k[:2] == ("web", "db")])

    def test_6_audit_that_audits_nothing(self):
        """It passes as before, but it is not denied at all: an enforced mode would let it pass, too."""
        rows = self.wrong("nft", "add", "element", "inet", "bulkhead", self.map_of("all", "db"), "{ " + self.number("api") + " }")
        self.assertEqual({(k[:2], r["expected"], r["measured"]) for k, r in rows.items()}, {(("db", "api"), "audit", "not denied at all")})

    def test_6b_what_audit_hides(self):
        """A port that a rule opens and the kernel does not: it still passes, since it is audited."""
        rows = self.wrong("nft", "delete", "element", "inet", "bulkhead", self.map_of("ports", "web"), "{ " + self.number("api") + " . tcp . 8080 }")
        self.assertEqual({k: (r["expected"], r["measured"]) for k, r in rows.items()}, {("web", "api", "tcp/8080"): ("accept", "denied, in audit")})

    def test_7_layer_two(self):
        """Whoever has another's address passes for the other. Only who may send something can be taken for."""
        rows = self.wrong("nft", "insert", "rule", "bridge", "bulkhead", "deny_identity", "accept")
        self.assertLessEqual({"unknown as web", "api as web"}, {k[0] for k in rows})
        self.assertFalse([k for k in rows if " as " not in k[0]])

    def test_7b_a_bridge_that_hides(self):
        """The bridge does not show its frames to the rules any more: its neighbours are open to each other, by IPv4."""
        rows = self.wrong("ip", "link", "set", simhost.BRIDGE, "type", "bridge", "nf_call_iptables", "0")
        self.assertEqual({(*r["ways"], *r["families"]) for r in rows.values()}, {("bridge", 4)})
        self.assertIn(("web", "db"), {k[:2] for k in rows})

    def test_8_a_rule_of_a_stranger(self):
        code, out = self.broken("nft", "insert", "rule", "inet", "bulkhead", "deny_noise", "meta", "cpu", "1", "accept", args=())
        self.assertEqual(code, 1)
        self.assertIn("inet deny_noise: bulkhead did not write all that is there", " ".join(out.split()))

    def test_9_as_text(self):
        code, out = self.broken("nft", *self.no_drop(), args=())
        self.assertEqual(code, 1)
        self.assertRegex(out, r"(?m)^proved +NOT: \d+ of \d+ packets")
        self.assertRegex(out, r"(?m)^from +to +port +over +expected +measured +rule$")
        self.assertRegex(out, r"(?m)^web +db +udp/\d+, icmp +both +deny +arrived +-$")
        self.assertFalse([x for x in out.splitlines() if len(x) > 80 or x != x.rstrip()])

    def test_9b_by_hand(self):
        """Quarantine, a rule for a time, and a lockdown are policy, too."""
        cli = self.daemon.cli
        for args in (("quarantine", "web1"), ("allow", "--for", "1h", "db", "web", "tcp/7777")):
            cli(*args, check=True)
        doc = json.loads(cli("prove", "--json").stdout)
        self.assertEqual((doc["agree"], doc["disagreements"]), (True, []))
        timed = next(n for n in self.host.table("inet") if n.startswith("ports_t"))
        rows = self.wrong("nft", "flush", "set", "inet", "bulkhead", timed)
        self.assertEqual({k: (r["expected"], r["measured"], r["source"]) for k, r in rows.items()},
                         {("db", "web", "tcp/7777"): ("accept", "did not arrive", "by hand")})
        cli("lockdown", check=True)
        doc = json.loads(cli("prove", "--json").stdout)
        self.assertEqual((doc["agree"], doc["audited"], doc["disagreements"]), (True, 0, []))
        cli("unlock", check=True)
        cli("release", "web1", check=True)


class Errors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = h = simhost.SimHost()
        cls.addClassCleanup(h.close)

    def test_1_without_a_daemon(self):
        r = self.host.lab.host.run_cmd(lab.program("bulkhead"), "prove", "--socket", self.host.lab.root / "none.sock")
        self.assertEqual((r.returncode, r.stdout), (3, ""), r.stderr)

    def test_2_not_root(self):
        host = self.host.lab.host
        r = host.run_cmd("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", lab.program("bulkhead"), "prove")
        if "not found" in r.stderr or "Permission denied" in r.stderr:     # a build below a folder of root's alone
            r = host.run_cmd("unshare", "-U", lab.program("bulkhead"), "prove")
        self.assertEqual((r.returncode, r.stdout), (4, ""), r.stderr)
        self.assertIn("run it with sudo", r.stderr)

    def test_3_without_a_policy(self):
        d = self.host.lab.bulkheadd("version: 2\n")
        r = d.cli("prove")
        self.assertEqual((r.returncode, r.stdout), (1, ""), r.stderr)
        self.assertIn("no valid configuration is loaded", r.stderr)
        d.teardown()

    def test_4_a_whole_file_in_audit(self):
        d = self.host.lab.bulkheadd(CONFIG.replace("mode: enforce", "mode: audit", 1))
        doc = json.loads(d.cli("prove", "--json").stdout)
        self.assertEqual((doc["mode"], doc["agree"], doc["disagreements"]), ("audit", True, []))
        self.assertGreater(doc["audited"], doc["packets"] / 4)


if __name__ == "__main__":
    tap.main()
