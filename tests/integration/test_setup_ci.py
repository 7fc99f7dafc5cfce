#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 8 s, works 7 s
"""rules/ci-runners.yaml: runners and image builds reach a registry and the internet, and not the LAN, set up as its header says.

The registry is a stand-in that listens on its port. A runner, a step of BuildKit and one of the old builder send the same.
"""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import builds  # noqa: E402
import lab  # noqa: E402
import sets  # noqa: E402
import tap  # noqa: E402

RULES = lab.TOP / "rules/ci-runners.yaml"
SOURCES = ("runner", "buildkit", "oldbuilder")


class CiRunners(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        cls.registry, cls.runner, cls.other = lab.parallel([
            lambda: l.run("registry", labels={"role": "registry"}, ports={"5000/tcp": "5000"}),
            lambda: l.run("runner1", labels={"role": "runner"}),
            lambda: l.run("runner2", labels={"role": "runner"})], 3)
        cls.rx = {p.name: l.receiver(p, [5000, 443, 22] if p is not l.host else [443, 22])
                  for p in (cls.registry, cls.runner, cls.other, l.out, l.host)}
        cls.gateway = cls.runner.networks["bridge"]["Gateway"]
        cls.daemon = None

    def open(self):
        """What a job needs: the registry, straight and by its published port, and the internet."""
        cells = {f"registry {a}": ("tcp", a, 5000) for a in (self.registry.ip4, self.registry.ip6, lab.HOST4, lab.HOST6, self.gateway)}
        for p in ("tcp", "udp"):
            cells |= {f"internet {p} {a}": (p, a, 443) for a in (lab.INTERNET4, lab.INTERNET6)}
        return cells

    def closed(self):
        cells = {"another port of the registry": ("tcp", self.registry.ip4, 22), "and by IPv6": ("tcp", self.registry.ip6, 22)}
        for p in ("tcp", "udp"):
            cells |= {f"lan {p} {a}": (p, a, 443) for a in (lab.OUT4, lab.OUT6)}
            cells |= {f"host {p} {a}": (p, a, 22) for a in (lab.HOST4, lab.HOST6, self.gateway)}
            cells |= {f"runner {p} {a}": (p, a, 22) for a in (self.other.ip4, self.other.ip6)}
        return cells

    def arrived(self, tag):
        """For each source, the names of all cells that arrived."""
        cells = {**self.open(), **self.closed()}
        marked = {s: [(*c, f"{tag}-{s}-{i}") for i, c in enumerate(cells.values())] for s in SOURCES}
        lab.parallel([lambda: builds.build(self.lab, True, [builds.send(marked["buildkit"])]),
                      lambda: builds.build(self.lab, False, [builds.send(marked["oldbuilder"])]),
                      lambda: self.lab.send(self.runner, marked["runner"], 2)], 3)
        heard = set().union(*(r.markers() for r in self.rx.values()))
        for r in self.rx.values():
            m = f"alive{lab.time.monotonic_ns()}"
            self.lab.send(r.place, [("udp", "127.0.0.1", 22, m)], 1)
            self.assertEqual(r.count(m), 1, f"{r.place.name} does not hear")
        return {s: {n for i, n in enumerate(cells) if f"{tag}-{s}-{i}" in heard} for s in SOURCES}

    def test_1_control_everything_arrives_without_bulkhead(self):
        everything = {*self.open(), *self.closed()}
        self.assertEqual(self.arrived("before"), {s: everything for s in SOURCES})

    def test_2_registry_and_internet_and_nothing_else(self):
        type(self).daemon = self.lab.bulkheadd(RULES.read_text())
        self.assertEqual(self.daemon.status()["daemon"]["state"], "enforcing")
        self.assertEqual(self.arrived("enforced"), {s: set(self.open()) for s in SOURCES})

    def test_3_status_says_so(self):
        running = [builds.start(self.lab, b, ["sleep 5"]) for b in (True, False)]

        def zones():
            return sorted(c["zone"] for c in self.daemon.status()["containers"])
        lab.wait_for("both builds in status", lambda: zones() == ["build", "old-build", "registry", "runner", "runner"], 60, 0.05)
        for p in running:
            self.assertEqual(p.wait(120), 0, p.stdout.read())
        lab.wait_for("both builds to be gone", lambda: zones() == ["registry", "runner", "runner"], 10, 0.05)
        sets.check(self, self.lab)

    def test_4_nobody_reaches_a_runner(self):
        cells = [(p, a, 22, f"in-{place}-{p}-{a}") for place in ("out", "host", "runner2", "registry") for p in ("tcp", "udp")
                 for a in (self.runner.ip4, self.runner.ip6)]
        for place in (self.lab.out, self.lab.host, self.other, self.registry):
            self.lab.send(place, [c for c in cells if c[3].startswith(f"in-{place.name}-")], 1)
        self.assertEqual([m for *_, m in cells if m in self.rx["runner1"].markers()], [])
        # Docker itself pulls and pushes, straight and by the published port
        own = [("tcp", a, 5000, f"pull-{a}") for a in (self.registry.ip4, self.registry.ip6, "127.0.0.1", lab.HOST4)]
        self.lab.send(self.lab.host, own, 2)
        self.assertEqual([m for *_, m in own if m not in self.rx["registry"].markers()], [])

    def test_5_control_everything_arrives_after_teardown(self):
        self.daemon.teardown()
        everything = {*self.open(), *self.closed()}
        self.assertEqual(self.arrived("after"), {s: everything for s in SOURCES})


if __name__ == "__main__":
    tap.main()
