#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The rooms of docs/DESIGN.md hold: who may include what, core without I/O, clock and environment, and
no program ever executed. Every rule is also shown something that breaks it.

    test_rooms.py [--nm NM] LIBRARY...     the rooms' static libraries; libcore.a among them
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lab"))
import tap  # noqa: E402

# Whose door each header is.
DOORS = {
    "base": {"addr", "buf", "error", "fault", "mem", "near", "pass", "sum", "wire"},
    "model": {"allow", "checks", "dockerd", "host", "images", "inventory", "policy", "posture", "require", "yaml"},
    "config": {"config"},
    "core": {"advise", "compile", "debian", "detect", "diff", "doctor", "expect", "foreign", "hardening", "judge", "matrix", "place", "plan", "proof", "provenance", "ruleset", "scan", "shape", "shift", "suggest"},
    "runtime": {"runtime"},
    "reports": {"reports"},
    "nft": {"nft"},
    "tc": {"scratch", "tc"},
    "prove": {"prove"},
    "flows": {"flows"},
    "control": {"control"},
    "confine": {"confine"},
}
# Which rooms' doors each room may use, and which libraries' headers.
ROOMS = {
    "base": (set(), set()),
    "model": ({"base"}, set()),
    "config": ({"base", "model"}, {"yaml.h"}),
    "core": ({"base", "model"}, set()),
    "confine": ({"base"}, {"cap-ng.h", "seccomp.h"}),
    "runtime": ({"base", "confine", "model"}, {"curl/", "jansson.h", "systemd/"}),
    "reports": ({"base", "confine", "model"}, {"jansson.h", "systemd/"}),
    "nft": ({"base", "model", "core"}, {"libmnl/", "libnftnl/"}),
    "tc": ({"base", "model", "core"}, {"netlink/"}),
    "flows": ({"base"}, {"libnetfilter_conntrack/", "libnetfilter_log/", "libmnl/", "libnfnetlink/"}),
    "prove": ({"base", "model", "core", "nft", "tc"}, set()),
    "control": ({"base", "confine"}, {"jansson.h", "systemd/"}),
    "cli": ({"base", "model", "config", "core", "control", "runtime", "nft", "tc", "prove"}, {"jansson.h", "ncurses.h"}),
    "daemon": ({"base", "confine", "model", "config", "core", "runtime", "reports", "nft", "tc", "flows", "control"},
               {"jansson.h", "systemd/", "microhttpd.h"}),
}
LIBRARIES = set().union(*(libs for _, libs in ROOMS.values()))
# What core may take from the system: values and formats, nothing that touches the world. What stdio.h and
# stdlib.h offer beyond that is caught by the symbols.
PURE_HEADERS = re.compile(r"^(errno|inttypes|limits|stdarg|stdbool|stddef|stdint|stdio|stdlib|string)\.h$|"
                          r"^(arpa/inet|netinet/(in|icmp6|ip_icmp|tcp)|net/(ethernet|if_arp))\.h$|^linux/(if_ether|netfilter|pkt_sched|netfilter/nf_tables)\.h$")
PURE_SYMBOLS = set("""
    abort asprintf bsearch calloc free malloc qsort realloc reallocarray memcmp memcpy memmove memset memchr
    strchr strchrnul strcmp strcspn strdup strlen strncmp strndup strnlen strpbrk strrchr strsep strspn strstr
    strtoul strtoull snprintf vsnprintf inet_ntop inet_pton htonl htons ntohl ntohs
    __stack_chk_fail _GLOBAL_OFFSET_TABLE_ __ctype_b_loc __isoc99_sscanf
    """.split())
INSTRUMENTS = re.compile(r"^__(asan|ubsan|lsan|tsan|sanitizer|sancov|gcov|llvm)_")
EXECUTES = re.compile(r"^(exec[lv]\w*|fexecve|system|popen|posix_spawnp?|fork|_Fork|vfork|clone3?|wordexp|dlopen)$")
CALLS = re.compile(r"\b(exec[lv][pe]*|execvpe|execveat|fexecve|system|popen|posix_spawnp?|v?fork|_Fork|clone3?|wordexp|dlopen)\s*\(")
# The process that starts the daemon's own others, before it reads anything.
ALLOWED = {"src/daemon/keeper.c": {"fork", "fexecve"}}
COMMENT_OR_TEXT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def owner(door):
    return next((room for room, doors in DOORS.items() if door in doors), None)


def include_complaint(top, path, room, how, name):
    """What is wrong with one #include of a file that belongs to ROOM, or None."""
    may, libraries = ROOMS[room]
    if how == '"':
        inside = (path.parent / name).resolve()
        own = (top / "src" / room).resolve()
        return None if own in inside.parents and inside.exists() else f'"{name}" is not a file of its room'
    if name.startswith("bulkhead/"):
        door = name[len("bulkhead/"):-len(".h")]
        whose = owner(door)
        if whose is None:
            return f"<{name}> is nobody's door (tests/lint/test_rooms.py lists them)"
        return None if whose == room or whose in may else f"<{name}> is {whose}'s door"
    library = next((x for x in LIBRARIES if name == x or (x.endswith("/") and name.startswith(x))), None)
    if library and library not in libraries:
        return f"<{name}> is a library that the room does not use"
    if room == "core" and not library and not PURE_HEADERS.match(name):
        return f"<{name}> is not pure"
    return None


def include_complaints(top):
    found = []
    files = [(p, p.relative_to(top / "src").parts[0]) for p in sorted((top / "src").glob("*/**/*.[ch]"))]
    files += [(p, owner(p.stem)) for p in sorted((top / "include/bulkhead").glob("*.h"))]
    for path, room in files:
        where = path.relative_to(top)
        if room not in ROOMS:
            found.append(f"{where}: belongs to no room that the list knows")
            continue
        for how, name in INCLUDE.findall(path.read_text()):
            wrong = include_complaint(top, path, room, how, name)
            if wrong:
                found.append(f"{where}: {wrong}")
    return found, len(files)


def code(text):
    """C without comments and texts, lines kept."""
    return COMMENT_OR_TEXT.sub(lambda m: "\n" * m.group(0).count("\n") + " ", text)


def execution_complaints(top):
    found = []
    for path in sorted((top / "src").glob("**/*.[ch]")):
        for number, line in enumerate(code(path.read_text()).splitlines(), 1):
            m = CALLS.search(line)
            if m and m.group(1) not in ALLOWED.get(str(path.relative_to(top)), ()):
                found.append(f"{path.relative_to(top)}:{number}: {m.group(1)}()")
    return found


def symbols(listing):
    """(defined, undefined) of `nm` on one or more libraries."""
    defined, undefined = set(), set()
    for line in listing.splitlines():
        m = re.match(r"^(?:[0-9a-f]+)?\s+([A-Za-z])\s+(\S+)$", line)
        if m:
            (undefined if m.group(1) in "Uwv" else defined).add(m.group(2).split("@")[0])
    return defined, undefined


def impure(listing_core, listing_below=""):
    """Undefined symbols of core that neither the rooms below it nor the pure part of libc explain."""
    defined, wanted = symbols(listing_core)
    defined |= symbols(listing_below)[0]
    plain = {re.sub(r"^__(\w+)_chk$", r"\1", s) if s.endswith("_chk") else s: s for s in wanted - defined}
    return sorted(s for p, s in plain.items() if p not in PURE_SYMBOLS and not INSTRUMENTS.match(s))


def executing(listing):
    return sorted(s for s in symbols(listing)[1] if EXECUTES.match(s))


def nm(*libraries):
    return subprocess.run([NM, *libraries], capture_output=True, text=True, check=True).stdout


def library(name):
    return next(p for p in LIBS if p.name == f"lib{name}.a")


class Rooms(unittest.TestCase):
    def test_includes_follow_the_arrows(self):
        found, files = include_complaints(TOP)
        self.assertEqual(found, [])
        self.assertGreater(files, 30)

    def test_every_door_exists_and_is_listed(self):
        there = {p.stem for p in (TOP / "include/bulkhead").glob("*.h")}
        self.assertEqual(there - set().union(*DOORS.values()), set())

    def test_core_is_pure(self):
        listing = nm(library("core"))
        self.assertIn("bh_diff", symbols(listing)[0])
        self.assertEqual(impure(listing, nm(library("base"), library("model"))), [])

    def test_nothing_is_executed(self):
        self.assertEqual(execution_complaints(TOP), [])
        self.assertGreaterEqual(len(LIBS), 3)
        for lib in LIBS:
            with self.subTest(lib.name):
                self.assertEqual(executing(nm(lib)), ["fexecve", "fork"] if lib.name == "libdaemon.a" else [])


class Controls(unittest.TestCase):
    """What would have to be found is found."""

    def tree(self, files):
        top = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name, text in files.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(text)
        return top

    def complaints(self, files):
        return include_complaints(self.tree(files))[0]

    def test_a_wrong_include_is_found(self):
        for room, line in (("core", "#include <bulkhead/nft.h>"), ("core", "#include <unistd.h>"),
                           ("core", "#include <jansson.h>"), ("nft", "#include <bulkhead/tc.h>"),
                           ("tc", "#include <bulkhead/nft.h>"), ("tc", "#include <libmnl/libmnl.h>"),
                           ("runtime", "#include <bulkhead/nft.h>"), ("runtime", "#include <bulkhead/ruleset.h>"),
                           ("control", "#include <bulkhead/policy.h>"), ("cli", "#include <bulkhead/flows.h>"),
                           ("base", "  #  include <bulkhead/policy.h>"), ("config", '#include "../core/select.h"'),
                           ("core", "#include <bulkhead/nobody.h>"), ("attic", "#include <errno.h>")):
            with self.subTest(f"{room}: {line}"):
                found = self.complaints({f"src/{room}/x.c": line + "\n", "src/core/select.h": ""})
                self.assertEqual(len(found), 1, found)

    def test_a_right_include_is_not(self):
        self.assertEqual(self.complaints({"src/core/x.c": '#include <string.h>\n#include "y.h"\n#include <bulkhead/place.h>\n',
                                          "src/core/y.h": "", "include/bulkhead/diff.h": "#include <bulkhead/ruleset.h>\n"}), [])

    def test_a_wrong_door_is_found(self):
        self.assertEqual(len(self.complaints({"include/bulkhead/policy.h": "#include <bulkhead/place.h>\n"})), 1)

    def test_an_impure_symbol_is_found(self):
        pure = "0000 T bh_diff\n                 U memcpy\n                 U __snprintf_chk\n                 U bh_buf_puts\n"
        below = "0000 T bh_buf_puts\n"
        self.assertEqual(impure(pure, below), [])
        self.assertEqual(impure(pure), ["bh_buf_puts"])
        for s in ("getenv", "open", "time", "clock_gettime", "fopen", "__fprintf_chk", "socket", "printf", "stderr"):
            self.assertEqual(impure(pure + f"                 U {s}\n", below), [s])

    def test_an_execution_is_found(self):
        for call in ("execve(p, a, e);", "x = system (s);", "popen(s, r)", "posix_spawn(0)", "if (fork() == 0)"):
            self.assertEqual(len(execution_complaints(self.tree({"src/cli/x.c": f"/* exec( */\n{call}\n"}))), 1, call)
        self.assertEqual(execution_complaints(self.tree({"src/cli/x.c": '/* system() */ f("popen(x)"); // exec()\nexecute(1);\n'})), [])
        self.assertEqual(executing("                 U execve\n                 U posix_spawn\n0 T system_x\n                 U execute\n"),
                         ["execve", "posix_spawn"])


NM = "nm"
LIBS = []

if __name__ == "__main__":
    args = sys.argv[1:]
    if args[:1] == ["--nm"]:
        NM, args = args[1], args[2:]
    LIBS = [pathlib.Path(a) for a in args if a.endswith(".a")]
    sys.argv[1:] = [a for a in args if not a.endswith(".a")]
    tap.main()
