"""Values of model files as Python values: words to enums, durations to seconds."""

from __future__ import annotations

import enum
import re
from typing import Final

from nat_models.errors import ModelProblem, did_you_mean
from nat_models.model import Filtering, Mapping

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h)")
_SECONDS: Final = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}

SHORT_MAPPING: Final = {
    "eim": Mapping.ENDPOINT_INDEPENDENT,
    "adm": Mapping.ADDRESS_DEPENDENT,
    "apdm": Mapping.ADDRESS_AND_PORT_DEPENDENT,
}
SHORT_FILTERING: Final = {
    "eif": Filtering.ENDPOINT_INDEPENDENT,
    "adf": Filtering.ADDRESS_DEPENDENT,
    "apdf": Filtering.ADDRESS_AND_PORT_DEPENDENT,
}


class WrongValueError(Exception):
    """A value cannot be used; the caller adds where it stood."""

    def __init__(self, found: str, expected: str, suggestion: str = "") -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected
        self.suggestion = suggestion

    def at(self, where: str) -> ModelProblem:
        """Return the problem with its place."""
        return ModelProblem(where, self.found, self.expected, self.suggestion)


def read_duration(value: object) -> float:
    """Return seconds: ``"300s"``, ``"2h 4min"``, ``"1.5s"``; 0 may stand bare.

    Raises:
        WrongValueError: no number with a unit of time.
    """
    if value in {0, "0"} and value is not False:
        return 0.0
    text = value.strip() if isinstance(value, str) else ""
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text).strip():
        bare = isinstance(value, (int, float)) and not isinstance(value, bool)
        suggestion = f"write {value:g}s" if isinstance(value, (int, float)) and bare else "for example 300s"
        raise WrongValueError(f"{value!r} is no duration", "a number with ms, s, min or h", suggestion)
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def read_word(kind: type[enum.Enum], value: object) -> enum.Enum:
    """Return the member of an enum that a word names; members pass. Mapping and filtering have short names.

    Raises:
        WrongValueError: no such word.
    """
    if isinstance(value, kind):
        return value
    short: dict[str, enum.Enum] = {}
    if kind is Mapping:
        short = dict(SHORT_MAPPING)
    elif kind is Filtering:
        short = dict(SHORT_FILTERING)
    words = {str(member.value): member for member in kind} | short
    if isinstance(value, str) and value in words:
        return words[value]
    raise WrongValueError(f"{value!r}", f"one of {', '.join(words)}", _nearest(str(value), words))


def read_bool(value: object) -> bool:
    """Return a truth value.

    Raises:
        WrongValueError: not ``true`` or ``false``.
    """
    if isinstance(value, bool):
        return value
    raise WrongValueError(f"{value!r}", "true or false")


def read_int(value: object) -> int:
    """Return a whole number.

    Raises:
        WrongValueError: not one.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    raise WrongValueError(f"{value!r}", "a whole number")


def read_str(value: object) -> str:
    """Return text.

    Raises:
        WrongValueError: not text.
    """
    if isinstance(value, str):
        return str(value)
    raise WrongValueError(f"{value!r}", "text")


def read_list(value: object) -> list[object]:
    """Return the items of a list.

    Raises:
        WrongValueError: not a list.
    """
    if isinstance(value, (list, tuple)):
        return list(value)
    raise WrongValueError(f"{value!r}", "a list")


def _nearest(word: str, words: dict[str, enum.Enum]) -> str:
    suggestion = did_you_mean(word, words)
    return "" if suggestion.startswith("known") else suggestion
