#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 26 s, works 2 s
"""Other programs' bridges, firewalls, marks and qdiscs beside bulkhead: none is disturbed, and what they do to our verdicts.

Each way is tried before bulkhead, with it, and after the teardown. ufw's and firewalld's rules are those that they wrote on
Debian 12 (tests/fixtures/neighbours), loaded by the tools that they use.
"""
import pathlib
import re
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402

FIXTURES = lab.TOP / "tests/fixtures/neighbours"
CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}, bandwidth: {container: {egress: 500mbit, ingress: 500mbit}}}
  api: {select: {labels: {tier: api}}}
allow:
  - {from: web, to: api, ports: [tcp/7000, udp/7000]}
  - {from: web, to: host, ports: [tcp/7000, udp/7000]}
  - {from: web, to: internet, ports: [tcp/7000, udp/7000]}
"""
# bridge -> (its port, the guest's namespace, IPv4 /24 of the bridge, IPv6 /64)
GUESTS = {"lxc1": ("lxcbr0", "vethLXC1", "10.55.0.2", "fd55::2"), "lxc2": ("lxcbr0", "vethLXC2", "10.55.0.3", "fd55::3"),
          "box1": ("br-lan", "uplan", "10.66.0.2", "fd66::2"), "box2": ("br-lan", "lan2", "10.66.0.3", "fd66::3"),
          "ext1": ("br-ext", "vethEXT1", "10.67.0.2", "fd67::2"), "ext2": ("br-ext", "vethEXT2", "10.67.0.3", "fd67::3")}
# A virtual machine: frames by hand at the other end of a tap.
VM = """
import fcntl, os, select, socket, struct, sys, time
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22s", b"tap0", 0x1002, b""))
os.system("ip link set tap0 master virbr0 up; ip neigh replace 192.168.122.2 lladdr 52:54:00:00:00:02 dev virbr0")
print("ready", flush=True)
srv = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); srv.bind(("192.168.122.1", 7777)); srv.setblocking(False)
def ck(d):
    t = sum(struct.unpack("!%dH" % (len(d) // 2), d))
    while t >> 16: t = (t & 0xffff) + (t >> 16)
    return ~t & 0xffff
gw = bytes(int(x, 16) for x in os.popen("ip -o link show virbr0").read().split("link/ether ")[1].split()[0].split(":"))
me = bytes.fromhex("525400000002")
for line in sys.stdin:
    got = 0
    for i in range(20):
        u = struct.pack("!HHHH", 9999, 7777, 12, 0) + b"MARK"
        h = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 32, 1, 0, 64, 17, 0, socket.inet_aton("192.168.122.2"), socket.inet_aton("192.168.122.1"))
        h = h[:10] + struct.pack("!H", ck(h)) + h[12:]
        os.write(fd, gw + me + b"\\x08\\x00" + h + u)
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            r = select.select([fd, srv], [], [], 0.05)[0]
            if srv in r:
                d, a = srv.recvfrom(100); srv.sendto(b"BACK", a)
            if fd in r and b"BACK" in os.read(fd, 2048):
                got += 1; break
    print(got, flush=True)
"""


def without_ours(text):
    return re.sub(r"^table (inet|bridge|netdev) bulkhead \{.*?^\}\n", "", text, flags=re.S | re.M)


class Neighbours(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        cls.web1 = l.run("web1", labels={"tier": "web"})
        cls.api1 = l.run("api1", labels={"tier": "api"})
        l.lift_docker_isolation()
        cls.place = {"host": l.host, "out": l.out, "web1": cls.web1, "api1": cls.api1}
        cls.bridges()
        cls.qdiscs()
        l.host.exec("nft", "-f", "-", input="""table inet marks {
            counter every { }
            counter marked { }
            counter plain { }
            chain pre { type filter hook prerouting priority mangle; policy accept;
                udp dport 7000 meta mark set 0x00004000 ct mark set 0x00080000
            }
            chain post { type filter hook postrouting priority 150; policy accept;
                oifname "up0" udp dport 7000 counter name every
                oifname "up0" udp dport 7000 meta mark 0x00004000 ct mark 0x00080000 counter name marked
                oifname "up0" udp dport 7000 meta priority 0 counter name plain
            }
        }
        """)
        l.host.exec("ip", "rule", "add", "fwmark", "0x80000/0xff0000", "lookup", "52")
        cls.receivers = {n: l.receiver(p, [7000, 7001]) for n, p in cls.place.items()}
        cls.vm = l.host.popen("/usr/bin/python3", "-c", VM, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert cls.vm.stdout.readline() == "ready\n"
        cls.number = 0

    @classmethod
    def bridges(cls):
        run = cls.lab.host.exec
        run("sh", "-ec", """
            for b in lxcbr0 br-lan br-ext virbr0; do ip link add $b type bridge; ip link set $b up; done
            ip addr add 10.55.0.1/24 dev lxcbr0; ip addr add fd55::1/64 dev lxcbr0
            ip addr add 10.66.0.1/24 dev br-lan; ip addr add fd66::1/64 dev br-lan
            ip addr add 10.67.0.1/24 dev br-ext; ip addr add fd67::1/64 dev br-ext
            ip addr add 192.168.122.1/24 dev virbr0""")
        for n, (bridge, port, a4, a6) in GUESTS.items():
            gw4, gw6 = a4.rsplit(".", 1)[0] + ".1", a6[:-1] + "1"
            run("sh", "-ec", f"""
                ip netns add {n}; ip link add {port} type veth peer name eth0 netns {n}; ip link set {port} master {bridge} up
                ip netns exec {n} sh -ec 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; ip link set lo up
                    ip addr add {a4}/24 dev eth0; ip addr add {a6}/64 dev eth0 nodad; ip link set eth0 up
                    ip route add default via {gw4}; ip -6 route add default via {gw6}'""")
            cls.place[n] = lab.Place(cls.lab, n, ["-n", f"/run/netns/{n}"])
        cls.lab.out.exec("sh", "-ec", f"""for r in 10.55 10.66 10.67; do ip route add $r.0.0/24 via {lab.HOST4}; done
            for r in fd55 fd66 fd67; do ip -6 route add $r::/64 via {lab.HOST6}; done""")

    @classmethod
    def qdiscs(cls):
        """A clsact filter and a root qdisc of somebody else's, also on the port of a container that we shape."""
        links = cls.lab.host.exec("ip", "-o", "link", "show", "master", "docker0").splitlines()
        peer = re.search(r"eth0@if(\d+):", cls.web1.exec("ip", "-o", "link", "show", "eth0"))[1]
        cls.port = next(x.split(": ")[1].split("@")[0] for x in links if x.startswith(peer + ":"))
        cls.devices = (cls.port, "vethLXC1", "up0")
        for i, dev in enumerate(cls.devices):
            cls.lab.host.exec("sh", "-ec", f"""tc qdisc add dev {dev} root handle 7{i}: pfifo limit 777; tc qdisc add dev {dev} clsact
                tc filter add dev {dev} ingress pref 7 protocol ip u32 match ip dst 192.0.2.1 flowid 1:1
                tc filter add dev {dev} egress pref 49000 protocol ip u32 match ip dst 192.0.2.1 flowid 1:1""")

    def foreign_tc(self):
        out = {}
        for dev in self.devices:
            lines = self.lab.host.exec("sh", "-c", f"tc qdisc show dev {dev}; tc filter show dev {dev} ingress; tc filter show dev {dev} egress")
            out[dev] = [x for x in lines.splitlines() if "pfifo" in x or "clsact" in x or "pref 7 " in x or "pref 49000" in x]
        return out

    def ways(self, pairs, protos=("tcp", "udp"), port=7000):
        """{(from, to, protocol, family): whether it arrived}"""
        cells, want = {}, {}
        for src, dst in pairs:
            for address in self.addresses(dst, src):
                for proto in protos:
                    type(self).number += 1
                    m = f"n{self.number}"
                    cells.setdefault(src, []).append((proto, address, port, m))
                    want[m] = (src, dst, proto, 6 if ":" in address else 4)
        for src, c in cells.items():
            self.lab.send(self.place[src], c, 1.0)
        time.sleep(0.2)
        got = set().union(*(r.markers() for r in self.receivers.values()))
        return {way: m in got for m, way in want.items()}

    def addresses(self, dst, src):
        if dst == "host":
            bridge = GUESTS[src][0] if src in GUESTS else None
            return (GUESTS[src][2].rsplit(".", 1)[0] + ".1", GUESTS[src][3][:-1] + "1") if bridge else (lab.HOST4, lab.HOST6)
        if dst == "out":
            return lab.INTERNET4, lab.INTERNET6
        if dst in GUESTS:
            return GUESTS[dst][2:]
        return self.place[dst].ip4, self.place[dst].ip6

    FOREIGN = [("lxc1", "lxc2"), ("lxc1", "host"), ("lxc1", "out"), ("host", "lxc1"), ("out", "lxc2"), ("box1", "box2"), ("box1", "host"),
               ("box1", "out"), ("host", "box1"), ("out", "box1"), ("ext1", "ext2"), ("ext1", "host"), ("host", "ext1"), ("lxc1", "box1"),
               ("box1", "ext1")]
    ALLOWED = [("web1", "api1"), ("web1", "host"), ("web1", "out")]
    DENIED = [("api1", "web1"), ("api1", "host"), ("web1", "lxc1"), ("lxc1", "web1"), ("box1", "web1"), ("out", "web1"), ("host", "web1")]

    def foreign_undisturbed(self):
        bad = [w for w, ok in self.ways(self.FOREIGN).items() if not ok]
        self.assertEqual(bad, [])
        self.vm.stdin.write("\n")
        self.vm.stdin.flush()
        self.assertEqual(self.vm.stdout.readline(), "20\n")

    def all_are(self, pairs, arrived, **kw):
        bad = [w for w, ok in self.ways(pairs, **kw).items() if ok != arrived]
        self.assertEqual(bad, [], f"expected to {'arrive' if arrived else 'be denied'}")

    def marks(self):
        before = self.mark_counts()
        self.all_are([("web1", "out")], True, protos=("udp",))
        return [b - a for a, b in zip(before, self.mark_counts())]

    def mark_counts(self):
        text = self.lab.host.exec("nft", "list", "table", "inet", "marks")
        return [int(re.search(rf"counter {n} \{{\s*packets (\d+)", text)[1]) for n in ("every", "marked", "plain")]

    def test_1_control_without_bulkhead(self):
        # addresses that are still being tried for duplicates reach nobody
        lab.wait_for("all reach each other", lambda: all(self.ways(self.FOREIGN + self.ALLOWED + self.DENIED).values()), 20)
        self.foreign_undisturbed()
        self.all_are(self.ALLOWED + self.DENIED, True)
        n = self.marks()
        self.assertGreaterEqual(n[0], 2)
        self.assertEqual(n, [n[0]] * 3)
        type(self).before = self.lab.kernel_state()
        type(self).tc = self.foreign_tc()
        type(self).rules = self.lab.host.exec("ip", "rule")

    def test_2_nobody_is_disturbed(self):
        type(self).daemon = self.lab.bulkheadd(CONFIG)
        self.assertEqual(self.daemon.status()["daemon"]["state"], "enforcing", self.daemon.status()["daemon"])
        self.foreign_undisturbed()
        self.all_are(self.ALLOWED, True)
        self.all_are(self.DENIED, False)
        now = self.lab.kernel_state()
        self.assertEqual(without_ours(now["ruleset"]).strip(), self.before["ruleset"].strip())
        self.assertEqual([x for x in now["sysctls"] if "/bh-" not in x], self.before["sysctls"])
        self.assertEqual(self.foreign_tc(), self.tc)
        self.assertEqual(self.lab.host.exec("ip", "rule"), self.rules)
        flags = {x["name"]: x["bridge"] for x in self.before["links"] if x["kind"] == "bridge" and x["name"] != "docker0"}
        self.assertEqual({x["name"]: x["bridge"] for x in now["links"] if x["name"] in flags}, flags)

    def test_3_marks_and_priority_are_kept(self):
        n = self.marks()
        self.assertGreaterEqual(n[0], 2)
        self.assertEqual(n, [n[0]] * 3)

    def test_4_what_others_drop_stays_dropped(self):
        run = self.lab.host.exec
        for tool, chain in (("iptables", "DOCKER-USER"), ("ip6tables", "FORWARD")):
            run(tool, "-I", chain, "-p", "udp", "--dport", "7000", "-j", "DROP")
        self.all_are([("web1", "api1"), ("web1", "out")], False, protos=("udp",))
        self.all_are([("web1", "api1")], True, protos=("tcp",))
        for tool, chain in (("iptables", "DOCKER-USER"), ("ip6tables", "FORWARD")):
            run(tool, "-D", chain, "-p", "udp", "--dport", "7000", "-j", "DROP")
        self.all_are([("web1", "api1")], True)

    def test_5_what_others_accept_stays_denied(self):
        chains = "\n".join(f"chain {h} {{ type filter hook {h} priority {p}; policy accept; accept\n}}"
                           for h, p in (("forward", -300), ("input", -300), ("output", -50)))
        self.lab.host.exec("nft", "-f", "-", input=f"table inet early {{\n{chains}\n}}\n")
        self.addCleanup(self.lab.host.exec, "nft", "delete", "table", "inet", "early", check=False)
        self.all_are(self.DENIED, False)
        self.all_are(self.ALLOWED, True)

    def ufw(self, kind):
        """As ufw does: its chains behind what is there, its policies."""
        for v in ("", "6"):
            tool = "ip6tables" if v else "iptables"
            saved = self.lab.host.exec(f"{tool}-{kind}-save", "-t", "filter")
            # what was saved without a table (legacy) has none to bring back
            undo = saved if "*filter" in saved else "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n"
            self.addCleanup(self.lab.host.exec, f"{tool}-{kind}-restore", input=undo)
            self.lab.host.exec(f"{tool}-{kind}-restore", "--noflush", input=(FIXTURES / f"ufw.ip{v}").read_text())

    def beside_ufw(self):
        self.all_are([("web1", "host")], False)             # ufw opens 22 and 80 alone
        self.all_are(self.DENIED, False)
        self.assertEqual(self.daemon.status()["kernel"]["repairs"], 0)
        self.assertTrue(self.daemon.status()["kernel"]["in_sync"])

    def test_6_ufw_by_iptables_nft(self):
        self.ufw("nft")
        self.beside_ufw()
        self.all_are([("web1", "api1"), ("web1", "out")], True)    # DOCKER-USER comes before its policy

    def test_6_ufw_by_iptables_legacy(self):
        self.ufw("legacy")
        self.beside_ufw()
        self.all_are([("web1", "out")], False)              # nothing of Docker's is in the legacy table: its policy drops

    def test_7_firewalld(self):
        self.lab.host.exec("nft", "-f", "-", input=(FIXTURES / "firewalld.nft").read_text())
        self.addCleanup(self.lab.host.exec, "nft", "delete", "table", "inet", "firewalld", check=False)
        self.all_are([("web1", "host")], False)             # its public zone opens ssh and 80
        self.all_are(self.DENIED, False)
        self.lab.host.exec("nft", "delete", "table", "inet", "firewalld")
        self.all_are(self.ALLOWED, True)
        self.assertEqual(self.daemon.status()["kernel"]["repairs"], 0)

    def test_8_teardown_leaves_them(self):
        theirs = without_ours(self.lab.ruleset())
        self.daemon.teardown()
        now = self.lab.kernel_state()
        self.assertEqual(now["ruleset"].strip(), theirs.strip())
        for key in ("qdiscs", "sysctls"):
            self.assertEqual(now[key], self.before[key], key)
        self.assertEqual(self.foreign_tc(), self.tc)
        self.foreign_undisturbed()
        self.all_are(self.ALLOWED + self.DENIED, True)


if __name__ == "__main__":
    tap.main()
