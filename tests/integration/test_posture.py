#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 55 s, works 45 s
# alone: a busy machine is late
"""How a container is hardened decides its zone: a real Docker, each fact set and unset; before the first packet, and when it changes.

The starts that must not arrive, and those that must: 10 each in tools/test, 200 in tools/soak.
"""
import io
import json
import pathlib
import re
import sys
import tarfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
HERE = pathlib.Path(__file__).resolve().parents[1] / "lab"
import lab  # noqa: E402
import tap  # noqa: E402

STARTS = 200 if lab.SOAK else 10
KEPT = 16
REGISTRY = 5000

CONFIG = """version: 1
mode: enforce
require:
  privileged: false
zones:
  hard:
    select: {labels: {tier: hard}}
    require:
      user: non-root
      capabilities: {allow: [NET_BIND_SERVICE]}
      seccomp: confined
      no-new-privileges: true
      read-only-root: true
      memory-limit: set
      cpu-limit: set
      pids-limit: set
      mounts: {forbid: [docker.sock, sensitive, /srv/secret]}
      devices: none
      namespaces: private
      restart: ["no", on-failure]
      image: {registries: ["127.0.0.1:5000/*"], pinned: true, max-age: 90d}
  app:
    select: {labels: {tier: app}}
    require: {no-new-privileges: true, memory-limit: set}
  db: {select: {labels: {tier: db}}, require: {user: non-root}}
  loose: {select: {labels: {tier: loose}}}
  watched: {select: {labels: {tier: watched}}, mode: audit, require: {user: non-root}}
  apparmored: {select: {labels: {tier: apparmored}}, require: {apparmor: confined}}
  selinuxed: {select: {labels: {tier: selinuxed}}, require: {selinux: confined}}
allow:
  - {from: [app, hard], to: db, ports: [udp/7000, tcp/7000]}
"""

HARD = {"CapDrop": ["ALL"], "CapAdd": ["NET_BIND_SERVICE"], "SecurityOpt": ["no-new-privileges"], "ReadonlyRootfs": True, "Memory": 64 << 20,
        "NanoCpus": 10**9, "PidsLimit": 64, "CgroupnsMode": "private", "RestartPolicy": {"Name": "on-failure"}, "Binds": ["/etc/localtime:/t:ro"]}
PRIVILEGED = {"Privileged": True, "Runtime": "within"}  # this machine may lack a capability, which runc does not bear
APP = {"SecurityOpt": ["no-new-privileges"], "Memory": 64 << 20}


class Posture(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab(frugal=False, dockerd_options=["--add-runtime", f"within={HERE}/runc_within"]).up()
        cls.addClassCleanup(l.down)
        l.network("net")
        l.host.popen(sys.executable, HERE / "registry.py", REGISTRY)
        lab.wait_for("the registry", lambda: l.host.run_cmd("docker", "-H", f"unix://{l.socket}", "tag", "lab", f"127.0.0.1:{REGISTRY}/team/app:1").returncode == 0 and
                     l.host.run_cmd("docker", "-H", f"unix://{l.socket}", "push", f"127.0.0.1:{REGISTRY}/team/app:1").returncode == 0, 30, 0.2)
        cls.pinned = next(d for d in l.api("GET", f"/images/127.0.0.1:{REGISTRY}/team/app:1/json")["RepoDigests"])
        cls.old = cls.aged()
        l.host.exec("mkdir", "-p", l.root / "secret")
        cls.db = l.run("db", labels={"tier": "db"}, network="net", user="1000", host_config={"CgroupnsMode": "host"})
        cls.rx = l.receiver(cls.db, [7000])
        cls.daemon = l.bulkheadd(CONFIG)
        cls.daemon.wait_zone("db", "db")

    @classmethod
    def aged(cls):
        """The lab's image as it would be had it been made long ago, under the registry's name. Its digest is none that the registry has."""
        text = cls.lab.api("GET", "/images/lab/get", raw=True)
        out = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(text)) as a, tarfile.open(fileobj=out, mode="w") as b:
            manifest = json.load(a.extractfile("manifest.json"))
            for m in a.getmembers():
                data = a.extractfile(m).read() if m.isfile() else b""
                if m.name == manifest[0]["Config"]:
                    config = json.loads(data)
                    config["created"] = "2020-01-01T00:00:00Z"
                    data = json.dumps(config).encode()
                elif m.name == "manifest.json":
                    manifest[0]["RepoTags"] = ["old:latest"]
                    data = json.dumps(manifest).encode()
                elif m.name == "repositories":
                    continue
                m.size = len(data)
                b.addfile(m, io.BytesIO(data) if m.isfile() else None)
        cls.lab.api("POST", "/images/load", content=out.getvalue())
        return "old:latest"

    def container(self, name):
        return next((c for c in self.daemon.status()["containers"] if c["name"] == name), None)

    def failed(self, name):
        """The conditions that it fails, once the daemon knows its posture and its zone."""
        c = lab.wait_for(f"{name}'s posture", lambda: (c := self.container(name)) and c["posture"]["known"] and c)
        return c["zone"], [f["condition"] for f in c["posture"]["failed"]]

    # -- each fact, set and unset -----------------------------------------------------------------------------------

    @tap.limit(600)
    def test_1_matrix(self):
        """One that is as hard as the zone requires; the others lack one thing each, and fail that alone."""
        soft = {
            "user": dict(user=""),
            "user-root": dict(user="0:0"),
            "capabilities": dict(hc={"CapAdd": ["NET_BIND_SERVICE", "NET_RAW"]}),
            "seccomp": dict(hc={"SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]}),
            "no-new-privileges": dict(hc={"SecurityOpt": []}),
            "read-only-root": dict(hc={"ReadonlyRootfs": False}),
            "memory-limit": dict(hc={"Memory": 0}),
            "cpu-limit": dict(hc={"NanoCpus": 0}),
            "pids-limit": dict(hc={"PidsLimit": 0}),
            "mounts-socket": dict(hc={"Binds": [f"{self.lab.socket}:/docker.sock"]}),
            "mounts-proc": dict(hc={"Binds": ["/proc:/host/proc:ro"]}),
            "mounts-etc": dict(hc={"Binds": ["/etc:/host/etc:ro"]}),
            "mounts-root": dict(hc={"Binds": ["/:/host:ro"]}),
            "devices": dict(hc={"Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "r"}]}),
            "namespaces-pid": dict(hc={"PidMode": "host"}),
            "namespaces-ipc": dict(hc={"IpcMode": "host"}),
            "namespaces-uts": dict(hc={"UTSMode": "host"}),
            "namespaces-cgroup": dict(hc={"CgroupnsMode": "host"}),
            "restart": dict(hc={"RestartPolicy": {"Name": "always"}}),
            "image.pinned": dict(image=f"127.0.0.1:{REGISTRY}/team/app:1"),
        }
        expect = {name: [re.sub(r"-(root|socket|proc|etc|pid|ipc|uts|cgroup)$", "", name) if name not in ("read-only-root",) else name]
                  for name in soft}
        soft["privileged"] = dict(hc=PRIVILEGED)
        expect["privileged"] = ["capabilities", "devices", "privileged", "seccomp"]
        soft["image.registries"] = dict(image=self.lab.api("GET", "/images/lab/json")["Id"])
        expect["image.registries"] = []  # the same contents, known by the registry's digest: it was pushed there
        soft["image.max-age"] = dict(image=self.old)
        expect["image.max-age"] = ["image.max-age", "image.pinned", "image.registries"]
        made = []

        def one(name, hc=None, user="1000:1000", image=None):
            made.append(self.lab.run(f"m-{name}", labels={"tier": "hard"}, network="net", image=image or self.pinned, user=user or None,
                                     host_config={**HARD, **({"CgroupnsMode": "private"}), **(hc or {})}))
        one("hard")
        lab.parallel([lambda n=n, kw=kw: one(n, **kw) for n, kw in soft.items()], 3)
        self.assertEqual(self.failed("m-hard"), ("hard", []))
        got = {name: self.failed(f"m-{name}") for name in soft}
        want = {name: ("hard" if not expect[name] else "quarantine", expect[name]) for name in soft}
        self.assertEqual({n: (z, sorted(f)) for n, (z, f) in got.items()}, want)
        # every condition that this machine can have was seen both ways
        self.assertEqual({c for f in expect.values() for c in f} | {"apparmor", "selinux"},
                         {"privileged", "user", "capabilities", "seccomp", "apparmor", "selinux", "no-new-privileges", "read-only-root", "memory-limit",
                          "cpu-limit", "pids-limit", "mounts", "devices", "namespaces", "restart", "image.registries", "image.pinned", "image.max-age"})
        lab.parallel([c.remove for c in made], 3)

    def test_2_profiles(self):
        """AppArmor and SELinux as this machine's Docker uses them."""
        options = self.lab.api("GET", "/info")["SecurityOptions"]
        made = [self.lab.run(n, labels={"tier": n}, network="net", host_config={"CgroupnsMode": "private"}) for n in ("apparmored", "selinuxed")]
        for n, what in (("apparmored", "apparmor"), ("selinuxed", "selinux")):
            there = f"name={what}" in options
            self.assertEqual(self.failed(n), (n, []) if there else ("quarantine", [what]))
        for c in made:
            c.remove()

    # -- said ---------------------------------------------------------------------------------------------------------

    def test_3_said(self):
        """Each failed condition with its line and what to set: status, explain, the log."""
        c = self.lab.run("soft", labels={"tier": "app"}, network="net", host_config={"SecurityOpt": []})
        self.assertEqual(self.failed("soft"), ("quarantine", ["no-new-privileges", "memory-limit"]))
        line = next(i for i, s in enumerate(CONFIG.splitlines(), 1) if "memory-limit: set}" in s)
        status = self.container("soft")
        self.assertEqual(status["reason"], f"fails what app requires: no-new-privileges (bulkhead.yaml:{line}), memory-limit (bulkhead.yaml:{line})")
        self.assertEqual(status["posture"]["required_by"], "app")
        self.assertEqual(status["posture"]["failed"][0], {
            "condition": "no-new-privileges", "source": f"bulkhead.yaml:{line}", "container": None, "found": "its processes may gain privileges",
            "docker": "--security-opt no-new-privileges", "compose": "security_opt: [no-new-privileges:true]"})
        for text in (self.daemon.cli("status", "containers").stdout, self.daemon.cli("explain", "soft", "db", "tcp/7000").stdout):
            flat = " ".join(text.split())
            for s in (f"no-new-privileges (bulkhead.yaml:{line}): its processes may gain privileges", "docker run: --security-opt no-new-privileges",
                      "compose: security_opt: [no-new-privileges:true]", "docker run: --memory 512m", "compose: mem_limit: 512m"):
                self.assertIn(s, flat)
            self.assertLessEqual(max(map(len, text.splitlines())), 80)
        self.assertIn(f"container soft fails memory-limit, which app requires (bulkhead.yaml:{line}): its memory has no limit; docker run: --memory 512m; "
                      "compose: mem_limit: 512m", self.daemon.log())
        c.remove()

    def test_4_audit_marks(self):
        c = self.lab.run("marked", labels={"tier": "watched"}, network="net")
        self.assertEqual(self.failed("marked"), ("watched", ["user"]))
        self.assertIn("in audit, else in quarantine: fails what watched requires: user", self.container("marked")["reason"])
        self.assertRegex(self.daemon.log(), r"container marked fails user, which watched requires .*\(audit: it stays\)")
        c.remove()

    # -- when it changes ------------------------------------------------------------------------------------------

    def test_5_update(self):
        """docker update sets a limit, and takes the restart policy away: at once, and nothing else is asked."""
        c = self.lab.run("grows", labels={"tier": "app"}, network="net", host_config={"SecurityOpt": ["no-new-privileges"]})
        self.assertEqual(self.failed("grows"), ("quarantine", ["memory-limit"]))
        t0 = lab.time.monotonic()
        self.lab.api("POST", f"/containers/{c.id}/update", {"Memory": 64 << 20, "MemorySwap": 128 << 20})
        self.daemon.wait_zone("grows", "app", 3)
        print(f"# in its zone {(lab.time.monotonic() - t0) * 1000:.0f} ms after the limit was asked for")
        c.remove()
        c = self.lab.run("restarts", labels={"tier": "hard"}, network="net", user="1000:1000", image=self.pinned, host_config=HARD)
        self.assertEqual(self.failed("restarts"), ("hard", []))
        self.lab.api("POST", f"/containers/{c.id}/update", {"RestartPolicy": {"Name": "always"}})
        self.daemon.wait_zone("restarts", "quarantine", 3)
        self.assertEqual(self.failed("restarts"), ("quarantine", ["restart"]))
        self.lab.api("POST", f"/containers/{c.id}/update", {"RestartPolicy": {"Name": "no"}})
        self.daemon.wait_zone("restarts", "hard", 3)
        c.remove()

    def test_6_sharer(self):
        """A privileged container that shares the database's network takes it into quarantine, and lets it out again with its end."""
        side = self.lab.run("side", network=f"container:{self.db.id}", host_config=PRIVILEGED)
        self.daemon.wait_zone("db", "quarantine", 5)
        self.assertIn("shares its network with side, which fails what db requires: privileged", self.container("db")["reason"])
        side.remove()
        self.daemon.wait_zone("db", "db", 5)
        side = self.lab.run("side", network=f"container:{self.db.id}", user="1000")
        self.assertEqual(self.failed("db"), ("db", []))
        side.remove()

    def test_7_restart_of_the_daemon(self):
        """Who is in its zone stays there: a daemon that starts again knows everybody's posture before it places anybody."""
        c = self.lab.run("stays", labels={"tier": "app"}, network="net", host_config=APP)
        self.assertEqual(self.failed("stays"), ("app", []))
        mark = len(self.daemon.log())
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.failed("stays"), ("app", []))
        log = self.daemon.log()[mark:]
        self.assertIn("container stays is in zone app", log)
        self.assertNotIn("container stays is in zone quarantine", log)
        c.remove()

    # -- the first packet -------------------------------------------------------------------------------------------

    def starts(self, name, count, host_config, api=False):
        """COUNT times `docker run`; or by the API, whose start follows its create at once."""
        sent = []
        for i in range(count):
            proto, family = (("udp", 4), ("tcp", 4), ("udp", 6), ("tcp", 6))[i % 4]
            marker = f"{name}{i}x"
            cmd = ["firstpkt", proto, self.db.address("net", family), 7000, marker]
            if api:
                c = self.lab.run(f"{name}{i}", labels={"tier": "app"}, network="net", cmd=cmd, host_config=host_config)
            else:
                flags = ["--privileged", "--runtime=within"] * host_config.get("Privileged", False) + [f"--security-opt={o}" for o in host_config["SecurityOpt"]]
                self.lab.docker("run", "-d", "--name", f"{name}{i}", "--label", "tier=app", "--network", "net", "--memory", "64m", *flags, "lab", *map(str, cmd))
                c = lab.Container(self.lab, f"{name}{i}", f"{name}{i}")
            sent.append((proto, marker, c))
            for _, _, old in sent[:-KEPT][-1:]:
                old.final = old.logs()
                old.remove()
        return sent

    def end(self, sent):
        for _, _, c in sent[-KEPT:]:
            c.remove()

    @tap.limit(3600 if lab.SOAK else 300)
    def test_8_privileged_never_arrives(self):
        """Not even its first packet; and started again hardened, the same name and labels arrive."""
        sniff = self.lab.sniffer(self.db)
        sent = self.starts("priv", STARTS // 2, {**APP, **PRIVILEGED}) + self.starts("fast", STARTS // 2, {**APP, **PRIVILEGED}, api=True)
        lab.time.sleep(1.5)  # a SYN comes again after a second
        got = [m for _, m, _ in sent if self.rx.count(m)]
        frames = [f for f in sniff.frames() if f["proto"] in (6, 17) and f["dport"] == 7000]
        sniff.stop()
        self.assertEqual(self.failed(f"priv{STARTS // 2 - 1}"), ("quarantine", ["privileged"]))
        print(f"# {len(sent)} starts, {len(got)} markers, {len(frames)} frames arrived")
        self.assertEqual((got, frames), ([], []))
        self.end(sent)
        again = self.starts("priv", 2, APP)
        lab.time.sleep(0.3)
        self.assertEqual([m for _, m, _ in again if not self.rx.count(m)], [])
        self.end(again)

    @tap.limit(3600 if lab.SOAK else 300)
    def test_9_posture_before_the_first_packet(self):
        """Whoever is hardened and started by `docker run` loses nothing: datagram number 0 arrived, and the first SYN did, so its posture was
        known before. Of those whose start follows their creation at once, some have to wait; only they lose anything, and reach their zone."""
        for name, api in (("good", False), ("fast", True)):
            mark = len(self.daemon.log())
            sent = self.starts(name, STARTS, APP, api)
            lab.time.sleep(1.5)
            lost, slow = {m for _, m, _ in sent if not self.rx.count(m)}, set()
            for proto, m, c in sent:
                text = (c.final if hasattr(c, "final") else c.logs()).split()
                if proto == "tcp" and (len(text) != 3 or int(text[1]) > 900000):
                    slow.add(m)
            waited = {m + "x" for m in re.findall(rf"container ({name}\d+) is in zone quarantine: its posture is not known yet", self.daemon.log()[mark:])}
            print(f"# {'API' if api else 'docker run'}: {len(sent)} starts, {len(lost)} lost, {len(slow)} first SYNs lost; {len(waited)} waited in quarantine")
            self.assertEqual((lost | slow) - (waited if api else set()), set())
            self.assertEqual(self.failed(f"{name}{STARTS - 1}"), ("app", []))
            self.end(sent)

    def test_a_shipped_rules(self):
        """rules/hardened.yaml: who does what its first lines say is in its zone and reaches the next one; who does not is in quarantine."""
        base = {"SecurityOpt": ["no-new-privileges"], "Memory": 64 << 20, "PidsLimit": 64}
        tight = {**base, "CapDrop": ["ALL"], "ReadonlyRootfs": True}
        web = {**base, "CapDrop": ["ALL"], "CapAdd": ["CHOWN", "SETGID", "SETUID", "NET_BIND_SERVICE"]}
        self.daemon.reload((lab.TOP / "rules/hardened.yaml").read_text())
        made = [self.lab.run("h-web", labels={"tier": "web"}, network="net", host_config=web),
                self.lab.run("h-api", labels={"tier": "api"}, network="net", user="1000:1000", host_config=tight),
                self.lab.run("h-db", labels={"tier": "db"}, network="net", user="1000:1000", host_config=tight),
                self.lab.run("h-plain", labels={"tier": "api"}, network="net"),
                self.lab.run("h-root", labels={"tier": "db"}, network="net", host_config=tight)]
        self.assertEqual([self.failed(n) for n in ("h-web", "h-api", "h-db")], [("web", []), ("api", []), ("db", [])])
        self.assertEqual(self.failed("h-plain"), ("quarantine", ["no-new-privileges", "memory-limit", "pids-limit", "user", "capabilities", "read-only-root"]))
        self.assertEqual(self.failed("h-root"), ("quarantine", ["user"]))
        rx = self.lab.receiver(made[2], [5432])
        for c, arrives in ((made[1], 1), (made[3], 0)):
            marker = f"rules-{c.name}"
            self.lab.send(c, [("tcp", made[2].ip4, 5432, marker)], 1)
            self.assertEqual(rx.count(marker), arrives, c.name)
        rx.stop()
        for c in made:
            c.remove()
        self.daemon.reload(CONFIG)

    def test_b_control_arrives_without_require(self):
        self.daemon.reload(CONFIG.replace("require:\n  privileged: false\n", ""))
        sent = self.starts("control", 4, {**APP, **PRIVILEGED})
        lab.time.sleep(0.3)
        self.assertEqual([m for _, m, _ in sent if not self.rx.count(m)], [])
        self.end(sent)


if __name__ == "__main__":
    tap.main()
