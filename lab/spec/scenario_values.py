"""What the values of a scenario file may be, and what is said of one that is not: times, weights, names."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from lab.errors import Problem, UsageError
from lab.units import format_duration, parse_duration, parse_size

LONGEST: Final = 31 * 86_400.0
"""Seconds: the longest time that a scenario may name."""

SMALLEST: Final = 6 << 20
"""Bytes of memory: what Docker gives a container at least."""

PROBLEMS: Final = "callpath_problems"
"""The type of validation errors that carry the project's own problems: pairs of (trail below, problem)."""


def refuse(*problems: tuple[tuple[str | int, ...], Problem]) -> PydanticCustomError:
    """Return the error to raise from a validator: problems, each with its place below the value."""
    return PydanticCustomError(PROBLEMS, "not usable", {"problems": problems})


def _seconds(value: object, *, signed: bool = False) -> float:
    negative = signed and isinstance(value, str) and value.strip().startswith("-")
    try:
        seconds = parse_duration(str(value).strip()[1:] if negative else value)
    except UsageError as error:
        raise refuse(*(((), problem) for problem in error.problems)) from None
    if seconds > LONGEST:
        raise refuse(((), Problem("", f"{value!r} is too long", f"at most {format_duration(LONGEST)}")))
    return -seconds if negative else seconds


def _signed_seconds(value: object) -> float:
    return _seconds(value, signed=True)


def _positive_seconds(value: object) -> float:
    if (seconds := _seconds(value)) == 0:
        raise refuse(((), Problem("", f"{value!r} is no time at all", "a duration above 0")))
    return seconds


def _size(value: object) -> int:
    try:
        size = parse_size(value)
    except UsageError as error:
        raise refuse(*(((), problem) for problem in error.problems)) from None
    if size < SMALLEST:
        raise refuse(
            ((), Problem("", f"{value!r} is too little for any program", f"{SMALLEST >> 20}MiB or more"))
        )
    return size


def _weight(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise refuse(((), Problem("", f"{value!r} is not a weight", "a number above 0, such as 55")))
    if value <= 0:
        suggestion = "leave out what never occurs"
        raise refuse(((), Problem("", f"a weight of {value!r}", "a number above 0", suggestion)))
    return float(value)


def _scalar(value: object) -> object:
    if isinstance(value, str | bool | int | float):
        return value
    raise refuse(((), Problem("", f"{value!r} is no single value", "text, a number, true or false")))


_UNIT: Final = r"\s*(us|µs|ms|s|min|h)\s*$"
_SIZE: Final = r"^\s*\+?[0-9.eE+-]+\s*(B|kB|KiB|MB|MiB)\s*$"
_DURATION: Final = {"anyOf": [{"type": "string", "pattern": rf"^\s*\+?[0-9.eE+-]+{_UNIT}"}, {"const": 0}]}
_SIGNED: Final = {"anyOf": [{"type": "string", "pattern": rf"^\s*[+-]?[0-9.eE+-]+{_UNIT}"}, {"const": 0}]}

Seconds = Annotated[float, BeforeValidator(_seconds), WithJsonSchema(_DURATION)]
SignedSeconds = Annotated[float, BeforeValidator(_signed_seconds), WithJsonSchema(_SIGNED)]
PositiveSeconds = Annotated[float, BeforeValidator(_positive_seconds), WithJsonSchema(_DURATION)]
Size = Annotated[int, BeforeValidator(_size), WithJsonSchema({"type": "string", "pattern": _SIZE})]
Weight = Annotated[float, BeforeValidator(_weight), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
Scalar = Annotated[Any, BeforeValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Name = Annotated[StrictStr, Field(min_length=1, max_length=100)]


class Part(BaseModel):
    """Any mapping of a scenario file: frozen, and without a key that is not described."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
