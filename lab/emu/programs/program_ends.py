"""How programs of the machine that play a node's part come to their ends, in words and as errors."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

from lab.errors import HostNotReady

LAST_LINES: Final = 8
"""Of its output, told where it fails."""

_OWN_OUTPUT: Final = Path("/proc/self/fd/1")


class ProgramEnded(HostNotReady):
    """A program has come to its end; the message has its last words."""


class ProgramNotReady(HostNotReady):
    """A program does not begin to serve, and without it a trial would show nothing; with its last words."""


def how_it_ended(name: str, status: int) -> str:
    """Return in words how a program ended."""
    if status >= 0:
        return f"{name} ended with exit status {status}"
    try:
        return f"{name} was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"{name} was ended by signal {-status}"


def with_last_lines(text: str) -> str:
    """Return words with the last lines that this process and the programs it started have printed."""
    try:
        return with_last_lines_of(_OWN_OUTPUT, text)
    except OSError:  # the output is no file
        return text


def with_last_lines_of(output: Path, text: str) -> str:
    """Return words with the last lines of a file.

    Raises:
        OSError: it cannot be read.
    """
    lines = output.read_text(errors="replace").strip().splitlines()[-LAST_LINES:]
    return "\n  ".join([text + ("; it said last" if lines else ""), *lines])
