#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A registry that keeps what is pushed in memory: enough of the OCI distribution API for `docker push` and `docker pull`.

    registry.py PORT        on 127.0.0.1, which Docker asks without TLS
"""
import hashlib
import http.server
import re
import sys

BLOBS, MANIFESTS, UPLOADS = {}, {}, {}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        self.send_header("Docker-Distribution-API-Version", "registry/2.0")
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            out = b""
            while True:
                n = int(self.rfile.readline().split(b";")[0], 16)
                out += self.rfile.read(n)
                self.rfile.readline()
                if n == 0:
                    return out
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_GET(self):
        if self.path in ("/v2/", "/v2"):
            return self.answer(200, b"{}")
        m = re.match(r"/v2/(.+)/(blobs|manifests)/([^/?]+)", self.path)
        if m and m[2] == "blobs" and m[3] in BLOBS:
            return self.answer(200, BLOBS[m[3]], Content_Type="application/octet-stream", Docker_Content_Digest=m[3],
                               Content_Length=str(len(BLOBS[m[3]])))
        if m and m[2] == "manifests" and (m[1], m[3]) in MANIFESTS:
            kind, data = MANIFESTS[m[1], m[3]]
            return self.answer(200, data, Content_Type=kind, Docker_Content_Digest=digest(data), Content_Length=str(len(data)))
        return self.answer(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"not here"}]}')

    do_HEAD = do_GET

    def do_POST(self):
        m = re.match(r"/v2/(.+)/blobs/uploads/", self.path)
        self.body()
        if not m:
            return self.answer(404)
        uid = str(len(UPLOADS) + 1)
        UPLOADS[uid] = b""
        return self.answer(202, Location=f"/v2/{m[1]}/blobs/uploads/{uid}", Range="0-0", Docker_Upload_UUID=uid)

    def do_PATCH(self):
        uid = self.path.partition("?")[0].rsplit("/", 1)[1]
        UPLOADS[uid] += self.body()
        return self.answer(202, Location=self.path, Range=f"0-{len(UPLOADS[uid]) - 1}", Docker_Upload_UUID=uid)

    def do_PUT(self):
        data = self.body()
        m = re.match(r"/v2/(.+)/manifests/([^/?]+)", self.path)
        if m:
            for tag in (m[2], digest(data)):
                MANIFESTS[m[1], tag] = (self.headers["Content-Type"], data)
            return self.answer(201, Docker_Content_Digest=digest(data), Location=self.path)
        uid = self.path.partition("?")[0].rsplit("/", 1)[1]
        data = UPLOADS.pop(uid) + data
        BLOBS[digest(data)] = data
        return self.answer(201, Docker_Content_Digest=digest(data), Location=self.path)


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
