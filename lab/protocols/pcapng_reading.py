"""A reader of the captures that :mod:`lab.protocols.pcapng` writes, and of no others."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from lab.errors import WireFormatError

_SECTION_HEADER: Final = 0x0A0D0D0A
_INTERFACE_DESCRIPTION: Final = 1
_ENHANCED_PACKET: Final = 6
_COMMENT, _NAME, _FLAGS, _IDENTITY = 1, 2, 2, 5
_OUTBOUND: Final = 2
_NANOSECONDS: Final = 1e9
_SMALLEST_BLOCK: Final = 12


class CapturedPacket(NamedTuple):
    """A record: when (seconds), at which interface by name, the bytes, and what else is said of it."""

    time: float
    interface: str
    data: bytes
    outbound: bool
    packet_id: int
    comments: tuple[str, ...]


def read_capture_untrusted(data: bytes) -> Iterator[CapturedPacket]:
    """Yield the records of a capture of the lab's, in the order of the file.

    Raises:
        WireFormatError: it is none, or it is damaged.
    """
    interfaces: list[str] = []
    if not data.startswith(struct.pack("<I", _SECTION_HEADER)):
        raise WireFormatError("not a capture: no section header")
    for kind, body in _blocks(data):
        try:
            if kind == _INTERFACE_DESCRIPTION:
                interfaces.append(dict(_options(body[8:]))[_NAME].decode())
            elif kind == _ENHANCED_PACKET:
                yield _packet(body, interfaces)
        except (struct.error, LookupError, UnicodeDecodeError) as error:
            raise WireFormatError(f"a damaged capture: {error}") from None


def _blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(data):
        if len(data) - place < _SMALLEST_BLOCK:
            raise WireFormatError("a capture that is cut off")
        kind, length = struct.unpack_from("<II", data, place)
        if length < _SMALLEST_BLOCK or length % 4 or place + length > len(data):
            raise WireFormatError("a capture with a block of an impossible length")
        yield kind, data[place + 8 : place + length - 4]
        place += length


def _packet(body: bytes, interfaces: list[str]) -> CapturedPacket:
    interface, high, low, length, _ = struct.unpack_from("<IIIII", body)
    end = 20 + length
    options = list(_options(body[end + -length % 4 :]))
    first = dict(reversed(options))
    return CapturedPacket(
        time=(high << 32 | low) / _NANOSECONDS,
        interface=interfaces[interface],
        data=body[20:end],
        outbound=struct.unpack("<I", first[_FLAGS])[0] == _OUTBOUND,
        packet_id=struct.unpack("<Q", first[_IDENTITY])[0] if _IDENTITY in first else 0,
        comments=tuple(value.decode() for code, value in options if code == _COMMENT),
    )


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + 4 <= len(data):
        code, length = struct.unpack_from("<HH", data, place)
        if code == 0:
            return
        yield code, data[place + 4 : place + 4 + length]
        place += 4 + length + -length % 4
