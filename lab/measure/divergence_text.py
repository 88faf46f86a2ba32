"""A divergence in words: what both streams had before, then the two events that differ, one below the other.

.. code-block:: text

    first event that differs: number 38, at 0.412 s (stored) and 0.4135 s (now)
        0.4 s         alice       ice.nominated         call-1  {"local":...}
      - 0.412 s       alice-nat   packet.dropped        packet 17  {"reason":"filtered"}
      + 0.4135 s      alice-nat   packet.dropped        packet 18  {"reason":"filtered"}
      time: 0.412 → 0.4135
      packet: 17 → 18
"""

from __future__ import annotations

import json
from typing import Final

from lab.measure.divergence import Divergence, Line, event_of
from lab.spec.event import Event

_WIDEST: Final = 160
_WIDEST_VALUE: Final = 60
_MOST_FIELDS: Final = 8
_ABSENT: Final = "(absent)"
_ENDED: Final = "(no more events)"


def divergence_text(divergence: Divergence, *, left: str = "stored", right: str = "now") -> str:
    """Return a divergence in a few lines; ``left`` and ``right`` are what the two sides are called."""
    lines = [f"first event that differs: number {divergence.index + 1}{_times(divergence, left, right)}"]
    lines += [f"    {line_text(event)}" for event in divergence.before]
    for sign, event in (("-", divergence.left), ("+", divergence.right)):
        lines.append(f"  {sign} {_ENDED if event is None else line_text(event)}")
    fields = differing_fields(divergence)
    for name, (one, other) in list(fields.items())[:_MOST_FIELDS]:
        lines.append(f"  {name}: {_shortened(one, _WIDEST_VALUE)} → {_shortened(other, _WIDEST_VALUE)}")
    if len(fields) > _MOST_FIELDS:
        lines.append(f"  and {len(fields) - _MOST_FIELDS} more")
    return "\n".join(lines)


def line_text(line: Line) -> str:
    """Return an event in one line for a person; text that is no event as it is."""
    event = event_of(line)
    if event is None:
        return _shortened(str(line), _WIDEST)
    words = [
        f"{_seconds(event.time):<12}",
        f"{event.node:<10}",
        f"{event.type.value:<20}",
        event.call,
        f"packet {event.packet_id}" if event.packet_id else "",
        f"cause {event.cause_id}" if event.cause_id else "",
        f"x {event.count}" if event.count != 1 else "",
        json.dumps(event.data, ensure_ascii=False, separators=(",", ":")) if event.data else "",
    ]
    return _shortened("  ".join(filter(None, words)).rstrip(), _WIDEST)


def differing_fields(divergence: Divergence) -> dict[str, tuple[str, str]]:
    """Return (left, right) of each field that differs, as JSON, by its name: ``time``, ``data.reason``.

    Nothing where a side has no event.
    """
    one, other = event_of(divergence.left), event_of(divergence.right)
    if one is None or other is None:
        return {}
    before, after = _fields(one), _fields(other)
    pairs = {name: (before.get(name, _ABSENT), after.get(name, _ABSENT)) for name in {**before, **after}}
    return {name: values for name, values in pairs.items() if values[0] != values[1]}


def _fields(event: Event) -> dict[str, str]:
    """Return an event's values as the text they are stored as: 1, 1.0 and true are three things."""
    named = {
        "time": round(event.time, 9),
        "type": event.type.value,
        "node": event.node,
        "call": event.call,
        "packet": event.packet_id,
        "cause": event.cause_id,
        "count": event.count,
        **{f"data.{key}": value for key, value in event.data.items()},
    }
    return {name: json.dumps(value, ensure_ascii=False) for name, value in named.items()}


def _times(divergence: Divergence, left: str, right: str) -> str:
    times = {left: divergence.left_time, right: divergence.right_time}
    known = {name: time for name, time in times.items() if time is not None}
    if not known:
        return ""
    if len(known) == len(times) and len(set(known.values())) == 1:
        return f", at {_seconds(known[left])}"
    return ", at " + " and ".join(f"{_seconds(time)} ({name})" for name, time in known.items())


def _seconds(time: float) -> str:
    return f"{time:.9f}".rstrip("0").rstrip(".") + " s"


def _shortened(text: str, widest: int) -> str:
    return text if len(text) <= widest else f"{text[: widest - 3]}..."
