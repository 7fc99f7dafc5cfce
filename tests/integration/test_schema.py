#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 15 s
"""What `--json` prints is as docs/schema/ says, for every verb, on a host with allowed, denied and quarantined containers; and each line of the access
log."""
import datetime
import json
import os
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402

SCHEMAS = lab.TOP / "docs/schema"
LOG = "access-log"
CONFIG = """version: 1
mode: enforce
log: {file: LOGFILE}
zones:
  web: {select: {labels: {tier: web}}, bandwidth: {container: {egress: 50mbit}}}
  api: {select: {labels: {tier: api}}}
  db: {select: {labels: {tier: db}}}
  far: {cidrs: [203.0.113.0/24]}
allow:
  - {from: web, to: api, ports: [udp/80, tcp/80]}
expect:
  - {from: web, to: db, verdict: deny}
"""
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float), "null": type(None)}


def errors(schema, doc, at="$"):
    """What of draft-07 the schemas use: type, const, properties, required, items, allOf with if and then."""
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(isinstance(doc, TYPES[t]) and not (isinstance(doc, bool) and t in ("integer", "number")) for t in types):
        return [f"{at}: {json.dumps(doc)[:60]} is no {' or '.join(types)}"]
    out = [f"{at}: {json.dumps(doc)[:60]} is not {schema['const']}"] if "const" in schema and doc != schema["const"] else []
    for s in schema.get("allOf", []):
        if not errors(s["if"], doc, at):
            out += errors(s["then"], doc, at)
    if isinstance(doc, dict):
        out += [f"{at}.{k} is missing" for k in schema.get("required", []) if k not in doc]
        for k, s in schema.get("properties", {}).items():
            if k in doc:
                out += errors(s, doc[k], f"{at}.{k}")
    if isinstance(doc, list) and "items" in schema:
        for i, x in enumerate(doc):
            out += errors(schema["items"], x, f"{at}[{i}]")
    return out


class Schema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = h = simhost.SimHost()
        cls.addClassCleanup(h.close)
        cls.log = h.lab.root / "log/access.jsonl"
        cls.config = CONFIG.replace("LOGFILE", str(cls.log))
        h.daemon = h.lab.bulkheadd(cls.config)
        cls.web, cls.api, cls.db = (h.start(f"{n}1", n) for n in ("web", "api", "db"))
        h.check(5, state=None)
        cls.stray = h.start("stray1", "stray")
        cls.schemas = {p.stem: json.loads(p.read_text()) for p in SCHEMAS.glob("*.json")}
        cls.checked = set()

        def denied():
            for a, b in ((cls.web, cls.db), (cls.stray, cls.web), (cls.web, cls.api)):
                a.shout(b, port=80)
            return {d["from"] for d in cls.ask("drops")["denials"]} >= {"web1", "stray1"}
        lab.wait_for("denials", denied, 10, 0.3)

    @classmethod
    def ask(cls, verb, *args):
        r = cls.host.lab.host.run_cmd(lab.program("bulkhead"), verb, *args, "--json", "--socket", cls.host.daemon.socket)
        if not r.stdout:
            raise AssertionError(f"{verb}: {r.stderr}")
        return json.loads(r.stdout)

    def hold(self, verb, *args):
        doc = self.ask(verb, *args)
        self.assertIn(verb, self.schemas)
        self.assertEqual(errors(self.schemas[verb], doc), [], f"bulkhead {verb} {' '.join(map(str, args))}")
        self.checked.add(verb)
        return doc

    def test_1_look_and_ask(self):
        good, bad = self.host.lab.root / "good.yaml", self.host.lab.root / "bad.yaml"
        good.write_text(self.config.replace("50mbit", "40mbit").replace("tcp/80", "tcp/81").replace("tier: db", "tier: other"))
        bad.write_text("version: 1\nmode: enforce\nzones: 3\n")
        for verb, *args in (("status",), ("drops",), ("events",), ("suggest",), ("graph",), ("top",), ("prove",), ("export", "--nft"),
                            ("why", "web1"), ("why", "stray1"), ("why", "api1"), ("explain", "web1", "api1", "tcp/80"),
                            ("explain", "web1", "db1", "tcp/80"), ("explain", "web1", "api1"), ("explain", "internet", "web1", "tcp/80"),
                            ("explain", "host", "203.0.113.1", "tcp/80"), ("plan",), ("plan", good), ("plan", bad), ("test", good), ("check", good), ("check", bad),
                            ("scan", "--docker", self.host.lab.socket),
                            ("doctor", "--docker", self.host.lab.socket), ("doctor", "--docker", "/nowhere", "--skip", "auditd,mac")):
            with self.subTest(verb, args=args):
                if (verb, *args) == ("plan", bad):
                    self.assertRaises(AssertionError, self.ask, verb, *args)    # said on stderr, with status 2
                else:
                    self.hold(verb, *args)

    def test_2_change(self):
        for verb, *args in (("quarantine", "web1", "--for", "5m"), ("status",), ("release", "web1"),
                            ("allow", "--for", "5m", "api", "db", "tcp/80"), ("status",), ("lockdown",), ("status",), ("unlock",),
                            ("reload", "--confirm", "5m"), ("status",), ("confirm",), ("reload",)):
            with self.subTest(verb, args=args):
                self.hold(verb, *args)
        self.host.daemon.config.write_text("version: 1\nmode: enforce\nzones: 3\n")
        self.assertFalse(self.hold("reload")["loaded"])
        self.hold("status")

    def test_3_every_verb(self):
        text = self.host.lab.host.exec(lab.program("bulkhead"), "--help")
        verbs = set(re.findall(r"^  ([a-z]+)(?: .*)?$", text, re.M))
        self.assertEqual(verbs, set(self.schemas) - {LOG})
        self.assertEqual(verbs, self.checked)

    def records(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def test_4_access_log(self):
        """Each line is what the schema says; who asked for what is there, and who was denied and placed."""
        me = str(os.getuid())
        lab.wait_for("the last verbs", lambda: any(r["event"] == "control" and r["fields"].get("verb") == "reload" for r in self.records()), 5)
        records = self.records()
        for r in records:
            self.assertEqual(errors(self.schemas[LOG], r), [], r)
        kinds = {r["event"] for r in records}
        self.assertLessEqual({"start", "config", "placed", "denied", "control", "hand"}, kinds)
        self.assertNotIn("change", kinds)
        asked = [(r["fields"]["verb"], r["fields"]["uid"], r["fields"].get("request")) for r in records if r["event"] == "control"]
        self.assertIn(("quarantine", me, '{"name":"web1","seconds":300}'), asked)
        self.assertIn(("lockdown", me, None), asked)
        looked = [datetime.datetime.fromisoformat(r["time"]) for r in records if r["event"] == "control" and r["fields"]["verb"] == "status"]
        self.assertTrue(looked)
        self.assertTrue(all((b - a).total_seconds() > 59 for a, b in zip(looked, looked[1:])), "who looks often is told once a minute")
        self.assertIn(("web1", "web"), {(r["fields"]["name"], r["fields"]["zone"]) for r in records if r["event"] == "placed"})
        self.assertEqual(sorted(r["seq"] for r in records), [r["seq"] for r in records])
        self.assertEqual(self.log.stat().st_mode & 0o7777, 0o640)

    def test_5_control(self):
        doc = self.ask("status")
        self.assertTrue(errors(self.schemas["status"], {k: v for k, v in doc.items() if k != "zones"}))
        self.assertTrue(errors(self.schemas["status"], doc | {"zones": [doc["zones"][0] | {"containers": "2"}]}))
        self.assertEqual(errors(self.schemas["status"], doc | {"more": 1}), [])
        line = next(r for r in self.records() if r["event"] == "placed")
        self.assertTrue(errors(self.schemas[LOG], line | {"fields": {"zone": "web"}}))
        self.assertTrue(errors(self.schemas[LOG], {k: v for k, v in line.items() if k != "time"}))


if __name__ == "__main__":
    tap.main()
