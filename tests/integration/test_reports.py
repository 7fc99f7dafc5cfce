#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 25 s
"""Reports on images, dropped into a folder: who may send changes in under a second, by real packets, beside a container that no report speaks of
and whose packets go on. Simulated containers for each way that a report can come and go, a real dockerd for its own image ids and registries."""
import datetime
import json
import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402
from fakedocker import cid  # noqa: E402

CONFIG = """version: 1
mode: enforce
images: {{reports: {dir}/reports, verified: {dir}/verified}}
zones:
  web:
    select: {{labels: {{tier: web}}}}
    require:
      image:
        scanned: {{max-severity: high, max-age: 1h}}
  signed:
    select: {{labels: {{tier: signed}}}}
    require: {{image: {{verified: true}}}}
  ctl: {{select: {{labels: {{tier: ctl}}}}}}
  db: {{select: {{labels: {{tier: db}}}}}}
allow:
  - {{from: [web, signed, ctl], to: db, ports: [udp/80-82]}}
"""
SECOND = 1.0


def trivy(image, severity=None, age=60.0):
    """A report of Trivy on the image with that id, made AGE seconds ago."""
    found = [{"VulnerabilityID": "CVE-2024-2961", "PkgName": "libc6", "InstalledVersion": "2.36-9", "FixedVersion": "2.36-9+deb12u6",
              "Severity": severity}] if severity else []
    created = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age)
    return json.dumps({"SchemaVersion": 2, "CreatedAt": created.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "ArtifactName": "shop/web:1",
                       "ArtifactType": "container_image", "Metadata": {"ImageID": image},
                       "Results": [{"Target": "shop/web:1 (debian 12.5)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": found}]})


def cosign(digest):
    return json.dumps([{"critical": {"identity": {"docker-reference": "shop/web"}, "image": {"docker-manifest-digest": digest},
                                     "type": "cosign container image signature"}, "optional": None}])


class Folder:
    """What a scanner's timer fills: written beside, and renamed into place."""

    def __init__(self, path):
        self.path = path
        path.mkdir(parents=True)
        os.chmod(path, 0o755)

    def put(self, name, text):
        new = self.path / f".{name}.new"
        new.write_text(text)
        os.chmod(new, 0o644)
        new.rename(self.path / name)
        return time.monotonic()

    def remove(self, name):
        (self.path / name).unlink()
        return time.monotonic()


class Watch:
    """Datagrams that go on from SRC to DST, and when the last one came."""

    def __init__(self, src, dst, port):
        self.flow = simhost.Paced(src, dst, port=port, gap=0.005)

    def count(self):
        return sum(map(len, self.flow.got))

    def opens(self, since, timeout=10):
        """Seconds after SINCE at which datagrams come through."""
        n = self.count()
        lab.wait_for("datagrams", lambda: self.count() > n + 4, timeout, 0.005)
        return time.monotonic() - since

    def closes(self, since, control, timeout=10):
        """Seconds after SINCE at which the last one came, once CONTROL's have gone on for half a second without."""
        last, at, others = self.count(), time.monotonic(), control.count()
        end = at + timeout
        while time.monotonic() < end:
            if self.count() > last:
                last, at, others = self.count(), time.monotonic(), control.count()
            elif time.monotonic() - at > 0.5 and control.count() > others + 30:
                return at - since
            time.sleep(0.005)
        raise AssertionError(f"still open after {timeout} s")


class Reports(unittest.TestCase):
    """On simulated containers."""

    @classmethod
    def setUpClass(cls):
        cls.host = h = simhost.SimHost()
        cls.addClassCleanup(h.close)
        cls.dir = h.lab.root / "images"
        cls.reports, cls.verified = Folder(cls.dir / "reports"), Folder(cls.dir / "verified")
        cls.image = "sha256:" + cid("shop/web:1")
        cls.db, cls.ctl = h.start("db1", "db"), h.start("ctl1", "ctl")
        cls.web, cls.signed = h.start("web1", "web", image="shop/web:1"), h.start("signed1", "signed", image="shop/web:1")
        h.daemon = cls.d = h.lab.bulkheadd(CONFIG.format(dir=cls.dir))
        cls.d.wait_zone("ctl1", "ctl")
        cls.control = Watch(cls.ctl, cls.db, 80)
        cls.flow = Watch(cls.web, cls.db, 81)
        cls.signing = Watch(cls.signed, cls.db, 82)
        cls.addClassCleanup(lambda: [w.flow.stop() for w in (cls.control, cls.flow, cls.signing)])
        cls.control.opens(time.monotonic())

    def container(self, name):
        return next(c for c in self.d.status()["containers"] if c["name"] == name)

    def assert_closed(self, since, *words, name="web1"):
        self.assertLess(self.flow.closes(since, self.control), SECOND)
        c = self.container(name)
        self.assertEqual(c["zone"], "quarantine")
        self.assertEqual(c["reason"], "fails what web requires: image.scanned (bulkhead.yaml:9)")
        [f] = c["posture"]["failed"]
        self.assertEqual((f["condition"], f["source"]), ("image.scanned", "bulkhead.yaml:9"))
        for w in words:
            self.assertIn(w, f["found"])
        self.assertTrue(f["docker"])

    def assert_opened(self, since):
        self.assertLess(self.flow.opens(since), SECOND)
        self.assertEqual(self.container("web1")["zone"], "web")

    def test_1_a_report_comes_changes_and_goes(self):
        self.assert_closed(time.monotonic(), "no report speaks of it")
        self.assert_opened(self.reports.put("web.json", trivy(self.image, "HIGH")))
        self.assert_closed(self.reports.put("web.json", trivy(self.image, "CRITICAL")), "critical CVE-2024-2961 in libc6", "/reports/web.json")
        self.assertRegex(self.d.log(), r"web1 fails image.scanned, which web requires \(bulkhead.yaml:9\): critical CVE-2024-2961 .*/reports/web.json.*to do: rebuild")
        self.assert_opened(self.reports.put("web.json", trivy(self.image)))
        # on another image: nothing follows
        before = self.flow.count()
        self.reports.put("other.json", trivy("sha256:" + cid("other"), "CRITICAL"))
        self.assert_opened(time.monotonic())
        self.assertGreater(self.flow.count(), before)
        self.assert_closed(self.reports.remove("web.json"), "no report speaks of it")

    def test_2_a_broken_one_is_no_report(self):
        self.assert_opened(self.reports.put("web.json", trivy(self.image)))
        self.assert_closed(self.reports.put("web.json", trivy(self.image)[:100]), "/reports/web.json", "is not JSON, or was cut off")
        unread = self.d.status()["images"]["unread"]
        self.assertEqual([u["problem"] for u in unread], ["line 1: is not JSON, or was cut off"])
        self.assertIn("it is not believed", self.d.log())
        # what others could have written is none either, however good it looks
        path = self.reports.path / "web.json"
        self.reports.put("web.json", trivy(self.image))
        self.flow.opens(time.monotonic())
        os.chmod(path, 0o666)
        self.assert_closed(time.monotonic(), "can be written by others than root")
        os.chmod(path, 0o644)
        self.assert_opened(time.monotonic())

    def test_3_it_becomes_too_old_by_itself(self):
        put = self.reports.put("web.json", trivy(self.image, age=3600 - 2.5))
        self.assert_opened(put)
        self.assert_closed(put + 2.5, "its report is older than 1h")
        self.assert_opened(self.reports.put("web.json", trivy(self.image)))

    def test_4_a_restart_reads_before_it_decides(self):
        self.assert_opened(self.reports.put("web.json", trivy(self.image)))
        self.d.kill()
        before = self.d.log()
        self.d.start()
        self.assertEqual(self.container("web1")["zone"], "web")
        self.assertNotIn("web1 is in zone quarantine", self.d.log()[len(before):])

    def test_5_verified(self):
        since = time.monotonic()
        self.signing.closes(since, self.control)
        self.assertIn("no result of a verification speaks of it", self.container("signed1")["posture"]["failed"][0]["found"])
        self.assertLess(self.signing.opens(self.verified.put("web.json", cosign(self.image))), SECOND)
        self.assertLess(self.signing.closes(self.verified.put("web.json", "[]"), self.control), SECOND)
        self.assertLess(self.signing.opens(self.verified.put("web.json", cosign(self.image))), SECOND)
        self.assertLess(self.signing.closes(self.verified.remove("web.json"), self.control), SECOND)

    def test_6_another_folder(self):
        """A reload reads what it names before anybody is placed by it."""
        other = Folder(self.dir / "other")
        other.put("web.json", trivy(self.image))
        self.reports.put("web.json", trivy(self.image))
        self.flow.opens(time.monotonic())
        self.d.reload(CONFIG.format(dir=self.dir).replace("/reports,", "/other,"))
        self.assertEqual(self.container("web1")["zone"], "web")
        self.assert_closed(other.remove("web.json"), "no report speaks of it")
        self.d.reload(CONFIG.format(dir=self.dir))
        self.assert_opened(time.monotonic())


class Inside:
    """A container of a real dockerd, as simhost.Paced wants it."""

    def __init__(self, c):
        self.c, self.name, self.ip4, self.ip6 = c, c.name, c.ip4, c.ip6
        self.ns = os.open(f"/proc/{c.lab.holder}/root/proc/{c.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    socket = simhost.Sim.socket


class Docker(unittest.TestCase):
    def test_a_real_image_and_its_registry(self):
        config = CONFIG.replace("require: {{image: {{verified: true}}}}", "require: {{image: {{registry-tls: true}}}}")
        with lab.Lab() as l:
            reports, _ = Folder(l.root / "images/reports"), Folder(l.root / "images/verified")
            l.network("net")
            l.api("POST", "/images/lab/tag?repo=localhost:5000/lab&tag=1")
            image = l.api("GET", "/images/lab/json")["Id"]
            db = Inside(l.run("db1", labels={"tier": "db"}, network="net"))
            ctl = Inside(l.run("ctl1", labels={"tier": "ctl"}, network="net"))
            web = Inside(l.run("web1", labels={"tier": "web"}, network="net"))
            l.run("signed1", labels={"tier": "signed"}, network="net")
            l.run("signed2", labels={"tier": "signed"}, network="net", image="localhost:5000/lab:1")
            reports.put("web.json", trivy(image))
            d = l.bulkheadd(config.format(dir=l.root / "images"))
            d.wait_zone("web1", "web")
            control, flow = Watch(ctl, db, 80), Watch(web, db, 81)
            self.addCleanup(lambda: [w.flow.stop() for w in (control, flow)])
            control.opens(time.monotonic())
            flow.opens(time.monotonic())
            self.assertLess(flow.closes(reports.put("web.json", trivy(image, "CRITICAL")), control), SECOND)
            self.assertEqual(d.zone_of("web1"), "quarantine")
            self.assertLess(flow.opens(reports.put("web.json", trivy(image, "LOW"))), SECOND)
            self.assertEqual(d.zone_of("web1"), "web")
            # Docker's own list of insecure registries has 127.0.0.0/8
            d.wait_zone("signed1", "signed")
            c = {c["name"]: c for c in d.status()["containers"]}
            self.assertEqual(c["signed2"]["zone"], "quarantine")
            self.assertEqual([f["condition"] for f in c["signed2"]["posture"]["failed"]], ["image.registry-tls"])
            self.assertIn("localhost:5000 is in 127.0.0.0/8", c["signed2"]["posture"]["failed"][0]["found"])
            self.assertIn("localhost:5000 is in 127.0.0.0/8", c["signed2"]["registry_problem"])
            self.assertIsNone(c["signed1"]["registry_problem"])
            self.assertIn("localhost:5000", d.cli("status").stdout)
            self.assertIn("image.registry-tls", d.cli("status", "containers").stdout)


if __name__ == "__main__":
    tap.main()
