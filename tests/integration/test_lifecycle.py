#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 9 s, works 8 s
"""Containers come, go, move and come back; the runtime restarts; the zone follows."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402

CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
  db: {select: {name: "db*"}}
  back: {priority: -5, select: {network: back}}
  app: {per: "label:app"}
allow:
  - {from: web, to: db, ports: [udp/80, tcp/80]}
  - {from: app, to: app}
  - {from: web, to: back, ports: [udp/80]}
"""


class Lifecycle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab(dockerd_options=["--live-restore"]).up()
        cls.addClassCleanup(l.down)
        l.network("net")
        l.network("back")
        cls.web = l.run("web1", labels={"tier": "web"}, network="net")
        cls.db = l.run("db1", network="net")
        cls.rx = l.receiver(cls.db, [80, 81])
        cls.daemon = l.bulkheadd(CONFIG)

    def result(self, src, dst, proto="udp", port=80, family=4):
        m = f"m{lab.time.monotonic_ns()}"
        return self.lab.send(src, [(proto, dst.ip4 if family == 4 else dst.ip6, port, m)], 0.8)[m][0]

    def both(self, src, dst, open_, **kw):
        for family in (4, 6):
            r = self.result(src, dst, family=family, **kw)
            self.assertEqual(r == "ok", open_, f"{src.name} -> {dst.name} IPv{family}: {r}")

    def test_1_by_label_and_by_name(self):
        self.both(self.web, self.db, True)
        self.both(self.web, self.db, False, port=81)
        self.both(self.db, self.web, False)

    def test_2_restart_keeps_the_zone(self):
        self.web.stop()
        self.web.start()
        self.both(self.web, self.db, True)
        self.both(self.web, self.db, False, port=81)

    def test_3_address_of_a_stopped_container_inherits_nothing(self):
        ip = self.web.ip4
        self.web.stop()
        thief = self.lab.run("thief", network="net", ip=ip)
        try:
            self.assertEqual(thief.ip4, ip)
            self.daemon.wait_zone("thief", "quarantine")
            self.assertNotEqual(self.result(thief, self.db), "ok")
        finally:
            thief.remove()
            self.web.start()
        self.both(self.web, self.db, True)

    def test_4_network_connect_and_disconnect(self):
        other = self.lab.run("other", network="back")
        r = self.lab.receiver(other, [80])
        self.daemon.wait_zone("other", "back")
        self.lab.api("POST", "/networks/back/connect", {"Container": self.web.id})
        self.web.refresh()
        lab.wait_for("web1 on two networks", lambda: any(
            c["name"] == "web1" and len(c["endpoints"]) == 2 for c in self.daemon.status()["containers"]), 5)
        self.both(self.web, other, True)
        self.both(self.web, self.db, True)
        self.lab.api("POST", "/networks/back/disconnect", {"Container": self.web.id})
        lab.wait_for("web1 on one network", lambda: any(
            c["name"] == "web1" and len(c["endpoints"]) == 1 for c in self.daemon.status()["containers"]), 5)
        self.web.refresh()
        self.both(self.web, self.db, True)
        r.stop()
        other.remove()

    def test_5_families(self):
        names = [("appa1", "a"), ("appa2", "a"), ("appb1", "b")]
        a1, a2, b1 = lab.parallel([lambda n=n, v=v: self.lab.run(n, labels={"app": v}, network="net") for n, v in names], 3)
        rs = [self.lab.receiver(c, [80]) for c in (a2, b1)]
        self.daemon.wait_zone("appa2", "app:a")
        self.daemon.wait_zone("appb1", "app:b")
        self.both(a1, a2, True)
        self.both(a1, b1, False)
        for r in rs:
            r.stop()
        for c in (a1, a2, b1):
            c.remove()

    def test_6_ambiguous_is_quarantined_with_the_reason(self):
        self.lab.run("dbweb", labels={"tier": "web"}, network="net")
        self.daemon.wait_zone("dbweb", "quarantine")
        c = next(c for c in self.daemon.status()["containers"] if c["name"] == "dbweb")
        self.assertIn("web", c["reason"])
        self.assertIn("db", c["reason"])
        self.lab.api("DELETE", "/containers/dbweb?force=1")

    def test_7_runtime_restarts(self):
        self.lab.restart_dockerd()
        lab.wait_for("docker connected again", lambda: self.daemon.status()["runtimes"][0]["state"] == "connected", 15)
        late = self.lab.run("late1", labels={"tier": "web"}, network="net")
        self.daemon.wait_zone("late1", "web")
        self.both(late, self.db, True)
        self.both(self.web, self.db, True)
        late.remove()

    def test_8_network_made_later(self):
        self.lab.network("later")
        a = self.lab.run("weblate", labels={"tier": "web"}, network="later")
        b = self.lab.run("dblate", network="later")
        r = self.lab.receiver(b, [80, 81])
        self.both(a, b, True)
        self.both(a, b, False, port=81)
        r.stop()

    def test_9_control_open_without_bulkhead(self):
        self.daemon.teardown()
        self.both(self.web, self.db, True, port=81)


if __name__ == "__main__":
    tap.main()
