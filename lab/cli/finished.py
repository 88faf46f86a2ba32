"""A run whose trials are over, as what comes after reads it: verdicts, rows, its directory, its doubts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.measure.verdict import Outcome, Verdict
    from lab.results.run_directory import RunDirectory
    from lab.results.stored_run import StoredRun
    from lab.run.collector import Collector
    from lab.run.failing import Failing
    from lab.run.plan import Plan


@dataclass(frozen=True)
class Finished:
    """A run whose trials are over: all of them, or those before it was cut short.

    ``seconds`` on the wall clock; ``cut_short`` says why there are no more trials, empty if there are none;
    ``before`` counts those that an earlier process had run.
    """

    plan: Plan
    run: RunDirectory
    collector: Collector
    seconds: float = 0.0
    cut_short: str = ""
    before: int = 0

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """The verdicts on the plan's expectations, from the finished trials."""
        return self.collector.verdicts()

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """One row a call, in the plan's order: see :mod:`lab.results.table`."""
        return self.collector.rows

    @cached_property
    def stored(self) -> StoredRun:
        """The run as its directory has it."""
        from lab.results.stored_run import read_run

        return read_run(self.run.path)

    @cached_property
    def failing(self) -> Failing:
        """The verdicts that are no pass, with the trials that they rest on."""
        from lab.run.failing import Failing

        return Failing(self.plan, self.verdicts, self.collector.samples)

    @property
    def is_complete(self) -> bool:
        """Whether every trial of the plan was run, and nothing went wrong after that."""
        return self.collector.done == len(self.plan.trials) and not self.cut_short

    @property
    def doubts(self) -> list[str]:
        """Why nobody can say what the run shows, whatever its verdicts are."""
        invalid, planned = len(self.collector.invalid), len(self.plan.trials)
        doubts = [f"{invalid} of {planned} trials are invalid"] if invalid else []
        if not self.plan.expectations and not any("call" in row for row in self.rows):
            doubts.append("nothing was measured: no call was made, and nothing is expected")
        if self.failing.not_repeatable:
            keys = ", ".join(self.failing.not_repeatable)
            doubts.append(f"run again, trials came out otherwise than they are stored: {keys}")
        return doubts

    @property
    def outcome(self) -> Outcome:
        """What the verdicts and the doubts come to together."""
        from lab.measure.verdict import Outcome, overall

        found = overall(self.verdicts)
        return Outcome.INCONCLUSIVE if found is Outcome.PASS and self.doubts else found
