#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 20 s
"""What is denied is told by name: `drops`, `why`, `events`, and as it happens. On a host with simulated containers."""
import json
import pathlib
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402

CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
  db: {select: {labels: {tier: db}}}
allow:
    - {from: web, to: db, ports: [udp/5432]}
"""


class Follow:
    """`bulkhead VERB --follow --json`, its lines as they come."""

    def __init__(self, host, verb, *more):
        self.out = host.lab.root / f"follow-{verb}-{time.monotonic_ns()}"
        with open(self.out, "w") as f:
            self.proc = host.lab.host.popen(lab.program("bulkhead"), verb, "--follow", "--socket", host.daemon.socket, *more, stdout=f)
        time.sleep(0.5)     # it is heard

    def text(self):
        return self.out.read_text()

    def end(self):
        self.proc.kill()
        self.proc.wait()

    def lines(self):
        return [k for k in map(json.loads, self.text().splitlines()) if k.get("class") != "noise"]


class Drops(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.h = h = simhost.SimHost(CONFIG)
        cls.addClassCleanup(h.close)
        cls.d = h.daemon
        cls.web, cls.db, cls.stray = h.start("web1", "web"), h.start("db1", "db"), h.start("stray", "nobodys")
        cls.d.wait_zone("stray", "quarantine")
        time.sleep(0.5)

    def drops(self):
        return [k for k in json.loads(self.d.cli("drops", "--json", check=True).stdout)["denials"]
                if k["class"] in ("policy", "quarantine")]

    def kinds(self):
        return {(k["class"], k["from"], k["to"], k["proto"], k["port"]): k["count"] for k in self.drops()}

    def test_1_by_name(self):
        before = time.time()
        self.web.shout(self.db, port=5432)      # control: allowed
        self.web.shout(self.db, port=80)        # both families
        self.stray.shout(self.db, port=5432)
        want = {("policy", "web1", "db1", "udp", "80"): 2, ("quarantine", "stray", "db1", "udp", "5432"): 2}
        lab.wait_for("both", lambda: self.kinds() == want, 30)
        k = next(k for k in self.drops() if k["class"] == "policy")
        self.assertEqual((k["from_zone"], k["to_zone"], k["verdict"], k["via"]), ("web", "db", "deny", None))
        self.assertEqual(k["to_addr"], self.db.ip6)     # of the last packet
        self.assertLess(before - 1, k["first_usec"] / 1e6)
        self.assertLessEqual(k["first_usec"], k["last_usec"])
        text = self.d.cli("drops", check=True).stdout
        self.assertRegex(text, r"web1 \(web\) +db1 \(db\) +udp/80 +policy +2 ")
        self.assertFalse([line for line in text.splitlines() if len(line) > 80])
        # one way to draw it
        self.assertIn("stray (quarantine)  db1 (db)", self.d.cli("status", "drops").stdout)

    def test_2_as_it_happens(self):
        known = self.kinds()
        drops, events, text = Follow(self.h, "drops", "--json"), Follow(self.h, "events", "--json"), Follow(self.h, "drops")
        self.web.shout(self.db, port=80)        # known
        self.web.shout(self.db, port=81)        # new
        want = {"80": known["policy", "web1", "db1", "udp", "80"] + 2, "81": 2}
        lab.wait_for("both kinds", lambda: {k["port"]: k["count"] for k in drops.lines() if k["from"] == "web1"} == want)
        lab.wait_for("both as text", lambda: "udp/81: policy, 2 times" in text.text())
        self.assertRegex(text.text(), r"(?m)^\d\d:\d\d:\d\d  denied web1 \(web\) to db1 \(db\) udp/81: policy, \d times?$")
        another = self.h.start("web2", "web")
        lab.wait_for("web2 to be told of", lambda: "container web2 is in zone web" in events.text())
        told = {e["event"]: e for e in events.lines()}
        self.assertEqual(told["placed"]["fields"]["zone"], "web")
        self.assertIn(("web1", "81"), {(e["fields"]["from"], e["fields"].get("port")) for e in events.lines() if e["event"] == "denied"})
        self.assertIn("elements", told["change"]["text"])
        self.assertEqual([e["seq"] for e in events.lines()], sorted(e["seq"] for e in events.lines()))
        self.h.stop(another)
        listed = self.d.cli("events", check=True).stdout
        self.assertIn("placed: container web2 is in zone web", listed)
        self.assertFalse([line for line in listed.splitlines() if len(line) > 80])
        for f in (drops, events, text):
            f.end()

    def why(self, name, code):
        r = self.d.cli("why", name)
        self.assertEqual((r.returncode, r.stderr), (code, ""), r.stdout)
        self.assertFalse([line for line in r.stdout.splitlines() if len(line) > 80], r.stdout)
        return r.stdout

    def paste(self, name):
        """What `why` says, done: into the file that it names, at the place that it names."""
        doc = json.loads(self.d.cli("why", name, "--json").stdout)
        p = doc["paste"]
        self.assertIn(p["text"], self.why(name, 1))
        file = pathlib.Path(p["file"])
        if p["beside"]:
            lines = file.read_text().splitlines(True)
            at = int(p["beside"]) - 1
            file.write_text("".join(lines[:at]) + p["text"] + "".join(lines[at:]))
        else:
            file.parent.mkdir(exist_ok=True)
            file.write_text(p["text"])
        self.d.cli("reload", check=True)
        return p

    def test_3_why_and_the_line(self):
        self.web.shout(self.db, port=81)
        text = self.why("web1", 1)
        self.assertIn("who       web1 in zone web: labels tier=web (bulkhead.yaml:4)\n", text)
        self.assertRegex(text, r"(?m)^denied    to db1 \(db\) udp/81: policy, \d+ times, last \d s ago\n          allowed by: - \{from: web, to: db, ports: \[udp/81\]\}$")
        self.assertIn("denied    from web1 (web) udp/81: policy", self.why("db1", 1))
        p = self.paste("web1")
        self.assertEqual((pathlib.Path(p["file"]).name, p["beside"]), ("bulkhead.yaml", "7"))
        heard = [self.db.socket(family=f, port=81) for f in (socket.AF_INET, socket.AF_INET6)]
        for s in heard:
            self.addCleanup(s.close)
        self.web.shout(self.db, port=81)
        time.sleep(0.2)
        self.assertEqual([s.recv(100) for s in heard], [b"web1>db1\n"] * 2)
        self.assertIn("allowed now", self.why("web1", 0))
        self.assertEqual(self.d.cli("why", self.web_id()[:8]).returncode, 0)

    def web_id(self):
        return next(c["id"] for c in self.d.status()["containers"] if c["name"] == "web1")

    def test_4_who_has_no_zone(self):
        text = self.why("stray", 1)
        self.assertIn("who       stray in zone quarantine: matches no zone\n", text)
        p = self.paste("stray")
        self.assertEqual(p["file"].split("/")[-2:], ["conf.d", "stray.yaml"])
        self.d.wait_zone("stray", "stray")
        self.assertIn("allowed now", self.why("stray", 0))

    def test_5_who_has_gone(self):
        gone = self.h.start("gone", "web")
        self.d.wait_zone("gone", "web")
        gone.shout(self.db, port=82)
        lab.wait_for("the denial", lambda: any((k["from"], k["port"]) == ("gone", "82") for k in self.drops()))
        self.h.stop(gone)
        lab.wait_for("gone to be gone", lambda: self.d.zone_of("gone") is None)
        text = self.why("gone", 1)
        self.assertIn("who       gone, which has stopped\n", text)
        self.assertIn("allowed by: - {from: web, to: db, ports: [udp/82]}", text)

    def test_6_who_is_unknown(self):
        for args, said in ((["wbe1"], "no container 'wbe1': did you mean 'web1'?"), (["frobnicate"], "no container 'frobnicate': bulkhead status "
                           "containers lists them"), ([], "why: say which container: bulkhead why NAME")):
            r = self.d.cli("why", *args)
            self.assertEqual((r.returncode, r.stdout, r.stderr), (2, "", f"bulkhead: {said}\n"))

    def test_9_the_daemon_ends(self):
        f = self.h.lab.host.popen(lab.program("bulkhead"), "drops", "--follow", "--socket", self.d.socket, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE)
        time.sleep(0.5)
        self.d.stop()
        self.assertEqual((f.wait(10), f.stderr.read()), (3, "bulkhead: bulkheadd ended the connection (Connection reset by "
                                                               "peer): see journalctl -u bulkheadd\n"))
        self.assertEqual(self.d.cli("drops").returncode, 3)


if __name__ == "__main__":
    tap.main()
