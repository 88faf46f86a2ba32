"""The first process of an outer namespace: private mounts, one agent, and an end when the parent is gone.

``python -m lab.emu.outer.init MODULE ARGUMENT...`` runs ``MODULE`` as the agent. Standard input is the pipe
whose end is this process's end; the agent gets an empty one. It imports little: it is waited for.
"""

from __future__ import annotations

import os
import runpy
import select
import socket
import sys
from pathlib import Path
from typing import Final, NoReturn

from lab.emu.programs.children import collect_ended_children, forget_children, wake_when_a_child_ends
from lab.emu.system_calls import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT, mount

_PIPE: Final = 0
_QUIET: Final = MS_NOSUID | MS_NODEV | MS_NOEXEC


def main(arguments: list[str]) -> NoReturn:
    """Be the init of this namespace; ends with the agent's exit status, or when the pipe ends."""
    make_private_mounts()
    lifeline = os.dup(_PIPE)
    wakeups = wake_when_a_child_ends()
    agent = os.fork()
    if agent == 0:
        _become_agent(lifeline, arguments)
    _watch(lifeline, wakeups, agent)


def make_private_mounts() -> None:
    """Hide what belongs to the machine: its run-time files, its network devices, its kernel settings.

    ``/proc`` was mounted anew by ``unshare``. Of ``/proc/sys`` only ``net`` stays writable: it is a network
    namespace's own, the rest is the machine's (Mininet, run as root, raises limits there).
    """
    _show_own_devices_only()
    _add_tmpfs("/run")
    if not Path("/var/run").is_symlink():
        _add_tmpfs("/var/run")
    Path("/var/run/netns").mkdir()
    mount("/proc/sys", "/proc/sys", flags=MS_BIND)
    mount("/proc/sys/net", "/proc/sys/net", flags=MS_BIND)
    mount("", "/proc/sys", flags=MS_BIND | MS_REMOUNT | MS_RDONLY | _QUIET)


def _show_own_devices_only() -> None:
    """Mount ``/sys`` anew: what is below ``/sys/class/net`` belongs to the namespace that mounted it."""
    try:
        mount("sysfs", "/sys", "sysfs", _QUIET | MS_RDONLY)
    except PermissionError:  # a container hides parts of its own; then nothing at all is shown
        _add_tmpfs("/sys")


def _add_tmpfs(path: str) -> None:
    mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")


def _become_agent(lifeline: int, arguments: list[str]) -> NoReturn:
    """Run the agent's module in this process, with signals and input as a program expects them."""
    os.close(lifeline)
    os.dup2(os.open(os.devnull, os.O_RDONLY), _PIPE)
    forget_children()
    os.setsid()
    sys.argv = arguments
    status = 0
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is, the parent reads it on standard error
        sys.excepthook(*sys.exc_info())
        status = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _watch(lifeline: int, wakeups: socket.socket, agent: int) -> NoReturn:
    """Collect ended processes until the agent is one of them, or the pipe's other end is closed."""
    poll = select.poll()
    poll.register(lifeline, 0)  # POLLHUP is always told
    poll.register(wakeups, select.POLLIN)
    while True:
        ready = {handle for handle, _ in poll.poll()}
        if lifeline in ready:
            os._exit(0)
        wakeups.recv(4096)
        status = _collect_ended(agent)
        if status is not None:
            os._exit(status)


def _collect_ended(agent: int) -> int | None:
    """Collect every child that has ended; return the agent's exit status if it is among them."""
    ended = dict(collect_ended_children())
    code = ended.get(agent)
    return 128 - code if code is not None and code < 0 else code  # as a shell reports a signal


if __name__ == "__main__":
    main(sys.argv[1:])
