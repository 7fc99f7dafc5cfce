#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 60 s
"""bulkhead scan on a real Docker: each door that it tells of lets a packet in, each that it does not tell of lets none in, beside
no firewall, ufw, firewalld, rules in DOCKER-USER, and bulkhead; and what it says to write closes them."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402

FIXTURES = lab.TOP / "tests/fixtures/neighbours"
NETWORK_KINDS = ("published", "proxy6", "loopback", "direct")


class Door:
    """One way in, as scan would call it, and how it is tried: at addresses and ports of the host or of a container."""

    def __init__(self, kind, container, door, proto, real, *tries):
        self.kind, self.container, self.door, self.proto, self.real, self.tries = kind, container, door, proto, real, tries

    def key(self):
        return self.kind, self.container, self.door

    def __repr__(self):
        return f"{self.kind} {self.container} {self.door}"


class Scan(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        l.network("front")
        l.network("four", ipv6=False)
        l.network("inner", internal=True)
        web_ports = {"80/tcp": ["8080", ("127.0.0.1", "8081"), (lab.HOST4, "8282")], "53/udp": [("127.0.0.1", "8053")]}
        cls.web = l.run("web", network="front", ports=web_ports)
        cls.old = l.run("Old_1", network="four", ports={"80/tcp": "7080", "53/udp": "7053"})
        cls.hidden = l.run("hidden", network="inner")
        cls.agent = l.run("agent", network="none", host_config={"Binds": [f"{l.root}:/host:ro"]})
        cls.hosty = l.run("hosty", network="host")
        web, old = cls.web, cls.old
        cls.receivers = {c.name: l.receiver(c, [53, 80, 81]) for c in (web, old, cls.hidden)}
        d = [("published", "web", "tcp 0.0.0.0:8080 -> 80", "tcp", 80, (lab.HOST4, 8080)),
             ("published", "web", "tcp [::]:8080 -> 80", "tcp", 80, (lab.HOST6, 8080)),
             ("published", "web", f"tcp {lab.HOST4}:8282 -> 80", "tcp", 80, (lab.HOST4, 8282)),
             ("published", "Old_1", "tcp 0.0.0.0:7080 -> 80", "tcp", 80, (lab.HOST4, 7080)),
             ("published", "Old_1", "udp 0.0.0.0:7053 -> 53", "udp", 53, (lab.HOST4, 7053)),
             ("proxy6", "Old_1", "tcp [::]:7080 -> 80", "tcp", 80, (lab.HOST6, 7080)),
             ("proxy6", "Old_1", "udp [::]:7053 -> 53", "udp", 53, (lab.HOST6, 7053)),
             ("loopback", "web", "tcp 127.0.0.1:8081 -> 80", "tcp", 80, (web.ip4, 80), ("127.0.0.1", 8081)),
             ("loopback", "web", "udp 127.0.0.1:8053 -> 53", "udp", 53, (web.ip4, 53), ("127.0.0.1", 8053)),
             ("direct", "web", web.ip4, "tcp", 81, (web.ip4, 81)), ("direct", "web", web.ip6, "tcp", 81, (web.ip6, 81)),
             ("direct", "Old_1", old.ip4, "tcp", 81, (old.ip4, 81)),
             ("direct", "hidden", cls.hidden.ip4, "tcp", 81, (cls.hidden.ip4, 81))]
        cls.doors = [Door(*x) for x in d]
        # a neighbour that sends packets for 127.0.0.1 to this host
        l.out.exec("sh", "-ec", f"""ip route add 127.0.0.1/32 via {lab.HOST4} dev eth0 src {lab.OUT4} table 7
            ip rule add pref 1 to 127.0.0.1/32 iif lo table 7; ip rule add pref 5 lookup local; ip rule del pref 0
            echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet""")
        cls.round = 0

    def scan(self, *args, code=1):
        r = self.lab.host.run_cmd(lab.program("bulkhead"), "scan", "--json", "--docker", self.lab.socket, *args)
        self.assertEqual((r.returncode, r.stderr), (code, ""))
        return json.loads(r.stdout)

    def who_gets_in(self):
        """{door: who of lan and internet got a packet in}, tried with packets."""
        Scan.round += 1
        sources = {"lan": (None, None), "internet": (lab.INTERNET4, lab.INTERNET6)}
        cells = {}
        for i, d in enumerate(self.doors):
            for who, (s4, s6) in sources.items():
                for k, (address, port) in enumerate(d.tries):
                    s = s6 if ":" in address else s4
                    cells[f"r{self.round}.{i}.{k}.{who}."] = (d, who, (d.proto, f"{address}@{s}" if s else address, port))
        self.lab.send(self.lab.out, [(*c[2], m) for m, c in cells.items()], 1.5)
        for name, place in (("web", self.web), ("Old_1", self.old), ("hidden", self.hidden)):
            alive = f"alive{self.round}.{name}"
            self.lab.send(place, [("tcp", "127.0.0.1", 80, alive)])
            lab.wait_for("the receiver to hear itself", lambda: self.receivers[name].count(alive))
        got = {d.key(): set() for d in self.doors}
        for m, (d, who, _) in cells.items():
            if any(x[4].startswith(m) and (x[1], x[2]) == (d.proto, d.real) for x in self.receivers[d.container].lines()):
                got[d.key()].add(who)
        return got

    def agrees(self, doc=None):
        """Scan says what packets do. Returns {key: finding}."""
        doc = doc or self.scan()
        found = {(f["kind"], f["container"], f["door"]): f for f in doc["findings"] if f["kind"] in NETWORK_KINDS}
        got = self.who_gets_in()
        self.assertLessEqual(set(found), set(got), "a door that this test does not know")
        for key, who in got.items():
            if key[0] in ("direct", "loopback") and ":" not in key[2].split("->")[0].rsplit(":", 1)[0]:
                who = who & {"lan"}     # nobody beyond routes to private addresses; in this lab the outside's own second address does
            self.assertEqual(set(found[key]["from"]) if key in found else set(), who, key)
        for key, f in found.items():
            self.assertTrue(f["sure"], key)
        return found

    def iptables(self, *rule, tool="iptables", chain="DOCKER-USER"):
        table, rule = (rule[:2], rule[2:]) if rule[0] == "-t" else ((), rule)
        self.lab.host.exec(tool, *table, "-I", chain, *rule)
        self.addCleanup(self.lab.host.exec, tool, *table, "-D", chain, *rule, check=False)

    def policy(self, verdict):
        self.lab.host.exec("iptables", "-P", "FORWARD", verdict)
        self.addCleanup(self.lab.host.exec, "iptables", "-P", "FORWARD", "ACCEPT")

    # -- doors ---------------------------------------------------------------

    def test_1_docker_alone(self):
        found = self.agrees()
        kinds = {k[0] for k in found}
        self.assertEqual(kinds, set(NETWORK_KINDS))
        self.assertNotIn("hidden", {k[1] for k in found})
        self.assertEqual({f["severity"] for k, f in found.items() if k[0] == "published"}, {"medium"})

    def test_2_forward_drops(self):
        """Docker's policy where it turned forwarding on itself."""
        self.policy("DROP")
        found = self.agrees()
        self.assertNotIn("direct", {k[0] for k in found})
        self.assertIn(("loopback", "web", "tcp 127.0.0.1:8081 -> 80"), found)

    def test_3_what_the_user_drops_by_hand(self):
        """127.0.0.1 from outside is translated before the kernel would refuse it, so that only a drop before DNAT closes it."""
        self.iptables("-i", lab.UPLINK, "-m", "conntrack", "!", "--ctstate", "DNAT", "-j", "DROP")
        found = self.agrees()
        self.assertFalse([k for k in found if k[0] == "direct" and "." in k[2]])
        self.assertIn("DNAT comes first", found["loopback", "web", "udp 127.0.0.1:8053 -> 53"]["meaning"])
        self.iptables("-t", "raw", "-d", "127.0.0.0/8", "!", "-i", "lo", "-j", "DROP", chain="PREROUTING")
        self.assertNotIn("loopback", {k[0] for k in self.agrees()})

    def test_3b_from_the_neighbours_alone(self):
        self.iptables("-i", lab.UPLINK, "!", "-s", "198.51.100.0/24", "-j", "DROP")
        found = self.agrees()
        self.assertEqual(found["published", "web", "tcp 0.0.0.0:8080 -> 80"]["from"], ["lan"])
        self.assertEqual(found["published", "web", "tcp [::]:8080 -> 80"]["from"], ["lan", "internet"])

    def test_3c_one_port_of_many(self):
        self.iptables("-p", "tcp", "-m", "multiport", "--dports", "5000:6000", "-j", "DROP")
        self.iptables("-p", "tcp", "--dport", "80", "-d", self.old.ip4, "-j", "REJECT")
        doc = self.scan()
        found = {(f["kind"], f["container"], f["door"]): f for f in doc["findings"]}
        self.assertNotIn(("published", "Old_1", "tcp 0.0.0.0:7080 -> 80"), found)
        self.assertFalse(self.who_gets_in()["published", "Old_1", "tcp 0.0.0.0:7080 -> 80"])
        unsure = found["published", "web", "tcp 0.0.0.0:8080 -> 80"]      # multiport is not read
        self.assertEqual((unsure["sure"], unsure["severity"]), (False, "low"))
        self.assertIn("Not all rules of filter on the way were understood", unsure["meaning"])

    def test_4_ufw(self):
        for v in ("", "6"):
            tool = "ip6tables" if v else "iptables"
            undo = self.lab.host.exec(f"{tool}-save", "-t", "filter")
            self.addCleanup(self.lab.host.exec, f"{tool}-restore", input=undo)
            self.lab.host.exec(f"{tool}-restore", "--noflush", input=(FIXTURES / f"ufw.ip{v}").read_text())
        doc = self.scan()
        self.assertEqual(doc["firewall"], "ufw")
        found = self.agrees(doc)
        self.assertNotIn("proxy6", {k[0] for k in found})      # docker-proxy is a process of the host: INPUT is asked
        past = {k: f for k, f in found.items() if k[0] == "published"}
        self.assertEqual({f["severity"] for f in past.values()}, {"high"})
        self.assertTrue(all("past the INPUT rules of ufw, which would deny it" in f["meaning"] for f in past.values()))
        # what ufw opens itself is not past it
        self.lab.host.exec("iptables", "-A", "ufw-user-input", "-p", "tcp", "--dport", "8080", "-j", "ACCEPT")
        self.assertEqual(self.agrees()["published", "web", "tcp 0.0.0.0:8080 -> 80"]["severity"], "medium")

    def test_5_firewalld(self):
        self.lab.host.exec("nft", "-f", "-", input=(FIXTURES / "firewalld.nft").read_text())
        self.addCleanup(self.lab.host.exec, "nft", "delete", "table", "inet", "firewalld", check=False)
        doc = self.scan()
        self.assertEqual(doc["firewall"], "firewalld")
        found = self.agrees(doc)
        self.assertEqual({k[0] for k in found}, {"published", "loopback"})
        self.assertEqual({f["severity"] for k, f in found.items() if k[0] == "published"}, {"high"})

    # -- powers, bulkhead ------------------------------------------------------

    def test_6_powers(self):
        found = {(f["kind"], f["container"]): f for f in self.scan()["findings"]}
        self.assertEqual(found["socket", "agent"]["door"], str(self.lab.root))
        self.assertEqual(found["socket", "agent"]["severity"], "high")
        self.assertIn(("host-network", "hosty"), found)
        self.assertEqual({c for k, c in found if k in ("socket", "privileged", "host-network")}, {"agent", "hosty"})

    def test_7_what_it_says_to_write_closes_them(self):
        doc = self.scan()
        net = [f for f in doc["findings"] if f["kind"] in NETWORK_KINDS]
        zones = "".join(sorted({f"  {f['bulkhead']['zones']}\n" for f in net}))
        allow = "".join(sorted({f"  - {f['bulkhead']['allow']}\n" for f in net if f["bulkhead"]["allow"]}))
        before = self.who_gets_in()
        text = f"version: 1\nmode: enforce\nzones:\n{zones}allow:\n{allow}"
        d = self.lab.bulkheadd(text)
        self.addCleanup(d.teardown)
        after = self.who_gets_in()
        # web's port 80 is opened to the lan for what is published; its port 53 to the host alone
        self.assertEqual(after, {k: v & {"lan"} if k[0] != "direct" and k[1:] != ("web", "udp 127.0.0.1:8053 -> 53") else set()
                                 for k, v in before.items()})
        doc = self.scan()
        self.assertEqual(doc["guarded"], len(net))
        self.assertEqual({f["kind"] for f in doc["findings"]}, {"socket", "host-network"})
        d.reload(text.replace("enforce", "audit"))             # audit closes nothing
        self.assertEqual(self.scan()["guarded"], 0)
        self.agrees()

    def test_8_text_and_errors(self):
        bulkhead = lab.program("bulkhead")
        r = self.lab.host.run_cmd(bulkhead, "scan", "--docker", self.lab.socket)
        self.assertEqual(r.returncode, 1)
        self.assertLessEqual(max(map(len, r.stdout.splitlines())), 80)
        self.assertNotIn("\033", r.stdout)
        self.assertIn("allow     {from: lan, to: old-1, ports: [tcp/80]}\n", r.stdout)
        r = self.lab.host.run_cmd(bulkhead, "scan", "--docker", "/nowhere/docker.sock")
        self.assertEqual((r.returncode, r.stdout), (3, ""))
        self.assertRegex(r.stderr, r"^bulkhead: no Docker answers: .*: give its socket with --docker SOCKET\n$")
        r = self.lab.host.run_cmd("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", bulkhead, "scan")
        if "not found" in r.stderr or "failed to execute" in r.stderr:
            r = self.lab.host.run_cmd("unshare", "-U", bulkhead, "scan")
        self.assertEqual((r.returncode, r.stdout), (4, ""), r.stderr)
        self.assertIn("run it with sudo", r.stderr)

    def test_9_nothing_changed_and_nothing_found(self):
        before = self.lab.kernel_state()
        self.scan()
        self.assertEqual(before, self.lab.kernel_state())
        self.lab.remove_containers()
        self.assertEqual(self.scan(code=0)["findings"], [])


if __name__ == "__main__":
    tap.main()
