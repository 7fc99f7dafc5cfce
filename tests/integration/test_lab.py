#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 5 s, works 4 s
"""The lab itself: what the other tests lean on, without bulkhead."""
import os
import pathlib
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402


class LabTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = l = lab.Lab().up()
        cls.addClassCleanup(l.down)
        l.network("front")
        cls.a, cls.b = lab.parallel([lambda: l.run("aa", network="front"), lambda: l.run("bb", network="front")])
        cls.c = l.run("cc", ports={"80/tcp": "8080"})

    def test_everything_is_open_without_bulkhead(self):
        l = self.lab
        l.lift_docker_isolation()
        places = [self.a, self.b, self.c, l.host, l.out]
        addrs = [x for c in places[:3] for x in (c.ip4, c.ip6)] + [lab.OUT4, lab.OUT6, lab.HOST4, lab.HOST6]
        receivers = [l.receiver(p, [80, 81]) for p in places]
        sent = set()
        for s in places:
            cells = [(proto, a, port, f"{s.name}-{proto}-{a}-{port}")
                     for proto in ("tcp", "udp") for a in addrs for port in (80, 81)]
            res = l.send(s, cells)
            self.assertEqual({m: r for m, r in res.items() if r[0] != "ok"}, {})
            sent |= {c[3] for c in cells}
        self.assertEqual(set().union(*(r.markers() for r in receivers)), sent)
        self.assertEqual(l.send(l.out, [("tcp", lab.HOST4, 8080, "published")])["published"][0], "ok")
        for r in receivers:
            r.stop()

    def test_first_instruction_arrives(self):
        l = self.lab
        sniff = l.sniffer(self.b)
        for i, (proto, addr) in enumerate([("udp", self.b.ip4), ("tcp", self.b.ip6)]):
            with self.subTest(proto=proto):
                r = l.receiver(self.b, [7000 + i])
                c = l.run(f"first{i}", network="front", cmd=["firstpkt", proto, addr, 7000 + i, f"FIRST{i}"])
                lab.wait_for("the first packet", lambda: r.count(f"FIRST{i} 0") == 1, 3)
                r.stop()
                c.remove()
        self.assertTrue([f for f in sniff.frames() if "FIRST0" in f["payload"]])
        sniff.stop()

    def test_kernel_state_is_stable(self):
        before = self.lab.kernel_state()
        self.lab.send(self.a, [("udp", self.b.ip4, 9, "x")], timeout=0.2)
        self.assertEqual(before, self.lab.kernel_state())

    def test_nothing_is_left_after_sigkill(self):
        script = "import sys; sys.path.insert(0, sys.argv[1]); import lab, time; l = lab.Lab().up(); " \
                 "l.run('aa'); print(l.root, l.holder, flush=True); time.sleep(100)"
        p = subprocess.Popen([sys.executable, "-c", script, str(lab.HERE)], stdout=subprocess.PIPE, text=True)
        root, holder = p.stdout.readline().split()
        p.stdout.close()
        os.kill(p.pid, signal.SIGKILL)
        p.wait()
        lab.wait_for("the pid namespace to end", lambda: not os.path.exists(f"/proc/{holder}"), 10)
        subprocess.run([lab.HERE / "reap"], check=True, stdout=subprocess.DEVNULL, timeout=30)
        self.assertFalse(os.path.exists(root))
        self.assertEqual(list(pathlib.Path("/sys/fs/cgroup").glob(f"*/{os.path.basename(root)}")), [])


if __name__ == "__main__":
    tap.main()
