# SPDX-License-Identifier: Apache-2.0
"""Who may open what, said twice: as bulkhead's YAML and as a table of cells.

The rules are data here; `config()` writes them down in YAML, `allowed()` judges a cell
by itself, in a few lines that share nothing with bulkhead.
"""
import ipaddress

import lab

ZONES = ("web", "api", "db")
PORTS = (80, 81)
PROTOS = ("tcp", "udp")
OFFICE4, OFFICE6 = "198.51.100.4", "2001:db8:51::4"

# from, to, ports (empty: everything). 30-70 % of all cells are open; matrix() checks.
RULES = [
    (["web"], ["api"], ["tcp/80", "udp/81"]),
    (["web"], ["web"], ["tcp/80-81"]),
    (["api"], ["db"], ["tcp/81", "udp"]),
    (["api"], ["web"], ["udp/80-81"]),
    (["db"], ["db"], []),
    (["db"], ["api"], ["tcp"]),
    (["lan"], ["web"], ["tcp/80", "udp/81"]),
    (["office"], ["web", "api"], ["udp/80"]),
    (["office"], ["db"], ["tcp/81", "udp/80-81"]),
    (["internet"], ["web"], ["tcp/80"]),
    (["internet"], ["api"], ["udp/80"]),
    (["web"], ["internet"], ["tcp/81", "udp/80"]),
    (["api"], ["lan"], []),
    (["api", "db"], ["office"], ["tcp/80", "udp"]),
    (["db"], ["lan"], ["udp/81"]),
    (["host"], ["web", "api"], ["tcp/80", "udp"]),
    (["host"], ["db"], ["udp/81", "tcp/81"]),
    (["web"], ["host"], ["tcp/80", "udp/80"]),
    (["api"], ["host"], ["tcp"]),
]

# published port -> (zone, the container's port): all of one web container
PUBLISHED = {8080: 80, 8081: 81}


def quote(values):
    return "[" + ", ".join(values) + "]"


def config(rules=None, extra_zones="", mode="enforce"):
    lines = ["version: 1", f"mode: {mode}", "zones:"]
    lines += [f"  {z}: {{select: {{labels: {{tier: {z}}}}}}}" for z in ZONES]
    lines += [f"  office: {{cidrs: [{OFFICE4}/32, \"{OFFICE6}/128\"]}}"]
    if extra_zones:
        lines.append(extra_zones.rstrip("\n"))
    lines.append("allow:")
    for src, dst, ports in RULES if rules is None else rules:
        p = f", ports: {quote(ports)}" if ports else ""
        lines.append(f"  - {{from: {quote(src)}, to: {quote(dst)}{p}}}")
    return "\n".join(lines) + "\n"


def port_matches(want, proto, port):
    p, _, n = want.partition("/")
    if p != proto:
        return False
    low, _, high = n.partition("-")
    return not n or int(low) <= port <= int(high or low)


def allowed(src, dst, proto, port, rules=None):
    return any(src in f and dst in t and (not ports or any(port_matches(w, proto, port) for w in ports))
               for f, t, ports in (RULES if rules is None else rules))


class Cell:
    def __init__(self, place, src_zone, dst_zone, receiver, proto, address, port, real_port, source=None):
        self.place, self.src_zone, self.dst_zone, self.receiver = place, src_zone, dst_zone, receiver
        self.proto, self.address, self.port, self.real_port, self.source = proto, address, port, real_port, source
        self.open = allowed(src_zone, dst_zone, proto, real_port)

    def __str__(self):
        return (f"{self.place.name}({self.src_zone}{' ' + self.source if self.source else ''}) -> "
                f"{self.receiver}({self.dst_zone}) {self.proto} {self.address} {self.port}")

    def line(self, marker):
        a = f"{self.address}@{self.source}" if self.source else self.address
        return (self.proto, a, self.port, marker)


class Matrix:
    """Six containers on one bridge or two, the host, and three kinds of outside."""

    def __init__(self, l, bridges):
        self.lab, self.round = l, 0
        self.nets = ["net1", "net2"][:bridges]
        for n in self.nets:
            l.network(n)
        jobs = [(f"{z}{i}", z, self.nets[(i - 1) % bridges]) for z in ZONES for i in (1, 2)]
        self.containers = lab.parallel([lambda n=n, z=z, net=net: l.run(
            n, labels={"tier": z}, network=net,
            ports={f"{c}/{proto}": str(p) for p, c in PUBLISHED.items() for proto in PROTOS} if n == "web1" else None)
            for n, z, net in jobs], 3)
        self.zone = {n: z for n, z, _ in jobs}
        self.places = {c.name: c for c in self.containers}
        self.receivers = {p.name: l.receiver(p, PORTS) for p in (*self.containers, l.host, l.out)}

    def cells(self):
        """Every (source, destination, protocol, port, family) with a container at one end."""
        l, out = self.lab, []
        worlds = [("lan", lab.OUT4, lab.OUT6), ("office", OFFICE4, OFFICE6), ("internet", lab.INTERNET4, lab.INTERNET6)]
        for proto in PROTOS:
            for port in PORTS:
                for src in self.containers:
                    z = self.zone[src.name]
                    for dst in self.containers:
                        if dst is not src:
                            out += [Cell(src, z, self.zone[dst.name], dst.name, proto, a, port, port)
                                    for a in (dst.ip4, dst.ip6)]
                    gateway = next(iter(src.networks.values()))["Gateway"]
                    out += [Cell(src, z, "host", "host", proto, a, port, port) for a in (lab.HOST4, lab.HOST6, gateway)]
                    out += [Cell(src, z, w, "out", proto, a, port, port) for w, *addrs in worlds for a in addrs]
                    out += [Cell(l.host, "host", z, src.name, proto, a, port, port) for a in (src.ip4, src.ip6)]
                    out += [Cell(l.out, w, z, src.name, proto, a, port, port, s)
                            for w, s4, s6 in worlds for a, s in ((src.ip4, s4), (src.ip6, s6))]
            for port, real in PUBLISHED.items():
                out += [Cell(l.out, w, "web", "web1", proto, a, port, real, s)
                        for w, s4, s6 in worlds for a, s in ((lab.HOST4, s4), (lab.HOST6, s6))]
        return out

    def probe(self, cells, timeout=2.0):
        """Sends every cell once; returns a list of (cell, arrived, result). Raises when a
        receiver did not hear its own namespace meanwhile: then nothing was measured."""
        self.round += 1
        places = {p.name: p for p in (*self.containers, self.lab.host, self.lab.out)}
        per = {name: [] for name in places}
        for i, c in enumerate(cells):
            per.setdefault(c.place.name, []).append((f"r{self.round}.{i}", c))
            places.setdefault(c.place.name, c.place)

        def one(name):
            lines = [c.line(m) for m, c in per[name]]
            if name in self.receivers:
                lines += [(proto, a, port, f"r{self.round}.alive.{name}.{proto}.{a}.{port}")
                          for proto in PROTOS for a in ("127.0.0.1", "::1") for port in PORTS]
            return self.lab.send(places[name], lines, timeout)
        results = {}
        for r in lab.parallel([lambda n=n: one(n) for n in per], len(per)):
            results.update(r)
        heard = {name: r.markers() for name, r in self.receivers.items()}
        for name, markers in heard.items():
            alive = sum(1 for m in markers if m.startswith(f"r{self.round}.alive.{name}."))
            if alive != len(PROTOS) * 2 * len(PORTS):
                raise lab.LabError(f"the receiver in {name} heard {alive} of its own packets: nothing measured")
        out = []
        for name in per:
            for m, c in per[name]:
                elsewhere = [n for n, h in heard.items() if m in h and n != c.receiver]
                if elsewhere:
                    raise lab.LabError(f"{c}: arrived at {elsewhere}")
                out.append((c, m in heard[c.receiver], results[m][0]))
        return out

    def wrong(self, cells=None, all_open=False, timeout=2.0):
        """Texts of the cells that are not as the rules say (or not open, for controls)."""
        bad = []
        for c, arrived, result in self.probe(self.cells() if cells is None else cells, timeout):
            want = all_open or c.open
            if arrived != want or (result == "ok") != want:
                bad.append(f"{c}: want {'open' if want else 'closed'}, "
                           f"{'arrived' if arrived else 'did not arrive'}, sender saw {result}")
        return bad


def is_v6(address):
    return ipaddress.ip_address(address).version == 6
