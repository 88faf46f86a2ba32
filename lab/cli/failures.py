"""After a run: its failing trials run again, for what they did otherwise, their captures, their ladders."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from lab.cli.finished import Finished
    from lab.measure.verdict import Verdict
    from lab.results.stored_run import StoredRun, StoredTrial
    from lab.run.replay import Replay

MOST_PACKETS: Final = 30_000
"""Of all trials that are run again unasked: some seconds, half a gigabyte of memory, 60 MB of captures."""

COLUMN: Final = 24
"""Characters of a ladder for each of its nodes."""


def examine_failures(finished: Finished) -> None:
    """Run few trials again, so chosen that every failing expectation has its worst; write what they show.

    Each must come out as it is stored, byte for byte; that one does not is told loudly. An interrupt ends it.
    """
    from lab.run.plan import Captured
    from lab.spec.trial import VIRTUAL_TIME

    if finished.plan.captured is Captured.NONE or not finished.is_complete:
        return
    if finished.plan.world != VIRTUAL_TIME:
        if finished.plan.captured is Captured.FAILING:
            _keep_failing(finished)
        return
    left = MOST_PACKETS
    try:
        for position in finished.failing.chosen():
            packets = _packets(finished.stored, finished.stored.trials[position])
            if packets <= left:
                left -= packets
                _examine(finished, position)
            else:
                _leave(finished, position, packets)
    except KeyboardInterrupt:
        click.echo("callpath: interrupted; not all failing trials were run again", err=True)


def _keep_failing(finished: Finished) -> None:
    """Keep the captures of few failing trials, so chosen that every failing expectation has its worst."""
    chosen, trials = finished.failing.chosen(), finished.plan.trials
    for position, trial in enumerate(trials):
        if position not in chosen:
            finished.run.remove_of_trial("pcap", position, trial.key, ".pcapng")
        else:
            capture = f"pcap/{position:06d}-{trial.key}.pcapng"
            finished.failing.note(position, f"nothing runs on the kernel as it did; its capture: {capture}")


def _packets(stored: StoredRun, trial: StoredTrial) -> int:
    """Return how many packets a trial had, from its last event."""
    from lab.spec.event import Event

    _, ended = Event.from_json(stored.events_of(trial).rstrip("\n").rpartition("\n")[2])
    packets = ended.data.get("packets", 0)
    return packets if isinstance(packets, int) else 0


def _leave(finished: Finished, position: int, packets: int) -> None:
    """Say of a long trial how to run it again."""
    import shlex

    key = finished.plan.trials[position].key
    line = shlex.join(["callpath", "replay", str(finished.run.path), key, "-o", f"{key}.pcapng"])
    failure = f"not run again unasked: it has {packets} packets. For its capture:"
    finished.failing.note(position, failure, by_hand=line)


def _examine(finished: Finished, position: int) -> None:
    from lab.errors import CallpathError
    from lab.run.plan import Captured
    from lab.run.replay import replay_stored

    stored, trial = finished.stored, finished.stored.trials[position]
    try:
        replay = replay_stored(stored, trial, capture=finished.plan.captured is Captured.FAILING)
    except CallpathError as error:
        finished.failing.note_not_repeatable(position, str(error))
        click.echo(f"callpath: NOT REPEATABLE: {error}", err=True)
        return
    capture, ladder = _write(finished, trial, replay)
    finished.failing.examine(position, replay, stored, capture=capture, ladder=ladder)


def _write(finished: Finished, trial: StoredTrial, replay: Replay) -> tuple[str, str]:
    """Write the capture and the ladder of a trial; return where they are."""
    from lab.cli.ladder import selection_of
    from lab.report.ladder import ladder_of
    from lab.report.ladder_text import DEFAULT_WIDTH, ladder_text

    run = finished.run
    if replay.result.pcapng:
        run.write_of_trial("pcap", trial.position, trial.key, ".pcapng", replay.result.pcapng)
    ladder = ladder_of(replay.trace, trial.title, selection_of(replay))
    text = ladder_text(ladder, width=max(DEFAULT_WIDTH, COLUMN * (len(ladder.columns) + 1)))
    run.write_of_trial("ladders", trial.position, trial.key, ".txt", f"{text}\n")
    name = f"{trial.position:06d}-{trial.key}"
    return str(run.path / "pcap" / f"{name}.pcapng"), str(run.path / "ladders" / f"{name}.txt")


def words_of(finished: Finished, verdict: Verdict) -> list[str]:
    """Return what there is to say of a verdict beside what it is; nothing of one that passes."""
    from lab.report.evidence_text import evidence_lines

    evidence = finished.failing.of(verdict)
    return [] if evidence is None else evidence_lines(evidence)


def write_junit(finished: Finished) -> None:
    """Write the run as JUnit XML."""
    from lab.measure.verdict_text import format_verdict
    from lab.report.junit import JunitSuite, junit_xml

    failing, manifest = finished.failing, finished.stored.manifest
    doubts = [*([finished.cut_short] if finished.cut_short else []), *finished.doubts]
    suite = JunitSuite(
        name=finished.plan.name,
        started=datetime.fromisoformat(str(manifest["started"])),
        seconds=finished.seconds,
        properties=_properties(finished),
        doubts=[*doubts, *finished.collector.invalid] if doubts else [],
        trials_lasted=failing.lasted(),
    )
    text = junit_xml(
        suite,
        finished.verdicts,
        text=lambda verdict: format_verdict(verdict, words_of(finished, verdict)),
        lasted=failing.lasted,
    )
    finished.run.write_junit(text)


def _properties(finished: Finished) -> dict[str, str]:
    manifest = finished.stored.manifest
    return {
        "run": str(finished.run.path),
        "scenario": finished.plan.path,
        "seed": str(finished.plan.trials[0].run_seed),
        "trials": str(len(finished.plan.trials)),
        "world": str(manifest["world"]),
        "callpath": str(manifest["callpath"]),
        "python": str(manifest["python"]),
        **{str(name): str(version) for name, version in manifest["libraries"].items()},
        "argv": json.dumps(manifest["argv"]),
    }
