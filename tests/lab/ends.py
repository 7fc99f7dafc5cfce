# SPDX-License-Identifier: Apache-2.0
"""Packets between many namespaces by one process: a socket stays in the namespace that it was made in. Each place listens for TCP and UDP at some ports, for
echo requests and for ESP; what arrives is told by its marker, where it arrives.

    with ends.Ends({"web1": fd, ...}, (80, 81)) as e:
        heard = e.send([("web1", None, "10.111.16.3", "udp", 80)])      # [{"api1"}]
"""
import contextlib
import os
import selectors
import socket
import struct
import time

from simhost import inside

ESP = 50
FAMILIES = (socket.AF_INET, socket.AF_INET6)


def checksum(data):
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def echo(family, marker):
    marker += b" " * (len(marker) % 2)
    kind = 8 if family == socket.AF_INET else 128
    ident = abs(hash(marker)) & 0xffff
    return struct.pack("!BBHHH", kind, 0, checksum(struct.pack("!BBHHH", kind, 0, 0, ident, 1) + marker), ident, 1) + marker


class Ends:
    def __init__(self, places, ports):
        self.places, self.sel, self.serial, self.heard, self.socks = places, selectors.DefaultSelector(), 0, {}, []
        for name, fd in places.items():
            for s, kind in inside(fd, lambda: list(self._listeners(ports))):
                self.socks.append(s)
                self.sel.register(s, selectors.EVENT_READ, (kind, name))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        for s in self.socks:
            s.close()
        self.sel.close()

    @staticmethod
    def _listeners(ports):
        for port in ports:
            for kind, what in ((socket.SOCK_STREAM, "listen"), (socket.SOCK_DGRAM, "udp")):
                s = socket.socket(socket.AF_INET6, kind)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                s.bind(("::", port))
                s.setblocking(False)
                if what == "listen":
                    s.listen(512)
                yield s, what
        for family, icmp in zip(FAMILIES, (socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6)):
            for proto in (icmp, ESP):
                s = socket.socket(family, socket.SOCK_RAW, proto)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                s.setblocking(False)
                yield s, "icmp" if proto == icmp else "esp"

    @staticmethod
    def _sender(proto, source, to):
        family = socket.AF_INET6 if ":" in to else socket.AF_INET
        icmp = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
        s = {"tcp": lambda: socket.socket(family, socket.SOCK_STREAM), "udp": lambda: socket.socket(family, socket.SOCK_DGRAM),
             "icmp": lambda: socket.socket(family, socket.SOCK_RAW, icmp), "esp": lambda: socket.socket(family, socket.SOCK_RAW, ESP)}[proto]()
        s.setblocking(False)
        if source:
            s.bind((source, 0))
        return s

    def _note(self, name, data):
        """Markers are `<N.I>`, whatever headers and echoes stand around."""
        begin, end = data.rfind(b"<"), data.rfind(b">")
        if 0 <= begin < end:
            with contextlib.suppress(ValueError):
                serial, i = map(int, data[begin + 1:end].split(b"."))
                if serial == self.serial:
                    self.heard.setdefault(i, set()).add(name)

    def _event(self, s, kind, name):
        try:
            if kind == "listen":
                c, _ = s.accept()
                c.setblocking(False)
                self.passing.append(c)
                self.sel.register(c, selectors.EVENT_READ, ("tcp", name))
            elif kind == "connecting":
                self.sel.unregister(s)
                if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    s.send(b"<%d.%d>" % name)
            else:
                data = s.recv(4096)
                if kind == "icmp":
                    head = data[(data[0] & 15) * 4:] if s.family == socket.AF_INET else data
                    if head[0] != (8 if s.family == socket.AF_INET else 128):
                        return
                if kind == "tcp" and not data:
                    self.sel.unregister(s)
                self._note(name, data)
        except OSError:
            if kind in ("tcp", "connecting"):
                with contextlib.suppress(KeyError):
                    self.sel.unregister(s)

    def _run(self, seconds, quiet, done):
        """Until DONE() and QUIET seconds without an event, or SECONDS."""
        now = time.monotonic()
        end, last = now + seconds, now
        while time.monotonic() < end:
            events = self.sel.select(0.01)
            for key, _ in events:
                self._event(key.fileobj, *key.data)
            if events:
                last = time.monotonic()
            elif done() and time.monotonic() - last > quiet:
                return

    def send(self, cases, seconds=5.0, quiet=0.06, wait_for=()):
        """Sends (place, source address or None, address, protocol, port) at once; where each was heard, a set of places each. Ends when every place has heard
        itself, and those of WAIT_FOR (indices) were heard, and it was quiet for a while; what is not there then did not arrive."""
        self.serial += 1
        self.heard, self.passing = {}, []
        per = {}
        for i, case in enumerate(cases):
            per.setdefault(case[0], []).append((i, case[1], case[2], case[3], case[4]))
        alive = {}
        for name in self.places:    # its own packets, after the others
            for to in ("127.0.0.1", "::1"):
                alive[len(cases) + len(alive)] = name
                per.setdefault(name, []).append((len(cases) + len(alive) - 1, None, to, "udp", 80))
        for name, sends in per.items():
            for (i, _, to, proto, port), s in zip(sends, inside(self.places[name], lambda: [self._sender(p, src, to) for _, src, to, p, _ in sends])):
                self.passing.append(s)
                marker = b"<%d.%d>" % (self.serial, i)
                try:
                    if proto == "tcp":
                        s.connect_ex((to, port))
                        self.sel.register(s, selectors.EVENT_WRITE, ("connecting", (self.serial, i)))
                    elif proto == "udp":
                        s.sendto(marker, (to, port))
                    elif proto == "icmp":
                        s.sendto(echo(s.family, marker), (to, 0))
                    else:
                        s.sendto(struct.pack("!II", 0x1000 + i, 1) + marker, (to, 0))
                except OSError:
                    pass    # a denial in the host's own output
        self._run(seconds, quiet, lambda: set(alive) <= set(self.heard) and set(wait_for) <= set(self.heard))
        deaf = sorted({n for i, n in alive.items() if self.heard.get(i) != {n}})
        for s in self.passing:
            with contextlib.suppress(KeyError):
                self.sel.unregister(s)
            s.close()
        if deaf:
            raise AssertionError(f"{deaf} did not hear themselves: nothing was measured")
        return [self.heard.get(i, set()) for i in range(len(cases))]


def namespace(pid, name=None):
    return os.open(f"/proc/{pid}/root/run/netns/{name}" if name else f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
