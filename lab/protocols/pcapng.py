"""A writer of pcapng, the capture file format of draft-ietf-opsawg-pcapng.

It writes no date and nothing about this machine: equal captures are equal bytes. Timestamps are nanoseconds
of a trial's clock, which begins at 0: an analyser that shows dates shows 1 January 1970.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from ipaddress import IPv4Address, IPv6Address

_SECTION_HEADER: Final = 0x0A0D0D0A
_INTERFACE_DESCRIPTION: Final = 1
_NAME_RESOLUTION: Final = 4
_INTERFACE_STATISTICS: Final = 5
_ENHANCED_PACKET: Final = 6

_BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D
_LINKTYPE_RAW: Final = 101
"""Packets begin with the IP header; its version tells IPv4 from IPv6."""
_NANOSECONDS: Final = 9
_UNLIMITED: Final = 0

_COMMENT: Final = 1
_SECTION_HARDWARE, _SECTION_OS, _SECTION_APPLICATION = 2, 3, 4
_INTERFACE_NAME, _INTERFACE_DESCRIPTION_TEXT = 2, 3
_INTERFACE_IPV4, _INTERFACE_IPV6, _INTERFACE_RESOLUTION = 4, 5, 9
_PACKET_FLAGS, _PACKET_ID = 2, 5
_NAME_IPV4, _NAME_IPV6 = 1, 2
_RECEIVED, _DROPPED_BY_SYSTEM = 4, 7

_INBOUND, _OUTBOUND = 1, 2

Option = tuple[int, bytes]


class PcapngWriter:
    """Writes one section to a binary stream: first the section, then interfaces, then packets."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._interfaces = 0

    def write_section(self, comment: str = "", *, hardware: str = "", system: str = "") -> None:
        """Begin the file: who wrote it, and in which world."""
        texts = ((_SECTION_HARDWARE, hardware), (_SECTION_OS, system), (_SECTION_APPLICATION, "callpath"))
        options = [
            *_comments([comment] if comment else []),
            *((code, text.encode()) for code, text in texts if text),
        ]
        length_unknown = -1
        self._block(_SECTION_HEADER, struct.pack("<IHHq", _BYTE_ORDER_MAGIC, 1, 0, length_unknown), options)

    def write_interface(self, name: str, addresses: Sequence[str] = (), description: str = "") -> int:
        """Describe an interface (addresses with prefix length); return the number that packets refer to."""
        options = [(_INTERFACE_NAME, name.encode())]
        if description:
            options.append((_INTERFACE_DESCRIPTION_TEXT, description.encode()))
        options += [_address_option(address) for address in addresses]
        options.append((_INTERFACE_RESOLUTION, bytes([_NANOSECONDS])))
        self._block(_INTERFACE_DESCRIPTION, struct.pack("<HHI", _LINKTYPE_RAW, 0, _UNLIMITED), options)
        self._interfaces += 1
        return self._interfaces - 1

    def write_names(self, names: Mapping[IPv4Address | IPv6Address, Iterable[str]]) -> None:
        """Say which names addresses have, for analysers that show names."""
        body = b""
        for address, known in names.items():
            kind = _NAME_IPV4 if address.version == 4 else _NAME_IPV6
            body += _record(kind, address.packed + b"".join(name.encode() + b"\0" for name in known))
        self._block(_NAME_RESOLUTION, body + _record(0, b""), [])

    def write_packet(
        self,
        interface: int,
        time: float,
        data: bytes,
        *,
        outbound: bool,
        packet_id: int = 0,
        comments: Sequence[str] = (),
    ) -> None:
        """Add a packet that an interface sent (``outbound``) or got at ``time`` (seconds).

        ``packet_id`` is the same wherever the same packet is seen; 0 is none.
        """
        if not 0 <= interface < self._interfaces:
            raise ValueError(f"interface {interface} was not described")
        head = struct.pack("<III", interface, *_stamp(time)) + struct.pack("<II", len(data), len(data))
        options = [(_PACKET_FLAGS, struct.pack("<I", _OUTBOUND if outbound else _INBOUND))]
        if packet_id:
            options.append((_PACKET_ID, struct.pack("<Q", packet_id)))
        self._block(_ENHANCED_PACKET, head + _padded(data), [*options, *_comments(comments)])

    def write_statistics(self, interface: int, time: float, *, received: int, dropped: int) -> None:
        """Say how many packets came by an interface until ``time``, and how many of them are missing."""
        counts = ((_RECEIVED, received), (_DROPPED_BY_SYSTEM, dropped))
        options = [(code, struct.pack("<Q", count)) for code, count in counts]
        self._block(_INTERFACE_STATISTICS, struct.pack("<III", interface, *_stamp(time)), options)

    def _block(self, kind: int, body: bytes, options: Sequence[Option]) -> None:
        body += b"".join(_record(code, value) for code, value in options)
        if options:
            body += _record(0, b"")
        length = struct.pack("<I", len(body) + 12)
        self._stream.write(struct.pack("<I", kind) + length + body + length)


def _stamp(time: float) -> tuple[int, int]:
    """Return a timestamp's two halves, the high one first."""
    stamp = round(time * 10**_NANOSECONDS)
    return stamp >> 32, stamp & 0xFFFF_FFFF


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _record(code: int, value: bytes) -> bytes:
    """Return an option, or a name record: they are made alike."""
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _comments(texts: Iterable[str]) -> list[Option]:
    return [(_COMMENT, _clipped(text)) for text in texts]


def _clipped(text: str) -> bytes:
    """Return UTF-8 of at most what an option can hold, cut between characters."""
    return text.encode()[:0xFFFF].decode(errors="ignore").encode()


def _address_option(address: str) -> Option:
    interface: IPv4Interface | IPv6Interface = ip_interface(address)
    if isinstance(interface, IPv4Interface):
        return _INTERFACE_IPV4, interface.packed + interface.netmask.packed
    return _INTERFACE_IPV6, interface.packed + bytes([interface.network.prefixlen])
