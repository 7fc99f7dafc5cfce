# SPDX-License-Identifier: Apache-2.0
"""Namespaces, bridges and sockets in them, for tests that need a kernel but no runtime.

    with wires.Wires() as w:
        h = w.ns("host")
        w.sh("host", "ip link add docker0 type bridge")
        with w.at("web1"):
            s = socket.socket(...)          # a socket of that namespace, for ever

One process and one thread: a socket stays in the namespace that it was made in.
Python 3.11 and its standard library only.
"""
import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
ENV = {**os.environ, "PATH": PATH, "LC_ALL": "C"}
CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
SILENT = 0.25  # seconds without an answer that count as none
_libc = ctypes.CDLL(None, use_errno=True)


def setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "setns")


def reap():
    """Namespaces of runs that were killed."""
    for n in sorted(os.listdir("/run/netns") if os.path.isdir("/run/netns") else ()):
        pid = n.removeprefix("bh-test-").split("-")[0]
        if n.startswith("bh-test-") and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            subprocess.run(["ip", "netns", "del", n], env=ENV, capture_output=True)


class Wires:
    def __init__(self):
        reap()
        signal.signal(signal.SIGTERM, lambda *a: sys.exit(1))   # so that close() runs
        self.prefix = f"bh-test-{os.getpid()}-"
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.fds, self.children = {}, []
        try:
            self.build()
        except BaseException:
            self.close()
            raise

    def build(self):
        """What a class of its own is made of; half of it goes when it fails."""

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()

    def name(self, ns):
        return self.prefix + ns

    def ns(self, *names):
        for n in names:
            subprocess.run(["ip", "netns", "add", self.name(n)], check=True, env=ENV)
            self.fds[n] = os.open(f"/run/netns/{self.name(n)}", os.O_RDONLY)

    @contextlib.contextmanager
    def at(self, ns):
        setns(self.fds[ns])
        try:
            yield
        finally:
            setns(self.home)

    def run(self, ns, argv, check=True, input=None):
        with self.at(ns):   # a child starts where its parent is
            r = subprocess.run(argv, env=ENV, text=True, capture_output=True, input=input, timeout=60)
        if check and r.returncode:
            raise RuntimeError(f"{ns}: {' '.join(argv)[:200]}: {r.stderr.strip()[-2000:]}")
        return r.stdout

    def sh(self, ns, script, check=True):
        return self.run(ns, ["sh", "-ec", script], check)

    def nft(self, ns, text, check=True):
        return self.run(ns, ["nft", "-f", "-"], check, text)

    def spawn(self, ns, cmd, ready):
        """A process in NS that has printed READY; killed at the end."""
        p = subprocess.Popen(["ip", "netns", "exec", self.name(ns), "sh", "-ec", f"exec {cmd}"], env=ENV,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.children.append(p)
        end, got = time.monotonic() + 10, b""
        while ready not in got:
            if not select.select([p.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise RuntimeError(f"{cmd}: not ready")
            c = os.read(p.stdout.fileno(), 100)
            if not c:
                raise RuntimeError(f"{cmd}: ended, status {p.wait()}")
            got += c
        return p

    def veth(self, ns, ifname, peer_ns, peer, mac=None):
        m = f"address {mac}" if mac else ""
        self.sh(ns, f"ip link add {ifname} type veth peer name {peer} {m} netns {self.name(peer_ns)}")

    def close(self):
        for p in self.children:
            if p.poll() is None:
                p.kill()
            p.wait()
        for n, fd in self.fds.items():
            os.close(fd)
            subprocess.run(["ip", "netns", "del", self.name(n)], env=ENV, capture_output=True)
        self.fds = {}

    def counters(self, ns):
        """Packets of every named counter, as FAMILY.NAME; empty without our tables."""
        d = json.loads(self.run(ns, ["nft", "-j", "list", "counters"]))
        return {f"{c['family']}.{c['name']}": c["packets"] for x in d["nftables"] if (c := x.get("counter"))}


# ---- what a probe saw
ERRNO = {errno.ECONNREFUSED: "reset", errno.ECONNRESET: "reset", errno.EHOSTUNREACH: "told", errno.EACCES: "told",
         errno.EPERM: "told"}


def family(addr):
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


def sockaddr(w, ns, addr, port):
    if "%" in addr:
        a, dev = addr.split("%")
        with w.at(ns):
            return (a, port, 0, socket.if_nametoindex(dev))
    return (addr, port)


class Sniffer:
    """Counts what arrives at an interface, whatever the stack makes of it."""

    def __init__(self, w, ns, dev):
        with w.at(ns):
            self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.s.bind((dev, ETH_P_ALL))
        self.s.setblocking(False)

    def frames(self):
        out = []
        while True:
            try:
                data, a = self.s.recvfrom(2048)
            except BlockingIOError:
                return out
            if a[2] != socket.PACKET_OUTGOING:
                out.append(data)

    def clear(self):
        self.frames()


class Server:
    """Echoes on TCP and UDP ports of a namespace, both families."""

    def __init__(self, w, ns, tcp=(), udp=(), addr="::"):
        self.socks, self.conns = {}, []
        with w.at(ns):
            for kind, ports in ((socket.SOCK_STREAM, tcp), (socket.SOCK_DGRAM, udp)):
                for p in ports:
                    s = socket.socket(family(addr), kind)
                    if addr == "::":
                        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind((addr, p))
                    if kind == socket.SOCK_STREAM:
                        s.listen(64)
                    s.setblocking(False)
                    self.socks[s.fileno()] = s

    def poll(self):
        for s in self.socks.values():
            with contextlib.suppress(OSError):
                if s.type == socket.SOCK_DGRAM:
                    data, a = s.recvfrom(2048)
                    s.sendto(b"echo", a)
                else:
                    c, _ = s.accept()
                    c.setblocking(False)
                    c.send(b"echo")
                    self.conns.append(c)
        for c in list(self.conns):
            try:
                if c.recv(2048) == b"":
                    raise ConnectionResetError
                c.send(b"echo")
            except BlockingIOError:
                pass
            except OSError:
                c.close()
                self.conns.remove(c)


class Prober:
    def __init__(self, w, servers):
        self.w, self.servers = w, servers

    def pump(self, sock, done, timeout=SILENT):
        """Serves everybody until DONE(sock) answers something or nothing came for TIMEOUT."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            fds = [fd for s in self.servers for fd in s.socks] + [c.fileno() for s in self.servers for c in s.conns]
            if select.select(fds + [sock], [], [], 0.01)[0]:
                for s in self.servers:
                    s.poll()
            r = done(sock)
            if r:
                return r
        return "silent"

    @staticmethod
    def _result(sock):
        e = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if e:
            return ERRNO.get(e, errno.errorcode[e])
        try:
            return "ok" if sock.recv(100) else "reset"
        except BlockingIOError:
            return None
        except OSError as x:
            return None if x.errno == errno.ENOTCONN else ERRNO.get(x.errno, errno.errorcode[x.errno])

    def open(self, ns, kind, dst, port, src=None, uid=0):
        with self.w.at(ns):
            if uid:
                os.seteuid(uid)
            try:
                s = socket.socket(family(dst), kind)
            finally:
                os.seteuid(0)
        s.setblocking(False)
        try:
            if src:
                s.bind((src, 0))
            s.connect(sockaddr(self.w, ns, dst, port))
        except BlockingIOError:
            pass
        except OSError as x:
            s.close()
            return None, ERRNO.get(x.errno, errno.errorcode[x.errno])
        return s, None

    def tcp(self, ns, dst, port, src=None, uid=0):
        s, r = self.open(ns, socket.SOCK_STREAM, dst, port, src, uid)
        if s:
            r = self.pump(s, self._result)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
        return r

    def udp(self, ns, dst, port, src=None):
        s, r = self.open(ns, socket.SOCK_DGRAM, dst, port, src)
        if s:
            try:
                s.send(b"hello")
                r = self.pump(s, self._result)
            except OSError as x:
                r = ERRNO.get(x.errno, errno.errorcode[x.errno])
            s.close()
        return r

    def ping(self, ns, dst):
        six = family(dst) == socket.AF_INET6
        with self.w.at(ns):
            s = socket.socket(family(dst), socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)
        s.setblocking(False)
        body = struct.pack("!HH", os.getpid() & 0xffff, 1) + b"ping"
        head = bytes([128 if six else 8, 0])
        try:
            s.sendto(head + struct.pack("!H", 0 if six else checksum(head + b"\0\0" + body)) + body, sockaddr(self.w, ns, dst, 0))
        except OSError as x:
            s.close()
            return ERRNO.get(x.errno, errno.errorcode[x.errno])

        def done(sock):
            with contextlib.suppress(OSError):
                while True:
                    p = sock.recv(2048)
                    p = p if six else p[20:]
                    if p[0] == (129 if six else 0) and p[4:8] == body[:4]:
                        return "ok"
            return None
        r = self.pump(s, done)
        s.close()
        return r

    def raw(self, ns, dev, frame):
        with self.w.at(ns):
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            s.bind((dev, 0))
        s.send(frame)
        s.close()


def checksum(data):
    data += b"\0" * (len(data) & 1)
    t = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while t >> 16:
        t = (t & 0xffff) + (t >> 16)
    return ~t & 0xffff


# ---- frames by hand
MARK = b"\xfd\x01MARK.."    # an option that nobody knows (RFC 4861 4.6: skip it)


def mac(s):
    return bytes(int(x, 16) for x in s.split(":"))


def ether(dst, src, kind, payload):
    return (mac(dst) + mac(src) + struct.pack("!H", kind) + payload).ljust(60, b"\0")


def ip4(src, dst, proto, payload, tos=0):
    h = struct.pack("!BBHHHBBH4s4s", 0x45, tos, 20 + len(payload), 1, 0, 64, proto, 0, socket.inet_aton(src),
                    socket.inet_aton(dst))
    return h[:10] + struct.pack("!H", checksum(h)) + h[12:] + payload


def ip6(src, dst, proto, payload, hops=64):
    a, b = socket.inet_pton(socket.AF_INET6, src), socket.inet_pton(socket.AF_INET6, dst)
    if proto == 58:
        c = checksum(a + b + struct.pack("!II", len(payload), 58) + payload)
        payload = payload[:2] + struct.pack("!H", c) + payload[4:]
    return struct.pack("!IHBB", 6 << 28, len(payload), proto, hops) + a + b + payload


def udp(sport, dport, data=b"MARK"):
    return struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data


def tcp4(src, dst, sport, dport, flags, data=b"MARK"):
    h = struct.pack("!HHIIBBHHH", sport, dport, 1, 1, 0x50, flags, 100, 0, 0) + data
    c = checksum(socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!HH", 6, len(h)) + h)
    return ip4(src, dst, 6, h[:16] + struct.pack("!H", c) + h[18:])


def icmp(kind, code, rest):
    p = bytes([kind, code, 0, 0]) + rest
    return p[:2] + struct.pack("!H", checksum(p)) + p[4:]


def arp(op, smac, sip, tmac, tip):
    return struct.pack("!HHBBH", 1, 0x800, 6, 4, op) + mac(smac) + socket.inet_aton(sip) + mac(tmac) + socket.inet_aton(tip)


def nd(kind, target, lladdr, src, dst, flags=0):
    opt = bytes([1 if kind == 135 else 2, 1]) + mac(lladdr) + MARK
    return ip6(src, dst, 58, bytes([kind, 0, 0, 0]) + struct.pack("!I", flags) + socket.inet_pton(socket.AF_INET6, target) + opt, 255)
