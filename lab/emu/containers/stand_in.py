"""A process that stands for a container's program: its input and output, its end and its exit status.

``python -m lab.emu.containers.stand_in STREAM END``, or :func:`stand_in` in a process forked for it. Whoever
starts programs and waits for their ends need not know that one is in a container. STREAM is the engine's
attached stream: what is written to it is the program's input, what comes are frames of its output (Docker's
interface, "Stream format"). On END comes one JSON line when the container has ended (:class:`ContainerEnd`).
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from typing import Final, NoReturn

_INPUT, _OUTPUT, _ERRORS = 0, 1, 2
_CHUNK: Final = 1 << 16
FRAME_HEADER: Final = 8
"""Bytes of a frame's header: which output, and how many bytes follow, in the last four."""
STANDARD_OUTPUT: Final = 1
_OF_SIGNALS: Final = 128
"""What shells and containers add to a signal's number for an exit status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEnd:
    """How a container's program came to its end; ``words`` are for its log, where there is more to say."""

    status: int
    words: str = ""

    def encode(self) -> bytes:
        """Return it as a line."""
        return json.dumps(asdict(self)).encode() + b"\n"


def stand_in(stream: int, end: int) -> NoReturn:
    """Copy in both directions until the container has ended, and then end as it did."""
    with socket.socket(fileno=stream) as attached, selectors.DefaultSelector() as ready:
        ready.register(attached, selectors.EVENT_READ)
        if _can_be_waited_for(_INPUT):
            ready.register(_INPUT, selectors.EVENT_READ)
        frames = bytearray()
        while ready.get_map() and attached in [key.fileobj for key in ready.get_map().values()]:
            for key, _ in ready.select():
                if key.fileobj is attached:
                    if not (received := attached.recv(_CHUNK)):
                        ready.unregister(attached)
                    frames += received
                    _write_frames(frames)
                elif data := os.read(_INPUT, _CHUNK):
                    attached.sendall(data)
                else:
                    ready.unregister(_INPUT)
                    attached.shutdown(socket.SHUT_WR)
    _end_as(end)


def _can_be_waited_for(handle: int) -> bool:
    """Return whether a descriptor is open and no regular file or /dev/null, which are always ready."""
    try:
        with selectors.EpollSelector() as trial:
            trial.register(handle, selectors.EVENT_READ)
    except (OSError, ValueError):
        return False
    return True


def _write_frames(frames: bytearray) -> None:
    """Write what is whole of the frames to where it belongs, and keep the rest."""
    while len(frames) >= FRAME_HEADER:
        size = int.from_bytes(frames[4:FRAME_HEADER])
        if len(frames) < FRAME_HEADER + size:
            return
        _write(
            _ERRORS if frames[0] == _ERRORS else _OUTPUT, bytes(frames[FRAME_HEADER : FRAME_HEADER + size])
        )
        del frames[: FRAME_HEADER + size]


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _end_as(end: int) -> NoReturn:
    """Wait for how the container ended, and do the same."""
    with os.fdopen(end, "rb") as lines:
        line = lines.readline()
    if not line:  # whoever speaks to the engine has gone
        os._exit(_OF_SIGNALS + signal.SIGHUP)
    told = ContainerEnd(**json.loads(line))
    if told.words:
        _write(_ERRORS, told.words.encode() + b"\n")
    if told.status > _OF_SIGNALS and told.status - _OF_SIGNALS in set(signal.Signals):
        number = told.status - _OF_SIGNALS
        if number not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(told.status)


if __name__ == "__main__":
    stand_in(*map(int, sys.argv[1:3]))
