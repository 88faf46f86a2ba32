"""Estimates and intervals, against scipy and numpy."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lab.measure.statistics import (
    bootstrap_interval,
    estimate,
    interval_of,
    mean,
    percentile,
    samples_needed,
    wilson_interval,
)
from lab.spec.metric_catalogue import MetricKind, Statistic

values = st.floats(-1e6, 1e6, allow_nan=False)
weighted = st.lists(st.tuples(values, st.integers(1, 5)), min_size=1, max_size=30)
confidences = st.sampled_from([0.5, 0.8, 0.95, 0.99, 0.999])


def ones(numbers):
    return [(number, 1) for number in numbers]


def clusters_of(numbers):
    return [[(number, 1)] for number in numbers]


# Shares


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (15, 30), (1, 1000), (999, 1000), (57, 100)]
)
def test_wilson_equals_scipys(successes, n, confidence):
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert wilson_interval(successes, n, confidence) == pytest.approx(
        (expected.low, expected.high), abs=1e-12
    )


def test_wilson_of_none_and_of_all_touches_the_end_and_no_further():
    assert wilson_interval(0, 30, 0.95).low == 0.0
    assert wilson_interval(30, 30, 0.95).high == 1.0
    assert 0.88 < wilson_interval(30, 30, 0.95).low < 0.89


@given(st.integers(1, 10_000), st.data(), confidences)
def test_wilson_holds_the_share_within_0_to_1(n, data, confidence):
    successes = data.draw(st.integers(0, n))
    low, high = wilson_interval(successes, n, confidence)
    assert 0 <= low <= successes / n <= high <= 1
    assert low < high


@given(st.integers(1, 500), st.data(), confidences)
def test_wilson_is_narrower_with_more_calls_and_wider_with_more_confidence(n, data, confidence):
    successes = data.draw(st.integers(0, n))

    def width(times, level=confidence):
        low, high = wilson_interval(successes * times, n * times, level)
        return high - low

    assert width(4) < width(1)
    assert width(1, 0.9995) > width(1)


@given(st.integers(1, 500), st.data())
def test_wilson_rises_with_successes(n, data):
    successes = data.draw(st.integers(0, n - 1))
    fewer, more = (wilson_interval(k, n, 0.95) for k in (successes, successes + 1))
    assert fewer.low <= more.low
    assert fewer.high <= more.high


# Percentiles


@given(weighted, st.sampled_from([50, 90, 95, 99]))
def test_percentiles_are_numpys_inverted_cdf(samples, percent):
    expanded = [value for value, weight in samples for _ in range(weight)]
    # An exact fraction, where numpy would take 0.95 · n: the nearest float may lie just above a whole rank.
    expected = sorted(expanded)[(len(expanded) * percent + 99) // 100 - 1]
    assert percentile(samples, percent) == expected
    if len(expanded) * percent % 100:
        assert percentile(samples, percent) == np.quantile(expanded, percent / 100, method="inverted_cdf")


@pytest.mark.parametrize(
    ("n", "percent", "rank"), [(1, 99, 1), (2, 50, 1), (3, 50, 2), (20, 95, 19), (19, 95, 19), (100, 99, 99)]
)
def test_the_nearest_rank(n, percent, rank):
    assert percentile(ones(range(n, 0, -1)), percent) == rank


def test_estimates_of_one_set_of_samples():
    samples = [(3.0, 1), (1.0, 2), (10.0, 1)]
    found = {
        statistic.value: estimate(MetricKind.COUNT, statistic, samples)
        for statistic in (Statistic.SUM, Statistic.MEAN, Statistic.MIN, Statistic.P50, Statistic.MAX)
    }
    assert found == {"sum": 15, "mean": 3.75, "min": 1, "p50": 1, "max": 10}
    assert estimate(MetricKind.DURATION, Statistic.COUNT, samples) == 4
    calls = [(1.0, 3), (0.0, 7)]
    assert estimate(MetricKind.SHARE, Statistic.COUNT, calls) == 3
    assert estimate(MetricKind.SHARE, Statistic.RATE, calls) == pytest.approx(0.3)


@given(weighted)
def test_a_weight_is_that_many_samples(samples):
    expanded = [(value, 1) for value, weight in samples for _ in range(weight)]
    for statistic in (*MetricKind.COUNT.statistics, Statistic.COUNT):
        for kind in MetricKind:
            one, other = (estimate(kind, statistic, s) for s in (samples, expanded))
            assert one == pytest.approx(other, rel=1e-9, abs=1e-6)


@given(weighted)
def test_a_mean_lies_among_the_values(samples):
    assert min(samples)[0] <= mean(samples) <= max(samples)[0]


# Bootstrap


def drawn(n, seed=3):
    generator = random.Random(seed)
    return [generator.lognormvariate(-1, 0.6) for _ in range(n)]


def scipys(numbers, statistic):
    return stats.bootstrap(
        (np.array(numbers),), statistic, method="percentile", n_resamples=5000, rng=np.random.default_rng(1)
    ).confidence_interval


def test_bounds_of_a_mean_are_scipys_within_what_draws_differ():
    numbers = drawn(60)
    expected = scipys(numbers, np.mean)
    found = interval_of(Statistic.MEAN, clusters_of(numbers), 0.95, random.Random(1))
    assert found == pytest.approx((expected.low, expected.high), abs=(expected.high - expected.low) / 16)


@pytest.mark.parametrize("percent", [50, 90])
def test_bounds_of_a_percentile_are_scipys_or_the_next_sample(percent):
    numbers = sorted(drawn(60))
    expected = scipys(
        numbers, lambda x, axis: np.quantile(x, percent / 100, axis=axis, method="inverted_cdf")
    )
    found = interval_of(Statistic(f"p{percent}"), clusters_of(numbers), 0.95, random.Random(1))
    for bound, theirs in zip(found, expected, strict=True):
        assert abs(numbers.index(bound) - int(np.searchsorted(numbers, theirs))) <= 1


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(("n", "percent"), [(3, 50), (20, 95), (30, 50), (200, 90), (1000, 99)])
def test_bounds_of_a_percentile_are_those_of_the_binomial_distribution(n, percent, confidence):
    """The drawn percentile is at or below the j-th value where as many draws are as its rank."""
    numbers = sorted(drawn(n))
    rank = -(-n * percent // 100)
    reached = [stats.binom.sf(rank - 1, n, j / n) for j in range(1, n + 1)]
    outer = (1 - confidence) / 2
    exact = [next(j for j, p in enumerate(reached) if p >= level) for level in (outer, 1 - outer)]
    found = interval_of(Statistic(f"p{percent}"), clusters_of(numbers), confidence, random.Random(2))
    assert [numbers.index(bound) for bound in found] == exact


def test_drawing_comes_to_the_bounds_that_need_no_draws():
    """Calls of two equal packets are drawn; they say what calls of one packet say."""
    numbers = sorted(drawn(200))
    twice = [[(number, 1), (number, 1)] for number in numbers]
    once = interval_of(Statistic.P90, clusters_of(numbers), 0.95, random.Random(2))
    for bound, other in zip(interval_of(Statistic.P90, twice, 0.95, random.Random(2)), once, strict=True):
        assert abs(numbers.index(bound) - numbers.index(other)) <= 1


@given(st.lists(weighted, min_size=2, max_size=6), st.integers(0, 99), confidences)
def test_a_bootstrap_interval_holds_the_estimate_and_lies_among_the_values(clusters, seed, confidence):
    samples = [sample for cluster in clusters for sample in cluster]
    for statistic in (Statistic.MEAN, Statistic.P50, Statistic.P99):
        low, high = interval_of(statistic, clusters, confidence, random.Random(seed))
        value = estimate(MetricKind.DURATION, statistic, samples)
        slack = 1e-9 * max(1.0, abs(value))
        assert low - slack <= value <= high + slack
        assert min(samples)[0] - slack <= low
        assert high <= max(samples)[0] + slack


def test_equal_seeds_give_equal_intervals_and_more_samples_narrower_ones():
    few, many = clusters_of(drawn(20)), clusters_of(drawn(500))
    one, again, large = (
        interval_of(Statistic.MEAN, clusters, 0.95, random.Random(7)) for clusters in (few, few, many)
    )
    assert one == again
    assert large.high - large.low < one.high - one.low


def test_packets_of_one_call_are_no_independent_witnesses():
    """Ten calls of a hundred equal packets say as much as ten packets, not as a thousand."""
    delays = drawn(10)
    by_call = [[(delay, 100)] for delay in delays]
    as_if_free = [[(delay, 1)] for delay in delays for _ in range(100)]
    clustered, free = (
        interval_of(Statistic.MEAN, clusters, 0.95, random.Random(1)) for clusters in (by_call, as_if_free)
    )
    assert clustered.high - clustered.low > 5 * (free.high - free.low)


def test_one_call_has_no_interval_but_for_a_rate():
    one = [[(0.3, 1), (0.4, 1)]]
    assert interval_of(Statistic.MEAN, one, 0.95, random.Random(1)) is None
    assert interval_of(Statistic.P95, one, 0.95, random.Random(1)) is None
    assert interval_of(Statistic.RATE, [[(1.0, 1)]], 0.95, random.Random(1)) == wilson_interval(1, 1, 0.95)


@pytest.mark.parametrize("statistic", [Statistic.MIN, Statistic.MAX, Statistic.SUM, Statistic.COUNT])
def test_extremes_and_totals_have_no_interval(statistic):
    assert interval_of(statistic, clusters_of(drawn(30)), 0.95, random.Random(1)) is None


def test_very_many_samples_are_resampled_less_often():
    asked = 0

    def spy(values, weights):
        nonlocal asked
        asked += 1
        return values[0]

    bootstrap_interval(clusters_of(drawn(5000)), spy, 0.95, random.Random(1))
    assert asked == 200 + 1


def test_means_of_unequal_calls_weigh_packets():
    """One call of 900 packets at 1 s and two of 50 at 2 s and 3 s: draws that miss the first have no 1 s."""
    clusters = [[(1.0, 900)], [(2.0, 50)], [(3.0, 50)]]
    low, high = interval_of(Statistic.MEAN, clusters, 0.95, random.Random(1))
    assert low == 1.0
    assert 2.0 < high <= 3.0


@pytest.mark.parametrize(
    ("percent", "confidence", "n"), [(95, 0.95, 59), (99, 0.95, 299), (90, 0.95, 29), (50, 0.95, 5)]
)
def test_as_many_samples_bound_a_percentile(percent, confidence, n):
    """The least n for which the largest of n samples exceeds the percentile with that confidence."""
    assert samples_needed(percent, confidence) == n
    chance = [1 - (percent / 100) ** count for count in (n - 1, n)]
    assert chance[0] < confidence <= chance[1]
