"""Expectations: what a scenario may demand, and every way to say it wrong, told at its key."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import UsageError
from lab.spec.comparison import Comparator
from lab.spec.expectation import Expectation, Severity, parse_expectation
from lab.spec.metric_catalogue import CATALOGUE, MetricKind, Statistic


def read(**record) -> Expectation:
    return parse_expectation(record, "expect[2]")


def problems(record) -> list[str]:
    with pytest.raises(UsageError) as refused:
        parse_expectation(record, "expect[2]")
    return [str(problem) for problem in refused.value.problems]


def test_an_expectation_has_its_threshold_in_si_units_and_as_written():
    expectation = read(metric="ice.setup_time", p95="< 800ms")
    assert expectation == Expectation(
        metric="ice.setup_time",
        statistic=Statistic.P95,
        comparator=Comparator.LESS,
        threshold=0.8,
        threshold_text="800ms",
    )
    assert str(expectation) == "ice.setup_time p95 < 800ms"


def test_everything_that_an_expectation_may_say():
    expectation = read(
        metric="relay.share",
        rate=">= 99.5%",
        when={"alice_nat": "symmetric", "tries": [1, 2]},
        why="neither filter admits the other's new port",
        within="10s",
        confidence="95%",
        severity="warning",
    )
    assert expectation.threshold == pytest.approx(0.995)
    assert expectation.when == {"alice_nat": ("symmetric",), "tries": (1, 2)}
    assert expectation.within == 10.0
    assert expectation.confidence == pytest.approx(0.95)
    assert expectation.severity is Severity.WARNING
    assert expectation.request == ("relay.share", 10.0)


@pytest.mark.parametrize(
    ("metric", "statistic", "text", "threshold"),
    [
        ("ice.connected", "rate", "==100%", 1.0),
        ("ice.connected", "count", ">= 3", 3),
        ("media.delay", "mean", "<=20 ms", 0.020),
        ("media.delay", "count", "> 0", 0),
        ("media.gap", "max", "== 0", 0),
        ("media.loss", "p99", "<= 0.5%", 0.005),
        ("turn.allocations", "sum", "!= 0", 0),
        ("turn.allocations", "mean", "< 2.5", 2.5),
    ],
)
def test_a_threshold_has_the_unit_of_its_statistic(metric, statistic, text, threshold):
    assert read(metric=metric, **{statistic: text}).threshold == pytest.approx(threshold)


@pytest.mark.parametrize("metric", CATALOGUE.values(), ids=list(CATALOGUE))
def test_every_statistic_of_every_metric_can_be_expected(metric):
    units = {MetricKind.SHARE: "5%", MetricKind.RATIO: "5%", MetricKind.DURATION: "5s", MetricKind.COUNT: "5"}
    for statistic in metric.statistics:
        threshold = "5" if statistic is Statistic.COUNT else units[metric.kind]
        assert read(metric=metric.name, **{statistic: f"< {threshold}"}).statistic is statistic


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"metric": "ice.conected", "rate": ">= 1%"}, 'metric: unknown metric .*\n.*mean "ice.connected"'),
        ({"metric": 7, "rate": ">= 1%"}, "metric: unknown metric 7"),
        ({"metric": ["x"], "rate": ">= 1%"}, "metric: unknown metric"),
        ({"metric": "path.selected", "rate": ">= 1%"}, "not one number\n.*path.host.*relay.share"),
        (
            {"metric": "ice.connected"},
            r"^expect\[2\]: an expectation without a comparison\n  expected one of rate",
        ),
        ({"rate": ">= 1%"}, r"^expect\[2\]: an expectation without a metric"),
        ({"metric": "ice.connected", "rat": ">= 1%", "rate": "> 1%"}, 'rat: unknown key .*\n.*mean "rate"'),
        (
            {"metric": "ice.connected", "p95": "< 1s"},
            r"p95: ice.connected is a share of calls and has no p95",
        ),
        ({"metric": "ice.setup_time", "rate": "< 1s"}, "rate: ice.setup_time is a duration and has no rate"),
        (
            {"metric": "turn.allocations", "count": "< 1"},
            "is a count and has no count\n  expected one of sum",
        ),
        ({"metric": "ice.setup_time", "p50": "< 1s", "p95": "< 2s"}, "p95: a second statistic beside p50"),
        ({"metric": "ice.setup_time", "p95": "< 800"}, "p95: '800' has no unit"),
        ({"metric": "ice.setup_time", "p95": "< 80%"}, "p95: '80%' has an unknown unit '%'"),
        ({"metric": "ice.setup_time", "p95": "< -1s"}, "p95: '-1s' is negative"),
        ({"metric": "ice.setup_time", "p95": "< 1e999s"}, "p95: '1e999s' is too large"),
        ({"metric": "ice.setup_time", "p95": "< nan"}, "p95: 'nan' is not a duration"),
        ({"metric": "ice.setup_time", "p95": "<"}, "p95: '' is not a duration"),
        ({"metric": "ice.setup_time", "p95": "800ms"}, "p95: '800ms' does not compare\n.*\n.*\"< 800ms\""),
        ({"metric": "ice.setup_time", "p95": "=< 8s"}, "p95: unknown comparator '=<'"),
        ({"metric": "ice.setup_time", "p95": 0.8}, "p95: 0.8 is no comparison"),
        (
            {"metric": "ice.connected", "rate": ">= 0.95"},
            r"rate: '0.95' has no unit\n.*\n  did you mean 95%\?",
        ),
        ({"metric": "ice.connected", "rate": ">= 101%"}, "rate: '101%' is more than 100%"),
        ({"metric": "ice.connected", "rate": ">= 95ms"}, "rate: '95ms' has an unknown unit 'ms'"),
        ({"metric": "ice.connected", "count": ">= 1.5"}, "count: '1.5' is not a whole number"),
        ({"metric": "ice.connected", "count": ">= 5%"}, "count: '5%' is not a whole number"),
        ({"metric": "turn.allocations", "mean": ">= -2"}, "mean: '-2' is negative"),
        ({"metric": "turn.allocations", "mean": ">= 1e999"}, "mean: '1e999' is too large"),
    ],
)
def test_what_is_wrong_is_told_at_its_key(record, message):
    (problem,) = problems(record)
    assert problem.startswith("expect[2]")
    assert _matches(message, problem), problem


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"when": "symmetric"}, "when: 'symmetric' is not a mapping"),
        ({"when": {"nat": []}}, "when.nat: an empty list"),
        ({"when": {"nat": {"a": 1}}}, "when.nat: .* is no value of a parameter"),
        ({"when": {"nat": ["x", float("inf")]}}, "when.nat: inf is no value of a parameter"),
        ({"why": "  "}, "why: '  ' is no reason"),
        ({"why": None}, "why: None is no reason"),
        ({"within": 5}, "within: 5 is not a duration"),
        ({"within": "0s"}, "within: nothing happens within no time"),
        ({"within": "-1s"}, "within: '-1s' is negative"),
        ({"confidence": 0.95}, "confidence: 0.95 is not a percentage"),
        ({"confidence": "100%"}, "confidence: no interval has it"),
        ({"confidence": "0%"}, "confidence: no interval has it"),
        ({"severity": "eror"}, 'severity: unknown severity .*\n.*mean "error"'),
        ({"severity": []}, "severity: unknown severity"),
    ],
)
def test_settings_are_checked(setting, message):
    (problem,) = problems({"metric": "ice.connected", "rate": ">= 95%", **setting})
    assert _matches(message, problem), problem


def test_within_needs_a_beginning_and_confidence_an_interval():
    (problem,) = problems({"metric": "turn.allocations", "sum": "< 9", "within": "5s"})
    assert "turn.allocations has no beginning to count from" in problem
    (problem,) = problems({"metric": "media.gap", "max": "< 9s", "confidence": "95%"})
    assert "there is no interval for max" in problem
    (problem,) = problems({"metric": "ice.connected", "rate": "== 100%", "confidence": "95%"})
    assert "== cannot be told with confidence" in problem


def test_all_problems_are_told_at_once():
    record = {"metric": "ice.conected", "rate": "95%", "within": 5, "severity": "bad", "wen": {}}
    places = [problem.partition(":")[0] for problem in problems(record)]
    assert sorted(places) == [
        "expect[2].metric",
        "expect[2].rate",
        "expect[2].severity",
        "expect[2].wen",
        "expect[2].within",
    ]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["metric", "rate", "p95", "when", "why", "within", "confidence", "severity"])
                | st.text(max_size=3)
                | st.integers(),
                inner | st.sampled_from(["ice.connected", "media.delay", ">= 95%", "< 1s"]),
                max_size=6,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_a_file_holds_is_read_or_refused_by_the_one_error(record):
    try:
        expectation = parse_expectation(record, "expect[0]")
    except UsageError as error:
        refused = [problem.where for problem in error.problems]
    else:
        refused = []
        assert expectation.metric in CATALOGUE
    assert all(where.startswith("expect[0]") for where in refused)


# when


CELLS = [{"nat": nat, "tries": tries} for nat in ("cone", "symmetric") for tries in (1, 2)]


def test_an_expectation_applies_where_every_parameter_has_one_of_its_values():
    expectation = read(metric="ice.connected", rate="> 0%", when={"nat": ["symmetric", "cgn"], "tries": 2})
    assert [expectation.applies_to(cell) for cell in CELLS] == [False, False, False, True]
    assert not expectation.applies_to({"nat": "symmetric"})
    assert read(metric="ice.connected", rate="> 0%").applies_to({})


def test_true_is_not_one():
    assert not read(metric="ice.connected", rate="> 0%", when={"tries": True}).applies_to({"tries": 1})


# Comparison


@pytest.mark.parametrize(
    ("value", "holding"),
    [(1.0, {"<", "<=", "!="}), (2.0, {"==", "<=", ">="}), (3.0, {">", ">=", "!="})],
)
def test_comparators(value, holding):
    assert {c.value for c in Comparator if c.holds(value, 2.0)} == holding


@given(st.integers(1, 100), st.integers(1, 50))
def test_a_share_of_that_percentage_equals_it(percent, times):
    """k/n is seldom the float nearest to k·0.01: without tolerance 57 of 100 would not be 57 %."""
    threshold = read(metric="ice.connected", rate=f"== {percent}%").threshold
    share = (percent * times) / (100 * times)
    assert Comparator.EQUAL.holds(share, threshold)
    assert not Comparator.LESS.holds(share, threshold)


def _matches(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None
