"""Who made a namespace: a mark by which anybody can tell later whether its maker still runs.

A process number alone may be another process's by then. With the time at which the process began, in the
kernel's ticks since it was booted, it is one process's own; and it means something only in the process
namespace that it was read in.
"""

from __future__ import annotations

import enum
import os
import re
from pathlib import Path
from typing import Final

MAKER_VARIABLE: Final = "CALLPATH_MAKER"
"""In the environment of every process of a namespace: its maker's mark."""

_MARK: Final = re.compile(r"(\d+):(\d+):(\d+)", re.ASCII)
_START: Final = 19
"""Of a process's fields after its name in ``/proc/PID/stat``: when it began (proc(5), field 22)."""


class MakerState(enum.Enum):
    """What a mark tells of a maker."""

    RUNS = "runs"
    GONE = "gone"
    ELSEWHERE = "cannot be told from here"
    """No mark, or that of another process namespace."""


def own_mark() -> str:
    """Return the mark of this process."""
    return f"{os.getpid()}:{_began(os.getpid())}:{_process_namespace()}"


def maker_state(mark: str) -> MakerState:
    """Return whether the process that made a mark still runs."""
    match = _MARK.fullmatch(mark)
    if match is None or match[3] != _process_namespace():
        return MakerState.ELSEWHERE
    return MakerState.RUNS if _began(int(match[1])) == match[2] else MakerState.GONE


def maker_number(mark: str) -> int:
    """Return the maker's process number; 0 of what is no mark."""
    match = _MARK.fullmatch(mark)
    return int(match[1]) if match else 0


def _began(process: int) -> str:
    """Return when a process began; empty where there is none, or one that has ended and is not collected."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    after_name = fields.rpartition(")")[2].split()
    return "" if after_name[0] in {"Z", "X"} else after_name[_START]


def _process_namespace() -> str:
    return re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))
