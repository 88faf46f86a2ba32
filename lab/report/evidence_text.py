"""What a verdict rests on, in words: the worst trials, where the worst departs, how to run it again.

.. code-block:: text

    2 of 2 trials break it, worst first: b190ca34c6a1 100 %, 25909173f8ad 100 %
    first departs from trial b7ea79c2800e (alice_nat=full-cone), which holds, at alice, seconds into call-1:
      both     0.180 s  began its checks
      there    0.260 s  a check succeeded: host to prflx
      here     0.370 s  a check succeeded: relay to relay
    first packet dropped here and not there: #33 of bob at alice-nat, 0.220 s: Binding request ...
    run the first of them again:
      callpath run nat_matrix --seed 1 --set alice_nat=symmetric --repeat 1 --trial b190ca34c6a1
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from lab.measure.decisive_drop import DecisiveDrop
from lab.measure.departure import Departure
from lab.measure.evidence import Evidence, Examination, WeighedTrial
from lab.measure.verdict import Verdict
from lab.measure.verdict_text import format_sample
from lab.spec.assignment import format_value
from lab.spec.event import Event, EventType
from lab.units import format_duration


def evidence_lines(evidence: Evidence) -> list[str]:
    """Return what there is to say beside the verdict itself; nothing where no trial was judged."""
    if not evidence.worst:
        return []
    lines = [_worst(evidence)]
    if evidence.examination is not None:
        lines += _examined(evidence.examination)
    return [
        *lines,
        "run the first of them again:" if len(evidence.worst) > 1 else "run it again:",
        f"  {evidence.replay}",
    ]


def told_once(evidence_of: Callable[[Verdict], Evidence | None]) -> Callable[[Verdict], list[str]]:
    """Return what gives the lines of one verdict after another, short where the same was told before."""
    told: list[tuple[object, ...]] = []

    def lines_of(verdict: Verdict) -> list[str]:
        evidence = evidence_of(verdict)
        if evidence is None:
            return []
        lines = evidence_lines(evidence)
        if (found := evidence.examination) is None or found.failure:
            return lines
        key = evidence.worst[0].key
        story = key, found.departure, found.drop
        if story in told:
            return [lines[0], f"of trial {key} the same is to be said as above"]
        told.append(story)
        return lines

    return lines_of


def _worst(evidence: Evidence) -> str:
    if evidence.worst[0].contribution.value is None and not evidence.worst[0].contribution.invalid:
        keys = ", ".join(one.key for one in evidence.worst)
        return f"no trial has a sample: {keys}{' ...' if evidence.trials > len(evidence.worst) else ''}"
    named = ", ".join(_named(evidence, one) for one in evidence.worst)
    more = " ..." if evidence.trials > len(evidence.worst) else ""
    if evidence.worst[0].contribution.invalid:
        return f"trials, invalid ones first: {named}{more}"
    if evidence.breaking:
        trials = "trial breaks" if evidence.breaking == 1 else "trials break"
        return f"{evidence.breaking} of {evidence.trials} {trials} it, worst first: {named}{more}"
    alone = "the only trial" if evidence.trials == 1 else f"{evidence.trials} trials, worst first"
    return f"{alone}: {named}{more}"


def _named(evidence: Evidence, one: WeighedTrial) -> str:
    contribution = one.contribution
    if contribution.invalid:
        return f"{one.key} ({contribution.invalid})"
    if contribution.value is None:
        return f"{one.key} no sample"
    return f"{one.key} {format_sample(evidence.verdict, contribution.value)}"


def _examined(examination: Examination) -> Iterator[str]:
    if examination.failure:
        yield from examination.failure.splitlines()
        if examination.by_hand:
            yield f"  {examination.by_hand}"
        return
    departure = examination.departure
    if departure is not None:
        yield from _departure(departure, _other(examination))
    elif examination.compared:
        yield f"{_other(examination)}, has the same steps at the same times"
    else:
        yield "no trial of this run holds, to compare it with"
    if examination.drop is not None:
        yield _drop(examination.drop, examination, unlike=bool(examination.compared))
    if examination.capture:
        yield f"its capture: {examination.capture}"
    if examination.ladder:
        yield f"its ladder:  {examination.ladder}"


def _other(examination: Examination) -> str:
    differs = ", ".join(f"{name}={format_value(value)}" for name, value in examination.differs.items())
    holds = "which holds" if examination.holds else "which has a sample"
    return f"trial {examination.compared}{f' ({differs})' if differs else ''}, {holds}"


def _departure(departure: Departure, other: str) -> Iterator[str]:
    place = f"at {departure.node}, " if departure.node else ""
    place += f"seconds into {departure.call or 'the trial'}"
    if departure.late is not None:
        late = format_duration(round(departure.late, 3))
        yield f"the same steps as in {other}; most is lost {place}, {late}:"
    else:
        yield f"first departs from {other}, {place}:"
    if departure.since is not None:
        yield _step("both", departure.since, departure.failing_start)
    yield _step("there", departure.passing, departure.passing_start)
    yield _step("here", departure.failing, departure.failing_start)


def _step(who: str, event: Event | None, start: float) -> str:
    if event is None:
        return f"  {who:<6}{'':8}    nothing more"
    return f"  {who:<6}{event.time - start:8.3f} s  {step_text(event)}"


def _drop(drop: DecisiveDrop, examination: Examination, *, unlike: bool) -> str:
    what = "first packet dropped here and not there" if unlike else "first packet dropped that matters"
    when = f"{drop.time - examination.call_started:.3f} s"
    return (
        f"{what}: #{drop.packet_id} of {drop.sender} at {drop.where}, {when}: "
        f"{drop.words}, {drop.source} > {drop.destination}: {drop.reason}"
    )


# Steps


def step_text(event: Event) -> str:
    """Return a step of a call in a few words."""
    words = _WORDS.get(event.type)
    if words is None:
        return event.type.value
    return words.format_map(_Words(event))


class _Words(dict[str, str]):
    """What the words of a step may name: the event's data, and its pair of candidate types."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self._data: Any = event.data

    def __missing__(self, name: str) -> str:
        if name == "pair":
            return f"{self._candidate('local')} to {self._candidate('remote')}"
        if name == "candidate":
            return str(self._data.get("type") or self._data.get("problem", ""))
        value = self._data.get(name, "")
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    def _candidate(self, side: str) -> str:
        """Return the type of a candidate; what was read back may be anything."""
        candidate = self._data.get(side)
        return str(candidate.get("type")) if isinstance(candidate, dict) else "?"


_WORDS: Final = {
    EventType.CALL_STARTED: "the call began",
    EventType.CALL_ENDED: "the call ended: {reason}",
    EventType.SIGNAL_SENT: "sent the {kind}",
    EventType.SIGNAL_RECEIVED: "got the {kind}",
    EventType.ICE_GATHERING: "began to gather candidates ({policy}, by {transport})",
    EventType.ICE_CANDIDATE: "{side} candidate: {candidate}",
    EventType.ICE_CANDIDATE_ERROR: "no candidate from {url} ({code})",
    EventType.ICE_GATHERED: "gathered {types}",
    EventType.ICE_CHECKING: "began its checks",
    EventType.ICE_CHECK: "a check succeeded: {pair}",
    EventType.ICE_NOMINATED: "nominated {pair}",
    EventType.ICE_SELECTED: "selected {pair}",
    EventType.ICE_CONNECTED: "connected",
    EventType.ICE_FAILED: "gave up: {reason}",
    EventType.ICE_CONSENT_LOST: "lost the other's consent",
    EventType.MEDIA_RECEIVED: "media packet {sequence} arrived",
    EventType.TURN_REFUSED: "refused {method}: {code} {reason}",
    EventType.ROLE_FAILED: "{program} failed: {error}",
    EventType.NAT_REBOOTED: "rebooted",
    EventType.NAT_FLUSHED: "flushed",
    EventType.ROLE_KILLED: "{program} killed",
    EventType.ROLE_RESTARTED: "{program} restarted",
    EventType.ROLE_PAUSED: "{program} paused",
    EventType.ROLE_RESUMED: "{program} resumed",
    EventType.HOST_DETACHED: "left {links}",
    EventType.HOST_ATTACHED: "attached to {link}",
    EventType.LINK_CHANGED: "link {link} changed",
}
