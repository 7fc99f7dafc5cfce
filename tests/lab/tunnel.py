#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tunnel.py DEV ADDRESS PORT [PEER PEERPORT]: IP packets of the tun device DEV in UDP datagrams.

On the wire what WireGuard is: one UDP socket at each end, the tunnel's addresses nowhere outside. A stand-in
for it on kernels without it; nothing is secret. Without a peer it answers to whoever spoke last.
"""
import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 1, 0x1000


def main():
    dev, address, port, *peer = sys.argv[1:]
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", dev.encode(), IFF_TUN | IFF_NO_PI))
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, int(port)))
    to = (peer[0], int(peer[1])) if peer else None
    print("ready", flush=True)
    while True:
        ready = select.select([tun, s], [], [], 0.5 if peer else None)[0]
        if not ready and to:
            send(s, b"", to)    # a keepalive: the other end learns where we are
        if tun in ready:
            data = os.read(tun, 65536)
            if to:
                send(s, data, to)
        if s in ready:
            try:
                data, who = s.recvfrom(65536)
            except OSError:
                continue
            to = to if peer else who
            if data:
                os.write(tun, data)


def send(s, data, to):
    try:
        s.sendto(data, to)
    except OSError:     # no way there now: as if it were lost
        pass


if __name__ == "__main__":
    main()
