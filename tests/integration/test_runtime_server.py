#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 28 s, works 3 s
"""The follower of Docker on a scripted server: framing, faults, malice, order, size. Needs no dockerd."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tail  # noqa: E402
import tap  # noqa: E402
from fakedocker import FakeDocker, cid  # noqa: E402

MIB = 1 << 20


class ServerTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix=f"bh-test-{os.getpid()}-")
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.path = os.path.join(self.dir, "docker.sock")

    def fake(self, **kw):
        f = FakeDocker(self.path, **kw)
        self.addCleanup(f.stop)
        return f

    def tail(self, *times):
        # freed memory that a sanitizer keeps would be taken for memory that is used
        env = {**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=8"}
        t = tail.Tail(lambda argv: subprocess.Popen([*argv, self.path, *(times or ["fast"])], stdin=subprocess.PIPE,
                                                    stdout=subprocess.PIPE, text=True, env=env))
        self.addCleanup(self.end, t)
        return t

    def end(self, t):
        self.assertEqual(t.stop(), 0)
        t.proc.stdout.close()

    def rss_mib(self, t):
        with open(f"/proc/{t.proc.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024

    def names(self, t):
        with t.lock:
            return {c["name"] for c in t.containers.values()}

    def connected(self, t, *names, timeout=10):
        t.wait(f"connected with {names}", lambda: t.state == "connected" and self.names(t) == set(names), timeout)

    # -- absence ---------------------------------------------------------------

    def test_socket_appears_later(self):
        f = self.fake(listen=False)
        t = self.tail()
        t.wait("a reason", lambda: t.state == "absent")
        self.assertIn("No such file", t.reason)
        f.listen()
        f.server.close()
        t.wait("another reason", lambda: "refused" in (t.reason or ""))
        f.add("web")
        f.listen()
        self.connected(t, "web")
        f.stop()
        t.wait_state("absent", 1)
        f.listen()
        self.connected(t, "web")
        # absence is told once a reason, not once an attempt
        self.assertLess(t.count("state"), 12)

    def test_backs_off(self):
        f = self.fake()
        f.hooks["/events"] = lambda c, p: c.close()
        t = self.tail()
        time.sleep(3)
        # 20, 40, … 400 ms: about 11
        self.assertGreaterEqual(f.count("/events"), 6)
        self.assertLessEqual(f.count("/events"), 15)
        f.hooks.clear()
        self.connected(t)

    def test_stream_that_ends_at_once_is_no_spin(self):
        f = self.fake()
        t = self.tail()
        self.connected(t)

        def cut(conn, path):
            conn.answer(b"")
            return True
        f.hooks["/events"] = cut
        f.drop()
        n = f.count("/")
        time.sleep(3)
        self.assertLessEqual(f.count("/") - n, 60)
        f.hooks.clear()
        self.connected(t)

    def test_bad_answers_to_the_subscription(self):
        f = self.fake()
        f.add("web")
        for name, hook in {
                "status 500": lambda c, p: c.answer({"message": "no"}, 500),
                "redirect": lambda c, p: c.raw(b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
                "garbage": lambda c, p: c.raw(b"\x00\xff\x1b[2Jhello\r\n\r\n") and c.close(),
                "half a header": lambda c, p: c.raw(b"HTTP/1.1 200 O") and c.close(),
                "never": lambda c, p: True}.items():
            with self.subTest(name):
                f.hooks["/events"] = hook
                f.drop()
                t = self.tail()
                t.wait("absent", lambda: t.state == "absent" and t.reason)
                self.assertTrue(t.reason.isprintable(), t.reason)
                f.hooks.clear()
                self.connected(t, "web")

    def test_endless_header(self):
        f = self.fake()

        def endless(conn, path):
            conn.raw(b"HTTP/1.1 200 OK\r\n")
            while True:
                conn.raw(b"X-Fill: " + b"x" * 8000 + b"\r\n")
        f.hooks["/events"] = endless
        t = self.tail()
        t.wait("absent", lambda: t.state == "absent")
        f.hooks.clear()
        self.connected(t)
        self.assertLess(self.rss_mib(t), 150)

    # -- framing -------------------------------------------------------------------

    def test_one_byte_at_a_time(self):
        f = self.fake()
        f.piece = 1
        f.add("web", {"tier": "web"})
        t = self.tail()
        self.connected(t, "web")
        f.run("api")
        t.wait("api with an address", lambda: (t.by_name("api") or {}).get("endpoints"))
        f.remove("web")
        self.connected(t, "api")
        self.assertEqual(t.stats()["errors"], 0)

    def test_many_events_in_one_chunk(self):
        f = self.fake()
        t = self.tail()
        self.connected(t)
        for i in range(50):
            f.add(f"c{i}")
        f.stream(b"".join(b'{"Type":"container","Action":"start","Actor":{"ID":"%s"}}\n' % cid(f"c{i}").encode() for i in range(50)))
        self.connected(t, *[f"c{i}" for i in range(50)])
        # together, not one by one
        self.assertLess(f.count("/containers/json?all=1&filters"), 12)

    # -- malice -------------------------------------------------------------------------

    def test_garbage_in_the_stream(self):
        f = self.fake()
        f.add("web")
        t = self.tail()
        self.connected(t, "web")
        n = t.stats()["resyncs"]
        for i in range(2000):
            f.stream([b"garbage\n", b'{"Type":\n', b"\xff\xfe\n", b"[[[[\n", b'{"Type":"network","Action":"connect","Actor":{"ID":"../x"}}\n'][i % 5])
        f.run("api")
        t.wait("api", lambda: t.by_name("api"))
        time.sleep(1)
        st = t.stats()
        self.assertGreaterEqual(st["errors"], 2000)
        self.assertGreater(st["resyncs"], n)
        self.assertLess(st["resyncs"] - n, 12)
        self.assertEqual(t.state, "connected")

    def test_steady_bad_events_stop_no_listing(self):
        """One container with labels of 2 MB makes an event too long with whatever it does."""
        f = self.fake()
        f.add("web")
        f.hooks["/containers/json?all=1"] = lambda c, p: time.sleep(0.3)
        stop = threading.Event()
        self.addCleanup(stop.set)

        def steady():
            while not stop.wait(0.05):
                f.stream(b"x" * (2 * MIB) + b"\n")
        threading.Thread(target=steady, daemon=True).start()
        t = self.tail()
        self.connected(t, "web")
        f.add("quiet")
        self.connected(t, "web", "quiet")
        n, t0 = t.stats()["resyncs"], time.monotonic()
        time.sleep(3)
        self.assertLess((t.stats()["resyncs"] - n) / (time.monotonic() - t0), 2.5)

    def test_endless_event(self):
        """100 MB without a newline are passed over without being kept."""
        f = self.fake()
        t = self.tail()
        self.connected(t)
        before = self.rss_mib(t)
        for i in range(100):
            f.stream(b'{"a":"' + b"x" * MIB)
        f.stream(b'"}\n')
        f.run("web")
        self.connected(t, "web")
        self.assertLess(self.rss_mib(t), before + 64)
        self.assertGreaterEqual(t.stats()["errors"], 1)
        # and 200 MB are not Docker
        mark = t.mark()
        try:
            for i in range(200):
                f.stream(b"y" * MIB)
        except OSError:
            pass
        t.wait("a new connection", lambda: any(m.get("state") == "absent" for m in t.since(mark)))
        self.connected(t, "web")

    def test_endless_list(self):
        f = self.fake()

        def endless(conn, path):
            conn.head()
            for i in range(100):
                conn.chunk(b"[" + b"x" * MIB)
            return True
        f.hooks["/containers/json"] = endless
        t = self.tail()
        t.wait("absent", lambda: t.state == "absent")
        self.assertLess(self.rss_mib(t), 300)
        f.hooks.clear()
        f.add("web")
        self.connected(t, "web")

    def test_bad_lists(self):
        half = b'[{"Id":"' + cid("web").encode() + b'","Names":["/we'
        deep = b"[" * 1000000
        for name, hook in {
                "cut": lambda c, p: c.head(200, b"Content-Length: 1000\r\n") or c.raw(half) and c.close(),
                "cut in a chunk": lambda c, p: c.head() or c.raw(b"fff\r\n" + half) and c.close(),
                "truncated": lambda c, p: c.answer(half),
                "deep": lambda c, p: c.answer(deep),
                "empty": lambda c, p: c.answer(b""),
                "status": lambda c, p: c.answer([], 500),
                "html": lambda c, p: c.answer(b"<html></html>"),
                "never": lambda c, p: True}.items():
            for where in ("/containers/json", "/networks"):
                with self.subTest(name, where=where):
                    f = self.fake()
                    f.add("web")
                    f.hooks[where] = hook
                    t = self.tail()
                    t.wait("absent", lambda: t.state == "absent" and t.reason)
                    self.assertEqual(t.count("snapshot"), 0)
                    f.hooks.clear()
                    self.connected(t, "web")
                    # and while connected: what is known stays, a listing follows
                    f.hooks[where] = hook
                    f.run("api")
                    t.ask("resync")
                    t.wait("an error", lambda: t.stats()["errors"] > 0)
                    f.hooks.clear()
                    self.connected(t, "web", "api")
                    f.stop()

    def test_postures_follow_the_first_listing(self):
        f = self.fake()
        for i in range(20):
            f.add(f"c{i}")
        t = self.tail()
        self.connected(t, *[f"c{i}" for i in range(20)])
        t.wait("postures", lambda: all(c["posture"] for c in list(t.containers.values())), 2)
        self.assertEqual(t.count("snapshot"), 1)

    def test_posture_before_start(self):
        """A container is inspected at `create`, once, and again when it is configured otherwise; one that does not answer keeps nobody."""
        f = self.fake()
        t = self.tail()
        self.connected(t)
        asked = f.count("/info")
        i = f.add("new", state="created")
        f.configs[i] = {"Memory": 1000}
        f.event("container", "create", i)
        t.wait("its posture", lambda: t.by_name("new") and t.by_name("new")["memory"] == 1000)
        self.assertEqual(t.by_name("new")["state"], "created")
        f.containers[i]["State"] = "running"
        f.event("container", "start", i)
        t.wait("that it runs", lambda: t.by_name("new")["state"] == "running")
        lab.time.sleep(0.6)
        self.assertEqual(f.count(f"/containers/{i}/json"), 1)
        f.configs[i] = {"Memory": 2000}
        f.event("container", "update", i)
        t.wait("its posture of now", lambda: t.by_name("new")["memory"] == 2000)
        self.assertEqual((f.count("/info"), asked), (1, 1))

    def test_inspection_that_waits(self):
        """Whoever is about to start is told without a posture, and with it when its start is over; nobody else waits."""
        f = self.fake()
        let_go = threading.Event()
        slow = cid("slow")

        def late(conn, path):
            let_go.wait(5)
            return False
        f.hooks[f"/containers/{slow}/json"] = late
        f.add("slow", state="created")
        f.add("quick")
        t = self.tail()
        self.connected(t, "slow", "quick")
        t.wait("the other's posture", lambda: t.by_name("quick")["posture"] == 1)
        self.assertEqual(t.by_name("slow")["posture"], 0)
        let_go.set()
        t.wait("its posture", lambda: t.by_name("slow")["posture"] == 1)

    # -- order and waiting -----------------------------------------------------------------

    def test_old_list_does_not_bring_back(self):
        f = self.fake()
        f.add("old")
        t = self.tail()
        self.connected(t, "old")
        let_go = threading.Event()

        def late(conn, path):
            if "filters" in path:
                return False
            value = list(f.containers.values())
            f.hooks.clear()
            let_go.wait(1.2)
            return conn.answer(value)
        f.hooks["/containers/json"] = late
        n = t.count("snapshot")
        t.ask("resync")
        lab.wait_for("the list to be asked for", lambda: not f.hooks)
        mark = t.mark()
        f.remove("old")
        f.run("new")
        t.wait("gone", lambda: self.names(t) == {"new"})
        let_go.set()
        t.wait("the snapshot", lambda: t.count("snapshot") > n)
        for m in t.since(mark):
            if m["kind"] == "snapshot":
                self.assertEqual([c["name"] for c in m["inventory"]["containers"]], ["new"])
        self.assertEqual(self.names(t), {"new"})

    def test_old_network_does_not_bring_an_endpoint_back(self):
        f = self.fake()
        f.add("web")
        t = self.tail()
        self.connected(t, "web")
        t.wait("an endpoint", lambda: t.by_name("web")["endpoints"])
        let_go, asked = threading.Event(), threading.Event()
        nid = cid("net-bridge")

        def late(conn, path):
            if asked.is_set():
                return False
            asked.set()
            value = json.dumps(f.networks[nid]).encode()
            let_go.wait(1)
            return conn.answer(value)
        f.hooks[f"/networks/{nid}"] = late
        f.event("network", "update", nid)
        asked.wait(2)
        mark = t.mark()
        with f.lock:
            f.networks[nid]["Containers"].clear()
        f.event("network", "disconnect", nid, container=cid("web"))
        t.wait("no endpoint", lambda: not t.by_name("web")["endpoints"], 0.5)
        let_go.set()
        time.sleep(0.5)
        self.assertTrue(all(not m["container"]["endpoints"] for m in t.since(mark) if m["kind"] == "container"))

    def test_inspection_delays_nobody(self):
        """dockerd holds a container's lock while it starts: inspections wait, others must not."""
        f = self.fake()
        hold = threading.Event()
        self.addCleanup(hold.set)

        def inspect(conn, path):
            if path.endswith("/json") and path.count("/") == 3:
                hold.wait(10)
            return False
        t = self.tail()
        self.connected(t)
        f.hooks["/containers/"] = inspect
        for i in range(8):
            f.run(f"slow{i}")
        t.wait("all", lambda: len(self.names(t)) == 8)
        lags = []
        for i in range(10):
            t0 = time.time() * 1000
            f.run(f"new{i}")
            m = t.wait("it", lambda: next((m for m in t.messages if m["kind"] == "container" and
                                           m["container"]["name"] == f"new{i}" and m["container"]["endpoints"]), None))
            lags.append(m["ms"] - t0)
        print(f"# told while 4 inspections hang: median {sorted(lags)[5]:.1f} ms, worst {max(lags):.1f} ms", flush=True)
        self.assertLess(sorted(lags)[5], 200)

    def test_image_that_does_not_answer(self):
        """Before its image's labels are known nothing is told of a container; when they cannot be had, all labels
        count as the image's."""
        f = self.fake()
        f.hooks["/images/"] = lambda c, p: True
        t = self.tail()
        t.wait("asked", lambda: f.count("/images/") > 0 or t.state == "connected")
        self.connected(t)
        f.run("web", {"tier": "web"})
        t.wait("asked", lambda: f.count("/images/") > 0)
        time.sleep(0.3)
        self.assertIsNone(t.by_name("web"))
        t.wait("told", lambda: t.by_name("web"), 5)
        self.assertEqual(t.by_name("web")["image_labels"], {"tier": "web"})
        f.hooks.clear()
        t.wait("believed", lambda: t.by_name("web")["image_labels"] == {}, 10)

    def test_network_that_goes_between_list_and_look(self):
        f = self.fake()
        f.network("short")
        f.hooks[f"/networks/{cid('net-short')}"] = lambda c, p: c.answer({"message": "no such network"}, 404)
        t = self.tail()
        self.connected(t)
        self.assertEqual({n["name"] for n in t.networks.values()}, {"bridge"})

    def test_build_step_is_told_and_not_asked_for(self):
        """BuildKit's steps are in no list and no question about them is answered: the network is all that knows them."""
        f, step = self.fake(), "yb8smhzxfwdqiopkmzs0ddgju"
        f.networks[cid("net-bridge")]["Containers"][step] = {
            "Name": step, "EndpointID": cid("x"), "MacAddress": "02:42:0a:c8:00:09",
            "IPv4Address": "10.200.0.9/16", "IPv6Address": ""}
        t = self.tail()
        self.connected(t, step)
        f.run("web")
        self.connected(t, "web", step)
        self.assertEqual(f.count("/containers/yb8"), 0)

    def test_missed_events_are_made_up_for(self):
        f = self.fake()
        f.add("web")
        t = self.tail()
        self.connected(t, "web")
        f.remove("web", events=False)
        f.add("api")
        self.connected(t, "api", timeout=8)

    def test_unlisted_member_is_looked_for(self):
        """look(): somebody new in a network, of whom no event told."""
        f = self.fake()
        t = self.tail()
        self.connected(t)
        f.add("quiet")
        t.ask("look")
        t.wait("it", lambda: self.names(t) == {"quiet"}, 1.5)

    def test_hung_server(self):
        f = self.fake()
        t = self.tail()
        self.connected(t)
        f.hooks["/"] = lambda c, p: True
        t.wait_state("absent", 4)
        f.hooks.clear()
        self.connected(t)

    # -- size ----------------------------------------------------------------------------------

    def test_ten_thousand(self):
        f = self.fake()
        n = 10000
        for i in range(n):
            f.add(f"c{i}", {"tier": f"t{i % 10}", "bulkhead.test": "1"}, n=i + 2)
        t0 = time.monotonic()
        t = self.tail("usual")
        t.wait("all", lambda: len(t.containers) == n, 60)
        took = time.monotonic() - t0
        t0 = time.time() * 1000
        f.run("late", n=n + 2)
        m = t.wait("late", lambda: next((m for m in t.since(0) if m["kind"] == "container" and m["container"]["name"] == "late"
                                         and m["container"]["endpoints"]), None), 30)
        print(f"# 10,000 listed in {took:.1f} s, one more told after {m['ms'] - t0:.0f} ms, {self.rss_mib(t):.0f} MiB", flush=True)
        self.assertLess(self.rss_mib(t), 1000)


if __name__ == "__main__":
    tap.main()
