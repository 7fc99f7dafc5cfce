#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 34 s, works 9 s
"""Exactly what the configuration allows, cell by cell, with real packets.

3 zones of 2 containers, host, and lan, an address zone and the internet outside, TCP and
UDP, two ports, both families, published ports by DNAT; on one bridge and over two.
"""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import matrix  # noqa: E402
import tap  # noqa: E402


class Base:
    bridges = 0

    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        cls.m = matrix.Matrix(l, cls.bridges)
        l.lift_docker_isolation()
        cls.before = None
        cls.daemon = None

    def right(self, bad):
        if bad:
            self.fail(f"{len(bad)} cells are wrong:\n" + "\n".join(bad[:40]))

    def test_1_control_all_cells_arrive_without_bulkhead(self):
        self.right(self.m.wrong(all_open=True))
        type(self).before = self.lab.kernel_state()

    def test_2_share_of_open_cells(self):
        cells = self.m.cells()
        share = sum(c.open for c in cells) / len(cells)
        print(f"# {len(cells)} cells, {share:.0%} open")
        self.assertTrue(0.3 <= share <= 0.7, share)

    def test_3_enforced(self):
        type(self).daemon = self.lab.bulkheadd(matrix.config())
        self.right(self.m.wrong())

    def test_4_status_says_so(self):
        s = self.daemon.status()
        self.assertEqual(s["daemon"]["state"], "enforcing", s["daemon"])
        self.assertTrue(s["kernel"]["in_sync"])
        self.assertEqual({c["name"]: (c["zone"], c["enforced"]) for c in s["containers"]},
                         {n: (z, "full") for n, z in self.m.zone.items()})

    def test_5_denied_frames_do_not_arrive_either(self):
        """A SYN that is denied never becomes a marker; so the frames are looked at."""
        inside = {c.name: c for c in self.m.containers}
        sniffers = {n: self.lab.sniffer(c) for n, c in inside.items()}
        cells = [c for c in self.m.cells() if c.receiver in inside]
        source = {c.name: (c.ip4, c.ip6) for c in self.m.containers}
        results = self.m.probe(cells)
        seen = {n: {(f["src"], 6 if f["proto"] == 6 else 17, f["dport"]) for f in s.frames()
                    if f["proto"] in (6, 17)} for n, s in sniffers.items()}
        wrong, open_seen = [], 0
        for c, arrived, result in results:
            if c.source:
                srcs = [c.source]
            elif c.place.name in source:
                srcs = [source[c.place.name][matrix.is_v6(c.address)]]
            else:
                continue  # the host has many addresses
            key = {(s, 6 if c.proto == "tcp" else 17, c.real_port) for s in srcs}
            hit = bool(key & seen[c.receiver])
            open_seen += hit and c.open
            if hit and not c.open:
                wrong.append(str(c))
        for s in sniffers.values():
            s.stop()
        self.assertFalse(wrong, wrong[:20])
        self.assertGreater(open_seen, 50)  # the sniffers do see

    def test_6_denied_tcp_is_told_at_once(self):
        """deny: reject is the default; containers and the host are told by a reset."""
        cells = [c for c in self.m.cells() if c.proto == "tcp" and not c.open and c.receiver != "out"
                 and c.place is not self.lab.out]
        slow = []
        for c in cells[:: max(1, len(cells) // 40)]:
            r, ms = self.lab.send(c.place, [c.line("told")], 1.0)["told"]
            if r != "refused" or ms > 500:
                slow.append(f"{c}: {r} after {ms} ms")
        self.assertFalse(slow, slow)

    def test_7_sigkill_changes_nothing(self):
        self.daemon.kill()
        self.right(self.m.wrong())
        late = self.lab.run("late", labels={"tier": "web"}, network=self.m.nets[0])
        r = self.lab.receiver(late, matrix.PORTS)
        web = next(c for c in self.m.containers if c.name == "web1")
        api = next(c for c in self.m.containers if c.name == "api1")
        out = self.lab.send(late, [("tcp", a, 80, f"late-{a}") for a in
                                   (web.ip4, web.ip6, api.ip4, api.ip6, lab.INTERNET4, lab.OUT4, lab.HOST4, lab.HOST6)]
                            + [("udp", api.ip4, 81, "late-udp")], 1.5)
        into = self.lab.send(web, [("tcp", late.ip4, 80, "into4"), ("tcp", late.ip6, 80, "into6")], 1.5)
        host = self.lab.send(self.lab.host, [("tcp", late.ip4, 80, "host4")], 1.5)
        self.assertFalse({m: x for m, x in {**out, **into, **host}.items() if x[0] == "ok"})
        self.assertEqual(r.lines(), [])
        self.lab.send(late, [("tcp", "127.0.0.1", 80, "alive")])
        self.assertEqual(r.count("alive"), 1)
        self.daemon.start()
        self.assertEqual(self.daemon.zone_of("late"), "web")
        out = self.lab.send(late, [("tcp", api.ip4, 80, "zoned4"), ("tcp", api.ip6, 80, "zoned6"), ("tcp", api.ip4, 81, "no")], 1.5)
        self.assertEqual({m: x[0] == "ok" for m, x in out.items()}, {"zoned4": True, "zoned6": True, "no": False})
        late.remove()
        self.right(self.m.wrong())

    def test_8_teardown_leaves_nothing(self):
        self.daemon.teardown()
        self.maxDiff = None
        after = self.lab.kernel_state()
        for part, want in self.before.items():
            with self.subTest(part=part):
                self.assertEqual(want, after[part])

    def test_9_control_all_cells_arrive_after_teardown(self):
        self.right(self.m.wrong(all_open=True))


class OneBridge(Base, unittest.TestCase):
    bridges = 1


class TwoBridges(Base, unittest.TestCase):
    bridges = 2


if __name__ == "__main__":
    tap.main()
