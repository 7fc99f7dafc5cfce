# SPDX-License-Identifier: Apache-2.0
"""Thousands of simulated containers: real veth pairs on bridges of a thousand ports (the kernel's bound is 1,024), all far
ends in one network namespace, and a scripted Docker that tells of them. Everything is in the lab's namespaces.

    with crowd.Crowd(10000) as c:
        d = c.daemon(CONFIG)
        t = c.start(); c.stop()             # one more, as Docker does; seconds from its event to the commit
"""
import ipaddress
import os
import pathlib
import re
import select
import socket
import struct
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lab"))

import lab  # noqa: E402
import simhost  # noqa: E402
from fakedocker import FakeDocker, cid  # noqa: E402
from simhost import attr  # noqa: E402

PORTS = 1000        # of one bridge
NETLINK_NETFILTER, NFNLGRP_NFTABLES, NFNL_SUBSYS_NFTABLES = 12, 7, 10
NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM, NFT_MSG_NEWGEN = 12, 14, 15


class Commits:
    """Notifications of nf_tables in the namespace of the thread that makes it: when a transaction about our elements was committed."""

    def __init__(self):
        self.s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        self.s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)    # SO_RCVBUFFORCE
        self.s.bind((0, 0))
        self.s.setsockopt(270, 1, NFNLGRP_NFTABLES)           # SOL_NETLINK, NETLINK_ADD_MEMBERSHIP
        self.s.setblocking(False)

    def drain(self):
        try:
            while True:
                self.s.recv(1 << 20)
        except BlockingIOError:
            pass
        except OSError:     # lost some: so be it
            pass

    def wait(self, kinds=(NFT_MSG_NEWSETELEM,), what=b"zone_of4\0", timeout=10.0):
        """The monotonic time at which a transaction was seen that has a message of KINDS about the set WHAT."""
        seen, end = False, time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.s], [], [], left)[0]:
                raise lab.LabError("no transaction")
            try:
                data = self.s.recv(1 << 20)
            except OSError:
                continue
            now, at = time.monotonic(), 0
            while at + 16 <= len(data):
                n, kind = struct.unpack_from("IH", data, at)
                if kind >> 8 == NFNL_SUBSYS_NFTABLES:
                    if kind & 0xff == NFT_MSG_NEWGEN and seen:
                        return now
                    if kind & 0xff in kinds and what in data[at:at + 96]:
                        seen = True
                at += (n + 3) & ~3

    def close(self):
        self.s.close()


class One:
    """Where the I-th container is."""

    def __init__(self, i):
        self.i, self.net, self.name = i, i // PORTS, f"c{i}"
        n = i % PORTS + 2
        self.ip4 = f"10.{128 + self.net}.{n >> 8}.{n & 255}"
        self.ip6 = f"2001:db8:{self.net:x}::{n:x}"
        self.mac = "02:42:" + ":".join(f"{b:02x}" for b in ipaddress.ip_address(self.ip4).packed)
        self.port, self.peer = f"veth{cid(self.name)[:7]}", f"p{i}"
        self.network, self.bridge = f"net{self.net}", f"br-{self.net:012x}"


class Crowd:
    def __init__(self, n, zones=10, more=1000):
        """N containers that run, in ZONES tiers, and room on bridges for MORE."""
        self.n, self.zones, self.daemons, self.fake = n, zones, [], None
        self.lab = lab.Lab(docker=False).up()
        try:
            self.ns = os.open(f"/proc/{self.lab.holder}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            self.far = simhost.inside(None, lambda: (simhost.quiet_sysctls(),
                                                     os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))[1])
            self.rtnl = simhost.inside(self.ns, simhost.Rtnl)
            self.commits = None
            self.listen()
            self.fake = FakeDocker(self.lab.socket)
            self.index = {}
            for net in range((n + more + PORTS - 1) // PORTS):
                self._bridge(One(net * PORTS))
            for i in range(n):
                self.plug(One(i))
                self.tell(One(i))
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        if self.fake:
            self.fake.stop()
        self.lab.down()
        os.close(self.far)

    def listen(self):
        self.commits = simhost.inside(self.ns, Commits)

    def _bridge(self, o):
        g4, g6 = f"10.{128 + o.net}.0.1", f"2001:db8:{o.net:x}::1"
        self.lab.host.exec("sh", "-ec", f"""ip link add {o.bridge} type bridge; ip link set {o.bridge} up
            ip addr add {g4}/16 dev {o.bridge}; ip addr add {g6}/64 dev {o.bridge} nodad""")
        self.fake.network(o.network, bridge=o.bridge, subnets=(f"10.{128 + o.net}.0.0/16", f"2001:db8:{o.net:x}::/64"))
        self.index[o.net] = simhost.inside(self.ns, lambda: socket.if_nametoindex(o.bridge))

    def tier(self, o):
        return f"t{o.i % self.zones}"

    def plug(self, o):
        """Its veth pair with one message: one end a port, the other far away."""
        peer = struct.pack("BxHiII", 0, 0, 0, 0, 0) + attr(3, o.peer) + attr(1, simhost.mac_bytes(o.mac)) + attr(28, self.far)
        self.rtnl.link(simhost.RTM_NEWLINK, attr(3, o.port) + attr(10, self.index[o.net]) + attr(18, attr(1, "veth") + attr(2, attr(1, peer))),
                       flags=simhost.NLM_F_CREATE | simhost.NLM_F_EXCL, up=True)

    def unplug(self, o):
        self.rtnl.link(simhost.RTM_DELLINK, attr(3, o.port))

    def tell(self, o, state="running"):
        return self.fake.add(o.name, {"tier": self.tier(o)}, o.network, n=o.i + 2, mac=o.mac, state=state,
                             addresses=(f"{o.ip4}/16", f"{o.ip6}/64"))

    def config(self, rules=0):
        """A zone a tier, each open to the next, and RULES more."""
        z = "".join(f"  t{i}: {{select: {{labels: {{tier: t{i}}}}}}}\n" for i in range(self.zones))
        r = "".join(f"  - {{from: t{i}, to: t{(i + 1) % self.zones}, ports: [tcp/80]}}\n" for i in range(self.zones))
        r += "".join(f"  - {{from: t{i % self.zones}, to: t{(i // self.zones + 2 + i) % self.zones}, ports: [tcp/{1000 + i}]}}\n" for i in range(rules))
        return f"version: 1\nmode: enforce\nzones:\n{z}allow:\n{r}"

    def daemon(self, config, **kw):
        d = self.lab.bulkheadd(config, name=f"bulkhead{len(self.daemons)}", **kw)
        self.daemons.append(d)
        return d

    # -- one more ------------------------------------------------------------

    def start(self, o, between=0.0):
        """As `docker run -d` does with what is there already: create, connect, start. Seconds from the event of the connection
        to the commit of its elements."""
        self.plug(o)
        i = self.tell(o, state="created")
        time.sleep(between)
        self.commits.drain()
        self.fake.event("container", "create", i)
        t0 = time.monotonic()
        self.fake.event("network", "connect", cid("net-" + o.network), container=i)
        t = self.commits.wait() - t0
        self.fake.containers[i]["State"] = "running"
        self.fake.event("container", "start", i)
        return t

    def stop(self, o):
        """As `docker rm -f`; seconds from the event of its death to the commit."""
        self.commits.drain()
        t0 = time.monotonic()
        self.fake.remove(o.name, between=lambda: self.unplug(o))
        return self.commits.wait(kinds=(NFT_MSG_DELSETELEM,)) - t0


def private_kib(pid):
    """What only this process holds, KiB, and its peak of all that is resident."""
    roll = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return (sum(int(x) for x in re.findall(r"(?m)^Private_(?:Clean|Dirty):\s+(\d+)", roll)),
            int(re.search(r"VmHWM:\s+(\d+)", status)[1]))


def cpu_seconds(pid):
    f = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")


def settle(daemon, seconds=30):
    lab.wait_for("status in sync", lambda: daemon.status()["kernel"]["in_sync"], seconds)


def pid_of(daemon):
    """bulkheadd's own pid here, not its launcher's."""
    todo = [daemon.proc.pid]
    while todo:
        pid = todo.pop()
        if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "bulkheadd":
            return pid
        todo += map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    raise lab.LabError("bulkheadd is not there")

