"""Inside an outer namespace: a Docker engine whose data is in memory and goes with the namespace.

``python -m lab.emu.containers.engine_process CGROUP FD``, as an agent of :mod:`lab.emu.outer`. A line on the
socket says that the engine answers: ``{"ready": true}``, or why it does not.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lab.emu.programs.program_ends import how_it_ended, with_last_lines_of
from lab.emu.system_calls import MS_NODEV, MS_NOEXEC, MS_NOSUID, mount

PLACE: Final = Path("/run/callpath-engine")
"""In the private /run: the engine's socket, data and state."""
SOCKET: Final = PLACE / "docker.sock"
_LOG: Final = PLACE / "log"
START_SECONDS: Final = 60.0
"""In which the engine has to answer; on an idle machine it takes one."""

_CGROUPS: Final = Path("/sys/fs/cgroup")


def main(cgroup: str, channel: socket.socket) -> int:
    """Run the engine until it ends, or this namespace does."""
    PLACE.mkdir()
    mount("tmpfs", str(PLACE), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700")
    for source, target, kind, data in hierarchies(Path("/proc/self/cgroup").read_text(encoding="ascii")):
        Path(target).mkdir(exist_ok=True)
        mount(source, target, kind, MS_NOSUID | MS_NODEV | MS_NOEXEC, data)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with _LOG.open("wb") as log:
        engine = subprocess.Popen(_command(cgroup), stdout=log, stderr=log)
    complaint = _wait(engine)
    channel.sendall(json.dumps({"ready": not complaint, "why": complaint}).encode() + b"\n")
    return engine.wait()


def hierarchies(own: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield what to mount so that the engine finds control groups: source, target, kind, data.

    ``own`` is the text of ``/proc/self/cgroup`` (cgroups(7)): a line a hierarchy. The unified one stands at
    the top where it is alone, beside the others where there are any.
    """
    lines = [line.split(":", 2)[:2] for line in own.splitlines()]
    old = [controllers for number, controllers in lines if number != "0" and controllers]
    if not old:
        yield "cgroup2", str(_CGROUPS), "cgroup2", ""
        return
    yield "tmpfs", str(_CGROUPS), "tmpfs", "mode=0755"
    for controllers in old:
        yield "cgroup", str(_CGROUPS / controllers.removeprefix("name=")), "cgroup", controllers


def _command(cgroup: str) -> list[str]:
    """Return the engine's command line: nothing of it is the machine's own, its configuration included."""
    configuration = PLACE / "daemon.json"
    configuration.write_text("{}", encoding="ascii")
    return [
        "dockerd",
        *("--config-file", str(configuration)),
        *("--host", f"unix://{SOCKET}"),
        *("--data-root", str(PLACE / "data")),
        *("--exec-root", str(PLACE / "state")),
        *("--pidfile", str(PLACE / "pid")),
        *("--exec-opt", "native.cgroupdriver=cgroupfs"),
        *("--cgroup-parent", f"/{cgroup}"),
        *("--bridge", "none"),
        *("--log-level", "warn"),
    ]


def _wait(engine: subprocess.Popen[bytes]) -> str:
    """Wait until the engine answers; return why it does not, if it does not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if engine.poll() is not None:
            return with_last_lines_of(_LOG, how_it_ended("dockerd", engine.returncode))
        if _answers():
            return ""
        time.sleep(0.05)
    return with_last_lines_of(_LOG, f"dockerd has not answered in {START_SECONDS:g} s")


def _answers() -> bool:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(1)
        try:
            asking.connect(str(SOCKET))
            asking.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in asking.recv(64)
        except OSError:
            return False


if __name__ == "__main__":
    os.set_inheritable(int(sys.argv[2]), False)  # noqa: FBT003 - the standard library's
    sys.exit(main(sys.argv[1], socket.socket(fileno=int(sys.argv[2]))))
