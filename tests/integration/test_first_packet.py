#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 40 s, works 40 s
# alone: a busy machine is late
"""Containers whose first instruction sends: no start-up leak, no start-up wait.

40 starts that must not arrive and 40 that must in tools/test, 200 in tools/soak: TCP and UDP, IPv4 and IPv6, on Docker's own
network and another.
"""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402

STARTS = 200 if lab.SOAK else 40
BATCH = 2  # at once: a machine with more starts going on is not what is measured
KEPT = 16 if lab.SOAK else STARTS  # those before are removed; each costs memory, and its removal as much as half a start

CONFIG = """version: 1
mode: enforce
zones:
  client: {select: {labels: {tier: client}}}
  friend: {select: {labels: {tier: friend}}}
  secret: {select: {labels: {tier: secret}}}
allow:
  - {from: client, to: friend, ports: [udp/7000, tcp/7000]}
"""


class FirstPacket(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab(frugal=False).up()
        cls.addClassCleanup(l.down)
        l.network("net")
        cls.friend = l.run("friend", labels={"tier": "friend"})
        cls.secret = l.run("secret", labels={"tier": "secret"})
        for c in (cls.friend, cls.secret):
            l.api("POST", "/networks/net/connect", {"Container": c.id})
            c.refresh()
        cls.rx = {c.name: l.receiver(c, [7000]) for c in (cls.friend, cls.secret)}
        cls.daemon = l.bulkheadd(CONFIG)

    def alive(self, target):
        """The receiver hears its own namespace, and right now."""
        m = f"alive{lab.time.monotonic_ns()}"
        self.lab.send(target, [("udp", "127.0.0.1", 7000, m)], 1)
        self.assertEqual(self.rx[target.name].count(m), 1, "the receiver is not alive")

    def starts(self, target, count, name, control=False):
        """Starts COUNT senders, alternating protocol, family and network: on Docker's own a process starts soonest
        after its port is there, on another its resolver comes first. Returns markers and containers."""
        sent = []

        def one(i):
            network = "net" if i // 4 % 4 == 1 else "bridge"
            proto, family = (("udp", 4), ("udp", 6), ("tcp", 4), ("tcp", 6))[i % 4]
            marker = f"{name}{i}x"
            c = self.lab.run(f"{name}{i}", labels={"tier": "client"}, network=network,
                             cmd=["firstpkt", proto, target.address(network, family), 7000, marker])
            return proto, marker, c
        for i in range(0, count, BATCH):
            batch = lab.parallel([lambda k=k: one(k) for k in range(i, min(i + BATCH, count))], BATCH)
            sent += batch
            self.alive(target)
            for _, _, c in sent[:-KEPT][-BATCH:]:
                # what was sent long ago has arrived or never will
                c.final = c.logs()
                c.remove()
        return sent

    @staticmethod
    def report(c):
        return getattr(c, "final", None) if hasattr(c, "final") else c.logs()

    @tap.limit(3600 if lab.SOAK else 600)
    def test_1_forbidden_never_arrives(self):
        sniff = self.lab.sniffer(self.secret)
        sent = self.starts(self.secret, STARTS, "forbidden")
        lab.time.sleep(1.5)  # a SYN comes again after a second
        got = [m for _, m, _ in sent if self.rx["secret"].count(m)]
        frames = [f for f in sniff.frames() if f["proto"] in (6, 17) and f["dport"] == 7000]
        sniff.stop()
        print(f"# {len(sent)} starts, {len(got)} markers, {len(frames)} frames arrived")
        self.assertEqual((got, frames), ([], []))

    @tap.limit(3600 if lab.SOAK else 600)
    def test_2_allowed_first_packet_arrives(self):
        """UDP: datagram number 0 arrived. TCP: connected before a SYN could be sent again."""
        sent = self.starts(self.friend, STARTS, "allowed")
        lab.time.sleep(1.5)
        lost, slow = [], []
        for proto, m, c in sent:
            if not self.rx["friend"].count(m):
                lost.append((proto, m))
            if proto == "tcp":
                text = self.report(c).split()
                if len(text) != 3 or int(text[1]) > 900000:
                    slow.append((m, text))
        print(f"# {len(sent)} starts, {len(lost)} lost, {len(slow)} first SYNs lost")
        self.assertEqual((lost, slow), ([], []))

    def test_3_control_forbidden_arrives_without_bulkhead(self):
        self.daemon.teardown()
        sent = self.starts(self.secret, 8, "control")
        lab.time.sleep(0.5)
        self.assertEqual([m for _, m, _ in sent if not self.rx["secret"].count(m)], [])


if __name__ == "__main__":
    tap.main()
