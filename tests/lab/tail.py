# SPDX-License-Identifier: Apache-2.0
"""What runtime-tail says, kept and replayed: the state that a daemon would have."""
import json
import threading
import time

import lab


def program():
    p = lab.build_dir() / "tests/tools/runtime-tail"
    if not p.is_file():
        raise lab.LabError(f"runtime-tail is not built in {lab.build_dir()}")
    return str(p)


class Tail:
    """popen(argv) starts it with pipes. messages: all, in order; containers and networks: what they add up to."""

    def __init__(self, popen):
        self.messages, self.containers, self.networks = [], {}, {}
        self.state, self.reason = None, None
        self.lock = threading.Lock()
        self.proc = popen([program()])
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.proc.stdout:
            m = json.loads(line)
            with self.lock:
                self.messages.append(m)
                self._replay(m)

    def _replay(self, m):
        kind = m["kind"]
        if kind == "state":
            self.state, self.reason = m["state"], m["reason"]
        elif kind == "snapshot":
            self.containers = {c["id"]: c for c in m["inventory"]["containers"]}
            self.networks = {n["id"]: n for n in m["inventory"]["networks"]}
        elif kind == "container":
            self.containers[m["container"]["id"]] = m["container"]
        elif kind == "network":
            self.networks[m["network"]["id"]] = m["network"]
        elif kind == "gone":
            del self.containers[m["id"]]
        elif kind == "network_gone":
            del self.networks[m["id"]]

    def count(self, kind):
        with self.lock:
            return sum(m["kind"] == kind for m in self.messages)

    def mark(self):
        """A place to read on from."""
        with self.lock:
            return len(self.messages)

    def since(self, mark):
        with self.lock:
            return self.messages[mark:]

    def by_name(self, name):
        with self.lock:
            return next((c for c in self.containers.values() if c["name"] == name), None)

    def ask(self, what):
        self.proc.stdin.write(what + "\n")
        self.proc.stdin.flush()

    def stats(self):
        n = self.count("stats")
        self.ask("stats")
        lab.wait_for("an answer of runtime-tail", lambda: self.count("stats") > n, 10)
        with self.lock:
            return [m for m in self.messages if m["kind"] == "stats"][-1]

    def wait(self, what, cond, timeout=10):
        def look():
            if self.proc.poll() is not None:
                raise lab.LabError(f"runtime-tail ended with {self.proc.returncode}")
            return cond()
        try:
            return lab.wait_for(what, look, timeout, 0.005)
        except lab.LabError as e:
            raise lab.LabError(f"{e}; state {self.state} ({self.reason}); last messages: "
                               f"{json.dumps(self.messages[-5:])[:3000]}")

    def wait_state(self, state, timeout=10):
        return self.wait(f"state {state}", lambda: self.state == state, timeout)

    def stop(self, timeout=20):
        """Its exit status; a leak under a sanitizer shows in it."""
        if self.proc.poll() is None:
            self.proc.stdin.close()
        end = time.monotonic() + timeout
        while self.proc.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        if self.proc.poll() is None:
            self.proc.kill()
            raise lab.LabError("runtime-tail does not end")
        self.thread.join(5)
        return self.proc.wait()
