"""`Lab`: the one typed handle on a running network, the same in both worlds.

Scripted scenarios, timelines, the interactive command line and other languages' clients all act through it.
What it asks of roles goes as encoded commands; what it answers is computed from events, as everything else
is.
"""

from __future__ import annotations

import abc
import asyncio
import random
from collections.abc import Callable, Mapping, Sequence

from lab.errors import Problem, UsageError, did_you_mean
from lab.faults import Faults
from lab.measure.calls import CallRecord, calls_of
from lab.spec.call_partners import call_problem
from lab.spec.command import (
    Answer,
    CandidatePolicy,
    Command,
    Dial,
    HangUp,
    MediaPlan,
    SendMedia,
    StartPlan,
    encode_command,
)
from lab.spec.event import Event, EventType, PathClass
from lab.spec.network import Network
from lab.units import parse_duration, parse_offset

Duration = str
"""Text with a unit, as in a scenario file: ``"200ms"``. A computed one is written ``f"{seconds}s"``, which
loses nothing. A bare number is refused: seconds and milliseconds look the same."""

_SETTLED = {EventType.ICE_CONNECTED, EventType.ICE_FAILED}
_BROKEN = {EventType.CALL_ENDED, EventType.ROLE_FAILED}
_MILESTONES = _SETTLED | _BROKEN | {EventType.CALL_STARTED}
"""Events at which a waiting scenario looks again."""


class Lab(Faults):
    """A running network: its clock, its calls, its events; what breaks it is in :class:`~lab.faults.Faults`.

    Names are the topology's; a name that does not exist is a UsageError with a suggestion.
    """

    def __init__(self, network: Network, parameters: Mapping[str, object]) -> None:
        self.network = network
        self.parameters = parameters
        self._names: set[str] = set()
        self._by_call: dict[str, list[Event]] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._lost_sides: dict[str, list[str]] = {}
        """By call, the nodes whose program was killed in it."""

    # What a world provides

    @property
    @abc.abstractmethod
    def events(self) -> Sequence[Event]:
        """Everything that happened so far, in order."""

    @abc.abstractmethod
    def random(self, purpose: str) -> random.Random:
        """Return the scenario's seeded generator for one purpose."""

    @abc.abstractmethod
    def _send(self, node: str, encoded: bytes) -> None:
        """Hand an encoded command to the role on a node."""

    def _start_plan(self, caller: str, callee: str, *, exactly: bool) -> StartPlan | None:
        """Return when the sides of a call are to begin their checks; None: as soon as they can.

        ``exactly``: the scenario says by how much one side begins after the other.
        """
        del caller, callee, exactly
        return None

    # Time

    @property
    def now(self) -> float:
        """Seconds of the run's clock."""
        return asyncio.get_running_loop().time()

    async def sleep(self, duration: Duration) -> None:
        """Let time pass.

        Raises:
            UsageError: not a duration with its unit.
        """
        await asyncio.sleep(parse_duration(duration, "sleep"))

    def observe(self, event: Event) -> None:
        """Take note of an event; the world calls this for each one."""
        if event.call:
            self._by_call.setdefault(event.call, []).append(event)
        if event.type is EventType.ROLE_KILLED:
            self._note_death(event.node)
        if event.type in _MILESTONES:
            self._wake(event.call)

    def _wake(self, call: str) -> None:
        for future in self._waiting.pop(call, ()):
            if not future.done():
                future.set_result(None)

    def _note_death(self, node: str) -> None:
        """Note the calls that ended with the program of a node: it tells nothing more of them."""
        for call, events in self._by_call.items():
            sides = {event.node for event in events if event.type is EventType.CALL_STARTED}
            if node in sides and node not in self._sides_ended(call):
                self._lost_sides.setdefault(call, []).append(node)
                self._wake(call)

    async def _wait_until(self, call: str, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until a condition on a call holds, looking at its milestones; return whether it came to."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    future = asyncio.get_running_loop().create_future()
                    self._waiting.setdefault(call, []).append(future)
                    await future
        except TimeoutError:
            return False
        return True

    # Calls

    async def call(
        self,
        caller: str,
        callee: str,
        *,
        name: str = "",
        start_offset: Duration = "0s",
        policy: CandidatePolicy | None = None,
        callee_policy: CandidatePolicy | None = None,
        media: MediaPlan | None = None,
        hold: Duration = "0s",
        timeout: Duration = "2min",
    ) -> CallRecord:
        """Make a call, wait until it is set up or failed, send media, hold it, and return it.

        ``start_offset`` delays the checks of the caller (positive) or of the callee (negative).
        ``callee_policy`` is the caller's where not given. ``timeout`` bounds the set-up. The call stays up:
        see :meth:`hang_up`. ``name`` is the call's own, also after it has ended ("": the next number).

        Raises:
            UsageError: no such endpoint, two that cannot call each other (:mod:`lab.spec.call_partners`), a
                name that was used before, not a duration with its unit.
        """
        for endpoint in (caller, callee):
            self._check_endpoint(endpoint)
        if caller == callee:
            raise UsageError(Problem("", f"{caller!r} is to call itself", "two endpoints"))
        if (problem := call_problem(self.network, caller, callee)) is not None:
            raise UsageError(problem)
        name = name or f"call-{len(self._names) + 1}"
        if name in self._names:
            raise UsageError(Problem("", f"there was a call {name!r} already", "a name of its own"))
        offset = parse_offset(start_offset, "start_offset")
        holding, limit = parse_duration(hold, "hold"), parse_duration(timeout, "timeout")
        self._names.add(name)
        plan, own = media or MediaPlan(), policy or CandidatePolicy()
        theirs = callee_policy or own
        start = self._start_plan(caller, callee, exactly=bool(offset))
        self.command(callee, Answer(
            call=name, caller=caller, check_delay=max(0.0, -offset), start=start, policy=theirs, media=plan,
        ))  # fmt: skip
        self.command(caller, Dial(
            call=name, to=callee, check_delay=max(0.0, offset), start=start, policy=own, media=plan,
        ))  # fmt: skip
        await self._wait_until(name, lambda: self._is_settled(name), limit)
        if self.record(name).connected:
            await asyncio.sleep(plan.packets * plan.interval + 1.0)
        await asyncio.sleep(holding)
        return self.record(name)

    def _is_settled(self, name: str) -> bool:
        reached = [event for event in self._by_call.get(name, ()) if event.type in _MILESTONES]
        if not any(event.type is EventType.CALL_STARTED for event in reached):
            return False  # the callee's program may end before the caller's has begun
        settled = {event.node for event in reached if event.type in _SETTLED}
        both = len(settled.union(self._lost_sides.get(name, ()))) >= 2
        return both or any(event.type in _BROKEN for event in reached)

    def record(self, call: str) -> CallRecord:
        """Return what is known of a call now.

        Raises:
            UsageError: no such call.
        """
        for record in calls_of(self._by_call.get(call, ())):
            return record
        raise UsageError(Problem("", f"no call {call!r}", suggestion=did_you_mean(call, self._by_call)))

    def path(self, call: str) -> PathClass:
        """Return the path that a call's media takes: the selected one."""
        return self.record(call).path

    async def send_media(self, call: str, media: MediaPlan) -> CallRecord:
        """Send media both ways on an established call.

        Return the call when the last datagram had a second to arrive.
        """
        record = self.record(call)
        for side in (record.caller, record.callee):
            if side is not None:
                self.command(side.node, SendMedia(call=call, media=media))
        await asyncio.sleep(media.packets * media.interval + 1.0)
        return self.record(call)

    async def hang_up(self, call: str) -> None:
        """End a call on both sides; on one whose program was killed in it, it has ended."""
        sides = [side.node for side in self.record(call).sides]
        alive = [node for node in sides if node not in self._sides_ended(call)]
        for node in alive:
            self.command(node, HangUp(call=call))
        await self._wait_until(call, lambda: set(alive) <= self._sides_ended(call), 120.0)

    def _sides_ended(self, call: str) -> set[str]:
        ended = {event.node for event in self._by_call.get(call, ()) if event.type is EventType.CALL_ENDED}
        return ended.union(self._lost_sides.get(call, ()))

    def command(self, node: str, command: Command) -> None:
        """Send a command to the role on a node, encoded."""
        self._send(node, encode_command(command))
