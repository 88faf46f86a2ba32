"""Hear of child processes that end, in a program that waits for something else as well."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator


def wake_when_a_child_ends() -> socket.socket:
    """Return a socket on which a byte arrives whenever a child has ended."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)  # noqa: FBT003 - the standard library's
    writer.setblocking(False)  # noqa: FBT003 - as above
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer.detach())
    return reader


def forget_children() -> None:
    """Undo that in a forked process, which has children of its own or none."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def collect_ended_children() -> Iterator[tuple[int, int]]:
    """Collect every child that has ended; yield its number and exit status, negative for a signal's."""
    while True:
        try:
            child, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if child == 0:
            return
        yield child, os.waitstatus_to_exitcode(status)
