"""The `Lab` handle on a simulated network, and the run of one scenario on it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, cast

from lab.errors import TrialInvalid, UsageError
from lab.handle import Lab
from lab.measure.trial_end import SCENARIO_DONE
from lab.roles.catalogue import CommandedRole, make_role, require_sip_gateways
from lab.roles.refusal import refuse
from lab.sim.capture import Capture
from lab.sim.clock import VirtualLoop
from lab.sim.failures import FailureReporter
from lab.sim.garbage import rare_garbage_collection
from lab.sim.nat_box import SimNatBox
from lab.sim.network import SimNetwork
from lab.sim.rebind import aioice_on_simulated_hosts
from lab.spec.command import decode_command
from lab.spec.event import Event, EventType
from lab.spec.impairment import Impairment
from lab.spec.network import Network, programs_of
from lab.spec.packet_drop import DropPackets


class SimLab(Lab):
    """A handle on a network in virtual time. Make one with :func:`simulate`."""

    def __init__(self, network: SimNetwork, parameters: Mapping[str, object]) -> None:
        super().__init__(network.spec, parameters)
        require_sip_gateways(network.spec, on_kernel_plane=False)
        self.simulated = network
        network.listener = self.observe
        self._commanded: dict[str, CommandedRole] = {}
        self._programs: dict[str, asyncio.Task[None]] = {}
        self._killed: set[str] = set()
        self.failures = FailureReporter(network)

    @property
    def events(self) -> Sequence[Event]:
        """Everything that happened so far, in order."""
        return self.simulated.events

    def random(self, purpose: str) -> random.Random:
        """Return the scenario's seeded generator for one purpose."""
        return self.simulated.random("scenario", purpose)

    async def start_roles(self) -> None:
        """Start the programs of all hosts, and wait until those that take commands are ready, or failed."""
        for name in programs_of(self.network):
            self._start_role(name)
        for name, commanded in self._commanded.items():
            if not commanded.ready.is_set():
                await _first_of(commanded.ready.wait(), self._programs[name])

    def _start_role(self, name: str) -> None:
        node, host = self.network.nodes[name], self.simulated.host(name)
        role = make_role(node, self.network, host)
        if hasattr(role, "handle"):
            self._commanded[name] = cast(CommandedRole, role)
        self._programs[name] = host.start(role.run(), name=node.role)
        self._programs[name].add_done_callback(partial(self._role_ended, name))

    def _role_ended(self, node: str, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.report(node, error, program=task.get_name())

    def _send(self, node: str, encoded: bytes) -> None:
        role = self._commanded.get(node)
        if role is None:
            raise UsageError(f"{node} takes no commands")
        if node in self._killed or _was_broken_off(self._programs[node]):
            refuse(self.simulated.emit, node, decode_command(encoded))
            return
        self.simulated.host(node).call_soon(role.handle, encoded)

    def _set_link(self, label: str, forward: Impairment, backward: Impairment) -> None:
        self.simulated.impair(label, forward, backward)

    def _cut(self, label: str) -> None:
        self.simulated.cut(label)

    def _heal(self, label: str) -> None:
        self.simulated.heal(label)

    def _drop(self, drop: DropPackets) -> None:
        self.simulated.drop_packets(drop)

    def _reboot_nat(self, name: str) -> None:
        self._box(name).reboot()

    def _flush_nat(self, name: str) -> None:
        self._box(name).flush()

    def _box(self, name: str) -> SimNatBox:
        box = self.simulated.nodes[name]
        assert isinstance(box, SimNatBox)
        return box

    def _state(self, node: str) -> str:
        return "dead" if node in self._killed else self.simulated.host(node).state.value

    def _kill(self, node: str) -> None:
        # Told first: what the kernel then says to peers is a consequence.
        self._tell(EventType.ROLE_KILLED, node)
        self._killed.add(node)
        self.simulated.host(node).kill()

    def _start(self, node: str) -> None:
        self._killed.discard(node)
        self._tell(EventType.ROLE_RESTARTED, node)
        self._start_role(node)

    def _pause(self, node: str) -> None:
        self._tell(EventType.ROLE_PAUSED, node)
        self.simulated.host(node).pause()

    def _resume(self, node: str) -> None:
        self._tell(EventType.ROLE_RESUMED, node)
        self.simulated.host(node).resume()

    def _tell(self, type_: EventType, node: str) -> None:
        self.simulated.emit(type_, node=node, program=self.network.nodes[node].role)

    def _detach(self, node: str) -> None:
        self.simulated.detach(node)

    def _attach(self, node: str, label: str) -> None:
        self.simulated.attach(node, label)


def simulate(
    spec: Network,
    scenario: Callable[[Lab], Awaitable[None]],
    parameters: Mapping[str, object],
    *,
    run_seed: int,
    trial_key: str,
    deadline: float,
    event_budget: int,
    capture: Capture | None = None,
) -> tuple[list[Event], str]:
    """Run a scenario in virtual time; return its events and, if the trial is invalid, why (else ``""``).

    Args:
        deadline: virtual seconds; a trial that runs on is invalid.
        event_budget: events; a trial that needs more is invalid.
        capture: filled with every packet, where given.
    """
    with aioice_on_simulated_hosts(), rare_garbage_collection():
        loop = VirtualLoop(deadline=deadline, event_budget=event_budget)  # type: ignore[abstract]  # threads, files
        network = SimNetwork(spec, loop, run_seed=run_seed, trial_key=trial_key, capture=capture)
        outcome = _run_to_the_end(SimLab(network, parameters), scenario)
        if loop.is_done:  # a program that was killed is in the middle of something
            network.take_apart()
        return outcome


def _run_to_the_end(lab: SimLab, scenario: Callable[[Lab], Awaitable[None]]) -> tuple[list[Event], str]:
    network, loop, invalid = lab.simulated, lab.simulated.loop, ""
    try:
        network.emit(EventType.TRIAL_STARTED, topology=network.spec.name)
        loop.run_until_complete(_play(lab, scenario))
    except TrialInvalid as error:
        invalid = str(error)
    finally:
        lab.failures.report_abandoned()
        reason = invalid or SCENARIO_DONE
        network.emit(
            EventType.TRIAL_ENDED, reason=reason, events=loop.events_run, packets=network.packets_sent
        )
        events = network.events
        network.events = []  # what the shutdown says is not part of the trial
        network.power_off()
        loop.close()
    return events, invalid


async def _first_of(step: Coroutine[Any, Any, object], other: asyncio.Task[None]) -> None:
    """Wait for a step, unless the task ends before it."""
    waiting = asyncio.ensure_future(step)
    await asyncio.wait({waiting, other}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def _was_broken_off(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


async def _play(lab: SimLab, scenario: Callable[[Lab], Awaitable[None]]) -> None:
    await lab.start_roles()
    await scenario(lab)
