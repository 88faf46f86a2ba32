"""The planes by name."""

from __future__ import annotations

import enum


class NatPlane(enum.Enum):
    """What carries out a NAT model in the kernel world, in the order of preference."""

    NFT = "nft"
    KERNEL = "kernel"
    ENGINE = "engine"
