"""The collector: keeps of each trial a row a call and the samples that were asked for; no events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.measure.verdict import TrialSamples, Verdict, judge_run
from lab.results.table import rows_of
from lab.run.plan import Plan
from lab.run.pool import run_trials
from lab.run.possible import possible_paths
from lab.run.trial import TrialResult
from lab.spec.assignment import format_cell


class Collector:
    """What a run comes to, in the plan's order: rows as in :mod:`lab.results.table`, and verdicts."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rows: list[list[dict[str, Any]]] = [[] for _ in plan.trials]
        self._samples: dict[int, TrialSamples] = {}
        self.invalid: list[str] = []
        """One line a trial that must not be judged: which, and why."""
        self.repeated: list[str] = []
        """One line a trial that the machine has stalled before it was run as it is: which, and how."""
        self.done = 0

    def add(self, position: int, result: TrialResult) -> None:
        """Take the result of the trial at that position of the plan."""
        rows = self._rows[position] = rows_of(result.trial, result.calls, result.invalid)
        for row in rows:
            if row.get("callee"):
                possible = possible_paths(result.trial, row["caller"], row["callee"])
                row["possible"], row["possible_pairs"] = possible.reach.value, " ".join(possible.pairs)
        self._samples[position] = self._samples_of(result)
        self.done += 1
        trial = " ".join(filter(None, (result.trial.key, format_cell(result.trial.cell))))
        if result.invalid:
            self.invalid.append(f"{trial}: {result.invalid}")
        if result.repeated:
            self.repeated.append(f"{trial}: {' | '.join(result.repeated)}")

    def _samples_of(self, result: TrialResult) -> TrialSamples:
        plan, values = self._plan, result.trial.cell
        return TrialSamples(
            cell={n: v for n, v in values.items() if n in plan.vary and n not in plan.population},
            drawn={n: v for n, v in values.items() if n in plan.population},
            samples=result.samples,
            invalid=result.invalid,
            seconds=result.seconds,
        )

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows so far, in the plan's order, with what was predicted beside the path."""
        return [row for rows in self._rows for row in rows]

    @property
    def samples(self) -> Mapping[int, TrialSamples]:
        """The samples of the trials so far, by their position in the plan."""
        return self._samples

    def verdicts(self) -> list[Verdict]:
        """Return the verdicts on the plan's expectations, from the trials so far."""
        samples = [self._samples[position] for position in sorted(self._samples)]
        return judge_run(self._plan.expectations, samples, run_seed=self._plan.trials[0].run_seed)


def collect_rows(plan: Plan, *, jobs: int = 0) -> list[dict[str, Any]]:
    """Run a plan, keep nothing but its rows, and return them."""
    collector = Collector(plan)
    for position, result in run_trials(plan.trials, jobs=jobs):
        collector.add(position, result)
    return collector.rows
