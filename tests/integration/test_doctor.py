#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 11 s
"""bulkhead doctor on a host that is deliberately bad and on one that is good: each check that a namespace can be given the state for is
seen both ways, through the files, the settings, the rules and the Docker that it reads on a real host. The rest is in unit `doctor`."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402
from fakedocker import FakeDocker  # noqa: E402

DOCKER_GID = 998
# What this kernel can and its clock are as they are.
FIXED = {"nf-tables", "nft-bridge", "nft-persist", "ifb", "htb", "fq-codel", "time-sync"}
GOOD, BAD = {"pass"}, {"warn", "fail"}
CONFIG = "version: 1\nmode: enforce\nzones:\n  web: {select: {name: web}}\n"

INFO = {"ServerVersion": "28.1.1", "Driver": "overlay2", "LoggingDriver": "journald", "DockerRootDir": "/var/lib/docker", "MemoryLimit": True,
        "PidsLimit": True, "CpuCfsQuota": True, "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=userns"],
        "Plugins": {"Authorization": ["opa"]}, "LiveRestoreEnabled": True, "ExperimentalBuild": False, "Debug": False, "Warnings": None,
        "RegistryConfig": {"InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128"], "IndexConfigs": {"docker.io": {"Secure": True}}},
        "Swarm": {"LocalNodeState": "inactive"}}
BAD_INFO = INFO | {"ServerVersion": "20.10.24+dfsg1", "Driver": "aufs", "LoggingDriver": "none", "PidsLimit": False,
                   "SecurityOptions": ["name=seccomp,profile=unconfined"], "Plugins": {"Authorization": None}, "LiveRestoreEnabled": False,
                   "ExperimentalBuild": True, "Debug": True,
                   "RegistryConfig": {"IndexConfigs": {"registry.example.org:5000": {"Secure": False}}}}
STATUS = """Package: openssl
Status: install ok installed
Architecture: amd64
Version: 3.0.11-1~deb12u{}

"""
LIST = "Package: openssl\nArchitecture: amd64\nVersion: 3.0.11-1~deb12u10\n"
SECURITY_LIST = "deb.debian.org_debian-security_dists_bookworm-security_main_binary-amd64_Packages"
KERNEL = {"kptr_restrict": 1, "dmesg_restrict": 1, "unprivileged_userns_clone": 0, "unprivileged_bpf_disabled": 2, "yama/ptrace_scope": 1,
          "perf_event_paranoid": 3, "randomize_va_space": 2}
BAD_KERNEL = {"kptr_restrict": 0, "dmesg_restrict": 0, "unprivileged_userns_clone": 1, "unprivileged_bpf_disabled": 0, "yama/ptrace_scope": 0,
              "perf_event_paranoid": -1, "randomize_va_space": 0}
CONNTRACK = {"nf_conntrack_max": 262144, "nf_conntrack_count": 5, "nf_conntrack_tcp_loose": 0, "nf_conntrack_tcp_be_liberal": 0}
BAD_CONNTRACK = {"nf_conntrack_max": 262144, "nf_conntrack_count": 262000, "nf_conntrack_tcp_loose": 1, "nf_conntrack_tcp_be_liberal": 1,
                 "nf_conntrack_helper": 1}
AUDIT = "".join(f"-w {p} -k docker\n" for p in ("/usr/bin/dockerd", "/etc/docker", "/var/lib/docker", "/usr/bin/containerd", "/usr/bin/runc"))
FILTER = "table inet filter { chain input { type filter hook input priority 0; policy drop; }; chain forward { type filter hook forward priority 0; policy drop; }; }"


class Host:
    """Mount, network and pid namespaces whose files are this test's, beside a Docker that is a script."""

    def __init__(self, info, told):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix=f"{lab.PREFIX}{os.getpid()}-{lab.start_time(os.getpid())}-", dir=lab.BASE))
        self.info, self.children = info, []
        self.docker = FakeDocker(str(self.top / "docker.sock"))
        self.docker.hooks["/info"] = lambda c, p: c.answer(self.info)
        self.docker.hooks["/version"] = lambda c, p: c.answer({"ApiVersion": self.api, "Components": [{"Name": "Engine"}]})
        self.docker.hooks["/networks/bridge"] = lambda c, p: c.answer({"Options": {"com.docker.network.bridge.enable_icc": self.icc}})
        self.api, self.icc = "1.49", "false"
        self.holder = self.spawn("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "sleep", "300")
        lab.wait_for("the namespaces", self._inner)
        self.sh(f"""
            for d in /etc /run /boot /var/lib /var/cache /sys; do mkdir -p {self.top}/keep$d; done
            cp /etc/ld.so.cache {self.top}/keep/etc/
            for d in /etc /run /boot /var/lib /var/cache /sys /proc/sys/kernel /proc/sys/fs /proc/sys/user /proc/sys/net/netfilter; do
                mount -t tmpfs -o mode=755 tmpfs $d; done
            cp {self.top}/keep/etc/ld.so.cache /etc/
            echo 'group: files\npasswd: files' > /etc/nsswitch.conf; echo root:x:0:0::/:/bin/sh > /etc/passwd
            touch /run/docker.sock; mount --bind {self.top}/docker.sock /run/docker.sock
            ip link set lo up; ip link add eth0 type veth peer name far; ip link add docker0 type bridge
            ip link set eth0 up; ip link set docker0 up; ip addr add 198.51.100.1/24 dev eth0; ip addr add 10.111.0.1/24 dev docker0
        """)
        self.dockerd(told)

    def spawn(self, *cmd, **kw):
        p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kw)
        self.children.append(p)
        return p

    def _inner(self):
        """The first process of the pid namespace."""
        text = pathlib.Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()
        self.pid = int(text[0]) if text else None
        return self.pid and os.readlink(f"/proc/{self.pid}/exe").endswith("sleep")

    def enter(self, *cmd, ids=()):
        return ["nsenter", "-t", str(self.pid), "-m", "-n", "-p", *ids, "--", *map(str, cmd)]

    def run(self, *cmd, ids=(), input=None, env=None):
        return subprocess.run(self.enter(*cmd, ids=ids), capture_output=True, text=True, input=input, env={"PATH": lab.PATH, **(env or {})}, timeout=60)

    def sh(self, script):
        r = self.run("sh", "-euc", script)
        if r.returncode:
            raise lab.LabError(f"{script}: {r.stderr}")
        return r.stdout

    def write(self, files):
        """{path: text, or (text, mode)}, and folders on the way."""
        program = ("import json, os, sys\n"
                   "for path, (text, mode) in json.load(sys.stdin).items():\n"
                   "    os.makedirs(os.path.dirname(path), exist_ok=True)\n"
                   "    open(path, 'w').write(text)\n"
                   "    os.chmod(path, mode)\n")
        files = {p: t if isinstance(t, tuple) else (str(t), 0o644) for p, t in files.items()}
        r = self.run("python3", "-ISc", program, input=json.dumps(files))
        if r.returncode:
            raise lab.LabError(r.stderr)

    def background(self, program, *args):
        """A Python program of the host's; its pid there."""
        out = self.run("python3", "-ISc", "import subprocess, sys\nprint(subprocess.Popen(sys.argv[1:], stdin=0, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True).pid)",
                       "python3", "-ISc", program, *args)
        return int(out.stdout)

    def dockerd(self, told):
        pid = self.background("import os, sys\nos.execv('/usr/bin/python3', ['dockerd', '-ISc', 'import time; time.sleep(300)'] + sys.argv[1:])", *told)
        lab.wait_for("dockerd", lambda: self.run("cat", f"/proc/{pid}/cmdline").stdout.startswith("dockerd\0"))
        self.write({"/run/docker.pid": str(pid)})

    def doctor(self, *args, ids=(), env=None):
        r = self.run(lab.program("bulkhead"), "doctor", "--json", *args, ids=ids, env=env)
        if not r.stdout:
            raise AssertionError(r.stderr)
        self.code = r.returncode
        doc = json.loads(r.stdout)
        return doc, {c["id"]: c for c in doc["checks"]}

    def close(self):
        self.docker.stop()
        try:
            os.kill(self.pid, signal.SIGKILL)      # the end of all in its pid namespace
        except (ProcessLookupError, TypeError):
            pass
        for p in self.children:
            p.kill()
            p.wait()
        shutil.rmtree(self.top, ignore_errors=True)

    # -- the two hosts ---------------------------------------------------------

    def be_good(self):
        os.chown(self.top / "docker.sock", 0, DOCKER_GID)
        os.chmod(self.top / "docker.sock", 0o660)
        self.write({f"/proc/sys/kernel/{k}": v for k, v in KERNEL.items()} | {f"/proc/sys/net/netfilter/{k}": v for k, v in CONNTRACK.items()} | {
            "/proc/sys/fs/protected_symlinks": 1, "/proc/sys/fs/protected_hardlinks": 1, "/proc/sys/fs/suid_dumpable": 0, "/proc/sys/user/max_user_namespaces": 1000,
            "/sys/module/apparmor/parameters/enabled": "Y", "/sys/devices/system/cpu/vulnerabilities/meltdown": "Mitigation: PTI\n",
            "/etc/docker/daemon.json": '{"icc": false, "no-new-privileges": true, "userland-proxy": false, "default-ulimits": {"nofile": {"Hard": 64}}}',
            "/etc/docker/certs.d/registry.example.org/ca.crt": ("", 0o444), "/etc/docker/certs.d/registry.example.org/client.key": ("", 0o400),
            "/etc/systemd/system/docker.service": "", "/etc/group": f"docker:x:{DOCKER_GID}:\n", "/etc/environment": 'DOCKER_CONTENT_TRUST="1"\n',
            "/etc/apt/apt.conf.d/20auto-upgrades": 'APT::Periodic::Unattended-Upgrade "1";\n', "/etc/audit/rules.d/docker.rules": AUDIT,
            "/etc/systemd/system/sysinit.target.wants/nftables.service": "", "/etc/nftables.conf": "flush table inet filter\n",
            "/etc/bulkhead/bulkhead.yaml": CONFIG, "/var/lib/dpkg/status": STATUS.format(10), f"/var/lib/apt/lists/{SECURITY_LIST}": LIST,
            "/boot/vmlinuz-1.0.0-1-amd64": "", "/var/lib/docker/x": ""})
        self.sh("mount -t tmpfs -o mode=710 tmpfs /var/lib/docker")
        self.settings(1, rp_filter=1, send_redirects=0, accept_redirects=0, accept_source_route=0, route_localnet=0, accept_ra=0)
        self.sh(f"echo 1 > /proc/sys/net/ipv4/tcp_syncookies; nft '{FILTER}'")
        self.background("import time\nopen('/proc/self/comm', 'w').write('auditd')\ntime.sleep(300)")
        self.unattended()

    def be_bad(self):
        os.chmod(self.top / "docker.sock", 0o666)
        self.api, self.icc = "1.40", "true"
        self.write({f"/proc/sys/kernel/{k}": v for k, v in BAD_KERNEL.items()} | {f"/proc/sys/net/netfilter/{k}": v for k, v in BAD_CONNTRACK.items()} | {
            "/proc/sys/fs/protected_symlinks": 0, "/proc/sys/fs/protected_hardlinks": 1, "/proc/sys/fs/suid_dumpable": 2, "/proc/sys/user/max_user_namespaces": 1000,
            "/sys/fs/selinux/enforce": "0", "/sys/devices/system/cpu/vulnerabilities/meltdown": "Vulnerable\n",
            "/etc/docker/daemon.json": ('{"iptables": false, "log-level": "debug"}', 0o666),
            "/etc/docker/certs.d/registry.example.org/ca.crt": ("", 0o646), "/etc/docker/key.pem": ("", 0o644),
            "/etc/systemd/system/docker.service": ("", 0o666), "/etc/group": f"docker:x:{DOCKER_GID}:eve,mallory\n",
            "/etc/systemd/system/multi-user.target.wants/firewalld.service": "", "/etc/systemd/system/sysinit.target.wants/nftables.service": "",
            "/etc/nftables.conf": "#!/usr/sbin/nft -f\nflush ruleset\n", "/etc/bulkhead/bulkhead.yaml": ("version: 1\nmode: enforce\nzone: 3\n", 0o664),
            "/var/lib/bulkhead/policy": ("", 0o666), "/run/bulkhead/control.sock": ("", 0o666), "/run/containerd/containerd.sock": ("", 0o666),
            "/var/lib/dpkg/status": STATUS.format(9), f"/var/lib/apt/lists/{SECURITY_LIST}": LIST, "/run/reboot-required": "",
            "/boot/vmlinuz-99.0.0-1-amd64": "", "/var/lib/docker/x": ""})
        old = time.time() - 30 * 86400
        self.sh(f"touch -d @{int(old)} /var/lib/apt/lists; mount -t tmpfs tmpfs /proc/sys/net/bridge; chmod 755 /var/lib/docker")
        self.settings(1, rp_filter=0, send_redirects=1, accept_redirects=1, accept_source_route=1, route_localnet=1, accept_ra=2)
        self.sh("echo 0 > /proc/sys/net/ipv4/tcp_syncookies")

    def settings(self, forward, **knobs):
        """Of all links of both families."""
        script = f"echo {forward} > /proc/sys/net/ipv4/ip_forward; "
        for k, v in knobs.items():
            script += f"for f in /proc/sys/net/ipv[46]/conf/*/{k}; do [ ! -e $f ] || echo {v} > $f; done; "
        self.sh(script)

    def unattended(self):
        """Has unattended-upgrade, and from here on no other program in /usr/bin."""
        self.sh(f"mkdir -p {self.top}/bin; touch {self.top}/bin/unattended-upgrade; chmod 755 {self.top}/bin/unattended-upgrade; mount --bind {self.top}/bin /usr/bin")


class Doctor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.good = Host(INFO, ["-H", "fd://", "--tlsverify", "--host=tcp://0.0.0.0:2376"])
        cls.addClassCleanup(cls.good.close)
        cls.bad = Host(BAD_INFO, ["-H", "tcp://0.0.0.0:2375", "--tlskey", "/etc/docker/key.pem"])
        cls.addClassCleanup(cls.bad.close)
        cls.good.be_good()
        cls.bad.be_bad()
        cls.seen = {}

    def note(self, checks):
        for i, c in checks.items():
            self.seen.setdefault(i, set()).add(c["result"])
        return checks

    def test_1_bad(self):
        doc, checks = self.bad.doctor()
        self.note(checks)
        self.assertEqual(self.bad.code, 1)
        self.assertEqual(doc["runtime"], {"kind": "docker", "socket": "/run/docker.sock", "version": "20.10.24+dfsg1"})
        not_bad = {i: (c["result"], c["seen"]) for i, c in checks.items() if c["result"] not in BAD and i not in FIXED}
        self.assertEqual(set(not_bad), {"docker-rootless", "ip-forward", "iptables-legacy"}, not_bad)
        for i, part in (("docker-tcp", "tcp://0.0.0.0:2375, without TLS"), ("docker-socket", "/run/docker.sock has mode 0666"), ("docker-group", "eve, mallory"),
                        ("docker-insecure-registries", "registry.example.org:5000"), ("security-updates", "1 package is older than the security archive's: openssl"),
                        ("kernel-running", "99.0.0-1-amd64 is installed"), ("accept-ra", "docker0"), ("docker-key", "/etc/docker/key.pem has mode 0644"),
                        ("package-lists", "30 days"), ("bulkhead-valid", "bulkhead.yaml:3:1: unknown key 'zone' in the file: did you mean 'zones'?"),
                        ("firewall-rivals", "firewalld, nftables"), ("mac", "SELinux is permissive"), ("cpu-mitigations", "vulnerable: meltdown"),
                        ("docker-data", "/var/lib/docker has mode 0755, more than 0711"), ("bulkhead-state", "/var/lib/bulkhead/policy has mode 0666")):
            self.assertIn(part, checks[i]["seen"], i)
        self.assertEqual(checks["docker-socket"]["fix"], "chmod 0660 /run/docker.sock")

    def test_2_good(self):
        r = self.good.run(lab.program("bulkheadd"), "--once")
        doc, checks = self.good.doctor()
        self.note(checks)
        bad = {i: (c["result"], c["seen"]) for i, c in checks.items() if c["result"] not in GOOD and i not in FIXED}
        self.assertEqual(bad, {}, r.stderr)
        self.assertEqual(self.good.code, 0)
        self.assertEqual(doc["counts"]["fail"], 0)

    def test_3_one_at_a_time(self):
        """What on a host that is bad hides another, or is hidden."""
        self.bad.info = BAD_INFO | {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"], "LoggingDriver": "json-file",
                                    "Warnings": ["WARNING: API is accessible on http://0.0.0.0:2375 without encryption."]}
        r = self.bad.run("iptables-legacy", "-A", "INPUT", "-j", "ACCEPT")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.bad.sh("echo 0 > /proc/sys/net/ipv4/ip_forward")
        checks = self.note(self.bad.doctor()[1])
        want = {"docker-rootless": "warn", "docker-userns": "pass", "docker-seccomp": "pass", "docker-logging": "warn", "iptables-legacy": "warn",
                "host-firewall": "unknown", "ip-forward": "warn", "forward-policy": "pass"}
        self.assertEqual({i: checks[i]["result"] for i in want}, want)

    def test_4_every_check_both_ways(self):
        missing = {i: r for i, r in self.seen.items() if i not in FIXED and not (r & GOOD and r & BAD)}
        self.assertEqual(missing, {})
        self.assertGreater(len(self.seen), 70)
        self.assertLessEqual(FIXED, set(self.seen))

    def test_5_not_root(self):
        doc, checks = self.good.doctor(ids=("-S", "65534", "-G", "65534"))
        self.assertFalse(doc["root"])
        for i in ("nf-tables", "htb", "bulkhead-enforces", "host-firewall"):
            self.assertEqual((checks[i]["result"], checks[i]["seen"].split(": ")[-1]), ("unknown", "for root alone"), i)
        self.assertEqual(checks["docker-userns"]["result"], "unknown")
        self.assertIn("ermission denied", checks["docker-userns"]["seen"])
        self.assertEqual(checks["docker-icc"]["result"], "pass")            # its command line and file are for everybody
        self.assertEqual(checks["kptr-restrict"]["result"], "pass")

    def test_6_skip_and_configuration(self):
        names = [i for i, c in self.bad.doctor()[1].items() if c["result"] == "fail"]
        self.assertGreater(len(names), 5)
        doc, checks = self.bad.doctor("--skip", ",".join(names))
        self.assertEqual((self.bad.code, doc["counts"]["fail"], doc["counts"]["skipped"]), (0, 0, len(names)))
        self.assertEqual(checks[names[0]]["seen"], None)
        self.bad.write({"/etc/bulkhead/bulkhead.yaml": CONFIG + f"doctor:\n  skip: [{names[0]}]\n  warn: [{', '.join(x for x in names[1:] if x != 'bulkhead-valid')}]\n"})
        doc, checks = self.bad.doctor()
        self.assertEqual((self.bad.code, doc["counts"]["fail"], doc["counts"]["skipped"]), (0, 0, 1))
        self.assertEqual(checks[names[1]]["result"], "warn")
        self.bad.write({"/etc/other.yaml": "version: 1\nmode: enforce\ndoctor: {skip: [docker-ice]}\n"})
        r = self.bad.run(lab.program("bulkhead"), "doctor", "--config", "/etc/other.yaml")
        self.assertEqual((r.returncode, r.stdout), (2, ""))
        self.assertIn("other.yaml:3:17: error: unknown check 'docker-ice': did you mean 'docker-icc'?", r.stderr)
        r = self.bad.run(lab.program("bulkhead"), "doctor", "--skip", "auditd,auditt")
        self.assertEqual((r.returncode, r.stderr), (2, "bulkhead: --skip: no check 'auditt': did you mean 'auditd'?\n"))

    def test_7_text_and_nothing_changed(self):
        before = self.bad.sh("nft list ruleset; ip link; ls /run")
        r = self.bad.run(lab.program("bulkhead"), "doctor")
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        self.assertLessEqual(max(map(len, r.stdout.splitlines())), 80)
        self.assertNotIn("\033", r.stdout)
        self.assertRegex(r.stdout, r"^doctor    0 fail, \d+ warn, \d+ pass, \d+ unknown\n")
        self.assertEqual(before, self.bad.sh("nft list ruleset; ip link; ls /run"))


class Real(unittest.TestCase):
    """A Docker that is none of a script's: what it says, and its command line, found by its socket."""

    def test_docker(self):
        with lab.Lab() as l:
            r, socket = l.host.run_cmd(lab.program("bulkhead"), "doctor", "--json", "--docker", l.socket), l.socket
            doc = json.loads(r.stdout)
            version = l.host.exec("docker", "-H", f"unix://{l.socket}", "version", "-f", "{{.Server.Version}}").strip()
        checks = {c["id"]: (c["result"], c["seen"]) for c in doc["checks"]}
        self.assertEqual(doc["runtime"], {"kind": "docker", "socket": socket, "version": version})
        self.assertEqual(checks["docker-version"], ("pass" if int(version.split(".")[0]) >= 28 else "warn", version))
        self.assertEqual({i: c for i, c in checks.items() if i.startswith("docker-") and c[0] == "unknown"}, {})
        for i, want in (("docker-tcp", ("pass", "no tcp:// socket")), ("docker-icc", ("warn", "icc of the default bridge: true")),
                        ("docker-experimental", ("warn", "on")), ("docker-seccomp", ("pass", "containers have a profile")), ("docker-rootless", ("pass", "rootful")),
                        ("docker-userland-proxy", ("warn", "userland-proxy: true, as it is unless told")), ("docker-iptables", ("pass", "iptables: true, as it is unless told"))):
            self.assertEqual(checks[i], want)


if __name__ == "__main__":
    tap.main()
