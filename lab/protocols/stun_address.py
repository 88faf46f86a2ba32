"""Addresses in STUN attributes: plain (RFC 8489 §14.1) and exclusive-or'd (§14.2).

Turning text to packed form and back is most of what a codec in Python spends its time on, so both ways are
cached; a run knows some thousands of addresses.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final

from lab.errors import WireFormatError
from nat_models.packet import TransportAddress

MAGIC_COOKIE: Final = 0x2112A442
FAMILY_IPV4: Final = 0x01
FAMILY_IPV6: Final = 0x02

_IPV4: Final = struct.Struct("!xBHI")
_PORT: Final = struct.Struct("!xBH")
_PORT_MASK: Final = MAGIC_COOKIE >> 16


@lru_cache(maxsize=65536)
def _ipv4_number(text: str) -> int:
    return int.from_bytes(inet_pton(AF_INET, text))


@lru_cache(maxsize=65536)
def _ipv4_text(number: int) -> str:
    return inet_ntop(AF_INET, number.to_bytes(4))


@lru_cache(maxsize=65536)
def _ipv6_number(text: str) -> int:
    return int.from_bytes(inet_pton(AF_INET6, text))


@lru_cache(maxsize=65536)
def _ipv6_text(number: int) -> str:
    return inet_ntop(AF_INET6, number.to_bytes(16))


def family_of(ip: str) -> int:
    """Return the STUN family number of an IP address given as text."""
    return FAMILY_IPV6 if ":" in ip else FAMILY_IPV4


def pack_address(address: TransportAddress) -> bytes:
    """Return the value of a MAPPED-ADDRESS-like attribute: 8 bytes for IPv4, 20 for IPv6.

    Raises:
        ValueError: not an IP address, or a port outside 0..65535.
    """
    ip, port = address
    try:
        if ":" in ip:
            return _PORT.pack(FAMILY_IPV6, port) + _ipv6_number(ip).to_bytes(16)
        return _IPV4.pack(FAMILY_IPV4, port, _ipv4_number(ip))
    except (OSError, struct.error):
        raise ValueError(f"not a transport address: {address!r}") from None


def pack_xor_address(address: TransportAddress, transaction_id: bytes) -> bytes:
    """Return the value of an XOR-MAPPED-ADDRESS-like attribute (RFC 8489 §14.2).

    Raises:
        ValueError: not an IP address, or a port outside 0..65535.
    """
    ip, port = address
    try:
        if ":" in ip:
            mask = MAGIC_COOKIE << 96 | int.from_bytes(transaction_id)
            return _PORT.pack(FAMILY_IPV6, port ^ _PORT_MASK) + (_ipv6_number(ip) ^ mask).to_bytes(16)
        return _IPV4.pack(FAMILY_IPV4, port ^ _PORT_MASK, _ipv4_number(ip) ^ MAGIC_COOKIE)
    except (OSError, struct.error):
        raise ValueError(f"not a transport address: {address!r}") from None


def unpack_address_untrusted(value: bytes) -> TransportAddress:
    """Return the address in a MAPPED-ADDRESS-like value.

    Raises:
        WireFormatError: the length does not fit the family, or the family is unknown.
    """
    if len(value) == 8 and value[1] == FAMILY_IPV4:
        _, port, number = _IPV4.unpack(value)
        return _ipv4_text(number), port
    if len(value) == 20 and value[1] == FAMILY_IPV6:
        return _ipv6_text(int.from_bytes(value[4:])), int.from_bytes(value[2:4])
    raise WireFormatError(f"address attribute of {len(value)} bytes fits no address family")


def unpack_xor_address_untrusted(value: bytes, transaction_id: bytes) -> TransportAddress:
    """Return the address in an XOR-MAPPED-ADDRESS-like value (RFC 8489 §14.2).

    Raises:
        WireFormatError: the length does not fit the family, or the family is unknown.
    """
    if len(value) == 8 and value[1] == FAMILY_IPV4:
        _, port, number = _IPV4.unpack(value)
        return _ipv4_text(number ^ MAGIC_COOKIE), port ^ _PORT_MASK
    if len(value) == 20 and value[1] == FAMILY_IPV6:
        mask = MAGIC_COOKIE << 96 | int.from_bytes(transaction_id)
        return _ipv6_text(int.from_bytes(value[4:]) ^ mask), int.from_bytes(value[2:4]) ^ _PORT_MASK
    raise WireFormatError(f"address attribute of {len(value)} bytes fits no address family")
