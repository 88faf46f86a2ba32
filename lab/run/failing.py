"""Which trials made a run fail, and what they did otherwise than those that hold.

Weighing is cheap and done for every verdict that is no pass. Examining runs a trial again and listens to its
packets; so it is done for few, chosen so that every failing expectation has its worst.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from lab.measure.contribution import Contribution, Members, contributions, differences
from lab.measure.decisive_drop import can_explain, decisive_drop
from lab.measure.departure import Departure, find_departure
from lab.measure.evidence import Evidence, Examination, WeighedTrial
from lab.measure.verdict import Outcome, TrialSamples, Verdict
from lab.results.stored_run import StoredRun
from lab.run.plan import Plan
from lab.run.replay import Replay
from lab.run.replay_line import replay_line
from lab.spec.event import Event, EventType

MOST_WORST: Final = 5
"""Trials of a verdict that are named."""

MOST_EXPECTATIONS: Final = 12
"""Failing expectations whose worst trial is examined."""

MOST_FURTHER: Final = 5
"""Trials that are examined beyond those: the worst of further cells, then further ones of the same."""


class Failing:
    """The verdicts of a run that are no pass, each with its trials, worst first."""

    def __init__(self, plan: Plan, verdicts: Iterable[Verdict], samples: Mapping[int, TrialSamples]) -> None:
        self._plan = plan
        self._samples = samples
        self._members = Members(samples)
        self._weighed: dict[int, list[Contribution]] = {}
        self.evidence: list[Evidence] = []
        """In the order of the verdicts."""
        self._numbers: dict[int, int] = {}
        self.not_repeatable: list[str] = []
        """Keys of trials that came out otherwise when they were run again."""
        for verdict in verdicts:
            if verdict.outcome is not Outcome.PASS:
                self._numbers[id(verdict)] = len(self.evidence)
                self._weigh(verdict)

    def of(self, verdict: Verdict) -> Evidence | None:
        """Return what there is to look at of one of these verdicts; None for one that passes."""
        number = self._numbers.get(id(verdict))
        return None if number is None else self.evidence[number]

    def lasted(self, verdict: Verdict | None = None) -> float:
        """Return how long the trials of a verdict lasted, or all, added up (seconds of their own clocks)."""
        trials = self._samples.items() if verdict is None else self._members.of(verdict)
        return sum(trial.seconds for _, trial in trials)

    def _weigh(self, verdict: Verdict) -> None:
        weighed = contributions(verdict, self._members.of(verdict))
        self._weighed[len(self.evidence)] = weighed
        trials = self._plan.trials
        self.evidence.append(
            Evidence(
                verdict=verdict,
                worst=[
                    WeighedTrial(
                        key=trials[one.position].key, repeat=trials[one.position].repeat, contribution=one
                    )
                    for one in weighed[:MOST_WORST]
                ],
                trials=len(weighed),
                breaking=sum(one.breaks for one in weighed),
                replay=replay_line(trials[weighed[0].position]) if weighed else "",
            )
        )

    def chosen(self) -> list[int]:
        """Return the trials to examine, by position: few, each once."""
        worst = [(number, weighed[0]) for number, weighed in self._weighed.items() if weighed]
        expectations: dict[int, int] = {}
        for number, one in worst:
            expectations.setdefault(id(self.evidence[number].verdict.expectation), one.position)
        first = dict.fromkeys(list(expectations.values())[:MOST_EXPECTATIONS])
        further = dict.fromkeys(
            one.position
            for one in (
                *(one for _, one in worst),
                *(one for weighed in self._weighed.values() for one in weighed[1:] if one.breaks),
            )
            if one.position not in first
        )
        return [*first, *list(further)[:MOST_FURTHER]]

    def examine(
        self, position: int, replay: Replay, stored: StoredRun, *, capture: str = "", ladder: str = ""
    ) -> None:
        """Tell of every verdict whose worst trial this is what it did otherwise than one that holds."""
        for number, weighed in self._weighed.items():
            if weighed and weighed[0].position == position:
                found = self._examination(number, replay, stored)
                self._set(number, replace(found, capture=capture, ladder=ladder))

    def note_not_repeatable(self, position: int, failure: str) -> None:
        """Note that a trial run again did not come out as it is stored: nobody can say what it shows."""
        self.not_repeatable.append(self._plan.trials[position].key)
        self.note(position, failure)

    def note(self, position: int, failure: str, *, by_hand: str = "") -> None:
        """Note why nothing was found out of a trial, in the evidence of every verdict whose worst it is."""
        for number, weighed in self._weighed.items():
            if weighed and weighed[0].position == position:
                self._set(number, Examination(failure=failure, by_hand=by_hand))

    def _set(self, number: int, examination: Examination) -> None:
        self.evidence[number] = replace(self.evidence[number], examination=examination)

    def _examination(self, number: int, replay: Replay, stored: StoredRun) -> Examination:
        verdict, worst = self.evidence[number].verdict, self._weighed[number][0]
        other = self._one_that_holds(number)
        metric, call = verdict.expectation.metric, _call_of(worst, replay)
        events = None if other is None else _events(stored, other.position)
        departure = None
        if events is not None:
            media = metric.startswith("media.")
            departure = find_departure(events, replay.events, call=call, media=media)
        drop = None
        if can_explain(verdict):
            drop = decisive_drop(
                replay.trace, replay.events, metric=metric, call=call, until=_until(departure), unlike=events
            )
        trials = self._plan.trials
        own = trials[worst.position]
        beside = own if other is None else trials[other.position]
        return Examination(
            compared="" if other is None else beside.key,
            holds=other is not None and other.holds,
            differs=differences(own.cell, beside.cell),
            departure=departure,
            drop=drop,
            call_started=_start_of(call, replay.events),
        )

    def _one_that_holds(self, number: int) -> Contribution | None:
        """Return a trial in which what is expected was found: of the same cell, else of the nearest one.

        Beside one without a sample, that is any trial that has one.
        """
        verdict, worst = self.evidence[number].verdict, self._weighed[number]
        has_none = worst[0].value is None and not worst[0].invalid
        for trials in (worst, *(contributions(verdict, cell) for cell in self._members.nearest(verdict))):
            fitting = [one for one in trials if one.holds or (has_none and one.value is not None)]
            if fitting:
                return fitting[-1]
        return None


def _until(departure: Departure | None) -> float | None:
    """Return when a drop is too late to have led to a departure; what never came is waited for to the end."""
    return departure.happened if departure is not None and departure.failing is not None else None


def _call_of(worst: Contribution, replay: Replay) -> str:
    """Return the call to look at: that of the worst sample; where there was none, the first not connected."""
    if worst.call or worst.value is not None:
        return worst.call
    return next((record.call for record in replay.result.calls if not record.connected), "")


def _start_of(call: str, events: Sequence[Event]) -> float:
    of_call = (event.time for event in events if event.call == call and event.type is EventType.CALL_STARTED)
    return next(of_call, 0.0) if call else 0.0


def _events(stored: StoredRun, position: int) -> list[Event]:
    lines = stored.events_of(stored.trials[position]).splitlines()
    return [Event.from_json(line)[1] for line in lines]
