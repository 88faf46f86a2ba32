"""The two priority formulas of ICE (RFC 8445 §5.1.2.1 and §6.1.2.3)."""

from __future__ import annotations

import enum
from typing import Final


class TypePreference(enum.IntEnum):
    """The recommended preference of each candidate type (RFC 8445 §5.1.2.2); higher is tried first."""

    HOST = 126
    PEER_REFLEXIVE = 110
    SERVER_REFLEXIVE = 100
    RELAY = 0


SINGLE_HOMED: Final = 65535
"""The local preference of an agent with one address (RFC 8445 §5.1.2.1)."""


def candidate_priority(type_preference: int, local_preference: int = SINGLE_HOMED, component: int = 1) -> int:
    """Return the priority of a candidate, 1..2^31-1 (RFC 8445 §5.1.2.1).

    Args:
        type_preference: 0..126, see :class:`TypePreference`.
        local_preference: 0..65535, unique among an agent's addresses of one type.
        component: 1 for RTP, 2 for RTCP; at most 256.

    Raises:
        ValueError: an argument outside its range.
    """
    if not (0 <= type_preference <= 126 and 0 <= local_preference <= 65535 and 1 <= component <= 256):
        raise ValueError(f"out of range: {type_preference}, {local_preference}, {component}")
    return (type_preference << 24) + (local_preference << 8) + 256 - component


def pair_priority(controlling: int, controlled: int) -> int:
    """Return the priority of a candidate pair from those of its two candidates (RFC 8445 §6.1.2.3)."""
    low, high = min(controlling, controlled), max(controlling, controlled)
    return (low << 32) + 2 * high + (controlling > controlled)
