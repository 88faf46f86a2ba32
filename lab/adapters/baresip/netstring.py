"""Netstrings, in which baresip's ctrl_tcp frames its JSON: ``5:hello,`` (D. J. Bernstein, 1997)."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 1 << 20
"""Bytes of one; the longest of baresip's, a list of its commands, has some thousands."""
_LENGTH_DIGITS: Final = len(str(LONGEST))


class ControlError(ValueError):
    """What came is not what baresip's control channel says."""


def encode_netstring(payload: bytes) -> bytes:
    """Return the payload with its frame."""
    return b"%d:%s," % (len(payload), payload)


class NetstringReader:
    """Takes bytes as they come, gives whole payloads."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed_untrusted(self, data: bytes) -> list[bytes]:
        """Return the payloads that are complete with these bytes.

        Raises:
            ControlError: it is no netstring; nothing after it can be read.
        """
        self._buffer += data
        found = []
        while (payload := self._next()) is not None:
            found.append(payload)
        return found

    def _next(self) -> bytes | None:
        head, colon, _ = self._buffer[: _LENGTH_DIGITS + 1].partition(b":")
        if head and not head.isdigit():
            raise ControlError(f"no netstring: {bytes(self._buffer[:40])!r}")
        if not colon:
            if len(head) > _LENGTH_DIGITS:
                raise ControlError(f"a netstring longer than {LONGEST} bytes")
            return None
        if not head or int(head) > LONGEST:
            raise ControlError(
                f"a netstring of {head.decode() or 'no'} bytes, at most {LONGEST} are expected"
            )
        begin, end = len(head) + 1, len(head) + 1 + int(head)
        if len(self._buffer) <= end:
            return None
        if self._buffer[end : end + 1] != b",":
            raise ControlError("a netstring without its comma")
        payload = bytes(self._buffer[begin:end])
        del self._buffer[: end + 1]
        return payload
