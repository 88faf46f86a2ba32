"""Verdicts: three values, judged on the point estimate; what is printed; the exit code of a run."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.measure.metrics import Sample
from lab.measure.statistics import wilson_interval
from lab.measure.verdict import Outcome, TrialSamples, Verdict, exit_code_of, judge, judge_run, overall
from lab.measure.verdict_text import format_value, format_verdict
from lab.spec.expectation import parse_expectation

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def expecting(metric="ice.connected", **record):
    return parse_expectation({"metric": metric, **record}, "expect[0]")


def one_call_a_trial(values):
    return [[Sample(float(value), 1, "call-1")] for value in values]


def calls(connected, n):
    return one_call_a_trial([1] * connected + [0] * (n - connected))


# The table


@pytest.mark.parametrize(
    ("rate", "connected", "n", "outcome"),
    [
        (">= 95%", 0, 0, INCONCLUSIVE),
        ("== 0%", 0, 0, INCONCLUSIVE),
        ("<= 100%", 0, 0, INCONCLUSIVE),
        (">= 95%", 1, 1, PASS),
        (">= 95%", 0, 1, FAIL),
        ("== 100%", 1, 1, PASS),
        ("== 100%", 30, 30, PASS),
        ("== 100%", 29, 30, FAIL),
        ("== 0%", 0, 30, PASS),
        ("== 0%", 1, 30, FAIL),
        ("!= 0%", 1, 30, PASS),
        ("< 100%", 30, 30, FAIL),
        ("> 0%", 0, 30, FAIL),
        (">= 95%", 19, 20, PASS),
        ("> 95%", 19, 20, FAIL),
        (">= 57%", 57, 100, PASS),
        ("<= 57%", 57, 100, PASS),
        ("> 57%", 57, 100, FAIL),
        ("< 57%", 57, 100, FAIL),
    ],
)
def test_a_rate_is_judged_on_the_point_estimate(rate, connected, n, outcome):
    verdict = judge(expecting(rate=rate), {}, calls(connected, n))
    assert verdict.outcome is outcome
    assert verdict.n == n
    assert verdict.value == (connected / n if n else None)
    assert verdict.interval == (wilson_interval(connected, n, 0.95) if n else None)
    assert bool(verdict.reason) == (outcome is INCONCLUSIVE)


@pytest.mark.parametrize(
    ("comparison", "values", "outcome", "has_interval"),
    [
        ({"p95": "< 800ms"}, [], INCONCLUSIVE, False),
        ({"p95": "< 800ms"}, [0.7], PASS, False),
        ({"p95": "< 800ms"}, [0.8], FAIL, False),
        ({"p95": "<= 800ms"}, [0.8], PASS, False),
        ({"p95": "< 800ms"}, [0.1] * 19 + [5.0], PASS, True),
        ({"p99": "< 800ms"}, [0.1] * 19 + [5.0], FAIL, True),
        ({"mean": "< 800ms"}, [0.6, 0.9], PASS, True),
        ({"max": "< 800ms"}, [0.6, 0.9], FAIL, False),
        ({"min": "< 800ms"}, [0.6, 0.9], PASS, False),
        ({"count": ">= 3"}, [0.6, 0.9], FAIL, False),
        ({"count": ">= 0"}, [], INCONCLUSIVE, False),
    ],
)
def test_durations(comparison, values, outcome, has_interval):
    verdict = judge(expecting("ice.setup_time", **comparison), {}, one_call_a_trial(values))
    assert verdict.outcome is outcome
    assert (verdict.interval is not None) == has_interval


@pytest.mark.parametrize("connected", [0, 15, 30])
def test_one_invalid_trial_makes_a_cell_inconclusive_whatever_the_others_say(connected):
    verdict = judge(expecting(rate=">= 50%"), {}, calls(connected, 30), invalid=1)
    assert verdict.outcome is INCONCLUSIVE
    assert verdict.value == connected / 30
    assert "1 invalid trial" in verdict.reason


def test_weights_count():
    verdict = judge(expecting(rate=">= 90%"), {}, [[Sample(1.0, 90, "a"), Sample(0.0, 10, "b")]])
    assert (verdict.outcome, verdict.n, verdict.value) == (PASS, 100, 0.9)


def test_samples_that_stand_for_nothing_are_no_samples():
    verdict = judge(expecting(rate=">= 90%"), {}, [[Sample(1.0, 0, "a")]])
    assert (verdict.outcome, verdict.n) == (INCONCLUSIVE, 0)
    both = [[Sample(9.0, 0, "a"), Sample(0.5, 1, "b")]]
    verdict = judge(expecting("ice.setup_time", max="< 1s"), {}, both)
    assert (verdict.outcome, verdict.value, verdict.n) == (PASS, 0.5, 1)


# Confidence


@pytest.mark.parametrize(
    ("connected", "n", "outcome"),
    [
        (30, 30, INCONCLUSIVE),  # all of 30 may still come from a rate of 89 %
        (100, 100, PASS),
        (96, 100, INCONCLUSIVE),
        (94, 100, INCONCLUSIVE),
        (80, 100, FAIL),
        (0, 1, FAIL),
        (1, 1, INCONCLUSIVE),
        (0, 0, INCONCLUSIVE),
    ],
)
def test_with_confidence_an_interval_that_straddles_the_threshold_is_inconclusive(connected, n, outcome):
    verdict = judge(expecting(rate=">= 95%", confidence="95%"), {}, calls(connected, n))
    assert verdict.outcome is outcome


def test_without_confidence_the_same_interval_only_stands_beside():
    verdict = judge(expecting(rate=">= 95%"), {}, calls(96, 100))
    assert verdict.outcome is PASS
    assert verdict.interval.low < 0.95 < verdict.interval.high


def test_the_interval_has_the_confidence_that_was_asked_for():
    strict = judge(expecting(rate=">= 10%", confidence="99.9%"), {}, calls(15, 30))
    assert strict.confidence == pytest.approx(0.999)
    assert strict.interval == wilson_interval(15, 30, strict.confidence)


def test_few_calls_cannot_bound_a_high_percentile():
    expectation = expecting("ice.setup_time", p95="< 800ms", confidence="95%")
    few, enough = (judge(expectation, {}, one_call_a_trial([0.1] * n)) for n in (58, 59))
    assert few.outcome is INCONCLUSIVE
    assert few.reason == "58 calls cannot bound p95 with 95 % confidence: 59 can"
    assert enough.outcome is PASS


def test_one_call_has_no_interval_and_so_nothing_is_known_with_confidence():
    expectation = expecting("ice.setup_time", mean="< 800ms", confidence="95%")
    assert judge(expectation, {}, one_call_a_trial([0.1])).outcome is INCONCLUSIVE


@given(st.integers(1, 200), st.data(), st.sampled_from(["", "95%"]))
def test_more_connected_calls_never_make_the_verdict_worse(n, data, confidence):
    fewer = data.draw(st.integers(0, n - 1))
    threshold = data.draw(st.integers(0, 100))
    settings = {"confidence": confidence} if confidence else {}
    order = [FAIL, INCONCLUSIVE, PASS]
    for sign, better in ((">=", (fewer, fewer + 1)), ("<=", (fewer + 1, fewer))):
        expectation = expecting(rate=f"{sign} {threshold}%", **settings)
        worse, best = (judge(expectation, {}, calls(k, n)).outcome for k in better)
        assert order.index(worse) <= order.index(best)


@given(st.lists(st.floats(0, 10), max_size=20), st.floats(0.001, 10))
def test_a_verdict_is_what_its_value_says_and_nothing_without_a_value(values, threshold):
    expectation = expecting("ice.setup_time", p90=f"< {threshold:.3f}s")
    verdict = judge(expectation, {}, one_call_a_trial(values))
    if not values:
        assert verdict.outcome is INCONCLUSIVE
    else:
        met = expectation.comparator.holds(verdict.value, expectation.threshold)
        assert verdict.outcome is (PASS if met else FAIL)
        assert verdict.value in values
        assert verdict.interval is None or verdict.interval.low <= verdict.value <= verdict.interval.high


# Runs


def trial(nat, connected, repeat=0, invalid=""):
    samples = {expecting(rate="> 0%").request: one_call_a_trial([connected])[0]}
    return TrialSamples(cell={"nat": nat}, samples=samples, invalid=invalid)


TRIALS = [trial("cone", 1), trial("symmetric", 1), trial("cone", 1), trial("symmetric", 0)]


def test_a_run_is_judged_cell_by_cell_over_its_repetitions():
    verdicts = judge_run([expecting(rate="== 100%")], TRIALS)
    assert [(v.cell["nat"], v.value, v.n, v.outcome) for v in verdicts] == [
        ("cone", 1.0, 2, PASS),
        ("symmetric", 0.5, 2, FAIL),
    ]


def test_when_confines_an_expectation_to_cells():
    (verdict,) = judge_run([expecting(rate="== 100%", when={"nat": "cone"})], TRIALS)
    assert verdict.cell == {"nat": "cone"}


def test_an_expectation_about_no_cell_of_the_run_is_not_met():
    (verdict,) = judge_run([expecting(rate="== 100%", when={"nat": "cgn"})], TRIALS)
    assert (verdict.outcome, verdict.cell, verdict.n) == (INCONCLUSIVE, {}, 0)


def test_a_population_is_judged_as_a_whole_and_may_be_asked_for_a_part():
    request = expecting("relay.share", rate="<= 30%").request

    def drawn(nat, relayed):
        samples = {request: [Sample(relayed, 1, "c")]}
        return TrialSamples(cell={"turn": True}, drawn={"nat": nat}, samples=samples)

    trials = [drawn("cone", 0), drawn("cone", 0), drawn("cone", 0), drawn("symmetric", 1)]
    whole, symmetric = judge_run(
        [
            expecting("relay.share", rate="<= 30%"),
            expecting("relay.share", rate="== 100%", when={"nat": "symmetric"}),
        ],
        trials,
    )
    assert (whole.cell, whole.value, whole.n, whole.outcome) == ({"turn": True}, 0.25, 4, PASS)
    assert (symmetric.value, symmetric.n, symmetric.outcome) == (1.0, 1, PASS)


def test_invalid_trials_are_counted_in_their_own_cell_and_their_samples_are_not():
    trials = [*TRIALS, trial("cone", 0, invalid="its deadline passed")]
    cone, symmetric = judge_run([expecting(rate=">= 50%")], trials)
    assert (cone.outcome, cone.invalid, cone.n, cone.value) == (INCONCLUSIVE, 1, 2, 1.0)
    assert (symmetric.outcome, symmetric.invalid) == (PASS, 0)


def test_equal_runs_have_equal_verdicts_and_another_cell_changes_none():
    def trials(nats):
        request = expecting("ice.setup_time", mean="< 1s").request
        return [
            TrialSamples(cell={"nat": nat}, samples={request: [Sample(0.1 * number, 1, "c")]})
            for nat in nats
            for number in range(9)
        ]

    expectation = expecting("ice.setup_time", mean="< 1s")
    (alone,) = judge_run([expectation], trials(["cone"]), run_seed=5)
    assert [alone] == judge_run([expectation], trials(["cone"]), run_seed=5)
    assert alone in judge_run([expectation], trials(["symmetric", "cone"]), run_seed=5)
    assert alone.interval != judge_run([expectation], trials(["cone"]), run_seed=6)[0].interval


def verdict(outcome, severity="error"):
    return Verdict(expectation=expecting(rate="> 0%", severity=severity), cell={}, outcome=outcome)


@pytest.mark.parametrize(
    ("outcomes", "whole"),
    [
        ([], PASS),
        ([PASS, PASS], PASS),
        ([PASS, INCONCLUSIVE], INCONCLUSIVE),
        ([INCONCLUSIVE, FAIL, PASS], FAIL),
    ],
)
def test_a_failure_counts_before_doubt(outcomes, whole):
    for order in itertools.permutations(outcomes):
        assert overall(map(verdict, order)) is whole


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_warning_never_decides_a_run(outcome):
    verdicts = [verdict(PASS), verdict(outcome, "warning")]
    assert overall(verdicts) is PASS
    assert exit_code_of(verdicts) == 0


PRECEDENCE = [70, 4, 1, 3, 0]


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(PRECEDENCE, 2)))
def test_of_two_exit_codes_the_graver_one_counts(first, second):
    assert exit_code_of([], first, second) == exit_code_of([], second, first) == first


@pytest.mark.parametrize(
    ("outcome", "others", "code"),
    [
        (PASS, [], 0),
        (FAIL, [], 1),
        (INCONCLUSIVE, [], 3),
        (PASS, [3], 3),
        (FAIL, [3], 1),
        (FAIL, [4], 4),
        (INCONCLUSIVE, [4, 70], 70),
        (FAIL, [70], 70),
    ],
)
def test_the_exit_code_of_a_run(outcome, others, code):
    assert exit_code_of([verdict(outcome)], *others) == code


def test_a_code_of_a_run_that_was_never_judged_is_refused():
    with pytest.raises(ValueError, match="exit code 2 is of no run"):
        exit_code_of([verdict(PASS)], 2)


# Words


def test_a_verdict_in_words():
    expectation = expecting(
        rate=">= 95%", within="10s", why="people hang up on silence", when={"nat": "symmetric"}
    )
    text = format_verdict(judge(expectation, {"nat": "symmetric", "tries": 2}, calls(28, 30)))
    assert text.splitlines() == [
        "FAIL  ice.connected rate >= 95% within 10 s  [nat=symmetric tries=2]",
        "      found 93.3 % (95 % interval 78.7 % to 98.2 %, n = 30)",
        "      why: people hang up on silence",
    ]


def test_an_inconclusive_verdict_says_why():
    expectation = expecting("ice.setup_time", p95="< 800ms")
    assert format_verdict(judge(expectation, {}, [])).splitlines() == [
        "????  ice.setup_time p95 < 800ms",
        "      found nothing (n = 0)",
        "      no samples",
    ]


def test_a_failed_warning_is_called_one():
    expectation = expecting(rate="> 50%", severity="warning")
    assert format_verdict(judge(expectation, {}, calls(0, 3))).startswith("WARN  ice.connected rate > 50%")


@pytest.mark.parametrize(
    ("record", "values", "text"),
    [
        ({"metric": "ice.setup_time", "p50": "< 800ms"}, [0.8001], "800.1 ms"),
        ({"metric": "ice.setup_time", "p50": "< 800ms"}, [0.8], "800 ms"),
        ({"metric": "ice.setup_time", "p50": "< 1s"}, [0.9999], "999.9 ms"),
        ({"metric": "ice.setup_time", "p50": "< 1s"}, [12.3456], "12.3 s"),
        ({"metric": "ice.setup_time", "p50": "< 1s"}, [0.00002], "0.02 ms"),
        ({"metric": "ice.connected", "rate": ">= 95%"}, [1] * 1999 + [0], "99.95 %"),
        ({"metric": "ice.connected", "rate": ">= 95%"}, [0] * 2, "0 %"),
        ({"metric": "ice.connected", "count": ">= 1500"}, [1] * 1234, "1234"),
        ({"metric": "media.loss", "mean": "<= 1%"}, [0.0100001], "1.00001 %"),
        ({"metric": "nat.mappings", "sum": "<= 1"}, [1234567], "1234567"),
        ({"metric": "nat.mappings", "mean": "<= 1"}, [1, 2, 2], "1.67"),
    ],
)
def test_a_value_is_printed_so_that_it_differs_from_the_threshold_if_it_does(record, values, text):
    assert format_value(judge(parse_expectation(record, "x"), {}, one_call_a_trial(values))) == text


def test_a_verdict_can_be_stored():
    expectation = expecting(rate=">= 95%", why="because")
    data = judge(expectation, {"nat": "cone"}, calls(30, 30)).as_data()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert (data["outcome"], data["n"], data["value"], data["cell"]) == ("pass", 30, 1.0, {"nat": "cone"})
    assert json.dumps(judge(expectation, {}, []).as_data(), allow_nan=False)


# Kept, and read back


@pytest.mark.parametrize(
    ("record", "values"),
    [
        ({"rate": ">= 95%", "why": "it is promised"}, [1, 0, 1]),
        ({"rate": ">= 95%", "confidence": "90%", "within": "2s"}, [1, 1]),
        ({"rate": "== 100%", "severity": "warning"}, []),
        ({"metric": "ice.setup_time", "p95": "< 800ms"}, [0.7, 0.9, 0.3]),
    ],
)
def test_a_verdict_that_was_written_as_json_is_read_back(record, values):
    verdict = judge(expecting(**record), {"alice_nat": "cgn", "loss": 0.5}, one_call_a_trial(values))
    read = Verdict.from_data(json.loads(json.dumps(verdict.as_data())))
    assert read.as_data() == verdict.as_data()
    assert format_verdict(read) == format_verdict(verdict)


@pytest.mark.parametrize(
    ("change", "error"),
    [({"metric": "ice.hope"}, KeyError), ({"outcome": "maybe"}, ValueError), ({"interval": 3}, TypeError)],
)
def test_what_is_no_verdict_of_this_lab_is_not_read(change, error):
    data = judge(expecting(rate=">= 95%"), {}, calls(1, 1)).as_data()
    with pytest.raises(error):
        Verdict.from_data({**data, **change})
