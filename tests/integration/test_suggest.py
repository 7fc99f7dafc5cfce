#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 25 s
"""From audit to enforce by `suggest`, on an application that was never described to bulkhead; and from a container that cannot reach its
database to the rule that fixes it, by `why`. A real Docker, real packets, both families."""
import pathlib
import re
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import builds as docker_build  # noqa: E402
import lab  # noqa: E402
import tap  # noqa: E402
from test_setup_proxy import RESOLVER, resolve  # noqa: E402

NOTHING = "version: 1\nmode: audit\n"
NET = "shop_default"
# Each listens at all of these, so that whatever is refused is refused by bulkhead.
PORTS = [80, 3000, 8080, 5432]
SERVICES = ("proxy", "front", "api", "db", "job", "job2")
# What the application does: who, whom, at which port. "published" is the host's own address.
PATHS = [("lan", "published", 80), ("internet", "published", 80), ("proxy", "front", 3000), ("front", "api", 8080), ("api", "db", 5432),
         ("job", "db", 5432), ("job2", "db", 5432), ("job", "internet", 443), ("job2", "internet", 443), ("front", "published", 80)]


class Suggest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.l = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        l.out.popen("python3", "-c", RESOLVER)
        l.network(NET)
        run = [lambda n=n: l.run(f"shop-{n}-1", network=NET, ports={"80/tcp": "80"} if n == "proxy" else None, labels={
            "com.docker.compose.project": "shop", "com.docker.compose.service": n, "com.docker.compose.container-number": "1"})
            for n in SERVICES]
        cls.c = dict(zip(SERVICES, lab.parallel(run, 3)))
        cls.c["other"] = l.run("other", network=NET)    # nobody of the application's, and quiet at first
        for c in cls.c.values():
            l.receiver(c, PORTS)
        l.receiver(l.host, [22])
        cls.outside = l.receiver(l.out, [80, 443])
        l.lift_docker_isolation()
        cls.n, cls.d = 0, None

    def cells(self, paths):
        """{place: cells}, {marker: path and family} of the paths in both families."""
        per, keys = {}, {}
        for path in paths:
            src, dst, port = path
            for f in (4, 6):
                a = {"published": (lab.HOST4, lab.HOST6), "host": (lab.HOST4, lab.HOST6), "internet": (lab.INTERNET4, lab.INTERNET6),
                     "lan": (lab.OUT4, lab.OUT6)}.get(dst)
                a = a[f == 6] if a else self.c[dst].address(NET, f)
                if src in ("lan", "internet"):
                    a += "@" + {"lan": (lab.OUT4, lab.OUT6), "internet": (lab.INTERNET4, lab.INTERNET6)}[src][f == 6]
                type(self).n += 1
                per.setdefault(src, []).append(("tcp", a, port, f"m{self.n}"))
                keys[f"m{self.n}"] = (*path, f)
        return per, keys

    def opened(self, paths, patience=5):
        """{path and family: whether it opened}"""
        per, keys = self.cells(paths)
        saw = {}
        for r in lab.parallel([lambda s=s, v=v: self.l.send(self.l.out if s in ("lan", "internet") else self.c[s], v, patience)
                               for s, v in per.items()], 4):
            saw.update(r)
        return {keys[m]: r[0] == "ok" for m, r in saw.items()}

    def built(self):
        """The image of one service is built: what of its fetching arrives, a family each."""
        cells = []
        for a in (lab.INTERNET4, lab.INTERNET6):
            type(self).n += 1
            cells.append(("tcp", a, 443, f"b{self.n}"))
        docker_build.build(self.l, True, [docker_build.send(cells)])
        return [m in self.outside.markers() for *_, m in cells]

    def kinds(self, verdict):
        return {(k["class"], k["from"], k["to"], k["proto"], k["port"]): k["count"] for k in self.d.status()["denials"]
                if k["verdict"] == verdict and k["class"] not in ("noise", "invalid", "unknown")}

    def load(self, text):
        self.d.write(text)
        self.d.cli("reload", check=True, timeout=60)

    def test_0_control(self):
        """It works without bulkhead."""
        self.assertEqual([k for k, ok in self.opened(PATHS).items() if not ok], [])
        self.assertEqual(self.built(), [True, True])
        type(self).d = self.l.bulkheadd(NOTHING)

    def test_1_audit(self):
        self.assertEqual(self.d.status()["daemon"]["state"], "auditing")
        for _ in range(3):
            self.assertEqual([k for k, ok in self.opened(PATHS).items() if not ok], [])
        self.assertEqual(self.built(), [True, True])
        self.assertEqual(resolve(self.c["api"], "updates.example"), lab.INTERNET4)
        lab.wait_for("the log", lambda: len(self.kinds("audit")) >= 9)
        self.assertEqual(self.kinds("deny"), {})
        print("\n".join("# " + line for line in self.d.cli("drops").stdout.splitlines()))

    def test_2_suggest(self):
        r = self.d.cli("suggest", check=True)
        print("\n".join("# " + line for line in r.stdout.splitlines()))
        file = self.l.root / "suggested.yaml"
        file.write_text(r.stdout)
        checked = self.l.host.run_cmd(lab.program("bulkhead"), "check", file)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        type(self).suggested = r.stdout
        zones = set(re.findall(r"(?m)^  ([a-z0-9-]+):$", r.stdout))
        self.assertEqual(zones, {"shop-proxy", "shop-front", "shop-api", "shop-db", "shop-job"})
        rules = re.findall(r"(?m)^  - (.*)$", r.stdout)
        self.assertEqual(set(rules), {
            "{from: [world, shop-front], to: shop-proxy, ports: [tcp/80]}", "{from: shop-proxy, to: shop-front, ports: [tcp/3000]}",
            "{from: shop-front, to: shop-api, ports: [tcp/8080]}",
            "{from: [shop-api, shop-job], to: shop-db, ports: [tcp/5432]}", "{from: [build, shop-job], to: internet, ports: [tcp/443]}",
            "{from: shop-api, to: dns, ports: [udp/53]}"})

    def test_3_control(self):
        """In enforce with what was there before, the application gets nothing."""
        self.load(NOTHING.replace("audit", "enforce"))
        self.assertEqual(set(self.opened(PATHS, 2).values()), {False})
        self.assertEqual(self.built(), [False, False])

    def test_4_enforce(self):
        self.load(self.suggested.replace("mode: audit", "mode: enforce"))
        before = self.kinds("deny")
        for _ in range(3):
            shut = [k for k, ok in self.opened(PATHS).items() if not ok]
            self.assertEqual(shut, [])
        self.assertEqual(self.built(), [True, True])
        self.assertEqual(resolve(self.c["api"], "updates.example"), lab.INTERNET4)
        time.sleep(0.5)
        self.assertEqual(self.kinds("deny"), before, "nothing of its own is denied")
        paths = [(a, b, p) for a in self.c for b in self.c if a != b for p in PORTS] + [(a, b, 443) for a in self.c for b in ("internet", "lan")] + \
            [(a, "host", 22) for a in self.c] + [(a, b, p) for a in ("lan", "internet") for b in self.c for p in PORTS]
        paths = [p for p in paths if p not in PATHS and p not in [("lan", "proxy", 80), ("internet", "proxy", 80), ("front", "proxy", 80)]]
        wide = [k for k, ok in self.opened(paths, 2).items() if ok]
        self.assertEqual(wide, [], "everything else is")
        print(f"# {len(paths)} other paths, both families: all closed")

    def test_5_a_container_that_cannot_reach_its_database(self):
        """docker run, a second's failure, three commands. Whatever is done is what they print."""
        app = self.l.run("app1", network=NET)
        start = time.monotonic()
        self.d.wait_zone("app1", "quarantine")
        for f in (4, 6):
            result, ms = self.l.send(app, [("tcp", self.c["db"].address(NET, f), 5432, "x")], 5)["x"]
            self.assertEqual(result, "refused")
            self.assertLess(ms, 3000)   # some ms on an idle machine; what is dropped would take 5 s
        time.sleep(0.3)     # as long as it takes to type it
        # 1: why
        why = self.d.cli("why", "app1")
        self.assertEqual((why.returncode, why.stderr), (1, ""))
        print("\n".join("# " + line for line in why.stdout.splitlines()))
        told = re.search(r"(?m)^To allow it, put what is meant of this into this file, then: (bulkhead reload)\nfile      (\S+)\n\n(version: 1\n(?s:.*))\Z", why.stdout)
        self.assertTrue(told, why.stdout)
        # 2: paste
        file = pathlib.Path(told[2])
        file.parent.mkdir(exist_ok=True)
        file.write_text(told[3])
        # 3: reload
        self.d.cli(told[1].split()[1], check=True)
        for f in (4, 6):
            self.assertEqual(self.l.send(app, [("tcp", self.c["db"].address(NET, f), 5432, "y")], 5)["y"][0], "ok")
        took = time.monotonic() - start
        print(f"# {took:.1f} s from the first packet on")
        self.assertLess(took, 60)
        self.assertEqual(self.d.cli("why", "app1").returncode, 0)
        self.assertEqual(self.l.send(app, [("tcp", self.c["api"].address(NET), 8080, "z")], 5)["z"][0], "refused")    # nothing more
        # another that has no zone: the file that is there is not to be written over
        self.l.send(self.c["other"], [("tcp", app.ip4, 80, "o")], 5)
        time.sleep(0.3)
        self.assertIn("/conf.d/app1-2.yaml", self.d.cli("why", "app1", "--json").stdout)

    def test_6_by_the_hosts_own_address(self):
        """A container that calls the host's address is told whom that is: by docker-proxy or by DNAT, it is the container behind the port."""
        self.assertEqual(set(self.opened([("job2", "published", 80)], 2).values()), {False})
        time.sleep(0.3)
        why = " ".join(self.d.cli("why", "shop-job2-1").stdout.split())
        self.assertRegex(why, r"denied to shop-proxy-1 \(shop-proxy\) tcp/80: policy, \d+ times, last \d s ago asked for (198\.51\.100\.1|"
                         r"\[2001:db8:51::1\]):80, a published port of this host: behind it is shop-proxy-1, and so it counts as a connection to that "
                         r"allowed by: - \{from: shop-job, to: shop-proxy, ports: \[tcp/80\]\}")


if __name__ == "__main__":
    tap.main()
