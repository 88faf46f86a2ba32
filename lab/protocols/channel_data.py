"""ChannelData (RFC 8656 §12.4), and cutting a TCP or TLS stream into STUN messages and ChannelData.

The first two bits tell them apart: 00 is STUN, 01 is ChannelData. Over a stream each ChannelData message is
padded to four bytes, which its length does not count (§12.5); over UDP it need not be.
"""

from __future__ import annotations

import struct
from typing import Final

from lab.errors import WireFormatError
from lab.protocols.stun import HEADER_BYTES

FIRST_CHANNEL: Final = 0x4000
LAST_CHANNEL: Final = 0x4FFF
"""The last number since RFC 8656 §12, which keeps clear of other protocols on the port (RFC 7983)."""
LAST_CHANNEL_RFC5766: Final = 0x7FFE
"""The last number before it (RFC 5766 §11); clients of that age still pick from the whole range."""
CHANNEL_HEADER_BYTES: Final = 4

_HEADER: Final = struct.Struct("!HH")
_PADDING: Final = (b"", b"\x00\x00\x00", b"\x00\x00", b"\x00")


def is_channel_data(data: bytes) -> bool:
    """Return whether ``data`` starts as ChannelData does, reserved channel numbers included."""
    return len(data) >= CHANNEL_HEADER_BYTES and data[0] & 0xC0 == 0x40


def encode_channel_data(number: int, payload: bytes) -> bytes:
    """Return ChannelData for a datagram, unpadded."""
    return _HEADER.pack(number, len(payload)) + payload


def encode_channel_data_padded(number: int, payload: bytes) -> bytes:
    """Return ChannelData for a stream, padded to a multiple of four bytes."""
    length = len(payload)
    return _HEADER.pack(number, length) + payload + _PADDING[length & 3]


def parse_channel_data_untrusted(data: bytes) -> tuple[int, bytes]:
    """Return (channel number, payload). Bytes after the payload are padding, whatever their number (§12.6).

    Raises:
        WireFormatError: not ChannelData, a reserved channel number, or shorter than it says.
    """
    if len(data) < CHANNEL_HEADER_BYTES:
        raise WireFormatError(f"{len(data)} bytes are too few for ChannelData")
    number, length = _HEADER.unpack_from(data)
    if not FIRST_CHANNEL <= number <= LAST_CHANNEL_RFC5766:
        raise WireFormatError(f"{number:#06x} is no channel number")
    payload = data[CHANNEL_HEADER_BYTES : CHANNEL_HEADER_BYTES + length]
    if len(payload) != length:
        raise WireFormatError(f"ChannelData says {length} bytes, {len(payload)} are there")
    return number, payload


class StreamDeframer:
    """Cuts what arrives on a stream into messages. After an error the stream cannot be read on: close it."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed_untrusted(self, data: bytes) -> list[bytes]:
        """Return the messages that ``data`` completes, ChannelData without its padding.

        Raises:
            WireFormatError: neither STUN nor ChannelData comes next (a TLS hello, say).
        """
        buffer = self._buffer
        buffer += data
        frames = []
        at = 0
        while len(buffer) - at >= CHANNEL_HEADER_BYTES:
            length, padding = _frame_length(*_HEADER.unpack_from(buffer, at))
            if at + length + padding > len(buffer):
                break
            frames.append(bytes(buffer[at : at + length]))
            at += length + padding
        del buffer[:at]
        return frames


def _frame_length(first: int, length: int) -> tuple[int, int]:
    kind = first >> 14
    if kind == 0 and not length & 3:
        return HEADER_BYTES + length, 0
    if kind == 1:
        return CHANNEL_HEADER_BYTES + length, -length & 3
    raise WireFormatError(f"{first:#06x} starts neither a STUN message nor ChannelData")
