#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Caps: what the wire shows of them beside the CNI plugin `bandwidth`, tbf and htb; sharing; delay; what they cost.

Containers are namespaces on two bridges of a namespace that stands for the host (tests/netns/shape_net.py). bulkhead's part is
src/core's and src/tc's, put there by tests/tools/shaper.c. What arrives is counted by the receiver (shape_load.py)."""
import json
import os
import pathlib
import re
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "netns")]
import measure  # noqa: E402
import shape_net  # noqa: E402

LOAD = str(HERE / "shape_load.py")
CNI = "/usr/lib/cni/bandwidth"
KUBERNETES = 2147483647     # bits; what its runtimes ask the plugin for as a burst
K, M, G = 1000, 10**6, 10**9
NAMES = {64 * K: "64 kbit/s", M: "1 Mbit/s", 10 * M: "10 Mbit/s", 100 * M: "100 Mbit/s", G: "1 Gbit/s", 10 * G: "10 Gbit/s"}
SMALL, LARGE = [("a1", "b1", 64 * K), ("a3", "b2", M), ("a4", "b3", 10 * M)], [100 * M, G, 10 * G]     # at once, one by one
MEMBERS = 16
SECONDS = 2.5


class Net(shape_net.Net):
    """Three containers more on the second bridge, and as many on the first as share a zone."""

    def up(self):
        super().up()
        for n in (2, 3):
            self.ip[f"b{n}"] = self.container(f"b{n}", 2, n)
        for n in range(6, MEMBERS + 1):
            self.ip[f"a{n}"] = self.container(f"a{n}", 1, n)
        return self

    def load(self, name, *args):
        return self.start(name, "python3", LOAD, *map(str, args))

    def answer(self, p):
        out = p.communicate(timeout=60)[0]
        if p.returncode:
            raise RuntimeError(f"{p.args}: ended with {p.returncode}")
        return json.loads(out.splitlines()[-1])

    def flow(self, src, dst, proto="tcp", flows=1, seconds=SECONDS, bits=0, port=5300):
        """Both ends, begun; the sink's answer is the figures."""
        sink = self.load(dst, "sink", proto, port, flows, seconds)
        if sink.stdout.readline() != "ready\n":
            raise RuntimeError(f"no sink in {dst}")
        return sink, self.load(src, "source", proto, self.ip[dst], port, flows, seconds + 0.3, bits)

    def end(self, *procs):
        for p in procs:
            if p.poll() is None:
                p.kill()
            p.wait()


def queue_burst(rate):
    """20 ms, as bulkhead has, but never less than a frame, which tbf would drop."""
    return max(rate // 8 // 50, 1600)


class Cap:
    """put({container: bit/s of what leaves it}), and clear() of the same."""

    def __init__(self, net):
        self.net = net


class Bulkhead(Cap):
    name = "bulkhead"

    def put(self, caps):
        self.net.apply("".join(f"zone {c} {r} 0 0 0\nmember {c} v{c}\n" for c, r in caps.items()))

    def clear(self, caps):
        self.net.clear()


class Plugin(Cap):
    name = "CNI bandwidth, Kubernetes' burst"

    def burst(self, rate):
        return KUBERNETES

    def call(self, verb, c, rate):
        net = self.net
        conf = {"cniVersion": "0.4.0", "name": "bench", "type": "bandwidth", "egressRate": rate, "egressBurst": self.burst(rate),
                "prevResult": {"cniVersion": "0.4.0", "interfaces": [{"name": f"v{c}"}, {"name": "e0", "sandbox": f"/run/netns/{net.ns(c)}"}],
                               "ips": [{"version": "4", "interface": 1, "address": f"{net.ip[c]}/16"}]}}
        net.run("host", "env", f"CNI_COMMAND={verb}", f"CNI_CONTAINERID={net.tag}-{c}", f"CNI_NETNS=/run/netns/{net.ns(c)}", "CNI_IFNAME=e0",
                "CNI_PATH=/usr/lib/cni", CNI, text=json.dumps(conf))

    def put(self, caps):
        for c, rate in caps.items():
            self.call("ADD", c, rate)

    def clear(self, caps):
        for c, rate in caps.items():
            self.call("DEL", c, rate)
            self.net.run("host", "tc", "qdisc", "del", "dev", f"v{c}", "ingress", check=False)


class SmallBurst(Plugin):
    name = "CNI bandwidth, burst of 20 ms"

    def burst(self, rate):
        return queue_burst(rate) * 8


class Tbf(Cap):
    name = "tbf"

    def root(self, dev, rate):
        self.net.run("host", "tc", "qdisc", "add", "dev", dev, "root", "tbf", "rate", f"{rate}bit", "burst", str(queue_burst(rate)),
                     "latency", "25ms")

    def put(self, caps):
        run = self.net.run
        for c, rate in caps.items():
            run("host", "ip", "link", "add", f"i{c}", "type", "ifb")
            run("host", "ip", "link", "set", f"i{c}", "up")
            self.root(f"i{c}", rate)
            run("host", "tc", "qdisc", "add", "dev", f"v{c}", "ingress")
            run("host", "tc", "filter", "add", "dev", f"v{c}", "parent", "ffff:", "protocol", "all", "u32", "match", "u32", "0", "0",
                "action", "mirred", "egress", "redirect", "dev", f"i{c}")

    def clear(self, caps):
        for c in caps:
            self.net.run("host", "tc", "qdisc", "del", "dev", f"v{c}", "ingress")
            self.net.run("host", "ip", "link", "del", f"i{c}")


class Htb(Tbf):
    name = "htb"

    def root(self, dev, rate):
        self.net.run("host", "tc", "qdisc", "add", "dev", dev, "root", "handle", "1:", "htb", "default", "1")
        self.net.run("host", "tc", "class", "add", "dev", dev, "parent", "1:", "classid", "1:1", "htb", "rate", f"{rate}bit")


def busy():
    """Seconds of processor that this machine has spent since it started."""
    words = list(map(int, pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]))
    return (sum(words) - words[3] - words[4]) / os.sysconf("SC_CLK_TCK")


def one_rate(net, flows, rates, seconds):
    """Flows at once from containers that are capped already: {rate: figures}. Each has a question on its way beside the bulk."""
    echoes = [net.load(dst, "echo", 5200) for _, dst in flows]
    for e in echoes:
        e.stdout.readline()
    spent, t0 = busy(), time.monotonic()
    ends = [net.flow(src, dst, seconds=seconds) for src, dst in flows]
    time.sleep(0.7)
    asked = [net.load(src, "ask", net.ip[dst], 5200, seconds - 1, 0.02) for src, dst in flows]
    out = {}
    for (sink, source), question, rate in zip(ends, asked, rates):
        got, answers = net.answer(sink), net.answer(question)
        ms = sorted(answers["ms"] or [2000])
        out[rate] = {"first": got["first"] * 8, "rest": got["rest"] * 8, "p50": ms[len(ms) // 2], "p99": ms[len(ms) * 99 // 100],
                     "lost": answers["lost"]}
    if len(rates) == 1:
        bits = out[rates[0]]["first"] + out[rates[0]]["rest"] * (seconds - 1)
        out[rates[0]]["cpu"] = (busy() - spent) / (bits / G)
    net.end(*echoes, *asked, *(p for pair in ends for p in pair))
    return out


def accuracy(net, kind, large):
    """What one kind of cap makes of one TCP flow that leaves a container for another bridge, at each rate."""
    out = {}
    caps = {src: rate for src, _, rate in SMALL}
    kind.put(caps)
    out.update(one_rate(net, [(s, d) for s, d, _ in SMALL], [r for _, _, r in SMALL], 5))
    kind.clear(caps)
    for rate in large:
        kind.put({"a1": rate})
        out.update(one_rate(net, [("a1", "b1")], [rate], SECONDS))
        kind.clear({"a1": rate})
    return out


def without(net):
    return one_rate(net, [("a1", "b1")], [0], SECONDS)[0]


def tell_accuracy(r, net):
    kinds = [k(net) for k in (Bulkhead, Plugin, SmallBurst, Tbf, Htb)]
    carries = max(without(net)["rest"] for _ in range(2))
    large = [rate for rate in LARGE if rate <= carries]
    runs = {k.name: (lambda k=k: accuracy(net, k, large)) for k in kinds}
    got = measure.interleave({**runs, "no cap": lambda: without(net)}, measure.rounds(3), 5)
    none = got.pop("no cap")
    r.add("One TCP flow without a cap", "no cap", "arrives", [x["rest"] / G for x in none], "Gbit/s")
    r.add("One TCP flow without a cap", "no cap", "median answer beside it", [x["p50"] for x in none], "ms")
    tables = (("Mean rate after the first second, one TCP flow to another bridge", "rest", "% of the cap"),
              ("The first second", "first", "% of the cap"),
              ("Median answer to a question beside the flow", "p50", "ms"), ("The slowest answer but one in a hundred", "p99", "ms"))
    for title, key, unit in tables:
        for name, rounds in got.items():
            for rate in NAMES:
                if rate > carries:
                    r.cannot(title, name, NAMES[rate], f"one flow makes no more than {carries / G:.1f} Gbit/s here")
                else:
                    r.add(title, name, NAMES[rate], [x[rate][key] * (100 / rate if unit[0] == "%" else 1) for x in rounds], unit)
    cpu = "Processor, of the whole machine, a Gbit of that flow"
    for name, rounds in got.items() if G in large else ():
        r.add(cpu, name, "at 1 Gbit/s", [x[G]["cpu"] * 1000 for x in rounds], "ms")
    r.add(cpu, "no cap", "at what it makes", [x["cpu"] * 1000 for x in none], "ms")
    r.note("An answer that took more than 2 s counts as one of 2,000 ms. At 64 kbit/s a frame takes 189 ms: six of them are 114 % of the first "
           "second.")
    r.plot("shape-first-second", "The first second of a cap", "cap, Mbit/s", "% of the cap",
           {n: [(rate / M, [x[rate]["first"] * 100 / rate for x in v]) for rate in NAMES if rate <= carries] for n, v in got.items()},
           logx=True, logy=True)
    r.plot("shape-delay", "Median answer beside one TCP flow", "cap, Mbit/s", "ms",
           {n: [(rate / M, [x[rate]["p50"] for x in v]) for rate in NAMES if rate <= carries] for n, v in got.items()}, logx=True, logy=True)


# proto, flows, rate, whether to the container, whether on the same bridge
SAMPLE = [("tcp", 1, M, True, True), ("tcp", 16, M, False, False), ("udp", 1, M, False, True), ("udp", 16, M, True, False),
          ("tcp", 16, 10 * M, True, False), ("tcp", 128, 10 * M, False, True), ("udp", 128, 10 * M, True, True),
          ("tcp", 1000, 10 * M, False, False), ("tcp", 1, 100 * M, True, False), ("tcp", 16, 100 * M, False, True),
          ("tcp", 128, 100 * M, True, True), ("udp", 16, 100 * M, True, False), ("udp", 1000, 100 * M, False, True),
          ("tcp", 1000, 100 * M, False, False), ("tcp", 1, G, True, True), ("tcp", 16, G, False, False), ("tcp", 128, G, True, False),
          ("tcp", 1000, G, False, True)]


def sample(net, proto, flows, rate, inwards, same):
    other = "a2" if same else "b1"
    caps = f"0 {rate}" if inwards else f"{rate} 0"
    net.apply(f"zone c {caps} 0 0\nmember c va1\n")
    src, dst = (other, "a1") if inwards else ("a1", other)
    ends = net.flow(src, dst, proto, flows, SECONDS, int(rate * 1.25) if proto == "udp" else 0)
    got = net.answer(ends[0])
    net.end(*ends)
    return got["rest"] * 8 * 100 / rate


def tell_sample(r, net):
    def name(proto, flows, rate, inwards, same):
        return f"{flows} {proto.upper()}, {'to' if inwards else 'from'} it, {'same bridge' if same else 'other bridge'}"
    got = measure.interleave({c: (lambda c=c: sample(net, *c)) for c in SAMPLE}, measure.rounds(2), 6)
    for c, values in got.items():
        r.add("Mean of bulkhead's cap by flows, way and place", name(*c), NAMES[c[2]], values, "% of the cap")


def jain(net, n, inwards):
    """Jain's index and the whole, of N members that each send or receive one TCP flow under a zone's 100 Mbit/s."""
    members = [f"a{i}" for i in range(1, n + 1)]
    rates = "0 0 0 100000000" if inwards else "0 0 100000000 0"
    net.apply(f"zone z {rates}\n" + "".join(f"member z v{m}\n" for m in members))
    dev, leaf = "bh-ingress" if inwards else "bh-egress", {}
    ends = []
    for i, m in enumerate(members):
        other = f"b{1 + i % 3}"
        src, dst = (other, m) if inwards else (m, other)
        ends += net.flow(src, dst, seconds=40, port=5300 + i)
    time.sleep(0.5)
    t0, before = net.stats()
    time.sleep(SECONDS)
    t1, after = net.stats()
    leaf = [k for k in after if k[0] == dev and re.fullmatch(r"bb:[4-9ab]\w{3}", k[1])]
    x = [(after[k][1] - before[k][1]) * 8 / (t1 - t0) for k in leaf]
    net.end(*ends)
    if len(x) != n or not any(x):
        raise RuntimeError(f"{len(x)} of {n} classes: {x}")
    return {"jain": sum(x) ** 2 / (n * sum(v * v for v in x)), "whole": sum(x) / M}


def tell_sharing(r, net):
    cells = {f"{n} members, {'to' if i else 'from'} them": (lambda n=n, i=i: jain(net, n, i)) for n in (4, MEMBERS) for i in (False, True)}
    for cell, rounds in measure.interleave(cells, measure.rounds(3), 7).items():
        r.add("A zone's 100 Mbit/s, one TCP flow a member: Jain's index", "bulkhead", cell, measure.column(rounds, "jain"), "")
        r.add("The same: all of them together", "bulkhead", cell, measure.column(rounds, "whole"), "Mbit/s")
    for peer, why in ((Plugin.name.split(",")[0], "caps one container, knows no zone"), ("tbf, htb", "one device, one container: "
                      "members of different devices need an IFB and a class each, kept by hand")):
        for cell in cells:
            r.cannot("A zone's 100 Mbit/s, one TCP flow a member: Jain's index", peer, cell, why)


def uncapped(net, caps):
    """Questions a second between two containers without a cap, on one bridge."""
    (Bulkhead(net).put if caps else lambda c: net.clear())({"a1": 10 * M})
    e = net.load("a3", "echo", 5201)
    e.stdout.readline()
    got = net.answer(net.load("a2", "ask", net.ip["a3"], 5201, 1.5, 0))
    net.end(e)
    return len(got["ms"]) / 1.5


def tell_uncapped(r, net):
    got = measure.interleave({w: (lambda w=w: uncapped(net, w == "a neighbour has a cap")) for w in ("nobody has a cap", "a neighbour has a cap")},
                             measure.rounds(7), 8)
    for name, values in got.items():
        r.add("What caps cost who has none", name, "answers on the same bridge", values, "/s")
    r.base("What caps cost who has none", "nobody has a cap")


def main():
    if not os.access(CNI, os.X_OK):
        raise SystemExit(f"bench_shape: no {CNI}")
    signal.signal(signal.SIGTERM, lambda *x: sys.exit(143))
    r, net = measure.Report("shape"), Net()
    try:
        net.up()
        tell_accuracy(r, net)
        tell_sample(r, net)
        tell_sharing(r, net)
        tell_uncapped(r, net)
    finally:
        net.down()
    r.write()


if __name__ == "__main__":
    main()
