"""One line to make calls on a topology in virtual time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from lab.handle import Lab
from lab.measure.calls import CallRecord, calls_of
from lab.sim.lab import simulate
from lab.spec.event import Event, EventType
from lab.spec.find import load_topology


@dataclass
class Played:
    """What a scenario gave."""

    events: list[Event]
    invalid: str

    @property
    def call(self) -> CallRecord:
        """The only call."""
        (call,) = calls_of(self.events)
        return call

    def of(self, *types: EventType, node: str = "") -> list[Event]:
        return [e for e in self.events if e.type in types and node in {"", e.node}]

    def drop_reasons(self, where: str) -> set[str]:
        return {str(e.data["reason"]) for e in self.of(EventType.PACKET_DROPPED, node=where)}


@pytest.fixture
def play() -> Callable[..., Played]:
    """Run a scenario (default: alice calls bob) on a shipped topology with these parameters."""

    def run(
        topology: str,
        scenario: Callable[[Lab], Awaitable[object]] | None = None,
        *,
        seed: int = 1,
        deadline: float = 20_000.0,
        **parameters: object,
    ) -> Played:
        async def act(lab: Lab) -> None:
            await (scenario(lab) if scenario else lab.call("alice", "bob"))

        events, invalid = simulate(
            load_topology(topology, parameters),
            act,
            parameters,
            run_seed=seed,
            trial_key="test",
            deadline=deadline,
            event_budget=5_000_000,
        )
        return Played(events, invalid)

    return run
