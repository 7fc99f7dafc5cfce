# SPDX-License-Identifier: Apache-2.0
"""What an attacker in a container sends by hand, row by row. The ids are those of docs/SECURITY.md.

The attacker is `me`, of zone web, with CAP_NET_RAW. It may open udp/81 and tcp/81 to `peer` (zone api, same bridge), and nothing
else: not to `same` (its own zone, same bridge), not to `far` (zone far, another bridge), to the host or outside.
"""
import socket
import struct

import wires as W

OPEN, CLOSED = 81, 82
ZERO_MAC, ALL_MAC = "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"


class Party:
    def __init__(self, mac, ip4, ip6):
        self.mac, self.ip4, self.ip6 = mac, ip4, ip6
        b = W.mac(mac)
        self.ll = socket.inet_ntop(socket.AF_INET6, b"\xfe\x80" + bytes(6) + bytes([b[0] ^ 2]) + b[1:3] + b"\xff\xfe" + b[3:])


class Row:
    """DROPS: how many are counted, when not each frame: the kernel keeps what is broken, and parts of a datagram, to itself. NOISE: that class
    counts, too; others send some of it all the time. DISTURBS: where no rule stops it, a bridge believes it. SENDER: me, or out."""

    def __init__(self, id, title, drops=None, allowed=False, counted=True, noise=False, disturbs=False, sender="me"):
        self.id, self.title, self.forms, self.drops = id, title, [], drops
        self.allowed, self.counted, self.noise, self.disturbs, self.sender = allowed, counted, noise, disturbs, sender

    def __str__(self):
        return f"{self.id} {self.title}"


class Form:
    """LOOK: where it arrives without rules. CONTROL: why it does not even then. MAY: where it may arrive with them."""

    def __init__(self, name, look, number, frames, control, may):
        self.name, self.look, self.number, self.frames, self.control, self.may = name, look, number, frames, control, may


def sum6(src, dst, proto, p, at):
    a, b = (socket.inet_pton(socket.AF_INET6, x) for x in (src, dst))
    return p[:at] + struct.pack("!H", W.checksum(a + b + struct.pack("!II", len(p), proto) + p) or 0xffff) + p[at + 2:]


def udp6(src, dst, sport, dport, data):
    return sum6(src, dst, 17, W.udp(sport, dport, data), 6)


def tcp(src, dst, sport, dport, flags, data, urgent=0):
    h = struct.pack("!HHIIBBHHH", sport, dport, 1000, 1000, 0x50, flags, 100, 0, urgent) + data
    if ":" in src:
        return sum6(src, dst, 6, h, 16)
    c = W.checksum(socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!HH", 6, len(h)) + h)
    return h[:16] + struct.pack("!H", c) + h[18:]


def frag4(src, dst, ident, offset, more, payload, proto=17):
    h = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, (0x2000 if more else 0) | offset // 8, 64, proto, 0,
                    socket.inet_aton(src), socket.inet_aton(dst))
    return h[:10] + struct.pack("!H", W.checksum(h)) + h[12:] + payload


def frag6(src, dst, ident, offset, more, payload, proto=17):
    return W.ip6(src, dst, 44, struct.pack("!BBHI", proto, 0, offset | int(more), ident) + payload)


def options4(src, dst, options, proto, payload):
    options = options.ljust((len(options) + 3) // 4 * 4, b"\0")
    h = struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), 7, 0, 64, proto, 0,
                    socket.inet_aton(src), socket.inet_aton(dst)) + options
    return h[:10] + struct.pack("!H", W.checksum(h)) + h[12:] + payload


def ext(nxt, data=b"\x01\x04\0\0\0\0"):
    """A hop-by-hop or destination options header: padding alone."""
    return bytes([nxt, (len(data) + 2) // 8 - 1]) + data


class Rows:
    def __init__(self, me, peer, same, far, gw, other_gw, uplink, outside, host4, host6, out4, out6):
        self.me, self.peer, self.same, self.far, self.gw, self.other_gw = me, peer, same, far, gw, other_gw
        self.uplink, self.outside = uplink, outside     # of the wire between host and outside
        self.host4, self.host6, self.out4, self.out6 = host4, host6, out4, out6
        self.rows, self.next = [], 0

    # -- making them ------------------------------------------------------------

    def row(self, *a, **kw):
        self.rows.append(Row(*a, **kw))
        return self.rows[-1]

    def form(self, name, look, make, control=None, may=None):
        """MAKE(marker): a frame or a list of them."""
        self.next += 1
        f = make(b"BP%05d!" % self.next)
        self.rows[-1].forms.append(Form(name, look, self.next, [f] if isinstance(f, bytes) else f, control, may))

    def eth(self, kind, payload, dst=None, src=None):
        return W.ether(dst or self.peer.mac, src or self.me.mac, kind, payload)

    def u4(self, m, dst=None, port=CLOSED, src=None, sport=4000, mac=None, smac=None):
        return self.eth(0x800, W.ip4(src or self.me.ip4, dst or self.peer.ip4, 17, W.udp(sport, port, m)), mac, smac)

    def u6(self, m, dst=None, port=CLOSED, src=None, sport=4000, hops=64, mac=None, smac=None):
        s, d = src or self.me.ip6, dst or self.peer.ip6
        return self.eth(0x86dd, W.ip6(s, d, 17, udp6(s, d, sport, port, m), hops), mac, smac)

    def t(self, m, v, flags, port=CLOSED, sport=4000, urgent=0, **kw):
        s, d = (self.me.ip4, self.peer.ip4) if v == 4 else (self.me.ip6, self.peer.ip6)
        p = tcp(s, d, sport, port, flags, m, urgent)
        return self.eth(0x800 if v == 4 else 0x86dd, W.ip4(s, d, 6, p) if v == 4 else W.ip6(s, d, 6, p), **kw)

    def icmp6(self, src, dst, kind, body, hops=255, code=0):
        return W.ip6(src, dst, 58, bytes([kind, code, 0, 0]) + body, hops)

    # -- the rows -----------------------------------------------------------------

    def make(self):
        for f in (self.allow, self.frames, self.addresses, self.neighbours, self.casts, self.hairpin, self.protocols, self.fragments,
                  self.headers, self.segments, self.host, self.more, self.from_outside):
            f()
        return self.rows

    def allow(self):
        me, peer = self.me, self.peer
        self.row("allow", "the permitted port", allowed=True)
        self.form("v4", "peer", lambda m: self.u4(m, port=OPEN))
        self.form("v6", "peer", lambda m: self.u6(m, port=OPEN))
        self.form("v6 link-local", "peer", lambda m: self.u6(m, peer.ll, OPEN, me.ll))
        self.form("v6 behind hop-by-hop options", "peer", lambda m: self.eth(0x86dd, W.ip6(
            me.ip6, peer.ip6, 0, ext(17) + udp6(me.ip6, peer.ip6, 4000, OPEN, m))))
        self.form("v4 in two fragments", "peer", lambda m: self.halves4(m, OPEN, 71))
        self.form("v6 in two fragments", "peer", lambda m: self.halves6(m, OPEN, 71))
        self.form("v4 by the gateway", "peer", lambda m: self.u4(m, port=OPEN, mac=self.gw.mac))

    def frames(self):
        me, peer = self.me, self.peer
        self.row("L2-1", "a closed port on the same bridge")
        self.form("v4", "peer", self.u4)
        self.form("v6", "peer", self.u6)
        self.form("v4, own zone", "same", lambda m: self.u4(m, self.same.ip4, OPEN, mac=self.same.mac))
        self.form("v4 of another's open port", "peer", lambda m: self.u4(m, port=80))
        self.row("L2-2", "frames that are neither IP nor ARP")
        for kind in (0x88b5, 0x8847, 0x8848, 0x8863, 0x8864, 0x8137, 0x809b, 0x0842, 0x888e, 0x88f7, 0x8892, 0x8906, 0x8915, 0x88e5, 0x892f,
                     0x88cc, 0x8902, 0x4305, 0x22f3, 0x894f, 0x6558, 0x8035, 0x0806 + 1, 0x0600, 0xffff, 0x86de, 0x801):
            self.form(f"ethertype {kind:04x}", "peer", lambda m, kind=kind: self.eth(kind, m + bytes(40)))
        self.form("LLC", "peer", lambda m: self.eth(46, b"\xaa\xaa\x03" + m + bytes(35)))
        self.form("LLC/SNAP with IPv4", "peer", lambda m: self.eth(60, b"\xaa\xaa\x03\0\0\0\x08\0" + W.ip4(me.ip4, peer.ip4, 17, W.udp(1, OPEN, m))))
        self.form("a length of nothing", "peer", lambda m: self.eth(0, m + bytes(40)))
        self.row("L2-3", "VLAN tags")
        def inner(m):
            return W.ip4(me.ip4, peer.ip4, 17, W.udp(1, OPEN, m))

        def inner6(m):
            return W.ip6(me.ip6, peer.ip6, 17, udp6(me.ip6, peer.ip6, 1, OPEN, m))
        for tag in (0, 1, 5, 4095):
            self.form(f"tag {tag}", "peer", lambda m, tag=tag: self.eth(0x8100, struct.pack("!HH", tag, 0x800) + inner(m)))
        self.form("tag 0, IPv6", "peer", lambda m: self.eth(0x8100, struct.pack("!HH", 0, 0x86dd) + inner6(m)))
        self.form("tag 0, ARP", "peer", lambda m: self.eth(0x8100, struct.pack("!HH", 0, 0x806) + W.arp(
            1, me.mac, me.ip4, ZERO_MAC, peer.ip4) + m))
        self.form("802.1ad", "peer", lambda m: self.eth(0x88a8, struct.pack("!HH", 5, 0x800) + inner(m)))
        self.form("two tags", "peer", lambda m: self.eth(0x88a8, struct.pack("!HHHH", 5, 0x8100, 6, 0x800) + inner(m)))
        self.form("two tags of one kind", "peer", lambda m: self.eth(0x8100, struct.pack("!HHHH", 0, 0x8100, 0, 0x800) + inner(m)))
        self.form("9100", "peer", lambda m: self.eth(0x9100, struct.pack("!HH", 5, 0x800) + inner(m)))

    def addresses(self):
        me, peer = self.me, self.peer
        self.row("L2-5", "a MAC that is not its own", drops=7, disturbs=True)
        for name, mac in (("a neighbour's", self.same.mac), ("nobody's", "02:00:00:00:00:99"), ("the peer's", peer.mac)):
            self.form(f"{name}, v4", "peer", lambda m, mac=mac: self.u4(m, port=OPEN, smac=mac),
                      "the bridge then thinks that the receiver is where the frame came in" if mac == peer.mac else None)
            self.form(f"{name}, v6", "peer", lambda m, mac=mac: self.u6(m, port=OPEN, smac=mac),
                      "the bridge then thinks that the receiver is where the frame came in" if mac == peer.mac else None)
        self.form("a group's", "peer", lambda m: self.eth(0x800, W.ip4(me.ip4, peer.ip4, 17, W.udp(1, OPEN, m)), src="01:00:5e:00:00:01"),
                  "a bridge takes no frame from a group")
        self.form("the bridge's", "peer", lambda m: self.eth(0x800, W.ip4(me.ip4, peer.ip4, 17, W.udp(1, OPEN, m)), src=self.gw.mac),
                  "a bridge takes no frame from itself")
        self.row("L2-6", "an address that is not its own")
        for name, a in (("a neighbour's", self.same.ip4), ("the gateway's", self.gw.ip4), ("another network's", self.far.ip4),
                        ("outside", self.out4), ("the host's", self.host4), ("loopback", "127.0.0.1"), ("none", "0.0.0.0"),
                        ("multicast", "224.0.0.5"), ("broadcast", "255.255.255.255"), ("class E", "240.0.0.1"), ("link-local", "169.254.1.1"),
                        ("metadata", "169.254.169.254"), ("the receiver's", peer.ip4)):
            self.form(f"v4 {name}", "peer", lambda m, a=a: self.u4(m, port=OPEN, src=a))
        for name, a in (("a neighbour's", self.same.ip6), ("a neighbour's link-local", self.same.ll), ("the gateway's", self.gw.ip6),
                        ("another network's", self.far.ip6), ("outside", self.out6), ("loopback", "::1"), ("none", "::"),
                        ("multicast", "ff02::1"), ("IPv4-mapped", "::ffff:" + me.ip4), ("6to4", "2002:a6f:1::1"), ("the receiver's", peer.ip6),
                        ("site-local", "fec0::1")):
            self.form(f"v6 {name}", "peer", lambda m, a=a: self.u6(m, port=OPEN, src=a))
        self.row("L3-5", "a second address of its own network, taken without asking")
        self.form("v4", "peer", lambda m: self.u4(m, port=OPEN, src=me.ip4.rsplit(".", 1)[0] + ".222"))
        self.form("v6", "peer", lambda m: self.u6(m, port=OPEN, src=me.ip6.rsplit(":", 1)[0] + ":222"))
        own = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, me.ip6)[:8] + socket.inet_pton(socket.AF_INET6, me.ll)[8:])
        self.form("v6, made of its MAC", "peer", lambda m: self.u6(m, port=OPEN, src=own))

    def neighbours(self):
        me, peer = self.me, self.peer

        def arp(op, smac, sip, tmac, tip, dst=None):
            return lambda m: self.eth(0x806, W.arp(op, smac, sip, tmac, tip) + m, dst=dst)
        self.row("L2-4", "ARP for another", disturbs=True)
        self.form("the gateway's, in answer", "peer", arp(2, me.mac, self.gw.ip4, peer.mac, peer.ip4))
        self.form("a neighbour's, in answer", "peer", arp(2, me.mac, self.same.ip4, peer.mac, peer.ip4))
        self.form("a neighbour's, asking", "peer", arp(1, me.mac, self.same.ip4, ZERO_MAC, peer.ip4))
        self.form("the gateway's, gratuitous", "same", arp(2, me.mac, self.gw.ip4, ALL_MAC, self.gw.ip4, ALL_MAC))
        self.form("the host's published address, gratuitous", "same", arp(1, me.mac, self.host4, ZERO_MAC, self.host4, ALL_MAC))
        self.form("its own address, another's MAC inside", "peer", arp(2, self.same.mac, me.ip4, peer.mac, peer.ip4))
        self.form("a network that is not Ethernet", "peer", lambda m: self.eth(0x806, struct.pack("!HHBBH", 6, 0x800, 6, 4, 2) + W.mac(me.mac)
                  + socket.inet_aton(me.ip4) + W.mac(peer.mac) + socket.inet_aton(peer.ip4) + m))
        self.form("addresses of another length", "peer", lambda m: self.eth(0x806, struct.pack("!HHBBH", 1, 0x800, 8, 4, 2) + W.mac(me.mac)
                  + b"\0\0" + socket.inet_aton(self.same.ip4) + W.mac(peer.mac) + m))
        self.form("of the gateway, to the host", None, arp(2, me.mac, peer.ip4, self.gw.mac, self.gw.ip4, self.gw.mac))
        self.row("L2-7", "router advertisements", drops=6)
        ra = b"\x40\0\x07\x08" + b"\0" * 8
        group = "33:33:00:00:00:01"
        self.form("to all", "same", lambda m: self.eth(0x86dd, self.icmp6(me.ll, "ff02::1", 134, ra + b"\xfd\1" + m[:6] + m), dst=group))
        self.form("to one", "peer", lambda m: self.eth(0x86dd, self.icmp6(me.ll, peer.ll, 134, ra + b"\xfd\2" + m + bytes(6))))
        for name, e in (("behind hop-by-hop options", 0), ("behind destination options", 60)):
            self.form(name, "peer", lambda m, e=e: self.eth(0x86dd, W.ip6(me.ll, peer.ll, e, ext(58) + self.icmp6(
                me.ll, peer.ll, 134, ra + b"\xfd\2" + m + bytes(6))[40:], 255)))
        self.form("in an atomic fragment", "peer", lambda m: self.eth(0x86dd, W.ip6(me.ll, peer.ll, 44, struct.pack("!BBHI", 58, 0, 0, 9)
                  + self.icmp6(me.ll, peer.ll, 134, ra + b"\xfd\2" + m + bytes(6))[40:], 255)))

        def halves(m):
            p = self.icmp6(me.ll, peer.ll, 134, ra + b"\xfd\2" + m + bytes(6))[40:]
            return [self.eth(0x86dd, frag6(me.ll, peer.ll, 72, 0, True, p[:8], 58)), self.eth(0x86dd, frag6(me.ll, peer.ll, 72, 8, False, p[8:], 58))]
        self.form("in two fragments", "peer", halves)
        self.row("L2-8", "neighbour discovery for another", drops=7, disturbs=True)
        for name, kind, target, src in (("gateway's", 136, self.gw.ip6, me.ip6), ("neighbour's", 136, self.same.ip6, me.ip6),
                                        ("neighbour's as the neighbour", 136, self.same.ip6, self.same.ip6),
                                        ("asking as a neighbour", 135, peer.ip6, self.same.ip6)):
            self.form(name, "peer", lambda m, kind=kind, target=target, src=src: self.eth(0x86dd, self.icmp6(
                src, peer.ip6, kind, struct.pack("!I", 0x60000000) + socket.inet_pton(socket.AF_INET6, target) + b"\xfd\2" + m + bytes(6))))
        self.form("redirect", "peer", lambda m: self.eth(0x86dd, self.icmp6(me.ll, peer.ip6, 137, bytes(4) + socket.inet_pton(
            socket.AF_INET6, self.out6) * 2 + b"\xfd\2" + m + bytes(6))))
        self.form("as if somebody had the address that a neighbour asks for", "same", lambda m: self.eth(0x86dd, self.icmp6(
            "::", "ff02::1", 135, bytes(4) + socket.inet_pton(socket.AF_INET6, self.same.ip6) + b"\xfd\2" + m + bytes(6)), dst=group))
        self.form("in two fragments, the target in the second", "peer", lambda m: (lambda p: [
            self.eth(0x86dd, frag6(me.ip6, peer.ip6, 73, 0, True, p[:8], 58)), self.eth(0x86dd, frag6(me.ip6, peer.ip6, 73, 8, False, p[8:], 58))])(
            self.icmp6(me.ip6, peer.ip6, 136, struct.pack("!I", 0x60000000) + socket.inet_pton(socket.AF_INET6, self.same.ip6)
                       + b"\xfd\2" + m + bytes(6))[40:]))
        self.row("L2-9", "link-local addresses")
        self.form("closed port", "peer", lambda m: self.u6(m, peer.ll, CLOSED, me.ll))
        self.form("link-local to global", "peer", lambda m: self.u6(m, peer.ip6, CLOSED, me.ll))
        self.row("L2-10", "DHCP servers, and who asks them", noise=True)
        self.form("an offer to all", "same", lambda m: self.eth(0x800, W.ip4(me.ip4, "255.255.255.255", 17, W.udp(67, 68, m)), dst=ALL_MAC))
        self.form("an offer to one", "peer", lambda m: self.eth(0x800, W.ip4(me.ip4, peer.ip4, 17, W.udp(67, OPEN, m))))
        self.form("v6", "peer", lambda m: self.u6(m, peer.ip6, OPEN, me.ip6, sport=547))
        self.form("a question", "same", lambda m: self.eth(0x800, W.ip4("0.0.0.0", "255.255.255.255", 17, W.udp(68, 67, m)), dst=ALL_MAC))
        self.form("v6, a question", "same", lambda m: self.eth(0x86dd, W.ip6(me.ll, "ff02::1:2", 17, udp6(
            me.ll, "ff02::1:2", 546, 547, m)), dst="33:33:00:01:00:02"))

    def casts(self):
        me, peer = self.me, self.peer
        self.row("L2-11", "multicast and broadcast", noise=True)
        for name, a, mac in (("mDNS", "224.0.0.251", "01:00:5e:00:00:fb"), ("LLMNR", "224.0.0.252", "01:00:5e:00:00:fc"),
                             ("SSDP", "239.255.255.250", "01:00:5e:7f:ff:fa"), ("broadcast", "255.255.255.255", ALL_MAC),
                             ("the network's broadcast", me.ip4.rsplit(".", 1)[0] + ".255", ALL_MAC)):
            self.form(name, "same", lambda m, a=a, mac=mac: self.u4(m, a, OPEN, mac=mac))
        for name, a, mac in (("mDNS v6", "ff02::fb", "33:33:00:00:00:fb"), ("all nodes", "ff02::1", "33:33:00:00:00:01"),
                             ("of the site", "ff05::2", "33:33:00:00:00:02")):
            self.form(name, "same", lambda m, a=a, mac=mac: self.u6(m, a, OPEN, mac=mac))
        self.form("a permitted address in a broadcast", "same", lambda m: self.eth(0x800, W.ip4(me.ip4, self.same.ip4, 17, W.udp(1, CLOSED, m)), dst=ALL_MAC))
        self.form("IGMP", "same", lambda m: self.eth(0x800, W.ip4(me.ip4, "224.0.0.22", 2, b"\x22\0\0\0\0\0\0\0" + m), dst="01:00:5e:00:00:16"),
                  "a bridge passes on what joins a group to routers alone")
        self.form("ping to all", "same", lambda m: self.eth(0x86dd, self.icmp6(me.ip6, "ff02::1", 128, b"\0\1\0\1" + m), dst="33:33:00:00:00:01"))
        self.row("L2-12", "a MAC that no port has: a bridge sends it by every port", noise=True)
        self.form("v4", "same", lambda m: self.eth(0x800, W.ip4(me.ip4, peer.ip4, 17, W.udp(1, OPEN, m)), dst="02:aa:aa:aa:aa:aa"), may="peer")
        self.form("v6", "same", lambda m: self.eth(0x86dd, W.ip6(me.ip6, peer.ip6, 17, udp6(me.ip6, peer.ip6, 1, OPEN, m)), dst="02:aa:aa:aa:aa:aa"), may="peer")
        self.form("another's MAC", "same", lambda m: self.eth(0x800, W.ip4(me.ip4, peer.ip4, 17, W.udp(1, OPEN, m)), dst=self.same.mac))
        self.row("L2-13", "frames to the bridge's own groups", counted=False)
        self.form("BPDU", "peer", lambda m: self.eth(38, b"\x42\x42\x03\0\0\0\0\0" + m + bytes(30), dst="01:80:c2:00:00:00"))
        for name, last, kind in (("pause", 1, 0x8808), ("LACP", 2, 0x8809), ("802.1X", 3, 0x888e), ("LLDP", 0x0e, 0x88cc)):
            self.form(name, "peer", lambda m, last=last, kind=kind: self.eth(kind, m + bytes(40), dst=f"01:80:c2:00:00:{last:02x}"),
                      "a bridge does not pass it on; to the host, and what it learns: test_wires")

    def hairpin(self):
        self.row("L2-14", "by the gateway's MAC")
        gw = self.gw.mac
        for look, dst, port in (("peer", self.peer, CLOSED), ("same", self.same, OPEN), ("far", self.far, OPEN)):
            self.form(f"v4, to {look}", look, lambda m, dst=dst, port=port: self.u4(m, dst.ip4, port, mac=gw))
            self.form(f"v6, to {look}", look, lambda m, dst=dst, port=port: self.u6(m, dst.ip6, port, mac=gw))
        self.form("v4, outside", "out", lambda m: self.u4(m, self.out4, OPEN, mac=gw))
        self.form("v6, outside", "out", lambda m: self.u6(m, self.out6, OPEN, mac=gw))

    def payload(self, v, proto, m):
        """Something that the protocol's number allows: a kernel looks into some."""
        if proto == 6:
            return tcp(self.me.ip4 if v == 4 else self.me.ip6, self.peer.ip4 if v == 4 else self.peer.ip6, 1, CLOSED, 2, m)
        if proto == 17:
            return W.udp(1, CLOSED, m) if v == 4 else udp6(self.me.ip6, self.peer.ip6, 1, CLOSED, m)
        if proto == 1 and v == 4:
            return W.icmp(8, 0, b"\0\1\0\1" + m)
        if v == 6 and proto in (0, 60):
            return ext(59) + m
        if v == 6 and proto == 43:
            return struct.pack("!BBBBI", 59, 0, 253, 0, 0) + m
        if v == 6 and proto == 44:
            return struct.pack("!BBHI", 59, 0, 0, 5) + m
        return m + bytes(32)

    def protocols(self):
        """Every number, to a neighbour, by the gateway to another bridge, and to the host."""
        me = self.me
        for v in (4, 6):
            for look, mac, dst in (("peer", self.peer.mac, self.peer), ("far", self.gw.mac, self.far), ("host", self.gw.mac, self.gw)):
                self.row("L3-1", f"every protocol number over IPv{v}, to {look}")
                for proto in range(256):
                    def make(m, proto=proto, dst=dst, mac=mac, v=v):
                        p = self.payload(v, proto, m)
                        if v == 6 and proto == 58:
                            return self.eth(0x86dd, self.icmp6(me.ip6, dst.ip6, 128, b"\0\1\0\1" + m, 64), dst=mac)
                        if v == 6 and proto in (6, 17):
                            p = tcp(me.ip6, dst.ip6, 1, CLOSED, 2, m) if proto == 6 else udp6(me.ip6, dst.ip6, 1, CLOSED, m)
                        return self.eth(0x800 if v == 4 else 0x86dd, W.ip4(me.ip4, dst.ip4, proto, p) if v == 4 else W.ip6(
                            me.ip6, dst.ip6, proto, p), dst=mac)
                    self.form(str(proto), look, make)

    def halves4(self, m, port, ident):
        p = W.udp(4000, port, m + bytes(16))
        return [self.eth(0x800, frag4(self.me.ip4, self.peer.ip4, ident, 0, True, p[:16])),
                self.eth(0x800, frag4(self.me.ip4, self.peer.ip4, ident, 16, False, p[16:]))]

    def halves6(self, m, port, ident):
        p = udp6(self.me.ip6, self.peer.ip6, 4000, port, m + bytes(16))
        return [self.eth(0x86dd, frag6(self.me.ip6, self.peer.ip6, ident, 0, True, p[:16])),
                self.eth(0x86dd, frag6(self.me.ip6, self.peer.ip6, ident, 16, False, p[16:]))]

    def fragments(self):
        me, peer = self.me, self.peer
        late = "without its first part nothing ever is whole"
        self.row("L3-3", "fragments", drops=5)
        self.form("v4, two", "peer", lambda m: self.halves4(m, CLOSED, 81))
        self.form("v6, two", "peer", lambda m: self.halves6(m, CLOSED, 81))
        self.form("v4, tiny", "peer", lambda m: (lambda p: [self.eth(0x800, frag4(me.ip4, peer.ip4, 82, i, i + 8 < len(p), p[i:i + 8]))
                                                           for i in range(0, len(p), 8)])(W.udp(4000, CLOSED, m)))
        self.form("v6, tiny", "peer", lambda m: (lambda p: [self.eth(0x86dd, frag6(me.ip6, peer.ip6, 82, i, i + 8 < len(p), p[i:i + 8]))
                                                           for i in range(0, len(p), 8)])(udp6(me.ip6, peer.ip6, 4000, CLOSED, m)))
        self.form("v6, atomic", "peer", lambda m: self.eth(0x86dd, frag6(me.ip6, peer.ip6, 83, 0, False, udp6(me.ip6, peer.ip6, 4000, CLOSED, m))))
        self.form("v4, the second alone", "peer", lambda m: self.eth(0x800, frag4(me.ip4, peer.ip4, 84, 16, False, m)), late)
        self.form("v6, the second alone", "peer", lambda m: self.eth(0x86dd, frag6(me.ip6, peer.ip6, 84, 16, False, m)), late)
        self.form("v4, a middle one", "peer", lambda m: self.eth(0x800, frag4(me.ip4, peer.ip4, 85, 16, True, m)), late)
        first = "the kernel keeps what came first, or throws all away"
        for v, frag, kind in ((4, frag4, 0x800), (6, frag6, 0x86dd)):
            def udp(port, data, v=v):
                return W.udp(4000, port, data) if v == 4 else udp6(me.ip6, peer.ip6, 4000, port, data)

            def over(m, at, v=v, frag=frag, kind=kind, udp=udp):
                """The permitted port first, then a closed one over it, with the marker."""
                s, d = (me.ip4, peer.ip4) if v == 4 else (me.ip6, peer.ip6)
                return [self.eth(kind, frag(s, d, 86 + at, i, more, p)) for i, more, p in (
                    (0, True, udp(OPEN, bytes(16))), (at, True, udp(CLOSED, m + bytes(8))), (24, False, bytes(16)))]
            self.form(f"v{v}, one over the other", "peer", lambda m, over=over: over(m, 0), first)
            self.form(f"v{v}, one over half the other", "peer", lambda m, over=over: over(m, 8), first)

    def headers(self):
        me, peer = self.me, self.peer

        def chain(m, first, *headers, sum_to=None):
            return self.eth(0x86dd, W.ip6(me.ip6, peer.ip6, first, b"".join(headers) + udp6(me.ip6, sum_to or peer.ip6, 4000, CLOSED, m)))
        self.row("L3-4", "IPv6 extension headers before a closed port")
        self.form("hop-by-hop", "peer", lambda m: chain(m, 0, ext(17)))
        self.form("destination options", "peer", lambda m: chain(m, 60, ext(17)))
        self.form("eight of them", "peer", lambda m: chain(m, 60, *[ext(60)] * 7, ext(17)))
        self.form("hop-by-hop, then destination", "peer", lambda m: chain(m, 0, ext(60), ext(17)))
        self.form("fragment header after options", "peer", lambda m: chain(m, 60, ext(44), struct.pack("!BBHI", 17, 0, 0, 10)))
        self.form("routing type 0", "peer", lambda m: chain(m, 43, struct.pack("!BBBBI", 17, 2, 0, 0, 0) + socket.inet_pton(socket.AF_INET6, peer.ip6)))
        self.form("routing type 2", "peer", lambda m: chain(m, 43, struct.pack("!BBBBI", 17, 2, 2, 0, 0) + socket.inet_pton(socket.AF_INET6, peer.ip6)))
        self.form("segment routing", "peer", lambda m: chain(m, 43, struct.pack("!BBBBI", 17, 2, 4, 0, 0) + socket.inet_pton(socket.AF_INET6, peer.ip6)))
        self.form("authentication", "peer", lambda m: chain(m, 51, struct.pack("!BBHIII", 17, 2, 0, 1, 1, 0)))
        self.form("router alert", "peer", lambda m: chain(m, 0, bytes([17, 0, 5, 2, 0, 0, 1, 0])))
        self.row("L3-4", "IPv4 options before a closed port")
        for name, o in (("router alert", b"\x94\4\0\0"), ("record route", b"\7\7\4\0\0\0\0\0"), ("timestamp", b"\x44\x0c\5\0" + bytes(8)),
                        ("security", b"\x82\x0b" + bytes(9)), ("nothing", b"\1\1\1\0")):
            self.form(name, "peer", lambda m, o=o: self.eth(0x800, options4(me.ip4, peer.ip4, o, 17, W.udp(4000, CLOSED, m))))

    def segments(self):
        self.row("L3-10", "TCP from the middle of nowhere")
        for v in (4, 6):
            for name, flags in (("SYN", 2), ("ACK", 0x10), ("PSH ACK", 0x18), ("FIN ACK", 0x11), ("RST", 4), ("RST ACK", 0x14), ("SYN ACK", 0x12),
                                ("SYN FIN", 3), ("none", 0), ("all", 0x3f), ("SYN ECN", 0xc2), ("SYN RST", 6), ("URG", 0x30)):
                self.form(f"v{v} {name}", "peer", lambda m, v=v, flags=flags: self.t(m, v, flags, urgent=4 if flags & 0x20 else 0))
        self.row("L3-12", "an answer before the question: from the port that is open at the other end")
        self.form("v4 udp", "peer", lambda m: self.u4(m, port=4001, sport=OPEN))
        self.form("v6 udp", "peer", lambda m: self.u6(m, port=4001, sport=OPEN))
        self.form("v4 udp from 53", "peer", lambda m: self.u4(m, port=4001, sport=53))
        for v in (4, 6):
            self.form(f"v{v} tcp", "peer", lambda m, v=v: self.t(m, v, 0x12, port=4001, sport=OPEN))

    def host(self):
        gw = self.gw.mac
        self.row("H-1", "the host by each of its addresses", noise=True)
        for name, a in (("gateway", self.gw.ip4), ("the other gateway", self.other_gw.ip4), ("uplink", self.host4)):
            self.form(f"v4 {name}", "host", lambda m, a=a: self.u4(m, a, 22, mac=gw))
        for name, a, s in (("gateway", self.gw.ip6, None), ("the other gateway", self.other_gw.ip6, None), ("uplink", self.host6, None),
                           ("link-local", self.gw.ll, self.me.ll), ("all nodes", "ff02::1", self.me.ll), ("all routers", "ff02::2", self.me.ll)):
            self.form(f"v6 {name}", "host", lambda m, a=a, s=s: self.u6(
                m, a, 22, s, mac="33:33:00:00:00:0" + a[-1] if a.startswith("ff") else self.gw.mac))
        self.form("v4 the other network's broadcast", "host", lambda m: self.u4(
            m, self.other_gw.ip4.rsplit(".", 1)[0] + ".255", 22, mac=gw))
        self.form("v4 own network's broadcast", "host", lambda m: self.u4(
            m, self.gw.ip4.rsplit(".", 1)[0] + ".255", 22, mac=ALL_MAC))
        self.row("H-1", "addresses that no host takes from a wire", counted=False)
        martian = "the kernel itself drops it before any rule"
        for a in ("127.0.0.1", "0.0.0.0", "240.0.0.1"):
            self.form(f"v4 {a}", "host", lambda m, a=a: self.u4(m, a, 22, mac=gw), martian)
        for a in ("::1", "::", "::ffff:" + self.gw.ip4):
            self.form(f"v6 {a}", "host", lambda m, a=a: self.u6(m, a, 22, mac=self.gw.mac), martian)
        self.row("H-4", "metadata")
        self.form("v4", "out", lambda m: self.u4(m, "169.254.169.254", 80, mac=gw))
        self.form("v6", "out", lambda m: self.u6(m, "fd00:ec2::254", 80, mac=self.gw.mac))

    def more(self):
        me, peer = self.me, self.peer
        gw = {"dst": self.gw.mac}
        off = "the host does not take source routes (accept_source_route, seg6_enabled)"
        self.row("B-5", "source routes by the host", counted=False)
        for name, kind in (("loose", 0x83), ("strict", 0x89)):
            self.form(f"v4 {name}", "far", lambda m, kind=kind: self.eth(0x800, options4(
                me.ip4, self.gw.ip4, bytes([kind, 7, 4]) + socket.inet_aton(self.far.ip4), 17, W.udp(1, OPEN, m)), **gw), off)
        for name, t in (("type 0", 0), ("segments", 4)):
            self.form(f"v6 {name}", "far", lambda m, t=t: self.eth(0x86dd, W.ip6(me.ip6, self.gw.ip6, 43, struct.pack(
                "!BBBBI", 17, 2, t, 1, 0) + socket.inet_pton(socket.AF_INET6, self.far.ip6) + udp6(me.ip6, self.far.ip6, 1, OPEN, m)), **gw), off)
        self.row("B-7", "a packet that dies at the host", counted=False)
        dies = "it has no hop left; the host may only tell the sender"
        self.form("v4", "far", lambda m: (lambda p: self.eth(0x800, p[:8] + b"\1" + p[9:10] + struct.pack("!H", W.checksum(
            p[:8] + b"\1" + p[9:10] + b"\0\0" + p[12:20])) + p[12:], **gw))(W.ip4(me.ip4, self.far.ip4, 17, W.udp(1, OPEN, m))), dies)
        self.form("v6", "far", lambda m: self.u6(m, self.far.ip6, OPEN, hops=1, mac=self.gw.mac), dies)
        self.row("B-1", "IP in frames to the bridge's own groups")
        for last in (2, 3, 0x0e):
            g = f"01:80:c2:00:00:{last:02x}"
            for name, a4, a6 in (("as itself", me.ip4, me.ip6), ("as another", "192.0.2.9", "2001:db8:99::9")):
                self.form(f"v4 to {last:02x} {name}", "host", lambda m, g=g, a4=a4: self.u4(m, self.gw.ip4, 22, a4, mac=g))
                self.form(f"v6 to {last:02x} {name}", "host", lambda m, g=g, a6=a6: self.u6(m, self.gw.ip6, 22, a6, mac=g))
        self.row("B-4", "neighbour discovery by the gateway")
        for k in (135, 136):
            for look, dst in (("far", self.far.ip6), ("out", self.out6)):
                self.form(f"type {k} to {look}", look, lambda m, k=k, dst=dst: self.eth(0x86dd, self.icmp6(
                    me.ip6, dst, k, bytes(4) + socket.inet_pton(socket.AF_INET6, me.ip6) + b"\xfd\2" + m + bytes(6)), **gw))
        self.row("B-8", "headers that say more or less than there is", counted=False)
        bad = "no stack takes it"
        self.form("v4, longer than the frame", "peer", lambda m: (lambda p: self.eth(0x800, p[:2] + b"\x05\xdc" + p[4:]))(W.ip4(
            me.ip4, peer.ip4, 17, W.udp(1, OPEN, m))), bad)
        self.form("v4, a header of 16 bytes", "peer", lambda m: (lambda p: self.eth(0x800, b"\x44" + p[1:]))(W.ip4(
            me.ip4, peer.ip4, 17, W.udp(1, OPEN, m))), bad)
        self.form("v4 with the ethertype of IPv6", "peer", lambda m: self.eth(0x86dd, W.ip4(me.ip4, peer.ip4, 17, W.udp(1, OPEN, m))), bad)
        self.form("v6 with the ethertype of IPv4", "peer", lambda m: self.eth(0x800, W.ip6(me.ip6, peer.ip6, 17, udp6(
            me.ip6, peer.ip6, 1, OPEN, m))), bad)
        self.form("v6 jumbo", "peer", lambda m: self.eth(0x86dd, struct.pack("!IHBB", 6 << 28, 0, 0, 64) + socket.inet_pton(
            socket.AF_INET6, me.ip6) + socket.inet_pton(socket.AF_INET6, peer.ip6) + struct.pack("!BBBBI", 17, 0, 0xc2, 4, 32)
            + udp6(me.ip6, peer.ip6, 1, OPEN, m)), bad)
        self.row("L3-20", "by a neighbour that would pass it on")
        # another port than above: a flow that was masqueraded elsewhere is dropped by NAT
        self.form("v4", "peer", lambda m: self.u4(m, self.far.ip4, OPEN, sport=4002))
        self.form("v6", "peer", lambda m: self.u6(m, self.far.ip6, OPEN, sport=4002))
        self.form("v4, outside", "peer", lambda m: self.u4(m, self.out4, OPEN, sport=4002))

    def from_outside(self):
        """A neighbour on the host's wire. It sends nothing to itself: loopback's published port is 8090, far's 81."""
        up, out = self.uplink.mac, self.outside.mac
        o4, o6 = self.outside.ip4, self.outside.ip6
        w = {"mac": up, "smac": out}
        self.row("L3-15", "straight to a container's port that nobody published", sender="out")
        for look, p in (("peer", self.peer), ("far", self.far)):
            self.form(f"v4 to {look}", look, lambda m, p=p: self.u4(m, p.ip4, CLOSED, o4, **w))
            self.form(f"v6 to {look}", look, lambda m, p=p: self.u6(m, p.ip6, CLOSED, o6, **w))
        self.row("L3-14", "a port that is published on 127.0.0.1", sender="out")
        self.form("by 127.0.0.1", "far", lambda m: self.u4(m, "127.0.0.1", 8090, o4, **w))
        self.form("by the container's address", "far", lambda m: self.u4(m, self.far.ip4, OPEN, o4, **w))
        self.row("B-9", "a container's address, from outside", sender="out")
        self.form("v4", "peer", lambda m: self.u4(m, self.peer.ip4, OPEN, self.me.ip4, **w))
        self.form("v6", "peer", lambda m: self.u6(m, self.peer.ip6, OPEN, self.me.ip6, **w))
        self.form("v4 to the host", "host", lambda m: self.u4(m, self.host4, 22, self.me.ip4, **w))
        self.form("v6 to the host", "host", lambda m: self.u6(m, self.host6, 22, self.me.ip6, **w))
