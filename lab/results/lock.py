"""One process a run directory: who writes into it holds a lock, and a reader can ask who that is.

The lock is a record lock (POSIX ``fcntl``), which belongs to a process: it ends with it, however it ends, and
the processes that run trials do not inherit it. It would also end where the process closes any other
descriptor of the file; so within the process a set says what is held, and nothing else opens it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path
from typing import Final

from lab.errors import HostNotReady, UsageError
from lab.results.document import cannot_be_written

LOCK_FILE: Final = "lock"

_FLOCK: Final = "hhqqi4x"
"""Linux's ``struct flock`` on 64 bits: type, whence, start, length, pid."""
_BUSY: Final = {errno.EACCES, errno.EAGAIN}

_held: set[Path] = set()
"""The lock files of this process."""


class RunLock:
    """The right to write into a run directory, until it is released or the process ends."""

    def __init__(self, path: Path) -> None:
        self._path = path / LOCK_FILE
        self._descriptor = -1

    def take(self) -> None:
        """Take the lock.

        Raises:
            UsageError: another process has it, or this one already.
            HostNotReady: the directory cannot be written to, or its file system has no locks.
        """
        own = self._path.resolve()
        if own in _held:
            raise UsageError(_busy(self._path.parent))
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise cannot_be_written(self._path, error) from None
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            self._descriptor = -1
            if error.errno in _BUSY:
                raise UsageError(_busy(self._path.parent)) from None
            raise HostNotReady(f"{self._path}: cannot be locked ({error.strerror})") from None
        _held.add(own)

    def release(self) -> None:
        """Let others write; does nothing where the lock was not taken."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            _held.discard(self._path.resolve())


def holder(path: Path) -> int | None:
    """Return the id of the process that writes into a run directory: None if none does, 0 if unknown."""
    file = path / LOCK_FILE
    if file.resolve() in _held:
        return os.getpid()
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        with file.open("rb") as opened:
            kind, _, _, _, process = struct.unpack(_FLOCK, fcntl.fcntl(opened, fcntl.F_GETLK, asked))
    except OSError:
        return None
    return None if kind == fcntl.F_UNLCK else max(0, int(process))


def process_words(process: int) -> str:
    """Return who holds a lock, in words; of another process namespace no id is known."""
    return f"process {process}" if process else "another process"


def _busy(path: Path) -> str:
    who = process_words(holder(path) or 0)
    return f"{path}/ is in use: {who} is still running it\n  wait for it to end, or end it; then resume"
