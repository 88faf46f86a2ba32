"""``callpath run SCENARIO``: plan, run, write, show."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lab.cli.parameters import parse_assignments

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.measure.verdict import Verdict
    from lab.results.run_directory import RunDirectory
    from lab.run.collector import Collector
    from lab.run.plan import Plan

EXIT_INCONCLUSIVE = 3
EXIT_INTERRUPTED = 130

MOST_VERDICTS = 12
"""Shown in full; a screen holds no more."""


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
    from lab.run.collector import Collector
    from lab.run.plan import plan_run

    plan = plan_run(scenario, seed=seed, repeat=repeat, overrides=parse_assignments(assignments))
    if capture:
        plan = replace(plan, trials=tuple(replace(trial, capture=True) for trial in plan.trials))
    run, started = _open_directory(plan, results)
    collector = Collector(plan)
    interrupted = False
    try:
        with _progress(len(plan.trials)) as advance:
            _run(plan, jobs, run, collector, advance)
    except KeyboardInterrupt:
        interrupted = True
    except BaseException:
        run.discard()
        raise
    seconds = (datetime.now(UTC) - started).total_seconds()
    code = _finish(plan, run, collector, seconds)
    if interrupted:
        click.echo(f"callpath: interrupted; {collector.done} of {len(plan.trials)} trials are kept", err=True)
        return EXIT_INTERRUPTED
    return code


def _open_directory(plan: Plan, results: Path) -> tuple[RunDirectory, datetime]:
    from lab.results.manifest import make_manifest, plan_hash
    from lab.results.run_directory import RunDirectory
    from lab.run.certification import certify_boxes
    from lab.run.plan import distinct_networks
    from lab.spec.find import load_topology

    networks = (load_topology(trial.topology, trial.parameters) for trial in distinct_networks(plan.trials))
    boxes = [(certificate.model, certificate.findings.describe()) for certificate in certify_boxes(networks)]
    started = datetime.now(UTC)
    run = RunDirectory.create(results, scenario=plan.name, plan_hash=plan_hash(plan.trials), started=started)
    run.write_manifest(
        make_manifest(scenario=plan.path, trials=plan.trials, started=started, argv=sys.argv, boxes=boxes)
    )
    models = "1 NAT model" if len(boxes) == 1 else f"{len(boxes)} NAT models"
    click.echo(f"{models} probed: as claimed", err=True)
    return run, started


def _run(plan: Plan, jobs: int, run: RunDirectory, collector: Collector, advance: Callable[[], None]) -> None:
    from lab.cli.interrupts import Interrupts
    from lab.run.pool import run_trials

    interrupts = Interrupts()
    requests = tuple(dict.fromkeys(expectation.request for expectation in plan.expectations))
    with interrupts.handled():
        for position, result in run_trials(plan.trials, jobs=jobs, requests=requests):
            with interrupts.after_this_step():
                run.write_trial(position, result.trial.key, result.events, result.pcapng)
                collector.add(position, result)
            advance()


def _finish(plan: Plan, run: RunDirectory, collector: Collector, seconds: float) -> int:
    """Write what the run came to, show it, and return the exit code."""
    from lab.measure.verdict import Outcome, exit_code_of, overall
    from lab.results.table import table_of

    verdicts = collector.verdicts()
    rows = collector.rows
    run.join_events()
    table_of(rows).to_parquet(run.path / "trials.parquet", index=False)
    complete = collector.done == len(plan.trials)
    run.write_result(
        {
            "ok": complete and not collector.invalid and overall(verdicts) is Outcome.PASS,
            "trials": len(plan.trials),
            "done": collector.done,
            "invalid": collector.invalid,
            "outcome": overall(verdicts).value,
            "verdicts": [verdict.as_data() for verdict in verdicts],
        }
    )
    if plan.matrix is not None and rows:
        _show_matrix(plan, run, rows)
    for line in collector.invalid[:10]:
        click.echo(f"invalid trial {line}", err=True)
    _show_verdicts(verdicts)
    if plan.not_judged:
        click.echo(f"{len(plan.not_judged)} expectations are about cells that --set left out")
    rate = collector.done / seconds if seconds else 0.0
    click.echo(f"\n{collector.done} trials in {seconds:.1f} s ({rate:.0f}/s)   {run.path}/")
    return exit_code_of(verdicts, *([EXIT_INCONCLUSIVE] if collector.invalid else []))


def _show_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Show what does not hold, each with what was found, and how many do."""
    from lab.measure.verdict import Outcome
    from lab.measure.verdict_text import format_verdict

    if not verdicts:
        return
    open_ = [verdict for verdict in verdicts if verdict.outcome is not Outcome.PASS]
    for verdict in open_[:MOST_VERDICTS]:
        click.echo("\n" + format_verdict(verdict))
    if len(open_) > MOST_VERDICTS:
        click.echo(f"\n... and {len(open_) - MOST_VERDICTS} more: see result.json")
    click.echo(f"\n{len(verdicts) - len(open_)} of {len(verdicts)} verdicts: pass")


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
    heatmap = plot_matrix(
        cells, row_title=row_title, column_title=column_title, title=f"{plan.name}: selected path"
    )
    save_figure(heatmap, run.path, "paths")
    save_figure(plot_setup_times(rows, title=f"{plan.name}: call set-up time"), run.path, "setup_time")
    # Last: the reader of a pipe may be gone, and the run is to be whole all the same.
    click.echo(text)


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
