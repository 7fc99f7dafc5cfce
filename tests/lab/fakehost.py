# SPDX-License-Identifier: Apache-2.0
"""A lab without a dockerd: a scripted Docker tells the daemon about containers that are
real namespaces on real bridges, so that two hundred of them take a second, and a reload
a moment. Packets, bridges, veths and the kernel are as with Docker; no other firewall is in it.

    h = fakehost.FakeHost().up()
    h.network("front")                       # 10.111.16.0/24, 2001:db8:d0:10::/64
    web = h.run("web1", labels={"tier": "web"}, network="front")
    with h.tally(web, 7000) as t:
        h.flood(...)
"""
import os
import signal
import subprocess
import tempfile
import textwrap
import time

import fakedocker
import lab


class FakeContainer(lab.Place):
    def __init__(self, host, name, number, network):
        super().__init__(host, name, ["-n", f"/run/netns/{name}"])
        self.id = fakedocker.cid(name)
        self.network, self.number = network, number
        self.ip4 = f"10.111.{network['n']}.{number}"
        self.ip6 = f"2001:db8:d0:{network['n']:x}::{number:x}"
        self.mac = f"02:42:0a:6f:{network['n']:02x}:{number:02x}"

    def script(self, veth=None):
        """What makes it: a veth whose end is in the container, with the address and MAC that the runtime tells. Few processes:
        two hundred containers are a second."""
        n = self.network["n"]
        veth = veth or f"v{n}x{self.number}"
        return textwrap.dedent(f"""
            ip netns add {self.name}
            ip -b - <<END
            link add {veth} type veth peer name eth0 netns {self.name} address {self.mac}
            link set {veth} master {self.network['bridge']} up
            END
            nsenter --net=/run/netns/{self.name} sh -ec 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; ip -b -' <<END
            link set lo up
            addr add {self.ip4}/24 dev eth0
            addr add {self.ip6}/64 dev eth0 nodad
            link set eth0 up
            route add default via 10.111.{n}.1
            route add ::/0 via 2001:db8:d0:{n:x}::1
            END
            """)


class Tally:
    """What arrives at ports of a place, counted by marker. stop() gives {marker: (count, distinct, longest gap in ms)}."""

    def __init__(self, place, *ports):
        fd, self.path = tempfile.mkstemp(dir=place.lab.root, prefix="tally-")
        self.place = place
        self.proc = place.popen(place.lab.bin("flood"), "tally", *ports, stdout=fd)
        os.close(fd)
        lab.wait_for(f"tally in {place.name}", lambda: self.text().startswith("ready"))

    def text(self):
        with open(self.path) as f:
            return f.read()

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(20)
        out, overflow = {}, None
        for line in self.text().splitlines()[1:]:
            w = line.split()
            if w[0] == "overflow":
                overflow = int(w[1])
            else:
                out[w[0]] = tuple(map(int, w[1:4]))
        if overflow != 0:
            raise lab.LabError(f"tally in {self.place.name}: overflow {overflow}: nothing measured\n{self.text()[-500:]}")
        return out


class Flood:
    """Datagrams to addresses every gap_us. stop() gives {marker/address: (sent, failed)}."""

    def __init__(self, place, marker, port, addresses, gap_us=1000, fresh=False, seconds=3600):
        self.proc = place.popen(place.lab.bin("flood"), "fresh" if fresh else "send", seconds, gap_us, marker, port, *addresses,
                                stdout=subprocess.PIPE)

    def end(self):
        """Tells it to end; many are told before the first is waited for."""
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)

    def stop(self):
        self.end()
        out = self.proc.communicate(timeout=20)[0]
        return {w[0]: (int(w[1]), int(w[2])) for w in (line.split() for line in out.splitlines())}


class Seen:
    """What a measurement saw. leaked: {marker/address: (count, distinct, gap)} of denied pairs; lost: {marker/address: (sent, arrived)}
    of allowed ones where they differ; denied, allowed: how many were sent; gap: the longest pause of a paced one in ms."""


def both(*places):
    """Their addresses of both families."""
    return [a for p in places for a in (p.ip4, p.ip6)]


def measure(host, places, allowed, denied, action, ports=(7000, 7001), gap_us=2000):
    """Floods denied pairs and probes allowed ones, lists of (place, port, addresses), while ACTION runs: each allowed pair by one
    flow and by a new flow every 20 ms. Every place must hear itself meanwhile, or nothing was measured."""
    tallies = [host.tally(p, *ports) for p in places]
    floods = [host.flood(p, f"alive-{p.name}", ports[0], ["127.0.0.1", "::1"], gap_us=20000) for p in places]
    floods += [host.flood(p, f"ok-{p.name}", port, a, gap_us=gap_us) for p, port, a in allowed]
    floods += [host.flood(p, f"new-{p.name}", port, a, gap_us=20000, fresh=True) for p, port, a in allowed]
    floods += [host.flood(p, f"no-{p.name}", port, a, gap_us=3000) for p, port, a in denied]
    time.sleep(0.3)
    try:
        action()
    finally:
        for f in floods:
            f.end()
        sent = {k: n for f in floods for k, n in f.stop().items()}
        time.sleep(0.3)
        got = {k: n for t in tallies for k, n in t.stop().items()}
    for k, n in sent.items():
        # A denial in the host's own output is an error of its system call: tried is what counts there.
        if n[1] and "-host/" not in k:
            raise lab.LabError(f"{k}: {n[1]} of {sum(n)} could not be sent")
        if k.startswith("alive-") and got.get(k, (0, 0))[1] != n[0]:
            raise lab.LabError(f"{k}: {n[0]} sent, {got.get(k)} heard: nothing was measured")
    s = Seen()
    s.leaked = {k: n for k, n in got.items() if k.startswith("no-")}
    s.lost = {k: (sum(n), got.get(k, (0, 0))[1]) for k, n in sent.items()
              if k.startswith(("ok-", "new-")) and got.get(k, (0, 0))[1] != sum(n)}
    s.denied = sum(sum(n) for k, n in sent.items() if k.startswith("no-"))
    s.allowed = sum(n for k, (n, _) in sent.items() if k.startswith(("ok-", "new-")))
    s.gap = max((n[2] for k, n in got.items() if k.startswith("ok-")), default=0)
    return s


class FakeHost(lab.Lab):
    def __init__(self, **kw):
        super().__init__(docker=False, **kw)
        self.fake, self.nets, self.containers = None, {}, {}

    def up(self):
        super().up()
        try:
            self.tool("flood")
            self.fake = fakedocker.FakeDocker(self.socket)
        except BaseException:
            self.down()
            raise
        return self

    def down(self):
        if self.fake:
            self.fake.stop()
        super().down()

    def network(self, name, bridge=None):
        """A dual-stack bridge network, with its bridge. Returns the bridge's name."""
        n, nid = self._next_net, fakedocker.cid("net-" + name)
        self._next_net += 1
        bridge = bridge or "br-" + nid[:12]
        self.host.exec("sh", "-ec", f"""
            ip link add {bridge} type bridge
            ip addr add 10.111.{n}.1/24 dev {bridge}; ip addr add 2001:db8:d0:{n:x}::1/64 dev {bridge} nodad
            ip link set {bridge} up""")
        self.fake.network(name)
        with self.fake.lock:
            self.fake.networks[nid].update({
                "EnableIPv6": True, "Options": {"com.docker.network.bridge.name": bridge},
                "IPAM": {"Config": [{"Subnet": f"10.111.{n}.0/24", "Gateway": f"10.111.{n}.1"},
                                    {"Subnet": f"2001:db8:d0:{n:x}::/64", "Gateway": f"2001:db8:d0:{n:x}::1"}]}})
        self.nets[name] = {"n": n, "bridge": bridge, "next": 2, "id": nid}
        self.fake.event("network", "create", nid, name=name, type="bridge")
        return bridge

    def _new(self, name, network):
        net = self.nets[network]
        c = FakeContainer(self, name, net["next"], net)
        net["next"] += 1
        self.containers[name] = c
        return c

    def _tell(self, c, labels, network, state, image="image"):
        with self.fake.lock:
            self.fake.add(c.name, labels, network, state=state, image=image)
            self.fake.networks[c.network["id"]]["Containers"][c.id].update(
                {"MacAddress": c.mac, "IPv4Address": c.ip4 + "/24", "IPv6Address": c.ip6 + "/64"})

    def add(self, specs):
        """Containers (name, labels, network, perhaps an image) that run already, without events: before a daemon starts."""
        made = [(self._new(name, network), labels, network, *image) for name, labels, network, *image in specs]
        self.host.exec("sh", "-ec", "".join(c.script() for c, *_ in made), timeout=120)
        for c, labels, network, *image in made:
            self._tell(c, labels, network, "running", *image)
        return [c for c, *_ in made]

    def run(self, name, labels=None, network="front"):
        """A container that starts now, with Docker's events in Docker's order: the veth is there before the first."""
        c = self._new(name, network)
        self.host.exec("sh", "-ec", c.script())
        self._tell(c, labels, network, "created")
        self.fake.event("container", "create", c.id)
        self.fake.event("network", "connect", c.network["id"], container=c.id)
        with self.fake.lock:
            self.fake.containers[c.id]["State"] = "running"
        self.fake.event("container", "start", c.id)
        return c

    def remove(self, c, events=True):
        self.host.exec("ip", "netns", "del", c.name)
        self.host.exec("ip", "link", "del", f"v{c.network['n']}x{c.number}", check=False)
        self.fake.remove(c.name, events)
        del self.containers[c.name]

    def tally(self, place, *ports):
        return Tally(place, *ports)

    def flood(self, place, marker, port, addresses, **kw):
        return Flood(place, marker, port, addresses, **kw)
