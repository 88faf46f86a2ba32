"""The collector: keeps one row a call of what trials gave, in the plan's order; no events."""

from __future__ import annotations

from typing import Any

from lab.results.table import rows_of
from lab.run.plan import Plan
from lab.run.pool import run_trials
from lab.run.possible import possible_reach
from lab.run.trial import TrialResult


class Collector:
    """Rows as in :mod:`lab.results.table`, with the predicted reach as ``possible`` beside the path."""

    def __init__(self, trials: int) -> None:
        self._rows: list[list[dict[str, Any]]] = [[] for _ in range(trials)]
        self.invalid: list[str] = []
        """One line a trial that must not be judged: which, and why."""
        self.done = 0

    def add(self, position: int, result: TrialResult) -> None:
        """Take the result of the trial at that position of the plan."""
        rows = self._rows[position] = rows_of(result.trial, result.calls, result.invalid)
        for row in rows:
            if row.get("callee"):
                row["possible"] = possible_reach(result.trial, row["caller"], row["callee"]).value
        self.done += 1
        if result.invalid:
            self.invalid.append(f"{result.trial.key} {dict(result.trial.cell)}: {result.invalid}")

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows so far, in the plan's order."""
        return [row for rows in self._rows for row in rows]


def collect_rows(plan: Plan, *, jobs: int = 0) -> list[dict[str, Any]]:
    """Run a plan, keep nothing but its rows, and return them."""
    collector = Collector(len(plan.trials))
    for position, result in run_trials(plan.trials, jobs=jobs):
        collector.add(position, result)
    return collector.rows
