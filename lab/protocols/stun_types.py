"""What STUN messages and attributes are called: numbers of RFC 8489, RFC 8656, RFC 8445 and RFC 5780."""

from __future__ import annotations

import enum
from typing import Final


class MessageClass(enum.IntEnum):
    """What a message is in its transaction (RFC 8489 §5)."""

    REQUEST = 0
    INDICATION = 1
    SUCCESS = 2
    ERROR = 3


class Method(enum.IntEnum):
    """Methods of RFC 8489 §18.2 and RFC 8656 §17."""

    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009


class Attribute(enum.IntEnum):
    """Attribute types (RFC 8489 §18.3, RFC 8656 §18, RFC 8445 §20, RFC 5780 §9.1)."""

    MAPPED_ADDRESS = 0x0001
    CHANGE_REQUEST = 0x0003
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_ADDRESS_FAMILY = 0x0017
    EVEN_PORT = 0x0018
    REQUESTED_TRANSPORT = 0x0019
    DONT_FRAGMENT = 0x001A
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    PASSWORD_ALGORITHM = 0x001D
    USERHASH = 0x001E
    XOR_MAPPED_ADDRESS = 0x0020
    RESERVATION_TOKEN = 0x0022
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    PADDING = 0x0026
    RESPONSE_PORT = 0x0027
    ADDITIONAL_ADDRESS_FAMILY = 0x8000
    ADDRESS_ERROR_CODE = 0x8001
    PASSWORD_ALGORITHMS = 0x8002
    ALTERNATE_DOMAIN = 0x8003
    ICMP = 0x8004
    SOFTWARE = 0x8022
    ALTERNATE_SERVER = 0x8023
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A
    RESPONSE_ORIGIN = 0x802B
    OTHER_ADDRESS = 0x802C


def join_type(method: int, message_class: int) -> int:
    """Return the 14-bit message type, class bits woven into the method's (RFC 8489 §5)."""
    woven = method & 0x00F | (method & 0x070) << 1 | (method & 0xF80) << 2
    return woven | (message_class & 1) << 4 | (message_class & 2) << 7


def split_type(message_type: int) -> tuple[int, MessageClass]:
    """Return (method, class) of a 14-bit message type."""
    method = message_type & 0x00F | message_type >> 1 & 0x070 | message_type >> 2 & 0xF80
    return method, MessageClass(message_type >> 4 & 1 | message_type >> 7 & 2)


MESSAGE_TYPES: Final = {join_type(m, c): (int(m), c) for m in Method for c in MessageClass}
"""(method, class) of every message type of a known method: a dict is faster than shifting bits."""
