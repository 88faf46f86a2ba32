"""The settings of a scripted scenario, constants in capitals: refused where a default would hide a slip."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Final

from lab.errors import Problem, UsageError, did_you_mean


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_by_name(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _is_lists_by_name(value: object) -> bool:
    # A lone "symmetric" would be taken for nine values of a letter each.
    return _is_by_name(value) and all(map(_is_list_without_repeats, value.values()))  # type: ignore[attr-defined]


def _is_list_without_repeats(value: object) -> bool:
    # The same trials twice would look like twice as many samples.
    return isinstance(value, list | tuple) and len(set(map(repr, value))) == len(value)


def _is_two_names(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(v, str) for v in value)


_SETTINGS: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "TOPOLOGY": (lambda value: isinstance(value, str), 'a name or a path, such as "two_homes"'),
    "PARAMETERS": (_is_by_name, 'values by name, such as {"relay_delay": "30ms"}'),
    "VARY": (
        _is_lists_by_name,
        'lists of different values by name, such as {"alice_nat": ["full-cone", "symmetric"]}',
    ),
    "PROGRAMS": (
        _is_by_name,
        'programs by node or role, such as {"alice": "chromium"}',
    ),
    "REPEAT": (_is_count, "a whole number"),
    "DEADLINE": (lambda value: isinstance(value, str), 'a duration with its unit, such as "2h"'),
    "EVENT_BUDGET": (_is_count, "a whole number"),
    "MATRIX": (
        _is_two_names,
        'the parameters of rows and of columns, such as ("alice_nat", "bob_nat")',
    ),
}
"""What each must be: how that is seen, and in words."""


def check_settings(names: Mapping[str, object], where: str) -> None:
    """Check the names that a scenario's file defines.

    Raises:
        UsageError: a setting is of a wrong type; capitals that nearly are a setting's name; a ``MATRIX`` of
            parameters that do not vary; a ``scenario`` that is no coroutine function. All of them at once.
    """
    problems = [
        *(_spelling(name, where) for name in names if name.isupper() and _nearly(name, _SETTINGS, 0.7)),
        *(
            Problem(f"{where}: {name}", f"{names[name]!r}"[:80], expected)
            for name, (is_right, expected) in _SETTINGS.items()
            if name in names and not is_right(names[name])
        ),
    ]
    if not inspect.iscoroutinefunction(names["scenario"]):
        problems.append(Problem(where, "scenario is no coroutine function", "async def scenario(lab)"))
    if problems:
        raise UsageError(*problems)
    _check_matrix(names, where)


def _nearly(name: str, known: Collection[str], cutoff: float) -> bool:
    return name not in known and bool(difflib.get_close_matches(name, known, cutoff=cutoff))


def _spelling(name: str, where: str) -> Problem:
    return Problem(where, f"unknown setting {name}", suggestion=did_you_mean(name, _SETTINGS))


def _check_matrix(names: Mapping[str, object], where: str) -> None:
    given = {name for setting in ("PARAMETERS", "VARY") for name in names.get(setting, ())}  # type: ignore[attr-defined]
    problems = [
        Problem(f"{where}: MATRIX", f"no parameter {name!r} varies", suggestion=did_you_mean(name, given))
        for name in names.get("MATRIX", ())  # type: ignore[attr-defined]
        if name not in given
    ]
    if problems:
        raise UsageError(*problems)


def check_parameter_names(own: Collection[str], topology: Collection[str], where: str) -> None:
    """Check what a scenario sets or varies: a name that nearly is one of its topology's is a slip.

    The scenario may read any other name from ``lab.parameters``; a slip would measure another network.

    Raises:
        UsageError: there are such names; the nearest is suggested.
    """
    # One letter too many or two exchanged; "bob_delay" beside a topology's "bob_relay" is a name of its own.
    slips = [name for name in own if _nearly(name, topology, 0.85)]
    problems = [
        Problem(where, f"no parameter {name!r}", suggestion=did_you_mean(name, topology)) for name in slips
    ]
    if problems:
        raise UsageError(*problems)
