# SPDX-License-Identifier: Apache-2.0
"""docker build in a lab, with either builder. FROM is the lab's own image, so nothing is fetched."""
import itertools
import subprocess

import lab as lab_mod

_number = itertools.count()


def start(lab, buildkit, steps, options=()):
    """docker build of one RUN line a step, as a process whose stdout is all that it says."""
    name = f"built{next(_number)}"
    d = lab.root / name
    d.mkdir()
    (d / "Dockerfile").write_text("FROM lab\n" + "".join(f"RUN {s}\n" for s in steps))
    return lab.host.popen(
        "docker", "-H", f"unix://{lab.socket}", "build", "--no-cache", *options,
        *(["--progress=plain"] if buildkit else ["--rm"]), "-t", name, d,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={"DOCKER_BUILDKIT": "1" if buildkit else "0"})


def build(lab, buildkit, steps, options=(), timeout=240):
    p = start(lab, buildkit, steps, options)
    out = p.communicate(timeout=timeout)[0]
    if p.returncode:
        raise lab_mod.LabError(f"docker build: status {p.returncode}: {out[-3000:]}")
    return out


def send(cells, timeout_ms=1000):
    """A RUN line that sends cells as Lab.send() does; what arrives is what counts."""
    lines = "".join(f"{p} {a} {port} {m}\\n" for p, a, port, m in cells)
    return f"printf '{lines}' | probe send {timeout_ms}"
