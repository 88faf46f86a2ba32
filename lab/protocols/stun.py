"""STUN messages (RFC 8489), with the attributes of TURN (RFC 8656), ICE (RFC 8445), RFC 5780.

Reading: :func:`parse_message_untrusted` checks the frame and the fingerprint and keeps values as bytes;
an attribute is decoded when it is asked for. Writing: :class:`MessageBuilder` appends encoded attributes
and signs once. A message is never encoded twice: that is where codecs in Python lose their time.
"""

from __future__ import annotations

import hmac
import struct
from binascii import crc32
from collections.abc import Container
from typing import Final, NamedTuple, Self

from lab.errors import WireFormatError
from lab.protocols.stun_address import (
    MAGIC_COOKIE,
    pack_address,
    pack_xor_address,
    unpack_address_untrusted,
    unpack_xor_address_untrusted,
)
from lab.protocols.stun_auth import signature
from lab.protocols.stun_types import MESSAGE_TYPES, Attribute, MessageClass, Method, join_type, split_type
from nat_models.packet import TransportAddress

__all__ = [
    "Attribute",
    "ErrorCode",
    "Message",
    "MessageBuilder",
    "MessageClass",
    "Method",
    "join_type",
    "looks_like_stun",
    "parse_message_untrusted",
    "split_type",
]

HEADER_BYTES: Final = 20
TRANSACTION_ID_BYTES: Final = 12
FINGERPRINT_MASK: Final = 0x5354554E
FIRST_OPTIONAL_ATTRIBUTE: Final = 0x8000
"""Attribute types from here on may be ignored by who does not know them (RFC 8489 §14)."""

_HEADER: Final = struct.Struct("!HHI12s")
_HEADER_START: Final = struct.Struct("!HHI")
_PREFIX: Final = struct.Struct("!HH")
# Plain integers: looking a name up in an enum costs as much as reading an attribute.
_INTEGRITY: Final = int(Attribute.MESSAGE_INTEGRITY)
_INTEGRITY_SHA256: Final = int(Attribute.MESSAGE_INTEGRITY_SHA256)
_FINGERPRINT: Final = int(Attribute.FINGERPRINT)
_PADDING: Final = (b"", b"\x00\x00\x00", b"\x00\x00", b"\x00")


class ErrorCode(NamedTuple):
    """The value of ERROR-CODE (RFC 8489 §14.8): ``code`` in 300..699 and a reason for people."""

    code: int
    reason: str


class Message:
    """A received message: checked frame, attributes decoded on demand.

    Each accessor returns None (or an empty list) where the attribute is absent and raises
    :class:`~lab.errors.WireFormatError` where its value is malformed.
    """

    __slots__ = ("_integrity_at", "_repeated", "_sha256_at", "_values", "message_class", "method", "raw")

    def __init__(self, raw: bytes, method: int, message_class: MessageClass) -> None:
        self.raw = raw
        self.method = method
        self.message_class = message_class
        self._values: dict[int, bytes] = {}
        self._repeated: list[tuple[int, bytes]] = []
        self._integrity_at = 0
        self._sha256_at = 0

    @property
    def transaction_id(self) -> bytes:
        """The 96 bits that pair a response with its request."""
        return self.raw[8:HEADER_BYTES]

    def __contains__(self, attribute: int) -> bool:
        return attribute in self._values

    def get(self, attribute: int) -> bytes | None:
        """Return the value of the first attribute of this type, undecoded."""
        return self._values.get(attribute)

    def get_all(self, attribute: int) -> list[bytes]:
        """Return the values of every attribute of this type, in order."""
        first = self._values.get(attribute)
        if first is None:
            return []
        return [first, *(value for kind, value in self._repeated if kind == attribute)]

    def text(self, attribute: int) -> str | None:
        """Return a UTF-8 value (USERNAME, REALM, NONCE, SOFTWARE)."""
        value = self._values.get(attribute)
        return None if value is None else _decode(value)

    def uint8(self, attribute: int) -> int | None:
        """Return the first byte of a value of 4 bytes (REQUESTED-TRANSPORT) or of one (EVEN-PORT)."""
        value = self._sized(attribute, 1, 4)
        return None if value is None else value[0]

    def uint16(self, attribute: int) -> int | None:
        """Return the first two bytes of a value of 4 bytes, or of 2 (CHANNEL-NUMBER, RESPONSE-PORT)."""
        value = self._sized(attribute, 2, 4)
        return None if value is None else value[0] << 8 | value[1]

    def uint32(self, attribute: int) -> int | None:
        """Return a 32-bit value (LIFETIME in seconds, PRIORITY, CHANGE-REQUEST flags)."""
        value = self._sized(attribute, 4, 4)
        return None if value is None else int.from_bytes(value)

    def uint64(self, attribute: int) -> int | None:
        """Return a 64-bit value (ICE-CONTROLLING and ICE-CONTROLLED tie-breakers)."""
        value = self._sized(attribute, 8, 8)
        return None if value is None else int.from_bytes(value)

    def address(self, attribute: int) -> TransportAddress | None:
        """Return a plain address (MAPPED-ADDRESS, OTHER-ADDRESS, RESPONSE-ORIGIN, ALTERNATE-SERVER)."""
        value = self._values.get(attribute)
        return None if value is None else unpack_address_untrusted(value)

    def xor_address(self, attribute: int) -> TransportAddress | None:
        """Return an exclusive-or'd address (XOR-MAPPED-, XOR-PEER-, XOR-RELAYED-ADDRESS)."""
        value = self._values.get(attribute)
        return None if value is None else unpack_xor_address_untrusted(value, self.transaction_id)

    def xor_addresses(self, attribute: int) -> list[TransportAddress]:
        """Return every exclusive-or'd address of this type (CreatePermission carries several peers)."""
        return [unpack_xor_address_untrusted(value, self.transaction_id) for value in self.get_all(attribute)]

    @property
    def mapped_address(self) -> TransportAddress | None:
        """The reflexive address a Binding or Allocate response tells, from whichever attribute it has."""
        return self.xor_address(Attribute.XOR_MAPPED_ADDRESS) or self.address(Attribute.MAPPED_ADDRESS)

    @property
    def error(self) -> ErrorCode | None:
        """The decoded ERROR-CODE."""
        value = self._values.get(Attribute.ERROR_CODE)
        if value is None:
            return None
        if len(value) < 4 or not 3 <= value[2] & 7 <= 6 or value[3] > 99:
            raise WireFormatError("ERROR-CODE is none of 300 to 699")
        return ErrorCode((value[2] & 7) * 100 + value[3], _decode(value[4:]))

    @property
    def unknown_attributes(self) -> list[int]:
        """The attribute types that UNKNOWN-ATTRIBUTES lists (RFC 8489 §14.13)."""
        value = self._values.get(Attribute.UNKNOWN_ATTRIBUTES, b"")
        if len(value) & 1:
            raise WireFormatError("UNKNOWN-ATTRIBUTES has half a type at its end")
        return list(struct.unpack(f"!{len(value) // 2}H", value))

    def required_but_not_in(self, known: Container[int]) -> list[int]:
        """Return the comprehension-required attribute types that ``known`` lacks, in order."""
        return [kind for kind in self._values if kind < FIRST_OPTIONAL_ATTRIBUTE and kind not in known]

    @property
    def is_signed(self) -> bool:
        """Whether the message carries an integrity attribute of either kind."""
        return bool(self._integrity_at or self._sha256_at)

    @property
    def is_signed_sha256(self) -> bool:
        """Whether the message carries MESSAGE-INTEGRITY-SHA256."""
        return bool(self._sha256_at)

    def verify(self, key: bytes) -> bool:
        """Return whether the message was signed with ``key``; false where it was not signed at all.

        The SHA-256 signature is the one that counts where both are present (RFC 8489 §9.2.4).
        """
        if self._sha256_at:
            value = self._values[Attribute.MESSAGE_INTEGRITY_SHA256]
            expected = self._digest(key, self._sha256_at, len(value), "sha256")[: len(value)]
            return hmac.compare_digest(expected, value)
        if self._integrity_at:
            expected = self._digest(key, self._integrity_at, 20, "sha1")
            return hmac.compare_digest(expected, self._values[Attribute.MESSAGE_INTEGRITY])
        return False

    def describe(self) -> str:
        """Return a name for people: ``Allocate request``, ``ChannelBind error 403 Forbidden``."""
        name = _METHOD_NAMES.get(self.method, f"method {self.method:#05x}")
        words = f"{name} {_CLASS_NAMES[self.message_class]}"
        error = self.error if self.message_class is MessageClass.ERROR else None
        return f"{words} {error.code} {error.reason}" if error else words

    def _sized(self, attribute: int, least: int, most: int) -> bytes | None:
        value = self._values.get(attribute)
        if value is not None and not least <= len(value) <= most:
            raise WireFormatError(f"attribute {attribute:#06x} has {len(value)} bytes, not {least} to {most}")
        return value

    def _digest(self, key: bytes, at: int, length: int, algorithm: str) -> bytes:
        # The header's length counts up to and with the signature, whatever follows it (RFC 8489 §14.5).
        covered = at + 4 + length - HEADER_BYTES
        return signature(key, self.raw[:2] + covered.to_bytes(2) + self.raw[4:at], algorithm)


_METHOD_NAMES: Final = {int(m): m.name.title().replace("_", "") for m in Method}
_CLASS_NAMES: Final = {
    c: c.name.lower() if c is not MessageClass.SUCCESS else "success" for c in MessageClass
}


def _decode(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise WireFormatError("text that is not UTF-8") from None


def looks_like_stun(data: bytes) -> bool:
    """Return whether the first bytes are a STUN header's (demultiplexing, RFC 8489 §5 and RFC 7983)."""
    return len(data) >= HEADER_BYTES and data[0] < 0x40 and data[4:8] == b"\x21\x12\xa4\x42"


def parse_message_untrusted(data: bytes) -> Message:
    """Return the message in one datagram or one deframed stretch of a stream.

    Attributes after MESSAGE-INTEGRITY are left out but for MESSAGE-INTEGRITY-SHA256 and FINGERPRINT:
    nobody vouches for them (RFC 8489 §14.5). A wrong FINGERPRINT means that this is no STUN message (§14.7).

    Raises:
        WireFormatError: not a STUN message.
    """
    size = len(data)
    if size < HEADER_BYTES:
        raise WireFormatError(f"{size} bytes are too few for a STUN header")
    message_type, length, cookie = _HEADER_START.unpack_from(data)
    if message_type & 0xC000 or cookie != MAGIC_COOKIE:
        raise WireFormatError("no STUN header: wrong first bits or magic cookie")
    if length & 3 or length + HEADER_BYTES != size:
        raise WireFormatError(f"the header says {length} bytes follow it, {size - HEADER_BYTES} do")
    method, message_class = MESSAGE_TYPES.get(message_type) or split_type(message_type)
    message = Message(data, method, message_class)
    _read_attributes(message, size)
    return message


def _read_attributes(message: Message, size: int) -> None:
    data, values, at = message.raw, message._values, HEADER_BYTES  # noqa: SLF001 - the constructor's second half
    while at < size:
        kind, length = _PREFIX.unpack_from(data, at)
        value = data[at + 4 : at + 4 + length]
        following = at + 4 + length + (-length & 3)
        if following > size:
            raise WireFormatError(f"attribute {kind:#06x} is longer than the message")
        if kind == _FINGERPRINT:
            _check_fingerprint(data, at, value, following == size)
            values[kind] = value
        elif message._sha256_at:  # noqa: SLF001
            pass
        elif kind == _INTEGRITY_SHA256:
            if not 16 <= length <= 32 or length & 3:
                raise WireFormatError(f"MESSAGE-INTEGRITY-SHA256 of {length} bytes")
            message._sha256_at = at  # noqa: SLF001
            values[kind] = value
        elif message._integrity_at:  # noqa: SLF001
            pass
        elif kind in values:
            message._repeated.append((kind, value))  # noqa: SLF001
        else:
            if kind == _INTEGRITY:
                if length != 20:
                    raise WireFormatError(f"MESSAGE-INTEGRITY of {length} bytes")
                message._integrity_at = at  # noqa: SLF001
            values[kind] = value
        at = following


def _check_fingerprint(data: bytes, at: int, value: bytes, is_last: bool) -> None:
    if not is_last or len(value) != 4:
        raise WireFormatError("FINGERPRINT is not the last attribute, or not 4 bytes long")
    if crc32(data[:at]) ^ FINGERPRINT_MASK != int.from_bytes(value):
        raise WireFormatError("FINGERPRINT does not match the message")


class MessageBuilder:
    """A message being written: append attributes in wire order, then :meth:`finish` once.

    ``transaction_id`` is 12 bytes from the caller's seeded randomness, or the request's for a response.
    """

    __slots__ = ("_parts", "_transaction_id", "_type")

    def __init__(self, method: int, message_class: int, transaction_id: bytes) -> None:
        if len(transaction_id) != TRANSACTION_ID_BYTES:
            raise ValueError(f"a transaction id has 12 bytes, not {len(transaction_id)}")
        self._type = join_type(method, message_class)
        self._transaction_id = transaction_id
        self._parts: list[bytes] = []

    def add(self, attribute: int, value: bytes = b"") -> Self:
        """Append a value as it is, padded with zeros to four bytes."""
        length = len(value)
        self._parts.append(_PREFIX.pack(attribute, length) + value + _PADDING[length & 3])
        return self

    def text(self, attribute: int, value: str) -> Self:
        """Append UTF-8 text."""
        return self.add(attribute, value.encode())

    def uint8(self, attribute: int, value: int) -> Self:
        """Append one byte followed by three reserved ones (REQUESTED-TRANSPORT, REQUESTED-ADDRESS-FAMILY)."""
        return self.add(attribute, bytes((value, 0, 0, 0)))

    def uint16(self, attribute: int, value: int) -> Self:
        """Append two bytes followed by two reserved ones (CHANNEL-NUMBER, RESPONSE-PORT)."""
        return self.add(attribute, value.to_bytes(2) + b"\x00\x00")

    def uint32(self, attribute: int, value: int) -> Self:
        """Append a 32-bit value (LIFETIME, PRIORITY, CHANGE-REQUEST)."""
        return self.add(attribute, value.to_bytes(4))

    def uint64(self, attribute: int, value: int) -> Self:
        """Append a 64-bit value (ICE-CONTROLLING, ICE-CONTROLLED)."""
        return self.add(attribute, value.to_bytes(8))

    def address(self, attribute: int, address: TransportAddress) -> Self:
        """Append a plain address."""
        return self.add(attribute, pack_address(address))

    def xor_address(self, attribute: int, address: TransportAddress) -> Self:
        """Append an exclusive-or'd address."""
        return self.add(attribute, pack_xor_address(address, self._transaction_id))

    def error(self, code: int, reason: str, attribute: int = Attribute.ERROR_CODE) -> Self:
        """Append ERROR-CODE (RFC 8489 §14.8); ``code`` in 300..699."""
        return self.add(attribute, bytes((0, 0, code // 100, code % 100)) + reason.encode())

    def finish(self, *, key: bytes | None = None, sha256: bool = False, fingerprint: bool = False) -> bytes:
        """Return the encoded message.

        Args:
            key: Sign with this key (RFC 8489 §9); None leaves the message unsigned.
            sha256: Sign with MESSAGE-INTEGRITY-SHA256 in place of MESSAGE-INTEGRITY.
            fingerprint: End with FINGERPRINT (§14.7).
        """
        body = b"".join(self._parts)
        if key is not None:
            length = 32 if sha256 else 20
            kind = _INTEGRITY_SHA256 if sha256 else _INTEGRITY
            covered = self._header(len(body) + 4 + length) + body
            body += _PREFIX.pack(kind, length) + signature(key, covered, "sha256" if sha256 else "sha1")
        if fingerprint:
            checksum = crc32(self._header(len(body) + 8) + body) ^ FINGERPRINT_MASK
            body += _PREFIX.pack(_FINGERPRINT, 4) + checksum.to_bytes(4)
        return self._header(len(body)) + body

    def _header(self, length: int) -> bytes:
        return _HEADER.pack(self._type, length, MAGIC_COOKIE, self._transaction_id)
