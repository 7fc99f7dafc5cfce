#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 27 s, works 18 s
"""How a daemon starts: with what configuration, beside whom, on what it finds in the kernel,
and what it says meanwhile."""
import collections
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import fakehost  # noqa: E402
import lab  # noqa: E402
import tap  # noqa: E402

GOOD = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
  api: {select: {labels: {tier: api}}}
  db: {select: {labels: {tier: db}}}
allow:
  - {from: web, to: api, ports: [udp/7000]}
"""
OTHER = GOOD.replace("from: web", "from: db")
BROKEN = "version: 1\nmode: [\n"
CUSTOM = "lanparty0"  # a bridge whose name tells nothing


def ours(text):
    """Our tables' lines; who owns them at the moment is another matter."""
    text = re.sub(r"(?m)^\s*flags *(owner|persist|,| )*\n| # progname .*", "", text)
    tables = [t for t in re.split(r"(?m)^(?=table )", text) if re.match(r"table \w+ bulkhead\b", t)]
    return sorted(line for line in "".join(tables).splitlines() if line)


class Host(unittest.TestCase):
    """A host with three containers on a bridge as Docker names it, and two on one with a name of its own."""

    @classmethod
    def setUpClass(cls):
        cls.host = h = fakehost.FakeHost().up()
        cls.addClassCleanup(h.down)
        h.network("front")
        h.network("custom", bridge=CUSTOM)
        cls.web, cls.api, cls.db, cls.cweb, cls.cdb = h.add(
            [("web1", {"tier": "web"}, "front"), ("api1", {"tier": "api"}, "front"), ("db1", {"tier": "db"}, "front"),
             ("web9", {"tier": "web"}, "custom"), ("db9", {"tier": "db"}, "custom")])
        cls.daemons = 0

    def daemon(self, config, wait=True, **kw):
        """A daemon with a state of its own."""
        type(self).daemons += 1
        d = lab.Daemon(self.host, config, name=f"d{self.daemons}", wait=wait, **kw)
        self.addCleanup(self.forget, d)
        return d

    def forget(self, d):
        d.lab.host.exec("umount", d.state, check=False)
        d.teardown()

    def reboot(self):
        """What a boot leaves of our tables and of the bridges' flags: nothing."""
        h = self.host
        h.host.exec("nft", "flush", "ruleset")
        for n in h.nets.values():
            h.host.exec("ip", "link", "set", n["bridge"], "type", "bridge", "nf_call_iptables", "0", "nf_call_ip6tables", "0",
                        "no_linklocal_learn", "0")

    def arrives(self, src, dst, port=7000, seconds=0.25):
        """Which of IPv4 and IPv6 arrive: "46", "4", "" ...; the receiver must hear itself."""
        t = self.host.tally(dst, port)
        f = [self.host.flood(src, "x", port, [dst.ip4, dst.ip6], gap_us=5000),
             self.host.flood(dst, "alive", port, ["127.0.0.1"], gap_us=5000)]
        time.sleep(seconds)
        for x in f:
            x.stop()
        got = t.stop()
        self.assertIn("alive/127.0.0.1", got)
        return "".join(n for n, a in (("4", dst.ip4), ("6", dst.ip6)) if f"x/{a}" in got)

    def is_good(self):
        self.assertEqual((self.arrives(self.web, self.api), self.arrives(self.db, self.api)), ("46", ""))

    def is_closed(self):
        """Also on the bridge whose name tells nothing."""
        self.assertEqual([self.arrives(a, b) for a, b in ((self.web, self.api), (self.cweb, self.cdb), (self.host.host, self.web),
                                                          (self.web, self.host.host_place))], ["", "", "", ""])

    def is_open(self):
        self.assertEqual([self.arrives(a, b) for a, b in ((self.web, self.api), (self.cweb, self.cdb), (self.host.host, self.web),
                                                          (self.web, self.host.host_place))], ["46"] * 4)


class LastGood(Host):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.host.host_place = cls.host.host
        cls.host.host.ip4, cls.host.host.ip6 = lab.HOST4, lab.HOST6

    def test_0_control_open_without_bulkhead(self):
        self.is_open()

    def test_1_broken_or_missing_uses_the_last_good(self):
        d = self.daemon(GOOD)
        self.is_good()
        good = ours(self.host.ruleset())
        for change in (lambda: d.write(BROKEN), d.config.unlink):
            d.stop()
            self.reboot()
            change()
            d.start()
            s = d.status()["daemon"]
            self.assertEqual(s["state"], "degraded")
            self.assertIn("last good", s["reason"])
            self.assertEqual(ours(self.host.ruleset()), good)
        self.is_good()
        d.write(OTHER)
        d.reload()
        self.assertEqual(d.status()["daemon"]["state"], "enforcing")
        self.assertEqual(self.arrives(self.db, self.api), "46")

    def test_2_without_one_nothing_passes_and_a_reload_heals(self):
        d = self.daemon(BROKEN)
        s = d.status()["daemon"]
        self.assertEqual((s["state"], "containers get nothing" in s["reason"]), ("degraded", True))
        self.is_closed()
        d.write(GOOD)
        d.reload()
        self.assertEqual(d.status()["daemon"]["state"], "enforcing")
        self.is_good()

    def test_3_damaged_is_none(self):
        d = self.daemon(GOOD)
        kept = d.state / "good" / "bulkhead.yaml"
        whole = kept.read_text()
        for damage in (whole[:-10], whole.replace("enforce", "audit"), ""):
            d.stop()
            self.reboot()
            kept.write_text(damage)
            d.write(BROKEN)
            d.start()
            s = d.status()["daemon"]
            self.assertEqual(s["state"], "degraded")
            self.assertIn("damaged", s["reason"])
            self.assertEqual(self.arrives(self.web, self.api), "")
        d.write(GOOD)
        d.reload()
        self.assertEqual(kept.read_text(), whole)

    def test_4_full_disk_and_read_only(self):
        """The rules come into force, the state says that they would not survive, and the one before is whole."""
        d = self.daemon(GOOD)
        self.host.host.exec("mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", d.state)
        d.write(GOOD)
        d.reload()
        self.host.host.exec("sh", "-c", f"cat /dev/zero > {d.state}/fill || true")
        d.write(OTHER + "# " + "x" * 9000 + "\n")
        d.reload()
        s = d.status()["daemon"]
        self.assertEqual(s["state"], "degraded")
        self.assertRegex(s["reason"], "cannot keep the configuration.*No space")
        self.assertEqual(self.arrives(self.db, self.api), "46")
        self.assertEqual(self.host.host.exec("cat", d.state / "good" / "bulkhead.yaml"), GOOD)
        self.host.host.exec("sh", "-c", f"rm {d.state}/fill; mount -o remount,ro {d.state}")
        d.reload()
        self.assertRegex(d.status()["daemon"]["reason"], "cannot keep the configuration.*Read-only")
        d.stop()
        d.write(BROKEN)
        d.start()  # reading is enough
        self.assertIn("last good", d.status()["daemon"]["reason"])
        self.is_good()
        self.host.host.exec("mount", "-o", "remount,rw", d.state)
        d.write(OTHER)
        d.reload()
        self.assertEqual(d.status()["daemon"]["state"], "enforcing")

    def test_5_bridges_are_known_over_a_reboot(self):
        """Docker makes its bridges and starts what it restarts before it answers."""
        d = self.daemon(GOOD)
        d.stop()
        self.reboot()
        self.assertEqual(self.arrives(self.cweb, self.cdb), "46")
        self.host.fake.hooks["/"] = lambda conn, path: time.sleep(20)  # it takes connections and is silent
        try:
            d.start(wait=False)
            lab.wait_for("the tables", lambda: ours(self.host.ruleset()))
            self.is_closed()
        finally:
            self.host.fake.hooks.clear()
            self.host.fake.drop()
        lab.wait_for("docker", lambda: d.status()["runtimes"][0]["state"] == "connected", 15)
        lab.wait_for("web9", lambda: d.zone_of("web9") == "web")


class Start(Host):
    def test_1_second_daemon_changes_nothing(self):
        d = self.daemon(GOOD)
        before, pid = self.host.ruleset(), d.status()["daemon"]["pid"]
        for more in (["--foreground"], ["--once"]):
            other = [lab.program("bulkheadd"), "--config", d.dir / "other.yaml", "--socket", d.dir / "other.sock", "--state", d.dir / "other",
                     "--runtime", f"docker={self.host.socket}", *more]
            (d.dir / "other.yaml").write_text(OTHER)
            t = time.monotonic()
            r = self.host.host.run_cmd(*other, timeout=10)
            self.assertEqual(r.returncode, 1, r.stderr)
            self.assertRegex(r.stderr, rf"^bulkheadd: a bulkheadd \(pid {pid}\) runs in this network namespace already.*\n$")
            self.assertLess(time.monotonic() - t, 3)
            self.assertEqual(before, self.host.ruleset())
            self.assertFalse(os.path.exists(d.dir / "other"))
        self.assertEqual(d.status()["daemon"]["pid"], pid)
        # Another namespace is another host.
        self.host.host.exec("ip", "netns", "add", "elsewhere")
        place = lab.Place(self.host, "elsewhere", ["-n", "/run/netns/elsewhere"])
        r = place.run_cmd(*other, timeout=20)
        self.assertNotIn("already", r.stderr)
        self.assertIn("table inet bulkhead", place.exec("nft", "list", "tables"))
        self.assertEqual(before, self.host.ruleset())

    def test_2_once(self):
        d = self.daemon(GOOD)
        want = ours(self.host.ruleset())
        d.teardown()
        r = self.host.host.run_cmd(*d.argv("--once"), timeout=20)
        self.assertEqual((r.returncode, ours(self.host.ruleset())), (0, want), r.stderr)
        self.assertFalse(os.path.exists(d.socket))
        r = self.host.host.run_cmd(*d.argv("--once"), timeout=20)
        self.assertEqual((r.returncode, ours(self.host.ruleset())), (0, want), r.stderr)

    def test_3_a_reload_before_a_runtime_answers(self):
        """Rules that were found are kept until then; the answer to a reload is not 'the kernel holds it' while it does not."""
        d = self.daemon(GOOD)
        d.stop()
        found = self.host.ruleset()
        self.host.fake.hooks["/containers/json"] = lambda conn, path: time.sleep(1.5) and False  # it thinks for 1.5 s
        d.write(OTHER)
        d.start(wait=False)
        lab.wait_for("the control socket", lambda: os.path.exists(d.socket))
        d.write(GOOD.replace("7000", "7001"))
        t = time.monotonic()
        r = d.ask("reload")
        took = time.monotonic() - t
        self.host.fake.hooks.clear()
        self.assertTrue(r["ok"] and r["result"]["loaded"], r)
        self.assertGreater(took, 1, "answered before a runtime did")
        self.assertEqual(self.arrives(self.web, self.api, 7001), "46")
        self.assertEqual(self.arrives(self.web, self.api), "")
        d.stop()
        # Nobody answers at all: the answer says what is kept, and that.
        found = ours(self.host.ruleset())
        self.host.fake.stop()
        try:
            d.start()
            d.write(OTHER)
            r = d.cli("reload", timeout=20)
            self.assertEqual(r.returncode, 1)
            self.assertIn("no runtime answers", r.stderr)
            s = d.status()
            self.assertEqual((s["daemon"]["state"], s["kernel"]["in_sync"]), ("degraded", False))
            self.assertIn("found", s["daemon"]["reason"])
            self.assertEqual(found, ours(self.host.ruleset()))
        finally:
            self.host.fake.listen()
        lab.wait_for("the new rules", lambda: [r["from"] for r in d.status()["rules"]] == ["db"], 15)
        self.assertEqual(self.arrives(self.db, self.api), "46")

    def test_4_teardown_of_a_daemon_that_is_stuck(self):
        d = self.daemon(GOOD)
        pid = self.host.pids_of("bulkheadd", str(d.socket))[0]
        self.host.host.exec("kill", "-STOP", str(pid))
        t = time.monotonic()
        r = self.host.host.run_cmd(*d.argv("--teardown"), timeout=30)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertLess(time.monotonic() - t, 12)
        self.assertEqual(ours(self.host.ruleset()), [])

    def test_5_a_saved_rule_set_with_stale_members(self):
        """`nft list ruleset > file` while bulkhead runs, loaded at the next boot before it: taken over and mended. A member of then is
        gone, and its address is another's, who gets nothing of it at any time."""
        h = self.host
        stale = h.run("stale1", {"tier": "web"}, "front")
        d = self.daemon(GOOD)
        self.assertEqual(self.arrives(stale, self.api), "46")
        saved = h.host.exec("nft", "list", "ruleset")
        d.stop()
        h.remove(stale, events=False)
        h.host.exec("nft", "flush", "ruleset")
        text = re.sub(r"(?m)^\s*flags *(owner|persist|,| )*\n", "", saved)
        h.host.exec("nft", "-f", "-", input=text + "table inet somebody {\n chain c { type filter hook forward priority 0; }\n}\n")
        # Who has the address now has another port: the kernel numbers and Docker names it anew.
        h.nets["front"]["next"] = stale.number
        thief = h._new("thief", "front")
        h.host.exec("sh", "-ec", thief.script("vthief"))
        h._tell(thief, {"tier": "db"}, "front", "running")
        self.assertEqual((thief.ip4, thief.mac), (stale.ip4, stale.mac))
        t = h.tally(self.api, 7000)
        f = h.flood(thief, "no", 7000, [self.api.ip4, self.api.ip6])
        ok = h.flood(self.web, "ok", 7000, [self.api.ip4, self.api.ip6])
        time.sleep(0.4)
        d.start()
        time.sleep(0.4)
        sent, fine = f.stop(), ok.stop()
        got = t.stop()
        self.assertGreater(min(n for n, _ in sent.values()), 100)
        self.assertEqual({k for k in got if k.startswith("no")}, set())
        self.assertEqual({k: got[k][1] for k in fine}, {k: n for k, (n, _) in fine.items()})
        # Exactly the wanted rules: what a start on an empty kernel makes.
        self.assertIn("table inet somebody", h.ruleset())
        taken = ours(h.ruleset())
        self.assertEqual((d.status()["kernel"]["in_sync"], d.zone_of("thief")), (True, "db"))
        d.teardown()
        d.start()
        fresh = ours(h.ruleset())
        drop_numbers = lambda lines: sorted(re.sub(r"zone_[0-9a-f]+_|b8:[0-9a-f]+", "", x) for x in lines)  # noqa: E731
        only = [collections.Counter(drop_numbers(x)) - collections.Counter(drop_numbers(y)) for x, y in ((taken, fresh), (fresh, taken))]
        self.assertEqual(only, [{}, {}])
        h.host.exec("nft", "delete", "table", "inet", "somebody")

    def test_6_watchdog(self):
        """Pings while the loop turns, none while it does not."""
        d = self.daemon(GOOD)
        d.stop()
        path = str(d.dir / "notify")
        if os.path.exists(path):
            os.unlink(path)
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind(path)
        p = self.host.host.popen(*d.argv("--foreground"), env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "300000"},
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def pings(seconds):
            end, n, rest = time.monotonic() + seconds, 0, b""
            while (left := end - time.monotonic()) > 0:
                s.settimeout(left)
                try:
                    m = s.recv(4096)
                except socket.timeout:
                    break
                n += b"WATCHDOG=1" in m
                rest += m + b"\n"
            return n, rest
        n, text = pings(1.5)
        self.assertIn(b"READY=1", text)
        self.assertGreater(n, 2)
        pid = self.host.pids_of("bulkheadd", str(d.socket))[0]
        self.host.host.exec("kill", "-STOP", str(pid))
        pings(0.2)
        self.assertEqual(pings(0.8)[0], 0)
        self.host.host.exec("kill", "-CONT", str(pid))
        self.assertGreater(pings(1)[0], 1)
        p.terminate()
        p.wait(10)
        self.assertIn(b"STOPPING=1", pings(0.2)[1])

    def test_7_least_privilege(self):
        """With the capabilities that the unit leaves, and read-only /proc/sys, as ProtectKernelTunables= makes it."""
        unit = (lab.TOP / "systemd" / "bulkheadd.service.in").read_text()
        caps = re.search(r"(?m)^CapabilityBoundingSet=(.*)$", unit).group(1).split()
        d = self.daemon(GOOD)
        want = ours(self.host.ruleset())
        d.teardown()
        bounding = ",".join(["-all"] + ["+" + c.removeprefix("CAP_").lower() for c in caps])
        script = "mount -o bind,ro /proc/sys /proc/sys; exec setpriv --bounding-set=$0 --inh-caps=-all --no-new-privs \"$@\""
        with open(d.log_path, "a") as log:
            p = self.host.host.popen("unshare", "-m", "--propagation", "private", "sh", "-c", script, bounding, *d.argv("--foreground"),
                                     stdout=log, stderr=log)
        lab.wait_for("web1 placed", lambda: os.path.exists(d.socket) and d.zone_of("web1") == "web", 15)
        pid = self.host.pids_of("bulkheadd", str(d.socket))[0]
        self.assertEqual(int(re.search(r"CapEff:\s*(\w+)", self.host.host.exec("cat", f"/proc/{pid}/status")).group(1), 16),
                         sum(1 << {"CAP_NET_ADMIN": 12, "CAP_CHOWN": 0}[c] for c in caps))
        self.assertEqual(ours(self.host.ruleset()), want)
        d.write(OTHER)
        d.reload()
        p.send_signal(signal.SIGTERM)
        self.assertEqual(p.wait(10), 0)


class Reboot(unittest.TestCase):
    """All that a reboot does, but for the kernel: the daemon, dockerd, containerd and every container are killed, rules and bridges are
    gone; then bulkheadd starts, and dockerd after it, which makes its bridges and starts what has a restart policy before it
    answers anybody. Who is started sends with its first instruction."""

    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        l.network("front")
        l.network("custom", options={"com.docker.network.bridge.name": CUSTOM})
        cls.daemon = l.bulkheadd(GOOD)
        always = {"RestartPolicy": {"Name": "always"}}
        addresses = {n: f"10.111.{16 + i}.100" for i, n in enumerate(("front", "custom"))}
        cls.rx = [l.run(f"api-{n}", labels={"tier": "api"}, network=n, ip=a, cmd=["probe", "recv", "7000,7001"], host_config=always)
                  for n, a in addresses.items()]
        cls.tx = [l.run(f"{tier}-{n}", labels={"tier": tier}, network=n, host_config=always,
                        cmd=["firstpkt", "udp", a, 7000, f"from-{tier}", 100000, 1000])
                  for n, a in addresses.items() for tier in ("web", "db")]
        for c in cls.rx + cls.tx:
            cls.daemon.wait_zone(c.name, c.name.split("-")[0])

    def crash(self):
        """Everything that runs, and what the kernel holds for it."""
        l = self.lab
        l.dockerd.kill()
        l.dockerd.wait()
        # also containers: a stopped runtime cannot tell that they ended, as at a boot
        l.host.exec("sh", "-c", "for d in /proc/[0-9]*; do case $(cat $d/comm 2>/dev/null) in dockerd|containerd*|runc|docker-proxy|probe|firstpkt) "
                    "kill -9 ${d#/proc/};; esac; done; true")
        lab.wait_for("the runtime's end", lambda: not any(l.pids_of(n) for n in ("dockerd", "containerd", "containerd-shim", "probe", "firstpkt")))
        l.host.exec("sh", "-c", f"nft flush ruleset; rm -rf {l.root}/docker.pid {l.root}/docker.sock {l.root}/docker/exec; "
                    "for b in $(ls /sys/class/net); do [ -d /sys/class/net/$b/bridge ] && ip link del $b; done; true")
        self.assertNotIn("br-", l.host.exec("ip", "link"))

    def heard(self, since):
        """[{sender: datagrams} of each receiver] since then."""
        out = []
        for c in self.rx:
            lines = [w for w in (line.split() for line in c.logs().splitlines()) if len(w) == 6 and int(w[0]) > since]
            out.append({t: sum(w[4] == f"from-{t}" for w in lines) for t in ("web", "db")})
        return out

    def boot(self, start):
        since = time.time() * 1e6
        self.crash()
        start()
        self.lab._start_dockerd()
        lab.wait_for("web to be heard", lambda: all(h["web"] > 50 for h in self.heard(since)), 20, 0.2)
        time.sleep(0.5)
        heard = self.heard(since)
        print(f"# heard after the boot: {heard}")
        for c in self.rx + self.tx:
            self.assertTrue(c.refresh().info["State"]["Running"], c.name)
        return heard

    def test_1_what_starts_at_a_boot_is_never_unguarded(self):
        def start():
            self.daemon.kill()
            t = time.monotonic()
            self.daemon.start()
            self.assertLess(time.monotonic() - t, 4, "a boot waits for a runtime that waits for us")
        self.assertEqual([h["db"] for h in self.boot(start)], [0, 0])
        self.assertEqual(self.daemon.status()["daemon"]["state"], "enforcing")

    def test_2_control_unguarded_without_bulkhead(self):
        self.daemon.teardown()
        self.assertTrue(all(h["db"] > 50 for h in self.boot(lambda: None)))


class TwoHundred(unittest.TestCase):
    def test_ready_is_when_all_are_in(self):
        h = fakehost.FakeHost().up()
        self.addCleanup(h.down)
        h.network("front")
        all_ = h.add([(f"c{i}", {"tier": "web" if i % 2 else "db"}, "front") for i in range(200)])
        t = time.monotonic()
        d = h.bulkheadd(GOOD)
        took = time.monotonic() - t
        text = h.ruleset()
        missing = [c.name for c in all_ if text.count(f" . {c.ip4} ") + text.count(f" . {c.ip4},") < 2 or c.ip6 not in text]
        self.assertEqual(missing, [])
        s = d.status()
        self.assertEqual((len(s["containers"]), {c["enforced"] for c in s["containers"]}), (200, {"full"}))
        print(f"# ready after {took * 1000:.0f} ms")


if __name__ == "__main__":
    tap.main()
