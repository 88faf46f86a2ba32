"""``callpath explain RUN CELL``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli.stored import RESULTS_OPTION, replay_trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.measure.calls import CallRecord
    from lab.results.stored_run import StoredRun, StoredTrial
    from lab.run.replay import Replay


@click.command("explain")
@click.argument("run")
@click.argument("cell", default="", metavar="[CELL|TRIAL|CALL]")
@RESULTS_OPTION
def command(run: str, cell: str, results: Path) -> None:
    """Say why a call took its path: what was possible, what succeeded, which packet was dropped where.

    RUN and the trial are named as for "callpath ladder"; of a cell the first repetition is told.
    """
    stored, trial, call, replay = replay_trial(run, cell, results)
    click.echo(trial.title)
    click.echo(_repetitions(stored, trial))
    if replay.result.invalid:
        click.echo(f"the trial is invalid: {replay.result.invalid}")
    for record in [record for record in replay.result.calls if not call or record.call == call]:
        click.echo(f"\n{_told(record, replay)}")
    if not replay.result.calls:
        click.echo("\nno call was made in it")


def _told(record: CallRecord, replay: Replay) -> str:
    from lab.measure.explanation import explain_call
    from lab.report.explanation_text import explanation_text

    if record.callee is None:
        return f"{record.call}: {record.caller.node} called, and nobody ever learned of it"
    return explanation_text(explain_call(record, replay.events, replay.trace))


def _repetitions(run: StoredRun, trial: StoredTrial) -> str:
    same: Sequence[StoredTrial] = [
        other for other in run.trials if other.cell == trial.cell and run.shard(other).exists()
    ]
    paths = Counter(call.path.value for other in same for call in run.calls_in(other))
    counted = ", ".join(f"{path} {count}" for path, count in sorted(paths.items()))
    return f"selected in all {len(same)} finished repetitions of this cell: {counted or 'no call'}"
