"""The other end of a server's socket, for the command line: ask, and be told."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from lab.errors import (
    CallpathError,
    HostNotReady,
    NothingSelected,
    Problem,
    ProgramFailed,
    TrialInvalid,
    UsageError,
)

_ERRORS: Final[Mapping[str, type[CallpathError]]] = {
    "host-not-ready": HostNotReady,
    "invalid": TrialInvalid,
    "program-failed": ProgramFailed,
}

PATIENCE: Final = 15.0
"""Seconds that a server may take to say who it is: one builds its first lab before, one that is stopped
never does."""


class Client:
    """A connection to a server. A context manager.

    Args:
        path: the server's Unix socket.
        patience: seconds for each answer; None: as long as it takes.

    Raises:
        NothingSelected: nobody listens there.
        HostNotReady: somebody does, and does not answer.
    """

    def __init__(self, path: Path, *, patience: float | None = None) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._place = path
        try:
            self._socket.connect(str(path))
        except TimeoutError:
            raise HostNotReady(
                f"{path}: the server there does not answer: it is stopped, or busy with its start"
            ) from None
        except OSError as error:
            raise NothingSelected(f"{path}: no server there ({error.strerror})") from None
        self._lines = self._socket.makefile("rb")
        self.hello = self.ask("hello")
        self._socket.settimeout(patience)

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """Ask for something and wait for its answer; return the result.

        Raises:
            CallpathError: what the server says is wrong, as the same class here.
        """
        with contextlib.suppress(OSError):  # what it had to say before it ended is read all the same
            self._socket.sendall(json.dumps({"do": do, **fields}).encode() + b"\n")
        answer = self._next()
        while "event" in answer:
            answer = self._next()
        if answer["ok"]:
            result: dict[str, Any] = answer["result"]
            return result
        raise _as_error(answer["error"])

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield events as they are told, until the server ends."""
        while True:
            try:
                yield self._next()
            except HostNotReady:
                return

    def _next(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise HostNotReady(
                f"{self._place}: the server there does not answer: it is stopped, or busy with its start"
            ) from None
        except OSError as error:
            raise HostNotReady(f"{self._place}: {error.strerror}") from None
        if not line:
            raise HostNotReady(f"{self._place}: the server there has ended")
        try:
            document: dict[str, Any] = json.loads(line)
        except ValueError:
            raise HostNotReady(f"{self._place}: what listens there is no server of callpath's") from None
        return document

    def close(self) -> None:
        """Close the connection; the server goes on."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _as_error(told: Mapping[str, Any]) -> CallpathError:
    if told["kind"] == "usage":
        return UsageError(*(Problem(**{"where": "", "found": "", **problem}) for problem in told["problems"]))
    return _ERRORS.get(told["kind"], CallpathError)(told["message"])
