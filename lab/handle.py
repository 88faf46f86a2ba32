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
from lab.measure.calls import CallRecord, calls_of
from lab.spec.command import (
    Answer,
    CandidatePolicy,
    Command,
    Dial,
    HangUp,
    MediaPlan,
    SendMedia,
    encode_command,
)
from lab.spec.event import Event, EventType, PathClass
from lab.spec.impairment import Impairment
from lab.spec.impairment_options import parse_impairment
from lab.spec.network import Network, NodeKind
from lab.spec.roles import ENDPOINT
from lab.units import parse_duration

Duration = float | str
"""Seconds as a number, or text with a unit: ``"200ms"``."""

_SETTLED = {EventType.ICE_CONNECTED, EventType.ICE_FAILED}
_MILESTONES = _SETTLED | {EventType.CALL_ENDED, EventType.ROLE_FAILED}
"""Events at which a waiting scenario looks again."""


class Lab(abc.ABC):
    """A running network.

    Names are the topology's; a name that does not exist is a UsageError with a suggestion.
    """

    def __init__(self, network: Network, parameters: Mapping[str, object]) -> None:
        self.network = network
        self.parameters = parameters
        self._names: set[str] = set()
        self._by_call: dict[str, list[Event]] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

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

    @abc.abstractmethod
    def _set_link(self, label: str, forward: Impairment, backward: Impairment) -> None:
        """Change both directions of a link."""

    @abc.abstractmethod
    def _cut(self, label: str) -> None:
        """Let nothing through a link."""

    @abc.abstractmethod
    def _heal(self, label: str) -> None:
        """Undo a cut."""

    @abc.abstractmethod
    def _reboot_nat(self, name: str) -> None:
        """Let a NAT box forget everything."""

    # Time

    @property
    def now(self) -> float:
        """Seconds of the run's clock."""
        return asyncio.get_running_loop().time()

    async def sleep(self, duration: Duration) -> None:
        """Let time pass."""
        await asyncio.sleep(_seconds(duration))

    def observe(self, event: Event) -> None:
        """Take note of an event; the world calls this for each one."""
        if event.call:
            self._by_call.setdefault(event.call, []).append(event)
        if event.type in _MILESTONES:
            for future in self._waiting.pop(event.call, ()):
                if not future.done():
                    future.set_result(None)

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
        start_offset: Duration = 0.0,
        policy: CandidatePolicy | None = None,
        callee_policy: CandidatePolicy | None = None,
        media: MediaPlan | None = None,
        hold: Duration = 0.0,
        timeout: Duration = 120.0,
    ) -> CallRecord:
        """Make a call, wait until it is set up or failed, send media, hold it, and return it.

        ``start_offset`` delays the checks of the caller (positive) or of the callee (negative).
        ``callee_policy`` is the caller's where not given. ``timeout`` bounds the set-up. The call stays up:
        see :meth:`hang_up`. ``name`` is the call's own, also after it has ended ("": the next number).
        """
        for endpoint in (caller, callee):
            self._check_endpoint(endpoint)
        if caller == callee:
            raise UsageError(Problem("", f"{caller!r} is to call itself", "two endpoints"))
        name = name or f"call-{len(self._names) + 1}"
        if name in self._names:
            raise UsageError(Problem("", f"there was a call {name!r} already", "a name of its own"))
        self._names.add(name)
        offset = _seconds(start_offset, signed=True)
        plan, own = media or MediaPlan(), policy or CandidatePolicy()
        theirs = callee_policy or own
        self.command(callee, Answer(call=name, check_delay=max(0.0, -offset), policy=theirs, media=plan))
        self.command(caller, Dial(call=name, to=callee, check_delay=max(0.0, offset), policy=own, media=plan))
        await self._wait_until(name, lambda: self._is_settled(name), _seconds(timeout))
        if self.record(name).connected:
            await self.sleep(plan.packets * plan.interval + 1.0)
        await self.sleep(hold)
        return self.record(name)

    def _is_settled(self, name: str) -> bool:
        reached = [event for event in self._by_call.get(name, ()) if event.type in _MILESTONES]
        both = len({event.node for event in reached if event.type in _SETTLED}) >= 2
        return both or any(event.type not in _SETTLED for event in reached)

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
        await self.sleep(media.packets * media.interval + 1.0)
        return self.record(call)

    async def hang_up(self, call: str) -> None:
        """End a call on both sides."""
        record = self.record(call)
        sides = [side.node for side in (record.caller, record.callee) if side is not None]
        for node in sides:
            self.command(node, HangUp(call=call))
        await self._wait_until(call, lambda: self._ended(call) >= len(sides), 120.0)

    def _ended(self, call: str) -> int:
        return sum(e.type is EventType.CALL_ENDED for e in self._by_call.get(call, ()))

    def command(self, node: str, command: Command) -> None:
        """Send a command to the role on a node, encoded."""
        self._send(node, encode_command(command))

    # The network

    def impair(self, link: str, **options: object) -> None:
        """Impair a link from now on (``delay="20ms"``, ``loss="1%"`` ...); options not given are off."""
        self._check_link(link)
        forward, backward = parse_impairment(options, f"link {link}")
        self._set_link(link, forward, backward)

    def reset(self, link: str) -> None:
        """Give a link back the impairments of the topology."""
        self._check_link(link)
        described = self.network.links[link]
        self._set_link(link, described.forward, described.backward)

    def cut(self, link: str) -> None:
        """Let nothing through a link, both ways."""
        self._check_link(link)
        self._cut(link)

    def heal(self, link: str) -> None:
        """Undo :meth:`cut`."""
        self._check_link(link)
        self._heal(link)

    def reboot_nat(self, name: str) -> None:
        """Power-cycle a NAT box: every mapping is lost."""
        boxes = [node.name for node in self.network.nodes.values() if node.kind is NodeKind.NAT]
        if name not in boxes:
            raise UsageError(
                Problem(
                    "", f"no NAT box {name!r} in {self.network.name}", suggestion=did_you_mean(name, boxes)
                )
            )
        self._reboot_nat(name)

    def _check_link(self, label: str) -> None:
        if label not in self.network.links:
            suggestion = did_you_mean(label, self.network.links)
            raise UsageError(Problem("", f"no link {label!r} in {self.network.name}", suggestion=suggestion))

    def _check_endpoint(self, name: str) -> None:
        endpoints = self.network.by_role.get(ENDPOINT, {})
        if name not in endpoints:
            suggestion = did_you_mean(name, endpoints)
            raise UsageError(
                Problem("", f"no endpoint {name!r} in {self.network.name}", suggestion=suggestion)
            )


def _seconds(duration: Duration, *, signed: bool = False) -> float:
    if isinstance(duration, int | float):
        value = float(duration)
    else:
        text = duration.strip()
        value = -parse_duration(text[1:]) if signed and text.startswith("-") else parse_duration(text)
    if value < 0 and not signed:
        raise UsageError(f"{duration!r} is a negative duration")
    return value
