#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 24 s, works 20 s
"""The follower of Docker alone, on a real dockerd: whatever happens there, what it told adds up
to what a naive listing shows, and it is told early enough."""
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tail  # noqa: E402
import tap  # noqa: E402

STATES = {"created": "created", "running": "running", "paused": "paused"}
NETMODES = {"host": "host", "none": "none"}


def naive(l):
    """Everything by the slow way: list, inspect each, read each network."""
    nets, out = {}, {}
    for n in l.api("GET", "/networks"):
        nets[n["Id"]] = l.api("GET", f"/networks/{n['Id']}")
    for c in l.api("GET", "/containers/json?all=1"):
        i = l.api("GET", f"/containers/{c['Id']}/json")
        image = l.api("GET", f"/images/{i['Image']}/json")
        mode = i["HostConfig"]["NetworkMode"]
        ends = []
        for nid, n in nets.items():
            e = n["Containers"].get(c["Id"])
            if e and n["Driver"] not in ("host", "null"):
                addrs = [a.split("/")[0] for a in (e["IPv4Address"], e["IPv6Address"]) if a]
                ends.append({"id": e["EndpointID"], "network": nid, "mac": e["MacAddress"], "addrs": addrs})
        ports = {(t, p["HostIp"], int(p["HostPort"]), int(k)) for key, v in i["NetworkSettings"]["Ports"].items()
                 for k, t in [key.split("/")] for p in (v or [])}
        out[c["Id"]] = {
            "name": i["Name"].lstrip("/"), "image_id": i["Image"], "labels": i["Config"]["Labels"] or {},
            "image_labels": image["Config"]["Labels"] or {}, "posture": 1, "memory": i["HostConfig"]["Memory"],
            "state": STATES.get(i["State"]["Status"], "stopped"),
            "netmode": "container" if mode.startswith("container:") else NETMODES.get(mode, "networks"),
            "owner": mode[10:] if mode.startswith("container:") else None,
            "endpoints": sorted(ends, key=lambda e: e["network"]), "published": ports}
    return out, {i: (n["Name"], n["Driver"]) for i, n in nets.items()}


def told(t):
    out = {}
    with t.lock:
        for i, c in t.containers.items():
            d = {k: c[k] for k in ("name", "image_id", "labels", "image_labels", "posture", "memory", "state", "netmode", "owner")}
            d["endpoints"] = sorted(c["endpoints"], key=lambda e: e["network"])
            d["published"] = {(p["proto"], p["host"], p["host_port"], p["port"]) for p in c["published"]}
            out[i] = d
        return out, {i: (n["name"], n["driver"]) for i, n in t.networks.items()}


class Events(threading.Thread):
    """All of Docker's events with the times that it gave them, for measuring."""

    def __init__(self, l):
        super().__init__(daemon=True)
        self.conn = lab._Api(l.socket, None)
        self.conn.request("GET", "/events")
        self.answer = self.conn.getresponse()
        self.all = []
        self.start()

    def run(self):
        try:
            while line := self.answer.readline():
                self.all.append(json.loads(line))
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass

    def ms(self, action, cid):
        for e in self.all:
            if e["Action"] == action and cid in (e["Actor"]["ID"], e["Actor"]["Attributes"].get("container")):
                return e["timeNano"] / 1e6
        return None


class RuntimeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        l.network("front")
        cls.tail = tail.Tail(lambda argv: l.host.popen(*argv, l.socket, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                                       stderr=sys.stderr))
        cls.tail.wait_state("connected")

    def tearDown(self):
        self.lab.remove_containers()
        self.agree()

    @classmethod
    def tearDownClass(cls):
        cls.assertEqual(cls(), cls.tail.stop(), 0)

    def runTest(self):
        pass

    def agree(self, timeout=5):
        """What was told is what a listing shows, at once or after the last news came in."""
        end = time.monotonic() + timeout
        while True:
            want, have = naive(self.lab), told(self.tail)
            if want == have or time.monotonic() > end:
                self.maxDiff = None
                for i in set(want[0]) | set(have[0]):
                    self.assertEqual(have[0].get(i), want[0].get(i), f"container {i}")
                self.assertEqual(have[1], want[1])
                return
            time.sleep(0.05)

    def endpoints(self, name):
        c = self.tail.by_name(name)
        return c["endpoints"] if c else None

    def test_life_of_a_container(self):
        l, t = self.lab, self.tail
        c = l.run("life", labels={"tier": "web"}, network="front", ports={"80/tcp": "8080", "53/udp": ("127.0.0.1", "5353")})
        self.agree()
        self.assertEqual(t.by_name("life")["labels"], {"tier": "web"})
        self.assertEqual(len(t.by_name("life")["published"]), 3)
        for cmd in (["rename", "life", "life2"], ["pause", "life2"], ["unpause", "life2"], ["network", "connect", "bridge", "life2"],
                    ["restart", "-t", "0", "life2"], ["network", "disconnect", "front", "life2"], ["stop", "-t", "0", "life2"],
                    ["start", "life2"], ["kill", "life2"]):
            l.docker(*cmd)
            with self.subTest(after=" ".join(cmd)):
                self.agree()
        mark = t.mark()
        l.docker("rm", "life2")
        t.wait("gone", lambda: any(m["kind"] == "gone" and m["id"] == c.id for m in t.since(mark)), 1)

    def test_stopped_has_no_endpoint_at_once(self):
        """Docker's list still has the address of one that died; it may have been given to another."""
        l, t = self.lab, self.tail
        c = l.run("dying", network="front")
        self.agree()
        mark = t.mark()
        c.stop()
        t.wait("no endpoint", lambda: self.endpoints("dying") == [], 1)
        self.agree()
        mine = [m["container"] for m in t.since(mark) if m["kind"] == "container" and m["container"]["id"] == c.id]
        first = next(i for i, m in enumerate(mine) if not m["endpoints"])
        self.assertTrue(all(not m["endpoints"] for m in mine[first:]), mine)

    def test_every_kind_of_network(self):
        l = self.lab
        l.run("owner", network="front")
        l.docker("run", "-d", "--name", "sharer", "--network", "container:owner", "lab")
        l.docker("run", "-d", "--name", "hosty", "--network", "host", "lab")
        l.docker("run", "-d", "--name", "lonely", "--network", "none", "lab")
        l.docker("create", "--name", "made", "lab")
        self.agree()
        self.assertEqual(self.tail.by_name("sharer")["netmode"], "container")
        self.assertEqual(self.endpoints("hosty"), [])
        self.assertEqual(self.endpoints("made"), [])

    def test_start_that_fails(self):
        l, t = self.lab, self.tail
        mark = t.mark()
        r = l.host.run_cmd("docker", "-H", f"unix://{l.socket}", "run", "--rm", "--name", "bad", "--network", "front", "lab", "/none")
        self.assertNotEqual(r.returncode, 0)
        t.wait("gone", lambda: any(m["kind"] == "gone" for m in t.since(mark)), 2)
        self.agree()

    def test_image_labels_are_the_images(self):
        l, t = self.lab, self.tail
        l.run("base")
        l.docker("commit", "--change", "LABEL tier=web", "base", "labelled")
        mark = t.mark()
        l.run("claims", image="labelled", labels={"own": "1"})
        self.agree()
        for m in t.since(mark):
            if m["kind"] == "container" and m["container"]["name"] == "claims":
                self.assertEqual(m["container"]["image_labels"], {"tier": "web"}, "told before its image was known")
        # an image that is gone: nobody can tell whose labels they are
        l.docker("create", "--name", "orphan", "labelled")
        t.wait("orphan", lambda: t.by_name("orphan"))
        l.docker("rm", "-f", "claims")
        l.docker("rmi", "-f", "labelled")
        t.stop()
        type(self).tail = t = tail.Tail(lambda argv: l.host.popen(*argv, l.socket, stdin=subprocess.PIPE,
                                                                  stdout=subprocess.PIPE, stderr=sys.stderr))
        t.wait_state("connected")
        self.assertEqual(t.by_name("orphan")["image_labels"], {"tier": "web"})
        self.assertEqual(t.by_name("orphan")["labels"], {"tier": "web"})

    def test_label_with_nul_hides_nobody(self):
        l, t = self.lab, self.tail
        l.run("nul", labels={"tier": "web\0x", "a\0": "b"}, network="front")
        l.run("after", network="front")
        t.wait("after", lambda: self.endpoints("after"))
        c = t.by_name("nul")
        self.assertIsNotNone(c["flaw"])
        self.assertEqual((c["labels"], c["endpoints"]), ({}, []))
        l.docker("rm", "-f", "nul")

    @tap.limit(300)
    def test_early_enough(self):
        """From Docker's `network connect` to the message with addresses: it must come before the container's
        first instruction, about 200 ms later on a quiet machine."""
        l, t = self.lab, self.tail
        events = Events(l)
        lags, margins = [], []
        for i in range(40 if lab.SOAK else 4):
            mark = t.mark()
            c = l.run(f"early{i}", network="front")
            t.wait("running", lambda: (t.by_name(f"early{i}") or {}).get("state") == "running")
            first = next(m for m in t.since(mark) if m["kind"] == "container" and m["container"]["id"] == c.id
                         and m["container"]["endpoints"])
            lab.wait_for("the events", lambda: events.ms("start", c.id))
            lags.append(first["ms"] - events.ms("connect", c.id))
            margins.append(events.ms("start", c.id) - first["ms"])
            self.assertEqual(len(first["container"]["endpoints"][0]["addrs"]), 2)
            c.remove()
        lags.sort()
        print(f"# connect to message: median {lags[len(lags) // 2]:.1f} ms, worst {lags[-1]:.1f} ms; "
              f"least before start: {min(margins):.0f} ms", flush=True)
        self.assertGreater(min(margins), 0)
        self.assertLess(lags[len(lags) // 2], 50)

    @tap.limit(300)
    def test_burst(self):
        l, t = self.lab, self.tail
        before, n = t.stats(), 20 if lab.SOAK else 5

        def one(i):
            l.docker("run", "--rm", "--name", f"burst{i}", "--network", "front", "lab", "sleep", str(0.2 + i % 3 * 0.2))
        lab.parallel([lambda i=i: one(i) for i in range(n)], 6)
        self.agree()
        after = t.stats()
        self.assertGreaterEqual(after["events"] - before["events"], n * 6)
        self.assertEqual(after["errors"], before["errors"])

    @tap.limit(3600 if lab.SOAK else 300)
    def test_random_lives(self):
        """Whatever one does, without waiting in between."""
        l, rng = self.lab, tap.rng("lives")
        names, made, steps = ["r0", "r1", "r2", "r3"], 0, 600 if lab.SOAK else 12
        for step in range(steps):
            n = rng.choice(names)
            there = {c["Names"][0][1:] for c in l.api("GET", "/containers/json?all=1")}
            cmds = [["start", n], ["start", n], ["stop", "-t", "0", n], ["restart", "-t", "0", n], ["pause", n], ["unpause", n],
                    ["rm", "-f", n], ["rename", n, rng.choice(names)], ["network", "connect", rng.choice(["front", "bridge"]), n],
                    ["network", "disconnect", rng.choice(["front", "bridge"]), n]]
            if n not in there:
                cmds = [["create"], ["run", "-d"]]
                opts = ["--name", n, "--label", f"step={step}", "--network", rng.choice(["front", "front", "bridge", "none"]),
                        "-p", f"{9000 + step % 100}:80", "lab"]
                cmds = [c + opts for c in cmds]
            # some make no sense: Docker refuses them
            made += l.host.run_cmd("docker", "-H", f"unix://{l.socket}", *rng.choice(cmds)).returncode == 0
            if step % 8 == 7:
                self.agree()
        self.assertGreater(made, steps // 2)
        for n in names:
            l.docker("unpause", n, check=False)

    def test_networks_come_and_go(self):
        l, t = self.lab, self.tail
        l.docker("network", "create", "--internal", "-o", "com.docker.network.bridge.name=inner0", "inner")
        n = t.wait("inner", lambda: next((n for n in list(t.networks.values()) if n["name"] == "inner"), None))
        self.assertEqual((n["bridge"], n["internal"], len(n["subnets"])), ("inner0", True, 1))
        l.run("inside", network="inner")
        self.agree()
        l.docker("rm", "-f", "inside")
        l.docker("network", "rm", "inner")
        t.wait("no inner", lambda: n["id"] not in t.networks, 2)

    @tap.limit(300)
    def test_dockerd_restarts(self):
        """A container that dies while dockerd is down makes no event; its stream ends and its backlog is lost."""
        l, t = self.lab, self.tail
        l.run("keep", network="front", host_config={"RestartPolicy": {"Name": "always"}})
        l.run("lost", network="front")
        self.agree()
        for sig in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(sig=sig):
                mark = t.mark()
                if sig == signal.SIGKILL:
                    for pid in l.pids_of("dockerd"):
                        l.host.exec("kill", "-9", pid)
                    l.dockerd.wait(10)
                    # containerd, dockerd's child, dies by itself or is taken over; its pid file must not confuse the next
                    l.host.exec("rm", "-f", l.root / "docker.pid", l.socket)
                    t.wait_state("absent")
                    l._start_dockerd()
                else:
                    l.restart_dockerd()
                t.wait("snapshot", lambda: any(m["kind"] == "snapshot" for m in t.since(mark)), 20)
                kinds = [m.get("state", m["kind"]) for m in t.since(mark) if m["kind"] in ("state", "snapshot")]
                self.assertEqual([k for k in kinds if k != "absent"][:3], ["connecting", "snapshot", "connected"])
                self.assertIn("absent", kinds)
                t.wait_state("connected")
                self.agree(15)

    def test_dockerd_hangs(self):
        """Stopped by a signal it answers nothing and closes nothing: a ping finds out."""
        l, t = self.lab, self.tail
        pids = l.pids_of("dockerd")
        for pid in pids:
            l.host.exec("kill", "-STOP", pid)
        try:
            t.wait_state("absent", 20)
        finally:
            for pid in pids:
                l.host.exec("kill", "-CONT", pid)
        t.wait_state("connected", 20)
        self.agree()

    def test_asked_for(self):
        t = self.tail
        n = t.count("snapshot")
        t.ask("resync")
        t.wait("a snapshot", lambda: t.count("snapshot") > n, 3)
        t.ask("look")
        self.agree()


if __name__ == "__main__":
    tap.main()
