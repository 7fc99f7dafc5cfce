#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 15 s
"""bulkheadd --metrics: a strict reading of what it serves, at a path and at a port, equals status and moves with packets; peers that
hang hold nothing up. Simulated containers."""
import http.client
import json
import pathlib
import re
import socket
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
  - {from: web, to: db, ports: [udp/80]}
"""
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{(.*)\}})? (-?[0-9.eE+-]+|[+-]Inf|NaN)')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')


def parse(text):
    """{(name, labels): value} and {name: type}. Raises for anything that format 0.0.4 does not allow, or only tolerates."""
    if not text.endswith("\n"):
        raise ValueError("no newline at the end")
    samples, types, helped, current = {}, {}, set(), None
    for line in text.split("\n")[:-1]:
        if m := re.fullmatch(rf"# HELP ({NAME}) (.+)", line):
            if m[1] in helped:
                raise ValueError(f"HELP twice: {line}")
            helped.add(m[1])
            current = m[1]
        elif m := re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge)", line):
            if m[1] in types or m[1] != current:
                raise ValueError(f"TYPE out of place: {line}")
            types[m[1]] = m[2]
        elif m := SAMPLE.fullmatch(line):
            if m[1] != current or m[1] not in types:
                raise ValueError(f"out of its group: {line}")
            if (types[m[1]] == "counter") != m[1].endswith("_total"):
                raise ValueError(f"a counter's name: {line}")
            labels, rest = {}, m[2] or ""
            while rest:
                k = LABEL.match(rest)
                if not k or k[1] in labels or (k[3] == "," and k.end() == len(rest)):
                    raise ValueError(f"labels: {line}")
                labels[k[1]] = re.sub(r'\\(.)', lambda x: {"n": "\n"}.get(x[1], x[1]), k[2])
                rest = rest[k.end():]
            key = m[1], tuple(sorted(labels.items()))
            if key in samples:
                raise ValueError(f"twice: {line}")
            samples[key] = float(m[3])
        else:
            raise ValueError(f"not a line of the format: {line!r}")
    return samples, types


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = h = simhost.SimHost()
        cls.addClassCleanup(h.close)
        cls.path = h.lab.root / "metrics.sock"
        cls.daemon = h.daemon = h.lab.bulkheadd(CONFIG, extra=["--metrics", f"unix:{cls.path}"])
        cls.web, cls.db = h.start("web1", "web", place=True), h.start("db1", "db", place=True)
        h.start("odd1", "nobody")
        for name, zone in (("web1", "web"), ("db1", "db"), ("odd1", "quarantine")):
            cls.daemon.wait_zone(name, zone)

    def request(self, method="GET", url="/metrics", path=None):
        c = http.client.HTTPConnection("bulkhead", timeout=10)
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.settimeout(10)
        c.sock.connect(str(path or self.path))
        c.request(method, url)
        r = c.getresponse()
        body = r.read().decode()
        c.close()
        return r, body

    def read(self):
        time.sleep(1.1)     # an answer is kept for a second
        r, body = self.request()
        self.assertEqual((r.status, r.getheader("Content-Type")), (200, "text/plain; version=0.0.4; charset=utf-8"))
        return parse(body)[0]

    def test_1_the_parser_is_strict(self):
        """The control."""
        good = '# HELP a_total x\n# TYPE a_total counter\na_total{l="\\"\\\\\\n",m="}"} 1\n'
        self.assertEqual(parse(good)[0], {("a_total", (("l", '"\\\n'), ("m", "}"))): 1.0})
        for bad in (good[:-1], good.replace("\\n", "\\x"), good + "b 1\n", good.replace(" counter", " gauge"), good + good, good + "\n",
                    good.replace('"}"}', '"}"'), good.replace(" 1\n", " one\n"), good.replace("l=", "1="), good.replace(",m", ",,m"),
                    good + 'a_total{m="}",l="\\"\\\\\\n"} 1\n'):
            with self.assertRaises(ValueError, msg=bad):
                parse(bad)

    def test_2_it_equals_status(self):
        got, s = self.read(), self.daemon.status()

        def one(name, **labels):
            return got.pop((f"bulkhead_{name}", tuple(sorted(labels.items()))))
        self.assertEqual([one("state", state=x) for x in ("starting", "enforcing", "auditing", "degraded")], [0, 1, 0, 0])
        self.assertEqual((one("in_sync"), one("repairs_total"), one("config_error"), one("reload_failures_total")), (1, 0, 0, 0))
        self.assertEqual(one("tables_owned"), float(s["kernel"]["owned"]))
        self.assertEqual(one("build_info", version=s["daemon"]["version"]), 1)
        rt = {"runtime": "docker", "socket": self.host.lab.socket}
        self.assertEqual(one("runtime_up", **rt), 1)
        self.assertGreater(one("runtime_events_total", **rt) * one("runtime_resyncs_total", **rt), 0)
        for z in s["zones"]:
            for key in ("packets", "bytes", "dropped_packets", "dropped_bytes"):
                self.assertLessEqual(one(f"zone_{key}_total", zone=z["name"]), z[key])     # status is younger
        for r in s["rules"]:
            for key in ("packets", "bytes"):
                one(f"rule_{key}_total", **{"from": r["from"], "to": r["to"], "rule": r["source"]})
        for zone in ("web", "db", "quarantine", "build"):
            self.assertEqual([one("containers", zone=zone, enforced=e) for e in ("full", "partial", "none")], [int(zone != "build"), 0, 0], zone)
        classes = {dict(k[1])["class"] for k in got if k[0] == "bulkhead_denied_packets_total"}
        self.assertEqual(classes, {"policy", "unknown", "quarantine", "identity", "metadata", "invalid", "noise", "limit"})
        self.assertEqual({k[0] for k in got}, {"bulkhead_denied_packets_total"}, "more than status has")

    def test_3_packets_move_it(self):
        before = self.read()
        for _ in range(5):
            self.web.shout(self.db, port=80)
            self.web.shout(self.db, port=81)
        after = self.read()

        def rise(name, **labels):
            key = f"bulkhead_{name}", tuple(sorted(labels.items()))
            return after[key] - before[key]
        self.assertGreaterEqual(rise("rule_packets_total", **{"from": "web", "to": "db", "rule": "bulkhead.yaml:7"}), 10)
        self.assertGreaterEqual(rise("denied_packets_total", **{"class": "policy"}), 10)
        self.assertGreaterEqual(rise("zone_dropped_packets_total", zone="web"), 10)
        self.assertGreaterEqual(rise("zone_bytes_total", zone="db"), 10 * 28)
        self.assertEqual(rise("denied_packets_total", **{"class": "identity"}), 0)
        live = json.loads(self.daemon.cli("graph", "--live", "--json", check=True).stdout)
        self.assertEqual([(e["from"], e["to"], e["ports"], e["packets"] >= 10) for e in live["edges"]], [("web", "db", "udp/80", True)])

    def test_4_a_refused_load(self):
        self.daemon.write("version: 1\nmode: enfroce\n")
        self.assertEqual(self.daemon.cli("reload").returncode, 2)
        got = self.read()
        self.assertEqual((got["bulkhead_config_error", ()], got["bulkhead_reload_failures_total", ()]), (1, 1))
        self.daemon.reload(CONFIG)
        got = self.read()
        self.assertEqual((got["bulkhead_config_error", ()], got["bulkhead_reload_failures_total", ()]), (0, 1))

    def test_5_what_else_is_asked(self):
        for method, url, status in (("GET", "/", 404), ("GET", "/metrics/x", 404), ("POST", "/metrics", 405), ("DELETE", "/metrics", 405),
                                    ("HEAD", "/metrics", 200), ("GET", "/metrics?x=1", 200)):
            r, body = self.request(method, url)
            self.assertEqual(r.status, status, (method, url))
            self.assertFalse(method == "HEAD" and body)

    def test_6_who_hangs_holds_nothing_up(self):
        mute = []
        for i in range(60):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(1)
            try:
                s.connect(str(self.path))
                s.sendall(b"GET /metrics HTTP/1.1\r\n" + b"X: " + b"y" * i)
            except OSError:
                pass
            mute.append(s)
        t0 = time.monotonic()
        self.assertEqual(self.daemon.status()["daemon"]["state"], "enforcing")
        self.host.start("late1", "web")
        self.daemon.wait_zone("late1", "web")
        self.assertLess(time.monotonic() - t0, 5)

        def served():
            try:
                return self.request()[0].status == 200
            except OSError:
                return False
        lab.wait_for("metrics after the mute are thrown out", served, 25, 0.5)
        for s in mute:
            s.close()

    def test_7_asking_often_costs_little(self):
        pid = self.daemon.status()["daemon"]["pid"]

        def ticks():
            return sum(map(int, self.host.lab.host.exec("cat", f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[11:13]))
        bodies = {self.request()[1] for _ in range(2)}
        before, t0, n = ticks(), time.monotonic(), 0
        while time.monotonic() - t0 < 2:
            bodies.add(self.request()[1])
            n += 1
        self.assertGreater(n, 40)
        self.assertLessEqual(len(bodies), 5)
        print(f"# {n} requests in 2 s, {(ticks() - before) * 10} ms of processor")

    def test_8_who_may(self):
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o660)

    def test_9_a_port_and_errors(self):
        run = self.host.lab.host.run_cmd
        for where in ("0.0.0.0:9273", "unix:relative", "127.0.0.1:", "9273"):
            r = run(lab.program("bulkheadd"), "--metrics", where, "--foreground")
            self.assertEqual(r.returncode, 2)
            self.assertEqual(r.stderr, f"bulkheadd: --metrics wants unix:PATH, 127.0.0.1:PORT or [::1]:PORT, not '{where}'\n")
        self.daemon.stop()
        self.assertFalse(self.path.exists())
        for where, url in (("127.0.0.1:9273", "http://127.0.0.1:9273/metrics"), ("[::1]:9273", "http://[::1]:9273/metrics")):
            self.daemon.extra = ["--metrics", where]
            self.daemon.start()
            text = self.host.lab.host.exec("busybox", "wget", "-q", "-O", "-", url)
            self.assertEqual(parse(text)[0]["bulkhead_in_sync", ()], 1)
            self.daemon.stop()
        self.path.write_text("in the way")
        self.daemon.extra = ["--metrics", f"unix:{self.path}"]
        self.daemon.start()         # without metrics, but with rules
        self.assertIn("is there and is no socket", self.daemon.log())
        self.assertEqual(self.daemon.status()["daemon"]["state"], "enforcing")

    def test_9b_alerts_name_what_there_is(self):
        self.path.unlink(missing_ok=True)
        self.daemon.stop()
        self.daemon.start()
        types = parse(self.request()[1])[1]
        exprs = re.findall(r"(?m)^        expr: (.*)$", (lab.TOP / "docs/prometheus-alerts.yaml").read_text())
        names = {n for e in exprs for n in re.findall(r"\bbulkhead_\w+", e)}
        self.assertGreater(len(names), 8)
        self.assertLessEqual(names, set(types))
        for e in exprs:
            for n in re.findall(r"(?:rate|increase)\((bulkhead_\w+)", e):
                self.assertEqual(types[n], "counter")


if __name__ == "__main__":
    tap.main()
