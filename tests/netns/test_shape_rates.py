#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 20 s, works 5 s
# alone: measures rates
"""Shaping on the real kernel, in namespaces of its own: what is applied is what flows, by the kernel's own count."""
import os
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import tap  # noqa: E402
from shape_net import Case  # noqa: E402

SECONDS = 10 if os.environ.get("BH_TIER") == "soak" else 2


# at once: container, cap, way, server's port. Each container has a zone of its own.
FLOWS = [("a1", 10, "bh-egress", 5301), ("a3", 100, "bh-egress", 5302), ("a4", 10, "bh-ingress", 5303), ("a5", 100, "bh-ingress", 5304)]


class Rates(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for n in ("a2", "b1"):
            for _, _, _, port in FLOWS:
                cls.net.start(n, "nice", "-n", "-15", "iperf3", "-s", "-p", str(port))
        time.sleep(0.5)

    def load(self, src, dst, port, proto, dev, cap):
        """Until a second after the window of rate()."""
        # a sender that waits for a processor measures the processor
        cmd = ["timeout", str(SECONDS + 8), "nice", "-n", "-15", "iperf3", "-c", self.net.ip[dst], "-p", str(port), "-t", str(SECONDS + 2)]
        cmd += ["-u", "-l", "1400", "-b", f"{cap * 1.25}M"] if proto == "udp" else []
        return self.net.start(src, *cmd, *(["-R"] if dev == "bh-ingress" else []))

    def rate(self, keys, wait=1.0):
        """Mbit/s of each class over SECONDS, as the kernel counts them."""
        time.sleep(wait)
        t0, a = self.net.stats()
        time.sleep(SECONDS)
        t1, b = self.net.stats()
        return [(b[k][1] - a[k][1]) * 8 / (t1 - t0) / 1e6 for k in keys]

    def leaf(self, wish, port):
        return re.search(rf"port {port} egress (bb:\w+)", self.check(wish))[1]

    def capped(self, flows, dst, proto, leaves):
        ps = [self.load(src, dst, port, proto, dev, cap) for src, cap, dev, port in flows]
        got = self.rate([(dev, leaves[src]) for src, _, dev, _ in flows])
        for p in ps:
            p.communicate()
        for (src, cap, dev, _), mbit in zip(flows, got):
            print(f"# {cap} Mbit/s {proto} {src} {'<-' if dev == 'bh-ingress' else '->'} {dst}: {mbit:.2f}", flush=True)
        return got

    @tap.limit(400)
    def test_caps_hold(self):
        wish = "".join(f"zone c{n} {cap}000000 {cap}000000 0 0\n" for n, cap, _, _ in FLOWS)
        wish += "".join(f"member c{n} v{n}\n" for n, _, _, _ in FLOWS)
        self.net.apply(wish)
        leaves = {n: self.leaf(wish, f"v{n}") for n, _, _, _ in FLOWS}
        bad = []
        for dst in ("a2", "b1"):
            for proto in ("tcp", "udp"):
                flows = FLOWS
                # too much is wrong at once; too little may be a sender that got no processor: again, by itself
                for attempt in range(3):
                    parts = [flows] if attempt == 0 else [[f] for f in flows]
                    got = [x for part in parts for x in self.capped(part, dst, proto, leaves)]
                    bad += [(dst, proto, f, x) for f, x in zip(flows, got) if x > 1.05 * f[1]]
                    flows = [f for f, x in zip(flows, got) if x < 0.95 * f[1]]
                bad += [(dst, proto, f, "too little") for f in flows]
        self.assertEqual(bad, [])

    @tap.limit(120)
    def test_zone_is_shared_evenly(self):
        wish = "zone z 0 0 20000000 20000000\nmember z va1\nmember z va2\n"
        self.net.apply(wish)
        leaves = [self.leaf(wish, p) for p in ("va1", "va2")]
        for dev in ("bh-egress", "bh-ingress"):
            ps = [self.load(src, "b1", port, "tcp", dev, 20) for src, port in (("a1", 5301), ("a2", 5302))]
            a, b, whole = self.rate([(dev, leaves[0]), (dev, leaves[1]), (dev, "bb:1")])
            for p in ps:
                p.communicate()
            print(f"# {dev}: {a:.2f} + {b:.2f}, zone {whole:.2f} of 20 Mbit/s", flush=True)
            self.assertTrue(19 <= whole <= 21, whole)
            self.assertTrue(0.45 <= a / (a + b) <= 0.55, (a, b))

    def test_control_faster_without(self):
        p = self.net.start("a1", "iperf3", "-c", self.net.ip["a2"], "-p", "5301", "-t", "1", "-f", "m", "-b", "500M")   # others measure
        rate = float(re.findall(r"([\d.]+) Mbits/sec", p.communicate()[0])[-1])
        print(f"# without caps: {rate:.0f} Mbit/s")
        self.assertGreater(rate, 300)


if __name__ == "__main__":
    tap.main()
