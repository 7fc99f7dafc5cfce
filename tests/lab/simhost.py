# SPDX-License-Identifier: Apache-2.0
"""Containers without a runtime: veth pairs and namespaces as Docker makes them, a scripted Docker that tells of them,
and a judge that knows what the kernel has to hold.

    with simhost.SimHost(CONFIG) as h:
        web = h.start("web1", "web")
        h.stop(web)
        h.check()                       # the kernel's elements are those of the containers that run

Everything is in the lab's network namespace; a namespace of a container lives as long as this process holds it. Containers
with place=True have a name, so that programs of the lab run in them. rtnetlink(7) is spoken here, since a start has to take
milliseconds. Python 3.11 and its standard library only."""
import contextlib
import ctypes
import errno
import ipaddress
import json
import os
import pathlib
import re
import socket
import struct
import threading
import time

import lab
from fakedocker import FakeDocker, cid

BRIDGE = "br-0123456789ab"
NET4, NET6 = ipaddress.ip_network("10.111.16.0/20"), ipaddress.ip_network("2001:db8:d0:10::/64")
CLONE_NEWNET = 0x40000000
RTM_NEWLINK, RTM_DELLINK, RTM_SETLINK, RTM_GETLINK, RTM_NEWADDR, RTM_NEWROUTE = 16, 17, 19, 18, 20, 24
NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL = 1, 4, 0x400, 0x200
IFF_UP = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _call(r, what):
    if r < 0:
        raise OSError(ctypes.get_errno(), what)


def inside(fd, fn):
    """What FN returns, called by a thread that is in the network namespace FD (None: a new one)."""
    out = []

    def run():
        try:
            _call(_libc.unshare(CLONE_NEWNET) if fd is None else _libc.setns(fd, CLONE_NEWNET), "namespace")
            out.append((fn(), None))
        except Exception as e:  # noqa: BLE001 handed to the caller
            out.append((None, e))
    t = threading.Thread(target=run)
    t.start()
    t.join()
    value, error = out[0]
    if error:
        raise error
    return value


def attr(kind, data):
    data = data if isinstance(data, bytes) else struct.pack("I", data) if isinstance(data, int) else data.encode() + b"\0"
    return struct.pack("HH", len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


class Rtnl:
    """A socket of the namespace that its maker is in."""

    def __init__(self):
        self.s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self.s.bind((0, 0))
        self.s.settimeout(30)
        self.seq = 0
        self.lock = threading.Lock()

    def ask(self, kind, body, flags=0):
        with self.lock:
            self.seq += 1
            self.s.sendto(struct.pack("IHHII", len(body) + 16, kind, NLM_F_REQUEST | NLM_F_ACK | flags, self.seq, 0) + body, (0, 0))
            while True:
                data = self.s.recv(65536)
                n, t, _, seq, _ = struct.unpack_from("IHHII", data)
                if seq != self.seq:
                    continue
                if t == 2:
                    code = struct.unpack_from("i", data, 16)[0]
                    if code:
                        raise OSError(-code, os.strerror(-code))
                    return None

    def link(self, kind, body, index=0, flags=0, up=None, change=0):
        return self.ask(kind, struct.pack("BxHiII", 0, 0, index, IFF_UP if up else 0, change or (IFF_UP if up is not None else 0)) + body, flags)

    def veth(self, name, peer, mac):
        info = attr(1, "veth") + attr(2, attr(1, struct.pack("BxHiII", 0, 0, 0, 0, 0) + attr(3, peer) + attr(1, mac_bytes(mac))))
        self.link(RTM_NEWLINK, attr(3, name) + attr(18, info), flags=NLM_F_CREATE | NLM_F_EXCL)

    def addr(self, index, text, plen):
        a = ipaddress.ip_address(text)
        fam = socket.AF_INET6 if a.version == 6 else socket.AF_INET
        more = attr(8, 2) if a.version == 6 else attr(2, a.packed)     # IFA_FLAGS: IFA_F_NODAD
        self.ask(RTM_NEWADDR, struct.pack("BBBBi", fam, plen, 0, 0, index) + attr(1, a.packed) + more, NLM_F_CREATE | NLM_F_EXCL)

    def route(self, via, index):
        a = ipaddress.ip_address(via)
        fam = socket.AF_INET6 if a.version == 6 else socket.AF_INET
        self.ask(RTM_NEWROUTE, struct.pack("BBBBBBBBI", fam, 0, 0, 0, 254, 3, 0, 1, 0) + attr(5, a.packed) + attr(4, index), NLM_F_CREATE)

    def close(self):
        self.s.close()


def quiet_sysctls():
    """No duplicate address detection: the first IPv6 packets would wait for it."""
    for k in ("accept_dad", "router_solicitations"):
        for i in ("all", "default"):
            pathlib.Path(f"/proc/sys/net/ipv6/conf/{i}/{k}").write_text("0")


class Sim:
    """One container."""

    def __init__(self, host, name, tier, n, place, image="image"):
        self.host, self.name, self.tier, self.n, self.image = host, name, tier, n, image
        self.ip4, self.ip6 = str(NET4.network_address + n), str(NET6.network_address + n)
        self.mac = "02:42:" + ":".join(f"{b:02x}" for b in ipaddress.ip_address(self.ip4).packed)
        self.port, self.peer = f"veth{cid(name)[:7]}", f"vp{cid(name)[:7]}"
        self.place = None
        if place:
            host.lab.host.exec("ip", "netns", "add", name)
            self.ns = os.open(f"/proc/{host.lab.holder}/root/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
            self.place = lab.Place(host.lab, name, ["-n", f"/run/netns/{name}"])
        else:
            self.ns = inside(None, lambda: os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        self.rtnl = inside(self.ns, lambda: (quiet_sysctls(), Rtnl())[1])

    @property
    def link_local(self):
        b = mac_bytes(self.mac)
        return str(ipaddress.ip_address(b"\xfe\x80" + bytes(6) + bytes([b[0] ^ 2]) + b[1:3] + b"\xff\xfe" + b[3:]))

    def plug(self):
        """The host's end, in the bridge: what is there when Docker tells of the connection."""
        r = self.host.rtnl
        r.veth(self.port, self.peer, self.mac)
        r.link(RTM_SETLINK, attr(3, self.port) + attr(10, self.host.bridge_index), up=True)

    def move(self):
        """The other end into the namespace, as libnetwork does before the process starts."""
        def index():
            return socket.if_nametoindex("eth0")
        self.host.rtnl.link(RTM_SETLINK, attr(3, self.peer) + attr(28, self.ns))
        self.rtnl.link(RTM_SETLINK, attr(3, "lo"), up=True)
        with contextlib.suppress(OSError):
            self.rtnl.link(RTM_NEWLINK, attr(3, "eth0"), index=inside(self.ns, lambda: socket.if_nametoindex(self.peer)))
        i = inside(self.ns, index)
        self.rtnl.link(RTM_SETLINK, b"", index=i, up=True)
        self.rtnl.addr(i, self.ip4, NET4.prefixlen)
        self.rtnl.addr(i, self.ip6, NET6.prefixlen)
        self.rtnl.route(str(NET4.network_address + 1), i)
        self.rtnl.route(str(NET6.network_address + 1), i)

    def unplug(self):
        with contextlib.suppress(OSError):
            self.host.rtnl.link(RTM_DELLINK, attr(3, self.port))

    def socket(self, kind=socket.SOCK_DGRAM, family=socket.AF_INET, port=None):
        def make():
            s = socket.socket(family, kind)
            if port is not None:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("", port))
            s.setblocking(False)
            return s
        return inside(self.ns, make)

    def shout(self, *targets, port=80):
        """A datagram to each, in both families, whoever answers."""
        for family, which in ((socket.AF_INET, "ip4"), (socket.AF_INET6, "ip6")):
            with self.socket(family=family) as s:
                for t in targets:
                    with contextlib.suppress(OSError):
                        s.sendto(f"{self.name}>{t.name}\n".encode(), (getattr(t, which), port))

    def close(self):
        self.rtnl.close()
        os.close(self.ns)


def table(lab_, family):
    """{set: {key: data}} of our table, keys as nft prints them, tuples where it joins several."""
    out = {}
    # not the table: nft 1.0.6 reads beyond its names of flags where it persists and nobody owns it, and prints what is there
    listed = [o for what in ("sets", "maps")
              for o in json.loads(lab_.host.exec("nft", "-j", "list", what, family))["nftables"]]
    for o in listed:
        s = o.get("set") or o.get("map")
        if s is None or s["table"] != "bulkhead":
            continue
        elems = out[s["name"]] = {}
        for e in s.get("elem", []):
            key, data = e if isinstance(e, list) else (e, None)
            key = key["elem"]["val"] if isinstance(key, dict) and "elem" in key else key
            if isinstance(key, dict) and "concat" in key:
                key = tuple(json.dumps(k) if isinstance(k, dict) else k for k in key["concat"])
            elems[json.dumps(key) if isinstance(key, dict) else key] = data
    return out


class SimHost:
    """The lab's host with a bridge, a scripted Docker and, when CONFIG is given, a bulkheadd."""

    def __init__(self, config=None, extra=()):
        self.lab = lab.Lab(docker=False).up()
        self.sims, self.used = {}, set()
        self.lock = threading.RLock()
        self.daemon = self.fake = None
        try:
            self.lab.host.exec("sh", "-ec", f"""
                sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0
                ip link add {BRIDGE} type bridge; ip link set {BRIDGE} up
                ip addr add {NET4.network_address + 1}/{NET4.prefixlen} dev {BRIDGE}
                ip addr add {NET6.network_address + 1}/{NET6.prefixlen} dev {BRIDGE} nodad""")
            self.ns = os.open(f"/proc/{self.lab.holder}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            self.rtnl = inside(self.ns, Rtnl)
            self.bridge_index = inside(self.ns, lambda: socket.if_nametoindex(BRIDGE))
            self.fake = self.docker()
            if config is not None:
                self.daemon = self.lab.bulkheadd(config, extra=extra)
        except BaseException:
            self.close()
            raise

    def docker(self):
        """A scripted Docker at the lab's socket, with the network of the bridge and no container."""
        f = FakeDocker(self.lab.socket)
        f.network("net", bridge=BRIDGE, subnets=(str(NET4), str(NET6)))
        return f

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        if self.fake:
            self.fake.stop()
        for s in self.sims.values():
            s.close()
        self.sims = {}
        self.lab.down()

    # -- containers ------------------------------------------------------------

    def tell(self, sim, fake=None):
        """The container into Docker's lists, without an event. The tiers p… are labels of another key."""
        return (fake or self.fake).add(sim.name, {"project" if sim.tier[0] == "p" else "tier": sim.tier}, "net", n=sim.n, mac=sim.mac, image=sim.image,
                                       addresses=(f"{sim.ip4}/{NET4.prefixlen}", f"{sim.ip6}/{NET6.prefixlen}"))

    def make(self, name, tier, place=False, image="image"):
        with self.lock:
            n = next(i for i in range(2, 4000) if i not in self.used)
            self.used.add(n)
        return Sim(self, name, tier, n, place, image)

    def start(self, name, tier, events=True, place=False, shout=(), image="image"):
        """As `docker run -d`. SHOUT: whom it sends to as soon as it can."""
        s, f = self.make(name, tier, place, image), self.fake
        f.images.setdefault("sha256:" + cid(image), {})
        i = cid(name)
        s.plug()
        with f.lock:
            self.tell(s)
            f.containers[i]["State"] = "created"
        if events:
            f.event("container", "create", i)
            f.event("network", "connect", cid("net-net"), container=i)
        s.move()
        if shout:
            s.shout(*shout)
        f.containers[i]["State"] = "running"
        if events:
            f.event("container", "start", i)
        with self.lock:
            self.sims[name] = s
        return s

    def stop(self, sim, events=True):
        """As `docker rm -f`."""
        self.fake.remove(sim.name, events=events, between=sim.unplug)
        with self.lock:
            self.sims.pop(sim.name, None)
            self.used.discard(sim.n)
        sim.close()

    # -- the judge ----------------------------------------------------------------

    def table(self, family):
        return table(self.lab, family)

    def rules(self, table=None):
        """All rules and elements, in an order of their own: two of these are equal when the kernel holds the same. Who owns
        the tables is left out, since that ends with a process."""
        text = re.sub(r"(?m)#.*progname.*$|^\tflags\b[owner,persitunk ]*$", "", self.lab.ruleset(table))
        return sorted(w for w in map(str.strip, re.split(r"[,\n{}]", text)) if w)

    def differences(self):
        """How what the kernel holds differs from what runs: from nft's listing and from our own book, nothing of bulkhead's."""
        inet, bridge = self.table("inet"), self.table("bridge")
        with self.lock:
            sims = list(self.sims.values())
        want4 = {(BRIDGE, s.ip4): s.tier for s in sims}
        want6 = {(BRIDGE, a): s.tier for s in sims for a in (s.ip6, s.link_local)}
        out = []

        def same(what, got, want):
            got, want = set(got), set(want)
            if got != want:
                out.append(f"{what}: too many {sorted(got - want)[:5]}, missing {sorted(want - got)[:5]}")
        numbers = {}
        for name, want in (("zone_of4", want4), ("zone_of6", want6)):
            have = {k: v for k, v in inet[name].items() if k[0] != "lo"}
            same(name, have, want)
            for k in set(have) & set(want):
                numbers.setdefault(want[k], set()).add(json.dumps(have[k]))
        chains = {json.dumps(k): v for k, v in inet["from_zone"].items()}
        for tier, ns in numbers.items():
            to = [json.dumps(chains.get(n, chains.get(json.dumps(json.loads(n))))) for n in ns]
            if len(ns) != 1 or f"_{tier}\"" not in to[0]:
                out.append(f"zone {tier}: {ns} {to}")
        same("drops4", inet["drops4"], want4)
        same("drops6", inet["drops6"], want6)
        same("ports", bridge["ports"], {s.port for s in sims})
        same("drops", bridge["drops"], {s.port for s in sims})
        same("pinm", bridge["pinm"], {(s.port, s.mac) for s in sims})
        same("pin4", bridge["pin4"], {(s.port, s.mac, s.ip4) for s in sims})
        same("pin6", bridge["pin6"], {(s.port, s.mac, a) for s in sims for a in (s.ip6, s.link_local)})
        same("owned_mac", bridge["owned_mac"], {s.mac for s in sims})
        gw = {str(NET4.network_address + 1), "10.200.0.1"}   # and of Docker's own network, which has no bridge here
        same("owned4", set(bridge["owned4"]) - gw, {s.ip4 for s in sims})
        if len(bridge["pin6t"]) != 2 * len(sims):
            out.append(f"pin6t: {len(bridge['pin6t'])} elements for {len(sims)} containers")
        return out

    def wait_right(self, seconds=1.0, what="the matrix"):
        """Waits until the kernel holds what runs; returns after how long a look has shown it. Looking takes its time, more on
        a busy machine: a look that begins within SECONDS counts."""
        t0, diff = time.monotonic(), None
        while True:
            asked = time.monotonic() - t0
            try:
                diff = self.differences()
            except (lab.LabError, KeyError) as e:
                diff = [str(e)]
            if not diff:
                return time.monotonic() - t0
            if asked > seconds:
                raise AssertionError(f"{what} is not right after {asked:.2f} s: {diff}")
            time.sleep(0.02)

    def check(self, seconds=1.0, state="enforcing", names=False):
        """The kernel is right by our judge, and bulkhead thinks so too. NAMES: and knows of nobody else, which it cannot
        when nobody told of an end."""
        took = self.wait_right(seconds)

        def agrees():
            s = self.daemon.status()
            return (s["kernel"]["in_sync"] and (state is None or s["daemon"]["state"] == state) and
                    (not names or {c["name"] for c in s["containers"]} == set(self.sims)))
        lab.wait_for("status in sync" + ", with the same containers" * names, agrees, seconds + 4)
        return took


class Paced:
    """Datagrams with numbers from SRC to DST in both families, every GAP seconds; what does not arrive is lost."""

    def __init__(self, src, dst, port=80, gap=0.01):
        self.dst, self.port, self.gap = dst, port, gap
        fams = ((socket.AF_INET, dst.ip4), (socket.AF_INET6, dst.ip6))
        self.pairs = [(src.socket(family=f), dst.socket(family=f, port=port), a) for f, a in fams]
        for _, rx, _ in self.pairs:
            rx.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sent, self.got = [0, 0], [set(), set()]
        self.strangers = []
        self.end = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _drain(self):
        for i, (_, rx, _) in enumerate(self.pairs):
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, who = rx.recvfrom(2048)
                    if data.startswith(b"paced "):
                        self.got[i].add(int(data[6:]))
                    else:
                        self.strangers.append(data.decode(errors="replace").strip())

    def _run(self):
        while not self.end.wait(self.gap):
            for i, (tx, _, a) in enumerate(self.pairs):
                with contextlib.suppress(OSError):
                    tx.sendto(b"paced %d" % self.sent[i], (a, self.port))
                self.sent[i] += 1
            self._drain()

    def stop(self):
        """(sent, lost) of both families together."""
        self.end.set()
        self.thread.join()
        time.sleep(0.1)
        self._drain()
        for tx, rx, _ in self.pairs:
            tx.close()
            rx.close()
        return sum(self.sent), sum(n - len(g) for n, g in zip(self.sent, self.got))


class Flood:
    """One packet after the other from SRC to a port of DST, both families, until it ends; DST has a receiver."""

    def __init__(self, host, src, dst, allowed="api", port=80, mbit=2, seconds=3600):
        binary, self.allowed = host.lab.bin("probe"), allowed
        self.rx = host.lab.receiver(dst.place, [port])
        self.procs = [src.place.popen(binary, "blast", "udp", a, port, seconds, mbit, stdout=lab.subprocess.DEVNULL,
                                      stderr=lab.subprocess.DEVNULL) for a in (dst.ip4, dst.ip6)]

    def alive(self):
        return all(p.poll() is None for p in self.procs)

    def leaked(self):
        """What came from others than those that may (their names begin with ALLOWED)."""
        self.rx.dead()
        return [line for line in self.rx.text().splitlines()[1:] if not line.split(" ", 4)[-1].startswith(self.allowed)]

    def stop(self):
        """What leaked until now, and an end."""
        for p in self.procs:
            p.kill()
            p.wait()
        leaked = self.leaked() if self.rx.proc.poll() is None else []
        self.rx.stop()
        return leaked


__all__ = ["SimHost", "Paced", "Flood", "errno"]
