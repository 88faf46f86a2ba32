"""Ethernet frames as they go in and out of packet sockets."""

from __future__ import annotations

from typing import Final, NamedTuple

ETHERNET_BYTES: Final = 14
ETHERNET_IPV4: Final = 0x0800
ETHERNET_ARP: Final = 0x0806
ETHERNET_IPV6: Final = 0x86DD
BROADCAST: Final = b"\xff" * 6


class Offload(NamedTuple):
    """What a sender on the same machine left to a device.

    ``unfinished``: the checksum field holds the sum of the pseudo-header, the device completes it.
    ``segmented``: the packet is one for several, which the device cuts. ``header`` are the bytes that told us
    so, and that tell the kernel again on the way out.
    """

    header: bytes
    unfinished: bool
    segmented: bool


NO_OFFLOAD: Final = Offload(b"", unfinished=False, segmented=False)


class Frame(NamedTuple):
    """A frame, the device that it leaves by, and what is left to that device."""

    device: str
    data: bytes
    offload: Offload = NO_OFFLOAD
