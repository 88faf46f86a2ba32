"""Chance that has an address: a draw is a function of (link seed, packet index, purpose) and of nothing else.

A generator that is stepped once a draw gives every later packet another fate as soon as one more impairment
is switched on. Here each purpose has its own stream and each packet its own place in it (a counter-based
generator: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), so what becomes of packet 17
can be looked up, repeated and changed alone. The mixing function is that of SplitMix64 (Steele, Lea, Flood,
2014).
"""

from __future__ import annotations

import enum
from typing import Final

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_GOLDEN_GAMMA: Final = 0x9E37_79B9_7F4A_7C15
_TWO_TO_MINUS_53: Final = 2.0**-53


class Purpose(enum.IntEnum):
    """What a draw decides. The numbers are part of every stored result: add, never renumber."""

    LOSS = 1
    BURST_STEP = 2
    BURST_LOSS = 3
    BLOCK_POSITIONS = 4
    JITTER = 5
    DUPLICATE = 6
    DUPLICATE_JITTER = 7
    REORDER = 8


def mix(value: int) -> int:
    """Return 64 well-mixed bits of a 64-bit value (a bijection)."""
    value = ((value ^ (value >> 30)) * 0xBF58_476D_1CE4_E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D0_49BB_1331_11EB) & _MASK
    return value ^ (value >> 31)


class Draws:
    """The draws of one purpose on one direction of a link."""

    __slots__ = ("_base",)

    def __init__(self, seed: int, purpose: Purpose) -> None:
        # Mixing the purpose alone keeps streams of neighbouring seeds and purposes apart.
        self._base = mix((seed ^ mix(purpose)) & _MASK)

    def bits(self, index: int) -> int:
        """Return 64 random bits for a packet index of 0 or more."""
        return mix((self._base + (index + 1) * _GOLDEN_GAMMA) & _MASK)

    def share(self, index: int) -> float:
        """Return a number uniform in [0, 1) for a packet index of 0 or more."""
        # `bits` written out: a call would cost a quarter of the draw.
        value = (self._base + (index + 1) * _GOLDEN_GAMMA) & _MASK
        value = ((value ^ (value >> 30)) * 0xBF58_476D_1CE4_E5B9) & _MASK
        value = ((value ^ (value >> 27)) * 0x94D0_49BB_1331_11EB) & _MASK
        return ((value ^ (value >> 31)) >> 11) * _TWO_TO_MINUS_53
