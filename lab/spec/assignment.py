"""Values of parameters as they are typed: ``--set NAME=VALUE[,VALUE]``; read, and written to be read.

A value is JSON where it is JSON, and text where it is not: ``5`` is a number, ``"5"`` a text, and so is
``symmetric{filter_scope: per-endpoint, lifetimes.udp: 30s}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, NoReturn

from lab.spec.event import JsonValue

_OPEN: Final = "{["
_CLOSED: Final = "}]"


def split_values(text: str) -> list[str]:
    """Return what stands between commas, values or assignments (``a=1,b=2``), without space around it.

    A comma within braces, brackets or a JSON string is part of a value.
    """
    values, start, depth, quoted, escaped = [], 0, 0, False, False
    for place, sign in enumerate(text):
        if quoted:
            quoted = escaped or sign != '"'
            escaped = sign == "\\" and not escaped
        elif sign == '"':
            # A text may have an inch sign in it: only what begins a value, or is inside of one, is a string.
            before = text[start:place].rstrip()
            quoted = depth > 0 or not before or before.endswith("=")
        elif sign in _OPEN:
            depth += 1
        elif sign in _CLOSED:
            depth = max(0, depth - 1)
        elif sign == "," and not depth:
            values.append(text[start:place].strip())
            start = place + 1
    return [*values, text[start:].strip()]


def parse_value(text: str) -> JsonValue:
    """Return what one value means."""
    try:
        value: JsonValue = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text
    return value


def format_value(value: JsonValue) -> str:
    """Return a value as it can be typed: :func:`split_values` and :func:`parse_value` give it back."""
    return value if isinstance(value, str) and _can_be_bare(value) else json.dumps(value)


def _can_be_bare(text: str) -> bool:
    """Whether a text, another value after it, is read as itself: no brace or quote is left open."""
    return (
        bool(text)
        and text.isprintable()
        and split_values(f"{text},{text}") == [text, text]
        and parse_value(text) == text
    )


def format_cell(cell: Mapping[str, JsonValue]) -> str:
    """Return several values by name as they can be typed: ``alice_nat=symmetric,bob_nat=cgn``."""
    return ",".join(f"{name}={format_value(value)}" for name, value in cell.items())


def _refuse(constant: str) -> NoReturn:
    """Take ``NaN`` and ``Infinity`` as the text they are: no JSON has them."""
    raise ValueError(constant)
