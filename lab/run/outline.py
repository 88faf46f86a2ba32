"""What a scenario file says about its trials, whichever form it has: scripted or YAML."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab.errors import Problem
from lab.handle import Lab
from lab.spec.event import JsonValue
from lab.spec.expectation import Expectation
from lab.spec.program import Program
from lab.spec.trial import DEFAULT_DEADLINE, DEFAULT_EVENT_BUDGET

Scenario = Callable[[Lab], Awaitable[None]]
"""What both forms come to: a coroutine function that acts through the handle."""

REPEAT: Final = ""
"""Among names of parameters: how often each combination is repeated."""
NO_VALUE: Final = ("has no value: no trial is left", "a list of at least one")
NO_REPETITION: Final = ("repeat is 0: no trial is left", "1 or more")
"""What was found and what is expected, in either form of a scenario."""


@dataclass(frozen=True, kw_only=True)
class Outline:
    """Everything that a plan needs of a file.

    ``vary`` has every value of each parameter, one for those that do not vary; ``population`` weights by
    value, drawn from in each repetition; ``deadline`` in virtual seconds. ``empty`` has what to say of each
    parameter that has no value, and of no repetition (:data:`REPEAT`): they may yet be overridden.
    ``programs`` run in place of the lab's own, by node or role. ``calls`` are those that the file plans: who
    calls whom; of a script nobody knows.
    """

    path: Path
    name: str
    topology: str
    vary: Mapping[str, Sequence[JsonValue]] = field(default_factory=dict)
    population: Mapping[str, Mapping[JsonValue, float]] = field(default_factory=dict)
    repeat: int = 1
    deadline: float = DEFAULT_DEADLINE
    event_budget: int = DEFAULT_EVENT_BUDGET
    matrix: tuple[str, str] | None = None
    expectations: tuple[Expectation, ...] = ()
    empty: Mapping[str, Problem] = field(default_factory=dict)
    programs: Mapping[str, Program] = field(default_factory=dict)
    calls: tuple[tuple[str, str], ...] = ()
