#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# takes: 7 s, works 4 s
"""The demonstration that a stranger sees first: half a minute on an idle machine."""
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402


class Demo(unittest.TestCase):
    @tap.limit(300)
    def test_demo(self):
        t = time.monotonic()
        p = subprocess.Popen([sys.executable, lab.TOP / "tools/demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, env={**os.environ, "BH_BUILD": str(lab.build_dir())})
        out, err = p.communicate()
        print("\n".join("# " + line for line in (out + err).splitlines()))
        self.assertEqual((p.returncode, err), (0, ""))
        print(f"# {time.monotonic() - t:.0f} s")
        self.assertFalse([line for line in out.splitlines() if len(line) > 80])
        self.assertFalse(list(pathlib.Path(lab.BASE).glob(f"{lab.PREFIX}{p.pid}-*")))
        self.assertFalse(list(pathlib.Path("/sys/fs/cgroup").glob(f"*/{lab.PREFIX}{p.pid}-*")))


if __name__ == "__main__":
    tap.main()
