"""System calls of namespaces and mounts that Python 3.11's ``os`` has not."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWNET: Final = 0x4000_0000
MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
"""Numbers of ``linux/sched.h`` and ``linux/mount.h``; they are part of the kernel's stable interface."""

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Attach a file system to a directory, or change how one is attached.

    Raises:
        OSError: the kernel refused it; the file name is the target.
    """
    texts = (text.encode() or None for text in (source, target, kind))
    _check(_LIBC.mount(*texts, ctypes.c_ulong(flags), data.encode() or None), target)


def unshare(flags: int) -> None:
    """Give this process namespaces of its own.

    Raises:
        OSError: the kernel refused it.
    """
    _check(_LIBC.unshare(flags), "unshare")


def enter_network(path: str) -> None:
    """Move the calling thread into the network namespace that the file is (``/proc/PID/ns/net``).

    Raises:
        OSError: there is none, or the kernel refused it.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_LIBC.setns(handle, CLONE_NEWNET), path)
    finally:
        os.close(handle)


def join_namespace(handle: int) -> None:
    """Move this process into the namespace that an open ``/proc/PID/ns/*`` is; it must have one thread.

    Raises:
        OSError: the kernel refused it.
    """
    _check(_LIBC.setns(handle, 0), "setns")


@contextmanager
def inside_network(path: str) -> Iterator[None]:
    """Move the calling thread into a network namespace for the block.

    Sockets opened and processes started in the block belong to that namespace; so do the values below
    ``/proc/sys/net``. The block must not give the loop a chance to run something else.

    Raises:
        OSError: there is none, or the kernel refused it.
    """
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter_network(path)
        try:
            yield
        finally:
            _check(_LIBC.setns(own, CLONE_NEWNET), "the namespace it came from")
    finally:
        os.close(own)


_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_TIMERSLACK: Final = 29


def set_process_name(name: str) -> None:
    """Name this process for ``ps`` and ``top``; the kernel keeps fifteen bytes."""
    _check(_LIBC.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0), "process name")


def die_with_parent() -> None:
    """Have the kernel kill this process, and the program it becomes, when the thread that forked it is gone.

    Raises:
        OSError: the kernel refused it.
    """
    _check(_LIBC.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0), "parent's end")


def set_timer_slack(nanoseconds: int) -> None:
    """Tell the kernel by how much it may put off this thread's wake-ups.

    Raises:
        OSError: the kernel refused it.
    """
    _check(_LIBC.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(nanoseconds), 0, 0, 0), "timer slack")


def go_first() -> None:
    """Run before ordinary processes where that is allowed: they may be busy, no link may wait for them."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def _check(result: int, name: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
