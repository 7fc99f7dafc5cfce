# SPDX-License-Identifier: Apache-2.0
"""Two bridges on a "host" namespace, five containers on the first and one on the second.

tests/tools/shaper.c is the program under test, with src/nft for the rules; nft, tc and ip only look, or play the
foreign program.
"""
import os
import pathlib
import signal
import subprocess
import unittest

SHAPER = (pathlib.Path(os.environ.get("BH_BUILD", "build")) / "tests/tools/shaper").resolve()
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
NONE = "zone none 0 0 0 0\n"


def sh(cmd, text=None, check=True):
    r = subprocess.run(cmd, input=text, capture_output=True, text=True, env=ENV, timeout=60)
    if check and r.returncode:
        raise AssertionError(f"{' '.join(map(str, cmd))}: {r.returncode}: {r.stderr}{r.stdout}")
    return r


class Net:
    """The namespaces, each process in them, and their end."""

    def __init__(self):
        self.tag = f"bh-test-{os.getpid()}"
        self.names, self.procs = [], []

    def ns(self, name):
        return f"{self.tag}-{name}"

    def add(self, name):
        sh(["ip", "netns", "add", self.ns(name)])
        self.names.append(name)
        self.run(name, "ip", "link", "set", "lo", "up")
        for key in ("all", "default"):
            self.run(name, "sysctl", "-qw", f"net.ipv6.conf.{key}.accept_dad=0")

    def run(self, name, *cmd, text=None, check=True):
        return sh(["ip", "netns", "exec", self.ns(name), *cmd], text, check)

    def start(self, name, *cmd, **kw):
        p = subprocess.Popen(["ip", "netns", "exec", self.ns(name), *cmd], env=ENV, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, **kw)
        self.procs.append(p)
        return p

    def container(self, name, bridge, number):
        self.add(name)
        ip = f"10.{bridge}.1.{number}"
        sh(["ip", "link", "add", "e0", "netns", self.ns(name), "type", "veth", "peer", "name", f"v{name}",
            "netns", self.ns("host")])
        # the host's own MLD reports on a port come from no bridge, and would go to the default class
        self.run("host", "sysctl", "-qw", f"net.ipv6.conf.v{name}.disable_ipv6=1")
        self.run("host", "ip", "link", "set", f"v{name}", "master", f"br-{bridge}", "up")
        self.run(name, "ip", "addr", "add", f"{ip}/16", "dev", "e0")
        self.run(name, "ip", "addr", "add", f"fd00:{bridge}::{number}/64", "dev", "e0", "nodad")
        self.run(name, "ip", "link", "set", "e0", "up")
        self.run(name, "ip", "route", "add", "default", "via", f"10.{bridge}.0.1")
        self.run(name, "ip", "-6", "route", "add", "default", "via", f"fd00:{bridge}::ffff")
        return ip

    def up(self):
        self.add("host")
        self.run("host", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for b in (1, 2):
            self.run("host", "ip", "link", "add", f"br-{b}", "type", "bridge")
            self.run("host", "ip", "addr", "add", f"10.{b}.0.1/16", "dev", f"br-{b}")
            self.run("host", "ip", "addr", "add", f"fd00:{b}::ffff/64", "dev", f"br-{b}", "nodad")
            self.run("host", "ip", "link", "set", f"br-{b}", "up")
        self.ip = {n: self.container(n, b, i) for n, b, i in (("a1", 1, 1), ("a2", 1, 2), ("a3", 1, 3), ("a4", 1, 4), ("a5", 1, 5),
                                                            ("b1", 2, 1))}
        self.ip["host"] = "10.1.0.1"
        return self

    def down(self):
        for p in self.procs:
            if p.poll() is None:
                p.kill()
            p.wait()
            p.stdout.close()
        for n in self.names:
            for pid in sh(["ip", "netns", "pids", self.ns(n)], check=False).stdout.split():
                os.kill(int(pid), signal.SIGKILL)
            sh(["ip", "netns", "del", self.ns(n)], check=False)

    def shaper(self, verb, wish="", *args, check=True):
        return self.run("host", str(SHAPER), verb, *args, text=wish, check=check)

    def apply(self, wish):
        out = self.shaper("apply", wish).stdout
        if out != "in sync\n":
            raise AssertionError(f"after apply: {out}")

    def clear(self):
        self.apply(NONE)

    def quiet(self, act, tries=4):
        """Whether ACT makes no notification; young links still speak for themselves, hence the tries."""
        for _ in range(tries):
            p = self.start("host", str(SHAPER), "wait")
            p.stdout.readline()
            act()
            if p.stdout.readline() == "nothing\n":
                return True
        return False

    def stats(self):
        t, classes = 0, {}
        for line in self.shaper("stats", NONE).stdout.splitlines():
            w = line.split()
            if w[0] == "time":
                t = int(w[1]) / 1e9
            else:
                classes[w[0], w[1]] = tuple(map(int, w[2:]))
        return t, classes

    def state(self):
        """Links without counters, qdiscs and filters: what teardown must leave as it was."""
        text = self.run("host", "ip", "-o", "link").stdout + self.run("host", "tc", "qdisc").stdout
        for n in ("a1", "a2", "a3", "b1"):
            text += self.run("host", "tc", "filter", "show", "dev", f"v{n}", "egress", check=False).stdout
        return text + self.run("host", "nft", "list", "ruleset").stdout


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.net = Net()
        cls.addClassCleanup(cls.net.down)
        cls.net.up()

    def setUp(self):
        self.addCleanup(self.net.clear)

    def check(self, wish):
        return self.net.shaper("check", wish).stdout

    def assertInSync(self, wish):
        text = self.check(wish)
        self.assertEqual(text.split("\n", 1)[0], "equal", text)

    def assertDiffers(self, wish):
        text = self.check(wish)
        self.assertEqual(text.split("\n", 1)[0], "differs", text)
