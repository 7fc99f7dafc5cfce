#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 16 s, works 4 s
"""Faults of the runtime, with the daemon itself and real ports: after each, the kernel holds what runs, nothing leaked,
and what is allowed was not disturbed. Simulated containers, a scripted Docker; needs no dockerd."""
import contextlib
import json
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402
from fakedocker import cid  # noqa: E402

MIB = 1 << 20
CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
  api: {select: {labels: {tier: api}}}
  db: {select: {labels: {tier: db}}}
allow:
  - {from: web, to: api, ports: [tcp/80, udp/80]}
  - {from: api, to: db, ports: [udp/80]}
"""


class Base(unittest.TestCase):
    """web1 floods db1, which is denied, and talks to api1 all the time; whoever starts shouts at both at once."""
    serial = 0

    @classmethod
    def setUpClass(cls):
        cls.host = h = simhost.SimHost(CONFIG)
        cls.addClassCleanup(h.close)
        cls.web, cls.api, cls.db = (h.start(f"{z}1", z, place=True) for z in ("web", "api", "db"))
        h.check(5)
        cls.flood = simhost.Flood(h, cls.web, cls.db)
        cls.addClassCleanup(cls.flood.stop)

    def setUp(self):
        self.paced = simhost.Paced(self.web, self.api)
        self.addCleanup(self.paced.end.set)

    def tearDown(self):
        sent, lost = self.paced.stop()
        self.assertGreater(sent, 0)
        self.assertEqual(lost, 0, f"{lost} of {sent} allowed packets were lost")
        self.assertTrue(self.flood.alive())
        self.assertEqual(self.flood.leaked(), [])
        wrong = [s for s in self.paced.strangers if not s.startswith("web")]
        self.assertEqual(wrong, [], "who is not in web reached api1")

    def start(self, tier="web", events=True):
        Base.serial += 1
        return self.host.start(f"{tier}-{Base.serial}", tier, events=events, shout=(self.db, self.api))

    def reconnected(self, n, timeout=10):
        """Waits for the N-th subscription since the fake began."""
        lab.wait_for("a new subscription", lambda: self.host.fake.count("/events") > n and self.host.fake.streams, timeout)


class Runtime(Base):
    def tearDown(self):
        self.host.fake.piece = 0
        self.host.fake.hooks.clear()
        for s in list(self.host.sims.values()):
            if s not in (self.web, self.api, self.db):
                self.host.stop(s)
        self.host.check(2)
        super().tearDown()

    def test_0_control(self):
        """The receiver of the denied pair hears who may speak to it, and the judge sees a container that is not enforced."""
        self.api.shout(self.db)
        lab.wait_for("both families at db1", lambda: self.flood.rx.count("api1>") == 2)
        stranger = self.host.make("stranger", "web")
        stranger.plug()
        self.host.sims["stranger"] = stranger
        self.assertTrue(self.host.differences())
        del self.host.sims["stranger"]
        stranger.unplug()

    def test_1_one_byte_at_a_time(self):
        self.host.fake.piece = 1
        a, b = self.start(), self.start("api")
        self.host.check()
        self.host.stop(a)
        self.host.check()
        self.host.stop(b)

    def test_2_cut_inside_of_an_object(self):
        f = self.host.fake
        gone = self.start()
        self.host.check()
        n = f.count("/events")
        f.stream(b'{"Type":"container","Action":"start","Actor":{"ID":"' + cid("x")[:20].encode())
        f.drop()
        self.start(events=False)
        self.host.stop(gone, events=False)
        self.reconnected(n)
        self.host.check()
        # and the lists that follow are cut, once each
        for path in ("/containers/json", "/networks"):
            def cut(conn, path, self=path):
                f.hooks.pop(self, None)
                conn.head(200, b"Content-Length: 100000\r\n")
                conn.raw(b'[{"Id":"' + cid("web1").encode() + b'","Na')
                return conn.close()
            n = f.count("/events")
            f.hooks[path] = cut
            f.drop()
            self.start(events=False)
            lab.wait_for("the cut", lambda: path not in f.hooks)
            self.reconnected(n + 1)
            self.host.check()

    def test_3_a_stream_that_says_nothing(self):
        """No event comes through, all else is answered: the ports that come and go tell. The second has the first one's address."""
        for i in range(10 if lab.SOAK else 2):
            s = self.start(events=False)
            self.host.check()
            self.host.stop(s, events=False)
            self.host.check()

        if lab.SOAK:
            self.no_answer_at_all()

    def no_answer_at_all(self):
        """Half-open: the connections stay, nobody answers. The ping (10 s, and 5 s of patience) finds out."""
        f, n = self.host.fake, self.host.fake.count("/events")
        before = self.host.table("inet")["zone_of4"].keys()
        f.hooks["/"] = lambda c, p: True
        late = self.start(events=False)
        lab.wait_for("absence", lambda: self.host.daemon.status()["daemon"]["state"] == "degraded", 25, 0.2)
        self.assertEqual(self.host.table("inet")["zone_of4"].keys(), before)
        f.hooks.clear()
        f.drop()
        self.reconnected(n)
        self.host.check()
        self.host.stop(late)

    def test_3b_an_address_changes_hands_unseen(self):
        """Docker gives a dead container's address and MAC to the next one, of another zone, and nobody tells us for a while."""
        f = self.host.fake
        dead = self.start()
        self.host.check()
        asked = []
        for path in ("/containers/json", "/networks"):
            f.hooks[path] = lambda c, p: not asked.append(p)     # no answer for now
        self.host.stop(dead, events=False)
        heir = self.start("db", events=False)
        self.assertEqual((heir.ip4, heir.mac), (dead.ip4, dead.mac))
        for i in range(5):
            time.sleep(0.1)
            heir.shout(self.db, self.api)
            self.assertNotIn((simhost.BRIDGE, heir.ip4), self.host.table("inet")["zone_of4"])
        f.hooks.clear()
        self.assertTrue(asked)
        f.drop()
        self.host.check(3)

    def test_4_replaced_socket(self):
        """Another Docker at the same path, while the old one is alive and goes on to answer."""
        old = self.host.fake
        self.start()
        self.host.check()
        self.host.fake = new = self.host.docker()
        self.addCleanup(old.stop)
        for s in self.host.sims.values():
            self.host.tell(s, new)
        t0 = time.monotonic()
        lab.wait_for("a subscription to the new one", lambda: new.streams, 5)
        late = self.start()
        self.host.check()
        asked, told = len(old.requests), time.monotonic() - t0
        self.host.stop(late)
        self.start("api")
        self.host.check()
        self.assertEqual(old.requests[asked:], [], "the old one is still asked")
        print(f"# the new socket was right after {told:.2f} s", flush=True)

    def test_5_replayed_and_reordered(self):
        f, said = self.host.fake, []
        stream = f.stream
        f.stream = lambda data: (said.append(data), stream(data))
        try:
            a, b = self.start(), self.start("api")
            self.host.stop(a)
        finally:
            f.stream = stream
        for order in (said, said[::-1], said[::2] + said[1::2]):
            for data in order:
                stream(data)
            self.host.check()
        # a death before the start, a disconnection before the connection, of somebody who then runs
        c = self.host.make("backward", "web")
        i = cid("backward")
        for kind, action, oid, more in (("network", "disconnect", cid("net-net"), {"container": i}), ("container", "die", i, {}),
                                        ("container", "destroy", i, {})):
            f.event(kind, action, oid, **more)
        c.plug()
        self.host.tell(c)
        f.event("container", "start", i)
        f.event("network", "connect", cid("net-net"), container=i)
        c.move()
        self.host.sims["backward"] = c
        self.host.check()
        self.host.stop(b)

    def test_6_unknown(self):
        f = self.host.fake
        for kind, action, oid in (("container", "start", cid("nobody")), ("container", "frobnicate", cid("web1")),
                                  ("volume", "mount", "x"), ("network", "connect", cid("no-net")), ("plugin", "enable", ""),
                                  ("container", "exec_create: /bin/sh -c true", cid("web1")), ("\u202e", "\u0007", "\u2028")):
            f.event(kind, action, oid)
        f.event("network", "connect", cid("net-net"), container=cid("nobody"))
        f.event("network", "destroy", cid("net-net"))   # a lie: the lists still have it
        self.start()
        self.host.check()

    def hostile(self):
        i, n = cid("web1"), cid("net-net")
        ok = json.dumps({"Type": "container", "Action": "start", "Actor": {"ID": i}})
        yield "malformed", b"}{][\n" + b'{"Type":\n' + b"null\n" + b"[]\n" + b'"x"\n' + b"1e999\n" + ok[:-1].encode() + b"\n"
        yield "wrong types", b"".join(json.dumps(v).encode() + b"\n" for v in (
            {"Type": 5, "Action": {}, "Actor": []}, {"Type": "container", "Action": "start", "Actor": {"ID": 7}},
            {"Type": "container", "Action": "die", "Actor": {"ID": None}}, {"Type": "network", "Action": "disconnect", "Actor": "x"},
            {"Type": "network", "Action": "disconnect", "Actor": {"ID": n, "Attributes": {"container": ["x"]}}}))
        yield "duplicate keys", (f'{{"Type":"volume","Type":"container","Action":"die","Action":"start","Actor":{{"ID":"{"0" * 64}",'
                                 f'"ID":"{i}"}}}}\n').encode()
        yield "invalid UTF-8", b'{"Type":"container","Action":"start","Actor":{"ID":"\xff\xfe\xc0\x80"}}\n\xff\n'
        yield "NULs", b'{"Type":"container\\u0000","Action":"start","Actor":{"ID":"\\u0000"}}\n' + b"\0" * 4096 + b"\n"
        yield "paths", b'{"Type":"container","Action":"start","Actor":{"ID":"../../images/json?x="}}\n' + \
            b'{"Type":"network","Action":"connect","Actor":{"ID":"%2e%2e"}}\n'
        yield "deep", b"[" * 900000 + b"\n" + b'{"a":' * 150000 + b"\n"
        yield "no end of lines", b"\n" * 100000

    def test_7_hostile(self):
        """A bad event costs a listing, later each time; whoever comes meanwhile is not kept waiting."""
        f = self.host.fake
        for name, data in self.hostile():
            with self.subTest(name):
                n = f.count("/events")
                f.stream(data)
                self.start()
                self.host.check()
                self.assertEqual(f.count("/events"), n, "the connection was given up")

    def test_8_an_event_of_100_mb(self):
        f = self.host.fake
        before = self.memory()
        for i in range(100):
            f.stream(b'{"a":"' + b"x" * MIB)
        f.stream(b'"}\n')
        self.start()
        self.host.check()
        self.assertLess(self.memory() - before, 64 << 10)

    def test_9_hostile_lists(self):
        """The listing that a lost event asks for is nonsense: what is known stays in force, newcomers wait."""
        f = self.host.fake
        self.start()
        self.host.check()
        before = self.host.table("inet")["zone_of4"].keys()
        for name, body in (("truncated", b'[{"Id":"'), ("deep", b"[" * 500000), ("empty", b""), ("no list", b'{"Id":1}'),
                           ("wrong members", b'[1, null, {"Id": []}, {"Id": "x"}]')):
            with self.subTest(name):
                f.hooks["/containers/json?all=1"] = lambda c, p, body=body: c.answer(body)
                f.hooks["/networks"] = lambda c, p, body=body: c.answer(body)
                f.stream(b"nonsense\n")
                with contextlib.suppress(lab.LabError):
                    lab.wait_for("a listing", lambda n=f.count("/containers/json?all=1"): f.count("/containers/json?all=1") > n, 0.6)
                self.assertEqual(self.host.table("inet")["zone_of4"].keys(), before)
        f.hooks.clear()
        self.start()
        self.host.check(3)

    def memory(self):
        pid = self.host.daemon.status()["daemon"]["pid"]
        text = self.host.lab.host.exec("cat", f"/proc/{pid}/status")
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    tap.main()
