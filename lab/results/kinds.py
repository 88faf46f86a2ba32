"""What the keys of a stored document hold: told by key where one holds something else, in JSON's words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from lab.errors import Problem

MOST_MISFITS: Final = 5
"""Of one object: who sees these looks at the file."""
MOST_SHOWN: Final = 60
"""Characters of a value that is shown: enough to find it in the file."""


class Kind(NamedTuple):
    """What a key holds, in words, and whether a value is that; ``needed`` says that the key must be there."""

    words: str
    fits: Callable[[Any], bool]
    needed: bool = True

    def or_absent(self) -> Kind:
        """Return the kind of a key that may be missing."""
        return self._replace(needed=False)

    def or_null(self) -> Kind:
        """Return the kind that null fits as well."""
        return Kind(f"null or {self.words}", lambda value: value is None or self.fits(value), self.needed)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


TEXT: Final = Kind("a text", lambda value: isinstance(value, str))
TRUTH: Final = Kind("true or false", lambda value: isinstance(value, bool))
WHOLE: Final = Kind("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool))
NUMBER: Final = Kind("a number", _is_number)
OBJECT: Final = Kind("an object", lambda value: isinstance(value, dict))
OBJECTS: Final = Kind(
    "a list of objects", lambda value: isinstance(value, list) and all(map(OBJECT.fits, value))
)
TEXTS: Final = Kind("a list of texts", lambda value: isinstance(value, list) and all(map(TEXT.fits, value)))
BOUNDS: Final = Kind(
    "two numbers", lambda value: isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
)
LISTS_BY_NAME: Final = Kind(
    "an object of lists",
    lambda value: isinstance(value, dict) and all(isinstance(item, list) for item in value.values()),
)
OBJECTS_BY_NAME: Final = Kind(
    "an object of objects", lambda value: isinstance(value, dict) and all(map(OBJECT.fits, value.values()))
)


def one_of(words: type[StrEnum] | Iterable[str]) -> Kind:
    """Return the kind of a key that holds one of these words."""
    known = [str(word) for word in words]
    told = f"one of {', '.join(known)}" if len(known) < 8 else "a word of this callpath"
    return Kind(told, lambda value: isinstance(value, str) and value in known)


def misfits(
    document: Mapping[str, Any], kinds: Mapping[str, Kind], where: str, *, within: str = "", remedy: str = ""
) -> list[Problem]:
    """Return which keys of a document hold what they never hold, or are missing; the first of them.

    Args:
        document: the object.
        kinds: what its keys hold; others may be there.
        where: the file.
        within: how the keys are preceded, where the object is part of another: ``trials[3].``.
        remedy: what can be done about it.
    """
    problems = []
    for key, kind in kinds.items():
        if key in document and not kind.fits(document[key]):
            found = f'damaged: "{within}{key}" holds {_shown(document[key])}'
            problems.append(Problem(where, found, kind.words, remedy))
        elif key not in document and kind.needed:
            problems.append(Problem(where, f'damaged: no "{within}{key}"', kind.words, remedy))
    return problems[:MOST_MISFITS]


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
