"""What the handles on real networks share: events as they are heard, by one clock, and how a trial ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Mapping, Sequence

from lab.errors import TrialInvalid
from lab.handle import Lab
from lab.measure.trial_end import SCENARIO_DONE
from lab.spec.event import Event, EventType, JsonValue
from lab.spec.network import Network
from lab.spec.seeds import stream


class RealTimeLab(Lab):
    """A handle whose events come from other processes, in the order in which they are heard of."""

    def __init__(
        self, network: Network, parameters: Mapping[str, object], *, run_seed: int, trial_key: str
    ) -> None:
        super().__init__(network, parameters)
        self._run_seed, self._trial_key = run_seed, trial_key
        self._events: list[Event] = []

    @property
    def events(self) -> Sequence[Event]:
        """Everything that was heard so far: of each node in order."""
        return self._events

    def emit(
        self,
        type_: EventType,
        *,
        node: str = "",
        call: str = "",
        packet_id: int = 0,
        cause_id: int = 0,
        count: int = 1,
        **data: JsonValue,
    ) -> None:
        """Record an event now."""
        self._record(
            Event(
                time=self.now, type=type_, node=node, call=call, packet_id=packet_id, cause_id=cause_id,
                count=count, data=data,
            )
        )  # fmt: skip

    def _record(self, event: Event) -> None:
        self._events.append(event)
        self.observe(event)

    def random(self, purpose: str) -> random.Random:
        """Return the scenario's seeded generator for one purpose."""
        return stream(self._run_seed, self._trial_key, "scenario", purpose)

    def _happened_until(self, end: Event) -> list[Event]:
        """Return the events by time, up to that one and with it as the last."""
        earlier = (event for event in self._events if event is not end and event.time <= end.time)
        return [*sorted(earlier, key=lambda event: event.time), end]


async def how_it_ends(playing: Awaitable[None], deadline: float) -> str:
    """Play a trial; return the reason of its end, as its last event is to tell it.

    Args:
        playing: the network's beginning, and the scenario on it.
        deadline: seconds in which it has to come to its end.
    """
    try:
        async with asyncio.timeout(deadline):
            await playing
    except TrialInvalid as error:
        return str(error)
    except TimeoutError:
        return f"the trial did not end by its deadline of {deadline:g} s"
    return SCENARIO_DONE
