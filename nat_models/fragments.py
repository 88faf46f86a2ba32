"""Fragments through a NAT, in any order (RFC 4787 §11, REQ-14).

Only the first fragment names ports. Those that come before it wait for it, within a bound (REQ-14a: an
attacker must not be able to fill the memory); those that come after it follow it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nat_models.outcome import DroppedError, Emission, Side
from nat_models.packet import IpProtocol, Packet

FRAGMENT_SECONDS = 30.0
"""How long a fragment waits for the first one, and later ones may follow it (Linux: ``ipfrag_time``)."""

VERDICT_LIMIT = 1024
"""First fragments remembered at most; the oldest are forgotten first."""

_Key = tuple[Side, IpProtocol, str, str, int]


class _Verdict(NamedTuple):
    """Where the first fragment went: its new addresses, or no ``side`` and why it was dropped."""

    until: float
    side: Side | None
    source: str = ""
    destination: str = ""
    reason: str = ""


class FragmentTracker:
    """The fragmented packets on their way through one box. ``memory``: fragments held at once."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self.forget_all()

    def forget_all(self) -> None:
        """Lose all state, as a reboot does."""
        self._verdicts: dict[_Key, _Verdict] = {}
        self.held: list[tuple[float, _Key, Packet]] = []

    def handle(
        self, packet: Packet, arrived: Side, now: float, forward: Callable[[Packet], tuple[Emission, ...]]
    ) -> tuple[Emission, ...]:
        """Return what leaves: this fragment, and those that waited for it.

        ``forward`` translates a first one.

        Raises:
            DroppedError: held, or dropped as the first one was or for lack of memory.
        """
        assert packet.fragment is not None
        self.expire(now)
        key = (
            arrived,
            packet.protocol,
            packet.source[0],
            packet.destination[0],
            packet.fragment.identification,
        )
        if packet.fragment.offset == 0:
            return self._first(key, packet, now, forward)
        verdict = self._verdicts.get(key)
        if verdict is None:
            self._hold(key, packet, now)
            raise DroppedError("held: the first fragment has not come yet")
        return (_follow(packet, verdict),)

    def next_time(self) -> float | None:
        """Return when the longest-waiting fragment is given up."""
        return self.held[0][0] if self.held else None

    def expire(self, now: float) -> int:
        """Forget what is past, and return how many fragments were given up."""
        while self._verdicts and next(iter(self._verdicts.values())).until <= now:
            del self._verdicts[next(iter(self._verdicts))]
        if not self.held or self.held[0][0] > now:
            return 0  # they wait in order of arrival
        before = len(self.held)
        self.held = [item for item in self.held if item[0] > now]
        return before - len(self.held)

    def _first(
        self, key: _Key, packet: Packet, now: float, forward: Callable[[Packet], tuple[Emission, ...]]
    ) -> tuple[Emission, ...]:
        until = now + FRAGMENT_SECONDS
        try:
            emissions = forward(packet)
        except DroppedError as dropped:
            self._decide(key, _Verdict(until, None, reason=dropped.reason))
            self._release(key)
            raise
        sent, side = emissions[0]
        verdict = _Verdict(until, side, sent.source[0], sent.destination[0])
        self._decide(key, verdict)
        return emissions + tuple(_follow(held, verdict) for held in self._release(key))

    def _decide(self, key: _Key, verdict: _Verdict) -> None:
        self._verdicts.pop(key, None)
        self._verdicts[key] = verdict
        if len(self._verdicts) > VERDICT_LIMIT:
            del self._verdicts[next(iter(self._verdicts))]

    def _release(self, key: _Key) -> list[Packet]:
        released = [packet for _, waiting, packet in self.held if waiting == key]
        if released:
            self.held = [item for item in self.held if item[1] != key]
        return released

    def _hold(self, key: _Key, packet: Packet, now: float) -> None:
        if len(self.held) >= self._memory:
            raise DroppedError(f"{len(self.held)} fragments already wait for their first one")
        self.held.append((now + FRAGMENT_SECONDS, key, packet))


def _follow(packet: Packet, verdict: _Verdict) -> Emission:
    if verdict.side is None:
        raise DroppedError(f"the first fragment was dropped: {verdict.reason}")
    onward = packet.translated(source=(verdict.source, 0), destination=(verdict.destination, 0))
    return Emission(onward, verdict.side)
