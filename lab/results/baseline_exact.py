"""A run against a baseline, event by event: which trials differ, and the first event in which one does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.errors import Problem, UsageError
from lab.measure.divergence import Divergence, first_divergence
from lab.results.baseline import Baseline
from lab.results.baseline_events import kept_events
from lab.results.stored_events import sha256_of
from lab.results.stored_run import StoredRun, StoredTrial
from lab.spec.trial import VIRTUAL_TIME


@dataclass(frozen=True, kw_only=True)
class ExactComparison:
    """What differs: ``differing`` trials, first repetitions first, and where the first one parts.

    ``compared`` counts the trials of both; ``missing`` are keys of the baseline's that the run has no events
    of, ``new`` counts the run's others. ``first`` is the first differing trial of which the baseline has
    events, with its ``divergence``; both are None where there is none.
    """

    compared: int
    differing: Sequence[StoredTrial]
    missing: Sequence[str]
    new: int
    first: StoredTrial | None = None
    divergence: Divergence | None = None


def compare_exactly(baseline: Baseline, run: StoredRun) -> ExactComparison:
    """Return in what the events of a run differ from those that the baseline was made of.

    Raises:
        UsageError: the run has another seed, or none of the baseline's trials; or one of the two was not in
            virtual time; or events cannot be read.
    """
    trials = {trial.key: trial for trial in run.trials}
    digests = {digest.key: digest for digest in baseline.content.trials}
    _check_comparable(baseline, run, digests.keys() & trials.keys())
    there = {key for key in digests if key in trials and run.is_finished(trials[key])}
    differing = [
        trials[key]
        for key, digest in digests.items()
        if key in there and sha256_of(run.events_of(trials[key])) != digest.sha256
    ]
    first, divergence = _first_divergence(baseline, run, differing)
    return ExactComparison(
        compared=len(there),
        differing=differing,
        missing=[key for key in digests if key not in there],
        new=len(trials.keys() - digests.keys()),
        first=first,
        divergence=divergence,
    )


def _check_comparable(baseline: Baseline, run: StoredRun, shared: set[str]) -> None:
    worlds = {baseline.outcomes.facts.get("world"), run.manifest.get("world")}
    if worlds != {VIRTUAL_TIME}:
        found = "events are the same only in virtual time: compare without --exact"
        raise UsageError(Problem(str(run.path), found))
    before, now = baseline.outcomes.seed, run.seed
    if before != now:
        found = f"seed {now}, and baseline {baseline.name} has seed {before}: no event can be the same"
        raise UsageError(Problem(str(run.path), found, suggestion=f"run it with --seed {before}"))
    if not shared:
        found = f"has no trial of baseline {baseline.name}: other parameters draw other numbers"
        raise UsageError(Problem(str(run.path), found))


def _first_divergence(
    baseline: Baseline, run: StoredRun, differing: Sequence[StoredTrial]
) -> tuple[StoredTrial | None, Divergence | None]:
    content = baseline.content
    kept = {digest.key for digest in content.trials[: content.kept]}
    wanted = {trial.key: trial for trial in differing if trial.key in kept}
    if not wanted:
        return None, None
    for key, before in kept_events(baseline.events_file, content):
        if key in wanted:
            # Not splitlines(): what a line holds may have any of Unicode's other line ends in it.
            now = run.events_of(wanted[key]).removesuffix("\n").split("\n")
            return wanted[key], first_divergence(before, now)
    return None, None
