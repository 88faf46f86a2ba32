"""One error tree; each class says its exit code.

CallpathError (70)
├── UsageError (2)          a file, option or name the user gave is wrong; carries every problem found
│   └── NothingSelected (5) the selection matched nothing
├── HostNotReady (4)        this machine cannot do it: tool, privilege, kernel feature, directory
├── ProgramFailed (1)       a program that the user ran in the lab failed, or took too long
├── TrialInvalid (3)        a trial that must not be judged: NAT not certified, budget or deadline exceeded
└── WireFormatError         bytes from the network that are not what they claim; never reaches the user

Exit codes: 0 pass, 1 expectation failed, 2 bad usage or file, 3 inconclusive, 4 host not ready, 5 nothing
selected, 70 internal error, 130 interrupted.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with what the user gave: where, what was found, what was expected, what to try.

    ``excerpt`` is the line at fault as it stands in the file, with a caret below the place.
    """

    where: str
    found: str
    expected: str = ""
    suggestion: str = ""
    excerpt: str = ""

    def __str__(self) -> str:
        """One problem, one to three short lines, and the excerpt where there is one."""
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Return what is said of it, line by line."""
        lines = [f"{self.where}: {self.found}" if self.where else self.found]
        if self.excerpt:
            lines.append(self.excerpt)
        if self.expected:
            lines.append(f"  expected {self.expected}")
        if self.suggestion:
            lines.append(f"  {self.suggestion}")
        return [line for part in lines for line in part.split("\n")]


class CallpathError(Exception):
    """Root of everything the lab raises on purpose."""

    exit_code: ClassVar[int] = 70


MOST_LINES: Final = 40
"""Shown of one error, a screen: a loop in a topology makes the same mistake a thousand times."""

_KNOWN: Final = "known: "


def told(problems: Sequence[Problem], most_lines: int = MOST_LINES) -> str:
    """Return problems as they are shown: the first ones, as many as fit, and how many more there are.

    A list of known words is given once. The first problem is told whole, however long it is.
    """
    shown: list[str] = []
    lists: set[str] = set()
    for number, problem in enumerate(problems):
        lines = replace(problem, suggestion="").lines() if problem.suggestion in lists else problem.lines()
        if shown and len(shown) + len(lines) > most_lines:
            return "\n".join([*shown, f"... and {len(problems) - number} more"])
        shown += lines
        if problem.suggestion.startswith(_KNOWN):
            lists.add(problem.suggestion)
    return "\n".join(shown)


class UsageError(CallpathError):
    """What the user gave cannot be used; holds all problems at once, and says those that fit a screen."""

    exit_code = 2

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = tuple(Problem("", p) if isinstance(p, str) else p for p in problems)
        super().__init__(told(self.problems))


class NothingSelected(UsageError):
    """The selection matched nothing."""

    exit_code = 5


class HostNotReady(CallpathError):
    """This machine lacks something; the message names it and the remedy."""

    exit_code = 4


class ProgramFailed(CallpathError):
    """A program of the user's did not do what was asked of it: it failed, or took too long."""

    exit_code = 1


class TrialInvalid(CallpathError):
    """The trial says nothing about the network: it must be reported as invalid, never as failed."""

    exit_code = 3


class WireFormatError(CallpathError):
    """Bytes from the network are malformed. The one error type of every ``*_untrusted`` parser."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean "x"?`` for the nearest known word, else the list of known words."""
    known = sorted(set(known))
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else f"{_KNOWN}{', '.join(known)}"
