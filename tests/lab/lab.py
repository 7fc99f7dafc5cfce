# SPDX-License-Identifier: Apache-2.0
"""A Docker host to test on: dockerd, containers, an outside, all in namespaces.

    with lab.Lab() as l:
        front = l.network("front")
        web = l.run("web1", labels={"tier": "web"}, network="front")
        d = l.bulkheadd(CONFIG)
        r = l.receiver(web, [80, 81])
        l.send(l.out, [("tcp", web.ip4, 80, "hello")])

Nothing outside is touched but a folder in /var/tmp and a cgroup, both named after
this process. The lab lives in a pid namespace whose first process ends when this
process does, however that comes about; `tests/lab/reap` removes what is left of the
folder and the cgroup of dead runs. Python 3.11 and its standard library only.

The lab's network:   outside 198.51.100.2..9, 2001:db8:51::2..9   (l.out), and beyond the
                             host's networks 203.0.113.2, 2001:db8:99::2
                     host    198.51.100.1,    2001:db8:51::1      (l.host)
                     docker0 10.111.0.0/24, 2001:db8:d0:1::/64; networks of l.network()
                     10.111.N.0/24, 2001:db8:d0:N::/64, N from 16
"""
import atexit
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
BASE = os.environ.get("BH_LAB_DIR", "/var/tmp")
PREFIX = "bh-lab-"
# A newer docker or nft of the machine's own may be in /usr/local.
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
OUT4, OUT6 = "198.51.100.2", "2001:db8:51::2"
HOST4, HOST6 = "198.51.100.1", "2001:db8:51::1"
# What is not on-link anywhere: the outside's, too, behind the default route.
INTERNET4, INTERNET6 = "203.0.113.2", "2001:db8:99::2"
UPLINK = "up0"
# For a container with IPv6 dockerd runs itself five times; half of what that costs is garbage collected while it starts.
FRUGAL = {"GOGC": "400"}

TIER = os.environ.get("BH_TIER", "test")
SOAK = TIER == "soak"


class LabError(Exception):
    pass


def build_dir():
    """Where bulkheadd and bulkhead are: BH_BUILD, or the usual names."""
    for d in (os.environ.get("BH_BUILD"), TOP / "build-test/plain", TOP / "build"):
        if d and (pathlib.Path(d) / "build.ninja").exists():
            return pathlib.Path(d).resolve()
    raise LabError("no build directory: run tools/test, or set BH_BUILD")


def program(name):
    for sub in ("src/daemon", "src/cli", "src", "."):
        p = build_dir() / sub / name
        if p.is_file():
            return str(p)
    raise LabError(f"{name} is not built in {build_dir()}")


def start_time(pid):
    """Tells a process from a later one with the same number; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None


def wait_for(what, cond, timeout=10, step=0.02):
    end = time.monotonic() + timeout
    while True:
        r = cond()
        if r:
            return r
        if time.monotonic() > end:
            raise LabError(f"timed out after {timeout} s: {what}")
        time.sleep(step)


def remove_cgroups(name):
    """Kills what is left in the cgroups of that name and removes them."""
    tops = [p for p in pathlib.Path("/sys/fs/cgroup").glob(f"*/{name}")]
    tops += [p for p in [pathlib.Path("/sys/fs/cgroup") / name] if p.exists()]
    for attempt in range(20):
        left = False
        for top in tops:
            for d, _, _ in os.walk(top, topdown=False):
                try:
                    for pid in (pathlib.Path(d) / "cgroup.procs").read_text().split():
                        if pid != "0":
                            os.kill(int(pid), signal.SIGKILL)
                    os.rmdir(d)
                except FileNotFoundError:
                    pass
                except OSError:
                    left = True
        if not left:
            return
        time.sleep(0.05)


def remove_root(root):
    """The folder of a lab that is dead. Its mounts went with its mount namespace."""
    for attempt in range(50):
        try:
            shutil.rmtree(root)
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.05)
    shutil.rmtree(root, ignore_errors=True)


class _Api(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def compiled(name):
    """tests/lab/NAME.c, static; compiled once for each text of it, and kept in the build directory."""
    source = HERE / f"{name}.c"
    cc = ["cc", "-O2", "-std=gnu17", "-Wall", "-static"]
    text = " ".join(cc).encode() + source.read_bytes()
    kept = build_dir() / "lab" / f"{name}-{hashlib.sha256(text).hexdigest()[:16]}"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        # others may be at the same: whoever comes last replaces a whole file by its like
        half = kept.with_name(f"{kept.name}.{os.getpid()}.{threading.get_ident()}")
        r = subprocess.run([*cc, "-o", half, source], capture_output=True, text=True, env={**os.environ, "PATH": PATH})
        if r.returncode:
            raise LabError(f"{name}.c does not compile: {r.stderr}")
        half.rename(kept)
    return kept


def without_passing(listing):
    """What nft lists, without what packets have put into sets for a while."""
    return re.sub(r"(\t\tflags dynamic,timeout\n(?:(?!\t\}|\t\telements).*\n)*)\t\telements = \{(?:(?!\t\}\n).*\n)*", r"\1", listing)


class Place:
    """A network namespace: the host's, the outside's or a container's."""

    def __init__(self, lab, name, enter):
        self.lab, self.name, self._enter = lab, name, enter

    def argv(self, cmd):
        return [self.lab.bin("labns"), "in", str(self.lab.holder), *self._enter, "--", *map(str, cmd)]

    def exec(self, *cmd, check=True, input=None, timeout=60, env=None):
        """Runs a command there, returns what it printed; LabError when it fails."""
        r = self.run_cmd(*cmd, input=input, timeout=timeout, env=env)
        if check and r.returncode:
            raise LabError(f"{self.name}: {' '.join(map(str, cmd))}: status {r.returncode}: "
                           f"{(r.stderr or r.stdout).strip()[-2000:]}")
        return r.stdout

    def run_cmd(self, *cmd, input=None, timeout=60, env=None):
        return subprocess.run(self.argv(cmd), input=input, text=True, capture_output=True, timeout=timeout,
                              env={**self.lab.env, **(env or {})}, stdin=None if input is not None else subprocess.DEVNULL)

    def popen(self, *cmd, stdout=None, stderr=None, stdin=subprocess.DEVNULL, env=None, text=True):
        p = subprocess.Popen(self.argv(cmd), stdin=stdin, stdout=stdout, stderr=stderr, text=text,
                             env={**self.lab.env, **(env or {})})
        self.lab.children.append(p)
        return p


class Container(Place):
    def __init__(self, lab, cid, name):
        super().__init__(lab, name, [])
        self.id = cid
        self.refresh()

    def refresh(self):
        i = self.lab.api("GET", f"/containers/{self.id}/json")
        self.info = i
        self.pid = i["State"]["Pid"]
        self.networks = i["NetworkSettings"]["Networks"]
        self._enter = ["-p", str(self.pid)]
        first = next(iter(self.networks.values()), {})
        self.ip4, self.ip6 = first.get("IPAddress"), first.get("GlobalIPv6Address")
        self.mac = first.get("MacAddress")
        return self

    def address(self, network, family=4):
        n = self.networks[network]
        return n["IPAddress"] if family == 4 else n["GlobalIPv6Address"]

    def logs(self):
        return self.lab.docker("logs", self.id)

    def remove(self):
        self.lab.api("DELETE", f"/containers/{self.id}?force=1")

    def stop(self):
        self.lab.api("POST", f"/containers/{self.id}/kill")
        self.lab.api("POST", f"/containers/{self.id}/wait")

    def start(self):
        self.lab.api("POST", f"/containers/{self.id}/start")
        return self.refresh()


class Receiver:
    """Everything that arrives at some ports of a place. lines: [time_us, proto, port, source, marker]"""

    def __init__(self, place, ports):
        lab = place.lab
        self.place = place
        fd, self.path = tempfile.mkstemp(dir=lab.root, prefix="recv-")
        self.proc = place.popen(lab.bin("probe"), "recv", ",".join(map(str, ports)), stdout=fd)
        os.close(fd)
        wait_for(f"receiver in {place.name}", lambda: self.text().startswith("ready") or self.dead())

    def dead(self):
        if self.proc.poll() is not None:
            raise LabError(f"receiver in {self.place.name} ended with {self.proc.returncode}")

    def text(self):
        with open(self.path, errors="replace") as f:
            return f.read()

    def lines(self):
        out = []
        for line in self.text().splitlines():
            w = line.split(" ", 4)
            if len(w) == 5:
                out.append([int(w[0]), w[1], int(w[2]), w[3], w[4]])
        return out

    def markers(self):
        return {line[4] for line in self.lines()}

    def count(self, marker):
        return sum(1 for line in self.lines() if line[4].startswith(marker))

    def stop(self):
        self.proc.kill()
        self.proc.wait()


class Daemon:
    """bulkheadd in the lab, with its files under the lab's root."""

    def __init__(self, lab, config, name="bulkhead", extra=(), wait=True, conf_d=None, valgrind=None, mask=None,
                 start=True):
        self.lab = lab
        self.mask = mask  # kernel features to do without: names of struct bh_features, with commas
        self.dir = lab.root / name
        self.dir.mkdir(exist_ok=True)
        self.config = self.dir / "bulkhead.yaml"
        self.socket = self.dir / "control.sock"
        self.state = self.dir / "state"
        self.log_path = self.dir / "log"
        self.extra = list(extra)
        self.valgrind = valgrind if valgrind is not None else bool(os.environ.get("BH_VALGRIND"))
        self.proc = None
        lab.daemons.append(self)
        if config is not None:
            self.write(config)
        for file, text in (conf_d or {}).items():
            (self.dir / "conf.d").mkdir(exist_ok=True)
            (self.dir / "conf.d" / file).write_text(text)
        if start:
            self.start(wait)

    def write(self, config):
        self.config.write_text(config)
        os.chmod(self.config, 0o644)

    def argv(self, *more):
        cmd = [program("bulkheadd"), "--config", self.config, "--socket", self.socket, "--state", self.state,
               "--runtime", f"docker={self.lab.socket}", *self.extra, *more]
        if self.valgrind:
            cmd = ["valgrind", "-q", "--leak-check=full", "--show-leak-kinds=definite", "--error-exitcode=99",
                   "--errors-for-leak-kinds=definite",
                   f"--suppressions={HERE}/valgrind.supp", *cmd]
        return cmd

    def start(self, wait=True, timeout=None):
        """Ready is what sd_notify says, so that the tests hold the daemon to its word."""
        path = str(self.dir / "notify")
        if os.path.exists(path):
            os.unlink(path)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(path)
        os.chmod(path, 0o666)
        timeout = timeout or (120 if self.valgrind else 30)
        with open(self.log_path, "a") as log:
            self.proc = self.lab.host.popen(*self.argv("--foreground"), stdout=log, stderr=log,
                                            env={"NOTIFY_SOCKET": path, "BULKHEAD_TEST_MASK": self.mask or ""})
        if not wait:
            notify.close()
            return self
        notify.settimeout(0.1)
        end = time.monotonic() + timeout
        try:
            while True:
                if self.proc.poll() is not None:
                    raise LabError(f"bulkheadd ended with {self.proc.returncode}:\n{self.log()[-3000:]}")
                if time.monotonic() > end:
                    raise LabError(f"bulkheadd not ready in {timeout} s:\n{self.log()[-3000:]}")
                try:
                    if b"READY=1" in notify.recv(4096):
                        return self
                except socket.timeout:
                    pass
        finally:
            # The daemon may go on to notify; nobody listens, which it must bear.
            notify.close()

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def memory_problems(self):
        """What valgrind said, once the daemon has ended by itself."""
        if not self.valgrind:
            return []
        try:
            self.stop()
        except LabError as e:
            return [str(e)]
        return [line for line in self.log().splitlines() if line.startswith("==")]

    def signal(self, sig):
        self.proc.send_signal(sig)

    def kill(self):
        """SIGKILL: the helper dies, and the daemon with it by its parent-death signal."""
        pids = set(self.lab.pids_of("bulkheadd", str(self.socket)))
        self.proc.kill()
        self.proc.wait()
        # its command line goes before its sockets do, which own the tables: by number
        wait_for("bulkheadd to be gone", lambda: not pids & set(self.lab.pids_of("bulkheadd")))

    def stop(self, timeout=20):
        if self.proc and self.proc.poll() is None:
            self.proc.terminate()
            try:
                return self.proc.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise LabError(f"bulkheadd did not stop in {timeout} s")
        return self.proc.returncode if self.proc else None

    def cli(self, *args, check=False, timeout=30, env=None):
        """bulkhead VERB ... as a CompletedProcess."""
        r = self.lab.host.run_cmd(program("bulkhead"), args[0], "--socket", self.socket, *args[1:],
                                  timeout=timeout, env=env)
        if check and r.returncode:
            raise LabError(f"bulkhead {' '.join(map(str, args))}: status {r.returncode}: {r.stderr or r.stdout}")
        return r

    def ask(self, verb, timeout=30, **arguments):
        """One call to the daemon's control socket, without a process for it. The answer's document."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(str(self.socket))
            s.sendall(json.dumps({"version": 1, "verb": verb, **arguments}).encode() + b"\n")
            text = b""
            while not text.endswith(b"\n"):
                more = s.recv(65536)
                if not more:
                    raise LabError(f"{verb}: bulkheadd ended the connection after {text[:200]}")
                text += more
        return json.loads(text)

    def status(self):
        """What `bulkhead status --json` prints, asked for without it while the daemon answers: tests wait for it to say something."""
        try:
            r = self.ask("status", 15)
            if r["ok"]:
                return r["result"]
        except TimeoutError:
            raise LabError("status: no answer in 15 s")
        except (OSError, LabError):
            pass
        return self.printed_status()

    def printed_status(self):
        r = self.cli("status", "--json")
        try:
            return json.loads(r.stdout)
        except ValueError:
            raise LabError(f"bulkhead status --json: status {r.returncode}: {r.stderr}{r.stdout[:500]}")

    def reload(self, config=None):
        if config is not None:
            self.write(config)
        return self.cli("reload", check=True)

    def reload_asked(self, config):
        """The same without a process, and whether it is loaded or not: the answer's document."""
        self.write(config)
        return self.ask("reload")

    def zone_of(self, name):
        return next((c["zone"] for c in self.status()["containers"] if c["name"] == name), None)

    def wait_zone(self, name, zone, timeout=10):
        wait_for(f"{name} in zone {zone}", lambda: self.zone_of(name) == zone, timeout, 0.05)

    def teardown(self, check=True):
        """Stops the daemon when it runs, and removes everything from the kernel."""
        self.stop()
        r = self.lab.host.run_cmd(*self.argv("--teardown"), timeout=30)
        if check and r.returncode:
            raise LabError(f"bulkheadd --teardown: status {r.returncode}: {r.stderr}{r.stdout}")
        return r


class Lab:
    def __init__(self, docker=True, dockerd_options=(), keep=None, ip6tables=True, frugal=True):
        """frugal=False: containers start no faster than on any other host."""
        self.env = {"PATH": PATH, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "HOME": "/root", "TERM": "dumb"}
        for k in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "BH_TIER", "BH_SEED"):
            if k in os.environ:
                self.env[k] = os.environ[k]
        self.keep = keep if keep is not None else bool(os.environ.get("BH_LAB_KEEP"))
        self.with_docker = docker
        self.dockerd_options = [*(["--experimental", "--ip6tables"] if ip6tables else []), *dockerd_options]
        self.env.update(FRUGAL if frugal else {})
        self.children = []
        self.daemons = []
        self.holder = self._holder = self.dockerd = None
        self.networks = {}
        self._next_net = 16
        self._lock = threading.Lock()
        self.root = None

    # -- life ---------------------------------------------------------------

    def __enter__(self):
        return self.up()

    def __exit__(self, *exc):
        self.down()

    def up(self):
        if os.geteuid() != 0:
            raise LabError("the lab needs root")
        pid = os.getpid()
        self.root = pathlib.Path(tempfile.mkdtemp(prefix=f"{PREFIX}{pid}-{start_time(pid)}-", dir=BASE))
        self.cgroup = self.root.name
        os.chmod(self.root, 0o755)
        atexit.register(self.down)
        try:
            self._build_tools()
            if self.with_docker:
                (self.root / "docker").mkdir()  # in memory, seen from inside alone: labns.c
            self._namespaces()
            if self.with_docker:
                self._start_dockerd()
                self._import_image()
        except BaseException:
            self.down()
            raise
        return self

    def down(self):
        atexit.unregister(self.down)
        if self.root is None:
            return
        problems = [text for d in self.daemons for text in d.memory_problems()]
        root, self.root = self.root, None
        if self._holder:
            # Closing its standard input ends the first process of the pid namespace, and
            # with it dockerd, every container, every daemon under test.
            try:
                self._holder.stdin.close()
                self._holder.wait(20)
            except (OSError, subprocess.TimeoutExpired):
                self._holder.kill()
        for p in self.children:
            if p.poll() is None:
                p.kill()
            p.wait()
            for f in (p.stdin, p.stdout, p.stderr):
                if f:
                    f.close()
        remove_cgroups(self.cgroup)
        if self.keep:
            print(f"# lab: kept {root}", flush=True)
        else:
            remove_root(root)
        if problems:
            raise LabError("valgrind:\n" + "\n".join(problems[:60]))

    def bin(self, name):
        return str(self.root / "bin" / name)

    def _build_tools(self):
        (self.root / "bin").mkdir()
        parallel([lambda n=n: self.tool(n) for n in ("labns", "probe", "firstpkt")])

    def tool(self, name):
        """tests/lab/NAME.c as bin/NAME."""
        shutil.copy(compiled(name), self.bin(name))
        return self.bin(name)

    def _namespaces(self):
        self._holder = subprocess.Popen([self.bin("labns"), "hold", self.root], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env)
        if self._holder.stdout.readline().strip() != "ready":
            self._holder.wait(5)
            raise LabError(f"the namespaces do not start: {self._holder.stderr.read()}")
        path = self.root / "holder"  # written by its parent, at about the same time
        self.holder = int(wait_for("the holder's pid", lambda: path.exists() and path.read_text().endswith("\n") and path.read_text()))
        self.host = Place(self, "host", [])
        self.host.exec("ip", "netns", "add", "out")
        self.out = Place(self, "out", ["-n", "/run/netns/out"])
        # Without accept_dad=0 link-local addresses are tentative for 1-2 s and the first
        # IPv6 packets are lost, which would look like a denial.
        quiet = "for i in all default; do echo 0 > /proc/sys/net/ipv6/conf/$i/accept_dad; done; ip link set lo up;"
        self.host.exec("sh", "-ec", quiet + f"""
            ip link add {UPLINK} type veth peer name eth0 netns out
            ip addr add {HOST4}/24 dev {UPLINK}; ip addr add {HOST6}/64 dev {UPLINK} nodad
            ip link set {UPLINK} up
            ip route add default via {OUT4}; ip -6 route add default via {OUT6}
            echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding""")
        # Only the container networks are beyond the host.
        self.out.exec("sh", "-ec", quiet + f"""
            for i in 2 3 4 5 6 7 8 9; do
                ip addr add 198.51.100.$i/24 dev eth0; ip addr add 2001:db8:51::$i/64 dev eth0 nodad; done
            ip link set eth0 up
            ip addr add {INTERNET4}/32 dev lo; ip addr add {INTERNET6}/128 dev lo nodad
            ip route add 10.111.0.0/16 via {HOST4}; ip -6 route add 2001:db8:d0::/44 via {HOST6}""")

    # -- dockerd ------------------------------------------------------------

    @property
    def socket(self):
        return str(self.root / "docker.sock")

    def api(self, method, path, body=None, timeout=120, raw=False, content=None):
        """One call to dockerd's API; LabError with its message when it refuses."""
        c = _Api(self.socket, timeout)
        try:
            data = content if content is not None else (json.dumps(body) if body is not None else None)
            headers = {"Content-Type": "application/x-tar" if content is not None else "application/json"} if data else {}
            c.request(method, path, data, headers)
            r = c.getresponse()
            text = r.read()
        finally:
            c.close()
        if r.status >= 400:
            raise LabError(f"docker {method} {path}: {r.status} {text.decode(errors='replace').strip()}")
        if raw:
            return text
        try:
            return json.loads(text) if text.strip() else None
        except ValueError:
            return text.decode(errors="replace")

    def docker(self, *args, check=True, timeout=60):
        """The docker command of the distribution against the lab's dockerd."""
        return self.host.exec("docker", "-H", f"unix://{self.socket}", *args, check=check, timeout=timeout)

    def _start_dockerd(self):
        (self.root / "none.json").write_text("{}")
        for attempt in range(2):
            with open(self.root / "dockerd.log", "a") as log:
                self.dockerd = self.host.popen(
                    "dockerd", "--config-file", self.root / "none.json", "--data-root", self.root / "docker/data",
                    "--exec-root", self.root / "docker/exec", "--pidfile", self.root / "docker.pid",
                    # no NSS for a docker group in odd places; root is always there
                    "-H", f"unix://{self.socket}", "--group", "root",
                    "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", f"/{self.cgroup}",
                    "--bip", "10.111.0.1/24", "--default-address-pool", "base=10.112.0.0/14,size=24",
                    "--ipv6", "--fixed-cidr-v6", "2001:db8:d0:1::/64",
                    *self.dockerd_options, stdout=log, stderr=log)
            end = time.monotonic() + 90
            while time.monotonic() < end and self.dockerd.poll() is None:
                try:
                    if self.api("GET", "/_ping", timeout=2) == "OK":
                        return
                except (OSError, http.client.HTTPException, LabError):
                    pass
                time.sleep(0.05)
            self.dockerd.kill()
        raise LabError(f"dockerd does not start:\n{(self.root / 'dockerd.log').read_text()[-3000:]}")

    def restart_dockerd(self):
        self.dockerd.terminate()
        self.dockerd.wait(30)
        wait_for("dockerd to be gone", lambda: not (self.root / "docker.pid").exists(), 10)
        self._start_dockerd()

    def _import_image(self):
        """busybox, iperf3 with its libraries, firstpkt and probe; no name service in it."""
        path = self.root / "image.tar"
        with tarfile.open(path, "w") as t:
            def add_dir(name, mode=0o755):
                i = tarfile.TarInfo(name)
                i.type, i.mode = tarfile.DIRTYPE, mode
                t.addfile(i)

            def add_file(src, name):
                i = t.gettarinfo(os.path.realpath(src), arcname=name)
                i.mode, i.uid, i.gid, i.uname, i.gname = 0o755, 0, 0, "", ""
                i.type, i.linkname = tarfile.REGTYPE, ""
                i.size = os.stat(os.path.realpath(src)).st_size
                with open(src, "rb") as f:
                    t.addfile(i, f)
            for d in ("bin", "sbin", "usr", "usr/bin", "etc", "proc", "sys", "dev", "root", "run", "var"):
                add_dir(d)
            add_dir("tmp", 0o1777)
            busybox = shutil.which("busybox", path=PATH)
            if not busybox:
                raise LabError("busybox is not installed (package busybox-static)")
            add_file(busybox, "bin/busybox")
            for a in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
                if a != "busybox":
                    i = tarfile.TarInfo(f"bin/{a}")
                    i.type, i.linkname = tarfile.SYMTYPE, "busybox"
                    t.addfile(i)
            add_file(self.bin("firstpkt"), "bin/firstpkt")
            add_file(self.bin("probe"), "bin/probe")
            iperf = shutil.which("iperf3", path=PATH)
            if iperf:
                add_file(iperf, "usr/bin/iperf3")
                ldd = subprocess.run(["ldd", iperf], capture_output=True, text=True, check=True).stdout
                for lib in sorted({w for w in ldd.split() if w.startswith("/")}):
                    add_file(lib, lib.lstrip("/"))
        with open(path, "rb") as f:
            self.api("POST", "/images/create?fromSrc=-&repo=lab&tag=latest&"
                     + urllib.parse.urlencode({"changes": 'CMD ["sleep","1000000"]'}), content=f.read())

    # -- networks and containers ----------------------------------------------

    def network(self, name, ipv6=True, internal=False, labels=None, options=None):
        """A bridge network; returns the bridge's name. Subnets are given out in order."""
        with self._lock:
            n = self._next_net
            self._next_net += 1
        ipam = [{"Subnet": f"10.111.{n}.0/24"}]
        if ipv6:
            ipam.append({"Subnet": f"2001:db8:d0:{n:x}::/64"})
        r = self.api("POST", "/networks/create", {
            "Name": name, "CheckDuplicate": True, "Driver": "bridge", "EnableIPv6": ipv6, "Internal": internal,
            "IPAM": {"Config": ipam}, "Labels": labels or {}, "Options": options or {}})
        bridge = (options or {}).get("com.docker.network.bridge.name", "br-" + r["Id"][:12])
        self.networks[name] = bridge
        return bridge

    def create(self, name, labels=None, network="bridge", cmd=None, ports=None, image="lab", host_config=None, ip=None, user=None):
        """ports: {"80/tcp": "8080"}, {"80/tcp": ("127.0.0.1", "8080")} or a list of these. Returns the id; not started."""
        hc = {"NetworkMode": network, "Init": False, **(host_config or {})}
        if ports:
            hc["PortBindings"] = {k: [{"HostIp": b[0], "HostPort": str(b[1])} if isinstance(b, tuple) else {"HostPort": str(b)}
                                      for b in (v if isinstance(v, list) else [v])] for k, v in ports.items()}
        # the first process of a pid namespace does not hear SIGTERM: each end of dockerd would wait 10 s
        body = {"Image": image, "Labels": labels or {}, "HostConfig": hc, "StopTimeout": 1,
                "ExposedPorts": {k: {} for k in (ports or {})}}
        if cmd:
            body["Cmd"] = list(map(str, cmd))
        if user:
            body["User"] = user
        if ip:
            body["NetworkingConfig"] = {"EndpointsConfig": {network: {"IPAMConfig": {"IPv4Address": ip}}}}
        return self.api("POST", f"/containers/create?name={name}", body)["Id"]

    def run(self, name, **kw):
        """Creates and starts a container of the lab's image (it sleeps unless cmd is given)."""
        cid = self.create(name, **kw)
        self.api("POST", f"/containers/{cid}/start")
        return Container(self, cid, name)

    def remove_containers(self, label=None):
        f = urllib.parse.quote(json.dumps({"label": [label]} if label else {}))
        ids = [c["Id"] for c in self.api("GET", f"/containers/json?all=1&filters={f}")]
        parallel([lambda i=i: self.api("DELETE", f"/containers/{i}?force=1") for i in ids])

    def lift_docker_isolation(self):
        """Docker keeps bridges apart and closes what is not published. Its own accept
        first, in both families, so that a denial in a test is bulkhead's. To be called
        after the last network was made: Docker puts its IPv6 rules first each time."""
        for tool, chain in (("iptables", "DOCKER-USER"), ("ip6tables", "FORWARD")):
            self.host.exec(tool, "-D", chain, "-j", "ACCEPT", check=False)
            self.host.exec(tool, "-I", chain, "-j", "ACCEPT")

    # -- packets --------------------------------------------------------------

    def receiver(self, place, ports):
        return Receiver(place, ports)

    def send(self, place, cells, timeout=2.0):
        """Sends all cells (proto, address, port, marker) at once from place; the address
        may be "DESTINATION@SOURCE".
        Returns {marker: (result, ms)}; results as in probe.c."""
        text = "".join(f"{p} {a} {port} {m}\n" for p, a, port, m in cells)
        out = place.exec(self.bin("probe"), "send", int(timeout * 1000), input=text, timeout=timeout + 20)
        res = {}
        for line in out.splitlines():
            m, r, ms = line.rsplit(" ", 2)
            res[m] = (r, float(ms))
        return res

    def sniffer(self, place, seconds=3600):
        """Every frame that place receives, as probe.c's sniff prints it: .text() after .ready."""
        return Sniffer(place, seconds)

    # -- looking ----------------------------------------------------------------

    def pids_of(self, comm, arg=None):
        """Pids, as the lab numbers them, of processes called comm (with arg on the command line)."""
        out = self.host.exec("sh", "-c", "for d in /proc/[0-9]*; do read -r c < $d/comm && echo ${d#/proc/} $c "
                             "$(tr '\\0' ' ' < $d/cmdline); done 2>/dev/null; true")
        return [int(w[0]) for w in (line.split() for line in out.splitlines())
                if len(w) > 1 and w[1] == comm[:15] and (arg is None or arg in w)]

    def ruleset(self, table=None, stateless=True):
        """What nft lists; without state, also without what packets have put into sets for a while."""
        cmd = ["nft"] + (["-s"] if stateless else []) + (["list", "table", *table.split()] if table else ["list", "ruleset"])
        text = self.host.exec(*cmd)
        return without_passing(text) if stateless else text

    def kernel_state(self):
        """What teardown must leave as it was: rules, qdiscs, links, bridge settings, sysctls."""
        run = self.host.exec
        links = []
        for line in json.loads(run("ip", "-j", "-d", "link")):
            info = line.get("linkinfo", {})
            links.append({"name": line["ifname"], "flags": sorted(line["flags"]), "mtu": line["mtu"],
                          "master": line.get("master"), "kind": info.get("info_kind"),
                          "bridge": {k: v for k, v in info.get("info_data", {}).items() if not k.endswith("_timer")}
                          if info.get("info_kind") == "bridge" else None,
                          "port": info.get("info_slave_data"),
                          "qdisc": line.get("qdisc"), "group": line.get("group")})
        for link in links:
            if link["port"]:
                link["port"] = {k: v for k, v in link["port"].items() if not k.endswith("_timer")}
        qdiscs = [{k: v for k, v in q.items() if k in ("kind", "handle", "dev", "parent", "root")}
                  for q in json.loads(run("tc", "-j", "qdisc", "show"))]
        sysctl = run("sh", "-c", "cd /proc/sys/net/bridge && grep -H . * 2>/dev/null; cd /proc/sys/net; "
                     "grep -H . ipv4/ip_forward ipv4/conf/*/rp_filter ipv4/conf/*/route_localnet "
                     "ipv6/conf/*/accept_ra netfilter/nf_conntrack_tcp_loose 2>/dev/null; true")
        return {"ruleset": self.ruleset(), "links": links, "qdiscs": qdiscs, "sysctls": sysctl.splitlines(),
                "files": run("sh", "-c", "ls -A /run/bulkhead 2>/dev/null; true")}

    def bulkheadd(self, config, **kw):
        return Daemon(self, config, **kw)


class Sniffer:
    def __init__(self, place, seconds):
        lab = place.lab
        fd, self.path = tempfile.mkstemp(dir=lab.root, prefix="sniff-")
        self.proc = place.popen(lab.bin("probe"), "sniff", seconds, stdout=fd)
        os.close(fd)
        wait_for(f"sniffer in {place.name}", lambda: self.text().startswith("ready") or self._dead())

    def _dead(self):
        if self.proc.poll() is not None:
            raise LabError(f"sniffer ended with {self.proc.returncode}")

    def text(self):
        with open(self.path, errors="replace") as f:
            return f.read()

    def frames(self):
        """Dicts: time_us, type ('0800'), proto, src, dst, sport, dport, flags (int), payload."""
        keys = ("time_us", "type", "proto", "src", "dst", "sport", "dport", "flags", "payload")
        out = []
        for line in self.text().splitlines()[1:]:
            w = line.split(" ")
            if len(w) == 9:
                f = dict(zip(keys, w))
                f.update(time_us=int(w[0]), proto=int(w[2]), sport=int(w[5]), dport=int(w[6]), flags=int(w[7], 16))
                out.append(f)
        return out

    def stop(self):
        self.proc.kill()
        self.proc.wait()


def parallel(jobs, workers=8):
    """Runs callables at once, in order of results; the first exception is raised."""
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return [f.result() for f in [pool.submit(j) for j in jobs]]


def on_signal():
    """Ctrl-C and SIGTERM become exceptions, so that `with` blocks clean up."""
    def handler(sig, frame):
        raise SystemExit(128 + sig)
    for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(s, handler)


on_signal()
