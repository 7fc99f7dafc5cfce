#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 5 s, works 4 s
"""rules/monitoring.yaml: a monitor that scrapes the host and the containers of all projects, and a backup agent; nobody
reaches them back but where the file says so. Followed as its header says, with stand-ins that open the same ports.
"""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402

RULES = lab.TOP / "rules/monitoring.yaml"
PORTS = [80, 443, 3000, 5432, 9100, 9187]


def compose(project, service):
    return {"com.docker.compose.project": project, "com.docker.compose.service": service,
            "com.docker.compose.container-number": "1"}


class Monitoring(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        l.docker("tag", "lab", "postgres:16")
        for net in ("shop", "wiki"):
            l.network(f"{net}_default", labels={"com.docker.compose.project": net})
        kinds = {
            "shop-web": dict(labels=compose("shop", "web"), network="shop_default"),
            "shop-db": dict(labels=compose("shop", "db"), network="shop_default", image="postgres:16"),
            "wiki-web": dict(labels=compose("wiki", "web"), network="wiki_default"),
            # the monitor is a project of its own, on every project's network, as people run it
            "monitor": dict(labels={**compose("observe", "monitor"), "role": "monitoring"}, network="shop_default", ports={"3000/tcp": "3000"}),
            "backup": dict(labels={"role": "backup"}, network="shop_default"),
        }
        made = lab.parallel([lambda n=n, k=k: l.run(n, **k) for n, k in kinds.items()], 3)
        cls.c = dict(zip(kinds, made))
        l.api("POST", "/networks/wiki_default/connect", {"Container": cls.c["monitor"].id})
        cls.c["monitor"].refresh()
        l.lift_docker_isolation()
        cls.places = {**cls.c, "host": l.host, "out": l.out}
        # the host's 3000 is the monitor's
        cls.rx = {n: l.receiver(p, [x for x in PORTS if n != "host" or x != 3000]) for n, p in cls.places.items()}
        cls.before = l.kernel_state()
        cls.daemon = None

    def address(self, name, v, network="shop_default"):
        if name == "host":
            return (lab.HOST4, lab.HOST6)[v == 6]
        if name == "out":
            return (lab.INTERNET4, lab.INTERNET6)[v == 6]
        c = self.c[name]
        return c.address(network if network in c.networks else next(iter(c.networks)), v)

    def cells(self, src):
        """(to, proto, port, IP version) -> address, of everything that SRC may try."""
        out = {}
        for to in self.places:
            for port in PORTS:
                for v in (4, 6):
                    if to != src and (to, port) != ("host", 3000):
                        out[to, "tcp", port, v] = self.address(to, v, "wiki_default" if src == "wiki-web" else "shop_default")
            for v in (4, 6):
                if to != src:
                    out[to, "udp", 9100, v] = self.address(to, v)
        return out

    def arrived(self, src, tag, timeout):
        cells = self.cells(src)
        res = self.lab.send(self.places[src], [(k[1], a, k[2], f"{tag}-{src}-{'-'.join(map(str, k))}") for k, a in cells.items()], timeout)
        got = set()
        for k in cells:
            m = f"{tag}-{src}-{'-'.join(map(str, k))}"
            if res[m][0] == "ok" or self.rx[k[0]].count(m):
                got.add(k)
        return got, set(cells)

    # who may open what, said once more
    OPEN = {
        "monitor": {"shop-web": {9100, 9187}, "wiki-web": {9100, 9187}, "shop-db": {9100, 9187}, "host": {9100}},
        "backup": {"shop-db": {5432}, "out": {443}},
        "shop-web": {"shop-db": {5432}},
        "wiki-web": {},
        "shop-db": {},
        "out": {"monitor": {3000}},
        "host": {"monitor": {3000}},
    }

    def want(self, src, cells):
        return {(to, p, port, v) for to, p, port, v in cells if p == "tcp" and port in self.OPEN[src].get(to, ())}

    def scope(self, src, cells):
        """Not between the host and the world."""
        return {k for k in cells if not (src in ("host", "out") and k[0] in ("host", "out"))}

    def test_1_only_what_the_file_says(self):
        type(self).daemon = self.lab.bulkheadd(RULES.read_text())
        wrong = []
        for src in self.places:
            got, cells = self.arrived(src, "on", 1.5)
            cells = self.scope(src, cells)
            want = self.want(src, cells)
            wrong += [f"{src} -> {k}: arrived" for k in sorted((got & cells) - want)] + [f"{src} -> {k}: lost" for k in sorted(want - got)]
        self.assertEqual(wrong, [])

    def test_2_zones(self):
        s = self.daemon.status()
        self.assertEqual(s["daemon"]["state"], "enforcing", s["daemon"])
        self.assertEqual({c["name"]: (c["zone"], c["enforced"]) for c in s["containers"]},
                         {"monitor": ("monitoring", "full"), "backup": ("backup", "full"), "shop-db": ("database:shop", "full"),
                          "shop-web": ("project:shop", "full"), "wiki-web": ("project:wiki", "full")})

    def test_3_the_monitor_on_its_other_network_and_by_ping(self):
        wiki = self.c["wiki-web"]
        for v in (4, 6):
            a = wiki.address("wiki_default", v)
            out = self.c["monitor"].run_cmd("ping", f"-{v}", "-c", "1", "-W", "3", a)
            self.assertEqual(out.returncode, 0, f"ping {a}: {out.stdout}{out.stderr}")
            m = self.c["monitor"].address("wiki_default", v)
            out = wiki.run_cmd("ping", f"-{v}", "-c", "1", "-W", "1", m)
            self.assertNotEqual(out.returncode, 0, f"ping back to {m}")

    def test_4_the_dashboard_by_its_published_port(self):
        cells = [("tcp", lab.HOST4, 3000, "pub4"), ("tcp", lab.HOST6, 3000, "pub6")]
        r = self.lab.send(self.lab.out, cells, 4)
        self.assertEqual({m: x[0] for m, x in r.items()}, {"pub4": "ok", "pub6": "ok"})
        r = self.lab.send(self.c["wiki-web"], [(p, a, port, f"in-{m}") for p, a, port, m in cells], 1.5)
        self.assertNotIn("ok", [x[0] for x in r.values()])
        self.assertEqual(self.rx["monitor"].count("in-"), 0)

    def test_5_a_project_that_comes_later_is_scraped(self):
        self.lab.network("blog_default", labels={"com.docker.compose.project": "blog"})
        self.lab.api("POST", "/networks/blog_default/connect", {"Container": self.c["monitor"].id})
        blog = self.lab.run("blog-web", labels=compose("blog", "web"), network="blog_default")
        rx = self.lab.receiver(blog, PORTS)
        self.daemon.wait_zone("blog-web", "project:blog")
        r = self.lab.send(self.c["monitor"], [("tcp", blog.ip4, 9100, "later4"), ("tcp", blog.ip6, 9100, "later6"), ("tcp", blog.ip4, 80, "no")], 4)
        self.assertEqual({m: x[0] == "ok" for m, x in r.items()}, {"later4": True, "later6": True, "no": False})
        rx.stop()
        blog.remove()

    def test_6_control_all_of_it_arrives_without_bulkhead(self):
        self.daemon.teardown()
        self.lab.lift_docker_isolation()
        missing = []
        for src in self.places:
            got, cells = self.arrived(src, "off", 4)
            missing += [f"{src} -> {k}" for k in sorted(self.scope(src, cells) - got) if not (src == "host" and k[1] == "udp")]
        self.assertEqual(missing, [])


if __name__ == "__main__":
    tap.main()
