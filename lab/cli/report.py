"""``callpath report RUN``: the run as one HTML file. Also what ``callpath run`` ends with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from lab.cli.stored import RESULTS_OPTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.errors import Problem
    from lab.report.html.source import Source, Story
    from lab.results.stored_run import StoredRun, StoredTrial

REPORT: Final = "report.html"

LARGEST_TOLD: Final = 1_000_000
"""Bytes of a trial's events: a longer one takes long to run again, and its ladder is no picture any more."""

LARGEST_LADDER: Final = 300_000
"""Bytes of a ladder that is put into the page."""

_TOO_LONG: Final = "Its ladder is too long for this page: the command below draws it, in whole or in part."


@click.command("report")
@click.argument("run")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
    help=f"The file to write instead of RUN/{REPORT}.",
)  # fmt: skip
@RESULTS_OPTION
def command(run: str, output: Path | None, results: Path) -> int:
    """Write a stored run as one HTML file that needs nothing else: verdict, matrix, plots, every call.

    RUN is a run's directory, "latest", or how its name begins. Of a damaged run the page says so at its top,
    and the command ends with 2.
    """
    from lab.cli.show import EXIT_DAMAGED, show_problems
    from lab.errors import UsageError
    from lab.results.damage import MANIFEST, damage_of
    from lab.results.finding import find_run
    from lab.results.stored_run import read_run

    path = find_run(run, results)
    damage = damage_of(read_run(path))
    if any(problem.where == str(path / MANIFEST) for problem in damage):
        raise UsageError(*damage)  # the page is a view of it
    file = write_report(path, output, damage=damage)
    show_problems(damage)
    click.echo(f"written to {file}", err=True)
    return EXIT_DAMAGED if damage else 0


def write_report(run: Path, output: Path | None = None, *, damage: Sequence[Problem] = ()) -> Path:
    """Write the report of a finished run, into its directory if nothing else is said; return the file.

    Args:
        run: its directory.
        output: the file to write.
        damage: what of the run is not as it was written, told at the top of the page.

    Raises:
        UsageError: the run is damaged, of another version, or was not finished.
        HostNotReady: the file cannot be written.
    """
    from dataclasses import replace

    from lab.report.html.page import report_html
    from lab.report.html.source import read_source
    from lab.results.document import write_whole

    file = run / REPORT if output is None else output
    source = replace(read_source(run), damage=damage)
    write_whole(file, report_html(_with_stories(source)), of_run=output is None)
    return file


def _with_stories(source: Source) -> Source:
    """Return the source with the trials that tell most, each run again as it was stored."""
    from dataclasses import replace

    from lab.errors import CallpathError
    from lab.report.html.telling import telling_trials
    from lab.results.stored_run import open_run

    telling, trials = telling_trials(source), {trial.key: trial for trial in source.run.trials}
    stories, untold = [], dict[str, None]()
    try:
        run = open_run(source.run.path)  # refuses what another version or another world has run
    except CallpathError as error:
        return replace(source, untold=[_first_words(error)] if telling else [])
    for key, because in telling.items():
        try:
            stories.append(_story(run, trials[key], because))
        except CallpathError as error:
            untold[_first_words(error)] = None
    return replace(source, stories=stories, untold=list(untold))


def _first_words(error: Exception) -> str:
    """Return what is wrong, without the details that follow it."""
    return str(error).partition("\n  ")[0]


def _story(run: StoredRun, trial: StoredTrial, because: str) -> Story:
    from lab.cli.explain import told
    from lab.report.html.source import Story
    from lab.report.ladder import ladder_of
    from lab.report.ladder_svg import ladder_svg
    from lab.run.replay import replay_stored

    if len(run.events_of(trial)) > LARGEST_TOLD:
        return Story(key=trial.key, title=trial.title, because=because, missing=_TOO_LONG)
    replay = replay_stored(run, trial)
    ladder = ladder_svg(ladder_of(replay.trace, trial.title))
    fits = len(ladder) <= LARGEST_LADDER
    return Story(
        key=trial.key,
        title=trial.title,
        because=because,
        explanation="\n\n".join(told(record, replay) for record in replay.result.calls),
        ladder=ladder if fits else "",
        missing="" if fits else _TOO_LONG,
    )
