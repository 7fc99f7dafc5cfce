#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 4 s, works 2 s
"""What the kernel holds: listed by the distribution's nft, loaded again elsewhere, gone after teardown."""
import json
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402

CONFIG = """version: 1
mode: enforce
zones:
  web:
    select: {labels: {tier: web}}
    bandwidth: {container: {egress: 50mbit, ingress: 50mbit}, zone: {egress: 200mbit}}
  api: {select: {labels: {tier: api}}}
  project: {per: "label:app"}
  office: {cidrs: [10.20.0.0/16, "2001:db8:aa::/48"]}
  vpn: {interfaces: ["wg*"]}
allow:
  - {from: world, to: web, ports: [tcp/80, tcp/8000-8080]}
  - {from: web, to: api, ports: [tcp/8080, udp/53, icmp]}
  - {from: [office, vpn], to: api}
  - {from: project, to: project}
  - {from: host, to: any}
"""


def our_tables(text):
    return [t for t in re.split(r"(?m)^(?=table )", text) if re.match(r"table \w+ bulkhead\b", t)]


def unowned(text):
    """Without what says whose a table is. nft before 1.1 does not know `persist` and writes `flags ` for it."""
    return re.sub(r"(?m)^\tflags\b[owner,persitunk ]*\n\n?", "", re.sub(r" *#.*progname.*", "", text))


class Ruleset(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        l.network("net")
        cls.web = l.run("web1", labels={"tier": "web"}, network="net", ports={"80/tcp": "8080"})
        cls.api = l.run("api1", labels={"tier": "api"}, network="net")
        cls.app = l.run("app1", labels={"app": "nextcloud"}, network="net")
        cls.before = l.kernel_state()
        cls.daemon = l.bulkheadd(CONFIG)

    def test_1_lists_and_reads_like_the_configuration(self):
        text = self.lab.ruleset()
        families = {t.split()[1] for t in our_tables(text)}
        self.assertLessEqual({"inet", "bridge"}, families)
        for word in ("web", "api", "office", "vpn"):
            self.assertRegex(text, rf"\b\w*{word}\w*\b")
        self.assertIn(self.web.ip4, text)
        self.assertIn(self.web.ip6, text)

    def test_2_loads_again_in_another_namespace(self):
        tables = our_tables(self.lab.ruleset())
        text = unowned("".join(tables))
        host = self.lab.host
        host.exec("ip", "netns", "add", "copy")
        copy = lab.Place(self.lab, "copy", ["-n", "/run/netns/copy"])
        # a netdev chain needs its device
        for i, link in enumerate(json.loads(host.exec("ip", "-j", "link"))):
            if f'"{link["ifname"]}"' in text and link["ifname"] != "lo":
                copy.exec("ip", "link", "add", link["ifname"], "type", "veth", "peer", "name", f"peer{i}")
        copy.exec("nft", "-f", "-", input=text)
        again = "".join(our_tables(copy.exec("nft", "-s", "list", "ruleset")))
        self.maxDiff = 4000
        self.assertEqual(sorted(text.split("\n")), sorted(unowned(again).split("\n")))

    def test_3_another_daemon_start_changes_nothing(self):
        """A restart with nothing new finds the kernel as it wants it."""
        before = self.lab.ruleset()
        self.daemon.stop()
        self.assertEqual(sorted(our_tables(unowned(before))), sorted(our_tables(unowned(self.lab.ruleset()))))
        self.daemon.start()
        now = self.lab.ruleset()
        self.assertEqual(sorted(our_tables(unowned(before))), sorted(our_tables(unowned(now))))

    def test_4_once(self):
        self.daemon.stop()
        r = self.lab.host.run_cmd(*self.daemon.argv("--once"), timeout=20)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertTrue(our_tables(self.lab.ruleset()))
        self.daemon.start()

    def test_5_second_daemon_is_refused(self):
        r = self.lab.host.run_cmd(*self.daemon.argv("--foreground"), timeout=60)
        self.assertNotEqual(r.returncode, 0)
        self.assertTrue(r.stderr.strip())
        self.assertEqual(self.daemon.status()["daemon"]["state"], "enforcing")

    def test_6_teardown_restores(self):
        self.daemon.teardown()
        self.maxDiff = None
        after = self.lab.kernel_state()
        for part, want in self.before.items():
            with self.subTest(part=part):
                self.assertEqual(want, after[part])

    def test_7_teardown_again_is_quiet(self):
        r = self.daemon.teardown()
        self.assertEqual(r.returncode, 0)


if __name__ == "__main__":
    tap.main()
