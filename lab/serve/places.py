"""Where the servers of this user are found: one socket each, in a directory that nobody else may enter."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.errors import HostNotReady, Problem, UsageError

RUNTIME_VARIABLE: Final = "CALLPATH_RUNTIME_DIR"

_ENDING: Final = ".sock"
_LONGEST_PATH: Final = 107
"""Bytes of a Unix socket's path (unix(7): 108 with the zero at its end)."""


def runtime_directory() -> Path:
    """Return this user's directory of sockets, made where there is none.

    Raises:
        HostNotReady: it cannot be made, or is not this user's alone.
    """
    chosen, session = os.environ.get(RUNTIME_VARIABLE), os.environ.get("XDG_RUNTIME_DIR")
    path = Path(chosen or (f"{session}/callpath" if session else f"/tmp/callpath-{os.getuid()}"))  # noqa: S108 - checked below
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise HostNotReady(
            f"{path}: {error.strerror}\n  {RUNTIME_VARIABLE} names another directory"
        ) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise HostNotReady(
            f"{path}: not a directory of this user's alone (mode 700): others could pose as a lab\n"
            f"  {RUNTIME_VARIABLE} names another directory"
        )
    return path


@dataclass(frozen=True, kw_only=True)
class Found:
    """The socket of a server, by name; ``is_alive`` is whether somebody listens."""

    name: str
    path: Path
    is_alive: bool


def servers() -> list[Found]:
    """Return what there is in this user's directory, alive or not, by name."""
    return [
        Found(name=path.name.removesuffix(_ENDING), path=path, is_alive=is_alive(path))
        for path in sorted(runtime_directory().glob(f"*{_ENDING}"))
    ]


def is_alive(path: Path) -> bool:
    """Whether somebody listens on a socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (BlockingIOError, TimeoutError):
            return True  # it has a queue of others, or is stopped
        except OSError:
            return False
    return True


def listen(path: Path) -> socket.socket:
    """Return a socket that listens at a path, this user's alone; a dead one there is replaced.

    Raises:
        UsageError: somebody else listens there, something else is there, or the path is too long.
        HostNotReady: the directory does not let it be made.
    """
    where = str(path)
    if len(os.fsencode(where)) > _LONGEST_PATH:
        raise UsageError(
            Problem(where, f"{len(where)} bytes", f"a path of at most {_LONGEST_PATH} for a socket")
        )
    with _one_at_a_time(path):
        if path.is_symlink() or path.exists():
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise UsageError(Problem(where, "something else is there", "a path for a socket"))
            if is_alive(path):
                raise UsageError(Problem(where, "another server listens there", "another name or path"))
            path.unlink()
        listening = socket.socket(socket.AF_UNIX)
        try:
            mask = os.umask(0o077)
            try:
                listening.bind(where)
            finally:
                os.umask(mask)
            listening.listen(64)
        except OSError as error:
            listening.close()
            raise HostNotReady(f"{where}: {error.strerror}") from None
    return listening


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Let nobody else look at or take a socket's place meanwhile."""
    try:
        handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise HostNotReady(f"{path.parent}: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def place_of(name: str) -> Path:
    """Return where the server of a name has its socket."""
    return runtime_directory() / f"{name}{_ENDING}"


def remove_dead() -> list[str]:
    """Remove the sockets that nobody listens on; return their names."""
    gone = []
    directory = runtime_directory()
    with _one_at_a_time(directory / "any"):
        for found in servers():
            if not found.is_alive:
                found.path.unlink(missing_ok=True)
                gone.append(found.name)
    return gone
