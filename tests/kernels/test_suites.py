#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The suites of packets on kernels that people have, each in a machine of its own: Debian 12's own and its backported one. A suite
there is the same program as here; docs/SUPPORT.md has what was seen."""
import os
import pathlib
import re
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab  # noqa: E402
import tap  # noqa: E402
import vm  # noqa: E402

PACKAGES = "python3-minimal python3 busybox-static iperf3 conntrack iputils-ping util-linux libcmocka0"
# Program and its patience in seconds: without KVM all is slower by an order.
SUITES = {
    "netns": (("/build/tests/netns/netns_test_nft", 600), ("/src/tests/netns/test_skeleton.py", 900)),
    "integration": tuple((f"/src/tests/integration/test_{n}.py", 1200) for n in ("matrix", "identity")),
    "bypass": (("/src/tests/bypass/test_wires.py", 900), ("/src/tests/bypass/test_docker.py", 1800)),
}
# These hold deadlines of a second or two, which are nothing to an emulated machine.
FAST = tuple((f"/src/tests/integration/test_{n}.py", 1200) for n in ("published", "drift"))
CASE = re.compile(r"^(not )?ok \d+ - (\S+)", re.M)


def copy(m):
    """The sources and what was built of them, where suites.sh looks."""
    shutil.copytree(vm.TOP, m.root / "src", ignore=shutil.ignore_patterns("build*", ".git", "soak"))
    here = m.root / str(vm.TOP)[1:]    # compiled into the programs that read goldens
    here.parent.mkdir(parents=True, exist_ok=True)
    here.symlink_to("/src")
    build = lab.build_dir()
    for name in ("probe", "firstpkt", "flood", "labns"):
        lab.compiled(name)
    for path in build.rglob("*"):
        inside = path.relative_to(build)
        keep = str(inside) == "build.ninja" or inside.parts[0] == "lab" or \
            (os.access(path, os.X_OK) and not path.suffix and inside.parts[0] in ("src", "tests"))
        if keep and path.is_file() and not path.is_symlink():
            (m.root / "build" / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, m.root / "build" / inside)


def cases(console):
    """{program: (exit status or None, {case: whether it passed})}"""
    out = {}
    for part in re.split(r"^BEGIN ", console.replace("\r", ""), flags=re.M)[1:]:
        name, text = part.split("\n", 1)
        end = re.search(rf"^END {re.escape(name)} (\d+)$", text, re.M)
        out[name] = (int(end[1]) if end else None, {m[2]: not m[1] for m in CASE.finditer(text[:end.start() if end else None])})
    return out


class Suites:
    kernel = extra = None

    @classmethod
    def setUpClass(cls):
        chosen = [s for room in (os.environ.get("BH_SUITES") or ",".join(SUITES)).split(",") for s in (*SUITES[room], *cls.extra.get(room, ()))]
        if vm.has_kvm():
            chosen += FAST
        work = pathlib.Path(tempfile.mkdtemp(prefix="bh-vm-", dir="/var/tmp"))
        cls.addClassCleanup(shutil.rmtree, work)
        m = vm.Machine(work, cls.kernel, PACKAGES)
        m.guest("suites.sh")
        vm.sh("systemctl", "--root", m.root, "disable", "docker")
        (m.root / "usr/share/guest/suites").write_text("".join(f"{seconds} {program}\n" for program, seconds in chosen))
        copy(m)
        cls.console = m.boot(300 + sum(s for _, s in chosen))
        if path := os.environ.get("BH_CONSOLE"):
            pathlib.Path(f"{path}.{cls.__name__}").write_text(cls.console)
        cls.chosen, cls.seen = {p for p, _ in chosen}, cases(cls.console)

    def test_suites(self):
        kernel = vm.results(self.console).get(0, {}).get("kernel", ["?"])[0]
        for program, (status, result) in self.seen.items():
            bad = [c for c, ok in result.items() if not ok]
            print(f"# {kernel}: {pathlib.Path(program).stem}: {len(result) - len(bad)} passed, {len(bad)} failed, status {status}")
            for c in bad:
                print(f"#   not ok {c}")
        self.assertEqual(set(self.seen), self.chosen, self.console[-3000:])
        for program, (status, result) in self.seen.items():
            with self.subTest(program=program):
                self.assertEqual([c for c, ok in result.items() if not ok], [])
                self.assertEqual(status, 0)
                self.assertGreater(len(result), 0)


class Debian(Suites, unittest.TestCase):
    """No table can be owned for good there."""
    kernel, extra = vm.KERNEL, {}


class Backport(Suites, unittest.TestCase):
    kernel = vm.BACKPORT
    extra = {"netns": (("/build/tests/netns/netns_test_owner", 300),), "integration": (("/src/tests/integration/test_owner.py", 1200),)}


if __name__ == "__main__":
    tap.main()
