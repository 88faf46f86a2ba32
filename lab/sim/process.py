"""A host's program as its operating system sees it: something that runs, is stopped, or is dead.

All tasks, timers and sockets of a program carry its process in their context. A process that is stopped runs
no code: what would have run is held. Its kernel goes on: TCP acknowledges into buffers, datagrams queue up to
the size of a socket's receive buffer. One that is dead never runs again, not even to clean up.
"""

from __future__ import annotations

import contextvars
import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.sim.handles import VirtualHandle, VirtualTimer


class ProcessState(enum.Enum):
    """What a process is doing."""

    RUNNING = "running"
    PAUSED = "paused"
    DEAD = "dead"


class SimProcess:
    """One life of a host's program."""

    __slots__ = ("is_stopped", "ready", "state", "timers")

    def __init__(self) -> None:
        self.state = ProcessState.RUNNING
        self.is_stopped = False
        """Whether it runs no code: paused or dead. Asked for every packet, hence no property."""
        self.ready: list[VirtualHandle | VirtualTimer] = []
        """Callbacks that would have run, in order."""
        self.timers: list[tuple[float, int, VirtualTimer]] = []
        """Timers taken from the clock, with the places that they had there."""

    def enter(self, state: ProcessState) -> None:
        """Change the state."""
        self.state = state
        self.is_stopped = state is not ProcessState.RUNNING


_PROCESS: contextvars.ContextVar[SimProcess] = contextvars.ContextVar("simulated_process")

KERNEL_CONTEXT = contextvars.Context()
"""In which hosts, routers and NAT boxes set timers of their own: those of no program, whoever caused them."""


def process_of(context: contextvars.Context | None = None) -> SimProcess | None:
    """Return the process that code in ``context`` (None: the running code) is part of, if of any."""
    return _PROCESS.get(None) if context is None else context.get(_PROCESS)


def enter_process(process: SimProcess) -> None:
    """Make the running context part of ``process``, for good."""
    _PROCESS.set(process)
