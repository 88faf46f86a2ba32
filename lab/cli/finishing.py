"""What follows the last trial, of a run as of a resumed one: files, pictures, words, the exit code.

Files come first and words last: the reader of a pipe may be gone, and the run is to be whole all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from lab.cli.failures import examine_failures, write_junit

if TYPE_CHECKING:
    from lab.cli.finished import Finished
    from lab.measure.verdict import Verdict

EXIT_INCONCLUSIVE: Final = 3

MOST_VERDICTS: Final = 12
"""Shown in full; a screen holds no more."""

MOST_INVALID: Final = 10
"""Invalid trials that are named; all are in result.json."""


def write_files(finished: Finished) -> None:
    """Write everything that a run leaves behind."""
    for write in FILES:
        write(finished)


def show_words(finished: Finished) -> None:
    """Say what a run came to."""
    for show in WORDS:
        show(finished)


def exit_code(finished: Finished) -> int:
    """Return what the verdicts and the invalid trials come to."""
    from lab.measure.verdict import exit_code_of

    return exit_code_of(finished.verdicts, *([EXIT_INCONCLUSIVE] if finished.doubts else []))


def why(error: BaseException) -> str:
    """Return in one line why a run was cut short."""
    from lab.errors import CallpathError

    text = str(error).partition("\n")[0]
    return text if isinstance(error, CallpathError) else f"internal error: {type(error).__name__}: {text}"


def keep_what_there_is(finished: Finished) -> None:
    """Write table and result of a run that a fault has ended, as far as they can be written."""
    for write in (write_table, write_result):
        with suppress(Exception):  # the fault itself is told, not what follows from it
            write(finished)


# Files


def join_events(finished: Finished) -> None:
    """Join the shards of a run that is complete; of one that is not they stay as they are."""
    if finished.is_complete:
        from lab.results.stored_run import read_run

        stored = read_run(finished.run.path)  # not kept: it knows where events were before
        finished.run.join_events(place for trial in stored.trials if (place := stored.place_of(trial)))


def write_table(finished: Finished) -> None:
    """Write a row a call."""
    from lab.results.table import table_of

    finished.run.write_table(table_of(finished.rows))


def write_result(finished: Finished) -> None:
    """Write what the run came to."""
    finished.run.write_result(result_of(finished))


def result_of(finished: Finished) -> Mapping[str, Any]:
    """Return the content of ``result.json``."""
    from lab.measure.verdict import Outcome

    return {
        "ok": finished.is_complete and finished.outcome is Outcome.PASS,
        "reason": finished.cut_short or "; ".join(finished.doubts),
        "ended": datetime.now(UTC).isoformat(),
        "trials": len(finished.plan.trials),
        "done": finished.collector.done,
        "invalid": finished.collector.invalid,
        **({"repeated": finished.collector.repeated} if finished.collector.repeated else {}),
        "outcome": finished.outcome.value,
        "verdicts": [verdict_data(finished, verdict) for verdict in finished.verdicts],
        **({"events_sha256": hashes} if (hashes := _events_sha256(finished)) else {}),
    }


def _events_sha256(finished: Finished) -> Mapping[str, str]:
    """Return the hash of each trial's events, by its key, where they are joined.

    A run that was finished, damaged and not finished again still has them in its ``events.jsonl``: the hashes
    stay what they were, or nothing would tell which trials are still to be run.
    """
    from lab.errors import UsageError
    from lab.results.stored_result import read_result

    if finished.is_complete:
        stored = finished.stored
        return {trial.key: place.sha256() for trial in stored.trials if (place := stored.place_of(trial))}
    try:
        return read_result(finished.run.path).events_sha256
    except UsageError:
        return {}


def verdict_data(finished: Finished, verdict: Verdict) -> dict[str, Any]:
    """Return what ``result.json`` says of a verdict: itself, and which trials made it no pass."""
    evidence = finished.failing.of(verdict)
    return verdict.as_data() | ({} if evidence is None else {"evidence": evidence.as_data()})


def draw_pictures(finished: Finished) -> None:
    """Draw the matrix and the set-up times of a run that has a matrix."""
    from lab.report.cells import cells_of
    from lab.report.plots import plot_matrix, plot_setup_times, save_figure

    plan, rows, path = finished.plan, finished.rows, finished.run.path
    if plan.matrix is None or not rows:
        return
    row_title, column_title = plan.matrix
    title = f"{plan.name}: selected path"
    cells = cells_of(rows, row_title, column_title)
    save_figure(
        plot_matrix(cells, row_title=row_title, column_title=column_title, title=title), path, "paths"
    )
    save_figure(plot_setup_times(rows, title=f"{plan.name}: call set-up time"), path, "setup_time")


def write_page(finished: Finished) -> None:
    """Write the report: all of the run in one page."""
    from lab.cli.report import write_report

    write_report(finished.run.path)


def remove_shards(finished: Finished) -> None:
    """Mark a complete run as finished: all files are written, and its events are in one."""
    if finished.is_complete:
        finished.run.remove_shards()


FILES: Final[Sequence[Callable[[Finished], None]]] = (
    join_events,
    write_table,
    examine_failures,
    write_result,
    write_junit,
    draw_pictures,
    write_page,
    remove_shards,
)
"""In this order; the last one says that there is nothing left to write."""


# Words


def show_matrix(finished: Finished) -> None:
    """Show which path each cell took, as text."""
    from lab.report.matrix_text import matrix_of_rows

    if finished.plan.matrix is not None and finished.rows:
        click.echo(matrix_of_rows(finished.rows, *finished.plan.matrix))


def show_sip(finished: Finished) -> None:
    """Show what became of SIP calls: how many, why some failed, how long they took to be answered."""
    from lab.report.sip_text import sip_text

    if text := sip_text(finished.rows):
        click.echo(text)


def show_invalid(finished: Finished) -> None:
    """Name trials that must not be judged."""
    for line in finished.collector.invalid[:MOST_INVALID]:
        click.echo(f"invalid trial {line}", err=True)


def show_repeated(finished: Finished) -> None:
    """Say how many trials the machine has stalled that were then run again."""
    from lab.report.run_text import repeated_words

    if finished.collector.repeated:
        click.echo(repeated_words(finished.collector.repeated), err=True)


def show_verdicts(finished: Finished) -> None:
    """Show what does not hold, each with what was found, and how many do."""
    from lab.measure.verdict_text import format_verdicts
    from lab.report.evidence_text import told_once

    if text := format_verdicts(finished.verdicts, most=MOST_VERDICTS, more=told_once(finished.failing.of)):
        click.echo(text)
    if left_out := len(finished.plan.not_judged):
        click.echo(f"{left_out} expectations are about cells that --set or --trial left out")


def show_report(finished: Finished) -> None:
    """Say which file to open."""
    if (page := finished.run.path / "report.html").exists():
        click.echo(f"\nreport: {page}")


def show_summary(finished: Finished) -> None:
    """Say how much was run, how fast, and where it is kept."""
    for doubt in finished.doubts:
        click.echo(f"inconclusive: {doubt}")
    done, seconds = finished.collector.done, finished.seconds
    new = done - finished.before
    rate = new / seconds if seconds else 0.0
    count = f"{done} trials, {new} of them now," if finished.before else f"{done} trials"
    click.echo(f"\n{count} in {seconds:.1f} s ({rate:.{0 if rate >= 10 else 2}f}/s)   {finished.run.path}/")


WORDS: Final[Sequence[Callable[[Finished], None]]] = (
    show_matrix,
    show_sip,
    show_invalid,
    show_repeated,
    show_verdicts,
    show_report,
    show_summary,
)
"""What a run says at its end, on standard output; with ``--json`` that is redirected to standard error."""
