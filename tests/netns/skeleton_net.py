# SPDX-License-Identifier: Apache-2.0
"""The host of tests/golden/skeleton.nft in namespaces: bridges, containers, published ports, an outside.

    docker0           10.111.0.0/24  2001:db8:d0::/64   web1 api1 db1 quar1 web4; stray1 stray2 are not known
    br-00000000000b   10.112.0.0/24  2001:db8:d1::/64   web2 api2 pa1 pa2 pb1 fa1
    lxcbr0            10.55.0.0/24   a foreign bridge; its guests' ports are veths too
    br-ex             10.66.0.0/24   one that a pattern catches; exempt
    up0               198.51.100.0/24  2001:db8:51::/64, wg0 10.77.0.0/24
"""
import pathlib

import wires

TOP = pathlib.Path(__file__).resolve().parents[2]
RULES = TOP / "tests/golden/skeleton.nft"
D0, B2 = "docker0", "br-00000000000b"
HOSTS = {"web1": (D0, 11), "api1": (D0, 12), "db1": (D0, 13), "quar1": (D0, 14), "web4": (D0, 17),
         "stray1": (D0, 31), "stray2": (D0, 32),
         "web2": (B2, 11), "api2": (B2, 12), "pa1": (B2, 21), "pa2": (B2, 22), "pb1": (B2, 23), "fa1": (B2, 24)}
NET4 = {D0: "10.111.0", B2: "10.112.0"}
NET6 = {D0: "2001:db8:d0::", B2: "2001:db8:d1::"}
GWMAC = "02:42:00:00:00:01"
GUESTS = {"x1": ("lxcbr0", "10.55.0.2"), "x2": ("lxcbr0", "10.55.0.3"), "x3": ("lxcbr0", "10.55.0.4"),
          "l1": ("br-ex", "10.66.0.2"), "l2": ("br-ex", "10.66.0.3")}
V6LESS = {"web4"}
TCP = (80, 2222, 5432, 8080, 9090, 9500)
UDP = (5000, 5001, 7)
# what dockerd does for published ports: (address, protocol, host port, container, container port)
DNAT = [("", "tcp", 8080, "web1", 80), ("", "tcp", 9090, "web1", 9090), ("198.51.100.1", "tcp", 8181, "web1", 80),
        ("", "udp", 5000, "web1", 5000), ("127.0.0.1", "tcp", 8082, "api1", 8080), ("", "tcp", 5432, "db1", 5432),
        ("", "tcp", 8070, "quar1", 80), ("", "tcp", 8084, "web4", 80)]
DNAT6 = [("", "tcp", 8080, "web1", 80), ("", "tcp", 9090, "web1", 9090), ("", "tcp", 5432, "db1", 5432),
         ("", "tcp", 8070, "quar1", 80)]
PROXY6 = [("::", "tcp", 8084, "web4", 80), ("::", "tcp", 9094, "web4", 9090), ("::", "udp", 5004, "web4", 5000),
          ("::", "udp", 5002, "web2", 5000)]
OUTSIDES = ("198.51.100.2", "198.51.100.53", "2001:db8:51::2", "2001:db8:51::53")
PROXY = "/usr/sbin/docker-proxy"


def a4(n):
    return f"{NET4[HOSTS[n][0]]}.{HOSTS[n][1]}" if n in HOSTS else GUESTS[n][1]


def a6(n):
    return f"{NET6[HOSTS[n][0]]}{HOSTS[n][1]:x}"


def mac(n):
    return "02:42:" + ":".join(f"{int(x):02x}" for x in a4(n).split("."))


def ll(n):
    b = wires.mac(mac(n))
    return f"fe80::{b[0] ^ 2:x}{b[1]:02x}:{b[2]:x}ff:fe{b[3]:02x}:{b[4]:x}{b[5]:02x}"


def bridge_flags(on):
    return " ".join(f"{x} {int(on)}" for x in ("nf_call_iptables", "nf_call_ip6tables"))


class Net(wires.Wires):
    def build(self):
        self.ns("host", "out", "vpn", *HOSTS, *GUESTS)
        quick = ("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0"
                 " net.ipv6.conf.all.router_solicitations=0 net.ipv6.conf.default.router_solicitations=0; ip link set lo up")
        for n in self.fds:
            self.sh(n, quick)
        self.sh("host", "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0"
                " net.ipv6.icmp.ratelimit=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0"
                " net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0")
        self.sh("host", "\n".join(
            [f"ip link add {b} address {GWMAC} type bridge {bridge_flags(b in (D0, B2))}; ip link set {b} up" for b in (D0, B2, "lxcbr0", "br-ex")] +
            [f"ip addr add {NET4[b]}.1/24 dev {b}; ip addr add {NET6[b]}1/64 dev {b}" for b in (D0, B2)] +
            ["ip addr add 10.55.0.1/24 dev lxcbr0; ip addr add 10.66.0.1/24 dev br-ex"]))
        for n in HOSTS:
            b = HOSTS[n][0]
            six = "" if n in V6LESS else f"ip addr add {a6(n)}/64 dev eth0; ip -6 route add default via {NET6[b]}1"
            self.port(n, b, f"{a4(n)}/24", f"{NET4[b]}.1", mac(n), six)
        for n, (b, a) in GUESTS.items():
            self.port(n, b, f"{a}/24", a.rsplit(".", 1)[0] + ".1", mac(n))
        self.outside()
        self.docker()
        self.sniff = {n: wires.Sniffer(self, n, "eth0") for n in [*HOSTS, *GUESTS, "out", "vpn"]}
        self.sniff["host"] = wires.Sniffer(self, "host", D0)
        self.servers = [wires.Server(self, n, TCP, UDP) for n in HOSTS]
        self.servers += [wires.Server(self, n, (80,), (7,)) for n in GUESTS]
        self.servers.append(wires.Server(self, "out", (53, 80, 443, 444)))
        self.servers += [wires.Server(self, "out", (), (53, 54, 7), a) for a in OUTSIDES]
        self.servers.append(wires.Server(self, "host", (8098, 8099), (7,)))
        self.probe = wires.Prober(self, self.servers)

    def port(self, n, bridge, addr, gw, m, more=":"):
        self.veth("host", f"veth{n}", n, "eth0", m)
        self.sh("host", f"ip link set veth{n} master {bridge} up")
        self.sh(n, f"ip link set eth0 up; ip addr add {addr} dev eth0; ip route add default via {gw}; {more or ':'}")

    def outside(self):
        self.veth("host", "up0", "out", "eth0")
        self.veth("host", "wg0", "vpn", "eth0")
        self.sh("host", "ip link set up0 up; ip addr add 198.51.100.1/24 dev up0; ip addr add 2001:db8:51::1/64 dev up0;"
                "ip link set wg0 up; ip addr add 10.77.0.1/24 dev wg0;"
                "ip route add default via 198.51.100.2; ip -6 route add default via 2001:db8:51::2")
        self.sh("vpn", "ip link set eth0 up; ip addr add 10.77.0.2/24 dev eth0; ip route add default via 10.77.0.1")
        # the outside is many: the internet, the office, a resolver, the cloud's metadata
        self.sh("out", "ip link set eth0 up; for a in 198.51.100.2/24 198.51.100.130/24 198.51.100.53/24 169.254.169.254/32"
                " 192.168.7.7/32; do ip addr add $a dev eth0; done;"
                "for a in 2001:db8:51::2/64 2001:db8:51:0:8000::2/64 2001:db8:51::53/64; do ip addr add $a dev eth0; done;"
                "for r in 10.111.0.0/24 10.112.0.0/24 10.66.0.0/24; do ip route add $r via 198.51.100.1 src 198.51.100.2; done;"
                "for r in 2001:db8:d0::/64 2001:db8:d1::/64; do ip -6 route add $r via 2001:db8:51::1; done")

    def docker(self):
        """Docker 20.10's NAT: its chain returns for what comes from its own bridges, and leaves 127/8 to the proxy."""
        def rules(fam, maps, addr):
            out = []
            for h, proto, hp, n, cp in maps:
                if h == "127.0.0.1":
                    continue
                d = f"{fam} daddr {h} " if h else ""
                to = f"[{addr(n)}]:{cp}" if fam == "ip6" else f"{addr(n)}:{cp}"
                out.append(f"{d}{proto} dport {hp} dnat to {to}")
            return "\n".join(out)
        ours = '{ "docker0", "br-00000000000b" }'
        text = ""
        for fam, maps, addr, loop, nets in (("ip", DNAT, a4, "127.0.0.0/8", "10.111.0.0/24, 10.112.0.0/24"),
                                            ("ip6", DNAT6, a6, "::1", "fd12::/64")):
            text += f"""table {fam} dockernat {{
                chain docker {{ iifname {ours} return
                    {rules(fam, maps, addr)}
                }}
                chain pre {{ type nat hook prerouting priority dstnat; fib daddr type local jump docker; }}
                chain out {{ type nat hook output priority -100; {fam} daddr != {loop} fib daddr type local jump docker; }}
                chain post {{ type nat hook postrouting priority srcnat; {fam} saddr {{ {nets} }} oifname up0 masquerade; }}
            }}\n"""
        self.nft("host", text)
        for h, proto, hp, n, cp in [(x[0] or "0.0.0.0", *x[1:]) for x in DNAT] + [(x[0] or "::", *x[1:]) for x in DNAT6] + PROXY6:
            to = a6(n) if h == "::" and n not in ("web4", "web2") else a4(n)
            self.spawn("host", f"{PROXY} -proto {proto} -host-ip {h} -host-port {hp} -container-ip {to} -container-port {cp} 3>&1", b"0\n")

    def load(self):
        self.nft("host", RULES.read_text())

    def unload(self):
        self.nft("host", "".join(f"table {f} bulkhead\ndelete table {f} bulkhead\n" for f in ("inet", "bridge")))

    def audit(self, on):
        verb, data = ("add", ": accept") if on else ("delete", "")
        self.nft("host", "".join(f"{verb} element {f} bulkhead modes {{ 0 {data} }}\n" for f in ("inet", "bridge")))

    def forget(self):
        """What neighbours and bridges learned from frames by hand."""
        for n in [*HOSTS, "host"]:
            self.sh(n, "ip neigh flush all")
        self.sh("host", "for b in docker0 br-00000000000b lxcbr0; do ip link set $b type bridge fdb_flush; done")
