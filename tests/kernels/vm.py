# SPDX-License-Identifier: Apache-2.0
"""A machine of its own: Debian with its own kernel, systemd and Docker, in qemu; with KVM where there is one, slower where not.

The root file system is made once of Debian's packages and kept in build-test/vm; bulkhead and the guest's script are put
into a copy. The machine has no network but its own.
"""
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tarfile

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lab"))
import lab  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
CACHE = TOP / "build-test" / "vm"
PACKAGES = ("systemd systemd-sysv dbus kmod iproute2 procps docker.io apparmor iptables nftables libnftnl11 libmnl0 "
            "libnl-3-200 libnl-route-3-200 libyaml-0-2 libcurl4 libjansson4 libsystemd0 libnetfilter-conntrack3 libnetfilter-log1 "
            "libmicrohttpd12 libncursesw6")
KERNEL = "linux-image-cloud-amd64"     # Debian 12's own
BACKPORT = "linux-image-6.12-cloud-amd64"
# for the containers of common.sh
CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
  api: {select: {labels: {tier: api}}}
  db: {select: {labels: {tier: db}}}
allow:
  - {from: api, to: db, ports: [udp/5432]}
"""
UNIT = """[Unit]
After=docker.service bulkheadd.service
[Service]
Type=oneshot
ExecStart=/usr/share/guest/{script}
TimeoutStartSec=1800
[Install]
WantedBy=multi-user.target
"""


def sh(*cmd, **kw):
    env = {**os.environ, "PATH": lab.PATH, **kw.pop("env", {})}
    r = subprocess.run([str(c) for c in cmd], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=env, **kw)
    if r.returncode:
        raise RuntimeError(f"{' '.join(map(str, cmd))}: status {r.returncode}\n{r.stdout[-3000:]}")
    return r.stdout


def debian(packages):
    """The root file system as Debian's packages make it, security updates too, as a tar."""
    path = CACHE / f"debian-{hashlib.sha256(packages.encode()).hexdigest()[:16]}.tar"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".half.tar")
        sh("mmdebstrap", "--variant=minbase", f"--include={','.join(packages.split())}", "bookworm", half)
        half.rename(path)
    return path


def has_kvm():
    """The device may be there where the processor has nothing behind it; a machine then hangs before its first line."""
    return os.access("/dev/kvm", os.W_OK) and bool(re.search(r"\b(vmx|svm)\b", pathlib.Path("/proc/cpuinfo").read_text()))


def image(path):
    """What a container needs: probe and firstpkt, as a tar for docker import."""
    with tarfile.open(path, "w") as t:
        for name in ("probe", "firstpkt"):
            t.add(lab.compiled(name), f"bin/{name}")


class Machine:
    """root: its files before the first boot. boot() runs it until it powers itself off."""

    def __init__(self, work, kernel=KERNEL, packages=""):
        self.work = pathlib.Path(work)
        self.root = self.work / "root"
        self.root.mkdir()
        sh("tar", "-C", self.root, "-xf", debian(f"{PACKAGES} {kernel} {packages}"))

    def write(self, name, text, mode=0o644):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def guest(self, script):
        """What it runs at each boot, and the image of its containers."""
        shutil.copytree(HERE, self.root / "usr/share/guest")
        image(self.root / "usr/share/guest/image.tar")
        self.write("etc/systemd/system/guest.service", UNIT.format(script=script))
        self.write("etc/fstab", "/dev/vda / ext4 defaults 0 1\n")
        self.write("etc/hostname", "guest\n")
        sh("systemctl", "--root", self.root, "enable", "docker", "guest")
        sh("systemctl", "--root", self.root, "mask", "serial-getty@ttyS0")     # a getty hangs up who writes there
        (self.root / "var/lib/guest").mkdir()
        (self.root / "var/log/journal").mkdir(exist_ok=True)

    def install(self, config):
        """bulkhead, as `meson install` does, enabled, with that configuration; Docker told nothing."""
        build = CACHE / "build"
        if not (build / "build.ninja").exists():
            sh("meson", "setup", build, TOP, "--prefix=/usr/local", "--sysconfdir=/etc", "-Dbuildtype=debugoptimized")
        sh("ninja", "-C", build)
        sh("meson", "install", "-C", build, "--no-rebuild", env={"DESTDIR": str(self.root)})
        self.write("etc/bulkhead/bulkhead.yaml", config)
        sh("systemctl", "--root", self.root, "enable", "bulkheadd")

    def boot(self, seconds):
        """Boots until it powers off; what its console said."""
        disk = self.work / "disk"
        sh("mke2fs", "-q", "-t", "ext4", "-d", self.root, disk, "4G")
        kernel = next((self.root / "boot").glob("vmlinuz-*"))
        initrd = next((self.root / "boot").glob("initrd.img-*"))
        kvm = ["-enable-kvm", "-cpu", "host"] if has_kvm() else ["-accel", "tcg,thread=multi", "-cpu", "max"]
        cmd = ["qemu-system-x86_64", *kvm, "-smp", "2", "-m", "1536", "-display", "none", "-monitor", "none", "-nic", "none",
               "-serial", f"file:{self.work}/console", "-drive", f"file={disk},format=raw,if=virtio,cache=unsafe",
               "-kernel", kernel, "-initrd", initrd, "-append", "root=/dev/vda rw console=ttyS0 quiet"]
        p = subprocess.Popen([str(c) for c in cmd], env={**os.environ, "PATH": lab.PATH}, start_new_session=True)
        try:
            p.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if p.poll() is None:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
        return (self.work / "console").read_text(errors="replace")


def results(console):
    """{step: {name: [value…]}} of the lines RESULT STEP NAME VALUE."""
    out = {}
    for step, name, value in re.findall(r"\bRESULT (\d+) (\S+) ?([^\r\n]*)", console, re.M):
        out.setdefault(int(step), {}).setdefault(name, []).append(value)
    return out
