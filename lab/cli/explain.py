"""``callpath explain RUN CELL``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli.stored import RESULTS_OPTION, look_at_trial

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

    A trial of the kernel world cannot be run again: which packets ended where is read from its capture, if it
    has one. Netfilter tells no reason for what it drops; what the capture says of it is told in its place.
    """
    stored, trial, call, replay = look_at_trial(run, cell, results, without_packets=True)
    click.echo(trial.title)
    click.echo(_repetitions(stored, trial))
    if replay.result.invalid:
        click.echo(f"the trial is invalid: {replay.result.invalid}")
    for record in [record for record in replay.result.calls if not call or record.call == call]:
        click.echo(f"\n{told(record, replay)}")
    if not replay.result.calls:
        click.echo("\nno call was made in it")


def told(record: CallRecord, replay: Replay) -> str:
    """Return the explanation of a call in words."""
    from lab.measure.explanation import explain_call
    from lab.report.explanation_text import explanation_text
    from lab.report.sip_text import sip_words

    if record.signalling_only:
        caller = record.caller
        words = sip_words(caller.sip_completed, caller.sip_failed, caller.sip_setup_median)
        return f"{record.call}: SIP calls of {caller.node} without media: {words}"
    if record.callee is None:
        return f"{record.call}: {record.caller.node} called, and nobody ever learned of it"
    explanation = explain_call(record, replay.events, replay.trace)
    return explanation_text(explanation, packets_known=replay.has_packets)


def _repetitions(run: StoredRun, trial: StoredTrial) -> str:
    same: Sequence[StoredTrial] = [
        other for other in run.trials if other.cell == trial.cell and run.is_finished(other)
    ]
    calls = [call for other in same for call in run.calls_in(other) if not call.signalling_only]
    paths = Counter(call.path.value for call in calls)
    counted = ", ".join(f"{path} {count}" for path, count in sorted(paths.items()))
    return f"selected in all {len(same)} finished repetitions of this cell: {counted or 'no call'}"
