"""Quantities with units: what users write (``20ms``, ``1%``, ``2Mbit/s``, ``64KiB``) to SI floats and back.

Units are mandatory: a bare number where a duration is due is refused, with the likely spelling.
"""

from __future__ import annotations

import math
import re
from typing import Final

from lab.errors import Problem, UsageError

_NUMBER: Final = re.compile(r"^\s*([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([A-Za-z%/µ]*)\s*$")

DURATION_UNITS: Final = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
PERCENT_UNITS: Final = {"%": 0.01}
RATE_UNITS: Final = {"bit/s": 1.0, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9}
SIZE_UNITS: Final = {"B": 1, "kB": 1_000, "KiB": 1_024, "MB": 1_000_000, "MiB": 1_048_576}


def parse_duration(text: object, where: str = "") -> float:
    """Return seconds. ``text`` is e.g. ``"20ms"``, ``"1.5s"``, ``"10min"``; ``0`` may stand bare.

    Raises:
        UsageError: not a non-negative number with a unit of time.
    """
    return _parse(text, DURATION_UNITS, where, kind="a duration", example="20ms")


def parse_offset(text: object, where: str = "") -> float:
    """Return seconds, negative where ``text`` begins with a minus sign: ``"-30ms"``.

    Raises:
        UsageError: not a number with a unit of time.
    """
    if isinstance(text, str) and text.lstrip().startswith("-"):
        return -parse_duration(text.lstrip()[1:], where)
    return parse_duration(text, where)


def parse_percent(text: object, where: str = "") -> float:
    """Return a share in 0..1. ``text`` is e.g. ``"1%"``.

    Raises:
        UsageError: not a number with ``%``, or outside 0..100 %.
    """
    share = _parse(text, PERCENT_UNITS, where, kind="a percentage", example="1%")
    if share > 1:
        raise UsageError(Problem(where, f"{text!r} is more than 100%", "0% to 100%"))
    return share


def parse_rate(text: object, where: str = "") -> float:
    """Return bits a second. ``text`` is e.g. ``"2Mbit/s"``.

    Raises:
        UsageError: not a positive number with a unit of rate.
    """
    rate = _parse(text, RATE_UNITS, where, kind="a rate", example="2Mbit/s")
    if rate == 0:
        raise UsageError(
            Problem(where, f"{text!r} carries nothing", "a rate above 0", "to cut a link use loss: 100%")
        )
    return rate


def parse_size(text: object, where: str = "") -> int:
    """Return bytes. ``text`` is e.g. ``"64KiB"`` or ``"1500B"``.

    Raises:
        UsageError: not a non-negative number with a unit of size.
    """
    return int(_parse(text, SIZE_UNITS, where, kind="a size", example="1500B"))


def parse_port_range(text: object, where: str = "") -> range:
    """Return ports. ``text`` is e.g. ``"5060-5063"``, or one port alone.

    Raises:
        UsageError: not a range of ports from 1 to 65535.
    """
    match = re.fullmatch(r"\s*(\d{1,5})(?:\s*-\s*(\d{1,5}))?\s*", str(text))
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= 65_535:
        raise UsageError(Problem(where, f"{text!r} is not a range of ports", 'ports such as "5060-5063"'))
    return range(first, last + 1)


def format_duration(seconds: float) -> str:
    """Return the shortest honest spelling: ``850 ms``, ``12.3 s``, ``5 min``, ``2 h``."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h"


def _parse(
    text: object, units: dict[str, float] | dict[str, int], where: str, *, kind: str, example: str
) -> float:
    if text == "0" or (isinstance(text, int | float) and text == 0 and text is not False):
        return 0.0
    match = _NUMBER.match(text) if isinstance(text, str) else None
    known = ", ".join(units)
    if match is None:
        suggestion = f"units are mandatory: write for example {example}"
        raise UsageError(
            Problem(where, f"{text!r} is not {kind}", f"a number with one of {known}", suggestion)
        )
    number, unit = match.groups()
    if unit not in units:
        found = f"{text!r} has no unit" if not unit else f"{text!r} has an unknown unit {unit!r}"
        first = next(iter(units)) if len(units) == 1 else None
        suggestion = f"write for example {number}{first or example.lstrip('0123456789.')}"
        raise UsageError(Problem(where, found, f"{kind} in one of {known}", suggestion))
    value = float(number) * units[unit]
    if not math.isfinite(value):
        raise UsageError(Problem(where, f"{text!r} is too large", kind))
    if value < 0:
        raise UsageError(Problem(where, f"{text!r} is negative", f"{kind} of 0 or more"))
    return value
