"""Which trials make a verdict what it is: invalid ones first, then by how far they miss."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.measure.contribution import Members, contributions, differences
from lab.measure.metrics import Sample
from lab.measure.verdict import Outcome, TrialSamples, judge_run
from lab.spec.comparison import Comparator
from lab.spec.expectation import parse_expectation


def expecting(metric, **record):
    return parse_expectation({"metric": metric, **record}, "expect[0]")


def trials_of(expectation, values, cell=None, **more):
    """One trial for each list of values."""
    return {
        position: TrialSamples(
            cell=cell or {},
            samples={
                expectation.request: [Sample(value, 1, f"call-{n}") for n, value in enumerate(found, 1)]
            },
            **more,
        )
        for position, found in enumerate(values)
    }


def weighed(expectation, trials):
    (verdict,) = judge_run([expectation], trials.values())
    return contributions(verdict, trials.items())


@pytest.mark.parametrize(
    ("metric", "comparison", "values", "order", "breaking"),
    [
        ("ice.connected", {"rate": ">= 95%"}, [[1], [0], [1], [0]], [1, 3, 0, 2], 2),
        ("relay.share", {"rate": "<= 10%"}, [[0], [1], [0]], [1, 0, 2], 1),
        ("ice.setup_time", {"p95": "< 800ms"}, [[0.3], [0.9], [0.8], [2.0]], [3, 1, 2, 0], 3),
        ("ice.setup_time", {"min": ">= 100ms"}, [[0.3], [0.05], [0.01]], [2, 1, 0], 2),
        ("nat.mappings", {"max": "<= 3"}, [[3], [9], [4]], [1, 2, 0], 2),
        ("nat.mappings", {"sum": "== 6"}, [[3], [9], [4]], [1, 2, 0], 1),
        ("ice.connected", {"rate": "!= 100%"}, [[1], [1]], [0, 1], 2),
        ("ice.connected", {"count": ">= 3"}, [[1, 1, 1], [0, 1], [0, 0]], [2, 1, 0], 2),
        ("ice.setup_time", {"p50": "< 1s"}, [[], [3.0], [0.5]], [1, 2, 0], 1),
    ],
)
def test_the_worst_come_first_and_those_without_a_sample_last(metric, comparison, values, order, breaking):
    expectation = expecting(metric, **comparison)
    found = weighed(expectation, trials_of(expectation, values))
    assert [one.position for one in found] == order
    assert sum(one.breaks for one in found) == breaking


def test_equality_is_missed_by_those_on_the_side_on_which_the_cell_misses_it():
    """A quarter where half was expected: the trials with 0 did it; the one with 1 did not, nor is it half."""
    expectation = expecting("relay.share", rate="== 50%")
    found = weighed(expectation, trials_of(expectation, [[1], [0], [0], [0]]))
    assert [one.position for one in found] == [1, 2, 3, 0]
    assert [one.breaks for one in found] == [True, True, True, False]


def test_a_value_that_only_rounding_tells_from_the_threshold_breaks_what_asks_for_less():
    expectation = expecting("media.loss", mean="< 57%")
    (one,) = weighed(expectation, trials_of(expectation, [[57 * 0.01 - 1e-17]]))
    assert one.breaks


def test_an_invalid_trial_comes_before_all():
    expectation = expecting("ice.connected", rate="== 100%")
    trials = trials_of(expectation, [[0], [1]])
    trials[2] = TrialSamples(cell={}, samples={expectation.request: ()}, invalid="deadline")
    found = weighed(expectation, trials)
    assert [one.position for one in found] == [2, 0, 1]
    assert (found[0].invalid, found[0].holds) == ("deadline", False)


def test_it_names_the_call_with_the_worst_sample():
    expectation = expecting("ice.setup_time", p95="< 800ms")
    (one,) = weighed(expectation, trials_of(expectation, [[0.1, 5.0, 0.2]]))
    assert one.call == "call-2"


@settings(deadline=None)
@given(
    values=st.lists(st.lists(st.integers(0, 9).map(float), max_size=3), min_size=1, max_size=6),
    sign=st.sampled_from(Comparator),
    threshold=st.integers(0, 9),
)
def test_a_cell_of_one_sample_a_trial_fails_only_if_a_trial_breaks_it(values, sign, threshold):
    """For max and min, whose value is one trial's: what the verdict says some trial must say, too."""
    for statistic in ("max", "min"):
        expectation = expecting("nat.mappings", **{statistic: f"{sign} {threshold}"})
        trials = trials_of(expectation, values)
        (verdict,) = judge_run([expectation], trials.values())
        found = contributions(verdict, trials.items())
        assert sorted(one.position for one in found) == sorted(trials)
        if verdict.outcome is Outcome.FAIL:
            assert found[0].breaks
            assert any(one.value == verdict.value for one in found if one.breaks)


# Cells


def test_members_are_the_trials_of_the_cell_that_the_expectation_is_about():
    expectation = expecting("ice.connected", rate="== 100%", when={"drawn": "a"})
    trials = {
        number: TrialSamples(cell={"x": x}, drawn={"drawn": drawn}, samples={expectation.request: ()})
        for number, (x, drawn) in enumerate([(1, "a"), (1, "b"), (2, "a"), (1, "a"), (True, "a")])
    }
    verdicts = judge_run([expectation], trials.values())
    members = Members(trials)
    assert [[position for position, _ in members.of(verdict)] for verdict in verdicts] == [[0, 3], [2], [4]]
    nearest = [[position for position, _ in cell] for cell in members.nearest(verdicts[0])]
    assert nearest[0] == [1], "its own cell first, of those that it is not about"
    assert sorted(nearest[1:]) == [[2], [4]]


def test_the_nearest_cell_is_that_which_differs_least():
    expectation = expecting("ice.connected", rate="== 100%")
    cells = [{"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 2, "c": 1}, {"a": 1, "b": 2, "c": 1}]
    trials = {n: TrialSamples(cell=cell, samples={expectation.request: ()}) for n, cell in enumerate(cells)}
    verdict = judge_run([expectation], trials.values())[0]
    nearest = [position for cell in Members(trials).nearest(verdict) for position, _ in cell]
    assert nearest == [2, 1]
    assert differences(cells[0], cells[1]) == {"a": 2, "b": 2}
