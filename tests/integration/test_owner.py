#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 12 s, works 4 s
"""Whose the tables are: while the daemon or its kept socket lives nobody else can change them; found without an owner
they are taken over, whatever was done to them meanwhile; and a teardown gets them all the same."""
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import fakedocker  # noqa: E402
import lab  # noqa: E402
import supervisor  # noqa: E402
import tap  # noqa: E402

CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
  office: {cidrs: [10.20.0.0/16]}
allow:
  - {from: web, to: office, ports: [tcp/80]}
"""

# Makes a table of its own with these flags, and holds it until its input ends.
OWNER = r"""
import socket, struct, sys
def attr(t, d): return struct.pack("=HH", 4 + len(d), t) + d + b"\0" * (-len(d) % 4)
def msg(t, flags, seq, family, body, res=0):
    b = struct.pack("=BBH", family, 0, socket.htons(res)) + body
    return struct.pack("=IHHII", 16 + len(b), t, flags, seq, 0) + b
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
s.bind((0, 0))
table = attr(1, b"bulkhead\0") + attr(2, struct.pack(">I", int(sys.argv[1])))
s.sendto(msg(16, 1, 1, 0, b"", 10) + msg((10 << 8) | 0, 0x405, 2, 1, table) + msg(17, 1, 3, 0, b"", 10), (0, 0))
print(struct.unpack("=i", s.recv(4096)[16:20])[0], flush=True)
sys.stdin.read()
"""


def tables_of(text):
    """The tables by name, without what says whose they are; handles stay, so that what was made anew differs."""
    text = re.sub(r"(?m)^\tflags\b[owner,persitunk ]*\n\n?", "", re.sub(r"( *#)? progname \S+", "", text))
    return {t.split()[1]: t for t in re.split(r"(?m)^(?=table )", text) if re.match(r"table \w+ bulkhead\b", t)}


class Owner(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = lab.Lab(docker=False).up()
        cls.addClassCleanup(cls.lab.down)
        fake = fakedocker.FakeDocker(cls.lab.socket)    # has no containers: only the tables are looked at
        cls.addClassCleanup(fake.stop)

    def setUp(self):
        self.daemon = lab.Daemon(self.lab, CONFIG, name=f"d{self._testMethodName[5:7]}", start=False)
        self.unit = supervisor.Supervisor(self.daemon)
        self.addCleanup(self.clean)

    def clean(self):
        self.unit.close()
        self.daemon.teardown()
        self.assertNotIn("bulkhead", self.lab.ruleset())

    def nft(self, *args, **kw):
        return self.lab.host.run_cmd("nft", *args, **kw)

    def listing(self):
        return tables_of(self.nft("-s", "-a", "list", "ruleset").stdout)

    def refuses_strangers(self):
        """Nobody else changes anything; everybody may look."""
        self.settled()
        before = self.listing()
        self.assertLessEqual({"inet", "bridge"}, set(before))
        r = self.nft("flush", "ruleset")
        self.assertEqual(r.returncode, 0, r.stderr)
        for cmd in (["delete", "table", "inet", "bulkhead"], ["add", "chain", "bridge", "bulkhead", "mine"],
                    ["insert", "rule", "inet", "bulkhead", "forward", "accept"], ["flush", "table", "inet", "bulkhead"],
                    ["flush", "map", "inet", "bulkhead", "world4"],
                    ["add", "table", "inet", "bulkhead", "{", "flags", "dormant;", "}"]):
            r = self.nft(*cmd)
            self.assertEqual(r.returncode, 1, f"nft {cmd}")
            self.assertIn("Operation not permitted", r.stderr)
        self.assertEqual(before, self.listing())

    def start(self):
        self.unit.start()
        self.settled()

    def settled(self):
        """Ready does not wait for a runtime that has not answered yet; what is compared later does: its network is in the rules."""
        lab.wait_for("the runtime's network", lambda: "10.200.0.0/16" in self.listing().get("inet", "") and self.kernel()["in_sync"], 10)

    def kernel(self):
        return {k: v for k, v in self.daemon.status()["kernel"].items() if k != "last_change"}

    def test_01_nobody_else_can_change_them(self):
        self.start()
        self.refuses_strangers()
        k = self.kernel()
        self.assertEqual((k["owned"], k["in_sync"], k["repairs"]), (True, True, 0))
        self.assertRegex(self.daemon.cli("status").stdout, r"kernel +table inet bulkhead, owned, 0 repairs")

    def test_02_a_crash_is_no_gap(self):
        self.unit.restart_sec = 1
        self.start()
        before = self.listing()
        self.unit.kill()
        self.assertEqual(self.lab.pids_of("bulkheadd", str(self.daemon.socket)), [])
        self.refuses_strangers()
        self.unit.wait_ready()
        self.assertEqual(self.unit.starts, 2)
        self.refuses_strangers()
        self.assertEqual(before, self.listing())  # with their handles: nothing was made anew
        self.assertEqual((self.kernel()["owned"], self.kernel()["in_sync"]), (True, True))
        self.assertEqual(len(self.unit.store), 1)

    def test_03_a_restart_is_no_gap(self):
        self.start()
        before = self.listing()
        self.unit.restart()
        self.refuses_strangers()
        self.assertEqual(before, self.listing())
        self.assertTrue(self.kernel()["owned"])

    def test_04_the_watchdog_ends_a_daemon_that_hangs(self):
        self.unit.watchdog_sec = 1.5
        self.start()
        lab.wait_for("it to report", lambda: self.unit.pings > 2, 10)
        self.assertEqual(self.unit.dumped, 0)
        self.unit.ready.clear()
        self.lab.host.exec("kill", "-STOP", str(self.unit.pid()))
        self.refuses_strangers()
        self.unit.wait_ready()
        self.assertEqual((self.unit.dumped, self.unit.starts), (1, 2))
        self.refuses_strangers()

    def test_05_what_strangers_did_to_orphans_is_undone(self):
        self.start()
        before = self.listing()
        self.unit.stop()
        self.assertEqual(self.unit.store, [])
        self.assertEqual(before, self.listing())
        for cmd in (["add", "chain", "inet", "bulkhead", "mine", "{ type filter hook forward priority -500; }"],
                    ["insert", "rule", "inet", "bulkhead", "forward", "accept"],
                    ["add", "set", "bridge", "bulkhead", "theirs", "{ type ifname; }"],
                    ["flush", "map", "inet", "bulkhead", "world4"]):
            r = self.nft(*cmd)
            self.assertEqual(r.returncode, 0, r.stderr)
        self.assertNotEqual(before, self.listing())
        self.start()
        self.refuses_strangers()

        def without_handles(tables):
            return {k: sorted(re.sub(r" # handle \d+", "", t).split("\n")) for k, t in tables.items()}
        self.assertEqual(without_handles(before), without_handles(self.listing()))
        # what was right was not made anew
        for chain in ("input", "output"):
            self.assertEqual(*(re.search(rf"chain {chain} {{ # handle (\d+)", t["inet"]).group(1)
                               for t in (before, self.listing())))
        self.assertIn("took over", self.daemon.log())

    def test_06_flushed_and_dormant_orphans(self):
        self.start()
        self.unit.stop()
        self.nft("flush", "ruleset")
        self.assertEqual(self.listing(), {})
        self.start()
        self.refuses_strangers()
        self.assertEqual(self.kernel()["in_sync"], True)

    def test_07_a_saved_rule_set(self):
        """What another saved of ours: as it is, and as one without the flags (for an nft that does not know them)."""
        self.start()
        want = self.kernel(), {k: sorted(re.sub(r" # handle \d+", "", t).split("\n")) for k, t in self.listing().items()}
        saved = self.nft("list", "ruleset").stdout
        r = self.nft("-f", "-", input=saved)  # while we own it: refused as a whole
        self.assertIn("Operation not permitted", r.stderr)
        self.unit.stop()
        for text in (saved, re.sub(r"(?m)^\tflags owner.*\n", "", saved)):
            self.nft("flush", "ruleset")
            r = self.nft("-f", "-", input=text)
            self.assertEqual(r.returncode, 0, r.stderr)
            self.start()
            self.refuses_strangers()
            got = self.kernel(), {k: sorted(re.sub(r" # handle \d+", "", t).split("\n")) for k, t in self.listing().items()}
            self.assertEqual(want, got)
            self.unit.stop()

    def test_08_teardown_of_a_running_daemon(self):
        self.unit.start()
        r = self.lab.host.run_cmd(*self.daemon.argv("--teardown"), timeout=30)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertNotIn("bulkhead", self.lab.ruleset())
        self.gone()

    def test_09_teardown_of_a_daemon_that_hangs(self):
        self.unit.start()
        self.lab.host.exec("kill", "-STOP", str(self.unit.pid()))
        r = self.lab.host.run_cmd(*self.daemon.argv("--teardown"), timeout=30)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertNotIn("bulkhead", self.lab.ruleset())
        self.assertIn("--teardown is at work", self.daemon.log())
        self.gone()

    def gone(self):
        """The unit has stopped for good and nothing is kept."""
        lab.wait_for("the unit to stop", lambda: not self.unit.active, 5)
        time.sleep(1)
        self.assertEqual(self.lab.pids_of("bulkheadd", str(self.daemon.socket)), [])
        self.assertEqual((self.unit.store, self.unit.removals > 0), ([], True))
        self.assertEqual(self.lab.host.exec("sh", "-c", "ls -A /run/bulkhead 2>/dev/null; true"), "")

    def other_owner(self, flags):
        p = self.lab.host.popen("python3", "-c", OWNER, str(flags), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(p.kill)
        self.assertEqual(p.stdout.readline().strip(), "0")
        return p

    def test_10_tables_of_somebody_else(self):
        other = self.other_owner(6)
        self.unit.start(wait=None)
        lab.wait_for("it to say so", lambda: os.path.exists(self.daemon.socket) and "owned by another program" in self.daemon.log())
        time.sleep(0.5)
        self.assertFalse(self.unit.ready.is_set())
        d = self.daemon.cli("status")
        self.assertEqual(d.returncode, 1, d.stdout)
        self.assertIn("owned by another program", " ".join(d.stdout.split()))
        # a teardown cannot either, and says whose it is, when it has waited for it
        self.unit.stop()
        text = self.lab.ruleset()
        if lab.SOAK:
            r = self.lab.host.run_cmd(*self.daemon.argv("--teardown"), timeout=30)
            self.assertEqual(r.returncode, 1)
            self.assertIn("owned by another program", r.stderr)
            self.assertEqual(text, self.lab.ruleset())
        self.unit.start(wait=None)
        other.stdin.close()
        other.wait(10)
        self.unit.wait_ready(10)
        self.refuses_strangers()

    def test_11_a_kept_socket_that_is_of_no_use(self):
        """Of another network namespace, of another kind, and one more than needed."""
        other = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        other.bind((0, 0))
        pipe = os.pipe()
        self.unit.extra = [("bulkhead-owner", other.fileno()), ("bulkhead-owner", pipe[0]), ("else", pipe[1])]
        self.unit.start()
        self.refuses_strangers()
        self.assertEqual((len(self.unit.store), self.unit.removals), (1, 1))
        self.unit.kill()
        self.unit.wait_ready()
        self.assertTrue(self.kernel()["owned"])
        for fd in (*pipe, ):
            os.close(fd)
        other.close()

    def test_12_without_ownership(self):
        """The other branch, and the way from one to the other: an upgrade of the daemon, or of the kernel."""
        self.daemon.mask = "table_persist"
        self.unit.start()
        lab.wait_for("it in sync", lambda: self.kernel()["in_sync"], 3)  # it looks again when its own links have come
        self.assertFalse(self.kernel()["owned"])
        self.assertRegex(self.daemon.cli("status").stdout, r"kernel +table inet bulkhead, watched and repaired, 0 repairs")
        self.assertEqual(self.unit.store, [])
        self.nft("flush", "ruleset")
        lab.wait_for("the repair", lambda: (k := self.kernel())["in_sync"] and k["repairs"] == 1, 3)
        self.daemon.mask = None
        self.unit.restart()
        lab.wait_for("ownership", lambda: self.kernel()["owned"], 5)    # with nobody there it is ready before the runtime answers
        self.refuses_strangers()
        self.daemon.mask = "table_persist"
        self.unit.restart()
        lab.wait_for("the other branch", lambda: (k := self.kernel())["in_sync"] and not k["owned"], 5)
        self.assertEqual(self.unit.store, [])
        self.assertEqual(self.nft("add", "chain", "inet", "bulkhead", "x").returncode, 0)

    def test_13_once_leaves_them_to_the_next(self):
        r = self.lab.host.run_cmd(*self.daemon.argv("--once"), timeout=20)
        self.assertIn(r.returncode, (0, 1), r.stderr)
        before = self.listing()
        self.start()
        self.assertEqual(before, self.listing())
        self.refuses_strangers()


if __name__ == "__main__":
    tap.main()
