#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 24 s, works 13 s
"""The rule skeleton against a real kernel, each verdict with its reason and its control.

Every probe runs three times: with the rules (the expected answer, and the counter of the class that denied it),
with the file in audit (all is open, and counted all the same), and without our tables (the control: all is open).
"""
import json
import pathlib
import socket
import struct
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab")]
import skeleton_net as S  # noqa: E402
import tap  # noqa: E402
import wires as W  # noqa: E402
from skeleton_net import a4, a6, ll, mac  # noqa: E402

NET = None
OUT4, OUT6, OFFICE4, OFFICE6 = "198.51.100.2", "2001:db8:51::2", "198.51.100.130", "2001:db8:51:0:8000::2"
DNS4, DNS6, HOST4, HOST6 = "198.51.100.53", "2001:db8:51::53", "198.51.100.1", "2001:db8:51::1"
GW4, GW6 = "10.111.0.1", "2001:db8:d0::1"


def setUpModule():
    global NET
    NET = S.Net()


def tearDownModule():
    if NET:
        NET.close()


def tcp(frm, dst, port, **k):
    return lambda: NET.probe.tcp(frm, dst, port, **k)


def udp(frm, dst, port, **k):
    return lambda: NET.probe.udp(frm, dst, port, **k)


def ping(src, dst):
    return lambda: NET.probe.ping(src, dst)


def frame(src, to, data, mark=b"MARK"):
    """Sends DATA by hand from a container and looks whether a frame with MARK comes out at TO."""
    def f():
        NET.sniff[to].clear()
        NET.probe.raw(src, "eth0", data)
        end = time.monotonic() + W.SILENT
        while time.monotonic() < end:
            if any(mark in x for x in NET.sniff[to].frames()):
                return "ok"
            time.sleep(0.005)
        return "silent"
    return f


def both(name, make, want, klass=None):
    return [(f"{name} v{v}", make(v), want, klass) for v in (4, 6)]


def adr(v, n):
    return a4(n) if v == 4 else a6(n)


GUEST_MAC = "02:42:0a:37:00:63"
MD = mac("web1")


def eth(src, dst, kind, body, smac=None):
    return W.ether(mac(dst) if dst in S.HOSTS else dst, smac or mac(src), kind, body)


def spoof4(src, dst, as_ip, smac=None):
    return eth(src, dst, 0x800, W.ip4(as_ip, a4(dst), 17, W.udp(40000, 5000)), smac)


POLICY = [
    *both("web to api tcp 8080, same bridge", lambda v: tcp("web1", adr(v, "api1"), 8080), "ok"),
    *both("web to api tcp 9090, same bridge", lambda v: tcp("web1", adr(v, "api1"), 9090), "ok"),
    *both("web to api tcp 9500, of a range", lambda v: tcp("web1", adr(v, "api1"), 9500), "ok"),
    *both("web to api udp 5000", lambda v: udp("web1", adr(v, "api1"), 5000), "ok"),
    *both("web to api ping", lambda v: ping("web1", adr(v, "api1")), "ok"),
    *both("web to api tcp 8080, two bridges", lambda v: tcp("web1", adr(v, "api2"), 8080), "ok"),
    *both("web to api udp 5000, two bridges", lambda v: udp("web2", adr(v, "api1"), 5000), "ok"),
    ("web to api link-local", tcp("web1", ll("api1") + "%eth0", 8080), "ok", None),
    *both("web to api tcp 80", lambda v: tcp("web1", adr(v, "api1"), 80), "reset", "policy"),
    *both("web to api udp 5001", lambda v: udp("web1", adr(v, "api1"), 5001), "told", "policy"),
    *both("api to web tcp 80, same bridge", lambda v: tcp("api1", adr(v, "web1"), 80), "reset", "policy"),
    *both("api to web udp 5000, same bridge", lambda v: udp("api1", adr(v, "web1"), 5000), "told", "policy"),
    *both("api to web ping", lambda v: ping("api1", adr(v, "web1")), "silent", "policy"),
    *both("api to web tcp 80, two bridges", lambda v: tcp("api1", adr(v, "web2"), 80), "reset", "policy"),
    *both("api to web udp 5000, two bridges", lambda v: udp("api2", adr(v, "web1"), 5000), "told", "policy"),
    ("web to web tcp 80: a zone is not open to itself", tcp("web1", a4("web2"), 80), "reset", "policy"),
    ("api to web link-local", tcp("api1", ll("web1") + "%eth0", 80), "reset", "policy"),
]
FAMILIES = [
    *both("project a to itself", lambda v: tcp("pa1", adr(v, "pa2"), 9090), "ok"),
    *both("project a to itself, ping", lambda v: ping("pa1", adr(v, "pa2")), "ok"),
    *both("project a to b", lambda v: tcp("pa1", adr(v, "pb1"), 9090), "reset", "policy"),
    *both("front a to project a", lambda v: udp("fa1", adr(v, "pa1"), 5001), "ok"),
    *both("front a to project b", lambda v: udp("fa1", adr(v, "pb1"), 5001), "told", "policy"),
    *both("project a to front a", lambda v: tcp("pa1", adr(v, "fa1"), 80), "reset", "policy"),
]
AUDITED = [  # db is in audit: what is denied to it passes; its own ways out follow their destinations
    *both("api to db tcp 5432", lambda v: tcp("api1", adr(v, "db1"), 5432), "ok"),
    *both("web to db tcp 5432, audited", lambda v: tcp("web1", adr(v, "db1"), 5432), "ok", "policy"),
    *both("host to db tcp 80, audited", lambda v: tcp("host", adr(v, "db1"), 80), "ok", "policy"),
    *both("quarantine to db, audited", lambda v: tcp("quar1", adr(v, "db1"), 80), "ok", "quarantine"),
    *both("db to api tcp 8080", lambda v: tcp("db1", adr(v, "api1"), 8080), "reset", "policy"),
    ("world to db, published by DNAT, audited", tcp("out", HOST4, 5432), "ok", "policy"),
    ("web to db by docker-proxy, audited", tcp("web1", GW4, 5432), "ok", "policy"),
]
QUARANTINE = [
    *both("quarantine to api tcp 8080", lambda v: tcp("quar1", adr(v, "api1"), 8080), "reset", "quarantine"),
    *both("quarantine to api udp 5000", lambda v: udp("quar1", adr(v, "api1"), 5000), "told", "quarantine"),
    *both("quarantine to host", lambda v: tcp("quar1", GW4 if v == 4 else GW6, 8099), "reset", "quarantine"),
    ("quarantine to the world", tcp("quar1", OUT4, 443), "reset", "quarantine"),
    ("quarantine to metadata", tcp("quar1", "169.254.169.254", 80), "reset", "quarantine"),
    *both("web to quarantine tcp 80", lambda v: tcp("web1", adr(v, "quar1"), 80), "reset", "quarantine"),
    *both("host to quarantine tcp 80", lambda v: tcp("host", adr(v, "quar1"), 80), "reset", "quarantine"),
    *both("api to quarantine tcp 2222, named by a rule", lambda v: tcp("api1", adr(v, "quar1"), 2222), "ok"),
    ("world to quarantine, published", tcp("out", HOST4, 8070), "silent", "quarantine"),
    ("web to quarantine by docker-proxy", tcp("web1", GW4, 8070), "reset", "quarantine"),
]
UNKNOWN = [
    ("unknown to web by its gateway", tcp("stray1", GW4, 8080), "silent", "unknown?"),
    *both("unknown to db", lambda v: tcp("stray1", adr(v, "db1"), 80), "silent", "unknown?"),
    *both("unknown to api", lambda v: tcp("stray1", adr(v, "api1"), 8080), "silent", "unknown?"),
    *both("unknown to unknown", lambda v: tcp("stray1", adr(v, "stray2"), 80), "silent", "unknown?"),
    *both("unknown to host", lambda v: tcp("stray1", GW4 if v == 4 else GW6, 8099), "silent", "unknown?"),
    *both("unknown to the world", lambda v: udp("stray1", OUT4 if v == 4 else OUT6, 53), "silent", "unknown?"),
    *both("web to unknown", lambda v: tcp("web1", adr(v, "stray1"), 80), "silent", "unknown?"),
    *both("host to unknown", lambda v: tcp("host", adr(v, "stray1"), 80), "silent", "unknown?"),
    ("world to unknown v6, routed", tcp("out", a6("stray1"), 80), "silent", "unknown?"),
    ("unknown to unknown, ARP", frame("stray1", "stray2", eth("stray1", "stray2", 0x806, W.arp(
        1, mac("stray1"), a4("stray1"), "00:00:00:00:00:00", a4("stray2")) + b"MARK")), "silent", "unknown"),
    ("unknown to unknown, ethertype 88b5", frame("stray1", "stray2", eth("stray1", "stray2", 0x88b5, b"MARK")), "silent", "unknown"),
    ("unknown to unknown, VLAN tag", frame("stray1", "stray2", eth("stray1", "stray2", 0x8100, b"\0\5\x08\0MARK")), "silent", "unknown"),
    ("unknown to unknown, neighbour solicitation", frame("stray1", "stray2", eth("stray1", "stray2", 0x86dd, W.nd(135, a6("stray2"), mac("stray1"), a6("stray1"), a6("stray2")))), "silent", "unknown"),
    ("unknown to known, ethertype 88b5", frame("stray1", "web1", eth("stray1", "web1", 0x88b5, b"MARK")), "silent", "unknown"),
    ("known to unknown, ARP", frame("web1", "stray1", eth("web1", "stray1", 0x806, W.arp(
        1, mac("web1"), a4("web1"), "00:00:00:00:00:00", a4("stray1")) + b"MARK")), "silent", "noise"),
    ("unknown to host, ARP", frame("stray1", "host", eth("stray1", "ff:ff:ff:ff:ff:ff", 0x806, W.arp(
        1, mac("stray1"), a4("stray1"), "00:00:00:00:00:00", GW4) + b"MARK")), "silent", "unknown"),
    ("unknown with a container's address", frame("stray1", "api1", spoof4("stray1", "api1", a4("web1"))), "silent", "identity"),
    ("unknown with a container's MAC", frame("stray1", "api1", spoof4("stray1", "api1", "10.111.0.99", mac("web1"))), "silent", "identity"),
]
IDENTITY = [
    ("frame by hand, honest", frame("web1", "api1", spoof4("web1", "api1", a4("web1"))), "ok", None),
    ("another's IPv4 address", frame("web1", "api1", spoof4("web1", "api1", a4("db1"))), "silent", "identity"),
    ("another's MAC", frame("web1", "api1", spoof4("web1", "api1", a4("web1"), mac("db1"))), "silent", "identity"),
    ("another's IPv6 address", frame("web1", "api1", eth("web1", "api1", 0x86dd, W.ip6(a6("db1"), a6("api1"), 17, W.udp(1, 5000)))),
     "silent", "identity"),
    ("ARP honest", frame("web1", "api1", eth("web1", "api1", 0x806, W.arp(1, mac("web1"), a4("web1"), "00:00:00:00:00:00", a4("api1")) + b"MARK")),
     "ok", None),
    ("ARP for another", frame("web1", "api1", eth("web1", "api1", 0x806, W.arp(2, mac("web1"), a4("db1"), mac("api1"), a4("api1")) + b"MARK")),
     "silent", "identity"),
    ("ARP for the gateway", frame("web1", "api1", eth("web1", "api1", 0x806, W.arp(2, mac("web1"), GW4, mac("api1"), a4("api1")) + b"MARK")),
     "silent", "identity"),
    ("ARP with another's MAC inside", frame("web1", "api1", eth("web1", "api1", 0x806, W.arp(2, mac("db1"), a4("web1"), mac("api1"), a4("api1")) + b"MARK")),
     "silent", "identity"),
    ("ARP probe", frame("web1", "api1", eth("web1", "ff:ff:ff:ff:ff:ff", 0x806, W.arp(1, mac("web1"), "0.0.0.0", "00:00:00:00:00:00", a4("web1")) + b"MARK")),
     "ok", None),
    ("neighbour advertisement honest", frame("web1", "api1", eth("web1", "api1", 0x86dd, W.nd(136, a6("web1"), mac("web1"), a6("web1"), a6("api1"), 0x60000000))), "ok", None),
    ("neighbour advertisement for another", frame("web1", "api1", eth("web1", "api1", 0x86dd, W.nd(136, a6("db1"), mac("web1"), a6("web1"), a6("api1"), 0x60000000))), "silent", "identity"),
    ("duplicate address detection of its own", frame("web1", "api1", eth("web1", "33:33:ff:00:00:0b", 0x86dd, W.nd(135, a6("web1"), mac("web1"), "::", "ff02::1:ff00:b"))), "ok", None),
    ("duplicate address detection for another", frame("web1", "api1", eth("web1", "33:33:ff:00:00:0d", 0x86dd, W.nd(135, a6("db1"), mac("web1"), "::", "ff02::1:ff00:d"))), "silent", "identity"),
    ("router advertisement", frame("web1", "api1", eth("web1", "33:33:00:00:00:01", 0x86dd, W.ip6(
        ll("web1"), "ff02::1", 58, b"\x86\0\0\0\x40\0\x07\x08" + b"\0" * 8 + W.MARK, 255))), "silent", "identity"),
    ("router advertisement to the host", frame("web1", "host", eth("web1", "33:33:00:00:00:01", 0x86dd, W.ip6(
        ll("web1"), "ff02::1", 58, b"\x86\0\0\0\x40\0\x07\x08" + b"\0" * 8 + W.MARK, 255))), "silent", "identity"),
    ("IPv6 redirect", frame("web1", "api1", eth("web1", "api1", 0x86dd, W.ip6(
        ll("web1"), a6("api1"), 58, b"\x89\0\0\0\0\0\0\0" + socket.inet_pton(socket.AF_INET6, OUT6) * 2 + W.MARK, 255))), "silent", "identity"),
    ("DHCP server", frame("web1", "api1", eth("web1", "ff:ff:ff:ff:ff:ff", 0x800, W.ip4(a4("web1"), "255.255.255.255", 17, W.udp(67, 68)))),
     "silent", "identity"),
    ("DHCPv6 server", frame("web1", "api1", eth("web1", "api1", 0x86dd, W.ip6(a6("web1"), a6("api1"), 17, W.udp(547, 546)))), "silent", "identity"),
    ("ethertype 88b5", frame("web1", "api1", eth("web1", "api1", 0x88b5, b"MARK")), "silent", "identity"),
    ("VLAN tag", frame("web1", "api1", eth("web1", "api1", 0x8100, b"\0\5\x08\0MARK")), "silent", "identity"),
    ("gateway's MAC with a neighbour's address", frame("api1", "web1", W.ether(S.GWMAC, mac("api1"), 0x800, W.ip4(
        a4("api1"), a4("web1"), 17, W.udp(1, 5000)))), "silent", "policy"),
]
OUTSIDE = [
    ("web to the world tcp 443", tcp("web1", OUT4, 443), "ok", None),
    ("web to the world udp 53 v6", udp("web1", OUT6, 53), "ok", None),
    *both("web to the world ping", lambda v: ping("web1", OUT4 if v == 4 else OUT6), "ok"),
    *both("web to the world tcp 444", lambda v: tcp("web1", OUT4 if v == 4 else OUT6, 444), "reset", "policy"),
    *both("api to the world udp 54", lambda v: udp("api1", OUT4 if v == 4 else OUT6, 54), "told", "policy"),
    *both("web to office: the longest prefix wins", lambda v: tcp("web1", OFFICE4 if v == 4 else OFFICE6, 443), "reset", "policy"),
    ("web to lan", tcp("web1", "192.168.7.7", 443), "reset", "policy"),
    ("web to metadata", tcp("web1", "169.254.169.254", 80), "reset", "metadata"),
    ("web to an exempt bridge is lan", tcp("web1", a4("l1"), 80), "reset", "policy"),
    *both("api to its resolver udp 53", lambda v: udp("api1", DNS4 if v == 4 else DNS6, 53), "ok"),
    *both("api to its resolver tcp 53", lambda v: tcp("api1", DNS4 if v == 4 else DNS6, 53), "ok"),
    *both("api to its resolver tcp 443", lambda v: tcp("api1", DNS4 if v == 4 else DNS6, 443), "reset", "policy"),
    ("api to another resolver", udp("api1", OUT4, 53), "told", "policy"),
    ("world to web, routed", tcp("out", a6("web1"), 80), "ok", None),
    ("world to api, routed", tcp("out", a6("api1"), 8080, src=OUT6), "silent", "policy"),
    ("office to api, routed", tcp("out", a6("api1"), 8080, src=OFFICE6), "ok", None),
    ("lan to web", tcp("out", a4("web1"), 80, src="192.168.7.7"), "silent", "policy"),
    ("vpn, by interface, to api", tcp("vpn", a4("api1"), 8080), "ok", None),
    ("vpn to web", tcp("vpn", a4("web1"), 80), "silent", "policy"),
]
HOST = [
    *both("web to host tcp 8099", lambda v: tcp("web1", GW4 if v == 4 else GW6, 8099), "ok"),
    ("web to the host's other address", tcp("web1", HOST4, 8099), "ok", None),
    ("web to the other bridge's gateway", tcp("web1", "10.112.0.1", 8099), "ok", None),
    *both("web to host tcp 8098", lambda v: tcp("web1", GW4 if v == 4 else GW6, 8098), "reset", "policy"),
    *both("web to host udp 7", lambda v: udp("web1", GW4 if v == 4 else GW6, 7), "told", "policy"),
    ("web to host ping", ping("web1", GW4), "silent", "policy"),
    ("api to host tcp 8099", tcp("api1", GW4, 8099), "reset", "policy"),
    *both("host to web tcp 80", lambda v: tcp("host", adr(v, "web1"), 80), "ok"),
    *both("host to web ping", lambda v: ping("host", adr(v, "web1")), "ok"),
    *both("host to web tcp 2222", lambda v: tcp("host", adr(v, "web1"), 2222), "reset", "policy"),
    *both("host to api tcp 9500", lambda v: tcp("host", adr(v, "api1"), 9500), "reset", "policy"),
    *both("host to api udp 5001", lambda v: udp("host", adr(v, "api1"), 5001), "told", "policy"),
    ("world to the host's own service", tcp("out", HOST4, 8099), "ok", None),
    ("host to itself", tcp("host", "127.0.0.1", 8099), "ok", None),
    ("host to its own address", tcp("host", HOST4, 8099), "ok", None),
    ("host to the world", tcp("host", OUT4, 444), "ok", None),
]
PUBLISHED = [
    ("world to web by DNAT", tcp("out", HOST4, 8080), "ok", None),
    ("world to web by DNAT v6", tcp("out", HOST6, 8080), "ok", None),
    ("world to web by DNAT, one address", tcp("out", HOST4, 8181), "ok", None),
    ("world to web 9090 by DNAT", tcp("out", HOST4, 9090), "silent", "policy"),
    ("world to web udp 5000 by DNAT", udp("out", HOST4, 5000), "silent", "policy"),
    ("world to v4-only web by docker-proxy", tcp("out", HOST6, 8084), "ok", None),
    ("office to v4-only web by docker-proxy", tcp("out", HOST6, 8084, src=OFFICE6), "ok", None),
    ("world to v4-only web 9090 by docker-proxy", tcp("out", HOST6, 9094), "silent", "policy"),
    ("world to web udp 5000 by docker-proxy", udp("out", HOST6, 5004), "silent", "policy"),
    ("lan to web by DNAT", tcp("out", HOST4, 8080, src="192.168.7.7"), "silent", "policy"),
    ("exempt bridge to web by DNAT", tcp("l1", "10.66.0.1", 8080), "silent", "policy"),
    ("host to 127.0.0.1 published", tcp("host", "127.0.0.1", 8080), "ok", None),
    ("host to ::1 published", tcp("host", "::1", 8080), "ok", None),
    ("host to ::1 published, v4-only", tcp("host", "::1", 8084), "ok", None),
    ("host to its own address published", tcp("host", HOST4, 8080), "ok", None),
    ("host to its own address published v6", tcp("host", HOST6, 8080), "ok", None),
    ("host to its own address published, one address", tcp("host", HOST4, 8181), "ok", None),
    ("host to web 9090 by its own address", tcp("host", HOST4, 9090), "reset", "policy"),
    ("host to web 9090 by 127.0.0.1", tcp("host", "127.0.0.1", 9090), "reset", "policy"),
    ("host to web 9090 by ::1", tcp("host", "::1", 9094), "reset", "policy"),
    ("host to api by 127.0.0.1", tcp("host", "127.0.0.1", 8082), "reset", "policy"),
    ("api2 to web by the host's address", tcp("api2", HOST4, 8080), "reset", "policy"),
    ("api1 to web by its gateway", tcp("api1", GW4, 8080), "reset", "policy"),
    ("web2 to web1 by the host's address", tcp("web2", HOST4, 8080), "reset", "policy"),
    ("front to web v4-only by docker-proxy", tcp("fa1", "2001:db8:d1::1", 8084), "reset", "policy"),
    ("second leg by another program, not root", tcp("host", a4("web4"), 9090, uid=65534), "reset", "policy"),
    ("second leg by another program, root, no first leg", tcp("host", a4("web4"), 9090), "reset", "policy"),
]
FOREIGN = [
    ("guest to guest", tcp("x1", a4("x2"), 80), "ok", None),
    ("guest to its host", tcp("x1", "10.55.0.1", 8099), "ok", None),
    ("guest to guest, ethertype 88b5", frame("x1", "x2", W.ether(mac("x2"), mac("x1"), 0x88b5, b"MARK")), "ok", None),
    ("guest's other MAC", frame("x1", "x2", W.ether(mac("x2"), GUEST_MAC, 0x800, W.ip4("10.55.0.99", a4("x2"), 17, W.udp(1, 7)))), "ok", None),
    ("a guest that came just now", tcp("x3", a4("x2"), 80), "ok", None),
    ("exempt bridge inside", tcp("l1", a4("l2"), 80), "ok", None),
    ("exempt bridge to its host", tcp("l1", "10.66.0.1", 8099), "ok", None),
    ("exempt bridge to the world", tcp("l1", OUT4, 444), "ok", None),
    ("host to an exempt bridge", tcp("host", a4("l1"), 80), "ok", None),
]
GROUPS = {"policy": POLICY, "families": FAMILIES, "zone_audit": AUDITED, "quarantine": QUARANTINE, 
          "identity": IDENTITY, "outside": OUTSIDE, "host": HOST, "published": PUBLISHED, "foreign": FOREIGN,
          "unknown_last": UNKNOWN}  # its neighbour discovery goes on for seconds
CLASSES = ("policy", "unknown", "quarantine", "identity", "metadata", "invalid", "noise")


def denied():
    c = NET.counters("host")
    return {k: c.get(f"inet.denied_{k}", 0) + c.get(f"bridge.denied_{k}", 0) for k in CLASSES}


class Counts:
    """denied() around probes that follow each other at once: after one is before the next."""
    last = None

    @classmethod
    def before(cls):
        return cls.last or denied()

    @classmethod
    def after(cls):
        cls.last = denied()
        return cls.last

    @classmethod
    def pause(cls):
        cls.last = None


class Base(unittest.TestCase):
    def group(self, checks, judge):
        bad = []
        Counts.pause()
        for name, probe, want, klass in checks:
            why = judge(probe, want, klass)
            if why:
                bad.append(f"{name}: {why}")
        if bad:
            self.fail("\n" + "\n".join(bad) + f"\n{len(bad)} of {len(checks)}")


def enforced(probe, want, klass):
    """What comes late of an earlier probe may be counted beside this one, once; a wrong count is wrong again."""
    for _ in range(3):
        why = enforced_once(probe, want, klass)
        if not why.startswith(MISCOUNTED):
            break
        time.sleep(0.2)
        Counts.pause()
    return why


MISCOUNTED = "counted as "


def enforced_once(probe, want, klass):
    before = Counts.before()
    got = probe()
    after = Counts.after()
    rose = {k for k in CLASSES if after[k] > before[k]} - {"noise"}
    why = [] if got == want else [f"{got}, not {want}"]
    if klass == "noise":
        if after["noise"] <= before["noise"]:
            why.append("not counted")
    elif klass and klass.endswith("?"):     # nothing of it need leave the sender: it has no neighbour
        if rose - {klass[:-1]}:
            why.append(f"{MISCOUNTED}{rose}")
    elif rose != ({klass} if klass else set()):
        why.append(f"{MISCOUNTED}{sorted(rose)}, not {klass}")
    return "; ".join(why)


def open_(probe, want, klass):
    got = probe()
    return "" if got == "ok" else f"{got}, not ok"


def audited(probe, want, klass):
    counts = klass and not klass.endswith("?")
    before = Counts.before() if counts else Counts.pause()
    got = probe()
    after = Counts.after() if counts else None
    why = [] if got == "ok" else [f"{got}, not ok"]
    if counts and after[klass] <= before[klass]:
        why.append(f"not counted as {klass}")
    return "; ".join(why)


class T1Enforced(Base):
    @classmethod
    def setUpClass(cls):
        NET.unload()
        NET.load()


class T2Audited(Base):
    @classmethod
    def setUpClass(cls):
        NET.unload()
        NET.load()
        NET.audit(True)

    @classmethod
    def tearDownClass(cls):
        NET.audit(False)


class T3Control(Base):
    @classmethod
    def setUpClass(cls):
        NET.unload()


def add(cls, judge):
    for name, checks in GROUPS.items():
        def test(self, checks=checks):
            if judge is not enforced:
                NET.forget()
            self.group(checks, judge)
        setattr(cls, f"test_{'z' if 'last' in name else 'a'}_{name}", test)


def as_data(ns, path):
    """What nft lists once PATH is loaded in a namespace, by object, without handles and counts."""
    NET.nft(ns, path.read_text())
    try:
        listing = json.loads(NET.sh(ns, "nft -j list ruleset"))["nftables"]
    finally:
        NET.nft(ns, "flush ruleset")
    out = {}
    for x in listing:
        kind, v = next(iter(x.items()))
        for k in ("handle", "packets", "bytes"):
            v.pop(k, None)
        text = json.dumps(v, sort_keys=True)
        if kind == "rule":
            out.setdefault(f"rules of {v['family']} {v['chain']}", []).append(json.dumps(v["expr"], sort_keys=True))
        elif kind in ("set", "map"):
            elems = sorted(json.dumps(e, sort_keys=True) for e in v.pop("elem", []))
            out[f"{v['family']} {v['name']}"] = [json.dumps(v, sort_keys=True), *elems]
        elif kind != "metainfo":
            out[f"{kind} {v['family']} {v['name']}"] = text
    return out


class T4Moving(Base):
    """What changes under a flow, and what is counted and left behind."""
    def setUp(self):
        NET.unload()
        NET.forget()
        NET.load()

    def element(self, verb, what):
        NET.nft("host", f"{verb} element inet bulkhead {what}\n")

    def counted(self, table, kind, name):
        out = NET.sh("host", f"nft -j list {kind} {table} bulkhead {name}")
        d = [x for x in json.loads(out)["nftables"] if kind in x][0][kind]
        got = {}
        for e in d.get("elem", []):
            k = e[0] if isinstance(e, list) else e
            k = k["elem"] if isinstance(k, dict) and "elem" in k else k
            c = k["counter"]["packets"]
            v = k["val"]
            got[" . ".join(map(str, v["concat"])) if isinstance(v, dict) else str(v)] = c
        return got

    def hold(self, ns, dst, port, src=None):
        s, why = NET.probe.open(ns, socket.SOCK_STREAM, dst, port, src)
        self.assertIsNone(why)
        self.assertEqual(NET.probe.pump(s, NET.probe._result), "ok", f"{ns} to {dst} {port}")
        return s

    def say(self, s):
        try:
            s.send(b"more")
        except OSError as x:
            return W.ERRNO.get(x.errno, str(x))
        return NET.probe.pump(s, NET.probe._result, 0.5)

    def test_established_flows_follow_the_policy(self):
        held = {"same bridge v4": self.hold("web1", a4("api1"), 8080), "same bridge v6": self.hold("web1", a6("api1"), 8080),
                "routed": self.hold("web1", a4("api2"), 8080), "DNAT": self.hold("out", HOST4, 8080),
                "docker-proxy": self.hold("out", HOST6, 8084)}
        stays = {"other port": self.hold("web1", a4("api1"), 9500), "host": self.hold("host", a4("web1"), 80)}
        for n, s in {**held, **stays}.items():
            self.assertEqual(self.say(s), "ok", n)
        self.element("delete", "ports_1_web { b8:2 . tcp . 8080 }")
        self.element("delete", "ports_internet { b8:1 . tcp . 80 }")
        self.element("delete", "legs_internet { " + self.leg("web4", 80) + " }")
        for n in ("same bridge v4", "same bridge v6", "routed"):
            self.assertEqual(self.say(held[n]), "reset", n)
        for n in ("DNAT", "docker-proxy"):
            self.assertEqual(self.say(held[n]), "silent", n)
        for n, s in stays.items():
            self.assertEqual(self.say(s), "ok", n)
        for s in [*held.values(), *stays.values()]:
            s.close()

    def leg(self, name, port):
        out = json.loads(NET.sh("host", "nft -j list map inet bulkhead legs4"))
        e = [x for x in out["nftables"] if "map" in x][0]["map"]["elem"]
        return [v for k, v in e if k["concat"] == [a4(name), "tcp", port]][0]

    def flow(self, port):
        with NET.at("web1"):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setblocking(False)
        s.connect((a4("api1"), port))
        s.send(b"hello")
        self.assertEqual(NET.probe.pump(s, NET.probe._result), "ok", port)
        return s

    def error(self, sock, port, kind=3, code=3):
        quoted = W.ip4(a4("web1"), a4("api1"), 17, W.udp(sock.getsockname()[1], port))
        return frame("api1", "web1", eth("api1", "web1", 0x800, W.ip4(a4("api1"), a4("web1"), 1, W.icmp(
            kind, code, b"\0" * 4 + quoted))))()

    def test_errors_follow_the_port_of_their_flow(self):
        NET.audit(True)
        opened, closed = self.flow(5000), self.flow(5001)
        self.assertEqual([self.error(opened, 5000), self.error(closed, 5001)], ["ok", "ok"], "control")
        NET.audit(False)
        self.assertEqual([self.error(opened, 5000), self.error(closed, 5001)], ["ok", "silent"])
        self.assertEqual(self.error(opened, 5000, 5, 1), "silent", "a redirect passed")

    def test_the_port_unreachable_of_an_open_port(self):
        NET.nft("host", "add element inet bulkhead ports_1_web { b8:2 . udp . 999 }")
        self.assertEqual([NET.probe.udp("web1", a, 999) for a in (a4("api1"), a6("api1"))], ["reset"] * 2)

    def test_who_answers_opens_nothing(self):
        """A SYN of the called end is invalid to conntrack: entries that are made for old connections rest on that."""
        s = self.hold("web1", a4("api1"), 8080)
        f = eth("api1", "web1", 0x800, W.tcp4(a4("api1"), a4("web1"), 8080, s.getsockname()[1], 2))
        before = denied()["invalid"]
        self.assertEqual(frame("api1", "web1", f)(), "silent")
        self.assertGreater(denied()["invalid"], before)
        NET.audit(True)
        self.assertEqual(frame("api1", "web1", f)(), "ok", "control")
        s.close()

    def test_invalid_is_a_class(self):
        before = denied()["invalid"]
        null = struct.pack("!HHIIBBHHH", 1000, 8080, 1, 1, 0x50, 0, 100, 0, 0)
        f = eth("web1", "api1", 0x800, W.ip4(a4("web1"), a4("api1"), 6, null + b"MARK"))
        self.assertEqual(frame("web1", "api1", f)(), "silent")
        self.assertGreater(denied()["invalid"], before)
        NET.unload()
        self.assertEqual(frame("web1", "api1", f)(), "ok", "control")

    def test_counts(self):
        for _ in range(3):
            self.assertEqual(NET.probe.ping("web1", a4("api1")), "ok")
        self.assertEqual(self.counted("inet", "set", "protos_1_web")["b8:2 . icmp"], 6)
        zones = self.counted("inet", "map", "from_zone")
        self.assertEqual((zones["b8:1"], zones["b8:2"]), (6, 0))
        ends = self.counted("inet", "map", "zone_of4")
        self.assertEqual([ends[f"docker0 . {a4(n)}"] for n in ("web1", "api1", "db1")], [6, 6, 0])
        for _ in range(4):
            self.assertEqual(NET.probe.ping("api1", a4("web1")), "silent")
        drops = self.counted("inet", "set", "drops4")
        self.assertEqual([drops[f"docker0 . {a4(n)}"] for n in ("web1", "api1")], [0, 4])
        before = self.counted("bridge", "set", "drops")
        IDENTITY[1][1]()
        after = self.counted("bridge", "set", "drops")
        self.assertEqual({k: v - before[k] for k, v in after.items() if v != before[k]}, {"vethweb1": 1})

    def priorities(self):
        c = NET.counters("host")
        return {k[10:]: v for k, v in c.items() if k.startswith("inet.prio_")}

    def test_priority_is_what_it_would_have_been(self):
        seen = {}
        for ours in (False, True):
            (NET.load if ours else NET.unload)()
            NET.nft("host", "table inet probe\ndelete table inet probe\n")
            names = {"none": "0:0", "bulk": "0:2", "interactive": "0:6", "inbulk": "0:4", "class": "1:5"}
            NET.nft("host", "table inet probe {\n" + "".join(f"counter prio_{n} {{ }}\n" for n in [*names, "rest"]) + "".join(
                f"chain {h} {{ type filter hook {h} priority filter; meta l4proto != udp accept\n" + "".join(
                    f"meta priority {p} counter name prio_{n} accept\n" for n, p in names.items()) + "counter name prio_rest\n}\n"
                for h in ("forward", "input", "output")) + "}\n")
            for tos in (0x00, 0x08, 0x10, 0x18, 0x09, 0xb8, 0x28):
                f = W.ether(S.GWMAC, mac("web1"), 0x800, W.ip4(a4("web1"), OUT4, 17, W.udp(40000 + tos, 53), tos))
                self.assertEqual(frame("web1", "out", f)(), "ok")
                NET.probe.pump(NET.sniff["out"].s, lambda s: None, 0.05)
            self.assertEqual(NET.probe.udp("web1", OUT6, 53), "ok")
            with NET.at("host"):    # a class that the host's own program asked for is not ours to clear
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 0x10005)
            s.sendto(b"x", (OUT4, 7))
            s.close()
            NET.probe.pump(NET.sniff["out"].s, lambda s: None, 0.05)
            seen[ours] = self.priorities()
        NET.nft("host", "delete table inet probe")
        self.assertEqual(seen[True], seen[False])
        self.assertEqual(seen[True]["rest"], 0)
        self.assertEqual(seen[True]["class"], 1)
        for n in ("none", "bulk", "interactive", "inbulk"):
            self.assertGreater(seen[True][n], 0, n)

    def test_an_address_that_changes_hands_carries_nothing_over(self):
        self.assertEqual(NET.probe.tcp("web1", a4("api1"), 8080), "ok")
        NET.sh("host", "ip link del vethweb1")
        try:
            self.take("web1")
            self.assertEqual([NET.probe.tcp("web1", a, 8080) for a in (a4("api1"), GW4)], ["silent"] * 2)
            self.assertEqual(NET.probe.tcp("out", HOST4, 8080), "silent")
            NET.unload()
            NET.sh("web1", "ip neigh flush all")  # it remembers for a while that nobody answered
            self.assertEqual(NET.probe.tcp("web1", a4("api1"), 8080), "ok", "control")
        finally:
            NET.sh("host", "ip link set vethnew down; ip link set vethnew name vethweb1; ip link set vethweb1 up")

    def take(self, n):
        NET.veth("host", "vethnew", n, "eth0", mac(n))
        NET.sh("host", "ip link set vethnew master docker0 up")
        NET.sh(n, f"ip link set eth0 up; ip addr add {a4(n)}/24 dev eth0; ip route add default via {GW4};"
                  f"ip addr add {a6(n)}/64 dev eth0; ip -6 route add default via {GW6}")
        NET.sniff[n] = W.Sniffer(NET, n, "eth0")

    def test_the_compiler_makes_the_same(self):
        by_hand = as_data("x3", S.RULES)
        made = as_data("x3", S.TOP / "tests/golden/compile/skeleton/expect.nft")
        self.assertEqual(sorted(made), sorted(by_hand))
        for k in by_hand:
            self.assertEqual(made[k], by_hand[k], k)
        self.assertGreater(len(by_hand), 200)

    def test_round_trip(self):
        text = NET.sh("host", "nft -s list table inet bulkhead; nft -s list table bridge bulkhead")
        self.assertNotIn("Error", text)
        try:
            NET.nft("x3", text)
            again = NET.sh("x3", "nft -s list table inet bulkhead; nft -s list table bridge bulkhead")
        finally:
            NET.nft("x3", "flush ruleset")
        self.assertEqual(again, text)
        self.assertGreater(len(text), 20000)


add(T1Enforced, enforced)
add(T2Audited, audited)
add(T3Control, open_)

if __name__ == "__main__":
    tap.main()
