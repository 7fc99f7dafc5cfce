#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 27 s, works 3 s
# alone: measures rates
"""Guarantees, one budget for a container with two ports, and caps that change under traffic, on the real kernel."""
import os
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import tap  # noqa: E402
from shape_net import Case  # noqa: E402

SECONDS = 8 if os.environ.get("BH_TIER") == "soak" else 1.5
RECEIVE = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
s.bind(("::", 5400))
print("ready", flush=True)
seen = set()
s.settimeout(20)
try:
    while True:
        data = s.recv(2048)
        if data == b"end":
            break
        seen.add(data[:16])
        s.settimeout(3)
except TimeoutError:
    pass
print(len(seen))
"""
# 400 packets a second of 200 bytes, half of them IPv4: never more than the lowest cap
SEND = """
import socket, sys, time
to = [(socket.socket(f, socket.SOCK_DGRAM), (a, 5400)) for f, a in
      ((socket.AF_INET, sys.argv[1]), (socket.AF_INET6, sys.argv[2]))]
n, start, seconds = 0, time.monotonic(), float(sys.argv[3])
while time.monotonic() - start < seconds:
    for s, where in to:
        s.sendto(b"%016d" % n + bytes(184), where)
        n += 1
    time.sleep(max(0, start + n / 400 - time.monotonic()))
time.sleep(1)
to[0][0].sendto(b"end", to[0][1])
print(n)
"""


class Guarantee(Case):
    # UDP that asks for all of the host's 20 Mbit/s
    def flood(self, src, dst, reverse):
        port = 5310 + int(src[1]) + 10 * reverse
        a, b = (dst, src) if reverse else (src, dst)
        self.net.start(b, "timeout", "20", "iperf3", "-s", "-1", "-p", str(port))
        time.sleep(0.2)
        return self.net.start(a, "timeout", "20", "nice", "-n", "-15", "iperf3", "-c", self.net.ip[b], "-p", str(port), "-u",
                              "-l", "1400", "-b", "22M", "-t", str(SECONDS + 2.5))

    def rates(self, wish, sources, reverse):
        dev = "bh-ingress" if reverse else "bh-egress"
        leaf = dict(re.findall(r"port (v\w+) egress (bb:\w+)", self.check(wish)))
        flows = [self.flood(s, "b1" if s != "b1" else "a3", reverse) for s in sources]
        time.sleep(0.8)
        t0, a = self.net.stats()
        time.sleep(SECONDS)
        t1, b = self.net.stats()
        for p in flows:
            p.kill()
            p.communicate()
        return {s: (b[dev, leaf[f"v{s}"]][1] - a[dev, leaf[f"v{s}"]][1]) * 8 / (t1 - t0) / 1e6 for s in sources}

    WISH = ("zone a 0 0 20000000 20000000\nzone b 0 0 20000000 20000000\nguarantee a 0 0 15000000 15000000\n"
            "host 20000000 20000000\nmember a va1\nmember b va2\n")

    @tap.limit(60)
    def test_guarantee_is_kept_and_the_rest_is_shared(self):
        self.net.apply(self.WISH)
        for reverse in (False, True):
            got = self.rates(self.WISH, ["a1", "a2"], reverse)
            print(f"# {'to' if reverse else 'from'} the containers: {got}", flush=True)
            self.assertGreater(got["a1"], 14.5)
            self.assertTrue(1.5 < got["a2"] < 6, got)
            self.assertTrue(18.5 < sum(got.values()) < 21, got)

    @tap.limit(60)
    def test_guarantee_is_lent_while_idle(self):
        self.net.apply(self.WISH)
        got = self.rates(self.WISH, ["a2"], False)
        print(f"# alone: {got}", flush=True)
        self.assertTrue(18.5 < got["a2"] < 21, got)

    @tap.limit(60)
    def test_control_without_a_guarantee_it_is_halves(self):
        wish = self.WISH.replace("guarantee a 0 0 15000000 15000000\n", "")
        self.net.apply(wish)
        got = self.rates(wish, ["a1", "a2"], False)
        print(f"# no guarantee: {got}", flush=True)
        self.assertTrue(8.5 < got["a1"] < 11.5 and 8.5 < got["a2"] < 11.5, got)

    @tap.limit(60)
    def test_two_ports_have_one_budget(self):
        wish = "zone a 10000000 10000000 0 0\nmember a va1 va2\n"
        self.net.apply(wish)
        ids = re.findall(r"port v\w+ egress (bb:\w+)", self.check(wish))
        self.assertEqual((len(ids), len(set(ids))), (2, 1), ids)
        got = self.rates(wish, ["a1", "a2"], False)["a1"]
        print(f"# both ports: {got:.2f} of 10 Mbit/s", flush=True)
        self.assertTrue(9.5 < got < 10.5, got)

    @tap.limit(60)
    def test_caps_change_without_losing_a_packet(self):
        """Rates, guarantees, the host's bandwidth, neighbours that come and go: paced packets of both families all arrive."""
        base = "member a va1\nmember a va2\n"
        wishes = [
            "zone a 10000000 10000000 0 0\n" + base,
            "zone a 2000000 100000000 0 0\n" + base,
            "zone a 40000000000 40000000000 50000000000 50000000000\n" + base,
            "zone a 10000000 10000000 20000000 20000000\nguarantee a 1000000 0 20000000 0\nhost 30000000 30000000\n" + base,
            "zone a 10000000 10000000 20000000 20000000\nzone c 0 0 5000000 0\n" + base + "member c va3\n",
            "zone a 10000000 10000000 20000000 20000000\nexempt a lan host\n" + base,
        ]
        self.net.apply(wishes[0])
        receiver = self.net.start("a2", "python3", "-c", RECEIVE)
        self.assertEqual(receiver.stdout.readline(), "ready\n")
        seconds = SECONDS * 2 + 2
        sender = self.net.start("a1", "python3", "-c", SEND, self.net.ip["a2"], "fd00:1::2", str(seconds))
        end, changes = time.monotonic() + seconds, 0
        time.sleep(0.3)
        while time.monotonic() < end - 0.5:
            self.net.apply(wishes[(changes + 1) % len(wishes)])
            changes += 1
            time.sleep(0.05)
        sent, got = int(sender.communicate(timeout=30)[0]), int(receiver.communicate(timeout=30)[0])
        print(f"# {changes} changes, {sent - got} of {sent} packets lost", flush=True)
        self.assertGreaterEqual(changes, len(wishes))
        self.assertEqual(got, sent)


if __name__ == "__main__":
    tap.main()
