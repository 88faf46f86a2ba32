"""Packet sockets: whole Ethernet frames in and out of a device, with what senders leave to devices."""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from typing import Final, NamedTuple

from lab.emu.nat_planes.engine.frames import NO_OFFLOAD, Frame, Offload
from lab.emu.packet_socket import (
    NEEDS_CHECKSUM,
    OFFLOAD,
    SOL_PACKET,
    bind_to,
    open_packet_socket,
    read_frame,
)

_PACKET_IGNORE_OUTGOING: Final = 23
_BUFFER_BYTES: Final = 4 << 20
_SIOCGIFMTU: Final = 0x8921
_INTERFACE_REQUEST: Final = struct.Struct("16si20x")
_NONE: Final = bytes(OFFLOAD.size)


class Arrived(NamedTuple):
    """A frame, what its sender has left to devices, and when the kernel had it (``at``, monotonic clock).

    Whoever reads it may have waited for a processor since then: what is late is late since ``at``.
    """

    frame: bytes
    offload: Offload
    at: float


class DeviceSocket:
    """A packet socket on one device. ``hardware`` is the device's address, ``mtu`` its longest packet.

    Raises:
        OSError: no such device, or no right to packet sockets in this namespace.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.socket = open_packet_socket(_BUFFER_BYTES)
        self.socket.setsockopt(SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        bind_to(self.socket, device)
        self.hardware: bytes = self.socket.getsockname()[4]
        self.mtu = _mtu(self.socket, device)

    def fileno(self) -> int:
        """Return the descriptor, for a loop to watch."""
        return self.socket.fileno()

    def read(self) -> Arrived | None:
        """Return a frame that waits; None if none does."""
        try:
            header, frame, stamp, _ = read_frame(self.socket)
        except (BlockingIOError, InterruptedError):
            return None
        at = _on_monotonic_clock(stamp)
        if header == _NONE:
            return Arrived(frame, NO_OFFLOAD, at)
        flags, kind, *rest = OFFLOAD.unpack(header)
        # That a checksum was verified on the way in is no business of the way out.
        header = OFFLOAD.pack(flags & NEEDS_CHECKSUM, kind, *rest)
        return Arrived(frame, Offload(header, bool(flags & NEEDS_CHECKSUM), bool(kind)), at)

    def write(self, frame: Frame) -> bool:
        """Send a frame; return whether it was taken (a full queue drops, as queues do)."""
        try:
            self.socket.send((frame.offload.header or _NONE) + frame.data)
        except OSError:
            return False
        return True


def _on_monotonic_clock(stamp: float) -> float:
    """Return the time of a stamp of the wall clock on the monotonic one: never after now.

    A wall clock that is set while a frame waits makes that one's time wrong.
    """
    age = time.time() - stamp  # asked first: what comes between the two clocks makes it no earlier
    return time.monotonic() - max(0.0, age)


def _mtu(opened: socket.socket, device: str) -> int:
    answer = fcntl.ioctl(opened, _SIOCGIFMTU, _INTERFACE_REQUEST.pack(device.encode(), 0))
    mtu: int = _INTERFACE_REQUEST.unpack(answer)[1]
    return mtu
