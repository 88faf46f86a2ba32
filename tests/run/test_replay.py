"""A replay is the stored run to the byte, with the story of its packets."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import TrialInvalid
from lab.results.manifest import make_manifest
from lab.results.run_directory import RunDirectory
from lab.results.stored_run import open_run
from lab.run.plan import plan_run
from lab.run.replay import replay_stored, trace_trial
from lab.run.trial import run_trial
from lab.spec.event import EventType

ONE_CALL = str(Path(__file__).with_name("one_call.py"))


@pytest.fixture(scope="module")
def trial():
    values = {"alice_nat": ["symmetric"], "bob_nat": ["restricted"]}
    return plan_run(ONE_CALL, seed=5, repeat=1, overrides=values).trials[0]


@pytest.fixture
def stored(tmp_path, trial):
    started = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    run = RunDirectory.create(tmp_path, scenario="one_call", plan_hash="0" * 64, started=started)
    run.write_manifest(
        make_manifest(scenario=trial.scenario, trials=[trial], started=started, argv=[], boxes=[])
    )
    run.write_trial(0, trial.key, run_trial(trial).events)
    return open_run(run.path)


def test_listening_changes_nothing(trial):
    assert trace_trial(trial).result.events == run_trial(trial).events


def test_the_story_has_every_packet_that_crossed_a_wire_and_every_drop_that_events_tell(trial):
    replay = trace_trial(trial)
    dropped = [event for event in replay.events if event.type is EventType.PACKET_DROPPED]
    told = [(drop.where, drop.packet_id, drop.reason) for drop in replay.trace.drops]
    assert sorted(told) == sorted((e.node, e.packet_id or e.cause_id, e.data["reason"]) for e in dropped)
    assert {drop.packet_id for drop in replay.trace.drops} <= {s.packet_id for s in replay.trace.steps}


def test_with_a_capture_it_is_the_same_trial_and_the_same_capture(trial):
    replay, asked = trace_trial(trial, capture=True), run_trial(replace(trial, capture=True))
    assert replay.result.events == asked.events
    assert replay.result.pcapng == asked.pcapng != b""
    assert replay.trace == trace_trial(trial).trace


def test_a_stored_trial_is_replayed(stored):
    replay = replay_stored(stored, stored.trials[0])
    assert replay.result.events == stored.events_of(stored.trials[0])
    assert replay.trace.steps


def test_the_first_event_that_differs_is_shown_from_both_sides(stored):
    shard = stored.shard(stored.trials[0])
    lines = shard.read_text().splitlines(keepends=True)
    shard.write_text("".join([*lines[:4], lines[4].replace('"t":', '"t":9'), *lines[5:]]))
    with pytest.raises(
        TrialInvalid, match=r"number 5, at 90\.06 s \(stored\) and 0\.06 s \(replayed\)"
    ) as caught:
        replay_stored(stored, stored.trials[0])
    assert caught.value.exit_code == 3


def test_events_that_break_off_differ_where_they_do(stored):
    shard = stored.shard(stored.trials[0])
    lines = shard.read_text().splitlines(keepends=True)
    shard.write_text("".join(lines[:-1]))
    with pytest.raises(TrialInvalid, match=rf"number {len(lines)}, (.|\n)*- \(no more events\)"):
        replay_stored(stored, stored.trials[0])
