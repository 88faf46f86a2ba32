"""Requirements as executable statements, and what a check says of one model."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from nat_models.conformance.probe import Probe


class Level(enum.Enum):
    """How strongly a document asks (RFC 2119)."""

    MUST = "MUST"
    MUST_NOT = "MUST NOT"
    SHOULD = "SHOULD"
    SHOULD_NOT = "SHOULD NOT"
    RECOMMENDED = "RECOMMENDED"
    MAY = "MAY"

    @property
    def binds(self) -> bool:
        """Whether breaking it makes a box non-conforming."""
        return self in {Level.MUST, Level.MUST_NOT}


class Verdict(enum.Enum):
    """What the packets showed."""

    MET = "met"
    VIOLATED = "violated"
    NOT_APPLICABLE = "not applicable"


class Shown(NamedTuple):
    """A verdict and the sentence that says what was seen."""

    verdict: Verdict
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One requirement in our words, and the experiment that decides it.

    ``needs``: what a box must be seen to do for the requirement to mean anything to it.
    """

    document: str
    requirement: str
    level: Level
    text: str
    needs: Needs
    check: Callable[[Probe], Shown]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one requirement is to one model. ``requirement`` reads ``RFC 4787 REQ-1``."""

    model: str
    requirement: str
    level: Level
    text: str
    verdict: Verdict
    evidence: str


class Needs(enum.Enum):
    """What is observed before a statement is put to a box."""

    UDP = "UDP passes"
    UDP_TRANSLATION = "UDP is translated"
    TCP = "TCP passes"
    TCP_TRANSLATION = "TCP is translated"
    QUERIES = "ICMP queries pass"
    NOTHING = "nothing"


def met_if(condition: bool, evidence: str) -> Shown:
    """Return MET or VIOLATED with the evidence."""
    return Shown(Verdict.MET if condition else Verdict.VIOLATED, evidence)


def not_applicable(why: str) -> Shown:
    """Return NOT_APPLICABLE with the reason."""
    return Shown(Verdict.NOT_APPLICABLE, why)


class Catalogue:
    """The statements of one document, in its order."""

    def __init__(self, document: str, needs: Needs) -> None:
        self.document = document
        self.statements: list[Statement] = []
        self._needs = needs

    def states(
        self, requirement: str, level: Level, text: str, needs: Needs | None = None
    ) -> Callable[[Callable[[Probe], Shown]], Callable[[Probe], Shown]]:
        """Register an experiment as what decides a requirement."""

        def register(check: Callable[[Probe], Shown]) -> Callable[[Probe], Shown]:
            self.statements.append(
                Statement(
                    document=self.document,
                    requirement=requirement,
                    level=level,
                    text=text,
                    needs=self._needs if needs is None else needs,
                    check=check,
                )
            )
            return check

        return register
