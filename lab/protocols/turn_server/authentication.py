"""The server side of the long-term credential mechanism (RFC 8489 §9.2.4)."""

from __future__ import annotations

import random
from typing import Final

from lab.protocols.stun import Attribute, Message
from lab.protocols.stun_auth import long_term_key, long_term_key_sha256, userhash
from lab.protocols.turn_server.actions import FiveTuple
from lab.protocols.turn_server.config import RelayConfig
from lab.protocols.turn_server.nonces import PASSWORD_ALGORITHMS_BIT, USERNAME_ANONYMITY_BIT, Nonces
from lab.protocols.turn_server.request import Identity, RequestRefused

MD5: Final = 1
SHA256: Final = 2
OFFERED_ALGORITHMS: Final = bytes.fromhex("0002000000010000")
"""PASSWORD-ALGORITHMS: SHA-256, then MD5, neither with parameters (RFC 8489 §14.11)."""


class Authenticator:
    """Checks requests against the configured users."""

    def __init__(self, config: RelayConfig, random: random.Random) -> None:
        self._config = config
        self._features = config.security_features
        bits = PASSWORD_ALGORITHMS_BIT | USERNAME_ANONYMITY_BIT if self._features else 0
        self.nonces = Nonces(config.nonce_lifetime, random, features=bits)
        self._by_hash = {userhash(name, config.realm): name for name in config.users}

    def authenticate(self, message: Message, five_tuple: FiveTuple, now: float) -> Identity:
        """Return who signed the request.

        Raises:
            RequestRefused: 401 (nobody, or wrong credentials), 400 (half of it missing), 438 (stale nonce).
        """
        if not message.is_signed:
            raise self._challenge(401, "", five_tuple, now)
        nonce = message.text(Attribute.NONCE)
        if nonce is None or Attribute.REALM not in message:
            raise RequestRefused(400, "signed, but without realm or nonce")
        username = self._username(message)
        password = self._config.users.get(username)
        if password is None:
            raise self._challenge(401, f"no user {username!r}", five_tuple, now)
        key = self._key(message, username, password)
        if not message.verify(key):
            raise self._challenge(401, f"wrong password for {username!r}", five_tuple, now)
        if not self.nonces.is_fresh(nonce, five_tuple, now):
            raise self._challenge(438, "the nonce is too old or another client's", five_tuple, now)
        return Identity(username, key, message.is_signed_sha256)

    def _username(self, message: Message) -> str:
        hashed = message.get(Attribute.USERHASH) if self._features else None
        if hashed is not None:
            return self._by_hash.get(hashed, "")
        username = message.text(Attribute.USERNAME)
        if username is None:
            raise RequestRefused(400, "signed, but without a user name")
        return username

    def _key(self, message: Message, username: str, password: str) -> bytes:
        chosen = message.get(Attribute.PASSWORD_ALGORITHM)
        listed = message.get(Attribute.PASSWORD_ALGORITHMS)
        algorithm = MD5
        if self._features and (chosen is not None or listed is not None):
            # Both must come, the list as it was offered: else somebody on the way took the better one out.
            algorithm = int.from_bytes(chosen[:2]) if chosen is not None else 0
            if listed != OFFERED_ALGORITHMS or algorithm not in {MD5, SHA256}:
                raise RequestRefused(400, "password algorithms are not those offered")
        derive = long_term_key_sha256 if algorithm == SHA256 else long_term_key
        return derive(username, self._config.realm, password)

    def _challenge(self, code: int, detail: str, five_tuple: FiveTuple, now: float) -> RequestRefused:
        attributes = [
            (int(Attribute.REALM), self._config.realm.encode()),
            (int(Attribute.NONCE), self.nonces.issue(five_tuple, now).encode()),
        ]
        if self._features:
            attributes.append((int(Attribute.PASSWORD_ALGORITHMS), OFFERED_ALGORITHMS))
        return RequestRefused(code, detail, attributes)
