#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 28 s, works 13 s
"""Image builds, with BuildKit and with the old builder: zoned, closed unless named, and gone when they end."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import builds as docker_build  # noqa: E402
import lab  # noqa: E402
import sets  # noqa: E402
import tap  # noqa: E402

STEPS = 40 if lab.SOAK else 4  # whose first packets are looked at

HEAD = """version: 1
mode: %s
zones:
  web: {select: {labels: {tier: web}}}
"""
CLOSED = HEAD % "enforce" + """
allow:
  - {from: web, to: internet}
"""
OPEN = HEAD % "enforce" + """  # the old builder's containers have no image name; nor has what somebody runs by its image's id
  legacy: {select: {image: "sha256:*", not: {image: ["*.*/*", "*:*/*", "localhost/*"]}}}
allow:
  - {from: [build, legacy], to: [internet, web], ports: [tcp/7000, udp/7000]}
"""
BY_KIND = HEAD % "enforce" + """  ci: {select: {kind: build}, bandwidth: {container: {egress: 50mbit}}}
  nets: {select: {network: builds}}
allow:
  - {from: [ci, nets], to: internet, ports: [udp/7000]}
  - {from: build, to: [internet, web]}
"""
EVERYTHING = HEAD % "enforce" + """
allow:
  - {from: containers, to: internet, ports: [udp/7000]}
"""
AUDIT = HEAD % "audit" + """
allow:
  - {from: web, to: internet}
"""


BOTH = ((True,), (False,))  # BuildKit, the old builder


class Builds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        l.network("builds")
        cls.web = l.run("web", labels={"tier": "web"})
        # Docker's isolation of bridges is not what is tested
        l.lift_docker_isolation()
        cls.rx = {p.name: l.receiver(p, [7000, 7001]) for p in (l.out, l.host, cls.web)}
        cls.daemon = None
        gateway = next(iter(cls.web.networks.values()))
        cls.targets = {
            "internet": (lab.INTERNET4, lab.INTERNET6), "lan": (lab.OUT4, lab.OUT6),
            "host": (gateway["Gateway"], lab.HOST4, lab.HOST6), "web": (cls.web.ip4, cls.web.ip6)}

    def config(self, text):
        if self.daemon is None:
            type(self).daemon = self.lab.bulkheadd(text)
        else:
            self.daemon.reload(text)

    def cells(self, name):
        return [(proto, a, port, f"{name}.{zone}.{proto}.{port}.{a}") for zone, addrs in self.targets.items()
                for a in addrs for proto in ("tcp", "udp") for port in (7000, 7001)]

    def arrived(self, name, *builds):
        """What got through of all cells, for each (BuildKit or not, option...); each build sends them in one RUN step."""
        def one(i, buildkit, *options):
            docker_build.build(self.lab, buildkit, [docker_build.send(self.cells(f"{name}{i}"))], options)
        lab.parallel([lambda i=i, b=b: one(i, *b) for i, b in enumerate(builds)])
        heard = set().union(*(r.markers() for r in self.rx.values()))
        for r in self.rx.values():  # the silence of the others means something
            m = f"alive{lab.time.monotonic_ns()}"
            self.lab.send(r.place, [("udp", "127.0.0.1", 7000, m)], 1)
            self.assertIn(m, r.markers())
        return [{tuple(m.split(".")[1:4]) + (m.split(".", 4)[4],) for _, _, _, m in self.cells(f"{name}{i}") if m in heard}
                for i in range(len(builds))]

    def want(self, *zones_ports):
        """Every address of the zones; (zone, protocol, port)."""
        return {(z, proto, str(port), a) for z, proto, port in zones_ports for a in self.targets[z]}

    def all_cells(self):
        return self.want(*[(z, proto, port) for z in self.targets for proto in ("tcp", "udp") for port in (7000, 7001)])

    def test_1_control_everything_arrives_without_bulkhead(self):
        self.assertEqual(self.arrived("control", *BOTH), [self.all_cells()] * 2)

    def test_2_nobody_names_builds_so_they_get_nothing(self):
        self.config(CLOSED)
        self.assertEqual(self.arrived("closed", *BOTH), [set(), set()])

    def test_3_zone_build_is_open_as_its_rules_say(self):
        self.config(OPEN)
        want = self.want(*[(z, p, 7000) for z in ("internet", "web") for p in ("tcp", "udp")])
        self.assertEqual(self.arrived("open", *BOTH), [want, want])

    def test_4_status_lists_the_step_while_it_runs(self):
        self.config(OPEN)
        p = docker_build.start(self.lab, True, ["sleep 4"])
        row = lab.wait_for("the step in status", lambda: next(
            (c for c in self.daemon.status()["containers"] if c["zone"] == "build"), None), 20)
        sets.check(self, self.lab)
        self.assertIsNone(p.poll(), "the step had ended already")
        self.assertEqual((row["reason"], row["enforced"], row["runtime"]), ("an image build", "full", "docker"))
        e = row["endpoints"][0]
        self.assertEqual((e["network"], e["bridge"], len(e["ipv4"]), len(e["ipv6"])), ("bridge", "docker0", 1, 1))
        zone = next(z for z in self.daemon.status()["zones"] if z["name"] == "build")
        self.assertEqual(zone["containers"], 1)
        self.assertEqual(p.wait(60), 0, p.stdout.read())
        ended = lab.time.monotonic()
        lab.wait_for("the step to be gone", lambda: [c["name"] for c in self.daemon.status()["containers"]] == ["web"], 5, 0.05)
        print(f"# gone from status {lab.time.monotonic() - ended:.2f} s after docker build ended")
        sets.check(self, self.lab)

    def test_5_first_packets_of_steps_pass(self):
        """The step's first instructions send; UDP must arrive, a SYN must not need a second try (1 s)."""
        self.config(OPEN)
        steps, marks = [], []
        for i in range(STEPS):
            proto = ("udp", "tcp")[i % 2]
            addr = (lab.INTERNET4, self.web.ip6, lab.INTERNET6, self.web.ip4)[i % 4]
            marks.append((proto, addr, f"first{i}x"))
            steps.append(f"firstpkt {proto} {addr} 7000 first{i}x & sleep 1; kill $!")
        out = docker_build.build(self.lab, True, steps)
        took = [line.split()[-2:] for line in out.splitlines() if line.split()[-3:-2] and line.split()[-3].isdigit()
                and len(line.split()[-3]) == 16]
        heard = [m for r in self.rx.values() for m in r.markers()]
        lost = [m for m in marks if not any(h.startswith(m[2]) for h in heard)]
        slow = [t for t in took if int(t[0]) > 900000]
        print(f"# {len(marks)} steps, {len(lost)} lost, {len(slow)} slow; us until sent or connected: "
              f"{sorted(int(t[0]) for t in took)}")
        self.assertEqual(len(took), STEPS, out[-3000:])
        self.assertEqual((lost, slow), ([], []))
        sets.check(self, self.lab)

    def test_6_kind_build_puts_them_in_a_zone_of_the_file(self):
        """And a network of their own tells the old builder's containers."""
        self.config(BY_KIND)
        want = self.want(("internet", "udp", 7000))
        self.assertEqual(self.arrived("kind", (True,), (False, "--network", "builds"), (False,)), [want, want, set()])
        sets.check(self, self.lab)

    def test_7_builds_at_once_and_killed(self):
        """Several steps at a time, and a build that is cut off: nothing stays."""
        self.config(EVERYTHING)
        running = [docker_build.start(self.lab, True, [f"firstpkt udp {lab.INTERNET4} 7000 many{i} & sleep {3 + i}; kill $!"]) for i in range(3)]
        lab.wait_for("three builds in status", lambda: sum(
            c["zone"] == "build" for c in self.daemon.status()["containers"]) == 3, 30)
        sets.check(self, self.lab)
        running[2].kill()
        for p in running[:2]:
            self.assertEqual(p.wait(60), 0, p.stdout.read())
        for i in range(2):
            self.assertTrue(any(m.startswith(f"many{i}") for m in self.rx["out"].markers()), i)
        lab.wait_for("nobody but web", lambda: [c["name"] for c in self.daemon.status()["containers"]] == ["web"], 20)
        sets.check(self, self.lab)

    def test_8_audit_lets_everything_pass(self):
        self.config(AUDIT)
        self.assertEqual(self.arrived("audit", *BOTH), [self.all_cells()] * 2)

    def test_9_control_everything_arrives_after_teardown(self):
        self.daemon.teardown()
        self.assertEqual(self.arrived("after", *BOTH), [self.all_cells()] * 2)


if __name__ == "__main__":
    tap.main()
