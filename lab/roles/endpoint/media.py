"""Media datagrams.

RTP-shaped (RFC 3550 §5.1), carrying the time they were sent, so that the delay is measured.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from lab.errors import WireFormatError

_HEADER: Final = struct.Struct("!BBHIIId")
_VERSION_2: Final = 0x80
_PCMU: Final = 0
_SAMPLES_A_PACKET: Final = 160
_MAGIC: Final = 0x43504D31
"""Marks the lab's own payload ("CPM1"), in place of a random SSRC."""


class MediaPacket(NamedTuple):
    """``sequence`` counts from 0; ``sent`` is the sender's clock in seconds (one clock a run)."""

    sequence: int
    sent: float


def encode_media(sequence: int, sent: float, size: int) -> bytes:
    """Return a datagram of ``size`` bytes (24 at least)."""
    header = _HEADER.pack(
        _VERSION_2,
        _PCMU,
        sequence & 0xFFFF,
        sequence * _SAMPLES_A_PACKET & 0xFFFFFFFF,
        _MAGIC,
        sequence,
        sent,
    )
    return header.ljust(size, b"\xff")


def parse_media_untrusted(data: bytes) -> MediaPacket:
    """Return what :func:`encode_media` put in.

    Raises:
        WireFormatError: not a media datagram of the lab, whatever the bytes.
    """
    if len(data) < _HEADER.size:
        raise WireFormatError(f"media of {len(data)} bytes, at least {_HEADER.size} expected")
    version, _, _, _, magic, sequence, sent = _HEADER.unpack_from(data)
    if version != _VERSION_2 or magic != _MAGIC:
        raise WireFormatError("not the lab's media")
    return MediaPacket(sequence, sent)
