#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a packet costs: hosts of tests/bench/peers.py side by side, which take turns.

ns a packet: a sender of 64-byte UDP frames and everything on their way to the receiver's socket on one processor; its
time, and that processor's ksoftirqd's, by the packets that arrived. Other programs on the machine do not count in it."""
import collections
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import measure  # noqa: E402
import peers  # noqa: E402
import wires  # noqa: E402

BYTES = 22          # of UDP's payload: a frame of 64
CPU = 1
SECONDS = 0.25
SEED = 5
RULES = 100
PLACES = {"same": "one bridge", "across": "across bridges", "published": "published port"}
DOCKER, OURS, NONE = "Docker's own rules", "bulkhead", "no rules at all"
NO_ICC = "Docker, icc=false"

# name: (how the policy gets there, whether frames on one bridge are shown to IP rules)
POLICIES = {
    OURS: (peers.bulkhead, True),
    "list in DOCKER-USER, iptables-nft": (peers.xtables, True),
    "list in DOCKER-USER, iptables-legacy": (lambda h, n: peers.xtables(h, n, legacy=True), True),
    "ipset in DOCKER-USER": (peers.ipset, True),
    "nft list": (peers.nft, True),
    "nft sets": (lambda h, n: peers.nft(h, n, maps=True), True),
    "nft list, every packet judged": (lambda h, n: peers.nft(h, n, shortcut=False), True),
    "nft sets, every packet judged": (lambda h, n: peers.nft(h, n, maps=True, shortcut=False), True),
}
ABSENT = {
    "firewalld": "not measured yet: it needs a system bus of its own",
    "netavark isolation": "keeps whole networks apart; it has no rule for a pair of containers",
}


class Bench:
    def __init__(self, w, report):
        self.w, self.r = w, report
        self.docker = peers.docker_rules()
        self.closed = peers.docker_rules(icc=False)
        self.softirqd = next((int(p.name) for p in pathlib.Path("/proc").glob("[0-9]*")
                              if (p / "comm").read_text().strip() == f"ksoftirqd/{CPU}"), None)

    def host(self, name, docker=True, flags=False):
        return peers.Host(self.w, name, self.docker if docker is True else docker, flags)

    def softirq(self):
        """Nanoseconds that the processor's ksoftirqd has run; 0 where it cannot be seen."""
        return int(pathlib.Path(f"/proc/{self.softirqd}/schedstat").read_text().split()[0]) if self.softirqd else 0

    def packets(self, h, path, family, port):
        """One burst: {"ns": processor time a packet, "pps": packets a second}"""
        before, soft = h.arrived(path), self.softirq()
        r = h.send(path, family, "udp", port, SECONDS, BYTES, cpu=CPU)
        n = h.arrived(path) - before
        if n < 0.05 * r["sent"]:
            raise RuntimeError(f"{h.name}, {path}, IPv{family}: {n} of {r['sent']} packets arrived")
        return {"ns": (r["cpu"] * 1e9 + self.softirq() - soft) / n, "pps": n / r["wall"]}

    def stream(self, h, path, family):
        """Bits a second that iperf3's receiver has counted."""
        ns, addr, port = h.target(path, peers.IPERF, family)
        out = self.w.run(ns, ["iperf3", "-J", "-c", addr, "-p", str(port), "-n", "600M"])
        return json.loads(out)["end"]["sum_received"]["bits_per_second"] / 1e9

    def connections(self, h, path, family):
        r = h.send(path, family, "crr", peers.JUDGED, SECONDS)
        if r["failed"] > r["n"] / 100:
            raise RuntimeError(f"{h.name}, {path}: {r['failed']} connections failed, {r['n']} did not")
        return r["n"] / r["wall"]

    def requests(self, h, path, family):
        return h.send(path, family, "rr", peers.JUDGED, SECONDS)


def able(name, path):
    """Why a peer cannot do it, or None."""
    if name == NONE and path == "published":
        return "nothing forwards the port"
    if name == NO_ICC and path == "same":
        return "denies every pair on the bridge"
    return ABSENT.get(name)


def turns(b, hosts, path, family, rounds, one, columns):
    """Measures one path on all hosts. columns: {figure: (table, unit)}, or one figure without a name."""
    can = {n: h for n, h in hosts.items() if not able(n, path)}
    got = measure.interleave({n: (lambda h=h: one(h, path, family)) for n, h in can.items()}, measure.rounds(rounds), SEED)
    where = PLACES[path] + (", IPv6" if family == 6 else "")
    for n in [*hosts, *ABSENT]:
        for key, (title, unit) in columns.items():
            if n in got:
                b.r.add(title, n, where, measure.column(got[n], key) if key else got[n], unit)
            else:
                b.r.cannot(title, n, where, able(n, path))
            b.r.base(title, DOCKER)


def compare(b):
    """All peers, the same policy of RULES rules."""
    hosts = {NONE: b.host("none", docker=None), DOCKER: b.host("docker"), NO_ICC: b.host("icc", docker=b.closed, flags=True)}
    for i, (name, (load, flags)) in enumerate(POLICIES.items()):
        hosts[name] = b.host(f"p{i}", flags=flags)
        load(hosts[name], RULES)
    for h in hosts.values():
        h.serve()
    ns, pps = f"ns a packet, established flow, {RULES} rules", f"Packets a second, established flow, {RULES} rules"
    every = f"ns a packet, flow without an answer (every packet is a first), {RULES} rules"
    flow = lambda h, path, family: b.packets(h, path, family, peers.FLOW)       # noqa: E731
    first = lambda h, path, family: b.packets(h, path, family, peers.JUDGED)    # noqa: E731
    for path in peers.PATHS:
        turns(b, hosts, path, 4, 7, flow, {"ns": (ns, "ns"), "pps": (pps, "packets/s")})
    turns(b, hosts, "across", 6, 5, flow, {"ns": (ns, "ns"), "pps": (pps, "packets/s")})
    turns(b, hosts, "across", 4, 7, first, {"ns": (every, "ns")})
    for path in peers.PATHS:
        turns(b, hosts, path, 4, 5, b.stream, {None: ("TCP throughput", "Gbit/s")})
    for path in peers.PATHS:
        turns(b, hosts, path, 4, 5, b.connections, {None: ("New connections a second, one client", "1/s")})
    for path in peers.PATHS:
        turns(b, hosts, path, 4, 5, b.requests, {"p50": ("A request of 32 bytes, median", "µs"), "p99": ("A request of 32 bytes, p99", "µs")})
    for h in hosts.values():
        h.close()


def endpoints(b):
    """bulkhead with ever more containers in its rules."""
    counts = [10, 1000] if measure.QUICK else [10, 100, 1000, 10000, 65000]
    hosts = {}
    for n in counts:
        hosts[n] = b.host(f"e{n}", flags=True)
        elements = peers.bulkhead(hosts[n], RULES, endpoints=n, zones=min(n, 100))
        b.r.add("Elements in the rule set", "containers", f"{n:,}", elements, "elements")
        hosts[n].serve()
    scale(b, hosts, counts, "ns a packet by containers, 100 rules", "containers", "packet-endpoints")
    for h in hosts.values():
        h.close()


def scale(b, hosts, counts, title, what, file):
    series = collections.OrderedDict()
    for path in ("same", "across"):
        got = measure.interleave({n: (lambda h=h: b.packets(h, path, 4, peers.FLOW)["ns"]) for n, h in hosts.items()},
                                 measure.rounds(9), SEED)
        for n in counts:
            b.r.add(title, PLACES[path], f"{n:,}", got[n], "ns")
            series.setdefault(f"bulkhead, {PLACES[path]}", []).append((n, got[n]))
    b.r.plot(file, title, what, "ns a packet", series, logx=True)


def rules(b):
    """Every peer with ever more rules: a flow that is never answered, so that each packet asks the rules, and one that is."""
    counts = [10, 1000] if measure.QUICK else [10, 100, 1000, 5000]
    series = {kind: collections.OrderedDict() for kind in ("first", "established")}
    for n in counts:
        hosts = {}
        for i, (name, (load, flags)) in enumerate(POLICIES.items()):
            hosts[name] = b.host(f"r{n}p{i}", flags=flags)
            load(hosts[name], n)
            hosts[name].serve()
        for kind, port in (("first", peers.JUDGED), ("established", peers.FLOW)):
            title = f"ns a packet by rules, across bridges, {'flow without an answer' if kind == 'first' else 'established flow'}"
            got = measure.interleave({p: (lambda h=h: b.packets(h, "across", 4, port)["ns"]) for p, h in hosts.items()}, measure.rounds(5), SEED)
            for p, values in got.items():
                b.r.add(title, p, f"{n:,}", values, "ns")
                series[kind].setdefault(p, []).append((n, values))
            b.r.base(title, OURS)
        for h in hosts.values():
            h.close()
    for kind, title in (("first", "flow without an answer"), ("established", "established flow")):
        b.r.plot(f"packet-rules-{kind}", f"ns a packet by rules, across bridges, {title}", "rules", "ns a packet", series[kind], logx=True, logy=True)


def main():
    r = measure.Report("packet")
    with wires.Wires() as w:
        b = Bench(w, r)
        compare(b)
        endpoints(b)
        rules(b)
    r.note(f"ns a packet is processor time of sender, way and receiver's socket together, {BYTES + 42}-byte frames; the kernel's counters of "
           "instructions are used where perf has them, and this machine has none. Every host but the first has Docker's own rules, and the "
           "rule in DOCKER-USER without which Docker lets no packet across bridges. Lists and sets begin with "
           "`established, related: accept`, as people write them, but where it says that every packet is judged; with that rule a "
           "connection outlives the rule that allowed it.")
    r.write()


if __name__ == "__main__":
    main()
