"""Neighbours of a box whose devices have no addresses for the kernel: ARP (RFC 826), and discovery for IPv6.

The box answers for its own addresses, asks for those of others (RFC 4861 §7.2), and keeps packets for a
neighbour that has not answered yet.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lab.emu.nat_planes.engine.checksums import checksum
from lab.emu.nat_planes.engine.datagram import ICMPV6, address_text, packed, pseudo_header
from lab.emu.nat_planes.engine.frames import (
    BROADCAST,
    ETHERNET_ARP,
    ETHERNET_IPV4,
    ETHERNET_IPV6,
    NO_OFFLOAD,
    Frame,
    Offload,
)
from lab.errors import WireFormatError

ASK_EVERY: Final = 1.0
ASK_TIMES: Final = 3
FRESH: Final = 30.0
"""Seconds after which a known neighbour is asked again, while what is known goes on being used."""
WAITING_LIMIT: Final = 64
"""Packets kept for one neighbour that has not answered."""

_ARP: Final = struct.Struct("!HHBBH6s4s6s4s")
_SOLICITATION, _ADVERTISEMENT = 135, 136
_SOURCE_LINK, _TARGET_LINK = b"\x01\x01", b"\x02\x01"
_SOLICITED_OVERRIDE_ROUTER: Final = 0xE0000000


@dataclass(slots=True)
class _Neighbour:
    hardware: bytes | None = None
    asked: float = float("-inf")
    times: int = 0
    waiting: list[tuple[bytes, Offload]] = field(default_factory=list)
    """Packets, from the Ethernet type on."""


class Neighbours:
    """Who is where on the links of a box.

    Args:
        hardware: The hardware address of each device.
        own: The box's own addresses on each device.
    """

    def __init__(self, hardware: Mapping[str, bytes], own: Mapping[str, Sequence[str]]) -> None:
        self._hardware = hardware
        self._own = own
        self._known: dict[tuple[str, str], _Neighbour] = {}
        self._silent: dict[tuple[str, str], None] = {}
        """Those that were asked and have not answered, in the order in which they were."""

    def forget_all(self) -> None:
        """Lose all that was learnt."""
        self._known.clear()
        self._silent.clear()

    def send(
        self, device: str, hop: str, packet: bytes, now: float, offload: Offload = NO_OFFLOAD
    ) -> list[Frame]:
        """Return the frames that take a packet to a neighbour; a question first where it is not known.

        ``packet`` begins with the Ethernet type.
        """
        neighbour = self._known.get((device, hop))
        if neighbour is None:
            neighbour = self._known[device, hop] = _Neighbour()
            self._silent[device, hop] = None
        frames = []
        if now - neighbour.asked >= (FRESH if neighbour.hardware else ASK_EVERY):
            neighbour.asked, neighbour.times = now, neighbour.times + 1
            frames.append(self._question(device, hop))
        if neighbour.hardware is not None:
            frames.append(self._to(device, neighbour.hardware, packet, offload))
        elif len(neighbour.waiting) < WAITING_LIMIT:
            neighbour.waiting.append((packet, offload))
        return frames

    def ask_again(self, now: float) -> list[Frame]:
        """Return the questions that are due, and give up neighbours that were asked often enough."""
        frames = []
        for device, hop in list(self._silent):
            neighbour = self._known[device, hop]
            if now - neighbour.asked < ASK_EVERY:
                continue
            if neighbour.times >= ASK_TIMES:
                del self._known[device, hop], self._silent[device, hop]
                continue
            neighbour.asked, neighbour.times = now, neighbour.times + 1
            frames.append(self._question(device, hop))
        return frames

    @property
    def is_waiting(self) -> bool:
        """Whether somebody has not answered yet."""
        return bool(self._silent)

    def arp_untrusted(self, device: str, body: bytes) -> list[Frame]:
        """Return what an ARP message leads to: an answer, or packets that waited for it.

        Raises:
            WireFormatError: it is no ARP message of IPv4 over Ethernet.
        """
        if len(body) < _ARP.size:
            raise WireFormatError("an ARP message has 28 bytes")
        link, protocol, *lengths, operation, hardware, sender, _, target = _ARP.unpack_from(body)
        if (link, protocol, lengths) != (1, ETHERNET_IPV4, [6, 4]):
            raise WireFormatError("an ARP message of another kind of network")
        frames = self._learn(device, address_text(sender), hardware)
        if operation == 1 and address_text(target) in self._own[device]:
            frames.append(self._arp(device, 2, hardware, target, hardware, sender))
        return frames

    def discovery_untrusted(self, device: str, packet: bytes) -> list[Frame] | None:
        """Return what a neighbour discovery packet of IPv6 leads to, None for any other packet.

        Raises:
            WireFormatError: it is cut off.
        """
        if len(packet) < 44 or packet[6] != ICMPV6 or packet[40] not in range(133, 138):
            return None
        kind, source = packet[40], address_text(packet[8:24])
        if kind not in {_SOLICITATION, _ADVERTISEMENT}:
            return []
        if len(packet) < 64:
            raise WireFormatError("a neighbour discovery message that is cut off")
        target = address_text(packet[48:64])
        hardware = _option(packet[64:], _SOURCE_LINK if kind == _SOLICITATION else _TARGET_LINK)
        if kind == _ADVERTISEMENT:
            return self._learn(device, target, hardware) if hardware else []
        frames = self._learn(device, source, hardware) if hardware and source != "::" else []
        if hardware and target in self._own[device]:
            frames.append(self._advertisement(device, target, source, hardware))
        return frames

    def _learn(self, device: str, address: str, hardware: bytes) -> list[Frame]:
        neighbour = self._known.get((device, address))
        if neighbour is None:
            return []  # nobody of interest: a box need not know who else is on its links
        neighbour.hardware, neighbour.times = hardware, 0
        self._silent.pop((device, address), None)
        waiting, neighbour.waiting = neighbour.waiting, []
        return [self._to(device, hardware, packet, offload) for packet, offload in waiting]

    def _to(self, device: str, hardware: bytes, packet: bytes, offload: Offload) -> Frame:
        return Frame(device, hardware + self._hardware[device] + packet, offload)

    def _question(self, device: str, hop: str) -> Frame:
        if ":" not in hop:
            own = next(a for a in self._own[device] if ":" not in a)
            return self._arp(device, 1, BROADCAST, packed(own), bytes(6), packed(hop))
        target = packed(hop)
        group = b"\xff\x02" + bytes(9) + b"\x01\xff" + target[13:]
        own = next(a for a in self._own[device] if ":" in a)
        message = bytes([_SOLICITATION, 0, 0, 0]) + bytes(4) + target + _SOURCE_LINK + self._hardware[device]
        return self._ipv6(device, b"\x33\x33\xff" + target[13:], packed(own), group, message)

    def _arp(
        self, device: str, operation: int, to: bytes, sender: bytes, hardware: bytes, target: bytes
    ) -> Frame:
        own = self._hardware[device]
        body = _ARP.pack(1, ETHERNET_IPV4, 6, 4, operation, own, sender, hardware, target)
        return Frame(device, to + own + ETHERNET_ARP.to_bytes(2) + body)

    def _advertisement(self, device: str, target: str, to: str, hardware: bytes) -> Frame:
        flags = _SOLICITED_OVERRIDE_ROUTER.to_bytes(4)
        own = self._hardware[device]
        message = bytes([_ADVERTISEMENT, 0, 0, 0]) + flags + packed(target) + _TARGET_LINK + own
        return self._ipv6(device, hardware, packed(target), packed(to), message)

    def _ipv6(self, device: str, to: bytes, source: bytes, destination: bytes, message: bytes) -> Frame:
        field_ = checksum(pseudo_header(source, destination, len(message), ICMPV6) + message)
        message = message[:2] + field_.to_bytes(2) + message[4:]
        header = struct.pack("!IHBB", 6 << 28, len(message), ICMPV6, 255) + source + destination
        packet = ETHERNET_IPV6.to_bytes(2) + header + message
        return self._to(device, to, packet, NO_OFFLOAD)


def _option(options: bytes, wanted: bytes) -> bytes | None:
    """Return the hardware address of a link-layer address option, if it is there."""
    while len(options) >= 8 and options[1]:
        if options[:2] == wanted:
            return options[2:8]
        options = options[options[1] * 8 :]
    return None
