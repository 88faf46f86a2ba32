"""``--set NAME=VALUE[,VALUE...]``: values as JSON where they are JSON, else as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

from lab.errors import Problem, UsageError
from lab.spec.event import JsonValue

_BETWEEN_VALUES: Final = re.compile(r",(?![^{]*\})")
"""A comma outside braces: ``symmetric{filter_scope: per-endpoint, lifetimes.udp: 30s}`` is one value."""


def parse_assignments(assignments: Iterable[str]) -> dict[str, list[JsonValue]]:
    """Return the values by name.

    Raises:
        UsageError: an assignment without a name or a value, or one of them twice; all of them at once.
    """
    found: dict[str, list[JsonValue]] = {}
    problems = []
    for text in assignments:
        name, equals, values = text.partition("=")
        if not (name.strip() and equals and values):
            problems.append(Problem(f"--set {text}", "not an assignment", "NAME=VALUE or NAME=VALUE,VALUE"))
            continue
        texts = [value.strip() for value in _BETWEEN_VALUES.split(values)]
        if len(set(texts)) < len(texts) or name.strip() in found:
            # The same trials twice would look like twice as many samples.
            problems.append(Problem(f"--set {text}", "the same twice", "each name and each value once"))
        found[name.strip()] = [_value(value) for value in texts]
    if problems:
        raise UsageError(*problems)
    return found


def _value(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value
