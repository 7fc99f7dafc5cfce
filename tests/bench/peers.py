# SPDX-License-Identifier: Apache-2.0
"""The hosts that tools/bench packet compares, each in namespaces of its own, and the same policy in the words of each peer.

A host has two of Docker's networks and an outside:

    br-0123456789ab  10.111.16.0/24  2001:db8:d0:10::/64   a1 (client), a2 (server, its port PUBLISHED on the host)
    br-0123456789ac  10.111.17.0/24  2001:db8:d0:11::/64   b1 (server)
    up0              198.51.100.0/24 2001:db8:51::/64      out (client)

The policy of N rules lets N pairs of containers talk, each at ports of its own, and denies the rest; the pairs that are measured come
last, as the newest rule does. Every peer but `none` has Docker's own rules too, taken from a dockerd of this machine. Docker
keeps its networks apart by itself: each host has the rule in DOCKER-USER that lets a1 reach b1, as who wants that must."""
import ipaddress
import json
import pathlib
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/lab"), str(TOP / "tests/netns")]
import lab  # noqa: E402
import wires  # noqa: E402

BA, BB = "br-0123456789ab", "br-0123456789ac"
ADDR = {"a1": ("10.111.16.3", "2001:db8:d0:10::3"), "a2": ("10.111.16.2", "2001:db8:d0:10::2"),
        "b1": ("10.111.17.2", "2001:db8:d0:11::2"), "out": ("198.51.100.2", "2001:db8:51::2"), "host": ("198.51.100.1", "2001:db8:51::1")}
BRIDGE = {"a1": BA, "a2": BA, "b1": BB}
JUDGED, FLOW, IPERF = 7000, 7001, 5201       # no answer: every packet is a first; greeted: an established flow
PORTS = [("tcp", IPERF), ("tcp", FLOW), ("tcp", JUDGED), ("udp", FLOW), ("udp", JUDGED)]
PUBLISHED = {IPERF: 15201, FLOW: 17001, JUDGED: 17000}
PATHS = {"same": ("a1", "a2"), "across": ("a1", "b1"), "published": ("out", "host")}
QUIET = ("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.router_solicitations=0"
         " net.ipv6.conf.default.router_solicitations=0; ip link set lo up")


def program(name):
    return str(pathlib.Path(lab.build_dir()) / "tests/bench" / name)


def mac(who):
    return "02:42:" + ":".join(f"{b:02x}" for b in ipaddress.ip_address(ADDR[who][0]).packed)


def docker_rules(icc=True):
    """What this machine's dockerd puts into a namespace for the host above: text for iptables-restore, by family."""
    with lab.Lab() as d:
        options = {} if icc else {"com.docker.network.bridge.enable_icc": "false"}
        names = {d.network("front", options=options): BA, d.network("back", options=options): BB}
        c = d.run("server", network="front", ports={f"{c}/{p}": h for c, h in PUBLISHED.items() for p in ("tcp", "udp")})
        if (c.ip4, c.ip6) != ADDR["a2"]:
            raise RuntimeError(f"the lab's server is at {c.ip4} and {c.ip6}")
        out = {4: d.host.exec("iptables-save"), 6: d.host.exec("ip6tables-save")}
    for real, name in names.items():
        out = {f: t.replace(real, name) for f, t in out.items()}
    return out


class Host:
    """One host of the comparison. FLAGS: whether same-bridge frames are shown to IP rules, which who judges them needs."""

    def __init__(self, w, name, docker=None, flags=False):
        self.w, self.name, self.flags = w, name, flags
        self.servers = []
        w.ns(*(self.at(n) for n in ("host", "out", "a1", "a2", "b1")))
        for n in ("host", "out", "a1", "a2", "b1"):
            w.sh(self.at(n), QUIET)
        self.links()
        if docker:
            for family, tool in ((4, "iptables-restore"), (6, "ip6tables-restore")):
                w.run(self.at("host"), [tool], input=docker[family])
            self.user_chain()

    def at(self, n):
        return f"{self.name}-{n}"

    def host(self, script):
        return self.w.sh(self.at("host"), script)

    def links(self):
        on = int(self.flags)
        self.host("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
                  " net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0\n" +
                  "\n".join(f"ip link add {b} type bridge nf_call_iptables {on} nf_call_ip6tables {on}; ip link set {b} up;"
                            f"ip addr add 10.111.{n}.1/24 dev {b}; ip addr add 2001:db8:d0:{n:x}::1/64 dev {b}" for b, n in ((BA, 16), (BB, 17))))
        for n, bridge in BRIDGE.items():
            net = 16 if bridge == BA else 17
            self.w.veth(self.at("host"), f"veth{n}", self.at(n), "eth0", mac(n))
            self.host(f"ip link set veth{n} master {bridge} up")
            self.w.sh(self.at(n), f"ip link set eth0 up; ip addr add {ADDR[n][0]}/24 dev eth0; ip addr add {ADDR[n][1]}/64 dev eth0;"
                      f"ip route add default via 10.111.{net}.1; ip -6 route add default via 2001:db8:d0:{net:x}::1")
        self.w.veth(self.at("host"), "up0", self.at("out"), "eth0")
        self.host("ip link set up0 up; ip addr add 198.51.100.1/24 dev up0; ip addr add 2001:db8:51::1/64 dev up0")
        self.w.sh(self.at("out"), "ip link set eth0 up; ip addr add 198.51.100.2/24 dev eth0; ip addr add 2001:db8:51::2/64 dev eth0;"
                  "ip route add default via 198.51.100.1; ip -6 route add default via 2001:db8:51::1")

    def user_chain(self):
        """a1 to b1, past Docker's own isolation of networks."""
        for tool, chain in (("iptables", "DOCKER-USER"), ("ip6tables", "FORWARD")):
            self.host(f"{tool} -I {chain} -i {BA} -o {BB} -j ACCEPT; {tool} -I {chain} -i {BB} -o {BA} -j ACCEPT")

    def serve(self):
        ports = " ".join(map(str, (JUDGED, FLOW)))
        for n in ("a2", "b1"):
            self.servers += [self.w.spawn(self.at(n), f"{program('load')} sink {ports}", b"ready"),
                             self.w.spawn(self.at(n), f"iperf3 -s -p {IPERF} --forceflush", b"listening")]

    def close(self):
        """The servers end; the namespaces go with the program."""
        for p in self.servers:
            p.kill()
            p.wait()
        self.servers = []

    def target(self, path, port, family):
        """(client's namespace, address, port) of a path."""
        client, server = PATHS[path]
        return self.at(client), ADDR[server][0 if family == 4 else 1], PUBLISHED[port] if path == "published" else port

    def send(self, path, family, verb, port, *args, cpu=None, timeout=30):
        ns, addr, port = self.target(path, port, family)
        pin = [] if cpu is None else ["taskset", "-c", str(cpu)]
        return json.loads(self.w.run(ns, [*pin, program("load"), verb, addr, str(port), *map(str, args)]))

    def arrived(self, path):
        """Packets at the server's end."""
        server = "b1" if path == "across" else "a2"
        with self.w.at(self.at(server)):
            text = pathlib.Path("/proc/thread-self/net/dev").read_text()
        return int(text.split("eth0:")[1].split()[1])


# ---- the policy

def pairs(n):
    """N rules that nothing here uses: (source, destination, protocol, port), IPv4 and IPv6 addresses of containers elsewhere."""
    for i in range(n):
        src, dst = 2 + i % 100, 2 + (i + 1 + i // 100) % 100
        yield i, src, dst, ("tcp", "udp")[i % 2], 1024 + i // 2


def other(i, family):
    """The address of the I-th other container: 200 a network, as a bridge holds 1,023."""
    net, host = divmod(i, 200)
    return f"10.{112 + net // 200}.{net % 200}.{host + 10}" if family == 4 else f"2001:db8:e0:{net:x}::{host + 16:x}"


def wanted(n, family):
    """The whole list in the order of a rule file: (source or None for anybody, destination, protocol, port)."""
    for _, s, d, proto, port in pairs(max(0, n - 3 * len(PORTS))):
        yield other(s, family), other(d, family), proto, port
    v = 0 if family == 4 else 1
    for src, dst in (("a1", "a2"), ("a1", "b1"), (None, "a2")):
        for proto, port in PORTS:
            yield ADDR[src][v] if src else None, ADDR[dst][v], proto, port


# ---- bulkhead

def zones_yaml(n, zones):
    out = ["version: 1", "mode: enforce", "zones:"]
    out += [f"  {z}: {{select: {{labels: {{tier: {z}}}}}}}" for z in ("ca", "sa", "sb")]
    out += [f"  z{i}: {{select: {{labels: {{tier: z{i}}}}}}}" for i in range(zones)]
    ports = ", ".join(f"{p}/{x}" for p, x in PORTS)
    out += ["allow:"]
    out += [f"  - {{from: z{s % zones}, to: z{d % zones}, ports: [{proto}/{port}]}}" for _, s, d, proto, port in pairs(max(0, n - 15))]
    out += [f"  - {{from: {a}, to: {b}, ports: [{ports}]}}" for a, b in (("ca", "sa"), ("ca", "sb"), ("world", "sa"))]
    return "\n".join(out) + "\n"


def world_text(endpoints, zones, w_links):
    """The host as tests/common/world.h reads it: the real containers, and ENDPOINTS others of which only the rules know."""
    out = ["link 1 lo loopback"]
    out += [f"bridge {i} {n} nf_call" if n.startswith("br-") else f"link {i} {n} physical" for n, i in w_links.items() if not n.startswith("veth")]
    out += [f"addr {w_links[BA]} 10.111.16.1/24", f"addr {w_links[BB]} 10.111.17.1/24", f"addr {w_links['up0']} 198.51.100.1/24",
            f"network front {BA} 10.111.16.0/24 2001:db8:d0:10::/64 via 10.111.16.1 2001:db8:d0:10::1",
            f"network back {BB} 10.111.17.0/24 2001:db8:d0:11::/64 via 10.111.17.1 2001:db8:d0:11::1"]
    nets = (endpoints + 199) // 200
    for k in range(nets):
        a4, a6 = other(200 * k, 4), other(200 * k, 6)
        n4, n6 = ipaddress.ip_network(f"{a4}/24", False), ipaddress.ip_network(f"{a6}/64", False)
        out += [f"bridge {100000 + k} br-{k:012x} nf_call", f"addr {100000 + k} {n4.network_address + 1}/24",
                f"network n{k} br-{k:012x} {n4} {n6} via {n4.network_address + 1} {n6.network_address + 1}"]
    for n, tier, net in (("a1", "ca", "front"), ("a2", "sa", "front"), ("b1", "sb", "back")):
        out += [f"container {n} tier={tier}", f"endpoint {net} {mac(n)} {ADDR[n][0]} {ADDR[n][1]} port {w_links['veth' + n]} veth{n}"]
        if n == "a2":
            out += [f"publish {any_} {p}/{h} {c}" for c, h in PUBLISHED.items() for p in ("tcp", "udp") for any_ in ("0.0.0.0", "::")]
    for i in range(endpoints):
        m = f"06:00:{i >> 24 & 255:02x}:{i >> 16 & 255:02x}:{i >> 8 & 255:02x}:{i & 255:02x}"
        out += [f"container e{i} tier=z{i % zones}", f"endpoint n{i // 200} {m} {other(i, 4)} {other(i, 6)} port {200000 + i} vp{i}"]
    return "\n".join(out) + "\n"


def bulkhead(h, rules, endpoints=100, zones=100):
    """The rule set that bulkheadd makes for those containers and that configuration. Returns how many elements it has."""
    links = {x["ifname"].split("@")[0]: x["ifindex"] for x in json.loads(h.host("ip -j link"))}
    with tempfile.TemporaryDirectory(prefix="bh-bench-") as d:
        (pathlib.Path(d) / "bulkhead.yaml").write_text(zones_yaml(rules, zones))
        (pathlib.Path(d) / "world").write_text(world_text(endpoints, zones, {n: i for n, i in links.items() if n != "lo"}))
        with h.w.at(h.at("host")):
            r = subprocess.run([program("rules-load"), d], capture_output=True, text=True, env=wires.ENV, timeout=240)
    if r.returncode:
        raise RuntimeError(f"rules-load: {r.stderr[-2000:]}")
    return int(r.stdout)


# ---- peers. Each denies what comes from or goes to a container and is not in the list.

ESTABLISHED = "-A BENCH -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"


def xtables(h, rules, legacy=False):
    """A linear list called first by DOCKER-USER (IPv4) and FORWARD (IPv6, where Docker 20.10 has no such chain)."""
    for family, tool, chain in ((4, "iptables", "DOCKER-USER"), (6, "ip6tables", "FORWARD")):
        kind = "-legacy" if legacy else ""
        lines = ["*filter", ":BENCH - [0:0]", ESTABLISHED]
        lines += [f"-A BENCH {f'-s {s} ' if s else ''}-d {d} -p {p} --dport {port} -j ACCEPT" for s, d, p, port in wanted(rules, family)]
        lines += ["-A BENCH -i br-+ -j DROP", "-A BENCH -o br-+ -j DROP"]
        lines += [f"-I {'FORWARD' if legacy else chain} 1 -j BENCH", "COMMIT", ""]
        h.w.run(h.at("host"), [f"{tool}{kind}-restore", "-n"], input="\n".join(lines))


def ipset(h, rules):
    for family, tool, chain, kind in ((4, "iptables", "DOCKER-USER", "inet"), (6, "ip6tables", "FORWARD", "inet6")):
        name, lines = f"bench{family}", []
        lines += [f"create {name} hash:ip,port,ip family {kind} maxelem 100000", f"create {name}w hash:ip,port family {kind}"]
        lines += [f"add {name} {s},{p}:{port},{d}" if s else f"add {name}w {d},{p}:{port}" for s, d, p, port in wanted(rules, family)]
        h.w.run(h.at("host"), ["ipset", "restore"], input="\n".join(lines) + "\n")
        text = ["*filter", ":BENCH - [0:0]", ESTABLISHED, f"-A BENCH -m set --match-set {name} src,dst,dst -j ACCEPT",
                f"-A BENCH -m set --match-set {name}w dst,dst -j ACCEPT", "-A BENCH -i br-+ -j DROP", "-A BENCH -o br-+ -j DROP",
                f"-I {chain} 1 -j BENCH", "COMMIT", ""]
        h.w.run(h.at("host"), [f"{tool}-restore", "-n"], input="\n".join(text))


def nft(h, rules, maps=False, shortcut=True):
    out = ["table inet peer {"]
    if maps:
        for family, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
            with_src = [f"{s} . {d} . {p} . {port}" for s, d, p, port in wanted(rules, family) if s]
            without = [f"{d} . {p} . {port}" for s, d, p, port in wanted(rules, family) if not s]
            out += [f"set pairs{family} {{ type {kind} . {kind} . inet_proto . inet_service; elements = {{ {', '.join(with_src)} }}; }}",
                    f"set world{family} {{ type {kind} . inet_proto . inet_service; elements = {{ {', '.join(without)} }}; }}"]
    out += ["chain forward { type filter hook forward priority -1; policy accept;"]
    out += ["ct state established,related accept" if shortcut else "ct direction reply accept"]
    for family, ip in ((4, "ip"), (6, "ip6")):
        if maps:
            out += [f"{ip} saddr . {ip} daddr . meta l4proto . th dport @pairs{family} accept",
                    f"{ip} daddr . meta l4proto . th dport @world{family} accept"]
        else:
            out += [f"{f'{ip} saddr {s} ' if s else ''}{ip} daddr {d} {p} dport {port} accept" for s, d, p, port in wanted(rules, family)]
    out += ['iifname "br-*" drop', 'oifname "br-*" drop', "}", "}"]
    h.w.nft(h.at("host"), "\n".join(out) + "\n")

