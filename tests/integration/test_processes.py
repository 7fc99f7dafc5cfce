#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 35 s, works 7 s
"""The processes of bulkheadd: each with the rights that docs/SECURITY.md says, and no other; each may be killed at any time, and nothing that is
denied passes meanwhile. Simulated containers, a scripted Docker; needs no dockerd."""
import pathlib
import re
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402
import test_faults  # noqa: E402
import test_reports  # noqa: E402

NET_ADMIN = 1 << 12
# Its name, as the kernel cuts it: the capabilities that it has.
PROCESSES = {"bulkheadd": NET_ADMIN, "bulkhead-keeper": 0, "bulkhead-runtim": 0, "bulkhead-contro": 0, "bulkhead-report": 0}


class Processes(test_faults.Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = test_reports.Folder(cls.host.lab.root / "reports")
        cls.image = "sha256:" + test_faults.cid("shop/web:1")
        cls.folder.put("web.json", test_reports.trivy(cls.image))
        cls.config = test_faults.CONFIG + f"images: {{reports: {cls.folder.path}}}\n"
        cls.host.daemon.reload(cls.config)

    def read(self, path):
        return self.host.lab.host.exec("cat", path)

    def pid(self, name):
        """Of the one process of a name; it may be another one next time."""
        return lab.wait_for(name, lambda: self.host.lab.pids_of(name))[0]

    def sockets(self, name):
        """The inodes of a process's sockets."""
        return set(self.host.lab.host.exec("sh", "-c", f"ls -l /proc/{self.pid(name)}/fd | sed -n 's/.*socket:.\\([0-9]*\\).*/\\1/p'").split())

    def netlink(self):
        return {line.split()[9] for line in self.read("/proc/net/netlink").splitlines()[1:]}

    def test_1_rights(self):
        """Exactly these, as the table of docs/SECURITY.md says."""
        text = (lab.TOP / "docs/SECURITY.md").read_text()
        for name, caps in PROCESSES.items():
            s = dict(line.split(":", 1) for line in self.read(f"/proc/{self.pid(name)}/status").splitlines() if ":" in line)
            for key in ("CapPrm", "CapEff", "CapBnd"):
                self.assertEqual(int(s[key], 16), caps, f"{name} {key}")
            for key in ("CapInh", "CapAmb"):
                self.assertEqual(int(s[key], 16), 0, f"{name} {key}")
            self.assertEqual((s["NoNewPrivs"].strip(), s["Seccomp"].strip()), ("1", "2"), name)
            row = re.search(rf"(?m)^\| `{name}\w*` \|.*\| (.*?) \|$", text)
            self.assertTrue(row, f"docs/SECURITY.md has no row for {name}")
            self.assertEqual(row.group(1), "CAP_NET_ADMIN" if caps else "none", name)

    def test_2_who_holds_what(self):
        """Netlink in one process alone; the runtime's connections, and what is accepted on the control socket, in two others."""
        netlink = self.netlink()
        self.assertTrue(self.sockets("bulkheadd") & netlink, "control: the enforcer has netlink sockets")
        for name in PROCESSES:
            if name != "bulkheadd":
                self.assertEqual(self.sockets(name) & netlink, set(), name)
        # every end of the runtime's connections that is not the fake's
        ours = {line.split()[6] for line in self.read("/proc/net/unix").splitlines()[1:]}
        self.assertTrue(self.sockets("bulkhead-runtim") & ours)
        # A connection that says nothing is held by who reads, and by nobody else.
        before = {n: self.sockets(n) for n in ("bulkheadd", "bulkhead-contro")}
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.host.daemon.socket))
            s.sendall(b'{"version": 1,')
            lab.wait_for("it to be accepted", lambda: self.sockets("bulkhead-contro") - before["bulkhead-contro"], 5)
            self.assertEqual(self.sockets("bulkheadd") - before["bulkheadd"], set())

    def test_3_what_an_attacker_would_do(self):
        """The lists of calls hold: nobody of those that parse has a file open that he could read, or a way to a program."""
        for name in ("bulkhead-runtim", "bulkhead-contro"):
            pid = self.pid(name)
            names = self.host.lab.host.exec("sh", "-c", f"for f in /proc/{pid}/fd/*; do readlink $f; done").split("\n")
            files = [f for f in names if f.startswith("/") and f not in ("/dev/null", str(self.host.daemon.log_path))]
            self.assertEqual(files, [], name)
        names = self.host.lab.host.exec("sh", "-c", f"for f in /proc/{self.pid('bulkhead-report')}/fd/*; do readlink $f; done").split("\n")
        files = [f for f in names if f.startswith("/") and f not in ("/dev/null", str(self.host.daemon.log_path))]
        self.assertEqual(files, [str(self.folder.path)])
        said = b"goes on after its end"
        self.assertIn(said, pathlib.Path(lab.program("bulkhead-reports")).read_bytes(), "control: what a decoder of reports says")
        self.assertNotIn(said, pathlib.Path(lab.program("bulkheadd")).read_bytes())

    def killed(self, name):
        """Kills it, and starts and stops containers meanwhile; the flood of the denied goes on."""
        pid = self.pid(name)
        self.host.lab.host.exec("kill", "-9", str(pid))
        return pid

    def test_4_the_runtime_process_dies(self):
        gone = self.start()
        self.host.check()
        for _ in range(3):
            pid = self.killed("bulkhead-runtim")
            new = lab.wait_for("another one", lambda: [p for p in self.host.lab.pids_of("bulkhead-runtim") if p != pid], 10)
            self.assertEqual(len(new), 1)
            self.host.check(5)
        self.assertIn("the process that follows it has ended: the rules stay", self.host.daemon.log())
        self.host.stop(gone)
        self.host.check()

    def test_5_status_says_absent_meanwhile(self):
        pid = self.pid("bulkhead-keeper")
        self.host.lab.host.exec("kill", "-STOP", str(pid))
        try:
            self.killed("bulkhead-runtim")
            s = lab.wait_for("absent", lambda: (s := self.host.daemon.status()) and s["runtimes"][0]["state"] == "absent" and s, 10)
            self.assertEqual(s["daemon"]["state"], "degraded")
            self.assertIn("the process that follows it has ended", s["daemon"]["reason"])
            self.assertTrue(s["kernel"]["in_sync"])
        finally:
            self.host.lab.host.exec("kill", "-CONT", str(pid))
        self.host.check(5)

    def test_6_the_control_process_dies(self):
        for _ in range(3):
            self.killed("bulkhead-contro")
            self.assertTrue(self.host.daemon.ask("status")["result"]["kernel"]["in_sync"], "who asks meanwhile is answered by the next one")
        self.assertIn("the process that reads requests has ended", self.host.daemon.log())
        self.host.check()

    def reports(self):
        return self.host.daemon.status()["images"]["reports"]

    def test_7_who_reads_reports_dies(self):
        """What it told stays known until the next one has told it, and not for long when there is no next one."""
        self.assertEqual((self.reports()["believed"], self.reports()["problem"]), (1, None))
        for _ in range(3):
            pid = self.killed("bulkhead-report")
            until = time.monotonic() + 10
            while not (new := [p for p in self.host.lab.pids_of("bulkhead-report") if p != pid]) and time.monotonic() < until:
                self.assertEqual(self.reports()["believed"], 1)
            self.assertEqual(len(new), 1)
            self.assertEqual((self.reports()["believed"], self.reports()["problem"]), (1, None))
        self.assertIn("the process that reads reports on images has ended", self.host.daemon.log())
        self.folder.put("more.json", test_reports.trivy(self.image))
        lab.wait_for("the next one to read", lambda: self.reports()["believed"] == 2, 10)
        keeper = self.pid("bulkhead-keeper")
        self.host.lab.host.exec("kill", "-STOP", str(keeper))
        try:
            self.killed("bulkhead-report")
            lab.wait_for("nothing to be believed", lambda: self.reports()["believed"] == 0, 10)
            self.assertIn("does not come to its end", self.reports()["problem"])
        finally:
            self.host.lab.host.exec("kill", "-CONT", str(keeper))
        lab.wait_for("all to be read", lambda: (r := self.reports())["believed"] == 2 and r["problem"] is None, 10)
        self.host.check()

    def test_8_another_folder_in_its_place(self):
        """Landlock holds for a directory, not for its name: another one is read by another process. Without any there is none."""
        pid = self.pid("bulkhead-report")
        self.folder.path.rename(self.folder.path.with_suffix(".old"))
        lab.wait_for("nothing to be believed", lambda: (r := self.reports())["believed"] == 0 and r["problem"], 10)
        other = test_reports.Folder(self.folder.path)
        other.put("web.json", test_reports.trivy(self.image))
        lab.wait_for("the other to be read", lambda: (r := self.reports())["believed"] == 1 and r["problem"] is None, 10)
        self.assertNotEqual(self.pid("bulkhead-report"), pid)
        self.host.daemon.reload(test_faults.CONFIG)
        lab.wait_for("it to end", lambda: not self.host.lab.pids_of("bulkhead-report"), 10)
        self.host.daemon.reload(self.config)
        self.assertEqual(self.reports()["believed"], 1)

    def test_9_the_keeper_dies(self):
        """Nothing that ends could be started again: the daemon ends, too, and whoever started it starts it anew. The rules stay."""
        d = self.host.daemon
        self.killed("bulkhead-keeper")
        self.assertEqual(d.proc.wait(10), 1)
        lab.wait_for("all to be gone", lambda: not any(self.host.lab.pids_of(n) for n in PROCESSES), 10)
        time.sleep(0.3)
        d.start()
        self.host.check(5)


if __name__ == "__main__":
    tap.main()
