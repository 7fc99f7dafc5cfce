#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 22 s, works 4 s
"""What a daemon may run out of: notifications, descriptors, memory, disk. The last good rules hold, nothing leaks, status
says what is wrong, and it heals by itself."""
import contextlib
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402
import test_faults  # noqa: E402

FLAPS = 50000 if lab.SOAK else 5000


class Resources(test_faults.Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pid = cls.host.daemon.status()["daemon"]["pid"]
        cls.host.lab.host.exec("ip", "link", "add", "flap0", "type", "bridge")
        cls.rtnl = simhost.inside(cls.host.ns, simhost.Rtnl)
        cls.flap0 = simhost.inside(cls.host.ns, lambda: socket.if_nametoindex("flap0"))

    def tearDown(self):
        for s in list(self.host.sims.values()):
            if s not in (self.web, self.api, self.db):
                self.host.stop(s)
        self.host.check(2)
        self.assertEqual(self.host.daemon.status()["daemon"]["pid"], self.pid, "the daemon has died")
        super().tearDown()

    def flap(self, n):
        for i in range(n):
            self.rtnl.link(simhost.RTM_SETLINK, b"", index=self.flap0, up=i % 2 == 0)

    def drops(self, protocol):
        """Messages that the kernel could not give to the daemon: Drops of /proc/net/netlink."""
        rows = [line.split() for line in self.host.lab.host.exec("cat", "/proc/net/netlink").splitlines()[1:]]
        sockets = set(self.host.lab.host.exec("sh", "-c", f"ls -l /proc/{self.pid}/fd | sed -n 's/.*socket:.\\([0-9]*\\).*/\\1/p'").split())
        return sum(int(r[8]) for r in rows if r[1] == str(protocol) and r[9] in sockets)

    @contextlib.contextmanager
    def stopped(self):
        self.host.lab.host.exec("kill", "-STOP", str(self.pid))
        try:
            yield
        finally:
            self.host.lab.host.exec("kill", "-CONT", str(self.pid))

    def limit(self, kind, value, pid=None):
        self.host.lab.host.exec("prlimit", "--pid", str(pid or self.pid), f"--{kind}={value}")

    def follower(self):
        """The process that follows the runtime; it may be another one next time."""
        return lab.wait_for("one that follows", lambda: self.host.lab.pids_of("bulkhead-runtime"))[0]

    def test_1_links_are_lost(self):
        """Link notifications beyond what the socket holds, while containers come and go of which nothing else tells."""
        was = self.drops(0)
        gone = self.start()
        self.host.check()
        with self.stopped():
            self.flap(FLAPS)
            self.host.stop(gone, events=False)
            self.start(events=False)
            self.start("db", events=False)
            self.assertGreater(self.drops(0), was, "nothing was lost: too few")
        right = self.host.check()
        print(f"# right {right:.2f} s after {FLAPS} changes of a link that nobody read", flush=True)

    def test_2_a_storm_of_links(self):
        """The daemon reads, and works at the same time."""
        self.flap(FLAPS // 5)
        self.start()
        self.flap(FLAPS // 5)
        self.host.check()

    def test_3_rules_are_lost(self):
        """Another program's tables change so much that the notifications about ours would be lost."""
        was, repairs = self.drops(12), self.host.daemon.status()["kernel"]["repairs"]
        with self.stopped():
            for i in range(40):
                elems = ",".join(f"10.{i}.{n // 256}.{n % 256}" for n in range(10000))
                self.host.lab.host.exec("nft", "-f", "-",
                                        input=f"table ip storm {{\nset s {{ type ipv4_addr; elements = {{ {elems} }}; }}\n}}\n")
                if self.drops(12) > was:
                    break
            self.assertGreater(self.drops(12), was, "nothing was lost: too few")
            self.start()
        self.host.check()
        self.host.lab.host.exec("nft", "delete", "table", "ip", "storm")
        self.host.check()
        self.assertEqual(self.host.daemon.status()["kernel"]["repairs"], repairs)

    def test_4_no_descriptors(self):
        """Nothing new can be opened: no request of ours, no client."""
        a = self.start()
        self.host.check()
        pids = [self.pid, self.host.lab.pids_of("bulkhead-keeper")[0], self.follower()]
        for pid in pids:
            used = len(self.host.lab.host.exec("ls", f"/proc/{pid}/fd").split())
            for most in (3, used - 1, used):
                self.limit("nofile", f"{most}:4096", pid)
                self.host.fake.drop()       # what was open has to be opened again
                b = self.start()
                time.sleep(0.3)
                self.assertFalse(most == 3 and pid != self.pid and self.host.fake.streams, "no descriptor was missed")
                self.host.stop(b)
        ticks = [sum(map(self.cpu, pids)) for _ in range(2) if not time.sleep(1)]
        late = self.start("db")
        for pid in pids:
            self.limit("nofile", "4096:4096", pid)
        self.host.check(4)
        self.assertLess(ticks[1] - ticks[0], 60, "it spins")
        self.host.stop(late)
        self.host.stop(a)

    def cpu(self, pid):
        """Of a process, in hundredths of a second."""
        return sum(map(int, self.host.lab.host.exec("cat", f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[11:13]))

    def test_5_no_memory(self):
        """Its address space may not grow: what fails is told and tried again, what is enforced stays."""
        def size(pid):
            return next(int(line.split()[1]) for line in self.host.lab.host.exec("cat", f"/proc/{pid}/status").splitlines()
                        if line.startswith("VmSize")) * 1024
        for spare in (0, 64 << 10, 512 << 10):
            told = self.host.daemon.log().count("Cannot allocate memory")
            pid = self.follower()
            try:
                self.limit("as", f"{size(pid) + spare}:unlimited", pid)
                # a listing that needs more than there is
                self.host.fake.hooks["/containers/json?all=1"] = lambda c, p: c.answer(b"[" + b" " * (16 << 20) + b"]")
                self.host.fake.stream(b"nonsense\n")
                gone = self.start()
                lab.wait_for("it to be told", lambda: self.host.daemon.log().count("Cannot allocate memory") > told, 10)
                self.assertEqual(self.host.daemon.status()["daemon"]["state"], "degraded")
                self.host.stop(gone)
                self.start()
            finally:
                self.host.fake.hooks.clear()
                if pid in self.host.lab.pids_of("bulkhead-runtime"):
                    self.limit("as", "unlimited:unlimited", pid)
            self.host.check(10)
            try:
                self.limit("as", f"{size(self.pid) + spare}:unlimited")
                self.host.stop(self.start("db"))
            finally:
                self.limit("as", "unlimited:unlimited")
            self.host.check(10)

    def test_6_disk_full(self):
        """What was loaded is in force; that it could not be kept is told, until it could."""
        d = self.host.daemon
        here = self.host.lab.host
        self.mount("size=4k,nr_inodes=3")
        try:
            d.reload(test_faults.CONFIG + "  - {from: db, to: db, ports: [udp/81]}\n")
            self.host.check(state="degraded")
            self.assertIn(str(d.state), d.status()["daemon"]["reason"])
            here.exec("mount", "-o", "remount,size=1m,nr_inodes=100", d.state)
            d.reload(test_faults.CONFIG)
            self.host.check()
            kept = here.exec("cat", d.state / "good/bulkhead.yaml")
            self.assertEqual(kept, test_faults.CONFIG)
            # read-only: the one that was kept stays whole
            here.exec("mount", "-o", "remount,ro", d.state)
            d.reload(test_faults.CONFIG + "  - {from: db, to: db, ports: [udp/82]}\n")
            self.host.check(state="degraded")
            self.assertEqual(here.exec("cat", d.state / "good/bulkhead.yaml"), kept)
        finally:
            here.exec("umount", d.state)
            d.reload(test_faults.CONFIG)
        self.host.check()

    def mount(self, options):
        """In the namespace that the daemon is in: a tmpfs at its state directory."""
        self.host.lab.host.exec("mount", "-t", "tmpfs", "-o", options, "none", self.host.daemon.state)


if __name__ == "__main__":
    tap.main()
