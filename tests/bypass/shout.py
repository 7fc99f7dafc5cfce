# SPDX-License-Identifier: Apache-2.0
"""A datagram to port 81 of each address given, with the marker of its place among them; from a socket, as any program does."""
import socket
import sys

for i, a in enumerate(sys.argv[1:], 1):
    with socket.socket(socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _ in range(3):
            try:
                s.sendto(b"BP%05d!" % i, (a, 81))
            except OSError:
                pass
