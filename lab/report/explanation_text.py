"""An explanation in words: possible, validated, selected, what was dropped, and why a relay won."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lab.measure.calls import Side
from lab.measure.explanation import DroppedChecks, Explanation, TriedPair
from lab.measure.predict import Reach, explain, pair_words, sorted_pairs
from lab.spec.event import PathClass
from lab.units import format_duration

_NOT_CAPTURED: Final = "not known: its packets were not captured (callpath run --world emu --capture all)"


def explanation_text(explanation: Explanation, *, packets_known: bool = True) -> str:
    """Return an explanation as lines, the answer first.

    Args:
        explanation: what to tell.
        packets_known: whether what became of packets is known.
    """
    record = explanation.record
    assert record.callee is not None
    title = f"{record.call}: {record.caller.node} calls {record.callee.node}"
    sections = [
        [title],
        ["selected", *_indented(_selected(explanation))],
        ["possible", *_indented(_possible(explanation))],
        ["validated", *_indented(_validated(explanation))],
        ["connectivity checks that were dropped", *_indented(_dropped(explanation, packets_known))],
    ]
    why = list(_why(explanation))
    if why:
        sections.append(["why a relay, although a direct path was possible", *_indented(why)])
    return "\n\n".join("\n".join(section) for section in sections)


def _indented(lines: Iterator[str] | list[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _sides(explanation: Explanation) -> list[Side]:
    return [side for side in (explanation.record.caller, explanation.record.callee) if side is not None]


def _selected(explanation: Explanation) -> Iterator[str]:
    record = explanation.record
    setup = "" if record.setup_time is None else f", {format_duration(record.setup_time)} after dialling"
    yield f"{'no path' if record.path is PathClass.NONE else record.path.value}{setup}"
    for side in _sides(explanation):
        pair = explanation.selected.get(side.node)
        if pair is not None:
            yield f"{side.node} sends {_words(pair)}"
        elif side.failed:
            yield f"{side.node} gave up: {side.failed}"
        else:
            yield f"{side.node} selected nothing"


def _words(pair: TriedPair) -> str:
    return f"from {pair.local_type} {pair.local} to {pair.remote_type} {pair.remote}"


def _possible(explanation: Explanation) -> Iterator[str]:
    if explanation.peers != ("alice", "bob"):
        yield "(alice stands for {}, bob for {})".format(*explanation.peers)
    yield from explain(explanation.prediction).splitlines()


def _validated(explanation: Explanation) -> Iterator[str]:
    for side in _sides(explanation):
        succeeded = [p for p in explanation.pairs if p.node == side.node and p.succeeded is not None]
        for pair in sorted(succeeded, key=lambda pair: pair.succeeded or 0.0):
            yield f"{side.node} at {pair.succeeded:.3f} s: {_words(pair)}"
        if not succeeded:
            yield f"{side.node}: no check succeeded"


def _dropped(explanation: Explanation, packets_known: bool) -> Iterator[str]:
    if not packets_known:
        yield _NOT_CAPTURED
        return
    for group in explanation.dropped:
        yield _drop_words(group)
    if not explanation.dropped:
        yield "none"
    if explanation.dropped_later:
        count = explanation.dropped_later
        yield f"and {count} more, sent when the path was there: checks left over, or consent (RFC 7675)"


def _drop_words(group: DroppedChecks) -> str:
    count = len(group.packets)
    noun = ("answer" if group.is_answer else "check") + ("" if count == 1 else "s")
    sender = f"{group.sender} by its relay" if group.by_relay else group.sender
    when = f"at {group.first:.3f} s" if count == 1 else f"from {group.first:.3f} s to {group.last:.3f} s"
    packets = ", ".join(f"#{packet}" for packet in group.packets[:5]) + (" ..." if count > 5 else "")
    return (
        f"{group.where} dropped {count} {noun} of {sender} from {group.source}: {group.reason} "
        f"({packets}, {when})"
    )


def _why(explanation: Explanation) -> Iterator[str]:
    if not explanation.relayed_without_need:
        return
    for side in _sides(explanation):
        first = explanation.first_success(side.node)
        if first is None or first.is_direct or side.connected is None:
            continue
        yield f"{side.node}: the first pair to succeed, at {first.succeeded:.3f} s, was {_words(first)}"
        for pair in explanation.beaten(side.node):
            yield f"  tried since {pair.started:.3f} s without an answer by then: {_words(pair)}"
    late = [pair for pair in explanation.prediction.direct if explanation.prediction.needs_first.get(pair)]
    if explanation.prediction.reach is Reach.DIRECT and len(late) == len(explanation.prediction.direct):
        first_ones = ", ".join(
            f"{pair_words(pair)} needs {explanation.prediction.needs_first[pair]} first"
            for pair in sorted_pairs(late)
        )
        yield f"every direct pair depends on whose packets arrive first: {first_ones}"
    if explanation.dropped:
        yield "a check that was dropped is sent again after 500 ms or more (RFC 8445 §14.3);"
        yield "an agent that takes the first pair to succeed does not wait for it"
