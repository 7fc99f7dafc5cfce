#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A machine with Debian's kernel, systemd and Docker is rebooted: its containers come back by themselves and never run unguarded."""
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import tap  # noqa: E402
import vm  # noqa: E402

class Reboot:
    kernel = owned = None

    @classmethod
    def setUpClass(cls):
        work = pathlib.Path(tempfile.mkdtemp(prefix="bh-vm-", dir="/var/tmp"))
        cls.addClassCleanup(shutil.rmtree, work)
        m = vm.Machine(work, cls.kernel)
        m.guest("reboot.sh")
        m.install(vm.CONFIG)
        cls.console = m.boot(3000)
        cls.seen = vm.results(cls.console)

    def step(self, n):
        self.assertIn(n, self.seen, self.console[-6000:])
        s = self.seen[n]
        self.assertNotIn("timeout", s, self.console[-6000:])
        return s

    def number(self, n, name):
        return int(self.step(n)[name][-1])

    def test_1_under_systemd(self):
        s = self.step(0)
        print(f"# kernel {s['kernel'][0]}: tables owned {s['owned'][0]}, sockets kept {s['kept'][0]}")
        self.assertEqual((s["owned"], s["kept"], s["left"]), ([self.owned], [self.owned], ["1"]))
        self.assertEqual((s["restarts"], s["reload"], s["failed"]), (["1"], ["0"], ["0", "0"]))
        self.assertGreater(self.number(0, "denials"), 0)

    def test_2_enforced(self):
        self.assertEqual(self.number(0, "forbidden"), 0)
        self.assertGreater(self.number(0, "allowed"), 20)

    def test_3_a_reboot_leaks_nothing(self):
        self.assertEqual((self.number(1, "running"), self.number(1, "forbidden")), (4, 0))
        print(f"# after the reboot {self.number(1, 'allowed')} allowed datagrams arrived, {self.number(1, 'forbidden')} forbidden ones")

    def test_4_control_without_bulkhead(self):
        self.assertEqual(self.step(1)["tables"], ["0"])
        self.assertGreater(self.number(2, "forbidden"), 20)
        print(f"# without bulkhead {self.number(2, 'forbidden')} forbidden ones")


class Debian(Reboot, unittest.TestCase):
    """No table can be owned for good there."""
    kernel, owned = vm.KERNEL, "0"


class Backport(Reboot, unittest.TestCase):
    """systemd keeps the owner's socket, so that while the daemon is dead a flush by another leaves the tables."""
    kernel, owned = vm.BACKPORT, "1"


if __name__ == "__main__":
    tap.main()
