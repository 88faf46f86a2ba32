"""Nonces without a table: when they end, and a keyed hash that binds that to the client (RFC 8489 §9.2)."""

from __future__ import annotations

import base64
import hmac
import random
from functools import lru_cache
from typing import Final

from lab.protocols.stun_auth import signature
from lab.protocols.turn_server.actions import FiveTuple

NONCE_COOKIE: Final = "obMatJos2"
"""Starts the nonces of servers with security features; 24 bits of them follow in base64 (RFC 8489 §9.2)."""
PASSWORD_ALGORITHMS_BIT: Final = 0x800000
USERNAME_ANONYMITY_BIT: Final = 0x400000


class Nonces:
    """Makes nonces and knows them again.

    They hold for one 5-tuple, as coturn's do: a client whose NAT gives it a new port is told 438.
    """

    def __init__(self, lifetime: float, random: random.Random, *, features: int = 0) -> None:
        self._lifetime = lifetime
        self._random = random
        self._prefix = NONCE_COOKIE + base64.b64encode(features.to_bytes(3)).decode() if features else ""
        self._secret = random.randbytes(16)

    def rotate(self) -> None:
        """Make every nonce given out so far stale."""
        self._secret = self._random.randbytes(16)

    def issue(self, five_tuple: FiveTuple, now: float) -> str:
        """Return a nonce for this client, valid for the configured time."""
        return self._sign(f"{round((now + self._lifetime) * 1000):x}", five_tuple)

    def is_fresh(self, nonce: str, five_tuple: FiveTuple, now: float) -> bool:
        """Return whether the nonce was issued to this client and is still valid."""
        end, _, _ = nonce[len(self._prefix) :].partition("-")
        if not hmac.compare_digest(self._sign(end, five_tuple).encode(), nonce.encode()):
            return False
        return now * 1000 < int(end, 16)

    def _sign(self, end: str, five_tuple: FiveTuple) -> str:
        return f"{self._prefix}{end}-{_keyed_hash(self._secret, end, five_tuple)}"


@lru_cache(maxsize=1024)  # a client comes with its nonce several times in a row
def _keyed_hash(secret: bytes, end: str, five_tuple: FiveTuple) -> str:
    transport, client, server = five_tuple
    bound = f"{end} {transport} {client} {server}".encode()
    return signature(secret, bound, "sha256")[:8].hex()
