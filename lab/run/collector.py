"""The collector: keeps of each trial a row a call and the samples that were asked for; no events."""

from __future__ import annotations

from typing import Any

from lab.measure.verdict import TrialSamples, Verdict, judge_run
from lab.results.table import rows_of
from lab.run.plan import Plan
from lab.run.pool import run_trials
from lab.run.possible import possible_reach
from lab.run.trial import TrialResult


class Collector:
    """What a run comes to, in the plan's order: rows as in :mod:`lab.results.table`, and verdicts."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rows: list[list[dict[str, Any]]] = [[] for _ in plan.trials]
        self._samples: dict[int, TrialSamples] = {}
        self.invalid: list[str] = []
        """One line a trial that must not be judged: which, and why."""
        self.done = 0

    def add(self, position: int, result: TrialResult) -> None:
        """Take the result of the trial at that position of the plan."""
        rows = self._rows[position] = rows_of(result.trial, result.calls, result.invalid)
        for row in rows:
            if row.get("callee"):
                row["possible"] = possible_reach(result.trial, row["caller"], row["callee"]).value
        self._samples[position] = self._samples_of(result)
        self.done += 1
        if result.invalid:
            self.invalid.append(f"{result.trial.key} {dict(result.trial.cell)}: {result.invalid}")

    def _samples_of(self, result: TrialResult) -> TrialSamples:
        plan, values = self._plan, result.trial.cell
        return TrialSamples(
            cell={n: v for n, v in values.items() if n in plan.vary and n not in plan.population},
            drawn={n: v for n, v in values.items() if n in plan.population},
            samples=result.samples,
            invalid=result.invalid,
        )

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows so far, in the plan's order, with the predicted reach as ``possible`` beside the path."""
        return [row for rows in self._rows for row in rows]

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
