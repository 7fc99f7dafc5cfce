# SPDX-License-Identifier: Apache-2.0
"""unittest that speaks TAP, each test bounded in time.

    if __name__ == "__main__":
        tap.main()

A test may have an attribute `limit` (seconds, default 300; tap.limit(N) sets it).
There are no skips: a test that cannot run fails. Arguments select tests by substring.
"""
import os
import random
import signal
import sys
import time
import traceback
import unittest

DEFAULT_LIMIT = 300


def limit(seconds):
    def deco(f):
        f.limit = seconds
        return f
    return deco


def seed():
    """One fixed seed in tools/test, printed; BH_SEED sets another."""
    return int(os.environ.get("BH_SEED", "20261125"))


def rng(name=""):
    return random.Random(f"{seed()}-{name}")


class TestTimeout(Exception):
    pass


class _Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.number = 0
        self.bad = 0

    def _alarm(self, sig, frame):
        raise TestTimeout(f"longer than {self.seconds} s")

    def startTest(self, test):
        super().startTest(test)
        self.t0 = time.monotonic()
        self.seconds = getattr(getattr(test, test._testMethodName), "limit", DEFAULT_LIMIT)
        signal.signal(signal.SIGALRM, self._alarm)
        signal.alarm(self.seconds)
        self.ok, self.why = True, []

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)
        self.line(self.ok, name_of(test), self.why, time.monotonic() - self.t0)

    def line(self, ok, name, why=(), took=None):
        self.number += 1
        self.bad += not ok
        for w in why:
            for text in w.rstrip().splitlines():
                print(f"# {text}")
        print(f"{'ok' if ok else 'not ok'} {self.number} - {name}" + (f" # {took:.1f} s" if took is not None else ""), flush=True)

    def _fail(self, test, err):
        text = "".join(traceback.format_exception(*err))
        if isinstance(test, unittest.TestCase):
            self.ok = False
            self.why.append(text)
        else:  # setUpClass or tearDownClass
            self.line(False, str(test), [text])

    def addError(self, test, err):
        signal.alarm(0)
        self._fail(test, err)

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.ok = False
            self.why.append(f"{subtest}: " + "".join(traceback.format_exception(*err)))

    def addSkip(self, test, reason):
        self._fail(test, (AssertionError, AssertionError(f"skipped: {reason}"), None))


def name_of(test):
    return f"{type(test).__name__}.{test._testMethodName}"


def flat(suite):
    for t in suite:
        if isinstance(t, unittest.TestSuite):
            yield from flat(t)
        else:
            yield t


def main():
    import __main__
    suite = unittest.defaultTestLoader.loadTestsFromModule(__main__)
    want = sys.argv[1:]
    tests = [t for t in flat(suite) if not want or any(w in t.id() for w in want)]
    print(f"# seed {seed()}", flush=True)
    result = _Result()
    unittest.TestSuite(tests).run(result)
    print(f"1..{result.number}", flush=True)
    sys.exit(1 if result.bad or not result.number else 0)
