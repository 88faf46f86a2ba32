"""SimPy on the virtual clock: its processes, queues and resources share the loop's one agenda with asyncio.

For waiting lines and crowds, which exist in virtual time alone: the channels of a trunk, the capacity of a
zone, a population that is counted and not played one by one. Endpoints, arrivals of calls and faults are
asyncio programs, because both worlds run those; SimPy's own timeouts cannot be cancelled.
"""

from __future__ import annotations

from typing import Any, NoReturn

import simpy
from simpy.events import URGENT, Event

from lab.sim.clock import VirtualLoop


class LoopEnvironment(simpy.Environment):
    """A SimPy environment driven by a :class:`VirtualLoop`: ``env.now`` is the loop's time in seconds."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        super().__init__(initial_time=loop.time())

    @property
    def now(self) -> float:
        """Virtual seconds."""
        return self._loop.time()

    def schedule(self, event: Event, priority: int = 1, delay: float = 0) -> None:
        """Put an event into the loop's agenda; URGENT ones go before all others of their instant."""
        post = self._loop.post_urgent if priority == URGENT else self._loop.post
        post(self._loop.time() + delay, _process, event)

    def step(self) -> NoReturn:
        """Refuse: the loop runs the events.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("the virtual loop runs this environment: await what you wait for")

    def run(self, until: Any = None) -> NoReturn:
        """Refuse: the loop runs the events.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("the virtual loop runs this environment: await what you wait for")

    async def wait_for(self, event: Event) -> Any:
        """Wait, in an asyncio program, for a SimPy event (or process).

        Return its value or raise its failure.
        """
        future = self._loop.create_future()
        if event.processed:
            _settle(future, event)
        else:
            event.callbacks.append(lambda done: _settle(future, done))
        return await future


def _settle(future: Any, event: Event) -> None:
    if future.done():
        return
    if event.ok:
        future.set_result(event.value)
    else:
        event.defused = True
        future.set_exception(event.value)


def _process(event: Event) -> None:
    callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
    for callback in callbacks:
        callback(event)
    if not event.ok and not event.defused:
        assert isinstance(event.value, BaseException)
        raise event.value
