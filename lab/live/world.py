"""What a world provides to a lab that stays open."""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Generic, TypeVar

from lab.errors import Problem, UsageError
from lab.handle import Lab
from lab.live.programs import LiveProcess, LiveTask
from lab.measure.trace import PacketTrace

T = TypeVar("T")
LabT = TypeVar("LabT", bound=Lab)


class LiveWorld(abc.ABC, Generic[LabT]):
    """A running network, and the thread in which its :class:`~lab.handle.Lab` may be used."""

    lab: LabT

    @abc.abstractmethod
    def run(self, action: Callable[[LabT], Coroutine[Any, Any, T]]) -> T:
        """Do something with the lab and wait for it. The action bounds itself.

        Raises:
            CallpathError: what the action raised, or what ended the network meanwhile.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """End the network, and whatever runs on it."""

    @property
    def pid(self) -> int:
        """The process that is the namespaces' first, as this process sees it; 0 where there is none."""
        return 0

    def start_task(
        self, node: str, program: Callable[..., Coroutine[Any, Any, T]], arguments: tuple[object, ...]
    ) -> LiveTask[T]:
        """Run a coroutine function as a program of a host.

        Raises:
            UsageError: coroutines do not run in this world.
        """
        found = f"{getattr(program, '__qualname__', program)!r} on {node}: the kernel world runs programs"
        raise UsageError(Problem("", found, "a command line, as host.start([...]) takes it"))

    def start_process(
        self, node: str, command: Sequence[str], *, directory: str, environment: Mapping[str, str]
    ) -> LiveProcess:
        """Run a program of this machine on a host.

        Raises:
            UsageError: programs do not run in this world, or there is no such program.
        """
        found = f"{' '.join(command)!r} on {node}: no program of this machine runs in virtual time"
        raise UsageError(Problem("", found, 'a coroutine function (host.start_async), or world="emu"'))

    def trace(self) -> PacketTrace | None:
        """Return what every packet did until now, where that is kept."""
        return None

    def capture(self, nodes: Collection[str] = ()) -> bytes:
        """Return every packet that these nodes, or all, saw until now as pcapng; empty where none is kept."""
        return b""

    def outputs(self) -> Mapping[str, str]:
        """Return what the lab's own programs have printed, by node."""
        return {}
