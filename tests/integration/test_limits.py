#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 10 s, works 3 s
"""`connections` of real containers: TCP over both families, through reloads, a crash and a restart of the container."""
import json
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402

PORT, MAX, RATE = 8080, 100, 50

SERVER = """
import selectors, socket
sel = selectors.DefaultSelector()
for f, a in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    s = socket.socket(f, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if f == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((a, %d)); s.listen(1024); s.setblocking(False)
    sel.register(s, selectors.EVENT_READ, True)
print("ready", flush=True)
while True:
    for key, _ in sel.select():
        try:
            if key.data:
                c, _ = key.fileobj.accept()
                sel.register(c, selectors.EVENT_READ, False)
            else:
                d = key.fileobj.recv(100)
                if not d:
                    raise ConnectionResetError
                key.fileobj.send(d)
        except BlockingIOError:
            pass
        except OSError:
            sel.unregister(key.fileobj); key.fileobj.close()
""" % PORT

# One line in, one line out: open N, echo, close N
CLIENT = """
import json, socket, struct, sys, time
held, where = [], sys.argv[1:]
for line in sys.stdin:
    verb, n = line.split()
    n, ok, slow, start = int(n), 0, 0, time.monotonic()
    if verb == "open":
        for i in range(n):
            t = time.monotonic()
            try:
                held.append(socket.create_connection((where[i %% len(where)], %d), 3)); ok += 1
            except OSError:
                slow += time.monotonic() - t > 0.9
    elif verb == "echo":
        for s in held:
            try:
                s.settimeout(3); s.send(b"x"); ok += s.recv(1) == b"x"
            except OSError:
                pass
    else:
        for s in held[:n]:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close(); ok += 1
        del held[:n]
    print(json.dumps([ok, slow, time.monotonic() - start]), flush=True)
""" % PORT


def config(limits="{max: %d}" % MAX, more=""):
    c = f", connections: {limits}" if limits else ""
    return (f"version: 1\nmode: enforce\nzones:\n  web: {{select: {{labels: {{tier: web}}}}{c}}}\n"
            f"  api: {{select: {{labels: {{tier: api}}}}, connections: {{new: {RATE}/second}}}}\n{more}"
            "allow:\n  - {from: [web, api], to: world, ports: [tcp/8080]}\n")


class Opener:
    def __init__(self, place, addresses):
        self.p = place.popen("/usr/bin/python3", "-c", CLIENT, *addresses, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, verb, n=0):
        self.p.stdin.write(f"{verb} {n}\n")
        self.p.stdin.flush()
        return json.loads(self.p.stdout.readline())

    def open(self, n):
        return self.ask("open", n)[0]

    def end(self):
        self.p.kill()
        self.p.wait()


class Limits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        cls.web1, cls.web2 = (l.run(n, labels={"tier": "web"}) for n in ("web1", "web2"))
        cls.api1 = l.run("api1", labels={"tier": "api"})
        server = l.out.popen("/usr/bin/python3", "-c", SERVER, stdout=subprocess.PIPE)
        assert server.stdout.readline() == "ready\n"
        cls.daemon = l.bulkheadd(config(""))

    def opener(self, place):
        o = Opener(place, (lab.OUT4, lab.OUT6))
        self.addCleanup(o.end)
        return o

    def counted(self):
        out = self.lab.host.exec("nft", "list", "set", "inet", "bulkhead", f"max_{MAX}")
        return out.count("ct count") if "elements" in out else 0

    def test_1_control_without_a_limit(self):
        self.assertEqual(self.opener(self.web1).open(150), 150)

    def test_2_max(self):
        self.daemon.reload(config())
        one, two = self.opener(self.web1), self.opener(self.web2)
        ok, slow, _ = one.ask("open", MAX + 10)
        self.assertEqual((ok, slow), (MAX, 0))              # told at once, by a reset
        self.assertEqual(two.open(50), 50)                  # the others go on
        self.assertEqual(one.ask("echo")[0], MAX)           # what is open is not harmed
        self.daemon.kill()                                  # neither nothing nor twice after a crash
        self.assertEqual(one.open(5), 0)
        self.daemon.start()
        self.assertEqual(one.open(5), 0)
        self.assertEqual(one.ask("close", 10)[0], 10)
        time.sleep(0.3)                                     # the resets pass
        self.assertEqual(one.open(20), 10)
        self.daemon.reload(config(more="  other: {cidrs: [192.0.2.0/24]}\n"))
        self.assertEqual(one.open(5), 0)
        self.assertEqual(one.ask("echo")[0], MAX)
        self.assertEqual(two.ask("echo")[0], 50)
        self.assertGreaterEqual(self.counted(), 2)
        self.assertTrue(self.daemon.status()["kernel"]["in_sync"])
        self.assertEqual(self.daemon.status()["kernel"]["repairs"], 0)

    def test_3_status(self):
        self.daemon.reload(config())
        s = self.daemon.status()
        limits = {z["name"]: z["connections"] for z in s["zones"]}
        self.assertEqual(limits["web"], {"max": MAX, "new": None})
        self.assertEqual(limits["api"], {"max": None, "new": f"{RATE}/second"})
        self.assertIsNone(limits["internet"])
        self.assertEqual({c["name"]: c["connections"] for c in s["containers"]}["web1"], {"max": MAX, "new": None})
        self.assertGreaterEqual({c["name"]: c["dropped_packets"] for c in s["containers"]}["web1"], 20)
        text = self.daemon.cli("status").stdout
        self.assertIn(f"web: each container may open {MAX} connections at once", text)
        self.assertIn(f"api: each container may open {RATE}/second new", text)

    def test_4_who_starts_again_starts_from_none(self):
        self.daemon.reload(config())
        one = self.opener(self.web1)
        self.assertEqual(one.open(MAX), MAX)
        before = self.counted()
        one.end()
        self.web1.stop()
        self.web1.start()
        self.daemon.wait_zone("web1", "web")
        lab.wait_for("nothing stale to be left", lambda: self.counted() < before, 10, 0.1)
        one = self.opener(self.web1)
        self.assertEqual(one.open(MAX + 5), MAX)
        self.assertTrue(self.daemon.status()["kernel"]["in_sync"])

    def test_5_new(self):
        one = self.opener(self.api1)
        ok, slow, took = one.ask("open", 400)
        want = RATE + RATE * took
        print(f"# {ok} in {took:.2f} s, {want:.0f} expected")
        self.assertTrue(RATE <= ok and abs(ok - want) <= 2 + 0.05 * want, (ok, took))

    def test_6_audit_of_the_file_suspends_them(self):
        self.daemon.reload(config().replace("mode: enforce", "mode: audit"))
        self.assertEqual(self.opener(self.web2).open(150), 150)


if __name__ == "__main__":
    tap.main()
