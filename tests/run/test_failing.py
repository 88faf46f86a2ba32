"""Which trials of a failing run are looked into, and what is found in them: real runs, real packets."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lab.measure.decisive_drop import can_explain, decisive_drop
from lab.measure.departure import find_departure
from lab.measure.evidence import Evidence
from lab.measure.metrics import Sample
from lab.measure.verdict import Outcome, TrialSamples, judge_run
from lab.report.evidence_text import evidence_lines
from lab.run.collector import Collector
from lab.run.failing import MOST_EXPECTATIONS, MOST_FURTHER, MOST_WORST, Failing
from lab.run.plan import plan_run
from lab.run.replay import trace_trial
from lab.run.trial import run_trial
from lab.spec.comparison import Comparator
from lab.spec.event import EventType
from lab.spec.expectation import parse_expectation
from lab.spec.scenario_file import parse_scenario

HEAD = """\
callpath: 1
topology: two_homes
"""


class Stored:
    """Events of trials that were just run, where the directory of a run would have them."""

    def __init__(self, results):
        self.trials = range(len(results))
        self._results = results

    def events_of(self, number):
        return self._results[number].events


@pytest.fixture
def failing(tmp_path, monkeypatch):
    """Run a scenario, examine what fails, return the evidence on the first verdict that is no pass."""
    monkeypatch.chdir(tmp_path)

    def run(text):
        (tmp_path / "mine.yaml").write_text(HEAD + text)
        plan = plan_run("./mine.yaml", seed=1)
        requests = [expectation.request for expectation in plan.expectations]
        collector, results = Collector(plan), []
        for position, trial in enumerate(plan.trials):
            results.append(run_trial(trial, requests=requests))
            collector.add(position, results[-1])
        verdicts = collector.verdicts()
        found = Failing(plan, verdicts, collector.samples)
        for position in found.chosen():
            found.examine(position, trace_trial(plan.trials[position]), Stored(results))
        return found.evidence[0]

    return run


def drop_of(evidence):
    """Return where the decisive packet was dropped, and why."""
    drop = evidence.examination.drop
    return (drop.where, drop.reason.partition(":")[0]) if drop else None


def test_a_nat_that_filters_is_found_beside_one_that_does_not(failing):
    evidence = failing("""\
vary: {alice_nat: [full-cone, symmetric], bob_nat: [symmetric]}
calls: {from: alice, to: bob, start_offset: -30ms}
expect: [{metric: relay.share, rate: "== 0%"}]
""")
    found = evidence.examination
    assert found.differs == {"alice_nat": "full-cone"}
    assert (found.departure.node, found.departure.call) == ("alice", "call-1")
    assert drop_of(evidence) == ("alice-nat", "filter")
    assert "(ICE check)" in found.drop.words
    assert found.drop.time <= found.departure.happened


def test_without_one_that_holds_a_box_counts_before_the_routers_on_the_way(failing):
    """A check to a private address has no route in the Internet, in this trial as in all."""
    evidence = failing("""\
vary: {alice_nat: [symmetric], bob_nat: [symmetric]}
calls: {from: alice, to: bob, policy: {candidates: no-relay}, callee_policy: {candidates: no-relay}}
expect: [{metric: ice.connected, rate: "== 100%"}]
""")
    assert evidence.examination.compared == ""
    assert evidence.examination.departure is None
    assert drop_of(evidence)[0] in {"alice-nat", "bob-nat"}


def test_a_firewall_that_lets_nothing_out_is_found_at_the_first_request(failing):
    evidence = failing("""\
vary: {alice_nat: [full-cone, udp-blocked], bob_nat: [full-cone]}
calls: {from: alice, to: bob}
expect: [{metric: path.direct, rate: "== 100%"}]
""")
    assert drop_of(evidence) == ("alice-nat", "firewall")
    assert evidence.examination.departure.since.data["type"] == "host"


def test_lost_media_are_found_by_the_first_packet_that_never_came(failing):
    evidence = failing("""\
vary: {alice_nat: [full-cone], bob_nat: [full-cone], alice_loss: ["0%", "30%"]}
calls: {from: alice, to: bob, media: {packets: 40}}
expect: [{metric: media.loss, mean: "< 1%"}]
""")
    found = evidence.examination
    assert found.departure.passing.data["sequence"] != found.departure.failing.data["sequence"]
    assert "RTP" in found.drop.words
    assert "random loss" in found.drop.reason


def test_a_call_that_is_lost_is_so_by_what_was_dropped_after_the_fault(failing):
    evidence = failing("""\
vary: {alice_nat: [full-cone], bob_nat: [full-cone], alice_loss: ["30%"]}
calls: {from: alice, to: bob, hold: 60s}
timeline: [{at: 30s, cut: {link: bob-access}}]
expect: [{metric: calls.lost, rate: "== 0%"}]
""")
    drop = evidence.examination.drop
    assert drop.time > 30
    assert "is cut" in drop.reason or "random loss" in drop.reason


def test_of_several_calls_it_is_the_one_with_the_worst_sample(failing):
    evidence = failing("""\
vary: {alice_nat: [full-cone, symmetric], bob_nat: [symmetric]}
calls:
  - {name: sound, from: bob, to: alice, policy: {candidates: relay-only}}
  - name: poor
    from: alice
    to: bob
    at: 20s
    policy: {candidates: no-relay}
    callee_policy: {candidates: no-relay}
expect: [{metric: ice.connected, rate: "== 100%"}]
""")
    assert evidence.worst[0].contribution.call == "poor"
    assert evidence.examination.departure.call == "poor"
    assert evidence.examination.drop.time > 20


def test_where_nothing_was_measured_it_is_beside_a_trial_in_which_something_was(failing):
    evidence = failing("""\
vary: {alice_nat: [symmetric, full-cone], bob_nat: [symmetric]}
calls: {from: alice, to: bob, policy: {candidates: no-relay}, callee_policy: {candidates: no-relay}}
expect: [{metric: ice.setup_time, p50: "< 1ms"}]
""")
    assert evidence.verdict.outcome is Outcome.INCONCLUSIVE
    assert evidence.examination.holds is False
    assert evidence.examination.departure is not None
    assert drop_of(evidence)[0] in {"alice-nat", "bob-nat"}


def test_a_slow_step_of_equal_stories_is_named(failing):
    evidence = failing("""\
vary: {alice_nat: [full-cone], bob_nat: [full-cone], bob_delay: [10ms, 300ms]}
calls: {from: alice, to: bob}
expect: [{metric: ice.gathering_time, max: "< 200ms"}]
""")
    found = evidence.examination
    assert found.departure.late == pytest.approx(4 * (0.3 - 0.01), abs=0.01), "two round trips to the relay"
    assert (found.departure.node, found.departure.failing.type) == ("bob", EventType.ICE_CANDIDATE)


# What drops can explain


@pytest.mark.parametrize(
    ("metric", "comparison", "value", "explains"),
    [
        ("ice.connected", {"rate": "== 100%"}, 0.0, True),
        ("ice.connected", {"rate": "== 0%"}, 1.0, False),
        ("ice.connected", {"rate": "!= 100%"}, 1.0, False),
        ("ice.connected", {"rate": "!= 0%"}, 0.0, True),
        ("relay.share", {"rate": "!= 0%"}, 0.0, False),
        ("relay.share", {"rate": "== 0%"}, 1.0, True),
        ("relay.share", {"rate": "== 100%"}, 0.0, False),
        ("media.loss", {"mean": "< 1%"}, 0.5, True),
        ("media.loss", {"mean": "> 1%"}, 0.0, False),
        ("nat.mappings", {"max": "< 1"}, 5.0, False),
        ("turn.refusals", {"max": ">= 1"}, 0.0, False),
        ("ice.setup_time", {"p95": "< 1s"}, None, True),
    ],
)
def test_a_drop_is_named_only_where_drops_lead_to_what_was_found(metric, comparison, value, explains):
    expectation = parse_expectation({"metric": metric, **comparison}, "expect[0]")
    samples = () if value is None else (Sample(value, 1, "call-1"),)
    (verdict,) = judge_run([expectation], [TrialSamples(cell={}, samples={expectation.request: samples})])
    assert verdict.outcome is not Outcome.PASS
    assert can_explain(verdict) is explains


def test_nothing_was_dropped_is_nothing_found():
    plan = plan_run("nat_matrix", seed=1, repeat=1, overrides={"alice_nat": ["none"], "bob_nat": ["none"]})
    replay = trace_trial(plan.trials[0])
    assert decisive_drop(replay.trace, replay.events, metric="media.loss") is None


# Which are looked into


def test_every_failing_expectation_has_its_worst_examined_and_no_more_than_a_few_others(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    expect = "".join(f'  - {{metric: nat.mappings, max: "< {n}"}}\n' for n in range(1, 4))
    (tmp_path / "mine.yaml").write_text(
        HEAD + "vary: {alice_nat: [full-cone, cgn, symmetric], bob_nat: [full-cone, cgn, symmetric]}\n"
        "repeat: 10\ncalls: {from: alice, to: bob}\nexpect:\n" + expect
    )
    plan = plan_run("./mine.yaml", seed=1)
    samples = {
        position: TrialSamples(
            cell={name: trial.cell[name] for name in plan.vary},
            samples={plan.expectations[0].request: (Sample(float(3 + position % 7), 1),)},
        )
        for position, trial in enumerate(plan.trials)
    }
    found = Failing(plan, judge_run(plan.expectations, samples.values()), samples)
    assert len(found.evidence) == 27
    assert all(len(evidence.worst) == MOST_WORST for evidence in found.evidence)
    chosen = found.chosen()
    assert len(chosen) == len(set(chosen))
    worst = {evidence.worst[0].contribution.position for evidence in found.evidence}
    assert chosen[0] in worst
    assert len(chosen) <= MOST_EXPECTATIONS + MOST_FURTHER
    assert len(chosen) == 1 + MOST_FURTHER, "the three expectations have one worst trial, being of one metric"


# Whatever fails

SCENARIOS = [
    path
    for path in sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))
    if "sim" in parse_scenario(path.read_bytes(), path).spec.worlds
]
OPPOSITE = {
    Comparator.EQUAL: Comparator.UNEQUAL,
    Comparator.UNEQUAL: Comparator.EQUAL,
    Comparator.LESS: Comparator.MORE_OR_EQUAL,
    Comparator.LESS_OR_EQUAL: Comparator.MORE,
    Comparator.MORE: Comparator.LESS_OR_EQUAL,
    Comparator.MORE_OR_EQUAL: Comparator.LESS,
}


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_what_is_told_of_a_failing_trial_happened_in_it(path):
    """Of every scenario for virtual time, with the opposite of all it promises: so that everything fails."""
    plan = plan_run(str(path), seed=3, repeat=1)
    plan = replace(
        plan,
        trials=plan.trials[:: len(plan.trials) // 6 + 1],
        expectations=tuple(replace(e, comparator=OPPOSITE[e.comparator]) for e in plan.expectations),
    )
    requests = [expectation.request for expectation in plan.expectations]
    collector, results = Collector(plan), []
    for position, trial in enumerate(plan.trials):
        results.append(run_trial(trial, requests=requests))
        collector.add(position, results[-1])
    found = Failing(plan, collector.verdicts(), collector.samples)
    assert found.evidence
    for position in found.chosen():
        replay = trace_trial(plan.trials[position], capture=True)
        assert replay.result.events == results[position].events
        assert find_departure(replay.events, replay.events) is None
        assert find_departure(replay.events, replay.events, media=True) is None
        found.examine(position, replay, Stored(results))
        for evidence in found.evidence:
            if evidence.worst and evidence.worst[0].contribution.position == position:
                assert_it_happened(evidence, replay)


def assert_it_happened(evidence, replay):
    assert evidence.replay.endswith(f"--trial {evidence.worst[0].key}")
    lines = evidence_lines(evidence)
    kept = Evidence.from_data(evidence.verdict, json.loads(json.dumps(evidence.as_data(), allow_nan=False)))
    assert evidence_lines(kept) == lines, "read back it says the same"
    assert lines[-1] == f"  {evidence.replay}"
    departure, drop = evidence.examination.departure, evidence.examination.drop
    if departure is not None:
        assert departure.failing is None or departure.failing in replay.events
        assert departure.since is None or departure.since in replay.events
    if drop is not None:
        dropped = [event for event in replay.events if event.type is EventType.PACKET_DROPPED]
        told = [(event.packet_id or event.cause_id, event.node, event.data["reason"]) for event in dropped]
        assert (drop.packet_id, drop.where, drop.reason) in told
