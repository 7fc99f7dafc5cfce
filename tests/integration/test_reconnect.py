#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 17 s, works 16 s
"""A real dockerd that goes and comes back: its socket replaced, its events cut while containers churn, restarted without
and with live-restore. No rule goes while it is away, nothing leaks, and a second after it is back everything is right."""
import os
import pathlib
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402

CHURN = 100 if lab.SOAK else 20
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


class Proxy:
    """Hands a socket's connections on to another, and cuts them. opened: when each event stream was asked for."""

    def __init__(self, path, to):
        self.to, self.pairs, self.opened = to, set(), []
        self.server = socket.socket(socket.AF_UNIX)
        if os.path.exists(path):
            os.unlink(path)
        self.server.bind(path)
        self.server.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                a, _ = self.server.accept()
            except OSError:
                return
            b = socket.socket(socket.AF_UNIX)
            try:
                b.connect(self.to)
            except OSError:
                a.close()
                b.close()
                continue
            self.pairs.add((a, b))
            for x, y in ((a, b), (b, a)):
                threading.Thread(target=self._pump, args=(x, y, (a, b)), daemon=True).start()

    def _pump(self, src, dst, pair):
        try:
            while data := src.recv(65536):
                if src is pair[0] and data.startswith(b"GET /events"):
                    self.opened.append(time.monotonic())
                dst.sendall(data)
        except OSError:
            pass
        self.pairs.discard(pair)
        for s in pair:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        for pair in list(self.pairs):
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.server.close()
        self.cut()


class Proxied(lab.Daemon):
    def argv(self, *more):
        return [str(a).replace("docker.sock", "proxy.sock") for a in super().argv(*more)]


class Reconnect(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        cls.bridge = l.network("net")
        always = {"RestartPolicy": {"Name": "always"}}
        cls.web, cls.api, cls.db = lab.parallel([lambda z=z: l.run(
            f"{z}1", labels={"tier": z}, network="net", host_config=always) for z in ("web", "api", "db")], 3)
        cls.proxy = Proxy(str(l.root / "proxy.sock"), l.socket)
        cls.addClassCleanup(cls.proxy.close)
        cls.daemon = Proxied(l, CONFIG)
        cls.receivers = []
        cls.listen()

    @classmethod
    def listen(cls):
        """Receivers and the flood, again after the containers were: what came before is looked at first."""
        for r in cls.receivers:
            if r.place is cls.db:
                assert not cls.leaked(), cls.leaked()
            r.stop()
        for c in (cls.web, cls.api, cls.db):
            c.refresh()
        cls.receivers = [cls.lab.receiver(c, [80]) for c in (cls.api, cls.db)]
        cls.flood = [cls.web.popen(cls.lab.bin("probe"), "blast", "udp", a, 80, 3600, 1, stdout=lab.subprocess.DEVNULL,
                                   stderr=lab.subprocess.DEVNULL) for a in (cls.db.ip4, cls.db.ip6)]

    @classmethod
    def leaked(cls):
        return [line for line in cls.receivers[1].lines() if not line[4].startswith("ok")]

    def setUp(self):
        self.stream = self.web.popen(self.lab.bin("probe"), "stream", self.api.ip4, 80, self.id().rsplit(".", 1)[1], 20, 600,
                                     stdout=lab.subprocess.DEVNULL, stderr=lab.subprocess.DEVNULL)

    def tearDown(self):
        self.assertEqual(self.leaked(), [])
        self.stream.kill()
        self.stream.wait()

    def no_gap(self):
        """The allowed stream went on all the time."""
        times = [line[0] / 1e6 for line in self.receivers[0].lines() if line[4].startswith(self.id().rsplit(".", 1)[1] + " ")]
        self.assertGreater(len(times), 10)
        self.assertLess(max(b - a for a, b in zip(times, times[1:])), 1)
        self.assertLess(time.time() - times[-1], 1.5)

    def wanted(self):
        """{(bridge, address): tier} as dockerd itself says it, both families."""
        tiers = {c["Id"]: c["Labels"].get("tier") for c in self.lab.api("GET", "/containers/json")}
        out = {}
        for i, e in self.lab.api("GET", "/networks/net")["Containers"].items():
            for a in (e["IPv4Address"], e["IPv6Address"]):
                out[(self.bridge, a.split("/")[0])] = tiers.get(i)
        return out

    def held(self):
        t = simhost.table(self.lab, "inet")
        return {k for s in ("zone_of4", "zone_of6") for k in t[s] if k[0] == self.bridge and not k[1].startswith("fe80")}

    def right(self, want):
        return self.held() == want and len(simhost.table(self.lab, "bridge")["ports"]) == len(want) // 2

    def within(self, since, seconds=1.0):
        """Right SECONDS after SINCE at the latest: a look that begins by then shows it. How long it took."""
        want = set(self.wanted())
        while True:
            asked = time.monotonic()
            if self.right(want):
                took = time.monotonic() - since
                break
            self.assertLess(asked - since, seconds, f"holds {self.held() ^ want} wrongly")
            time.sleep(0.02)
        lab.wait_for("in sync", lambda: (s := self.daemon.status())["kernel"]["in_sync"] and s["daemon"]["state"] == "enforcing", 5)
        return took

    def churn(self, n, meanwhile, stop):
        """N containers come and go, several at once, the last ones stay; MEANWHILE runs beside."""
        def one(i):
            c = self.lab.run(f"churn{i}", labels={"tier": ("web", "db")[i % 2]}, network="net")
            if i < n - 4:
                c.remove()
        t = threading.Thread(target=meanwhile)
        t.start()
        lab.parallel([lambda i=i: one(i) for i in range(n)], 4)
        stop.set()
        t.join()

    def remove(self):
        for c in self.lab.api("GET", "/containers/json?all=1"):
            if c["Names"][0].startswith("/churn"):
                self.lab.api("DELETE", f"/containers/{c['Id']}?force=1")

    def test_1_events_cut_while_containers_churn(self):
        stop = threading.Event()

        def cut():
            while not stop.wait(0.7):
                self.proxy.cut()
        self.churn(CHURN, cut, stop)
        n = len(self.proxy.opened)
        self.proxy.cut()
        lab.wait_for("a new stream", lambda: len(self.proxy.opened) > n)
        took = self.within(self.proxy.opened[-1])
        self.no_gap()
        self.remove()
        self.within(time.monotonic(), 2)
        print(f"# {n} streams cut; right {took:.2f} s after the last was opened again", flush=True)

    def test_2_socket_replaced(self):
        """Another listener at the path, the old one alive: it is followed at once."""
        old, path = self.proxy, str(self.lab.root / "proxy.sock")
        os.rename(path, path + ".old")
        Reconnect.proxy = Proxy(path, self.lab.socket)
        self.addClassCleanup(self.proxy.close)
        lab.wait_for("a stream on the new one", lambda: self.proxy.opened)
        took = self.within(self.proxy.opened[-1])
        lab.wait_for("no connection to the old one", lambda: not old.pairs)
        c = self.lab.run("churn-late", labels={"tier": "web"}, network="net")
        self.within(time.monotonic())
        c.remove()
        old.close()
        self.no_gap()
        print(f"# right {took:.2f} s after the new socket's stream was opened", flush=True)

    def absent(self):
        """dockerd ends; the rules do not. What the kernel held before."""
        before = self.held()
        self.lab.dockerd.terminate()
        self.lab.dockerd.wait(60)
        lab.wait_for("absence to be noticed", lambda: self.daemon.status()["runtimes"][0]["state"] == "absent")
        self.assertEqual(self.daemon.status()["daemon"]["state"], "degraded")
        return before

    def test_3_restart_without_live_restore(self):
        """The containers end with dockerd and are started by it again, with other ports and maybe other addresses."""
        for p in self.flood:
            p.kill()
        self.lab.restart_dockerd()
        lab.wait_for("the containers to run again", lambda: len(self.lab.api("GET", "/containers/json")) == 3, 30)
        running = time.monotonic()
        self.listen()
        lab.wait_for("a stream", lambda: self.proxy.pairs, 10)
        took = self.within(max(running, self.proxy.opened[-1]), 1.5)
        for a in (self.api.ip4, self.api.ip6):
            self.assertEqual(self.lab.send(self.web, [("tcp", a, 80, "okagain")])["okagain"][0], "ok")
        print(f"# right {took:.2f} s after the containers ran again", flush=True)

    def test_4_restart_with_live_restore(self):
        self.lab.dockerd_options.append("--live-restore")
        (self.lab.root / "none.json").write_text('{"live-restore": true}')
        self.lab.host.exec("pkill", "-HUP", "-F", self.lab.root / "docker.pid")
        lab.wait_for("live-restore", lambda: self.lab.api("GET", "/info")["LiveRestoreEnabled"])
        before = self.absent()
        time.sleep(1)
        self.assertEqual(self.held(), before)
        n = len(self.proxy.opened)
        self.lab.restart_dockerd()
        answers = time.monotonic()
        lab.wait_for("a new stream", lambda: len(self.proxy.opened) > n and self.proxy.pairs, 20)
        took = self.within(max(answers, self.proxy.opened[-1]))
        self.assertEqual(self.held(), before)
        late = self.lab.run("churn-later", labels={"tier": "web"}, network="net")
        self.within(time.monotonic())
        self.assertNotEqual(self.held(), before)
        late.remove()
        self.no_gap()
        print(f"# right {took:.2f} s after reconnection", flush=True)

    def test_5_control(self):
        """The receivers hear who may speak to them, and everybody once bulkhead is gone."""
        self.assertEqual(self.lab.send(self.api, [("udp", self.db.ip4, 80, "ok4"), ("udp", self.db.ip6, 80, "ok6")])["ok4"][0], "ok")
        self.assertEqual(self.leaked(), [])
        self.stream.kill()
        self.daemon.teardown()
        try:
            lab.wait_for("the flood to arrive", self.leaked)
        finally:
            self.receivers[1].stop()
            Reconnect.receivers[1] = self.lab.receiver(self.api, [81])


if __name__ == "__main__":
    tap.main()
