"""``callpath run SCENARIO``: plan, run, write, show."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lab.cli.parameters import parse_assignments

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.results.run_directory import RunDirectory
    from lab.run.plan import Plan
    from lab.run.trial import TrialResult

EXIT_INCONCLUSIVE = 3
EXIT_INTERRUPTED = 130


@click.command("run")
@click.argument("scenario")
@click.option(
    "--seed", type=int, default=1, show_default=True, envvar="CALLPATH_SEED", help="Seed of the run."
)
@click.option("--repeat", type=click.IntRange(min=1), help="Repetitions a cell, in place of the scenario's.")
@click.option(
    "--jobs",
    type=click.IntRange(min=0),
    default=0,
    envvar="CALLPATH_JOBS",
    help="Processes; 0 is one a core.",
)
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE[,VALUE]", help="Values of a parameter."
)
@click.option(
    "--results", type=click.Path(path_type=Path, file_okay=False), default=Path("results"), show_default=True,
    envvar="CALLPATH_RESULTS", help="Where the run's directory is made.",
)  # fmt: skip
@click.option("--capture", is_flag=True, help="Keep a capture (pcapng) of every trial.")
def command(
    scenario: str,
    seed: int,
    repeat: int | None,
    jobs: int,
    assignments: tuple[str, ...],
    results: Path,
    capture: bool,
) -> int:
    """Run a scenario in virtual time and show what came of it."""
    from lab.run.plan import plan_run

    plan = plan_run(scenario, seed=seed, repeat=repeat, overrides=parse_assignments(assignments))
    if capture:
        plan = replace(plan, trials=tuple(replace(trial, capture=True) for trial in plan.trials))
    run, started = _open_directory(plan, results)
    outcome = _Outcome(len(plan.trials))
    interrupted = False
    try:
        with _progress(len(plan.trials)) as advance:
            _run(plan, jobs, run, outcome, advance)
    except KeyboardInterrupt:
        interrupted = True
    seconds = (datetime.now(UTC) - started).total_seconds()
    _finish(plan, run, outcome, seconds)
    if interrupted:
        click.echo(f"callpath: interrupted; {outcome.done} of {len(plan.trials)} trials are kept", err=True)
        return EXIT_INTERRUPTED
    return EXIT_INCONCLUSIVE if outcome.invalid else 0


class _Outcome:
    """What the collector keeps in memory: one row a call, no events."""

    def __init__(self, trials: int) -> None:
        self.rows: list[list[dict[str, Any]]] = [[] for _ in range(trials)]
        self.invalid: list[str] = []
        self.done = 0

    def add(self, position: int, result: TrialResult) -> None:
        from lab.results.table import rows_of
        from lab.run.possible import possible_reach

        rows = self.rows[position] = rows_of(result.trial, result.calls, result.invalid)
        for row in rows:
            if row.get("callee"):
                row["possible"] = possible_reach(result.trial, row["caller"], row["callee"]).value
        self.done += 1
        if result.invalid:
            self.invalid.append(f"{result.trial.key} {dict(result.trial.cell)}: {result.invalid}")

    def in_order(self) -> list[dict[str, Any]]:
        return [row for rows in self.rows for row in rows]


def _open_directory(plan: Plan, results: Path) -> tuple[RunDirectory, datetime]:
    from lab.results.manifest import make_manifest, plan_hash
    from lab.results.run_directory import RunDirectory
    from lab.spec.find import load_topology

    networks = [load_topology(trial.topology, trial.parameters) for trial in plan.trials if trial.repeat == 0]
    models = {n.nat.name: n.nat for network in networks for n in network.nodes.values() if n.nat is not None}
    started = datetime.now(UTC)
    run = RunDirectory.create(results, scenario=plan.name, plan_hash=plan_hash(plan.trials), started=started)
    run.write_manifest(
        make_manifest(
            scenario=plan.path,
            trials=plan.trials,
            started=started,
            argv=sys.argv,
            nat_models=list(models.values()),
        )
    )
    return run, started


def _run(plan: Plan, jobs: int, run: RunDirectory, outcome: _Outcome, advance: Callable[[], None]) -> None:
    from lab.run.pool import run_trials

    for position, result in run_trials(plan.trials, jobs=jobs):
        run.write_trial(position, result.trial.key, result.events, result.pcapng)
        outcome.add(position, result)
        advance()


def _finish(plan: Plan, run: RunDirectory, outcome: _Outcome, seconds: float) -> None:
    from lab.results.table import table_of

    rows = outcome.in_order()
    run.join_events()
    table_of(rows).to_parquet(run.path / "trials.parquet", index=False)
    complete = outcome.done == len(plan.trials)
    run.write_result(
        {
            "ok": complete and not outcome.invalid,
            "trials": len(plan.trials),
            "done": outcome.done,
            "invalid": outcome.invalid,
        }
    )
    if plan.matrix is not None and rows:
        _show_matrix(plan, run, rows)
    for line in outcome.invalid[:10]:
        click.echo(f"invalid trial {line}", err=True)
    rate = outcome.done / seconds if seconds else 0.0
    click.echo(f"\n{outcome.done} trials in {seconds:.1f} s ({rate:.0f}/s)   {run.path}/")


def _show_matrix(plan: Plan, run: RunDirectory, rows: list[dict[str, Any]]) -> None:
    from lab.report.cells import cells_of
    from lab.report.matrix_text import matrix_text
    from lab.report.plots import plot_matrix, plot_setup_times, save_figure

    assert plan.matrix is not None
    row_title, column_title = plan.matrix
    cells = cells_of(rows, row_title, column_title)
    direct_possible = frozenset(
        (str(row[row_title]), str(row[column_title])) for row in rows if row.get("possible") == "direct"
    )
    text = matrix_text(cells, row_title=row_title, column_title=column_title, direct_possible=direct_possible)
    click.echo(text)
    heatmap = plot_matrix(
        cells, row_title=row_title, column_title=column_title, title=f"{plan.name}: selected path"
    )
    save_figure(heatmap, run.path, "paths")
    save_figure(plot_setup_times(rows, title=f"{plan.name}: call set-up time"), run.path, "setup_time")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show progress on standard error: a bar on a terminal, nothing where it would fill a log."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("trials", total=total)
        yield lambda: progress.advance(task)
