"""``callpath baseline set|check``: keep what a run came to, and say whether a later one comes to the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lab.cli.options import JOBS_OPTION
from lab.cli.stored import RESULTS_OPTION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.measure.comparison.runs import Comparison
    from lab.measure.verdict import Outcome
    from lab.results.baseline import Baseline
    from lab.results.baseline_exact import ExactComparison
    from lab.results.stored_run import StoredRun

_CODES: Final = {"unchanged": 0, "changed": 1, "inconclusive": 3}


@click.group("baseline")
def command() -> None:
    """Keep what a run came to under a name, and say whether later runs come to the same."""


@command.command("set")
@click.argument("run")
@click.argument("name", default="", metavar="[NAME]")
@click.option("--without-events", is_flag=True, help='Smaller, but "check --exact" cannot show what differs.')
@RESULTS_OPTION
def set_(run: str, name: str, without_events: bool, results: Path) -> None:
    """Make a run the baseline NAME: by default that of its scenario.

    A run is named as for "callpath ladder". A baseline of that name and scenario is replaced.
    """
    from lab.results.baseline import write_baseline
    from lab.results.baseline_events import MOST_BYTES
    from lab.results.damage import require_undamaged
    from lab.results.finding import find_run
    from lab.results.stored_run import read_run
    from lab.run.overrides import overrides_of

    stored = read_run(find_run(run, results))
    require_undamaged(stored)
    most_bytes = 0 if without_events else MOST_BYTES
    baseline = write_baseline(
        results, name or stored.name, stored, overrides_of(stored), most_bytes=most_bytes
    )
    click.echo(_summary(baseline))


def _summary(baseline: Baseline) -> str:
    from lab.report.comparison_text import counted

    trials = baseline.content.trials
    size = sum(path.stat().st_size for path in baseline.path.iterdir())
    counts = f"{counted(len(baseline.outcomes.cells), 'cell')}, {counted(len(trials), 'trial')}"
    return f"{baseline.path}/: {counts}, events of {baseline.content.kept}; {size / 1000:.0f} kB"


@command.command("check")
@click.argument("target", metavar="RUN|SCENARIO")
@click.argument("name", default="", metavar="[NAME]")
@click.option("--exact", is_flag=True, help="Compare every event as well, and show the first that differs.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@JOBS_OPTION
@RESULTS_OPTION
def check(target: str, name: str, exact: bool, as_json: bool, jobs: int, results: Path) -> int:
    """Compare a run with the baseline NAME: by default that of its scenario.

    A scenario is run first, with the seed, the repetitions and the values that the baseline was run with.

    Ends with 1 where a selected or possible path, a count of connected calls or a verdict changed, or with
    --exact any event; with 3 where that cannot be told; with 0 where nothing did.
    """
    from lab.cli.compare import check_comparable
    from lab.measure.comparison.runs import compare_runs
    from lab.report.comparison_data import WORDS
    from lab.results.baseline import read_baseline
    from lab.results.baseline_exact import compare_exactly
    from lab.results.compared_run import read_outcomes
    from lab.results.damage import require_undamaged
    from lab.results.stored_run import read_run

    run = read_run(_run_of(target, name, jobs, results))
    require_undamaged(run)
    baseline = read_baseline(results, name or run.name)
    outcomes = read_outcomes(run)
    comparison = compare_runs(baseline.outcomes, outcomes)
    check_comparable(baseline.outcomes, outcomes, comparison)
    events = compare_exactly(baseline, run) if exact else None
    outcome = WORDS[_outcome(comparison, events)]
    show = _show_json if as_json else _show
    show(baseline, run, comparison, events, outcome)
    return _CODES[outcome]


def _run_of(target: str, name: str, jobs: int, results: Path) -> Path:
    """Return the directory of the run that is meant, or of a new one of the scenario that is meant."""
    from lab.errors import Problem, UsageError
    from lab.results.finding import find_run
    from lab.run.plan import find_scenario

    try:
        return find_run(target, results)
    except UsageError as no_run:
        try:
            find_scenario(target)
        except UsageError as no_scenario:
            found = "neither a run nor a scenario"
            raise UsageError(Problem(target, found), *no_run.problems, *no_scenario.problems) from None
    return _new_run(target, name, jobs, results)


def _new_run(scenario: str, name: str, jobs: int, results: Path) -> Path:
    """Run a scenario as the baseline was run; return the run's directory. What it says goes to stderr."""
    from lab.cli.aside import run_aside
    from lab.results.baseline import read_baseline
    from lab.run.plan import plan_run
    from lab.run.worlds import require_world
    from lab.spec.trial import VIRTUAL_TIME

    own_name = plan_run(scenario, seed=1, repeat=1).name
    baseline = read_baseline(results, name or own_name)
    outcomes, world = baseline.outcomes, baseline.outcomes.facts.get("world", VIRTUAL_TIME)
    require_world(world)
    plan = plan_run(
        scenario,
        seed=outcomes.seed,
        repeat=outcomes.repeat,
        overrides=baseline.content.overrides,
        world=world,
        nat_plane=outcomes.facts.get("nat_plane", ""),
        relay=outcomes.facts.get("relay", ""),
    )
    return run_aside(plan, jobs=jobs, results=results)


def _outcome(comparison: Comparison, events: ExactComparison | None) -> Outcome:
    from lab.measure.verdict import Outcome

    if comparison.outcome is Outcome.FAIL or (events is not None and events.differing):
        return Outcome.FAIL
    if comparison.outcome is Outcome.INCONCLUSIVE or (events is not None and events.missing):
        return Outcome.INCONCLUSIVE
    return Outcome.PASS


def _show(
    baseline: Baseline, run: StoredRun, comparison: Comparison, events: ExactComparison | None, outcome: str
) -> None:
    from lab.report.comparison_text import cell_text, comparison_text
    from lab.report.exact_text import exact_text

    click.echo(f"{run.path} against baseline {baseline.name}\n")
    click.echo(comparison_text(comparison, all_times=False))
    if events is not None:
        click.echo(f"\n{exact_text(events)}")
    if comparison.changed:
        cell = comparison.changed[0].cell
        first = f" '{cell_text(cell)}'" if cell else ""
        click.echo(f"\ncallpath explain {run.path}{first} says why the first of these cells is as it is now")
    click.echo(f"\n{outcome}")


def _show_json(
    baseline: Baseline, run: StoredRun, comparison: Comparison, events: ExactComparison | None, outcome: str
) -> None:
    from lab.report.comparison_data import comparison_data
    from lab.report.exact_text import exact_data

    document: Mapping[str, Any] = {
        "baseline": str(baseline.path),
        "run": str(run.path),
        **comparison_data(comparison),
        "outcome": outcome,
        "exact": None if events is None else exact_data(events),
    }
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
