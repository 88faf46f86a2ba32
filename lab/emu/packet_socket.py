"""A packet socket (packet(7)): whole frames, with their time and with what senders left to the device."""

from __future__ import annotations

import socket
import struct
from typing import Final

SOL_PACKET: Final = 263
_PACKET_VNET_HDR: Final = 15
_SO_TIMESTAMPNS: Final = 35
_SO_RCVBUFFORCE: Final = 33
_SO_SNDBUFFORCE: Final = 32
"""Numbers of ``linux/if_packet.h`` and ``asm-generic/socket.h``; part of the kernel's stable interface."""

_ETH_P_ALL: Final = 3
_LONGEST: Final = 1 << 17
OFFLOAD: Final = struct.Struct("=BBHHHH")
"""``struct virtio_net_hdr``, before each frame: flags, kind of segmentation, lengths of header and segment,
where a checksum begins, and its place from there."""
NEEDS_CHECKSUM: Final = 1
_STAMP: Final = struct.Struct("@ll")
"""``struct timespec``, of the wall clock."""
_ROOM_FOR_STAMP: Final = socket.CMSG_SPACE(_STAMP.size)


def open_packet_socket(room: int) -> socket.socket:
    """Return one that never waits, in the network namespace that this thread is in; bound to no device yet.

    Args:
        room: bytes of its buffers: beyond the machine's limit where that is allowed.

    Raises:
        OSError: no right to packet sockets in this namespace.
    """
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    opened.setsockopt(SOL_PACKET, _PACKET_VNET_HDR, 1)
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    for forced, asked in ((_SO_RCVBUFFORCE, socket.SO_RCVBUF), (_SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            opened.setsockopt(socket.SOL_SOCKET, forced, room)
        except PermissionError:
            opened.setsockopt(socket.SOL_SOCKET, asked, room)
    opened.settimeout(0)
    return opened


def bind_to(opened: socket.socket, device: str) -> None:
    """Let all frames of a device arrive: the last step, so that every option holds for the first of them.

    Raises:
        OSError: no such device.
    """
    opened.bind((device, _ETH_P_ALL))


def read_frame(opened: socket.socket) -> tuple[bytes, bytes, float, int]:
    """Return (offload header, frame, when the kernel had it, kind of packet as ``PACKET_OUTGOING`` is one).

    The time is that of the wall clock.

    Raises:
        BlockingIOError: none waits.
        OSError: the device was taken down.
    """
    data, extra, _, address = opened.recvmsg(_LONGEST, _ROOM_FOR_STAMP)
    seconds, nanoseconds = _STAMP.unpack(extra[0][2])
    return data[: OFFLOAD.size], data[OFFLOAD.size :], seconds + nanoseconds / 1e9, address[2]
