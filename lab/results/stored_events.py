"""Where a run directory has the events of a trial: in a shard of its own, or among those of all trials.

While a run goes on each trial has a shard; when it is over they are joined into ``events.jsonl``, in trial
order. There is no index beside it: each line says whose it is, and one pass finds where each trial begins.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from lab.errors import Problem, UsageError

_TAIL: Final = 4096
"""Bytes that hold the whole last line of a trial: ``trial.ended`` is short."""
_PIECE: Final = 1 << 20
_ENDED: Final = b'"type":"trial.ended"'


def sha256_of(events: str | bytes) -> str:
    """Return the hash of a trial's events as they are stored."""
    return hashlib.sha256(events.encode() if isinstance(events, str) else events).hexdigest()


class EventsPlace(NamedTuple):
    """Where one trial's events are: a file, and bytes of it; without ``length`` all from ``offset`` on."""

    path: Path
    offset: int = 0
    length: int | None = None

    def read(self) -> str:
        """Return the events, one JSON object a line.

        Raises:
            UsageError: they cannot be read.
        """
        try:
            return self._content().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(Problem(str(self.path), f"cannot be read: {error}")) from None

    def sha256(self) -> str:
        """Return the hash of the events.

        Raises:
            UsageError: they cannot be read.
        """
        try:
            return sha256_of(self._content())
        except OSError as error:
            raise UsageError(Problem(str(self.path), f"cannot be read: {error}")) from None

    def _content(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(-1 if self.length is None else self.length)

    def copy_to(self, target: BinaryIO) -> None:
        """Write the events to the end of an open file, a piece at a time.

        Raises:
            OSError: they cannot be read, or not be written.
        """
        with self.path.open("rb") as file:
            file.seek(self.offset)
            left = self.path.stat().st_size - self.offset if self.length is None else self.length
            while left > 0 and (piece := file.read(min(left, _PIECE))):
                target.write(piece)
                left -= len(piece)

    def is_whole(self) -> bool:
        """Return whether the last line is there, and says that the trial ended."""
        try:
            with self.path.open("rb") as file:
                length = self.path.stat().st_size - self.offset if self.length is None else self.length
                skipped = max(0, length - _TAIL)
                file.seek(self.offset + skipped)
                tail = file.read(length - skipped)
        except OSError:
            return False
        return tail.endswith(b"\n") and _ENDED in tail[tail.rfind(b"\n", 0, -1) + 1 :]


def find_in_joined(path: Path, keys: Iterable[str]) -> dict[str, EventsPlace]:
    """Return where each trial's events are in a file of all of them; those that are not in it are left out.

    Args:
        path: the file.
        keys: of the trials, in the order in which they were joined.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        if path.stat().st_size == 0:
            return {}  # nothing can be mapped
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            begins = _beginnings(content, keys)
            end = content.rfind(b"\n") + 1  # what follows was cut off, whosever it was
            ends = [*(begin for _, begin in begins[1:]), end]
    except OSError as error:
        raise UsageError(Problem(str(path), f"cannot be read: {error.strerror}")) from None
    places = zip(begins, ends, strict=False)  # no trial was found, but there is an end
    return {key: EventsPlace(path, begin, end - begin) for (key, begin), end in places if end > begin}


def _beginnings(content: mmap.mmap, keys: Iterable[str]) -> list[tuple[str, int]]:
    found, position = [], 0
    for key in keys:
        # Inside a text of an event the quotes would have backslashes: only the key of the line itself fits.
        at = content.find(b'"trial":"%s"' % key.encode(), position)
        if at >= 0:
            position = content.rfind(b"\n", position, at) + 1 or position
            found.append((key, position))
    return found
