#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 3 s, works 2 s
"""Everything that can be wrong with a configuration that is reloaded: nothing changes, the
error says where, the status says that what runs is not what is written; and SIGHUP does the same."""
import os
import pathlib
import re
import shutil
import signal
import sys
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
DROP_IN = "version: 1\nallow:\n  - {from: db, to: api, ports: [udp/7000]}\n"
OPENS_ALL = "version: 1\nmode: audit\n"


def text(name, error, main):
    return (name, error, lambda d: d.write(main))


def drop_in(d, file, content):
    (d.dir / "conf.d").mkdir(exist_ok=True)
    (d.dir / "conf.d" / file).write_text(content)


def link(d, target):
    d.config.unlink()
    d.config.symlink_to(target)


def swapped(d):
    """The link goes to a file that opens everything, and is not root's."""
    other = d.dir / "other.yaml"
    other.write_text(OPENS_ALL)
    os.chown(other, 65534, 65534)
    link(d, other)


def fifo(d):
    d.config.unlink()
    os.mkfifo(d.config, 0o644)


def folder(d):
    d.config.unlink()
    d.config.mkdir()


def writable(d):
    d.write(OPENS_ALL)
    os.chmod(d.config, 0o666)


# name, pattern of the error, what is done; each starts from GOOD
CASES = [
    text("a syntax error", r"bulkhead\.yaml:3:\d+: ", "version: 1\nmode: enforce\nzones: {web: [}\n"),
    text("an unknown zone", r"bulkhead\.yaml:9:\d+: .*nowhere", GOOD + "  - {from: web, to: nowhere}\n"),
    text("an unknown key", r"bulkhead\.yaml:2:1: .*did you mean 'mode'", GOOD.replace("mode:", "mod:")),
    text("an empty file", r"bulkhead\.yaml:1:1: .*empty", ""),
    text("a file of blanks", r"bulkhead\.yaml:1:1: .*empty", "\n\n# nothing\n"),
    text("a file cut in a word", r"bulkhead\.yaml:[89]:\d+: ", GOOD[:-18]),
    text("a file cut between zones and rules", r"bulkhead\.yaml:\d+:\d+: ", GOOD[:GOOD.index("zones:") + 3]),
    text("zeros, as a crash leaves them", r"bulkhead\.yaml:4:9: .*control", GOOD[:40] + "\0" * 100),
    text("a huge file", r"bulkhead\.yaml: .*larger than 1024 KiB", GOOD + "# " + "x" * (2 << 20) + "\n"),
    text("a failing expectation", r"bulkhead\.yaml:10:\d+: expectation fails", GOOD + "expect:\n  - {from: web, to: api, verdict: deny}\n"),
    text("a file of a later version", r"bulkhead\.yaml:1:\d+: .*version 2", GOOD.replace("version: 1", "version: 2")),
    ("the configuration removed", r"bulkhead\.yaml: .*No such file", lambda d: d.config.unlink()),
    ("its folder's link dangles", r"bulkhead\.yaml: .*No such file", lambda d: link(d, d.dir / "gone.yaml")),
    ("a link swapped to another's file", r"bulkhead\.yaml: .*belongs to uid 65534", swapped),
    ("a FIFO", r"bulkhead\.yaml: .*not a regular file", fifo),
    ("a folder", r"bulkhead\.yaml: .*not a regular file", folder),
    ("a file that all can write", r"bulkhead\.yaml: .*chmod go-w", writable),
    ("a broken drop-in", r"conf\.d/10\.yaml:3:\d+: ", lambda d: drop_in(d, "10.yaml", "version: 1\nallow:\n  - {from: web, too: db}\n")),
    ("a drop-in that sets the mode", r"conf\.d/10\.yaml:2:1: ", lambda d: drop_in(d, "10.yaml", OPENS_ALL)),
    ("a zone defined twice", r"conf\.d/10\.yaml:3:\d+: (.|\n)*bulkhead\.yaml:4",
     lambda d: drop_in(d, "10.yaml", "version: 1\nzones:\n  web: {select: {name: x}}\n")),
    ("an empty drop-in", r"conf\.d/10\.yaml:1:1: .*empty", lambda d: drop_in(d, "10.yaml", "")),
]


class ReloadMatrix(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = h = fakehost.FakeHost().up()
        cls.addClassCleanup(h.down)
        h.network("front")
        cls.web, cls.api, cls.db = h.add([(f"{z}1", {"tier": z}, "front") for z in ("web", "api", "db")])
        cls.daemon = h.bulkheadd(GOOD)
        cls.before = cls.tables()

    @classmethod
    def tables(cls):
        return sorted(cls.host.ruleset().splitlines())

    def good(self):
        """The configuration as at the start, whatever a case made of it."""
        d = self.daemon
        shutil.rmtree(d.dir / "conf.d", ignore_errors=True)
        if d.config.is_symlink() or not d.config.is_dir():
            d.config.unlink(missing_ok=True)
        else:
            d.config.rmdir()
        d.write(GOOD)

    def healed(self):
        self.good()
        self.daemon.reload()
        status = self.daemon.status()["daemon"]
        self.assertIsNone(status["config"]["error"])
        self.assertEqual(status["state"], "enforcing")

    def unchanged(self, name, error):
        self.assertEqual(self.before, self.tables(), name)
        s = self.daemon.status()
        self.assertRegex(s["daemon"]["config"]["error"] or "", error, f"{name}: status does not say that what runs is not what is written")
        self.assertEqual((s["daemon"]["state"], s["kernel"]["in_sync"]), ("enforcing", True), name)

    def test_1_reload(self):
        for name, error, change in CASES:
            with self.subTest(case=name):
                self.good()
                change(self.daemon)
                r = self.daemon.cli("reload", timeout=20)
                self.assertEqual(r.returncode, 2, f"{name}: {r.stdout}{r.stderr}")
                self.assertRegex(r.stderr, error, name)
                self.assertIn("nothing changed", r.stderr)
                self.unchanged(name, re.sub(r"\(\.\|\\n\).*", "", error))
        self.healed()

    def test_2_sighup(self):
        for name, error, change in CASES[:: 1 if lab.SOAK else 4]:
            with self.subTest(case=name):
                self.healed()
                change(self.daemon)
                self.daemon.signal(signal.SIGHUP)
                lab.wait_for(f"{name}: the error", lambda: self.daemon.status()["daemon"]["config"]["error"], 5)
                self.unchanged(name, re.sub(r"\(\.\|\\n\).*", "", error))
        self.healed()

    def rules(self):
        return [(r["from"], r["to"]) for r in self.daemon.status()["rules"]]

    def test_3_drop_ins_come_and_go(self):
        self.healed()
        drop_in(self.daemon, "10.yaml", DROP_IN)
        self.daemon.reload()
        self.assertEqual(self.rules(), [("web", "api"), ("db", "api")])
        r = self.host.send(self.db, [("udp", self.api.ip4, 7000, "x")], 0.3)
        self.assertEqual(r["x"][0], "refused")  # by the container itself: nobody listens there
        (self.daemon.dir / "conf.d" / "10.yaml").unlink()
        self.daemon.reload()
        self.assertEqual(self.rules(), [("web", "api")])
        self.assertEqual(self.before, self.tables())

    def test_4_a_removed_configuration_never_opens(self):
        """Over reload, restart and crash."""
        self.healed()
        self.daemon.config.unlink()
        self.assertEqual(self.daemon.cli("reload").returncode, 2)
        for end in (self.daemon.stop, self.daemon.kill):
            end()
            self.daemon.start()
            self.assertEqual(self.before, self.tables())
            s = self.daemon.status()["daemon"]
            self.assertEqual(s["state"], "degraded")
            self.assertIn("last good", s["reason"])
        t = self.host.tally(self.api, 7000, 7001)
        f = [self.host.flood(self.web, "no", 7001, [self.api.ip4, self.api.ip6]), self.host.flood(self.db, "no", 7000, [self.api.ip4]),
             self.host.flood(self.web, "ok", 7000, [self.api.ip4, self.api.ip6])]
        lab.time.sleep(0.5)
        sent = {k: n for x in f for k, n in x.stop().items()}
        got = t.stop()
        self.assertEqual({k for k in got if k.startswith("no")}, set())
        for k in (k for k in sent if k.startswith("ok")):
            self.assertEqual(got[k][1], sent[k][0])
        self.healed()


if __name__ == "__main__":
    tap.main()
