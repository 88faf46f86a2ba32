"""How descriptors get into a run's outer namespace: handed in by whoever can open what is outside of it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final

NAMESPACE: Final = "namespace"
"""What is handed in: the network namespace of a node, one descriptor."""
PROGRAM: Final = "program"
"""The stream of a node's container and the pipe that tells of its end
(:mod:`lab.emu.containers.stand_in`)."""

_LONGEST: Final = 4096
_MOST: Final = 4


def make_door() -> tuple[socket.socket, socket.socket]:
    """Return both ends: what is handed in at one is taken at the other."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def hand_in(door: socket.socket, what: str, node: str, descriptors: Sequence[int]) -> None:
    """Hand in descriptors, which stay open here (SCM_RIGHTS, unix(7))."""
    socket.send_fds(door, [f"{what} {node}".encode()], descriptors)


class Door:
    """The inner end. Whoever asks for something has made sure that it was handed in before."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self._taken: dict[str, list[int]] = {}

    def take(self, what: str, node: str) -> list[int]:
        """Return the descriptors that were handed in last for a node; they are the caller's to close."""
        wanted = f"{what} {node}"
        while wanted not in self._taken:
            name, descriptors, _, _ = socket.recv_fds(self._inner, _LONGEST, _MOST)
            if not name:
                raise EOFError(f"nobody hands in the {what} of {node}")
            self._taken[name.decode()] = descriptors
        return self._taken.pop(wanted)
