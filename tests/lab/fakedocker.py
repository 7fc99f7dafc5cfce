# SPDX-License-Identifier: Apache-2.0
"""A Docker daemon made of a script: answers as dockerd 20.10 does, or as badly as a test says.

    with FakeDocker(path) as f:
        f.run("web", "front")            # events and all
        f.hooks["/containers/json"] = lambda conn, path: conn.raw(b"nonsense")

A hook gets what it answers for by the path's beginning, may block, and returns True when
it has answered; False lets the usual answer follow. piece: bytes per chunk of every answer."""
import hashlib
import ipaddress
import json
import os
import socket
import threading
import time
import urllib.parse


def cid(name):
    return hashlib.sha256(name.encode()).hexdigest()


class Conn:
    def __init__(self, fake, sock):
        self.fake, self.sock = fake, sock

    def raw(self, data):
        self.sock.sendall(data)
        return True

    def head(self, status=200, more=b"Transfer-Encoding: chunked\r\n"):
        self.raw(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%s\r\n" % (status, more))

    def chunk(self, data):
        self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    def answer(self, value, status=200):
        data = value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"
        if not self.fake.piece:
            self.head(status, b"Content-Length: %d\r\n" % len(data))
            return self.raw(data)
        self.head(status)
        for i in range(0, len(data), self.fake.piece):
            self.chunk(data[i:i + self.fake.piece])
        return self.raw(b"0\r\n\r\n")

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        return True


class FakeDocker:
    def __init__(self, path, listen=True):
        self.path, self.piece = path, 0
        self.containers, self.images, self.hooks, self.configs = {}, {}, {}, {}
        self.networks = {}
        self.requests, self.streams, self.conns = [], [], set()
        self.lock = threading.RLock()
        self.server = None
        self.network("bridge", bridge="docker0")
        self.images["sha256:" + cid("image")] = {}
        if listen:
            self.listen()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    # -- what it has -------------------------------------------------------

    def network(self, name, bridge=None, subnets=("10.200.0.0/16",)):
        nid = cid("net-" + name)
        ipam = [{"Subnet": s, "Gateway": str(ipaddress.ip_network(s).network_address + 1)} for s in subnets]
        with self.lock:
            self.networks[nid] = {"Name": name, "Id": nid, "Driver": "bridge", "Internal": False, "IPAM": {"Config": ipam},
                                  "Options": {"com.docker.network.bridge.name": bridge} if bridge else {}, "Containers": {}}
        return nid

    def add(self, name, labels=None, network="bridge", state="running", image="image", n=None, mac=None, addresses=None):
        """A container, without an event. addresses: of both families, with the prefix's length."""
        with self.lock:
            n = len(self.containers) + 2 if n is None else n
            c = {"Id": cid(name), "Names": ["/" + name], "Image": image, "ImageID": "sha256:" + cid(image),
                 "State": state, "Labels": labels or {}, "Ports": [], "HostConfig": {"NetworkMode": network}}
            self.containers[c["Id"]] = c
            self.networks[cid("net-" + network)]["Containers"][c["Id"]] = {
                "Name": name, "EndpointID": cid("ep-" + name), "MacAddress": mac or f"02:42:0a:c8:{n // 256:02x}:{n % 256:02x}",
                "IPv4Address": addresses[0] if addresses else f"10.200.{n // 256}.{n % 256}/16",
                "IPv6Address": addresses[1] if addresses else ""}
        return c["Id"]

    def run(self, name, labels=None, network="bridge", **kw):
        """As `docker run -d`: create, connect, start."""
        with self.lock:
            i = self.add(name, labels, network, state="created", **kw)
        self.event("container", "create", i)
        self.event("network", "connect", cid("net-" + network), container=i)
        self.containers[i]["State"] = "running"
        self.event("container", "start", i)
        return i

    def remove(self, name, events=True, between=None):
        """As `docker rm -f`. between: called when the container is dead and its networks are about to tell."""
        i = cid(name)
        if events:
            self.event("container", "die", i)
        if between:
            between()
        for nid, n in self.networks.items():
            with self.lock:
                had = n["Containers"].pop(i, None)
            if had and events:
                self.event("network", "disconnect", nid, container=i)
        with self.lock:
            del self.containers[i]
        if events:
            self.event("container", "destroy", i)

    def inspection(self, i):
        """What `configs` says of it, else as a plain `docker run` would make it."""
        c, config = self.containers[i], self.configs.get(i, {})
        return {"Id": i, "State": {"Running": c["State"] == "running"}, "Config": {"Image": c["Image"], "User": config.get("User", "")},
                "HostConfig": {**c["HostConfig"], "Memory": 0, "CgroupnsMode": "private", **{k: v for k, v in config.items() if k not in ("User", "Mounts")}},
                "Mounts": config.get("Mounts", []), "NetworkSettings": {"Ports": {}}}

    def event(self, kind, action, oid, **attributes):
        t = time.time_ns()
        self.stream(json.dumps({"Type": kind, "Action": action, "Actor": {"ID": oid, "Attributes": attributes},
                                "scope": "local", "time": t // 10**9, "timeNano": t}).encode() + b"\n")

    def stream(self, data):
        """Bytes for everybody who listens to events."""
        with self.lock:
            for c in self.streams[:]:
                try:
                    if self.piece:
                        for i in range(0, len(data), self.piece):
                            c.chunk(data[i:i + self.piece])
                    else:
                        c.chunk(data)
                except OSError:
                    self.streams.remove(c)

    def drop(self):
        """Closes every connection."""
        with self.lock:
            for c in list(self.conns):
                c.close()
            self.streams.clear()

    def count(self, begin):
        return sum(p.startswith(begin) for p in self.requests)

    # -- the server -----------------------------------------------------------

    def listen(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen(128)
        threading.Thread(target=self._accept, args=(self.server,), daemon=True).start()

    def stop(self):
        if self.server:
            try:
                self.server.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.server.close()
            self.server = None
        self.drop()

    def _accept(self, server):
        while True:
            try:
                s, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, sock):
        conn, buf = Conn(self, sock), b""
        with self.lock:
            self.conns.add(conn)
        try:
            while True:
                while b"\r\n\r\n" not in buf:
                    more = sock.recv(65536)
                    if not more:
                        return
                    buf += more
                head, _, buf = buf.partition(b"\r\n\r\n")
                path = head.split(b" ")[1].decode()
                self.requests.append(path)
                hook = next((h for begin, h in list(self.hooks.items()) if path.startswith(begin)), None)
                if not (hook and hook(conn, path)):
                    self._answer(conn, path)
        except OSError:
            pass
        finally:
            with self.lock:
                self.conns.discard(conn)
                if conn in self.streams:
                    self.streams.remove(conn)
            sock.close()

    def _answer(self, conn, path):
        where, _, query = path.partition("?")
        p = where.strip("/").split("/")
        if where == "/events":
            conn.head()
            with self.lock:
                self.streams.append(conn)
        elif where == "/_ping":
            conn.answer(b"OK")
        elif where == "/containers/json":
            f = json.loads(urllib.parse.parse_qs(query).get("filters", ["{}"])[0])
            with self.lock:
                value = json.dumps([c for i, c in self.containers.items() if "id" not in f or i in f["id"]]).encode()
            conn.answer(value)
        elif where == "/networks":
            with self.lock:
                value = [{**n, "Containers": {}} for n in self.networks.values()]
            conn.answer(value)
        elif p[0] == "networks" and p[1] in self.networks:
            with self.lock:
                value = json.dumps(self.networks[p[1]]).encode()
            conn.answer(value)
        elif p[0] == "images" and p[1] in self.images:
            conn.answer({"Id": p[1], "Config": {"Labels": self.images[p[1]]}})
        elif p[0] == "containers" and p[1] in self.containers:
            conn.answer(self.inspection(p[1]))
        elif where == "/info":
            conn.answer({"SecurityOptions": ["name=apparmor", "name=seccomp,profile=default", "name=cgroupns"]})
        else:
            conn.answer({"message": "no such object"}, 404)
