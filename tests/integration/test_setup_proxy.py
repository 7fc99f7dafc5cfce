#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 23 s, works 11 s
"""rules/nextcloud.yaml and rules/shared-proxy.yaml as they are, in enforce from the first moment, under what they are for:
containers with Compose's labels and names that open the same ports. Every path is as the file says, by address over both
families, by name, and through the published ports; after the teardown every path is open."""
import pathlib
import socket
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402

RESOLVER = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("%s", 53))
while True:
    q, a = s.recvfrom(512)
    i = q.index(0, 12) + 5
    v6 = q[i - 3] == 28
    data = socket.inet_pton(socket.AF_INET6, "%s") if v6 else socket.inet_aton("%s")
    s.sendto(q[:2] + b"\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0" + q[12:i] + b"\\xc0\\x0c" + q[i - 4:i] + b"\\0\\0\\0\\1" +
             len(data).to_bytes(2, "big") + data, a)
""" % (lab.OUT4, lab.INTERNET6, lab.INTERNET4)

ASK = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(float(sys.argv[2]))
s.sendto(bytes.fromhex(sys.argv[1]), ("127.0.0.11", 53))
try:
    print(s.recv(512).hex())
except TimeoutError:
    pass
"""


def query(name, kind):
    q = b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
    return struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + q + struct.pack(">BHH", 0, kind, 1)


def resolve(place, name, family=4, patience=8):
    """What Docker's resolver in a container says: an address, or None. It says nothing where it may not ask."""
    q = query(name, 1 if family == 4 else 28)
    r = bytes.fromhex(place.exec("python3", "-c", ASK, q.hex(), patience).strip())
    size = 4 if family == 4 else 16
    if not r or r[3] & 15 or not struct.unpack(">H", r[6:8])[0]:
        return None
    return socket.inet_ntop(socket.AF_INET if family == 4 else socket.AF_INET6, r[-size:])


class Base:
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        cls.places, cls.receivers, cls.round = {"out": l.out, "host": l.host}, {}, 0
        l.out.popen("python3", "-c", RESOLVER)
        cls.daemon = l.bulkheadd((lab.TOP / "rules" / cls.rules).read_text())
        cls.start()
        l.lift_docker_isolation()

    @classmethod
    def service(cls, project, service, networks, listen, image="lab", ports=None, labels=None):
        """What `docker compose up` makes of a service; networks are the names of Docker's, the first one the default."""
        l, name = cls.lab, f"{project}-{service}-1"
        own = {f"com.docker.compose.{k}": v for k, v in
               (("project", project), ("service", service), ("container-number", "1"), ("oneoff", "False"))}
        cid = l.create(name, labels=own if labels is None else labels, network=networks[0], image=image, ports=ports)
        for n in networks:
            if n != networks[0]:
                l.api("POST", f"/networks/{n}/connect", {"Container": cid})
            else:
                l.api("POST", f"/networks/{n}/disconnect", {"Container": cid})
                l.api("POST", f"/networks/{n}/connect", {"Container": cid, "EndpointConfig": {"Aliases": [service]}})
        l.api("POST", f"/containers/{cid}/start")
        return cls.listen(lab.Container(l, cid, name), listen)

    @classmethod
    def listen(cls, c, ports):
        cls.places[c.name] = c
        cls.receivers[c.name] = cls.lab.receiver(c, ports)
        return c

    def addresses(self, name, network=None):
        if name == "host":
            return [lab.HOST4, lab.HOST6]
        if name in ("lan", "internet"):
            return [lab.OUT4, lab.OUT6] if name == "lan" else [lab.INTERNET4, lab.INTERNET6]
        n = self.places[name].networks[network or next(iter(self.places[name].networks))]
        return [n["IPAddress"], n["GlobalIPv6Address"]]

    def wrong(self, all_open=False):
        """paths(): source, destination[@network], what is called (proto/port), who must hear it at which port, whether it is open"""
        type(self).round += 1
        cells, bad, per = [], [], {}
        for src, dst, what, hears, want in self.paths():
            name, _, network = dst.partition("@")
            proto, port = what.split("/")
            for a in self.addresses(name, network):
                m = f"r{self.round}.{len(cells)}."
                cells.append((m, f"{src} -> {dst} {a} {what}", hears, want or all_open))
                per.setdefault(src, []).append((proto, a, port, m))
        saw = {}
        for r in lab.parallel([lambda s=s, v=v: self.lab.send(self.places[s], v, 2.0) for s, v in per.items()], 4):
            saw.update(r)
        heard = {n: r.markers() for n, r in self.receivers.items()}
        for m, text, hears, want in cells:
            at = [n for n, h in heard.items() if m in h]
            if at != ([hears] if want else []) or (saw[m][0] == "ok") != want:
                bad.append(f"{text}: want {'open' if want else 'closed'}, arrived at {at}, saw {saw[m][0]}")
        opened = sum(want for _, _, _, want in cells)
        print(f"# {len(cells)} paths, {opened} open")
        return bad

    def test_1_paths(self):
        s = self.daemon.status()
        self.assertEqual((s["daemon"]["state"], s["kernel"]["in_sync"]), ("enforcing", True), s["daemon"])
        self.assertEqual({c["name"]: c["zone"] for c in s["containers"]}, self.zones)
        self.assertEqual({c["enforced"] for c in s["containers"]}, {"full"})
        bad = self.wrong()
        self.assertFalse(bad, f"{len(bad)} paths:\n" + "\n".join(bad[:40]))

    def test_2_names(self):
        for name, asked, want in self.names():
            for family in (4, 6):
                with self.subTest(who=name, asked=asked, family=family):
                    got = resolve(self.places[name], asked, family, 8 if want else 1.5)
                    self.assertEqual(got, want[family == 6] if want else None)

    def test_3_expectations_hold(self):
        r = self.daemon.cli("status")
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)

    def test_4_control_everything_is_open_after_teardown(self):
        self.daemon.teardown()
        bad = self.wrong(all_open=True)
        self.assertFalse(bad, f"{len(bad)} paths:\n" + "\n".join(bad[:40]))


class Nextcloud(Base, unittest.TestCase):
    rules = "nextcloud.yaml"
    zones = {"nextcloud-traefik-1": "proxy", "nextcloud-app-1": "app", "nextcloud-cron-1": "app", "nextcloud-db-1": "db",
             "nextcloud-redis-1": "cache", "stranger": "quarantine"}

    @classmethod
    def start(cls):
        l, net = cls.lab, ["nextcloud_default"]
        l.network(net[0])
        cls.service("nextcloud", "db", net, [3306, 22])
        cls.service("nextcloud", "redis", net, [6379])
        cls.service("nextcloud", "app", net, [80, 81])
        cls.service("nextcloud", "cron", net, [80])
        cls.service("nextcloud", "traefik", net, [80, 443, 8080], ports={"80/tcp": "80", "443/tcp": "443", "443/udp": "443"})
        cls.listen(l.run("stranger", network=net[0]), [80])
        cls.listen(l.out, [80, 443, 587, 22])
        cls.listen(l.host, [9100])

    def paths(self):
        t, app, cron, db, redis = (f"nextcloud-{s}-1" for s in ("traefik", "app", "cron", "db", "redis"))
        out = [(src, "host", what, t, src in ("out", "host", app, cron) and (src not in (app, cron) or what != "udp/443"))
               for src in ("out", "host", app, cron, db, redis, "stranger") for what in ("tcp/80", "tcp/443", "udp/443")
               if what != "udp/443" or src in ("out", "host")]
        out += [(t, app, "tcp/80", app, True), (t, app, "tcp/81", app, False), (t, cron, "tcp/80", cron, True),
                (t, db, "tcp/3306", db, False), (t, redis, "tcp/6379", redis, False)]
        for a in (app, cron):
            out += [(a, db, "tcp/3306", db, True), (a, db, "udp/3306", db, False), (a, db, "tcp/22", db, False),
                    (a, redis, "tcp/6379", redis, True), (a, t, "tcp/8080", t, False),
                    (a, "internet", "tcp/443", "out", True), (a, "internet", "tcp/587", "out", True),
                    (a, "internet", "tcp/22", "out", False), (a, "lan", "tcp/443", "out", False)]
        for a in (db, redis):
            out += [(a, app, "tcp/80", app, False), (a, "internet", "tcp/443", "out", False), (a, t, "tcp/80", t, False)]
        out += [(t, "internet", "tcp/443", "out", True), (t, "internet", "tcp/22", "out", False)]
        out += [(db, redis, "tcp/6379", redis, False), (redis, db, "tcp/3306", db, False)]
        for who in ("out", "host", "stranger"):
            out += [(who, app, "tcp/80", app, False), (who, db, "tcp/3306", db, False), (who, redis, "tcp/6379", redis, False)]
        out += [(who, "stranger", "tcp/80", "stranger", False) for who in (t, app, "host", "out")]
        out += [(who, "host", "tcp/9100", "host", False) for who in (t, app, db, "stranger")]
        return out + [("stranger", "internet", "tcp/443", "out", False)]

    def names(self):
        app, db = "nextcloud-app-1", "nextcloud-db-1"
        abroad = [lab.INTERNET4, lab.INTERNET6]
        return [(app, "db", self.addresses(db)), (app, "redis", self.addresses("nextcloud-redis-1")),
                ("nextcloud-traefik-1", "app", self.addresses(app)), (app, "apps.example.org", abroad),
                ("nextcloud-traefik-1", "acme.example.org", abroad), (db, "redis", self.addresses("nextcloud-redis-1")),
                (db, "apps.example.org", None)]


class SharedProxy(Base, unittest.TestCase):
    rules = "shared-proxy.yaml"
    projects = ("blog", "shop", "wiki", "git", "stats")
    zones = {"proxy-traefik-1": "proxy", **{f"{p}-web-1": f"front:{p}" for p in projects},
             **{f"{p}-db-1": f"project:{p}" for p in projects}, "by-hand": "quarantine"}

    @classmethod
    def start(cls):
        l = cls.lab
        for n in ("proxy", *(f"{p}_default" for p in cls.projects)):
            l.network(n)
        # what `docker compose build` leaves in an image
        cid = l.create("built")
        body = {"Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "web", "com.docker.compose.version": "2.20.0"}}
        l.api("POST", f"/commit?container={cid}&repo=shop-web&tag=latest", body)
        l.api("DELETE", f"/containers/{cid}")
        cls.service("proxy", "traefik", ["proxy"], [80, 443], ports={"80/tcp": "80", "443/tcp": "443", "443/udp": "443"})
        lab.parallel([lambda p=p: (cls.service(p, "db", [f"{p}_default"], [5432]),
                                   cls.service(p, "web", [f"{p}_default", "proxy"], [8080], image="shop-web" if p == "shop" else "lab"))
                      for p in cls.projects], 2)
        cls.listen(l.run("by-hand", network="proxy", image="shop-web"), [8080])
        cls.listen(l.out, [443, 22])
        cls.listen(l.host, [9100])

    def paths(self):
        t, out = "proxy-traefik-1", []
        webs, dbs = [f"{p}-web-1" for p in self.projects], [f"{p}-db-1" for p in self.projects]
        out += [(who, "host", what, t, True) for who in ("out", "host") for what in ("tcp/80", "tcp/443", "udp/443")]
        for a in self.projects:
            web, db = f"{a}-web-1", f"{a}-db-1"
            out += [(t, web + "@proxy", "tcp/8080", web, True), (t, web + "@proxy", "udp/8080", web, False),
                    (t, db, "tcp/5432", db, False),
                    (web, db, "tcp/5432", db, True), (db, web + f"@{a}_default", "tcp/8080", web, True),
                    (web, "host", "tcp/443", t, True), (db, "host", "tcp/443", t, True),
                    (web, "internet", "tcp/443", "out", True), (web, "internet", "tcp/22", "out", False),
                    (web, "lan", "tcp/443", "out", False), (web, "host", "tcp/9100", "host", False),
                    ("out", web + "@proxy", "tcp/8080", web, False), ("host", web + "@proxy", "tcp/8080", web, False),
                    ("out", db, "tcp/5432", db, False), ("by-hand", web + "@proxy", "tcp/8080", web, False),
                    ("by-hand", db, "tcp/5432", db, False), (web, "by-hand", "tcp/8080", "by-hand", False)]
            for b in self.projects:
                if a != b:
                    out += [(web, f"{b}-web-1@proxy", "tcp/8080", f"{b}-web-1", False), (web, f"{b}-db-1", "tcp/5432", f"{b}-db-1", False),
                            (db, f"{b}-db-1", "tcp/5432", f"{b}-db-1", False), (db, f"{b}-web-1@proxy", "tcp/8080", f"{b}-web-1", False)]
        return out + [(t, "by-hand", "tcp/8080", "by-hand", False), ("by-hand", "host", "tcp/443", t, False),
                      (t, "internet", "tcp/443", "out", True), (t, "host", "tcp/9100", "host", False)]

    def names(self):
        out = [(f"{p}-web-1", "db", self.addresses(f"{p}-db-1")) for p in ("blog", "shop")]
        out += [("proxy-traefik-1", f"{p}-web-1", self.addresses(f"{p}-web-1", "proxy")) for p in ("blog", "stats")]
        return out + [("shop-web-1", "pay.example.org", [lab.INTERNET4, lab.INTERNET6]), ("by-hand", "pay.example.org", None)]


if __name__ == "__main__":
    tap.main()
