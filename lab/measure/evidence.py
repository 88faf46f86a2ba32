"""What a verdict rests on: which trials, what the worst of them did otherwise, how to run it again. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lab.measure.contribution import Contribution
from lab.measure.decisive_drop import DecisiveDrop
from lab.measure.departure import Departure
from lab.measure.verdict import Verdict
from lab.spec.event import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighedTrial:
    """A trial that contributed to a verdict: its key, its repetition (from 0), and what it contributed."""

    key: str
    repeat: int
    contribution: Contribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """The worst trial of a verdict, run again and beside one in which what is expected holds.

    ``compared`` is that other trial's key, ``differs`` what its cell has otherwise; both empty where no trial
    of the run holds. Where the worst one has no sample, the other one is one that has (then ``holds`` may be
    false). ``drop`` is the one that tells why. ``failure`` is set where nothing could be
    found out: the trial is too long to be run again unasked, or came out otherwise than it is stored.
    """

    compared: str = ""
    holds: bool = True
    differs: Mapping[str, JsonValue] = field(default_factory=dict)
    departure: Departure | None = None
    drop: DecisiveDrop | None = None
    call_started: float = 0.0
    """When the call of the worst sample began in the worst trial (s); 0 for what is of no call."""
    capture: str = ""
    ladder: str = ""
    """Files of the worst trial: its packets, and what they did as text."""
    failure: str = ""
    by_hand: str = ""
    """A command that does what was not done unasked."""

    def as_data(self) -> dict[str, JsonValue]:
        """Return it as JSON values: what does not depend on where the run is kept."""
        return {
            "compared": self.compared,
            "holds": self.holds,
            "differs": dict(self.differs),
            "departure": None if self.departure is None else self.departure.as_data(),
            "drop": None if self.drop is None else asdict(self.drop),
            "call_started": self.call_started,
            "failure": self.failure,
        }

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Examination:
        """Return what :meth:`as_data` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        departure, drop = data["departure"], data["drop"]
        return Examination(
            compared=str(data["compared"]),
            holds=bool(data["holds"]),
            differs=dict(data["differs"]),
            departure=None if departure is None else Departure.from_data(departure),
            drop=None if drop is None else DecisiveDrop.from_data(drop),
            call_started=float(data["call_started"]),
            failure=str(data["failure"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What there is to look at. ``worst`` is bounded, the worst first; ``trials`` were judged together.

    ``breaking`` counts those that alone do not hold; ``replay`` is a command that runs the worst one again.
    """

    verdict: Verdict
    worst: Sequence[WeighedTrial] = ()
    trials: int = 0
    breaking: int = 0
    replay: str = ""
    examination: Examination | None = None

    def as_data(self) -> dict[str, JsonValue]:
        """Return it as JSON values, for a stored result: what does not depend on where the run is kept."""
        return {
            "trials": self.trials,
            "breaking": self.breaking,
            "worst": [
                {
                    "key": one.key,
                    "repetition": one.repeat + 1,
                    "value": one.contribution.value,
                    "breaks": one.contribution.breaks,
                    "call": one.contribution.call,
                    "invalid": one.contribution.invalid,
                }
                for one in self.worst
            ],
            "replay": self.replay,
            "examination": None if self.examination is None else self.examination.as_data(),
        }

    @staticmethod
    def from_data(verdict: Verdict, data: Mapping[str, Any]) -> Evidence:
        """Return what :meth:`as_data` wrote of a verdict; positions in the plan are not kept.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        examination = data["examination"]
        return Evidence(
            verdict=verdict,
            worst=[_weighed(record) for record in data["worst"]],
            trials=int(data["trials"]),
            breaking=int(data["breaking"]),
            replay=str(data["replay"]),
            examination=None if examination is None else Examination.from_data(examination),
        )


def _weighed(record: Mapping[str, Any]) -> WeighedTrial:
    value = record["value"]
    contribution = Contribution(
        position=-1,
        value=None if value is None else float(value),
        breaks=bool(record["breaks"]),
        call=str(record["call"]),
        invalid=str(record["invalid"]),
    )
    return WeighedTrial(
        key=str(record["key"]), repeat=int(record["repetition"]) - 1, contribution=contribution
    )
