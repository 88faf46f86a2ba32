"""SIPp's own figures: the file of ``-trace_stat``, a row a period, and that of ``-trace_rtt``, a row a call.

Both are written while they are read: a last line without its end is left for later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_TOTAL: Final = "(C)"
"""How the columns that count from the beginning end; the others count one period."""
_FAILED: Final = "FailedCall"
_PREFIX: Final = "Failed"


class FigureError(ValueError):
    """A file is not what SIPp 3.6 writes."""


@dataclass(frozen=True)
class Figures:
    """One row: what became of the calls until then.

    Attributes:
        created: calls that were begun.
        current: calls that are going on.
        completed: calls that went as they were to go.
        failed: calls that did not.
        reasons: why, in SIPp's words, each with its calls; together they are ``failed`` in a last row.
        retransmissions: messages that were sent again.
    """

    created: int
    current: int
    completed: int
    failed: int
    retransmissions: int
    reasons: Mapping[str, int] = field(default_factory=dict)


def parse_statistics_untrusted(text: str) -> list[Figures]:
    """Return the rows of a statistics file that are complete.

    Raises:
        FigureError: it is none.
    """
    head, *lines = _lines(text) or [""]
    if not lines:
        return []
    columns = head.split(";")
    return [_figures(dict(zip(columns, line.split(";"), strict=False))) for line in lines]


def _figures(row: Mapping[str, str]) -> Figures:
    reasons = {
        name.removeprefix(_PREFIX).removesuffix(_TOTAL): _number(row, name)
        for name in row
        if name.startswith(_PREFIX) and name.endswith(_TOTAL) and not name.startswith(_FAILED + "(")
    }
    return Figures(
        created=_number(row, "TotalCallCreated"),
        current=_number(row, "CurrentCall"),
        completed=_number(row, "SuccessfulCall(C)"),
        failed=_number(row, "FailedCall(C)"),
        retransmissions=_number(row, "Retransmissions(C)"),
        reasons={name: number for name, number in reasons.items() if number},
    )


def parse_response_times_untrusted(text: str) -> Counter[tuple[int, int]]:
    """Return how many calls were answered after so long: keys are (second of the load, milliseconds).

    SIPp's clock has whole milliseconds.

    Raises:
        FigureError: it is no file of response times.
    """
    _, *lines = _lines(text) or [""]
    return Counter(map(_response, lines))


def _response(line: str) -> tuple[int, int]:
    cells = line.split(";")
    try:
        at, took = float(cells[0]), float(cells[1])
        return int(at // 1000), round(took)
    except (IndexError, ValueError, OverflowError):
        raise FigureError(f"no response time: {line[:60]!r}") from None


def _lines(text: str) -> list[str]:
    """Return the lines that are complete and have something in them."""
    complete = text[: text.rfind("\n") + 1]
    return [line for line in complete.split("\n") if line.strip()]


def _number(row: Mapping[str, str], name: str) -> int:
    try:
        return int(row[name])
    except (KeyError, ValueError):
        raise FigureError(
            f"no number {name} in the statistics: {row.get(name, 'no such column')!r}"
        ) from None
