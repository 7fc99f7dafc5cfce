#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 12 s, works 8 s
"""Containers that send for as long as five seconds before the runtime tells of them: not one of those packets arrives, and all that
are sent once it is known who they are do. Simulated containers that need no neighbour discovery, both families."""
import pathlib
import socket
import struct
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import fakedocker  # noqa: E402
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402

STARTS, ROUNDS = 200, 5 if lab.SOAK else 1
LATEST = 5.0
SO_RCVBUFFORCE = 33     # socket(7)
CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
  idle: {select: {labels: {tier: idle}}}
  db: {select: {labels: {tier: db}}}
allow:
  - {from: web, to: db, ports: [udp/80]}
"""


def know(sim, other):
    """Neighbour entries for good: what the sender sends needs nobody's answer."""
    index = simhost.inside(sim.ns, lambda: socket.if_nametoindex("eth0"))
    for family, addr in ((socket.AF_INET, other.ip4), (socket.AF_INET6, other.ip6)):
        body = struct.pack("BxxxiHBB", family, index, 0x80, 0, 0) + simhost.attr(1, socket.inet_pton(family, addr)) + \
            simhost.attr(2, simhost.mac_bytes(other.mac))
        sim.rtnl.ask(28, body, simhost.NLM_F_CREATE)


class Sender:
    """Both families, the time of sending in each datagram."""

    def __init__(self, sim, to):
        self.sim, self.told = sim, None
        know(sim, to)
        self.ends = [(sim.socket(family=f), (a, 80)) for f, a in ((socket.AF_INET, to.ip4), (socket.AF_INET6, to.ip6))]

    def send(self):
        for s, to in self.ends:
            try:
                s.sendto(f"{self.sim.name} {time.monotonic()}".encode(), to)
            except OSError:
                pass

    def close(self):
        for s, _ in self.ends:
            s.close()


class Receiver:
    """{name: [[times of sending of what arrived, IPv4's], IPv6's]}"""

    def __init__(self, sim):
        self.socks = [sim.socket(family=f, port=80) for f in (socket.AF_INET, socket.AF_INET6)]
        for s in self.socks:
            s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.got = {}

    def drain(self):
        for six, s in enumerate(self.socks):
            try:
                while True:
                    name, sent = s.recv(200).decode().split()
                    self.got.setdefault(name, ([], []))[six].append(float(sent))
            except BlockingIOError:
                pass


class Delayed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.h = h = simhost.SimHost()
        cls.addClassCleanup(h.close)
        cls.rng = tap.rng("delayed")
        cls.db = h.start("db1", "db")
        cls.rx = Receiver(cls.db)

    def senders(self, count, name):
        """Plugged in and running, and nobody has told."""
        made = []
        for i in range(count):
            sim = self.h.make(f"{name}{i}", "web" if i % 4 else "idle")
            sim.plug()
            sim.move()
            made.append(Sender(sim, self.db))
        return made

    def tell(self, sender):
        """What dockerd would, of a container that has long been running."""
        f, i = self.h.fake, fakedocker.cid(sender.sim.name)
        sender.told = time.monotonic()
        self.h.tell(sender.sim)
        f.event("container", "create", i)
        f.event("network", "connect", fakedocker.cid("net-net"), container=i)
        f.event("container", "start", i)

    def test_1_control(self):
        """Without bulkhead they arrive, told or not."""
        some = self.senders(4, "control")
        end = time.monotonic() + 5
        while len(self.rx.got) < 4 or not all(all(v) for v in self.rx.got.values()):
            self.assertLess(time.monotonic(), end, self.rx.got)
            for s in some:
                s.send()
            time.sleep(0.05)
            self.rx.drain()
        for s in some:
            s.close()
            s.sim.unplug()
        self.h.daemon = self.h.lab.bulkheadd(CONFIG)
        self.h.daemon.wait_zone("db1", "db")

    def test_2_delayed(self):
        late, before, after = [], 0, 0
        for n in range(ROUNDS):
            some = self.senders(STARTS, f"r{n}x")
            begun, self.rx.got = time.monotonic(), {}
            plan = sorted(((begun + self.rng.uniform(0, LATEST), s) for s in some), key=lambda p: p[0])

            def telling():
                for at, s in plan:
                    time.sleep(max(0, at - time.monotonic()))
                    self.tell(s)
            t = threading.Thread(target=telling, daemon=True)
            t.start()
            ends = None
            while ends is None or time.monotonic() < ends:
                for s in some:
                    before += 2 * (s.told is None)
                    s.send()
                self.rx.drain()
                if ends is None and not t.is_alive():
                    ends = time.monotonic() + 2
            for s in some:
                name, got = s.sim.name, self.rx.got.get(s.sim.name, ([], []))
                leaked = [x for fam in got for x in fam if x < s.told]
                self.assertEqual(leaked, [], f"{name} sent to db1 before anybody knew who it is")
                if s.sim.tier == "idle":
                    self.assertEqual(got, ([], []), "no rule for it")
                    continue
                self.assertTrue(all(got), f"{name} never got through")
                late += [fam[0] - s.told for fam in got]
                after += sum(map(len, got))
            for s in some:
                s.close()
                self.h.fake.remove(s.sim.name, between=s.sim.unplug)
        late.sort()
        self.assertGreater(before, STARTS * ROUNDS * 10)
        print(f"# {STARTS * ROUNDS} starts: 0 of {before} datagrams before the runtime told arrived; {after} did afterwards, the first "
              f"{late[len(late) // 2] * 1000:.0f} ms after it (median), {late[-1] * 1000:.0f} at most")


if __name__ == "__main__":
    tap.main()
