#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Frames by hand, and what arrives of them, in whatever network namespace it is started.

    wire.py send DEV    reads lines of frames in hexadecimal, with spaces; sends each, then says "sent"
    wire.py sniff       counts the markers of frames that interfaces receive
    wire.py listen      counts those that raw sockets receive, of every protocol and both families: what the stack has let in

A marker is eight bytes, "BP", five digits, "!". At each line on standard input a counter says what it has counted since the last, as JSON.
"""
import json
import re
import select
import socket
import sys

MARKER = re.compile(rb"BP(\d{5})!")
ETH_P_ALL = 3
SO_RCVBUFFORCE = 33


def send(dev):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((dev, 0))
    print("ready", flush=True)
    for line in sys.stdin:
        for frame in line.split():
            s.send(bytes.fromhex(frame))
        print("sent", flush=True)


def frames():
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    yield s


def sockets():
    """IPv6's stack takes the headers that it knows itself; a raw socket cannot have them."""
    for family in (socket.AF_INET, socket.AF_INET6):
        for proto in range(256):
            try:
                yield socket.socket(family, socket.SOCK_RAW, proto)
            except OSError:
                pass


def count(socks):
    seen = {}
    poll = select.epoll()
    by_fd = {}
    for s in socks:
        s.setblocking(False)
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        poll.register(s.fileno(), select.EPOLLIN)
        by_fd[s.fileno()] = s
    poll.register(0, select.EPOLLIN)
    print("ready", flush=True)

    def drain():
        for s in by_fd.values():
            try:
                while True:
                    data, a = s.recvfrom(65535)
                    if s.family == socket.AF_PACKET and a[2] == socket.PACKET_OUTGOING:
                        continue
                    for m in MARKER.findall(data):
                        seen[int(m)] = seen.get(int(m), 0) + 1
            except (BlockingIOError, OSError):
                pass
    while True:
        ready = [fd for fd, _ in poll.poll(1)]
        if len(by_fd) == 1 or 0 in ready:
            drain()
        if 0 in ready:
            if not sys.stdin.buffer.raw.read(1):
                return
            print(json.dumps(seen), flush=True)
            seen = {}


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(sys.argv[2])
    else:
        count(frames() if sys.argv[1] == "sniff" else sockets())
