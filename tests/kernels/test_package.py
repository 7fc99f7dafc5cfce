#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian package on a machine with Debian's kernel, systemd, AppArmor and Docker: installed in audit, upgraded under traffic
without a gap, removed with everything that it had in the kernel, purged."""
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import tap  # noqa: E402
import vm  # noqa: E402

class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        work = pathlib.Path(tempfile.mkdtemp(prefix="bh-vm-", dir="/var/tmp"))
        cls.addClassCleanup(shutil.rmtree, work)
        m = vm.Machine(work)
        m.guest("package.sh")
        guest = m.root / "usr/share/guest"
        vm.sh(vm.TOP / "tools/deb", guest / "first")
        vm.sh(vm.TOP / "tools/deb", guest / "second", env={"DEB_VERSION": "99.0"})
        (guest / "enforce.yaml").write_text(vm.CONFIG)
        cls.console = m.boot(2400)
        if path := os.environ.get("BH_CONSOLE"):
            pathlib.Path(path).write_text(cls.console)
        cls.seen = vm.results(cls.console).get(0, {})

    def said(self, name):
        self.assertIn(name, self.seen, self.console[-6000:])
        return self.seen[name][-1]

    def number(self, name):
        return int(self.said(name))

    def test_1_control(self):
        self.assertGreater(self.number("without-allowed"), 20)
        self.assertGreater(self.number("without-forbidden"), 20)

    def test_2_installed_in_audit(self):
        self.assertEqual(self.said("install"), "0")
        self.assertEqual(self.said("profile"), "bulkheadd (enforce)")
        self.assertEqual(self.said("modules"), "1")
        self.assertGreater(self.number("audit-forbidden"), 20)

    def test_3_enforced(self):
        self.assertEqual(self.number("enforce-forbidden"), 0)
        self.assertGreater(self.number("enforce-allowed"), 20)

    def test_4_upgraded_without_a_gap(self):
        self.assertEqual((self.said("upgrade"), self.said("restarted"), self.said("version")), ("0", "1", "99.0"))
        self.assertEqual(self.said("config"), "kept")
        self.assertEqual(self.number("upgrade-forbidden"), 0)
        self.assertGreater(self.number("upgrade-allowed"), 20)

    def test_5_removed(self):
        self.assertEqual((self.said("remove"), self.said("tables"), self.said("kept")), ("0", "0", "1"))
        self.assertGreater(self.number("removed-forbidden"), 20)

    def test_6_purged(self):
        self.assertEqual((self.said("purge"), self.said("left"), self.said("failed")), ("0", "0", "0"))

    def test_7_the_profile_denied_nothing(self):
        self.assertEqual(self.number("denials"), 0, self.console[-6000:])


if __name__ == "__main__":
    tap.main()
