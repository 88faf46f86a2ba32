"""Verdicts: does what was measured meet what was expected? Pass, fail, or nobody can say.

Judged cell by cell on the point estimate; an interval and the number of samples stand beside it. Nothing
measured is never a pass.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lab.measure.metrics import Sample
from lab.measure.statistics import Cluster, Interval, estimate, interval_of, samples_needed
from lab.spec.comparison import Comparator
from lab.spec.event import JsonValue
from lab.spec.expectation import Expectation, Request, Severity
from lab.spec.metric_catalogue import CATALOGUE, Statistic
from lab.spec.seeds import stream

DEFAULT_CONFIDENCE: Final = 0.95
"""Of the interval that is printed where the expectation asks for none."""

Cell = Mapping[str, JsonValue]


class Outcome(enum.StrEnum):
    """What a verdict, or a run, comes to."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSamples:
    """What one trial contributes: its cell, its samples by request, why it is invalid ("" if it is not).

    ``seconds`` is how long it lasted, on its own clock. ``drawn`` holds parameters that were drawn from a
    population. ``when`` may ask for them, but they make no cell of their own: what is judged is the
    population.
    """

    cell: Cell
    samples: Mapping[Request, Sequence[Sample]]
    drawn: Cell = field(default_factory=dict)
    invalid: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One expectation in one cell.

    ``value`` and ``interval`` in SI units, None where there is none; the interval is two-sided and of
    ``confidence``. ``n`` counts samples by weight, ``invalid`` trials. ``reason`` says why it is
    inconclusive.
    """

    expectation: Expectation
    cell: Cell
    outcome: Outcome
    value: float | None = None
    interval: Interval | None = None
    confidence: float = DEFAULT_CONFIDENCE
    n: int = 0
    invalid: int = 0
    reason: str = ""

    @property
    def counts(self) -> bool:
        """Whether the run depends on it: a warning is only told."""
        return self.expectation.severity is Severity.ERROR

    def as_data(self) -> dict[str, JsonValue]:
        """Return it as JSON values, for a stored result."""
        expectation = self.expectation
        return {
            "metric": expectation.metric,
            "statistic": expectation.statistic.value,
            "comparator": expectation.comparator.value,
            "threshold": expectation.threshold,
            "threshold_text": expectation.threshold_text,
            "within": expectation.within,
            "when": {name: list(values) for name, values in expectation.when.items()},
            "asked_confidence": expectation.confidence,
            "severity": expectation.severity.value,
            "why": expectation.why,
            "cell": dict(self.cell),
            "outcome": self.outcome.value,
            "value": self.value,
            "interval": None if self.interval is None else [*self.interval],
            "confidence": self.confidence,
            "n": self.n,
            "invalid": self.invalid,
            "reason": self.reason,
        }

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Verdict:
        """Return the verdict that :meth:`as_data` wrote.

        Raises:
            KeyError: something is missing.
            ValueError: a word that is none of the lab's.
            TypeError: not what :meth:`as_data` writes.
        """
        expectation = Expectation(
            metric=CATALOGUE[data["metric"]].name,
            statistic=Statistic(data["statistic"]),
            comparator=Comparator(data["comparator"]),
            threshold=float(data["threshold"]),
            threshold_text=str(data["threshold_text"]),
            within=data["within"],
            when={str(name): tuple(values) for name, values in data["when"].items()},
            confidence=data["asked_confidence"],
            severity=Severity(data["severity"]),
            why=str(data["why"]),
        )
        return Verdict(
            expectation=expectation,
            cell=dict(data["cell"]),
            outcome=Outcome(data["outcome"]),
            value=data["value"],
            interval=None if data["interval"] is None else Interval(*data["interval"]),
            confidence=float(data["confidence"]),
            n=int(data["n"]),
            invalid=int(data["invalid"]),
            reason=str(data["reason"]),
        )


# Judging


def judge(
    expectation: Expectation,
    cell: Cell,
    trials: Sequence[Sequence[Sample]],
    *,
    invalid: int = 0,
    run_seed: int = 0,
) -> Verdict:
    """Return the verdict on one cell.

    Args:
        expectation: what should hold; that it is about this cell is the caller's business.
        cell: the parameters that its trials share.
        trials: the samples of each valid trial.
        invalid: how many trials of the cell must not be judged; any makes the verdict inconclusive.
        run_seed: seeds the draws of the bootstrap, with the cell and the expectation.
    """
    clusters = _clusters(trials)
    samples = [sample for cluster in clusters for sample in cluster]
    confidence = expectation.confidence or DEFAULT_CONFIDENCE
    n = sum(weight for _, weight in samples)
    value, interval = None, None
    if n:
        value = float(estimate(CATALOGUE[expectation.metric].kind, expectation.statistic, samples))
        generator = stream(run_seed, cell_key(cell), str(expectation), "bootstrap")
        interval = interval_of(expectation.statistic, clusters, confidence, generator)
    reason = _why_inconclusive(expectation, value, interval, len(clusters), invalid)
    return Verdict(
        expectation=expectation,
        cell=cell,
        outcome=_outcome(expectation, value, reason),
        value=value,
        interval=interval,
        confidence=confidence,
        n=n,
        invalid=invalid,
        reason=reason,
    )


def judge_run(
    expectations: Iterable[Expectation], trials: Iterable[TrialSamples], *, run_seed: int = 0
) -> list[Verdict]:
    """Return the verdicts of a run: by expectation, then by cell in order of appearance.

    An expectation that is about no trial of the run has one inconclusive verdict, with an empty cell.
    """
    trials = list(trials)
    verdicts = []
    for expectation in expectations:
        by_cell: dict[str, list[TrialSamples]] = {}
        for trial in trials:
            if expectation.applies_to({**trial.cell, **trial.drawn}):
                by_cell.setdefault(cell_key(trial.cell), []).append(trial)
        verdicts += [_judge_members(expectation, members, run_seed) for members in by_cell.values()]
        if not by_cell:
            verdicts.append(_about_nothing(expectation))
    return verdicts


def _about_nothing(expectation: Expectation) -> Verdict:
    reason = "no trial of this run is one that it is about"
    return Verdict(expectation=expectation, cell={}, outcome=Outcome.INCONCLUSIVE, reason=reason)


def _judge_members(expectation: Expectation, members: Sequence[TrialSamples], run_seed: int) -> Verdict:
    valid = [trial.samples[expectation.request] for trial in members if not trial.invalid]
    invalid = len(members) - len(valid)
    return judge(expectation, members[0].cell, valid, invalid=invalid, run_seed=run_seed)


def _clusters(trials: Sequence[Sequence[Sample]]) -> list[Cluster]:
    """Return samples by call; those of a trial as a whole are one cluster."""
    clusters: dict[tuple[int, str], list[tuple[float, int]]] = {}
    for number, samples in enumerate(trials):
        for sample in samples:
            if sample.weight > 0:
                clusters.setdefault((number, sample.call), []).append((sample.value, sample.weight))
    return list(clusters.values())


def _why_inconclusive(
    expectation: Expectation, value: float | None, interval: Interval | None, clusters: int, invalid: int
) -> str:
    """Return why nobody can say; empty where the point estimate decides."""
    if invalid:
        return f"{invalid} invalid {'trial' if invalid == 1 else 'trials'}: see the run's list of them"
    if value is None:
        return "no samples"
    if expectation.confidence is None:
        return ""
    if interval is None:
        return "an interval needs two calls at least"
    percent = expectation.statistic.percentile
    needed = 0 if percent is None else samples_needed(percent, expectation.confidence)
    if clusters < needed:
        level = f"{expectation.confidence * 100:.6g} %"
        return f"{clusters} calls cannot bound {expectation.statistic} with {level} confidence: {needed} can"
    if len({expectation.comparator.holds(bound, expectation.threshold) for bound in interval}) == 2:
        return "the interval holds values that meet the threshold and values that do not"
    return ""


def _outcome(expectation: Expectation, value: float | None, reason: str) -> Outcome:
    if reason or value is None:
        return Outcome.INCONCLUSIVE
    met = expectation.comparator.holds(value, expectation.threshold)
    return Outcome.PASS if met else Outcome.FAIL


def cell_key(cell: Cell) -> str:
    """Return a text that is equal for equal cells; True is not 1 in it, as it is in Python."""
    return json.dumps(dict(cell), sort_keys=True)


# The run as a whole


def overall(verdicts: Iterable[Verdict]) -> Outcome:
    """Return what verdicts come to together: a failure counts before doubt; warnings do not count."""
    outcomes = {verdict.outcome for verdict in verdicts if verdict.counts}
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL
    return Outcome.INCONCLUSIVE if Outcome.INCONCLUSIVE in outcomes else Outcome.PASS


_CODES: Final[Mapping[Outcome, int]] = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3}
_PRECEDENCE: Final = (70, 4, 1, 3, 0)
"""A fault of the lab or of the machine first: then no verdict can be trusted. See docs/exit-codes.md."""


def exit_code_of(verdicts: Iterable[Verdict], *others: int) -> int:
    """Return the exit code of a run that came to verdicts.

    Args:
        verdicts: of the run; none is a run that had nothing to prove.
        others: codes of whatever else befell it: 70 a fault of the lab, 4 of the machine, 3 an invalid trial.

    Raises:
        ValueError: a code that no run which came to verdicts can have.
    """
    unknown = [code for code in others if code not in _PRECEDENCE]
    if unknown:
        raise ValueError(f"exit code {unknown[0]} is of no run that came to verdicts")
    return min((_CODES[overall(verdicts)], *others), key=_PRECEDENCE.index)
