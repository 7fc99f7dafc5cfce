#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 20 s
"""bulkhead top on a pseudo-terminal of 80 x 24 and others: what it draws, that it moves, resizes and ends, and leaves the terminal as it was.
Simulated containers."""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402

CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}, bandwidth: {container: {egress: 1mbit, ingress: 1mbit}, zone: {egress: 4mbit, ingress: 4mbit}}}
  db: {select: {labels: {tier: db}}}
allow:
  - {from: web, to: db, ports: [udp/80]}
"""


class Screen:
    """What a terminal shows of what is written to it: the part of ECMA-48 that ncurses uses for TERM=linux without colours."""

    def __init__(self, width, height):
        self.resize(width, height)

    def resize(self, width, height):
        self.w, self.h = width, height
        self.rows = [[" "] * width for _ in range(height)]
        self.x = self.y = self.top = 0
        self.bottom = height
        self.rest = ""

    def shift(self, first, k):
        """Lines from FIRST to the end of the scrolling region move down by K, or up."""
        old = self.rows[first:self.bottom]
        blank = [[" "] * self.w for _ in range(min(abs(k), len(old)))]
        self.rows[first:self.bottom] = (blank + old)[:len(old)] if k > 0 else old[len(blank):] + blank

    def feed(self, text):
        text = self.rest + text
        i = 0
        while i < len(text):
            c = text[i]
            if c == "\033":
                m = re.compile(r"\033(?:\[([?0-9;]*)([@-~])|[()][0-9A-B]|[=>78c]|\]R)").match(text, i)
                if not m:
                    break
                if m[2]:
                    self.csi(m[1], m[2])
                i = m.end()
                continue
            i += 1
            if c == "\r":
                self.x = 0
            elif c == "\n":
                if self.y == self.bottom - 1:
                    self.shift(self.top, -1)
                self.y = min(self.y + 1, self.h - 1 if self.y >= self.bottom else self.bottom - 1)
            elif c == "\b":
                self.x = max(self.x - 1, 0)
            elif c >= " ":
                if self.x >= self.w:
                    self.x, self.y = 0, min(self.y + 1, self.h - 1)
                self.rows[self.y][self.x] = c
                self.x += 1
        self.rest = text[i:]

    def csi(self, args, what):
        n = [int(a) if a.isdigit() else 0 for a in args.lstrip("?").split(";")]
        if what == "H":
            self.y, self.x = max(n[0], 1) - 1, (max(n[1], 1) if len(n) > 1 else 1) - 1
        elif what == "d":
            self.y = max(n[0], 1) - 1
        elif what == "G":
            self.x = max(n[0], 1) - 1
        elif what == "C":
            self.x += max(n[0], 1)
        elif what == "D":
            self.x -= max(n[0], 1)
        elif what == "A":
            self.y -= max(n[0], 1)
        elif what == "B":
            self.y += max(n[0], 1)
        elif what == "J":
            for y in range(self.y + 1 if n[0] == 0 else 0, self.h):
                self.rows[y] = [" "] * self.w
            if n[0] == 0:
                self.csi("0", "K")
        elif what == "K":
            a, b = (0, self.x + 1) if n[0] == 1 else (self.x, self.w)
            self.rows[self.y][a:b] = [" "] * (b - a)
        elif what == "r":
            self.top, self.bottom = max(n[0], 1) - 1, n[1] if len(n) > 1 and n[1] else self.h
            self.x = self.y = 0
        elif what in "LM":      # lines inserted, lines taken out
            self.shift(self.y, max(n[0], 1) * (1 if what == "L" else -1))
        elif what == "X":
            for x in range(self.x, min(self.x + max(n[0], 1), self.w)):
                self.rows[self.y][x] = " "
        elif what == "P":
            self.rows[self.y] = (self.rows[self.y][:self.x] + self.rows[self.y][self.x + max(n[0], 1):] + [" "] * self.w)[:self.w]
        elif what == "@":
            self.rows[self.y] = (self.rows[self.y][:self.x] + [" "] * max(n[0], 1) + self.rows[self.y][self.x:])[:self.w]
        elif what not in "mhlnc":
            raise ValueError(f"a sequence that this screen does not know: {args}{what}")

    def lines(self):
        return ["".join(r).rstrip() for r in self.rows]


class Terminal:
    def __init__(self, host, width=80, height=24, term="linux"):
        self.screen = Screen(width, height)
        self.fd, self.slave = pty.openpty()
        self.size(width, height, False)
        self.before = termios.tcgetattr(self.slave)
        self.raw = b""
        self.proc = host.lab.host.popen(lab.program("bulkhead"), "top", "--socket", host.daemon.socket, stdin=self.slave, stdout=self.slave,
                                        stderr=self.slave, env={"TERM": term, "NO_COLOR": "1"})

    def size(self, width, height, tell=True):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        if tell:
            self.screen.resize(width, height)

    def read(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                data = os.read(self.fd, 65536)
                self.raw += data
                self.screen.feed(data.decode())

    def until(self, cond, seconds=10):
        end = time.monotonic() + seconds
        while not cond(self.screen.lines()):
            if time.monotonic() > end:
                raise AssertionError("not drawn:\n" + "\n".join(self.screen.lines()))
            self.read(0.1)
        return self.screen.lines()

    def type(self, text):
        os.write(self.fd, text)

    def end(self, seconds=5):
        end = time.monotonic() + seconds
        while self.proc.poll() is None and time.monotonic() < end:
            self.read(0.05)
        code = self.proc.poll()
        if code is None:
            self.proc.kill()
        return code

    def close(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        os.close(self.fd)
        os.close(self.slave)


class Top(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = h = simhost.SimHost(CONFIG)
        cls.addClassCleanup(h.close)
        cls.web, cls.db = h.start("web1", "web", place=True), h.start("db1", "db", place=True)
        h.check(5)
        cls.flood = simhost.Flood(h, cls.web, cls.db, mbit=0.2)
        cls.addClassCleanup(cls.flood.stop)

    def terminal(self, *args, **kw):
        t = Terminal(self.host, *args, **kw)
        self.addCleanup(t.close)
        return t

    def test_1_draws_80_by_24(self):
        t = self.terminal()
        lines = t.until(lambda x: any(re.match(r"web +db +udp/80 +\d", line) for line in x))
        self.assertTrue(lines[0].startswith("bulkhead top: enforcing, in sync"), lines[0])
        self.assertRegex(lines[1], r"^2 containers, [0-9.]+[kM]? bit/s, [0-9.]+ packets/s, denied -/s, over \d")
        row = next(line for line in lines if line.startswith("web1 "))
        m = re.search(r" web +([0-9.]+)([kM]) +1M/1M \[(#*) *\] +(\d+)% +-$", row)
        self.assertTrue(m, row)
        bits, used = float(m[1]) * {"k": 1e3, "M": 1e6}[m[2]], int(m[4])
        self.assertTrue(0.4e6 < bits < 2e6, row)        # 35 packets of 1,500 bytes a second and family, half a second on a busy machine
        self.assertTrue(abs(used - bits / 2e6 * 100) <= 1 and abs(len(m[3]) - used * 8 / 100) <= 1, row)
        self.assertRegex(next(line for line in lines if re.match(r"web +[0-9.]+[kM]", line)), r"[kM] +4M/4M \[# +\] +\d+% +-$")
        self.assertEqual(len(lines), 24)
        self.assertTrue(lines[23].startswith("q quits"))
        self.assertEqual([line for line in lines if len(line) > 80], [])
        t.type(b"q")
        self.assertEqual(t.end(), 0)
        self.assertEqual(termios.tcgetattr(t.slave), t.before)      # the terminal as it was

    def test_2_denials_show(self):
        t = self.terminal()
        t.until(lambda x: any(line.startswith("web1 ") for line in x))
        for _ in range(30):
            self.web.shout(self.db, port=81)
            t.read(0.1)
        t.until(lambda x: re.search(r"denied [0-9.]+/s", x[1]) and any(re.match(r"web1 .* [0-9.]+$", line) for line in x))
        t.type(b"\x03")
        self.assertEqual(t.end(), 0)

    def test_3_resizes(self):
        t = self.terminal()
        t.until(lambda x: any(line.startswith("web1 ") for line in x))
        for w, h, want in ((120, 40, "q quits"), (60, 20, "60x20: top needs 80x24"), (80, 24, "q quits")):
            t.size(w, h)
            for pid in self.host.lab.pids_of("bulkhead", "top"):
                self.host.lab.host.exec("kill", "-WINCH", pid)
            lines = t.until(lambda x: any(line.startswith(want) for line in x))
            self.assertEqual(next(i for i, line in enumerate(lines) if line.startswith(want)), h - 1 if w >= 80 else 0)
        t.type(b"q")
        self.assertEqual(t.end(), 0)

    def test_4_no_terminal_to_draw_on(self):
        for term in ("dumb", ""):
            t = self.terminal(term=term)
            self.assertEqual(t.end(), 2)
            self.assertIn(f"top draws on a terminal, and this is none (TERM={term}): bulkhead top --json prints one measurement", t.raw.decode())
            self.assertNotIn(b"\033", t.raw)
        t = self.terminal(term="no-such-terminal")
        self.assertEqual(t.end(), 2)
        r = self.host.daemon.cli("top")
        self.assertEqual((r.returncode, r.stdout), (2, ""))

    def test_5_json(self):
        doc = json.loads(self.host.daemon.cli("top", "--json", check=True).stdout)
        self.assertAlmostEqual(doc["seconds"], 2, delta=0.7)
        flow, = doc["flows"]
        self.assertEqual((flow["from"], flow["to"], flow["ports"]), ("web", "db", "udp/80"))
        self.assertTrue(500e3 < flow["bits"] < 1300e3 and 40 < flow["packets"] < 110, flow)
        self.assertEqual({c["name"] for c in doc["containers"]}, {"web1", "db1"})

    def test_6_the_daemon_goes_and_comes(self):
        t = self.terminal()
        t.until(lambda x: x[0].startswith("bulkhead top: enforcing"))
        self.host.daemon.stop()
        t.until(lambda x: "bulkheadd is not running" in x[0])
        self.host.daemon.start()
        t.until(lambda x: x[0].startswith("bulkhead top: enforcing"), 15)
        t.type(b"q")
        self.assertEqual(t.end(), 0)
        self.host.daemon.stop()
        r = self.host.daemon.cli("top", "--json")
        self.assertEqual((r.returncode, r.stdout), (3, ""))
        self.assertIn("bulkheadd is not running", r.stderr)


if __name__ == "__main__":
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    tap.main()
