#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The ends of bench_shape's flows, each a process in a namespace. What is counted is counted where it arrives.

    sink PROTO PORT FLOWS SECONDS       says "ready", then as JSON the frame bytes of the first second and of the rest
    source PROTO ADDRESS PORT FLOWS SECONDS BITS
                                        sends all it can (TCP), BITS a second (UDP; TCP too, where BITS is not 0)
    echo PORT                           answers datagrams
    ask ADDRESS PORT SECONDS INTERVAL   as JSON the milliseconds of each answer (INTERVAL 0: the next at once), and the lost ones
"""
import json
import resource
import select
import signal
import socket
import sys
import time

DEVICE = "e0"
HEADERS, SEGMENT = 14 + 20 + 32, 1448     # of a TCP frame with timestamps: Ethernet, IPv4, TCP; and what it carries
UDP_PAYLOAD = 1472
SO_RCVBUFFORCE = 33             # include/uapi/asm-generic/socket.h
SO_MAX_PACING_RATE = 47


def link():
    """Bytes and packets that came in."""
    with open("/proc/net/dev") as f:
        words = next(line for line in f if line.split(":")[0].strip() == DEVICE).split(":")[1].split()
    return int(words[0]), int(words[1])


def grew(proto, a, b):
    """Ethernet frames without FCS, in bytes. A GSO packet of TCP counts as one on the link: its payload says how many it is."""
    n, packets = b[0] - a[0], b[1] - a[1]
    return (n - packets * HEADERS) * (SEGMENT + HEADERS) / SEGMENT if proto == "tcp" else n


def sink(proto, port, flows, seconds):
    poll = select.epoll()
    socks = {}
    kind = socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM
    first = socket.socket(socket.AF_INET, kind)
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if proto == "udp":
        first.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    first.bind(("", port))
    if proto == "tcp":
        first.listen(4096)
    first.setblocking(False)
    poll.register(first, select.EPOLLIN)
    buf = bytearray(1 << 18)
    marks = [link()]
    print("ready", flush=True)
    began, times = time.monotonic(), []
    while len(marks) < 3:
        for fd, _ in poll.poll(0.002 if times else 0.2):
            if fd == first.fileno() and proto == "tcp":
                try:
                    s = first.accept()[0]
                except BlockingIOError:
                    continue
                s.setblocking(False)
                socks[s.fileno()] = s
                poll.register(s, select.EPOLLIN)
                continue
            try:
                n = socks.get(fd, first).recv_into(buf)
            except (BlockingIOError, ConnectionError):
                n = 0
            if n == 0 and fd in socks:
                poll.unregister(fd)
                socks.pop(fd).close()
            if n and not times:
                times = [time.monotonic()]
        now = time.monotonic()
        if times and len(marks) == 1 and now >= times[0] + 1 or len(marks) == 2 and now >= times[0] + seconds:
            marks.append(link())
            times.append(now)
        if now > began + seconds + 15:
            raise SystemExit("nothing came")
    print(json.dumps({"first": grew(proto, marks[0], marks[1]) / (times[1] - times[0]),
                      "rest": grew(proto, marks[1], marks[2]) / (times[2] - times[1])}), flush=True)


def source_tcp(address, port, flows, seconds, bits):
    poll, socks = select.epoll(), {}
    data = bytes(1 << 18)
    for _ in range(flows):
        s = socket.socket()
        if bits:
            s.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, bits // 8 // flows)
        s.setblocking(False)
        try:
            s.connect((address, port))
        except BlockingIOError:
            pass
        socks[s.fileno()] = s
        poll.register(s, select.EPOLLOUT)
    end = time.monotonic() + seconds
    while socks and time.monotonic() < end:
        for fd, _ in poll.poll(0.1):
            try:
                socks[fd].send(data)
            except BlockingIOError:
                pass
            except OSError:
                poll.unregister(fd)
                socks.pop(fd).close()


def source_udp(address, port, flows, seconds, bits):
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(flows)]
    for s in socks:
        s.connect((address, port))
    data, start, n = bytes(UDP_PAYLOAD), time.monotonic(), 0
    a_second = bits / ((UDP_PAYLOAD + 42) * 8)
    while (now := time.monotonic()) < start + seconds:
        due = int((now - start) * a_second) + 1
        for n in range(n, due):
            try:
                socks[n % flows].send(data)
            except OSError:     # the queue below is full, or the other end is not there yet
                pass
        n = due
        time.sleep(min(0.005, 1 / a_second))


def echo(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", port))
    print("ready", flush=True)
    while True:
        data, to = s.recvfrom(2048)
        s.sendto(data, to)


def ask(address, port, seconds, interval):
    """One question at a time; one that is not answered in two seconds is lost."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((address, port))
    times, lost, n, end = [], 0, 0, time.monotonic() + seconds
    while (sent := time.monotonic()) < end:
        n += 1
        s.settimeout(2)
        try:
            s.send(b"%040d" % n)
            while int(s.recv(2048)) != n:
                pass
            times.append((time.monotonic() - sent) * 1000)
        except (TimeoutError, ConnectionError):
            lost += 1
        if interval:
            time.sleep(max(0, sent + interval - time.monotonic()))
    print(json.dumps({"ms": times, "lost": lost}), flush=True)


def main():
    what, *a = sys.argv[1:]
    signal.alarm(90)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    if what == "sink":
        sink(a[0], int(a[1]), int(a[2]), float(a[3]))
    elif what == "source":
        (source_tcp if a[0] == "tcp" else source_udp)(a[1], int(a[2]), int(a[3]), float(a[4]), int(a[5]))
    elif what == "echo":
        echo(int(a[0]))
    else:
        ask(a[0], int(a[1]), float(a[2]), float(a[3]))


if __name__ == "__main__":
    main()
