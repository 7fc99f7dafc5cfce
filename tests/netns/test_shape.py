#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 21 s, works 2 s
"""Links and shaping on the real kernel, in namespaces of its own: what is applied is seen. What flows: test_shape_rates.py."""
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import tap  # noqa: E402
from shape_net import NONE, SHAPER, Case  # noqa: E402

CAPS = """zone c100 100000000 100000000 0 0
zone z10 0 0 10000000 10000000
zone both 4000000 4000000 10000000 0
member c100 va1
member z10 va2 vb1
member both va3
"""


COUNT = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
s.bind(("", 5401))
print("ready", flush=True)
n = 0
s.settimeout(20)
try:
    while True:
        n += len(s.recv(2048)) + 42
        s.settimeout(1)
except TimeoutError:
    print(n)
"""
FLOOD = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], 5401))
while True:
    try:
        s.send(bytes(1472))
    except OSError:
        pass
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
            # what a death between the two roots leaves
            ["tc", "qdisc", "replace", "dev", "bh-egress", "root", "handle", "bc:", "htb", "default", "fffe"],
            ["tc", "qdisc", "del", "dev", "va1", "clsact"],
            ["tc", "filter", "del", "dev", "va1", "egress"],
            ["tc", "class", "change", "dev", "bh-egress", "parent", "bb:", "classid", "bb:1", "htb", "rate", "1gbit"],
            ["tc", "class", "add", "dev", "bh-egress", "parent", "bb:", "classid", "bb:77", "htb", "rate", "1gbit"],
        ]
        for act in breaks:
            with self.subTest(act=act):
                self.net.apply(CAPS)
                if act[1:3] == ["class", "change"]:
                    leaf = re.search(r"class (bb:4\w+) parent", self.check(CAPS))[1]
                    act = [leaf if w == "bb:1" else w for w in act]
                self.net.run("host", *act)
                self.assertDiffers(CAPS)
                self.net.apply(CAPS)
                self.assertInSync(CAPS)
                self.net.run("a1", "ping", "-q", "-c", "2", "-i", "0.05", "-W", "1", self.net.ip["a2"])

    def test_another_layout_is_made_anew(self):
        """A zone's class that hangs elsewhere, with a container's below it, as another version may have left them."""
        self.net.apply(CAPS)
        leaf = re.search(r"port va2 egress (bb:\w+)", self.check(CAPS))[1]
        for words in (["qdisc", "del", "dev", "bh-egress", "root"],
                      ["qdisc", "add", "dev", "bh-egress", "root", "handle", "bb:", "htb", "default", "fffe"],
                      ["class", "add", "dev", "bh-egress", "parent", "bb:", "classid", "bb:2", "htb", "rate", "10mbit"],
                      ["class", "add", "dev", "bh-egress", "parent", "bb:2", "classid", leaf, "htb", "rate", "10mbit"]):
            self.net.run("host", "tc", *words)
        self.assertDiffers(CAPS)
        self.net.apply(CAPS)
        self.assertInSync(CAPS)

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

    def test_what_a_death_left_half_made_is_finished(self):
        self.net.run("host", "ip", "link", "add", "bh-egress", "group", str(0x62680001), "type", "ifb")
        self.net.apply(CAPS)
        self.assertInSync(CAPS)
        self.assertIn("group default", self.net.run("host", "ip", "link", "show", "bh-egress").stdout)

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

    def test_tree_made_anew_lets_nothing_past_the_cap(self):
        """Another version's layout goes, and ours comes, under a flood: what arrives is what the cap gives, or less."""
        wish = "zone c 400000 0 0 0\nmember c va1\n"
        self.net.apply(wish)
        receiver = self.net.start("a2", "python3", "-c", COUNT)
        self.assertEqual(receiver.stdout.readline(), "ready\n")
        self.net.run("a1", "ping", "-q", "-c", "1", "-W", "1", self.net.ip["a2"])
        start = time.monotonic()
        sender = self.net.start("a1", "python3", "-c", FLOOD, self.net.ip["a2"])
        for _ in range(40):
            # which lets nothing pass either
            for words in (["qdisc", "replace", "dev", "bh-egress", "root", "handle", "bd:", "htb", "direct_qlen", "0"],
                          ["qdisc", "replace", "dev", "bh-egress", "root", "handle", "bb:", "htb", "default", "fffe", "direct_qlen", "0"],
                          ["class", "add", "dev", "bh-egress", "parent", "bb:", "classid", "bb:1", "htb", "rate", "100kbit"]):
                self.net.run("host", "tc", *words)
            self.assertDiffers(wish)
            self.net.apply(wish)
        sender.kill()
        seconds = time.monotonic() - start
        got = int(receiver.communicate(timeout=30)[0])
        print(f"# {got * 8 / seconds / 1e3:.0f} of 400 kbit/s over {seconds:.1f} s and 40 trees")
        # the default class and the container's begin with a frame and a burst
        self.assertTrue(0 < got < 50000 * seconds + 40 * 3 * 1514, got)

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


if __name__ == "__main__":
    tap.main()
