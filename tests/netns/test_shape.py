#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# alone: measures rates
"""Links and shaping on the real kernel, in namespaces of its own: what is applied is seen, what is seen is what flows.

Two bridges on a "host" namespace, three containers on the first and one on the second. tests/tools/shaper.c is the
program under test, with src/nft for the rules; nft, tc and ip only look, or play the foreign program.
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import tap  # noqa: E402

SHAPER = (pathlib.Path(os.environ.get("BH_BUILD", "build")) / "tests/tools/shaper").resolve()
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
SECONDS = 10 if os.environ.get("BH_TIER") == "soak" else 2
NONE = "zone none 0 0 0 0\n"


def sh(cmd, text=None, check=True):
    r = subprocess.run(cmd, input=text, capture_output=True, text=True, env=ENV, timeout=60)
    if check and r.returncode:
        raise AssertionError(f"{' '.join(map(str, cmd))}: {r.returncode}: {r.stderr}{r.stdout}")
    return r


class Net:
    """The namespaces, each process in them, and their end."""

    def __init__(self):
        self.tag = f"bh-test-{os.getpid()}"
        self.names, self.procs = [], []

    def ns(self, name):
        return f"{self.tag}-{name}"

    def add(self, name):
        sh(["ip", "netns", "add", self.ns(name)])
        self.names.append(name)
        self.run(name, "ip", "link", "set", "lo", "up")
        for key in ("all", "default"):
            self.run(name, "sysctl", "-qw", f"net.ipv6.conf.{key}.accept_dad=0")

    def run(self, name, *cmd, text=None, check=True):
        return sh(["ip", "netns", "exec", self.ns(name), *cmd], text, check)

    def start(self, name, *cmd, **kw):
        p = subprocess.Popen(["ip", "netns", "exec", self.ns(name), *cmd], env=ENV, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, **kw)
        self.procs.append(p)
        return p

    def container(self, name, bridge, number):
        self.add(name)
        ip = f"10.{bridge}.1.{number}"
        sh(["ip", "link", "add", "e0", "netns", self.ns(name), "type", "veth", "peer", "name", f"v{name}",
            "netns", self.ns("host")])
        # the host's own MLD reports on a port come from no bridge, and would go to the default class
        self.run("host", "sysctl", "-qw", f"net.ipv6.conf.v{name}.disable_ipv6=1")
        self.run("host", "ip", "link", "set", f"v{name}", "master", f"br-{bridge}", "up")
        self.run(name, "ip", "addr", "add", f"{ip}/16", "dev", "e0")
        self.run(name, "ip", "addr", "add", f"fd00:{bridge}::{number}/64", "dev", "e0", "nodad")
        self.run(name, "ip", "link", "set", "e0", "up")
        self.run(name, "ip", "route", "add", "default", "via", f"10.{bridge}.0.1")
        self.run(name, "ip", "-6", "route", "add", "default", "via", f"fd00:{bridge}::ffff")
        return ip

    def up(self):
        self.add("host")
        self.run("host", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for b in (1, 2):
            self.run("host", "ip", "link", "add", f"br-{b}", "type", "bridge")
            self.run("host", "ip", "addr", "add", f"10.{b}.0.1/16", "dev", f"br-{b}")
            self.run("host", "ip", "addr", "add", f"fd00:{b}::ffff/64", "dev", f"br-{b}", "nodad")
            self.run("host", "ip", "link", "set", f"br-{b}", "up")
        self.ip = {n: self.container(n, b, i) for n, b, i in (("a1", 1, 1), ("a2", 1, 2), ("a3", 1, 3), ("b1", 2, 1))}
        self.ip["host"] = "10.1.0.1"
        return self

    def down(self):
        for p in self.procs:
            if p.poll() is None:
                p.kill()
            p.wait()
            p.stdout.close()
        for n in self.names:
            for pid in sh(["ip", "netns", "pids", self.ns(n)], check=False).stdout.split():
                os.kill(int(pid), signal.SIGKILL)
            sh(["ip", "netns", "del", self.ns(n)], check=False)

    def shaper(self, verb, wish="", *args, check=True):
        return self.run("host", str(SHAPER), verb, *args, text=wish, check=check)

    def apply(self, wish):
        out = self.shaper("apply", wish).stdout
        if out != "in sync\n":
            raise AssertionError(f"after apply: {out}")

    def clear(self):
        self.apply(NONE)

    def quiet(self, act, tries=4):
        """Whether ACT makes no notification; young links still speak for themselves, hence the tries."""
        for _ in range(tries):
            p = self.start("host", str(SHAPER), "wait")
            p.stdout.readline()
            act()
            if p.stdout.readline() == "nothing\n":
                return True
        return False

    def stats(self):
        t, classes = 0, {}
        for line in self.shaper("stats", NONE).stdout.splitlines():
            w = line.split()
            if w[0] == "time":
                t = int(w[1]) / 1e9
            else:
                classes[w[0], w[1]] = tuple(map(int, w[2:]))
        return t, classes

    def state(self):
        """Links without counters, qdiscs and filters: what teardown must leave as it was."""
        text = self.run("host", "ip", "-o", "link").stdout + self.run("host", "tc", "qdisc").stdout
        for n in ("a1", "a2", "a3", "b1"):
            text += self.run("host", "tc", "filter", "show", "dev", f"v{n}", "egress", check=False).stdout
        return text + self.run("host", "nft", "list", "ruleset").stdout


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.net = Net()
        cls.addClassCleanup(cls.net.down)
        cls.net.up()

    def setUp(self):
        self.addCleanup(self.net.clear)

    def check(self, wish):
        return self.net.shaper("check", wish).stdout

    def assertInSync(self, wish):
        text = self.check(wish)
        self.assertEqual(text.split("\n", 1)[0], "equal", text)

    def assertDiffers(self, wish):
        text = self.check(wish)
        self.assertEqual(text.split("\n", 1)[0], "differs", text)


CAPS = """zone c100 100000000 100000000 0 0
zone z10 0 0 10000000 10000000
zone both 4000000 4000000 10000000 0
member c100 va1
member z10 va2 vb1
member both va3
"""


class Links(Case):
    def links(self):
        out = {}
        for line in self.net.shaper("host").stdout.splitlines():
            w = line.split()
            if w[0] == "link":
                out[w[2]] = dict(index=int(w[1]), kind=int(w[4]), up=int(w[6]), master=int(w[10]), mac=w[12],
                                 peer=w[14:18], calls=w[19:21])
        return out

    def test_peers_of_other_namespaces(self):
        links = self.links()
        for name in ("a1", "a2", "a3", "b1"):
            mac = self.net.run(name, "cat", "/sys/class/net/e0/address").stdout.strip()
            index = self.net.run(name, "cat", "/sys/class/net/e0/ifindex").stdout.strip()
            has, peer, nsid, peer_mac = links[f"v{name}"]["peer"]
            self.assertEqual((has, peer, peer_mac), ("1", index, mac))
            self.assertGreaterEqual(int(nsid), 0)
        self.assertEqual(links["va1"]["master"], links["br-1"]["index"])
        self.assertEqual(links["vb1"]["master"], links["br-2"]["index"])
        self.assertEqual(links["lo"]["peer"][0], "0")

    def test_addresses(self):
        out = self.net.shaper("host").stdout
        index = self.links()["br-1"]["index"]
        self.assertIn(f"addr {index} 10.1.0.1/16\n", out)
        self.assertIn(f"addr {index} fd00:1::ffff/64\n", out)

    def test_peer_that_is_gone_or_here(self):
        self.net.run("host", "ip", "link", "add", "x0", "type", "veth", "peer", "name", "x1")
        try:
            links = self.links()
            self.assertEqual(links["x0"]["peer"][0], "0")
            self.assertEqual(links["x0"]["peer"][2], "-1")
        finally:
            self.net.run("host", "ip", "link", "del", "x0")

    def test_bridge_flags(self):
        self.assertEqual(self.links()["br-1"]["calls"], ["0", "0"])
        self.net.shaper("calls", "", "br-1", "1", "0")
        self.assertEqual(self.links()["br-1"]["calls"], ["1", "0"])
        self.assertEqual(self.links()["br-2"]["calls"], ["0", "0"])
        self.net.shaper("calls", "", "br-1", "0", "0")
        self.assertEqual(self.links()["br-1"]["calls"], ["0", "0"])
        r = self.net.shaper("calls", "", "br-9", "1", "1", check=False)
        self.assertEqual((r.returncode, "No such device" in r.stderr), (1, True), r.stderr)

    def test_nsid_of_a_process(self):
        p = self.net.start("a1", "sleep", "60")
        time.sleep(0.2)
        nsid = self.net.shaper("nsid", "", str(p.pid)).stdout.strip()
        self.assertEqual(nsid, self.links()["va1"]["peer"][2])
        self.assertLess(int(self.net.shaper("nsid", "", "999999999").stdout), -1)

    def test_monitor_tells(self):
        for act in (["ip", "link", "add", "m0", "type", "ifb"], ["ip", "addr", "add", "10.9.9.9/32", "dev", "lo"],
                    ["ip", "link", "del", "m0"]):
            p = self.net.start("host", str(SHAPER), "wait")
            self.assertEqual(p.stdout.readline(), "ready\n")
            self.net.run("host", *act)
            self.assertEqual(p.stdout.readline(), "1\n", act)
        self.assertTrue(self.net.quiet(lambda: None))

    def test_probe_leaves_nothing(self):
        before = self.net.state()
        out = self.net.shaper("probe").stdout
        self.assertTrue(out.startswith("ifb 1 htb 1 fq_codel "), out)
        self.assertEqual(self.net.state(), before)


class Trees(Case):
    def test_apply_is_seen(self):
        self.assertDiffers(CAPS)
        self.net.apply(CAPS)
        self.assertInSync(CAPS)
        text = self.check(CAPS)
        self.assertIn("rate 100000000bit ceil 100000000bit leaf", text)
        self.assertIn("ceil 4000000bit leaf", text)

    def test_second_apply_changes_nothing(self):
        self.net.apply(CAPS)
        self.assertTrue(self.net.quiet(lambda: self.net.apply(CAPS)))
        self.assertFalse(self.net.quiet(lambda: self.net.apply(CAPS.replace("member both va3\n", "")), 1))

    def test_teardown_leaves_what_was(self):
        before = self.net.state()
        self.net.apply(CAPS)
        self.assertNotEqual(self.net.state(), before)
        self.net.clear()
        self.assertEqual(self.net.state(), before)

    def test_rates_change_in_place(self):
        self.net.apply(CAPS)
        self.net.run("a1", "ping", "-q", "-c", "5", "-i", "0.05", self.net.ip["a2"])
        before = self.net.stats()[1]
        changed = CAPS.replace("100000000 100000000", "40000000000 50000000")
        self.net.apply(changed)
        self.assertInSync(changed)
        self.assertIn("rate 40000000000bit", self.check(changed).split("-- seen")[1])
        after = self.net.stats()[1]
        for key, value in before.items():
            self.assertGreaterEqual(after[key][1], value[1], key)

    def test_members_come_and_go(self):
        self.net.apply(CAPS)
        fewer = CAPS.replace("member z10 va2 vb1\n", "member z10 vb1\n").replace("member both va3\n", "")
        self.net.apply(fewer)
        self.assertInSync(fewer)
        moved = CAPS.replace("member both va3", "member z10 va3")
        self.net.apply(moved)
        self.assertInSync(moved)

    def test_whole_file_in_audit_shapes_nothing(self):
        before = self.net.state()
        self.net.apply(CAPS + "audit\n")
        self.assertEqual(self.net.state(), before)

    def test_kernel_without_ifb_says_so(self):
        before = self.net.state()
        self.net.apply(CAPS + "mask ifb\n")
        self.assertEqual(self.net.state(), before)
        self.assertIn("missing 1 1\n", self.check(CAPS + "mask ifb\n"))

    def test_drift_is_seen_and_repaired(self):
        breaks = [
            ["ip", "link", "del", "bh-ingress"],
            ["ip", "link", "del", "bh-egress"],
            ["ip", "link", "set", "bh-ingress", "down"],
            ["tc", "qdisc", "del", "dev", "bh-egress", "root"],
            ["tc", "qdisc", "del", "dev", "va1", "clsact"],
            ["tc", "filter", "del", "dev", "va1", "egress"],
            ["tc", "class", "change", "dev", "bh-egress", "parent", "bb:", "classid", "bb:1", "htb", "rate", "1gbit"],
            ["tc", "class", "add", "dev", "bh-egress", "parent", "bb:", "classid", "bb:77", "htb", "rate", "1gbit"],
        ]
        for act in breaks:
            with self.subTest(act=act):
                self.net.apply(CAPS)
                if act[1:3] == ["class", "change"]:
                    leaf = re.search(r"class (bb:4\w+) parent bb:0", self.check(CAPS))[1]
                    act = [leaf if w == "bb:1" else w for w in act]
                self.net.run("host", *act)
                self.assertDiffers(CAPS)
                self.net.apply(CAPS)
                self.assertInSync(CAPS)
                self.net.run("a1", "ping", "-q", "-c", "2", "-i", "0.05", "-W", "1", self.net.ip["a2"])

    def test_stale_redirect_is_taken_away(self):
        """A filter whose bh-ingress has gone drops everything; it goes even when its port is no longer to be shaped."""
        for wish in (NONE, "zone c 1000000 0 0 0\nmember c va2\n"):
            with self.subTest(wish=wish):
                self.net.apply(CAPS)
                self.net.run("host", "ip", "link", "del", "bh-ingress")
                self.net.run("host", "ip", "link", "add", "x9", "type", "ifb")
                self.assertNotEqual(self.net.run("a2", "ping", "-c", "1", "-W", "1", self.net.ip["a1"], check=False)
                                    .returncode, 0)
                self.net.apply(wish)
                self.net.run("host", "ip", "link", "del", "x9")
                self.assertInSync(wish)
                self.net.run("a2", "ping", "-q", "-c", "2", "-i", "0.05", "-W", "1", self.net.ip["a1"])

    def test_others_are_left_alone(self):
        """A foreign root qdisc, clsact and filter stay, whatever comes and goes."""
        run = self.net.run
        run("host", "tc", "qdisc", "add", "dev", "va1", "root", "tbf", "rate", "1gbit", "burst", "100k", "limit", "1m")
        run("host", "tc", "qdisc", "add", "dev", "va2", "clsact")
        run("host", "tc", "filter", "add", "dev", "va2", "egress", "protocol", "ip", "prio", "7", "u32", "match", "u32",
            "0", "0", "flowid", "1:1")
        run("host", "tc", "qdisc", "add", "dev", "vb1", "clsact")
        try:
            before = self.net.state()
            self.net.apply(CAPS)
            self.assertInSync(CAPS)
            self.assertIn("pref 7 u32", self.net.state())
            # a stranger joins a clsact that is ours
            run("host", "tc", "filter", "add", "dev", "va3", "ingress", "protocol", "ip", "prio", "9", "u32", "match",
                "u32", "0", "0", "flowid", "1:1")
            self.net.clear()
            self.assertIn("pref 9 u32", run("host", "tc", "filter", "show", "dev", "va3", "ingress").stdout)
            run("host", "tc", "qdisc", "del", "dev", "va3", "clsact")
            self.assertEqual(self.net.state(), before)
        finally:
            run("host", "tc", "qdisc", "del", "dev", "va1", "root")
            for dev in ("va2", "vb1"):
                run("host", "tc", "qdisc", "del", "dev", dev, "clsact", check=False)

    def test_foreign_link_of_our_name_is_refused(self):
        self.net.run("host", "ip", "link", "add", "bh-egress", "type", "ifb")
        try:
            r = self.net.shaper("apply", CAPS, check=False)
            self.assertEqual(r.returncode, 1)
            self.assertIn("bulkhead did not make", r.stderr)
        finally:
            self.net.run("host", "ip", "link", "del", "bh-egress")

    def test_listing_reads_well_and_loads(self):
        self.net.apply(CAPS)
        text = self.net.run("host", "nft", "list", "ruleset").stdout
        self.assertRegex(text, r'meta priority set (00)?bb:4\w+ fwd to "bh-egress"')
        self.assertIn("meta priority set oifname map @shape_in", text)
        self.net.run("host", "nft", "-c", "-f", "-", text="flush ruleset\n" + text)

    def test_port_that_vanishes(self):
        self.net.run("host", "ip", "link", "add", "gone0", "type", "veth", "peer", "name", "gone1")
        wish = "zone c 1000000 1000000 0 0\nmember c gone0\n"
        try:
            self.net.apply(wish)
            self.assertInSync(wish)
        finally:
            self.net.run("host", "ip", "link", "del", "gone0")
        left = "zone c 1000000 1000000 0 0\nmember c va1\n"
        self.net.apply(left)
        self.assertInSync(left)


class Packets(Case):
    def classes(self):
        return {k: v for k, v in self.net.stats()[1].items()}

    def test_every_path_is_classified(self):
        """Same bridge, routed, host, both families, ARP and NDP: each container's own class, nothing in the default."""
        wish = "zone c 100000000 100000000 0 0\nmember c va1\nmember c va2\nmember c vb1\n"
        self.net.apply(wish)
        ids = dict(re.findall(r"port (v\w+) egress (bb:\w+)", self.check(wish)))
        ip = self.net.ip
        for n in ("a1", "a2"):
            self.net.run(n, "ip", "neigh", "flush", "all")
        # between redirect and map, apply may send a packet to the default class
        first = self.classes()
        paths = [("a1", ip["a2"], "va2"), ("a1", "fd00:1::2", "va2"), ("a1", ip["b1"], "vb1"), ("a1", "fd00:2::1", "vb1"),
                 ("a1", ip["host"], None), ("a1", "fd00:1::ffff", None), ("host", ip["a1"], "va1")]
        for src, dst, port in paths:
            with self.subTest(src=src, dst=dst):
                before = self.classes()
                self.net.run(src, "ping", "-q", "-c", "10", "-i", "0.02", "-W", "1", dst)
                after = self.classes()
                grew = {k: after[k][0] - before[k][0] for k in after}
                if src == "a1":
                    self.assertGreaterEqual(grew["bh-egress", ids["va1"]], 10)
                if port:
                    self.assertGreaterEqual(grew["bh-ingress", ids[port]], 10)
        for dev in ("bh-egress", "bh-ingress"):
            self.assertEqual(self.classes()[dev, "bb:fffe"], first[dev, "bb:fffe"])
            out = self.net.run("host", "tc", "-s", "qdisc", "show", "dev", dev).stdout
            self.assertIn("direct_packets_stat 0 ", out)

    def test_hooks_see_a_packet_once(self):
        self.net.apply("zone c 100000000 100000000 0 0\nmember c va1\nmember c va2\n")
        self.net.run("host", "nft", "-f", "-", text="""
table bridge t {
 chain pre { type filter hook prerouting priority 0; policy accept
  iifname "va1" ip protocol icmp counter
 }
 chain post { type filter hook postrouting priority 0; policy accept
  oifname "va2" ip protocol icmp counter
 }
}
table inet t {
 chain f { type filter hook forward priority 0; policy accept
  ip saddr 10.1.1.1 ip protocol icmp counter
 }
}
""")
        try:
            self.net.run("a1", "ping", "-q", "-c", "10", "-i", "0.02", self.net.ip["a2"])
            counts = re.findall(r"counter packets (\d+)", self.net.run("host", "nft", "list", "ruleset").stdout)
            self.assertEqual(counts, ["10"] * 3)
        finally:
            self.net.run("host", "nft", "delete", "table", "bridge", "t")
            self.net.run("host", "nft", "delete", "table", "inet", "t")

    def test_traffic_goes_on_through_changes(self):
        """A clsact that comes or goes stops its device for a moment (qdisc_graft() in net/sched/sch_api.c): a packet or
        two each time at most, never a stall."""
        wish = "zone c 100000000 100000000 0 0\nmember c va1\nmember c va2\n"
        p = self.net.start("a1", "ping", "-q", "-c", "150", "-i", "0.02", self.net.ip["a2"])
        for _ in range(3):
            self.net.apply(wish)
            time.sleep(0.3)
            self.net.clear()
            time.sleep(0.2)
        received = int(re.search(r"(\d+) received", p.communicate(timeout=30)[0])[1])
        print(f"# {received} of 150 over 6 changes")
        self.assertGreaterEqual(received, 144)


class Rates(Case):
    def servers(self):
        for n, port in (("a2", 5301), ("a3", 5302), ("b1", 5301), ("b1", 5302)):
            self.net.start(n, "nice", "-n", "-15", "iperf3", "-s", "-p", str(port))
        time.sleep(0.5)

    def load(self, src, dst, port, proto, reverse, rate, seconds):
        # a sender that waits for a processor measures the processor
        cmd = ["timeout", str(seconds + 6), "nice", "-n", "-15", "iperf3", "-c", self.net.ip[dst], "-p", str(port), "-t", str(seconds)]
        cmd += ["-u", "-l", "1400", "-b", f"{rate * 1.25}M"] if proto == "udp" else []
        return self.net.start(src, *cmd, *(["-R"] if reverse else []))

    def rate(self, keys, wait=1.0):
        """Mbit/s of each class over SECONDS, as the kernel counts them."""
        time.sleep(wait)
        t0, a = self.net.stats()
        time.sleep(SECONDS)
        t1, b = self.net.stats()
        return [(b[k][1] - a[k][1]) * 8 / (t1 - t0) / 1e6 for k in keys]

    def leaf(self, wish, port):
        return re.search(rf"port {port} egress (bb:\w+)", self.check(wish))[1]

    @tap.limit(400)
    def test_caps_hold(self):
        self.servers()
        bad = []
        for cap in (10, 100):
            wish = f"zone c {cap}000000 {cap}000000 0 0\nmember c va1\n"
            self.net.apply(wish)
            leaf = self.leaf(wish, "va1")
            for dst in ("a2", "b1"):
                for proto in ("tcp", "udp"):
                    for dev, reverse in (("bh-egress", False), ("bh-ingress", True)):
                        # too much is wrong at once; too little may be a sender that got no processor
                        for _ in range(3):
                            p = self.load("a1", dst, 5301, proto, reverse, cap, SECONDS + 3)
                            got, = self.rate([(dev, leaf)])
                            p.communicate()
                            what = f"{cap} Mbit/s {proto} a1 {'<-' if reverse else '->'} {dst}: {got:.2f}"
                            print(f"# {what}", flush=True)
                            if got >= 0.95 * cap:
                                break
                        if not 0.95 * cap <= got <= 1.05 * cap:
                            bad.append(what)
        self.assertEqual(bad, [])

    @tap.limit(120)
    def test_zone_is_shared_evenly(self):
        self.servers()
        wish = "zone z 0 0 20000000 20000000\nmember z va1\nmember z va2\n"
        self.net.apply(wish)
        leaves = [self.leaf(wish, p) for p in ("va1", "va2")]
        for dev, reverse in (("bh-egress", False), ("bh-ingress", True)):
            ps = [self.load(src, "b1", port, "tcp", reverse, 20, SECONDS + 3) for src, port in (("a1", 5301), ("a2", 5302))]
            a, b, whole = self.rate([(dev, leaves[0]), (dev, leaves[1]), (dev, "bb:1")])
            for p in ps:
                p.communicate()
            print(f"# {dev}: {a:.2f} + {b:.2f}, zone {whole:.2f} of 20 Mbit/s", flush=True)
            self.assertTrue(19 <= whole <= 21, whole)
            self.assertTrue(0.45 <= a / (a + b) <= 0.55, (a, b))

    def test_control_faster_without(self):
        self.servers()
        p = self.net.start("a1", "iperf3", "-c", self.net.ip["a2"], "-p", "5301", "-t", "1", "-f", "m")
        rate = float(re.findall(r"([\d.]+) Mbits/sec", p.communicate()[0])[-1])
        print(f"# without caps: {rate:.0f} Mbit/s")
        self.assertGreater(rate, 300)


if __name__ == "__main__":
    tap.main()
