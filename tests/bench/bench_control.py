#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The control path: from what a runtime says to what the kernel holds, beside 10 to 10,000 containers (crowd.py), and what the
same change costs with nft, iptables and ipset as child processes.

BH_BENCH_CONTAINERS: other counts, with commas."""
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests/lab")]
import crowd  # noqa: E402
import fakehost  # noqa: E402
import lab  # noqa: E402
import measure  # noqa: E402

COUNTS = [int(n) for n in os.environ.get("BH_BENCH_CONTAINERS", "10,100,1000,10000").split(",")]
RULES, ZONES = 1000, 100
SAMPLES = {10: 60, 100: 60, 1000: 100, 10000: 15}     # starts and stops of one container
SETTLE = 120        # seconds until everything was told and looked at, at most
STAGES = ("waited", "look", "place", "compile", "compare", "caps", "apply", "verify")


def kernel(daemon):
    return daemon.ask("status", timeout=60)["result"]["kernel"]


def enforced(daemon, n):
    """The change that put N containers into the kernel, once it has: what the daemon tells of it."""
    end = time.monotonic() + SETTLE
    while time.monotonic() < end:
        k = kernel(daemon)
        if k["in_sync"] and k["last_change"] and k["last_change"]["elements"] > 10 * n:
            return k["last_change"]
        time.sleep(0.2)
    raise lab.LabError(f"{n} containers are not enforced after {SETTLE} s: {k}")


def quiet(pid):
    """Until the daemon has used no processor for a second: what a start asks of the runtime is answered."""
    end = time.monotonic() + SETTLE
    while time.monotonic() < end:
        c = crowd.cpu_seconds(pid)
        time.sleep(1)
        if crowd.cpu_seconds(pid) - c < 0.02:
            return
    print("# the daemon did not come to rest", flush=True)


class Bench:
    def __init__(self):
        self.r = measure.Report("control")
        self.plots = {"to the commit, p50": [], "to the acknowledgement": []}

    def cold(self, c, n):
        """From the daemon's start to the first time that the kernel holds all of them. A daemon that waits for no runtime longer than
        5 s is ready before that, where Docker takes longer to list and inspect so many."""
        ready, total, stages, memory = [], [], [], []
        for _ in range(measure.rounds(5 if n < 10000 else 3)):
            t0 = time.monotonic()
            d = c.daemon(c.config(RULES))
            ready.append((time.monotonic() - t0) * 1e3)
            stages.append(enforced(d, n)["usec"])
            total.append((time.monotonic() - t0) * 1e3)
            memory.append(crowd.private_kib(crowd.pid_of(d))[1] / 1024)
            d.stop()
            d.teardown()
        t = f"{RULES} rules, from cold"
        self.r.add(t, f"{n} containers", "start to ready", ready, "ms")
        self.r.add(t, f"{n} containers", "start to all enforced", total, "ms")
        for s in ("look", "place", "compile", "compare", "apply", "verify"):
            self.r.add(t, f"{n} containers", s, [x[s] / 1e3 for x in stages], "ms")
        self.r.add(t, f"{n} containers", "enforced after the answer", [sum(x[s] for s in STAGES[:-1]) / 1e3 for x in stages], "ms")
        self.r.add("Memory, MiB", f"{n} containers", "resident, peak of a start", memory, "MiB")

    def events(self, c, d, n):
        """One container comes and goes. The time is taken where the kernel tells of its transactions, with a scripted Docker's own
        time in it; the stages are the daemon's."""
        pid = crowd.pid_of(d)
        up, down, stages, sizes = [], [], [], []
        k = measure.rounds(SAMPLES.get(n, 20))
        cpu = crowd.cpu_seconds(pid)
        for i in range(n, n + k):
            o = crowd.One(i)
            up.append(c.start(o) * 1e3)
            time.sleep(0.05 if n < 1000 else 0.3)
            last = kernel(d)["last_change"] if n < 10000 else None
            down.append(c.stop(o) * 1e3)
            time.sleep(0.05 if n < 1000 else 0.3)
            last = last or kernel(d)["last_change"]
            stages.append(last["usec"])
            sizes.append((last["elements"], last["bytes"]))
        t = "One container beside others"
        row = f"{n} containers"
        self.r.add(t, row, "event to commit", up, "ms")
        self.r.add(t, row, "p99", statistics.quantiles(up, n=100, method="inclusive")[98], "ms")
        self.r.add(t, row, "its end to commit", down, "ms")
        self.r.add(t, row, "netlink", [b for _, b in sizes], "bytes")
        self.r.add(t, row, "elements", [e for e, _ in sizes], "elements")
        self.r.add(t, row, "processor, start and stop", (crowd.cpu_seconds(pid) - cpu) / k * 1e3, "ms")
        for s in STAGES:
            self.r.add("Stages of one change", row, s, [x[s] / 1e3 for x in stages], "ms")
        self.plots["to the commit, p50"].append((n, up))
        self.plots["to the acknowledgement"].append((n, [x["apply"] / 1e3 for x in stages]))

    def rule(self, c, d, n):
        """A reload that changes one port of one rule."""
        took, sizes = [], []
        for i in range(measure.rounds(8 if n < 10000 else 4)):
            d.write(c.config(RULES).replace("tcp/1000]", f"tcp/{3000 + i}]"))
            t0 = time.monotonic()
            d.ask("reload", timeout=60)
            took.append((time.monotonic() - t0) * 1e3)
            sizes.append(kernel(d)["last_change"])
        self.r.add("One rule changed", f"{n} containers", "reload to answer", took, "ms")
        self.r.add("One rule changed", f"{n} containers", "to the acknowledgement", [s["usec"]["apply"] / 1e3 for s in sizes], "ms")
        self.r.add("One rule changed", f"{n} containers", "netlink", [s["bytes"] for s in sizes], "bytes")

    def rest(self, d, n):
        """After a while without a change: what a start has left in the heap's holes is given back at one of the polls, each 4 s."""
        pid, pause = crowd.pid_of(d), 10 if measure.QUICK else 20
        quiet(pid)
        c = crowd.cpu_seconds(pid)
        time.sleep(pause)
        self.r.add("Memory, MiB", f"{n} containers", "processor at rest", (crowd.cpu_seconds(pid) - c) / pause * 100, "%")
        self.r.add("Memory, MiB", f"{n} containers", "private, at rest", crowd.private_kib(pid)[0] / 1024, "MiB")
        took = []
        for _ in range(measure.rounds(5)):
            t0 = time.monotonic()
            kernel(d)
            took.append((time.monotonic() - t0) * 1e3)
        self.r.add("What `status` takes", f"{n} containers", "request to answer", took, "ms")

    def count(self, n):
        with crowd.Crowd(n, zones=min(ZONES, max(10, n))) as c:
            commits, c.commits = c.commits, None
            commits.close()          # who listens makes the kernel write a notification for each element
            if n:
                self.cold(c, n)
            d = c.daemon(c.config(RULES))
            self.rest(d, n)
            if not n:
                return
            self.rule(c, d, n)
            c.listen()
            self.events(c, d, n)
            if n == max(COUNTS):
                self.peers(c, n)

    # -- what others do --------------------------------------------------------------------

    def peers(self, c, n):
        """The same namespace, tables of their own: the addresses of N containers in one set, and one address more."""
        ips = [crowd.One(i).ip4 for i in range(n)]
        files = {}

        def write(name, text):
            files[name] = c.lab.root / name
            files[name].write_text(text)

        def took(*cmd):
            def run():
                t0 = time.monotonic()
                c.lab.host.exec(*cmd, timeout=120)
                return (time.monotonic() - t0) * 1e3
            return run
        table = "table inet peer {\n set s {\n type ipv4_addr\n elements = { %s }\n }\n}\n" % ", ".join(ips)
        write("whole", f"table inet peer\ndelete table inet peer\n{table}")
        write("ipset", "create peer hash:ip maxelem 100000 -exist\nflush peer\n" + "".join(f"add peer {i}\n" for i in ips))
        write("iptables", "*filter\n:PEER - [0:0]\n" + "".join(f"-A PEER -s {i} -j RETURN\n" for i in ips) + "COMMIT\n")
        one = c.lab.host
        one.exec("nft", "-f", files["whole"])
        one.exec("ipset", "restore", "-f", files["ipset"])
        one.exec("iptables-nft-restore", "-n", files["iptables"], timeout=120)
        one.exec("iptables-legacy-restore", "-n", files["iptables"], timeout=120)
        at = [0]

        def fresh():
            at[0] += 1
            return f"10.99.{at[0] >> 8}.{at[0] & 255}"
        whole = {"nft -f, the whole table": took("nft", "-f", files["whole"]), "ipset restore, the whole set": took("ipset", "restore", "-f", files["ipset"]),
                 "iptables-nft-restore, the whole chain": took("iptables-nft-restore", "-n", files["iptables"]),
                 "iptables-legacy-restore, the whole chain": took("iptables-legacy-restore", "-n", files["iptables"])}
        single = {"nft add element": lambda: took("nft", "add", "element", "inet", "peer", "s", "{", fresh(), "}")(),
                  "ipset add": lambda: took("ipset", "add", "peer", fresh())(),
                  "iptables-nft -A": lambda: took("iptables-nft", "-w", "-A", "PEER", "-s", fresh(), "-j", "RETURN")(),
                  "iptables-legacy -A": lambda: took("iptables-legacy", "-w", "-A", "PEER", "-s", fresh(), "-j", "RETURN")()}
        t = f"Peers: one address each beside {n} (a child process for each change)"
        self.r.add(t, "a process that does nothing", "one more", measure.interleave({"x": took("true")}, measure.rounds(9), 1)["x"], "ms")
        for name, v in measure.interleave(single, measure.rounds(9), 1).items():
            self.r.add(t, name, "one more", v, "ms")
        for name, v in measure.interleave(whole, measure.rounds(3), 1).items():
            self.r.add(t, name, "all again", v, "ms")

    def write(self):
        self.r.plot("control-one", "One container more", "containers", "ms", self.plots, logx=True, logy=True)
        self.r.note("A container of two families is 19 elements. The scripted Docker is a Python program on the same processors: its answers are in "
                    "the time from an event to the commit, and in nothing else.")
        self.r.write()


def main():
    b = Bench()
    for n in [0, *COUNTS] if not measure.QUICK else [0, *COUNTS[:2]]:
        b.count(n)
    b.write()


if __name__ == "__main__":
    main()
