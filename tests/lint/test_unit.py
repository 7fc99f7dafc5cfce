#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""systemd's unit: read by systemd-analyze(1) beside the units of firewalls and runtimes, ordered
between them without a ring, confined, restarted and watched. No systemd needs to run."""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lab"))
import tap  # noqa: E402

UNIT = (TOP / "systemd/bulkheadd.service.in").read_text()
FIREWALLS = ["nftables", "firewalld", "ufw", "netfilter-persistent", "iptables", "ip6tables"]
RUNTIMES = ["docker", "containerd", "podman", "podman-restart", "crio", "kubelet"]
EXPOSURE = 16  # tenths, as --threshold= takes it: 9.6 is a unit without any of it

# As their packages of Debian 12 order them; what matters here is the order, not what they start.
OTHERS = {
    "docker.service": "[Unit]\nAfter=network-online.target docker.socket firewalld.service containerd.service time-set.target\n"
                      "Wants=network-online.target containerd.service\nRequires=docker.socket\n",
    "docker.socket": "[Unit]\n[Socket]\nListenStream=/run/docker.sock\n",
    "containerd.service": "[Unit]\nAfter=network.target local-fs.target\n",
    "podman.service": "[Unit]\n", "podman-restart.service": "[Unit]\nAfter=network-online.target\n", "crio.service": "[Unit]\n",
    "kubelet.service": "[Unit]\nAfter=network-online.target\n",
    "nftables.service": "[Unit]\nDefaultDependencies=no\nWants=network-pre.target\nBefore=network-pre.target shutdown.target\n",
    "ufw.service": "[Unit]\nDefaultDependencies=no\nBefore=network-pre.target\nWants=network-pre.target\n",
    "netfilter-persistent.service": "[Unit]\nDefaultDependencies=no\nBefore=network-pre.target shutdown.target\nWants=network-pre.target\n",
    "firewalld.service": "[Unit]\nBefore=network-pre.target\nWants=network-pre.target\nAfter=dbus.service polkit.service\n",
    # The ring that a unit before network-pre.target would close
    "cloud-init.service": "[Unit]\nDefaultDependencies=no\nAfter=systemd-networkd.service networking.service\nBefore=sysinit.target\n",
    "networking.service": "[Unit]\nDefaultDependencies=no\nAfter=network-pre.target\nBefore=network.target\n",
}


def words(key, text=UNIT):
    """All words of a key that may be given several times."""
    return [w for line in re.findall(rf"(?m)^{key}=(.*)$", text) for w in line.split()]


class Unit(unittest.TestCase):
    def setUp(self):
        tmp = tempfile.TemporaryDirectory()
        self.addCleanup(tmp.cleanup)
        self.dir = pathlib.Path(tmp.name)

    def put(self, text=UNIT, name="bulkheadd.service"):
        text = re.sub(r"@s?bindir@/bulkheadd?\b", "/bin/true", text)
        (self.dir / name).write_text(text)
        return self.dir / name

    def analyze(self, *args, path=""):
        return subprocess.run(["systemd-analyze", *map(str, args)], capture_output=True, text=True, timeout=60,
                              env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": path, "SYSTEMD_LOG_LEVEL": "warning"})

    def verify(self, text=UNIT, without="firewalld.service"):
        """What systemd has to say about the unit, in the company of the others. (firewalld and cloud-init make a ring by themselves.)"""
        for name, other in OTHERS.items():
            if name == without:
                continue
            if name.endswith(".service"):
                other += "[Service]\nExecStart=/bin/true\n"
            self.put(other, name)
        # Everything in one transaction, as at a boot
        names = [n for n in OTHERS if n.endswith(".service") and n != without] + ["bulkheadd.service"]
        self.put("[Unit]\nWants=" + " ".join(names) + "\nAfter=" + " ".join(names) + " network-online.target\n", "everything.target")
        r = self.analyze("verify", "--man=no", self.put(text), self.dir / "everything.target", path=f"{self.dir}:")
        return [line for line in (r.stdout + r.stderr).splitlines() if "bulkheadd" in line or "ordering cycle" in line]

    def test_systemd_reads_it(self):
        self.assertEqual(self.verify(), [])

    def test_systemd_reads_it_beside_firewalld(self):
        self.assertEqual(self.verify(without="cloud-init.service"), [])

    def test_control_a_wrong_unit_is_found(self):
        self.assertTrue(self.verify(UNIT.replace("ProtectHome=", "ProtectHoem=")))
        self.assertTrue(self.verify(UNIT.replace("WatchdogSec=60", "WatchdogSec=often")))

    def test_control_a_ring_is_found(self):
        self.assertTrue(any("cycle" in line for line in self.verify(UNIT.replace("Before=docker", "Before=network-pre.target docker"))))

    def test_between_the_firewalls_and_the_runtimes(self):
        self.assertLessEqual({f"{n}.service" for n in FIREWALLS}, set(words("After")))
        self.assertLessEqual({f"{n}.service" for n in RUNTIMES}, set(words("Before")))
        self.assertEqual(set(words("After")) & set(words("Before")), set())

    def test_waits_for_nothing(self):
        """What it comes after is only ordered; nobody is pulled in but the module, and no network or runtime is waited for."""
        self.assertEqual(words("Wants"), ["modprobe@br_netfilter.service"])
        for key in ("Requires", "Requisite", "BindsTo", "PartOf", "Upholds"):
            self.assertEqual(words(key), [], key)
        self.assertEqual([w for w in words("After") if w.startswith(("network", "docker", "containerd", "podman"))], [])

    def test_is_started_again_and_watched(self):
        for key, value in (("Type", ["notify"]), ("Restart", ["always"]), ("StartLimitIntervalSec", ["0"]), ("ExecStop", []), ("ExecStopPost", []), ("ExecStartPre", []),
                           ("NotifyAccess", ["main"])):
            self.assertEqual(words(key), value, key)
        self.assertGreater(int(words("WatchdogSec")[0]), 10)
        self.assertGreater(int(words("FileDescriptorStoreMax")[0]), 0)
        # Neither of what a command line or a teardown ends with, nor what a crash does.
        self.assertEqual(set(words("RestartPreventExitStatus")), {"0", "2"})

    def exposure(self, text):
        r = self.analyze("security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}", self.put(text))
        m = re.search(r"exposure level for bulkheadd.service: ([0-9.]+)", r.stdout)
        self.assertTrue(m, r.stdout + r.stderr)
        return r.returncode == 0, float(m.group(1))

    def test_is_confined(self):
        ok, level = self.exposure(UNIT)
        print(f"# exposure {level}")
        self.assertTrue(ok, level)

    def test_control_one_capability_more_is_found(self):
        for more in ("CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_SETUID"):
            self.assertFalse(self.exposure(UNIT.replace("Set=CAP_NET_ADMIN", f"Set=CAP_NET_ADMIN {more}"))[0], more)

    def test_control_an_open_unit_is_found(self):
        ok, level = self.exposure("\n".join(line for line in UNIT.splitlines() if not re.match("(Protect|Restrict|Private|System|Cap)", line)))
        self.assertFalse(ok)
        self.assertGreater(level, 5)

    def test_capabilities_are_one(self):
        """What the daemon does with them alone: tests/integration/test_boot.py."""
        self.assertEqual(words("CapabilityBoundingSet"), ["CAP_NET_ADMIN"])
        self.assertEqual(words("AmbientCapabilities"), [])


if __name__ == "__main__":
    tap.main()
