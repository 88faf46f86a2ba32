"""DNS messages on a stream: each after its length, two bytes (RFC 1035 §4.2.2)."""

from __future__ import annotations

import asyncio
import struct
from typing import Final

_LENGTH: Final = struct.Struct("!H")


def framed(message: bytes) -> bytes:
    """Return a message as it goes over TCP."""
    return _LENGTH.pack(len(message)) + message


async def read_framed(reader: asyncio.StreamReader) -> bytes:
    """Return the next message of a stream.

    Raises:
        asyncio.IncompleteReadError: the stream ends before it does.
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return await reader.readexactly(length)
