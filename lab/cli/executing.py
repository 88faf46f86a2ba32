"""Run the trials of a plan into a directory and finish it: what ``run`` and ``resume`` have in common."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from lab.cli.finished import Finished
from lab.cli.finishing import exit_code, keep_what_there_is, show_words, why, write_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.results.run_directory import RunDirectory
    from lab.results.stored_events import EventsPlace
    from lab.run.collector import Collector
    from lab.run.plan import Plan

EXIT_INTERRUPTED: Final = 130


@dataclass(frozen=True, kw_only=True)
class Execution:
    """A plan to be run into a directory, which is locked.

    ``stored`` says by position where the events are of trials that were run before; ``is_new`` that there was
    nothing before, so that nothing need be left of it where not a single trial can be run.
    """

    plan: Plan
    run: RunDirectory
    jobs: int = 0
    stored: Mapping[int, EventsPlace] = field(default_factory=dict)
    is_new: bool = True


def execute(execution: Execution, *, as_json: bool = False) -> int:
    """Run what is missing, write and show what the run came to, and return the exit code.

    With ``as_json`` the result is written to standard output as one document, and all words to standard
    error.

    Raises:
        UsageError, HostNotReady: a trial cannot be run, or not be written; those before it are kept.
    """
    try:
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            code = _execute(execution)
        if as_json and (execution.run.path / "result.json").exists():
            show_result(execution.run.path)
    finally:
        execution.run.close()
    return code


def show_result(path: Path) -> None:
    """Write a run's result to standard output, with the place where it is."""
    from lab.results.document import read_document

    document = {"run": str(path), **read_document(path / "result.json")}
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _execute(execution: Execution) -> int:
    from lab.run.collector import Collector

    collector = Collector(execution.plan)
    started = datetime.now(UTC)
    try:
        cut_short = _run_until_cut_short(execution, collector)
        if cut_short and _was_told_more_before(execution, collector):
            return _leave(execution, collector)
        seconds = (datetime.now(UTC) - started).total_seconds()
        before = len(execution.stored)
        finished = Finished(execution.plan, execution.run, collector, seconds, cut_short, before)
        write_files(finished)
    except KeyboardInterrupt:
        return _say_interrupted(execution, collector)
    except Exception as error:
        _keep(execution, collector, error)
        raise
    show_words(finished)
    return _say_interrupted(execution, collector) if cut_short else exit_code(finished)


def _was_told_more_before(execution: Execution, collector: Collector) -> bool:
    """Return whether what was collected is less than what the directory already tells of itself."""
    return not collector.done or not execution.stored.keys() <= collector.samples.keys()


def _leave(execution: Execution, collector: Collector) -> int:
    """End an interrupted run without a word on what it came to."""
    if execution.is_new:
        execution.run.discard()
        click.echo("callpath: interrupted before a trial was done; nothing is kept", err=True)
        return EXIT_INTERRUPTED
    return _say_interrupted(execution, collector)


def _say_interrupted(execution: Execution, collector: Collector) -> int:
    kept = _kept(execution, collector)
    click.echo(f"callpath: interrupted; {kept}; {_how_to_go_on(execution.run)}", err=True)
    return EXIT_INTERRUPTED


def _run_until_cut_short(execution: Execution, collector: Collector) -> str:
    """Run trials until there are no more, or an interrupt comes; return why there are no more."""
    try:
        with _progress(len(execution.plan.trials)) as advance:
            _run_trials(execution, collector, advance)
    except KeyboardInterrupt:
        return "interrupted"
    return ""


def _run_trials(execution: Execution, collector: Collector, advance: Callable[[], None]) -> None:
    from lab.cli.interrupts import Interrupts
    from lab.run.pool import run_trials

    plan, run, stored = execution.plan, execution.run, execution.stored
    requests = tuple(dict.fromkeys(expectation.request for expectation in plan.expectations))
    interrupts = Interrupts()
    with interrupts.handled():
        for position, result in run_trials(
            plan.trials, jobs=execution.jobs, requests=requests, stored=stored
        ):
            with interrupts.after_this_step():
                if position not in stored:
                    run.write_trial(position, result.trial.key, result.events, result.pcapng, result.outputs)
                collector.add(position, result)
            advance()


def _keep(execution: Execution, collector: Collector, error: Exception) -> None:
    """Keep what a run has that a fault has ended, if it has anything; and say how to go on."""
    from lab.errors import UsageError

    if execution.is_new and not collector.done:
        execution.run.discard()
        return
    run, plan = execution.run, execution.plan
    keep_what_there_is(Finished(plan, run, collector, cut_short=why(error)))
    # What the scenario itself does wrong it will do again: the run goes on from a copy of it.
    hint = f"in {run.path}/" if isinstance(error, UsageError) else _how_to_go_on(run)
    click.echo(f"{_kept(execution, collector)}; {hint}", err=True)


def _kept(execution: Execution, collector: Collector) -> str:
    done = execution.stored.keys() | collector.samples.keys()
    return f"{len(done)} of {len(execution.plan.trials)} trials are kept"


def _how_to_go_on(run: RunDirectory) -> str:
    from lab.results.document import resume_line

    return f"{resume_line(run.path)} goes on with it"


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
