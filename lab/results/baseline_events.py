"""The events that a baseline keeps, so that the first one that differs can be shown: gzip, of bounded size.

First repetitions come before second ones: of a run too large to keep whole, a change is in them as well.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from lab.errors import Problem, UsageError
from lab.results.baseline_file import BaselineContent, TrialDigest
from lab.results.stored_events import sha256_of
from lab.results.stored_run import StoredRun

MOST_BYTES: Final = 4 * 2**20
"""Of the compressed file, which is meant for git: some four thousand trials of one short call."""
MOST_UNPACKED: Final = 128 * 2**20
"""Of what is read back, and so of what is kept: some thirty times as much, and far from what a bomb holds."""
_PENDING: Final = 2**19
"""More than zlib ever holds back: nearer to the bound than that, the exact size is found by ending a copy."""
_GZIP: Final = 31
"""What zlib calls the gzip format with its largest window; the header has no time in it."""


def pack_events(run: StoredRun, *, most_bytes: int = MOST_BYTES) -> tuple[list[TrialDigest], int, bytes]:
    """Return a digest of every trial, of how many of them events are kept, and these, compressed.

    Args:
        run: a run of which every trial was finished.
        most_bytes: of the compressed events; 0 keeps none.

    Raises:
        UsageError: a trial's events cannot be read.
    """
    digests: list[TrialDigest] = []
    packer, kept = _Packer(most_bytes), 0
    for trial in sorted(run.trials, key=lambda trial: (trial.repeat, trial.position)):
        events = run.events_of(trial)
        if kept == len(digests) and packer.add(events.encode()):
            kept += 1
        digests.append(TrialDigest(key=trial.key, events=events.count("\n"), sha256=sha256_of(events)))
    return digests, kept, packer.packed() if kept else b""


class _Packer:
    """Compresses as much as a bound allows; what would exceed it leaves no trace."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._stream = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
        self._chunks: list[bytes] = []
        self._size = self._unpacked = 0

    def add(self, content: bytes) -> bool:
        """Return whether it fits, and take it if it does."""
        if self._unpacked + len(content) > MOST_UNPACKED:
            return False
        stream = self._stream
        if self._size + len(content) + _PENDING > self._most_bytes:
            stream = stream.copy()
        chunk = stream.compress(content)
        if stream is not self._stream:
            size = self._size + len(chunk) + len(stream.copy().flush())
            if size > self._most_bytes:
                return False
        self._stream = stream
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._unpacked += len(content)
        return True

    def packed(self) -> bytes:
        """Return everything that was taken."""
        return b"".join([*self._chunks, self._stream.flush()])


def kept_events(path: Path, content: BaselineContent) -> Iterator[tuple[str, list[str]]]:
    """Yield (key, lines) of each trial whose events are kept, first repetitions first.

    Args:
        path: the compressed events.
        content: what the baseline says of them.

    Raises:
        UsageError: it cannot be read, or is not the file that the baseline was written with.
    """
    lines = iter(_lines(path, content.events_sha256))
    for trial in content.trials[: content.kept]:
        events = list(islice(lines, trial.events))
        if sha256_of("".join(f"{line}\n" for line in events)) != trial.sha256:
            raise UsageError(Problem(str(path), f"damaged: the events of trial {trial.key} are others"))
        yield trial.key, events


def _lines(path: Path, sha256: str) -> list[str]:
    try:
        packed = path.read_bytes()
        if hashlib.sha256(packed).hexdigest() != sha256:
            found = "not the file that the baseline was written with"
            raise UsageError(Problem(str(path), found, suggestion="set the baseline again, or restore it"))
        with gzip.open(path) as file:
            content = file.read(MOST_UNPACKED + 1)
    except FileNotFoundError:
        raise UsageError(Problem(str(path), "no such file", suggestion="set the baseline again")) from None
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(Problem(str(path), f"damaged: {error}")) from None
    if len(content) > MOST_UNPACKED:
        raise UsageError(Problem(str(path), f"holds more than {MOST_UNPACKED} bytes of events"))
    return content.decode(errors="replace").split("\n")
