"""Where two streams of events part: the first event that differs, with what both had in common before it.

Streams are read in step and only as far as that event, so that a generator over a long file is as good as a
list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, cast

from lab.spec.event import Event

CONTEXT: Final = 3
"""Events before the difference that are kept: enough to see what was going on."""

Line = str | Event
"""An event, or its line as :meth:`lab.spec.event.Event.to_json` writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first difference. ``index`` counts events from 0; a side is None where its stream had ended.

    ``before`` are the last events that both had, in order, as the left stream gave them.
    """

    index: int
    left: Line | None
    right: Line | None
    before: tuple[Line, ...] = ()

    @property
    def left_time(self) -> float | None:
        """When the left event happened, in seconds; None where there is none, or it is no event's line."""
        return time_of(self.left)

    @property
    def right_time(self) -> float | None:
        """When the right event happened; see :attr:`left_time`."""
        return time_of(self.right)


def first_divergence(
    left: Iterable[Line],
    right: Iterable[Line],
    *,
    context: int = CONTEXT,
    what: Callable[[Line], object] | None = None,
) -> Divergence | None:
    """Return the first event in which two streams differ; None where they are equal to their ends.

    Args:
        left: events or lines; the side that is called before, stored, expected.
        right: events or lines of the other side.
        context: how many of the events before it to keep.
        what: returns what of an event is compared; by default everything. Lines are compared as text, events
            by the line they would be stored as, whatever the trial; of an event and a line the line says the
            trial.
    """
    recent: deque[Line] = deque(maxlen=context)
    for index, (one, other) in enumerate(zip_longest(left, right)):
        if one is None or other is None or not _equal(one, other, what):
            return Divergence(index=index, left=one, right=other, before=tuple(recent))
        recent.append(one)
    return None


def time_of(line: Line | None) -> float | None:
    """Return when an event happened, in seconds; None for nothing, and for text that is no event's line."""
    event = event_of(line)
    return None if event is None else event.time


def event_of(line: Line | None) -> Event | None:
    """Return the event of a line; None for nothing, and for text that is no event's line."""
    if not isinstance(line, str):
        return line
    try:
        event = Event.from_json(line)[1]
    except (ValueError, RecursionError):
        return None
    time, data = cast("object", event.time), cast("object", event.data)  # a damaged file says anything
    return event if isinstance(time, int | float) and isinstance(data, dict) else None


def _equal(one: Line, other: Line, what: Callable[[Line], object] | None) -> bool:
    if what is not None:
        return what(one) == what(other)
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    trial = _trial_of(one) or _trial_of(other)
    return _as_line(one, trial) == _as_line(other, trial)


def _trial_of(line: Line) -> str:
    try:
        return Event.from_json(line)[0] if isinstance(line, str) else ""
    except (ValueError, RecursionError):
        return ""


def _as_line(line: Line, trial: str) -> str:
    return line if isinstance(line, str) else line.to_json(trial)
