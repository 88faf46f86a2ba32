"""What is wrong with a NAT model that somebody asked for: all of it at once, each with what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelProblem:
    """One thing wrong: ``where`` (file and line, or key), what was found and expected, what to try."""

    where: str
    found: str
    expected: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        """Return one sentence, or two."""
        text = f"{self.where}: {self.found}" if self.where else self.found
        if self.expected:
            text += f"; expected {self.expected}"
        return f"{text} ({self.suggestion})" if self.suggestion else text


class NatModelError(ValueError):
    """Root of the errors of this package; ``problems`` holds everything that is wrong."""

    def __init__(self, *problems: ModelProblem) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))

    @property
    def found(self) -> str:
        """What was found, of the first problem."""
        return self.problems[0].found

    @property
    def expected(self) -> str:
        """What was expected, of the first problem."""
        return self.problems[0].expected

    @property
    def suggestion(self) -> str:
        """What to try, of the first problem."""
        return self.problems[0].suggestion


class UnknownPreset(NatModelError):
    """No preset has this name or alias."""


class InvalidModel(NatModelError):
    """A model file, or an override, names an unknown axis or gives it a value that it cannot have."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean "x"?`` for the nearest known word, else the list of them."""
    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else f"known: {', '.join(words)}"
