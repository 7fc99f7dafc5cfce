#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 19 s, works 3 s
"""Every error message of the command, provoked: what it says, and how it exits. Those of the source that no row here
provokes, and that UNSEEN does not name with the reason, fail the last test."""
import json
import os
import pathlib
import re
import shutil
import socket
import sys
import threading
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lab"))
import fakedocker  # noqa: E402
import lab  # noqa: E402
import simhost  # noqa: E402
import tap  # noqa: E402

CONFIG = """version: 1
mode: enforce
zones:
  web: {select: {labels: {tier: web}}}
  db: {select: {labels: {tier: db}}}
  project: {per: "label:project"}
  office: {cidrs: [10.20.0.0/16]}
allow:
  - {from: web, to: db, ports: [tcp/5432]}
"""
SEEN = []       # all that the command wrote to stderr, a line each
USAGE, NO_DAEMON, DENIED = 2, 3, 4

# Where the messages of the command come from: its own, those of the socket's two ends, and the daemon's answers.
SOURCES = [*sorted((TOP / "src/cli").glob("*.c")), *(TOP / "src/control" / f for f in ("client.c", "server.c", "request.c")),
           *(TOP / "src/daemon" / f"{f}.c" for f in (
               "confirm", "drops", "explain", "explain_who", "follow", "given", "hand", "hand_policy", "handlers", "plan", "proof",
               "suggest", "why"))]
CALL = re.compile(r"\b(?:bh_cli_error|bh_fail|bh_control_refuse|too_many|several)\s*\(((?:[^;\"]|\"(?:[^\"\\]|\\.)*\")*);", re.S)

# Message: why no row provokes it.
UNSEEN = {
    "out of memory": "memory is refused call by call in the unit tests",
    "loaded, but out of memory": "as above",
    "no more than %u things are said by hand, or out of memory": "test_hand says so many",
    "the kernel does not hold the configuration in force yet: try again": "the instant between two reloads",
    "not in force": "a word of status: test_hand",
    "socket: %s": "no descriptor is left",
    "cannot watch the control socket: %s": "the daemon's own start; epoll refuses",
    "looking at this host: %s": "the kernel refuses a dump to root",
    "top ended: %s": "test_top takes its daemon away",
    "the terminal takes no more": "test_top closes its terminal",
    "top draws on a terminal, and this is none (TERM=%s): bulkhead top --json prints one measurement": "test_top",
    "a name in the kernel's tables is not UTF-8: bulkhead did not write it": "the tables are owned, nobody else writes there",
    "graph: more zones than a picture can show: --format dot has no bound": "test_graph (unit)",
    "nothing is proven: %s": "the kernel refuses a namespace to root",
    "noted, but the kernel does not hold it yet: %s": "the kernel refuses a batch: unit test of the daemon",
    "the configuration is loaded, but the kernel does not hold it yet: %s": "as above",
    "no plan can be made: %s": "with its reason below, and when the kernel refuses a dump",
    "what would be suggested is no valid configuration: line %u: %s": "a defect of suggest; its own test reads what it prints",
    "what would be suggested is no valid configuration": "as above",
    "the kernel was not looked at yet, try again": "the instant between a start and its first look",
    "the daemon has not looked at this host yet: ask again": "as above",
    "the rules of this configuration are too many to be tried: load it": "test_explain (unit)",
    "the configuration cannot be read: %s": "no memory",
    "what happened came faster than it was read: some of it is lost from here on, ask again": "test_control (unit)",
    "bulkheadd does not take a request (%s): see journalctl -u bulkheadd": "the kernel refuses a send",
    "more than one container of that Compose service runs: name the container": "test_explain",
    "bulkheadd does not answer at %s: see journalctl -u bulkheadd": "a backlog of connections that is full: test_control (unit)",
}


class Messages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.h = h = simhost.SimHost(CONFIG)
        cls.addClassCleanup(h.close)
        cls.d, cls.root = h.daemon, h.lab.root
        for name, tier in (("web1", "web"), ("web2", "web"), ("db1", "db"), ("a1", "pa")):
            h.start(name, tier)
            cls.d.wait_zone(name, {"pa": "project:pa"}.get(tier, tier))
        host = h.fake.add("hostly", {"tier": "web"}, "net")
        h.fake.containers[host]["HostConfig"]["NetworkMode"] = "host"
        h.fake.networks[fakedocker.cid("net-net")]["Containers"].pop(host)
        h.fake.event("container", "start", host)
        lab.wait_for("hostly is listed", lambda: cls.d.zone_of("hostly"))
        os.chmod(cls.root, 0o755)
        os.chmod(cls.d.dir, 0o755)

    def run_it(self, *args, user=False, sock=None, code, says, timeout=30):
        """A run of the command, its exit status, and the one line it says (a regular expression for all of it)."""
        cmd = [lab.program("bulkhead"), *map(str, args)]
        if "--socket" not in args:
            cmd += ["--socket", str(sock or self.d.socket)]
        if user:
            cmd = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *cmd]
        r = self.h.lab.host.run_cmd(*cmd, timeout=timeout)
        with self.subTest(args=args):
            self.assertEqual(r.returncode, code, (r.stdout, r.stderr))
            last = r.stderr.splitlines()[-1] if r.stderr else ""
            self.assertRegex(last, f"^bulkhead: {says}$")
            self.assertTrue(r.stderr.isprintable() or "\n" in r.stderr)
            SEEN.extend(r.stderr.splitlines())
        return r

    def rows(self, code, *rows, **kw):
        for args, says in rows:
            self.run_it(*args.split(), code=code, says=says, **kw)

    # -- the command line ---------------------------------------------------------

    def test_01_usage(self):
        self.rows(
            USAGE,
            ("statsu", r"no verb 'statsu': did you mean 'status'\?"),
            ("xyzzy", r"no verb 'xyzzy': see bulkhead --help"),
            ("status --jsn", r"wrong option '--jsn': did you mean '--json'\?"),
            ("status --xyzzy", r"wrong option '--xyzzy': see bulkhead --help"),
            ("status zones rules", r"status: 'rules' is one argument too many: usage: bulkhead status \[.*\]"),
            ("status --follow", r"status does not take --follow"),
            ("--completion tcsh", r"no completion for 'tcsh': bash, zsh or fish"),
            ("status zons", r"status: no view 'zons': did you mean 'zones'\?"),
            ("status xyzzy", r"status: no view 'xyzzy': zones, containers, rules or drops"),
            ("explain web1", r"explain: say who and to whom: bulkhead explain web1 db1 tcp/5432"),
            ("why", r"why: say which container: bulkhead why NAME"),
            ("quarantine", r"quarantine: which container\? usage: bulkhead quarantine NAME \[--for TIME\]"),
            ("release", r"release: which container\? usage: bulkhead release NAME"),
            ("allow web db tcp/1", r"allow: for how long, from where, to where, which ports\? e\.g\. bulkhead allow --for 10m web db tcp/5432 "
                                   r"\(or 'all'\); what stays belongs in the configuration"),
            ("quarantine web1 --for soon", r"--for soon is no time: write it like 90s, 10m, 1h30m or 2d"),
            ("quarantine web1 --for 400d", r"--for 400d: from 1s to 366d"),
            ("reload --confirm 2d", r"--confirm 2d: from 1s to 1d"),
            ("export", r"export: say in which form: bulkhead export --nft"),
            ("graph --format png", r"graph: no format 'png': dot, svg or json"),
            ("doctor --skip ifbb", r"--skip: no check 'ifbb': did you mean 'ifb'\?"),
            ("doctor --skip xyzzyxyzzy", r"--skip: no check 'xyzzyxyzzy': bulkhead doctor shows their names"),
            (f"graph --live {self.d.config}", r"graph: --live shows what flows on this host, so it takes no FILE"))
        r = self.h.lab.host.run_cmd(lab.program("bulkhead"), "status", "--socket")
        self.assertEqual((r.returncode, r.stderr), (USAGE, "bulkhead: --socket needs a value: see bulkhead --help\n"))
        SEEN.extend(r.stderr.splitlines())
        self.run_it("explain", b"web\xff".decode(errors="surrogateescape"), "db", code=USAGE, says=r"explain: what is asked for is no UTF-8")

    # -- who may ------------------------------------------------------------------

    def test_02_not_permitted(self):
        root_only = r"%s %s, which is for root: run it with sudo"
        self.rows(
            DENIED,
            ("status", r"not permitted to ask bulkheadd: be root, or in group bulkhead"),
            ("export --nft", root_only % ("export", "reads the kernel's tables")),
            ("scan", root_only % ("scan", "reads the kernel's rules and Docker's socket")),
            ("prove", root_only % ("prove", "makes network namespaces and sends packets in them")), user=True)
        os.chmod(self.d.socket, 0o666)      # the socket's mode lets all in; the peer's credentials then decide
        self.rows(
            DENIED, ("reload", r"not permitted: be root, or in group bulkhead"), user=True)
        os.chmod(self.d.socket, 0o660)

    # -- no daemon, and what is none ----------------------------------------------

    def test_03_no_daemon(self):
        gone = self.root / "gone.sock"
        self.rows(NO_DAEMON, ("reload", rf"bulkheadd is not running \(nobody answers at {gone}\): systemctl start bulkheadd"), sock=gone)
        self.rows(USAGE, ("reload", r"the path of the socket is too long: /x+"), sock="/" + "x" * 200)
        self.rows(NO_DAEMON, ("reload", rf"{self.root}/loop: Too many levels of symbolic links"), sock=self.loop())
        empty = lab.Lab(docker=False).up()
        self.addCleanup(empty.down)
        for args, code, says in (("status", NO_DAEMON, "the kernel holds none of bulkhead's tables: containers are not segmented"),
                                 ("export --nft", NO_DAEMON, "the kernel holds none of bulkhead's tables: start bulkheadd"),
                                 ("scan --docker /nowhere", NO_DAEMON, None)):
            r = empty.host.run_cmd(lab.program("bulkhead"), *args.split(), "--socket", gone)
            with self.subTest(args=args):
                self.assertEqual(r.returncode, code, r.stderr)
                last = r.stderr.splitlines()[-1]
                if says:
                    self.assertEqual(last, f"bulkhead: {says}")
                else:
                    self.assertRegex(last, "^bulkhead: .*: give its socket with --docker SOCKET$")
                SEEN.extend(r.stderr.splitlines())

    def loop(self):
        path = self.root / "loop"
        if not path.is_symlink():
            path.symlink_to("loop")
        return path

    def answering(self, fn):
        """A socket at which FN has each connection."""
        path = self.root / f"false{len(list(self.root.glob('false*')))}.sock"
        s = socket.socket(socket.AF_UNIX)
        s.bind(str(path))
        s.listen(4)
        self.addCleanup(s.close)

        def serve():
            try:
                while True:
                    c, _ = s.accept()
                    with c:
                        c.recv(65536)
                        fn(c)
            except OSError:
                pass
        threading.Thread(target=serve, daemon=True).start()
        return path

    def test_04_no_bulkheadd(self):
        end = threading.Event()
        self.addCleanup(end.set)
        no_answer = r"bulkheadd answered what is no answer: are it and bulkhead of the same release\?"
        junk = self.answering(lambda c: c.sendall(b"hello\n"))
        self.rows(NO_DAEMON, ("reload", no_answer), sock=junk)
        ends = self.answering(lambda c: None)
        self.rows(NO_DAEMON, ("reload", r"bulkheadd ended the connection without an answer \(.*\): see journalctl -u bulkheadd"), sock=ends)
        self.rows(NO_DAEMON, ("drops --follow", r"bulkheadd ended the connection \(.*\): see journalctl -u bulkheadd"), sock=ends)
        hangs = self.answering(lambda c: end.wait(60))
        self.rows(NO_DAEMON, ("status", r"bulkheadd did not answer within \d+ s: see journalctl -u bulkheadd"), sock=hangs, timeout=40)
        odd = self.answering(lambda c: c.sendall(b'{"ok": true, "result": {"version": 1}}\n'))
        self.rows(1, ("prove", r"the daemon's answer cannot be read: use the bulkhead of the same release"), sock=odd)
        hostile = self.answering(lambda c: c.sendall(json.dumps({"ok": False, "code": "failed", "error": "\x1b[2Jhello"}).encode() + b"\n"))
        r = self.run_it("reload", code=1, says=r"\\\\x1b\[2Jhello", sock=hostile)
        self.assertNotIn("\x1b", r.stderr)

    def test_05_requests(self):
        """What no bulkhead of this release sends."""
        def raw(line, says, code):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(10)
                s.connect(str(self.d.socket))
                s.sendall(line + b"\n")
                answer = json.loads(s.makefile().readline())
            with self.subTest(line=line[:60]):
                self.assertEqual((answer["ok"], answer["code"]), (False, code), answer)
                self.assertRegex(answer["error"], f"^{says}$")
                SEEN.append(answer["error"])

        def ask(verb, says, code="usage", **kw):
            raw(json.dumps({"version": 1, "verb": verb, **kw}).encode(), says, code)

        raw(b"hello", "a request is one line with a JSON object", "usage")
        raw(b'{"version": 1}', 'a request is a JSON object with "version" and "verb"', "usage")
        raw(b'{"version": 2, "verb": "status"}', "this daemon speaks version 1 of the protocol: use the bulkhead of the same release", "usage")
        ask("STATUS", "a request's verb is a word of lower-case letters")
        ask("status", "a request has at most 4096 values", x=[1] * 5000)
        ask("xyzzy", "this daemon knows no 'xyzzy': use the bulkhead of the same release")
        ask("reload", "the time to confirm is one second to a day", confirm=100000)
        ask("explain", 'a question has "from" and "to"')
        ask("why", '"name" is missing')
        ask("quarantine", "quarantine takes a container and a time up to a year", name="web1", seconds=0)
        ask("allow", "allow takes a time up to a year, two zones and ports")
        ask("plan", '"config" is a list of files, each with "name" and "text"', config=[])
        ask("plan", "the name of a configuration file is too long or cannot be shown: give the file another name",
            config=[{"name": "\x1b", "text": ""}])
        ask("explain", "the configuration is not valid", config=[{"name": "a.yaml", "text": "hello"}], **{"from": "web1", "to": "db1"})

    # -- names, ports, files --------------------------------------------------------

    def test_06_names(self):
        self.rows(
            USAGE,
            ("explain webb1 db1", r"nobody is called 'webb1': did you mean 'web[12]'\?"),
            ("explain xyzzyxyzzy db1", r"nobody is called 'xyzzyxyzzy': name a container, an address or a zone \(bulkhead status shows them\)"),
            ("explain any db1", r"'any' means several: ask for one zone, such as lan or internet"),
            ("explain web1 db1 xyzzy/1", r"'xyzzy/1' is no port: say tcp/80, udp/53 or icmp"),
            ("explain web1 db1 tcp/1-2", r"'tcp/1-2' is more than one port: ask for one, or for none to see all that is open"),
            ("explain web1 db1 tcp", r"'tcp' is no port: say tcp/80, or none to see all that is open"),
            ("why webb1", r"no container 'webb1': did you mean 'web[12]'\?"),
            ("why xyzzyxyzzy", r"no container 'xyzzyxyzzy': bulkhead status containers lists them"),
            ("quarantine webb1", r"no container 'webb1' runs: did you mean 'web[12]'\?"),
            ("quarantine xyzzyxyzzy", r"no container 'xyzzyxyzzy' runs: see bulkhead status containers"),
            ("quarantine hostly", r"hostly uses the host's own network: bulkhead cannot hold it, stop it"),
            ("release web1", r"'web1' is not in quarantine by hand: see bulkhead status"),
            ("unlock", r"there is no lockdown"),
            ("confirm", r"nothing waits to be confirmed"),
            ("allow --for 1m web1 db tcp/1", r"'web1' is a container: name its zone, 'web'"),
            ("allow --for 1m wbe db tcp/1", r"no zone 'wbe': did you mean 'web'\?"),
            ("allow --for 1m xyzzyxyzzy db tcp/1", r"no zone 'xyzzyxyzzy': see bulkhead status zones"),
            ("allow --for 1m web:x db tcp/1", r"'web:x': web is no family of zones"),
            ("allow --for 1m web db xyzzy/1", r"'xyzzy/1' is no port: write tcp/80, udp/5000-5009 or icmp"),
            ("allow --for 1m web db tcp/1-1000", r"'tcp/1-1000': for a time 64 ports at most in one range, or the protocol alone"),
            ("allow --for 1m metadata db tcp/1", r"'metadata' stands only for whom connections go to"),
            ("allow --for 1m web dns tcp/1", r"'dns' is not opened for a time: name the zone of the resolver"),
            ("allow --for 1m any any tcp/1", r"from any to any opens everything: name one side"),
            ("allow --for 1m office lan tcp/1", r"neither 'office' nor 'lan' is a zone of containers: bulkhead does not decide about that"))
        self.assertEqual(self.d.cli("quarantine", "web1").returncode, 0)
        self.rows(USAGE, ("release webb1", r"'webb1' is not in quarantine by hand: did you mean 'web1'\?"))
        self.assertEqual(self.d.cli("release", "web1").returncode, 0)

    def test_07_ids(self):
        twins = [fakedocker.cid("twin")[:12] + str(k) * 52 for k in (1, 2)]
        with self.h.fake.lock:
            c = self.h.fake.containers[fakedocker.cid("hostly")]
            for k, i in enumerate(twins):
                self.h.fake.containers[i] = {**c, "Id": i, "Names": [f"/twin{k}"]}
        for i in twins:
            self.h.fake.event("container", "start", i)
        lab.wait_for("the twins are listed", lambda: self.d.zone_of("twin0") and self.d.zone_of("twin1"))
        self.rows(
            USAGE,
            (f"why {twins[0][:12]}", rf"'{twins[0][:12]}' begins the ids of several containers: write more of it"),
            (f"explain {twins[0][:12]} web1", rf"'{twins[0][:12]}' means several: more digits of the container's id"))

    def test_08_files(self):
        bad = self.root / "bad.yaml"
        bad.write_text("version: 1\nmode: enforce\nzone: {}\n")
        os.chmod(bad, 0o644)
        for verb in ("plan", "graph"):
            r = self.h.lab.host.run_cmd(lab.program("bulkhead"), verb, bad, "--socket", self.d.socket)
            self.assertEqual(r.returncode, USAGE, r.stderr)
            self.assertIn("bad.yaml:3:1: error: ", r.stderr)
            SEEN.extend(r.stderr.splitlines())
        self.run_it("explain", "web1", "db1", "--config", bad, code=USAGE, says=rf"{bad}: not valid: correct it, then ask again")
        good = self.d.config.read_text()
        try:
            self.d.write(good + "expect:\n  - {from: web, to: db, verdict: deny}\n")
            self.rows(USAGE, ("reload", r".*: nothing changed"))
            self.d.write("hello\n")
            self.rows(USAGE, ("plan", rf"{self.d.config} would be refused: bulkhead check {self.d.config}|.*"))
        finally:
            self.d.write(good)
        self.d.reload()

    def test_09_nothing_to_go_back_to(self):
        kept, there = self.d.state / "good", self.d.state / "good.away"
        marker = self.d.state / "unconfirmed"
        kept.rename(there)
        try:
            self.rows(USAGE, ("reload --confirm 1m", rf"going back would not survive a crash: {self.d.state} has no copy of the "
                                                     r"configuration in force: nothing changed"))
        finally:
            there.rename(kept)
        marker.mkdir()
        try:
            self.rows(USAGE, ("reload --confirm 1m", rf"going back would not survive a crash: cannot write to {self.d.state}: .*: nothing changed"))
        finally:
            marker.rmdir()
        self.d.reload()

    def test_09_streams(self):
        procs = []
        try:
            for _ in range(16):
                procs.append(self.h.lab.host.popen(lab.program("bulkhead"), "drops", "--follow", "--socket", self.d.socket))
                lab.wait_for("it follows", lambda: self.connections() == len(procs))
            self.rows(USAGE, ("drops --follow", r"16 commands follow already: end one of them"))
        finally:
            for p in procs:
                p.kill()
                p.wait()

    def connections(self):
        """How many are connected to the control socket."""
        return sum(line.split()[5] == "03" for line in self.h.lab.host.exec("cat", "/proc/net/unix").splitlines()
                   if str(self.d.dir) in line)

    # -- daemons that enforce nothing yet -----------------------------------------------

    def test_10_no_runtime(self):
        self.h.fake.stop()
        self.d.stop()
        # As at boot: tables of the run before are there, and what was enforced stays until a runtime tells who is who.
        self.h.daemon = Messages.d = self.h.lab.bulkheadd(CONFIG)
        self.rows(
            1,
            ("plan", r"no plan can be made: it is not known yet what runs: no runtime has answered"),
            ("allow --for 1m web db tcp/1", r"noted, but no runtime has answered yet: it takes effect when one does"),
            ("reload", r"the configuration is loaded, but no runtime answers: the rules that were found in the kernel stay until one does"))

    def test_11_no_configuration(self):
        self.d.stop()
        shutil.rmtree(self.d.state)
        self.h.daemon = Messages.d = self.h.lab.bulkheadd("hello\n", wait=False)
        lab.wait_for("it answers", lambda: self.d.cli("status").returncode == 1)
        bad = r"no valid configuration is in force"
        self.rows(
            1,
            ("explain web1 db1", bad + r", so containers get nothing: see bulkhead status"),
            ("why web1", bad + r", so everybody is denied everything: bulkhead check tells what is wrong with it"),
            ("suggest", bad + r": bulkhead check tells what is wrong with it"),
            ("prove", r"there is nothing to prove: no valid configuration is loaded"))
        self.rows(USAGE, ("allow --for 1m web db tcp/1", bad + r", so containers get nothing: see bulkhead status"))

    # -- none is left out -----------------------------------------------------------------

    def test_12_every_message(self):
        seen = "\n".join(SEEN)
        left, known = [], set()
        for path in SOURCES:
            text = re.sub(r'"\s*\n\s*"', "", path.read_text())
            for call in CALL.finditer(text):
                for m in re.findall(r'"((?:[^"\\]|\\.)*)"', call.group(1)):
                    m = m.replace(r"\"", '"')
                    if " " not in m.strip():
                        continue
                    known.add(m)
                    plain = re.split(r"%[-.*0-9]*(?:ll|l|z)?[a-z]", m)
                    if m not in UNSEEN and not re.search(r".*".join(map(re.escape, plain)), seen):
                        left.append(f"{path.name}: {m}")
        self.assertGreater(len(known), 60)
        self.assertEqual(left, [], "no row provokes them:\n" + "\n".join(left))
        self.assertEqual(sorted(set(UNSEEN) - known), [], "nobody says that any more")


if __name__ == "__main__":
    tap.main()
