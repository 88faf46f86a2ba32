"""``callpath resume RUN``: finish a run that was cut short."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli.executing import Execution, execute, show_result
from lab.cli.finishing import EXIT_INCONCLUSIVE
from lab.cli.options import JOBS_OPTION
from lab.cli.stored import RESULTS_OPTION

if TYPE_CHECKING:
    from lab.results.stored_result import StoredResult
    from lab.results.stored_run import Contents, StoredRun
    from lab.run.plan import Plan


@click.command("resume")
@click.argument("run")
@JOBS_OPTION
@click.option(
    "--json", "as_json", is_flag=True, help="Write the result to standard output as JSON, and no words."
)
@RESULTS_OPTION
def command(run: str, jobs: int, as_json: bool, results: Path) -> int:
    """Finish a run that was cut short: run the trials that are missing, keep those that are there.

    RUN is a run's directory, how its name begins, or "latest". All that is needed is in the directory: it
    does not matter whether the scenario was edited since.
    """
    from lab.results.damage import inspect_run
    from lab.results.finding import find_run
    from lab.results.run_directory import RunDirectory
    from lab.results.stored_run import open_run
    from lab.run.plan_record import stored_plan
    from lab.spec.trial import WORLDS

    stored = open_run(find_run(run, results), worlds=WORLDS)
    plan = stored_plan(stored)
    directory = RunDirectory.open(stored.path)
    try:
        directory.clear_partial()
        found = inspect_run(stored)
        contents = found.contents
        if stored.is_joined and found.result is not None and not found.problems:
            return _say_finished(stored, found.result, as_json=as_json)
        click.echo(_what_is_there(contents), err=True)
        if len(contents.whole) < contents.trials:
            _probe_again(plan)
        execution = Execution(plan=plan, run=directory, jobs=jobs, stored=contents.whole, is_new=False)
        return execute(execution, as_json=as_json)
    finally:
        directory.close()


def _say_finished(stored: StoredRun, result: StoredResult, *, as_json: bool) -> int:
    from lab.measure.verdict import Outcome, exit_code_of

    came_to = f"{result.outcome}: {result.reason}" if result.reason else str(result.outcome)
    said = f"{stored.path}/ is finished, nothing is left to run: {result.done} trials, {came_to}"
    click.echo(said, err=as_json)
    if as_json:
        show_result(stored.path)
    doubtful = result.outcome is Outcome.INCONCLUSIVE
    return exit_code_of(result.verdicts, *([EXIT_INCONCLUSIVE] if doubtful else []))


def _probe_again(plan: Plan) -> None:
    """Make sure of the NAT boxes of a run on the kernel, which may be another one than it was begun on.

    In virtual time they are what they were: the version is the same.
    """
    from lab.run.certification import certify_plan
    from lab.run.worlds import require_world
    from lab.spec.trial import VIRTUAL_TIME

    if plan.world != VIRTUAL_TIME:
        require_world(plan.world)
        certify_plan(plan)


def _what_is_there(contents: Contents) -> str:
    """Return in one line what will be kept and what run."""
    words = [f"{len(contents.whole)} of {contents.trials} trials are there"]
    if contents.damaged:
        words.append(f"{len(contents.damaged)} are damaged and run again")
    words.append(f"{contents.missing} to run" if contents.missing else "none is missing")
    return ", ".join(words)
