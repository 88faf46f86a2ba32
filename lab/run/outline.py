"""What a scenario file says about its trials, whichever form it has: scripted or YAML."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.handle import Lab
from lab.spec.event import JsonValue
from lab.spec.expectation import Expectation
from lab.spec.trial import DEFAULT_DEADLINE, DEFAULT_EVENT_BUDGET

Scenario = Callable[[Lab], Awaitable[None]]
"""What both forms come to: a coroutine function that acts through the handle."""


@dataclass(frozen=True, kw_only=True)
class Outline:
    """Everything that a plan needs of a file.

    ``vary`` has every value of each parameter, one for those that do not vary; ``population`` weights by
    value, drawn from in each repetition; ``deadline`` in virtual seconds.
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
