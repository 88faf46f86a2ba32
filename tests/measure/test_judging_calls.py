"""From calls in virtual time to verdicts: the whole way that a run takes, on a small matrix."""

import importlib.util
from functools import partial
from pathlib import Path

import pytest

from lab.measure.metrics import measure
from lab.measure.predict import predict_call
from lab.measure.verdict import Outcome, TrialSamples, exit_code_of, judge_run
from lab.spec.command import CandidatePolicy
from lab.spec.expectation import parse_expectation
from lab.spec.find import load_topology

_spec = importlib.util.spec_from_file_location(
    "scenarios_conftest", Path(__file__).parents[1] / "scenarios" / "conftest.py"
)
_conftest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_conftest)
play = _conftest.play

CELLS = [
    {"alice_nat": alice, "bob_nat": bob}
    for alice in ("full-cone", "symmetric")
    for bob in ("port-restricted", "symmetric")
]
IN_STEP = "-30ms"


def possible(cell, caller, callee):
    return predict_call(load_topology("two_homes", cell), caller, callee).reach


@pytest.fixture
def judged(play):
    """Play every cell twice and judge it by these expectations."""

    def run(records, policy=None):
        expectations = [parse_expectation(record, f"expect[{n}]") for n, record in enumerate(records)]
        requests = [expectation.request for expectation in expectations]

        def trial(cell, seed):
            async def call(lab):
                await lab.call("alice", "bob", start_offset=IN_STEP, policy=policy)

            events = play("two_homes", call, seed=seed, **cell).events
            return TrialSamples(cell=cell, samples=measure(events, requests, partial(possible, cell)))

        return judge_run(expectations, [trial(cell, seed) for cell in CELLS for seed in (1, 2)])

    return run


def test_a_matrix_that_keeps_its_promises(judged):
    verdicts = judged(
        [
            {"metric": "ice.connected", "rate": "== 100%", "within": "10s"},
            {"metric": "ice.setup_time", "p95": "< 800ms"},
            {"metric": "relay.share", "rate": "== 100%", "when": {"alice_nat": "symmetric"}},
            {"metric": "path.direct", "rate": "== 100%", "when": {"alice_nat": "full-cone"}},
            {"metric": "direct.missed", "rate": "== 0%"},
            {"metric": "media.loss", "max": "== 0%"},
            {"metric": "calls.lost", "count": "== 0"},
        ]
    )
    assert {verdict.outcome for verdict in verdicts} == {Outcome.PASS}
    assert len(verdicts) == 4 + 4 + 2 + 2 + 4 + 4 + 4
    assert exit_code_of(verdicts) == 0


def test_without_a_relay_exactly_the_cells_that_need_one_fail(judged):
    verdicts = judged([{"metric": "ice.connected", "rate": ">= 95%"}], CandidatePolicy(candidates="no-relay"))
    failed = [verdict.cell for verdict in verdicts if verdict.outcome is Outcome.FAIL]
    assert failed == [cell for cell in CELLS if cell["alice_nat"] == "symmetric"]
    assert exit_code_of(verdicts) == 1


def test_what_was_not_measured_is_not_met(judged):
    """No call connects in half the cells: of their set-up times nothing is known, and that is no pass."""
    verdicts = judged([{"metric": "ice.setup_time", "p50": "< 10s"}], CandidatePolicy(candidates="no-relay"))
    inconclusive = [verdict.cell for verdict in verdicts if verdict.outcome is Outcome.INCONCLUSIVE]
    assert inconclusive == [cell for cell in CELLS if cell["alice_nat"] == "symmetric"]
    assert exit_code_of(verdicts) == 3
