"""A network in virtual time that stays open: each action drives its loop for as long as it needs."""

from __future__ import annotations

import math
import threading
from asyncio import events as asyncio_events
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final, TypeVar

from lab.errors import Problem, TrialInvalid, UsageError
from lab.live.programs import LiveTask
from lab.live.spec import LabSpec
from lab.live.world import LiveWorld
from lab.measure.trace import PacketTrace
from lab.run.packet_trace import TraceRecorder, trace_of
from lab.sim.capture import Capture
from lab.sim.clock import VirtualLoop
from lab.sim.garbage import rare_garbage_collection
from lab.sim.lab import SimLab
from lab.sim.network import SimNetwork
from lab.sim.rebind import aioice_on_simulated_hosts
from lab.spec.event import EventType
from lab.spec.network import Network

T = TypeVar("T")

_ONE_AT_A_TIME: Final = threading.RLock()
"""Names inside aioice are replaced while a loop is driven: for the whole process, so one loop at a time."""


class VirtualWorld(LiveWorld[SimLab]):
    """A simulated network, its clock, and every packet that it carried."""

    def __init__(self, spec: LabSpec, network: Network) -> None:
        deadline = math.inf if spec.deadline is None else spec.deadline
        self._loop = VirtualLoop(deadline=deadline, event_budget=spec.event_budget)  # type: ignore[abstract]
        self._packets = Capture(network)
        self._recorder = TraceRecorder(self._packets) if spec.keeps_packets else None
        self._network = SimNetwork(
            network, self._loop, run_seed=spec.seed, trial_key=spec.trial.key, capture=self._recorder
        )
        self.lab = SimLab(self._network, spec.parameters)
        self._network.emit(EventType.TRIAL_STARTED, topology=network.name)
        self.run(lambda lab: lab.start_roles())

    def run(self, action: Callable[[SimLab], Coroutine[Any, Any, T]]) -> T:
        """Drive the loop until the action is done.

        Raises:
            UsageError: it is driven already, or another loop runs in this thread.
            TrialInvalid: the lab has used up its budget of events, or was closed.
        """
        if asyncio_events._get_running_loop() is not None:  # noqa: SLF001 - the one that raises is no use here
            found = "a lab in virtual time cannot be driven from inside an event loop"
            suggestion = (
                "in a test: a plain `def`, no `async def`; in a program of a host: use asyncio itself"
            )
            raise UsageError(Problem("", found, suggestion=suggestion))
        with _ONE_AT_A_TIME, aioice_on_simulated_hosts(), rare_garbage_collection():
            if self._loop.is_closed():
                raise TrialInvalid("the lab is closed")
            return self._loop.run_until_complete(action(self.lab))

    def start_task(
        self, node: str, program: Callable[..., Coroutine[Any, Any, T]], arguments: tuple[object, ...]
    ) -> LiveTask[T]:
        """Run a coroutine function as a program of a host; it begins with the next action."""
        name = f"{getattr(program, '__qualname__', 'a program')} on {node}"
        host = self._network.host(node)
        return LiveTask(name, host.start(program(*arguments), name=name), self.run)

    def trace(self) -> PacketTrace | None:
        """Return what every packet did until now, if that is kept."""
        if self._recorder is None:
            return None
        return trace_of(self._network.spec, self._recorder, self._network.events)

    def capture(self, nodes: Collection[str] = ()) -> bytes:
        """Return every packet that these nodes, or all, saw until now as pcapng; empty if none is kept."""
        return b"" if self._recorder is None else self._packets.to_pcapng(nodes)

    def close(self) -> None:
        """Power everything off, and let programs clean up."""
        with _ONE_AT_A_TIME, aioice_on_simulated_hosts():
            if not self._loop.is_closed():
                happened, self._network.events = self._network.events, []
                self._network.listener = self._network.capture = None
                self._network.power_off()
                self._loop.close()
                self._network.events = happened  # what the shutdown says is no part of it
