#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 8 s
"""bulkhead export --nft: what it prints is what the kernel holds, and the distribution's nft loads it. Simulated containers."""
import json
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402

CONFIG = """version: 1
mode: enforce
zones:
  web:
    select: {labels: {tier: web}}
    bandwidth: {container: {egress: 50mbit, ingress: 50mbit}, zone: {egress: 200mbit}, exempt: [lan, office]}
    connections: {max: 100, new: 50/minute}
  api: {select: {labels: {tier: api}}, mode: audit}
  db: {select: {labels: {tier: db}}, forwards: [10.8.0.0/24]}
  project: {per: label:project}
  office: {cidrs: [10.20.0.0/16, "2001:db8:aa::/48"]}
  vpn: {interfaces: ["wg*"]}
allow:
  - {from: world, to: web, ports: [tcp/80, tcp/8000-8080]}
  - {from: web, to: api, ports: [tcp/8080, udp/53, icmp]}
  - {from: [office, vpn], to: api}
  - {from: project, to: project}
  - {from: any, to: [dns, internet], ports: [tcp/443, udp/53]}
  - {from: host, to: any}
"""


def export(place, *args):
    return place.run_cmd(lab.program("bulkhead"), "export", *args)


def ours(listing):
    """nft's listing of our tables, without who owns them and what packets add."""
    text = re.sub(r"(?m) *#.*progname.*$|^\tflags\b[owner,persitunk ]*\n\n?", "", lab.without_passing(listing))
    return {t.split()[1]: objects(t) for t in re.split(r"(?m)^(?=table )", text) if re.match(r"table \w+ bulkhead\b", t)}


def objects(table):
    """Each set, chain and counter of a table, rules in their order, elements in any."""
    out = {}
    for o in re.split(r"(?m)^\t(?=\w.*\{$)", table)[1:]:
        rules, _, elements = o.partition("elements = {")
        out[o.split(" {")[0]] = (rules.replace("}", "").split(), sorted(e.strip() for e in re.split(r"[,\n{}]", elements) if e.strip()))
    return out


class Export(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = h = simhost.SimHost(CONFIG)
        cls.addClassCleanup(h.close)
        for name, tier in (("web1", "web"), ("web2", "web"), ("api1", "api"), ("db1", "db"), ("a1", "pa"), ("odd", "nobody")):
            h.start(name, tier)
        h.daemon.wait_zone("odd", "quarantine")
        cls.text = export(h.lab.host, "--nft").stdout
        h.lab.host.exec("ip", "netns", "add", "copy")
        cls.copy = lab.Place(h.lab, "copy", ["-n", "/run/netns/copy"])
        for i, link in enumerate(json.loads(h.lab.host.exec("ip", "-j", "link"))):
            if f'device "{link["ifname"]}"' in cls.text or f'fwd to "{link["ifname"]}"' in cls.text:
                cls.copy.exec("ip", "link", "add", link["ifname"], "type", "veth", "peer", "name", f"peer{i}")

    def test_1_nft_accepts_it(self):
        self.assertRegex(self.text, r"(?m)^table netdev bulkhead")     # caps: all three families
        self.copy.exec("nft", "-c", "-f", "-", input=self.text)
        broken = self.copy.run_cmd("nft", "-c", "-f", "-", input=self.text.replace("vmap @from_zone", "vmap @from_zne"))
        self.assertNotEqual(broken.returncode, 0, "nft accepts everything")

    def test_2_loaded_elsewhere_it_is_the_same(self):
        """By our own reading, and by nft's of both."""
        self.copy.exec("nft", "-f", "-", input=self.text)
        self.maxDiff = 4000
        self.assertEqual(self.text, export(self.copy, "--nft").stdout)
        want = ours(self.host.lab.ruleset())
        self.assertEqual([len(o) > 10 for o in want.values()], [True, True, False])
        got = ours(self.copy.exec("nft", "-s", "list", "ruleset"))
        for family, objs in want.items():
            self.assertEqual(set(objs), set(got[family]))
            for name, o in objs.items():
                self.assertEqual(o, got[family][name], name)

    def test_3_one_element_less_is_seen(self):
        """The control of the comparison."""
        sim = self.host.sims["web1"]
        self.copy.exec("nft", "delete", "element", "inet", "bulkhead", "zone_of4", f'{{ "{simhost.BRIDGE}" . {sim.ip4} }}')
        self.assertNotEqual(self.text, export(self.copy, "--nft").stdout)

    def test_4_what_a_stranger_put_in_is_a_comment(self):
        self.copy.exec("nft", "add", "set", "inet", "bulkhead", "stranger", "{ type inet_service . inet_service . mark; }")
        self.copy.exec("nft", "add", "rule", "inet", "bulkhead", "deny_noise", "meta", "cpu", "1", "accept")
        text = export(self.copy, "--nft").stdout
        self.assertIn("# a rule that bulkhead does not write", text)
        self.copy.exec("nft", "-c", "-f", "-", input=text)

    def test_5_json(self):
        doc = json.loads(export(self.host.lab.host, "--nft", "--json").stdout)
        self.assertEqual((doc["version"], doc["format"], doc["text"]), (1, "nft", self.text))

    def test_6_errors_say_what_to_do(self):
        host = self.host.lab.host
        host.exec("ip", "netns", "add", "empty")
        for want, place, args, code in (
                ("bulkhead: export: say in which form: bulkhead export --nft\n", host, (), 2),
                ("bulkhead: the kernel holds none of bulkhead's tables: start bulkheadd\n",
                 lab.Place(self.host.lab, "empty", ["-n", "/run/netns/empty"]), ("--nft",), 3)):
            r = export(place, *args)
            self.assertEqual((r.returncode, r.stdout, r.stderr), (code, "", want))
        r = host.run_cmd("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", lab.program("bulkhead"), "export", "--nft")
        if "not found" in r.stderr or "Permission denied" in r.stderr:     # a build below a folder of root's alone
            r = host.run_cmd("unshare", "-U", lab.program("bulkhead"), "export", "--nft")
        self.assertEqual((r.returncode, r.stdout), (4, ""), r.stderr)
        self.assertIn("run it with sudo", r.stderr)


if __name__ == "__main__":
    tap.main()
