"""Keys of STUN's credential mechanisms (RFC 8489 §9), from passwords to the bytes that sign."""

from __future__ import annotations

import hashlib
import unicodedata
from functools import lru_cache


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


def userhash(username: str, realm: str) -> bytes:
    """Return the 32 bytes of USERHASH, which stands for the user name in the clear (RFC 8489 §14.4)."""
    return hashlib.sha256(f"{opaque_string(username)}:{opaque_string(realm)}".encode()).digest()


def _joined(username: str, realm: str, password: str) -> bytes:
    return f"{opaque_string(username)}:{opaque_string(realm)}:{opaque_string(password)}".encode()
