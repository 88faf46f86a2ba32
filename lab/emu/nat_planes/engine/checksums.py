"""The Internet checksum, over bytes and by difference (RFC 1071, RFC 1624)."""

from __future__ import annotations

import struct


def internet_sum(data: bytes | memoryview, start: int = 0) -> int:
    """Return the one's complement sum of 16-bit words, folded; an odd last byte counts as a word's first."""
    if len(data) % 2:
        data = bytes(data) + b"\0"
    return folded(start + sum(struct.unpack(f"!{len(data) // 2}H", data)))


def checksum(data: bytes | memoryview, start: int = 0) -> int:
    """Return what goes into the checksum field."""
    return ~internet_sum(data, start) & 0xFFFF


def folded(total: int) -> int:
    """Return a sum with its carries added in."""
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def adjusted(field: int, before: bytes, after: bytes) -> int:
    """Return a checksum field after ``before`` became ``after`` in what it covers (RFC 1624, equation 3).

    Both have an even number of bytes.
    """
    return ~adjusted_sum(~field & 0xFFFF, before, after) & 0xFFFF


def adjusted_sum(total: int, before: bytes, after: bytes) -> int:
    """Return a sum after ``before`` became ``after``: for fields that hold a sum to be completed later."""
    words = f"!{len(before) // 2}H"
    old = sum(~word & 0xFFFF for word in struct.unpack(words, before))
    return folded(total + old + sum(struct.unpack(words, after)))
