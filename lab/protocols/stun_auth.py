"""Keys of STUN's credential mechanisms (RFC 8489 §9), from passwords to the bytes that sign."""

from __future__ import annotations

import hashlib
import unicodedata
from functools import lru_cache
from typing import Any, Final

_BLOCK_BYTES: Final = 64  # of SHA-1 and SHA-256
_INNER: Final = bytes(value ^ 0x36 for value in range(256))
_OUTER: Final = bytes(value ^ 0x5C for value in range(256))


def opaque_string(text: str) -> str:
    """Return ``text`` as the OpaqueString profile prepares it (RFC 8265 §4.2): spaces unified, NFC."""
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    return unicodedata.normalize("NFC", spaced)


def short_term_key(password: str) -> bytes:
    """Return the key of the short-term mechanism, which ICE checks use (RFC 8489 §9.1.1)."""
    return opaque_string(password).encode()


@lru_cache(maxsize=65536)
def long_term_key(username: str, realm: str, password: str) -> bytes:
    """Return the 16-byte key of the long-term mechanism with the MD5 algorithm (RFC 8489 §18.5.1.1)."""
    return hashlib.md5(_joined(username, realm, password), usedforsecurity=False).digest()


@lru_cache(maxsize=65536)
def long_term_key_sha256(username: str, realm: str, password: str) -> bytes:
    """Return the 32-byte key of the long-term mechanism with the SHA-256 algorithm (RFC 8489 §18.5.1.2)."""
    return hashlib.sha256(_joined(username, realm, password)).digest()


@lru_cache(maxsize=1024)
def signature(key: bytes, covered: bytes, algorithm: str) -> bytes:
    """Return the HMAC of what a signature covers; ``algorithm`` is ``sha1`` or ``sha256`` (RFC 8489 §14.5).

    What one side signs the other verifies a little later: in virtual time both do so here, and the second
    finds what the first computed.
    """
    started_inner, started_outer = _started(key, algorithm)
    inner, outer = started_inner.copy(), started_outer.copy()
    inner.update(covered)
    outer.update(inner.digest())
    return bytes(outer.digest())


@lru_cache(maxsize=512)
def _started(key: bytes, algorithm: str) -> tuple[Any, Any]:
    """Return HMAC's two hashes after the key (RFC 2104 §4 keeps them so): half of what a short message costs.

    A key signs dozens of messages of a call; `hmac.digest` begins anew each time.
    """
    if len(key) > _BLOCK_BYTES:
        key = hashlib.new(algorithm, key).digest()
    padded = key.ljust(_BLOCK_BYTES, b"\0")
    return hashlib.new(algorithm, padded.translate(_INNER)), hashlib.new(algorithm, padded.translate(_OUTER))


def userhash(username: str, realm: str) -> bytes:
    """Return the 32 bytes of USERHASH, which stands for the user name in the clear (RFC 8489 §14.4)."""
    return hashlib.sha256(f"{opaque_string(username)}:{opaque_string(realm)}".encode()).digest()


def _joined(username: str, realm: str, password: str) -> bytes:
    return f"{opaque_string(username)}:{opaque_string(realm)}:{opaque_string(password)}".encode()
