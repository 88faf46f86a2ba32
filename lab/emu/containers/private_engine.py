"""A Docker engine of one's own, for as long as a command runs: for tests, and where a machine has none.

It runs in namespaces of its own (mount, network, process), without a way to the machine's network. Its socket
and its data are in a memory file system that nobody else sees, and go with the namespaces when their parent
ends, however it ends. What the kernel keeps beyond that are empty control groups; a process that waits for
the end of the namespaces removes them.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

from lab.emu.containers.engine_process import SOCKET
from lab.emu.outer import OuterNamespace, Privilege
from lab.errors import HostNotReady

CGROUP_PREFIX: Final = "callpath-engine-"
_PROGRAMS: Final = ("dockerd", "containerd", "runc", "iptables")
_SWEEP_SECONDS: Final = 10.0


class PrivateEngine:
    """A running engine. A context manager; ``url`` is for DOCKER_HOST of this process and its children.

    Raises:
        HostNotReady: this user cannot run one, or it does not start; the message has its last lines.
    """

    def __init__(self) -> None:
        if complaint := why_none_can_run():
            raise HostNotReady(f"no Docker engine can be started here: {complaint}")
        self.cgroup = f"{CGROUP_PREFIX}{uuid4().hex[:12]}"
        sweep_empty_groups()
        self._outer = OuterNamespace(
            "lab.emu.containers.engine_process", self.cgroup, privilege=Privilege.ROOT
        )
        self._sweeper = _start_sweeper(self._outer.process.pid, self.cgroup)
        try:
            self._wait()
        except BaseException:
            self.close()
            raise
        self.url = f"unix:///proc/{self._outer.init_pid()}/root{SOCKET}"

    def _wait(self) -> None:
        with self._outer.channel.makefile() as lines:
            line = lines.readline()
        if not line:
            raise self._outer.why_it_ended()
        told = json.loads(line)
        if not told["ready"]:
            raise HostNotReady(f"no Docker engine can be started here: {told['why']}")

    def close(self) -> None:
        """End the engine, its containers and all that it kept, and wait until that is done."""
        self._outer.close()
        self._sweeper.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def why_none_can_run() -> str:
    """Return why this user cannot run an engine of one's own here; empty where that is not known before."""
    if os.geteuid() != 0:
        return "it takes root"
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} not installed; on Debian or Ubuntu: apt-get install docker.io"
    return ""


# Control groups


def group_directories(prefix: str) -> list[Path]:
    """Return the directories of control groups at the top whose name begins so, in every hierarchy."""
    top = Path("/sys/fs/cgroup")
    return [path for pattern in (f"{prefix}*", f"*/{prefix}*") for path in top.glob(pattern) if path.is_dir()]


def sweep_empty_groups() -> None:
    """Remove the control groups of engines that are gone: those that no process is in."""
    for directory in group_directories(CGROUP_PREFIX):
        remove_group(directory)


def remove_group(directory: Path) -> bool:
    """Remove a control group with those below it; return whether it is gone. One in use is left."""
    below = sorted((path for path in directory.rglob("*") if path.is_dir()), reverse=True)
    for path in (*below, directory):
        with contextlib.suppress(OSError):
            path.rmdir()
    return not directory.exists()


def _start_sweeper(process: int, cgroup: str) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one, until another has ended, and removes its control groups."""
    return subprocess.Popen(
        [sys.executable, "-m", "lab.emu.containers.private_engine", str(process), cgroup],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def _sweep_after(process: int, cgroup: str) -> None:
    with contextlib.suppress(ProcessLookupError):
        select.select([os.pidfd_open(process)], [], [])
    deadline = time.monotonic() + _SWEEP_SECONDS  # the kernel ends a namespace's processes after its first
    while not all(map(remove_group, group_directories(cgroup))) and time.monotonic() < deadline:
        time.sleep(0.05)


if __name__ == "__main__":
    _sweep_after(int(sys.argv[1]), sys.argv[2])
