# SPDX-License-Identifier: Apache-2.0
"""As much of systemd as bulkheadd asks of it: notifications, the descriptor store, restarts and the watchdog.

    s = supervisor.Supervisor(daemon)      # a lab.Daemon made with wait=False and not started
    s.start()                              # systemctl start: until READY=1
    s.kill()                               # kill -9: it is started again, with what it gave to be kept
    s.restart(); s.stop()                  # systemctl restart, stop

What systemd does is taken from systemd.service(5), sd_notify(3) and src/core/service.c (252): the store is kept over a crash,
a restart and the watchdog, and let go when the unit has stopped for good."""
import array
import fcntl
import os
import signal
import socket
import subprocess
import threading
import time

import lab

HIGH = 200  # descriptors that are handed over must not be among 3, 4, …


class Supervisor:
    """systemd/bulkheadd.service: Type=notify, Restart=always, RestartPreventExitStatus=0 2, FileDescriptorStoreMax=."""

    def __init__(self, daemon, restart_sec=0.2, watchdog_sec=None):
        self.daemon, self.restart_sec, self.watchdog_sec = daemon, restart_sec, watchdog_sec
        self.store = []  # (name, fd)
        self.extra = []  # (name, fd): handed over once, as if they had been kept
        self.starts = self.pings = self.removals = self.dumped = 0
        self.active = False  # a daemon is wanted
        self.ready = threading.Event()
        self._lock = threading.RLock()
        self._stopping = False
        path = str(daemon.dir / "supervisor")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        os.chmod(path, 0o666)
        self._socket.settimeout(0.05)
        self._path = path
        self._last_ping = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # -- the unit -----------------------------------------------------------------

    def start(self, wait=20):
        with self._lock:
            self.active = True
            self._spawn()
        if wait:
            self.wait_ready(wait)
        return self

    def wait_ready(self, seconds=20):
        if not self.ready.wait(seconds):
            raise lab.LabError(f"bulkheadd not ready in {seconds} s:\n{self.daemon.log()[-3000:]}")

    def stop(self):
        """systemctl stop: the store goes with the unit."""
        with self._lock:
            self.active = False
        self._end()
        self._forget(None)

    def restart(self):
        """systemctl restart: the store stays."""
        with self._lock:
            self.active = False
        self._end()
        self.start()

    def kill(self):
        """SIGKILL to the daemon itself. Returns when it is dead; it is started again by itself."""
        pid = self.pid()
        self.ready.clear()
        self.daemon.lab.host.exec("kill", "-KILL", str(pid))
        lab.wait_for("bulkheadd to be dead", lambda: pid not in self.daemon.lab.pids_of("bulkheadd", str(self.daemon.socket)))

    def pid(self):
        return self.daemon.lab.pids_of("bulkheadd", str(self.daemon.socket))[0]

    def close(self):
        with self._lock:
            self.active, self._stopping = False, True
        self._end()
        self._thread.join(10)
        self._forget(None)
        self._socket.close()

    # -- how ------------------------------------------------------------------------

    def _end(self):
        p = self.daemon.proc
        if p and p.poll() is None:
            p.terminate()
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()

    def _spawn(self):
        d = self.daemon
        self.ready.clear()
        kept = [(n, fcntl.fcntl(fd, fcntl.F_DUPFD, HIGH)) for n, fd in self.store + self.extra]
        self.extra = []
        env = {**d.lab.env, "NOTIFY_SOCKET": self._path, "BULKHEAD_TEST_MASK": d.mask or ""}
        if kept:
            env["BH_LISTEN_FDS"] = ",".join(str(fd) for _, fd in kept)
            env["LISTEN_FDNAMES"] = ":".join(n for n, _ in kept)
        if self.watchdog_sec:
            env["WATCHDOG_USEC"] = str(int(self.watchdog_sec * 1e6))
        with open(d.log_path, "a") as log:
            d.proc = subprocess.Popen(d.lab.host.argv(d.argv("--foreground")), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                      env=env, pass_fds=[fd for _, fd in kept])
        d.lab.children.append(d.proc)
        for _, fd in kept:
            os.close(fd)
        self.starts += 1
        self._last_ping = time.monotonic()

    def _forget(self, name):
        with self._lock:
            for n, fd in self.store:
                if name in (None, n):
                    os.close(fd)
            self.store = [(n, fd) for n, fd in self.store if name not in (None, n)]

    def _message(self, text, fds):
        words = dict(line.split("=", 1) for line in text.split("\n") if "=" in line)
        name = words.get("FDNAME", "stored")
        if words.get("FDSTORE") == "1":
            for fd in fds:
                if any(n == name and os.path.sameopenfile(fd, k) for n, k in self.store):
                    os.close(fd)
                else:
                    self.store.append((name, fd))
            fds = []
        if words.get("FDSTOREREMOVE") == "1":
            self.removals += 1
            self._forget(name)
        if words.get("WATCHDOG") == "1":
            self.pings += 1
            self._last_ping = time.monotonic()
        if words.get("READY") == "1":
            self.ready.set()
        for fd in fds:
            os.close(fd)

    def _run(self):
        while not self._stopping:
            try:
                data, control, _, _ = self._socket.recvmsg(8192, socket.CMSG_SPACE(16 * 4))
                fds = array.array("i")
                for level, kind, payload in control:
                    if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                        fds.frombytes(payload[:len(payload) // 4 * 4])
                with self._lock:
                    self._message(data.decode(errors="replace"), list(fds))
                continue
            except socket.timeout:
                pass
            with self._lock:
                self._look()

    def _look(self):
        p = self.daemon.proc
        if not self.active or p is None:
            return
        if p.poll() is None:
            if self.watchdog_sec and time.monotonic() - self._last_ping > self.watchdog_sec:
                for pid in self.daemon.lab.pids_of("bulkheadd", str(self.daemon.socket)):
                    self.daemon.lab.host.exec("sh", "-c", f"kill -ABRT {pid}; kill -CONT {pid}", check=False)
                self.dumped += 1
                self._last_ping = time.monotonic()
            return
        if p.returncode in (0, 2):
            self.active = False
            self._forget(None)
            return
        time.sleep(self.restart_sec)
        self._spawn()
