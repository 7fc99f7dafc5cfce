#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 22 s, works 8 s
"""The way in: a host whose application runs is given bulkhead, first in audit with the default configuration, then in enforce with
three tiers. Its connections were opened before, on a bridge that conntrack did not see, and some carry words of the server alone."""
import os
import pathlib
import subprocess
import sys
import time
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402

DEFAULT = (lab.TOP / "rules/default.yaml").read_text()
TIERS = (lab.TOP / "rules/three-tier.yaml").read_text()
PROJECT = {"com.docker.compose.project": "shop", "com.docker.compose.container-number": "1"}
# Who opens what, all of it allowed by three-tier.yaml. "published": the host's own address.
PATHS = [("out", "published", 80), ("host", "proxy", 80), ("proxy", "api", 8080), ("api", "db", 5432), ("api", "internet", 443)]
NOT_ALLOWED = ("proxy", "db", 5432)
ENDS = 8    # s: a client that hears nothing for so long has lost its server, which speaks twenty times a second
DENIED = ("policy", "unknown", "quarantine", "identity", "metadata", "invalid")

# A server that talks and a client that listens: push PORT, pull ADDRESS PORT.
TALK = r"""
import socket, sys, time
if sys.argv[1] == "push":
    s = socket.socket(socket.AF_INET6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("::", int(sys.argv[2]))); s.listen(64); s.setblocking(False)
    print("ready", flush=True)
    conns = []
    while True:
        try:
            conns.append(s.accept()[0])
        except BlockingIOError:
            pass
        for c in conns[:]:
            try:
                c.send(b"x")
            except OSError:
                conns.remove(c)
        time.sleep(0.05)
c = socket.create_connection((sys.argv[2], int(sys.argv[3])), 10)
c.settimeout(float(sys.argv[4]))
print("connected", flush=True)
try:
    while c.recv(100):
        print(time.time(), flush=True)
    print("ended by the peer", flush=True)
except OSError as e:
    print("ended", e, flush=True)
"""
NAME = r"""
import socket, struct, sys
q = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + b"".join(bytes([len(w)]) + w.encode() for w in sys.argv[1].split(".")) + b"\0\0\x01\0\x01"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10); s.sendto(q, ("127.0.0.11", 53))
a = s.recv(512)
print(socket.inet_ntoa(a[-4:]) if struct.unpack(">H", a[6:8])[0] else "none")
"""


class Talk:
    """One connection that only its server speaks on."""

    def __init__(self, place, address, port, patience=20):
        self.place, self.port = place, port
        fd = os.open(place.lab.root / f"talk-{id(self)}", os.O_RDWR | os.O_CREAT)
        self.path = place.lab.root / f"talk-{id(self)}"
        self.proc = place.popen("/usr/bin/python3", "-c", TALK, "pull", address, port, patience, stdout=fd)
        os.close(fd)
        lab.wait_for(f"{place.name} to {address}", lambda: len(self.lines()) > 2)

    def lines(self):
        return self.path.read_text().splitlines()

    def heard(self, since):
        """Whether it hears its server after that time."""
        return any(line[:1].isdigit() and float(line) > since for line in self.lines())

    def end(self):
        return next((line for line in self.lines() if line.startswith("ended")), None)


class WayIn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.l = lab.Lab().up()
        cls.addClassCleanup(cls.l.down)
        # As on hosts where nobody loaded br_netfilter: conntrack does not see what stays on a bridge.
        cls.l.host.exec("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0", "net.bridge.bridge-nf-call-ip6tables=0")
        cls.l.network("shop_default", labels={"com.docker.compose.project": "shop"})
        run = [lambda n=n, t=t, p=p: cls.l.run(n, network="shop_default", ports=p, labels={
            **PROJECT, "com.docker.compose.service": n, "tier": t})
            for n, t, p in (("proxy", "web", {"80/tcp": 80}), ("api", "api", None), ("db", "db", None))]
        cls.proxy, cls.api, cls.db = lab.parallel(run)
        cls.d = None
        for place, port in ((cls.proxy, 80), (cls.api, 8080), (cls.db, 5432), (cls.l.out, 443)):
            fd = os.open(cls.l.root / f"push-{port}", os.O_RDWR | os.O_CREAT)
            place.popen("/usr/bin/python3", "-c", TALK, "push", port, stdout=fd)
            os.close(fd)
            lab.wait_for("a server", lambda: "ready" in (cls.l.root / f"push-{port}").read_text())

    def place(self, name):
        return {"out": self.l.out, "host": self.l.host, "proxy": self.proxy, "api": self.api, "db": self.db}[name]

    def address(self, name, family):
        if name == "published":
            return lab.HOST4 if family == 4 else lab.HOST6
        if name == "internet":
            return lab.INTERNET4 if family == 4 else lab.INTERNET6
        return self.place(name).address("shop_default", family)

    def talks(self, paths, patience=20):
        return {(frm, to, port, f): Talk(self.place(frm), self.address(to, f), port, patience)
                for frm, to, port in paths for f in (4, 6)}

    def open_all(self, paths):
        """Everybody opens a new connection everywhere, and asks for a name."""
        jobs = [lambda k=k: (k, self.place(k[0]).exec(
            "/usr/bin/python3", "-c", f"import socket; print(socket.create_connection(({self.address(k[1], k[3])!r}, {k[2]}), 10).recv(1))"))
            for k in ((*p, f) for p in paths for f in (4, 6))]
        jobs += [lambda: ("name", self.proxy.exec("/usr/bin/python3", "-c", NAME, "api"))]
        for key, said in lab.parallel(jobs, 4):
            self.assertEqual(said.strip(), self.api.address("shop_default") if key == "name" else "b'x'", key)

    def goes_on(self, talks, seconds):
        """Every connection hears its server to the end."""
        time.sleep(seconds)
        now = time.time()
        for key, t in talks.items():
            self.assertIsNone(t.end(), f"{key}: {t.end()}")
            lab.wait_for(f"{key} to go on", lambda t=t: t.heard(now))

    def denied(self):
        n = {}
        for table in ("inet", "bridge"):
            for c in self.l.host.exec("nft", "list", "counters", "table", table, "bulkhead").split("counter denied_")[1:]:
                n[c.split()[0]] = n.get(c.split()[0], 0) + int(c.split("packets")[1].split()[0])
        return {k: n.get(k, 0) for k in DENIED}

    def kinds(self, verdict="deny"):
        return {(k["class"], k["from"], k["to"], k["proto"], k["port"]) for k in self.d.status()["denials"]
                if k["verdict"] == verdict and k["class"] != "noise"}

    def test_1_audit_breaks_nothing(self):
        paths = PATHS + [NOT_ALLOWED]
        self.open_all(paths)    # control: it works without bulkhead
        type(self).running = self.talks(paths)
        type(self).d = self.l.bulkheadd(DEFAULT)
        self.assertEqual(self.d.status()["daemon"]["state"], "auditing")
        self.goes_on(self.running, 1)
        self.open_all(paths)
        # What would be denied works too, and is told once by name: the host's own services, for one.
        for f in (4, 6):
            gateway = self.proxy.networks["shop_default"]["Gateway" if f == 4 else "IPv6Gateway"]
            self.assertEqual(self.l.send(self.proxy, [("tcp", gateway, 9999, f"g{i}{f}") for i in range(3)], 10),
                             {f"g{i}{f}": unittest.mock.ANY for i in range(3)})
        self.api.stop()
        self.api.start()        # a restart, as any day
        self.place("api").popen("/usr/bin/python3", "-c", TALK, "push", 8080, stdout=subprocess.DEVNULL)
        lab.wait_for("api again", lambda: self.d.zone_of("api") == "project:shop")
        time.sleep(0.5)
        self.open_all(paths)
        self.assertNotIn("(unknown) tcp/80: unknown", self.d.log())    # nobody is told of who was not known yet
        told = [line for line in self.d.log().splitlines() if "would deny proxy (project:shop) to host (host) tcp/9999: policy" in line]
        self.assertEqual(len(told), 1, self.d.log())
        self.assertEqual(self.kinds(), set())
        self.assertEqual(sum(c["dropped_packets"] for c in self.d.status()["containers"]), 0)

    def test_2_the_switch_ends_what_it_says_and_nothing_else(self):
        for t in self.running.values():
            t.proc.kill()
        running = self.talks(PATHS)
        ending = self.talks([NOT_ALLOWED], ENDS)
        before = self.denied()
        self.d.write(TIERS)
        said = self.d.cli("reload", timeout=60)
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertIn("2 running connections end: proxy -> db tcp/5432 (2)", said.stdout)
        self.assertIn("2 running connections end: proxy -> db tcp/5432 (2)", self.d.log())
        for key, t in ending.items():
            lab.wait_for(f"{key} to end", t.end, 2 * ENDS)
        self.goes_on(running, 2)
        self.open_all(PATHS)
        after = self.denied()
        # Every packet that was dropped is of the two connections that had to end; what comes after their reset is invalid.
        self.assertEqual({k[1:] for k in self.kinds()}, {("proxy", "db", "tcp", "5432")}, self.d.log())
        self.assertEqual({k: after[k] - before[k] for k in DENIED[1:-1]}, {k: 0 for k in DENIED[1:-1]})
        for t in running.values():
            t.proc.kill()

    def test_3_from_nothing_to_enforce(self):
        self.d.teardown()
        self.l.host.exec("conntrack", "-F", check=False)
        inside = [p for p in PATHS if p[1] in ("api", "db")]
        running, ending = self.talks(inside), self.talks([NOT_ALLOWED], ENDS)
        self.assertEqual([line for line in self.l.host.exec("conntrack", "-L", check=False).splitlines() if "dport=5432" in line], [])
        self.d.write(TIERS)
        self.d.start()
        self.goes_on(running, 3)
        for key, t in ending.items():
            lab.wait_for(f"{key} to end", t.end, 2 * ENDS)
        self.open_all(PATHS)
        # Nobody else gets anywhere by such a segment: the database may not open connections, whatever port it sends from.
        self.assertNotIn("ok", [r[0] for r in self.l.send(self.db, [
            ("tcp", self.address("api", f), 8080, f"d{f}") for f in (4, 6)], 2).values()])

    def test_4_quickstart(self):
        """The whole way on a host without systemd; what it installs goes into overlays of its own."""
        self.d.teardown()
        before = self.l.kernel_state()
        talks = self.talks(PATHS)
        script = """for d in usr/local etc var/lib var/log; do
                mkdir -p "$0/$d/upper" "$0/$d/work"
                mount -t overlay overlay -o "lowerdir=/$d,upperdir=$0/$d/upper,workdir=$0/$d/work" "/$d"
            done
            rm -rf /etc/bulkhead
            exec "$1" """
        r = self.l.host.run_cmd("unshare", "-m", "--propagation", "private", "sh", "-ec", script, self.l.root / "quickstart",
                                lab.TOP / "tools/quickstart", timeout=200,
                                env={"DOCKER_HOST": f"unix://{self.l.socket}", "BH_BUILD": str(lab.build_dir()), "QUICKSTART_WATCH": "1"})
        print("\n".join("# " + line for line in (r.stdout + r.stderr).splitlines()))
        self.assertEqual(r.returncode, 0)
        for text in ("auditing", "project:shop", "proxy", "What would be denied", "mode: enforce", "sudo bulkheadd --teardown"):
            self.assertIn(text, r.stdout)
        self.goes_on(talks, 1)
        self.assertEqual(self.l.host.run_cmd(lab.program("bulkhead"), "status").returncode, 0)
        self.l.host.exec(lab.program("bulkheadd"), "--teardown")
        after = self.l.kernel_state()
        self.assertEqual(after["ruleset"], before["ruleset"])
        self.assertEqual(after["sysctls"], before["sysctls"])


if __name__ == "__main__":
    tap.main()
