"""What is made of samples: estimates, and intervals around them. Plain Python, the same bits everywhere.

A sample is a value with a weight, a whole number: it stands for that many equal ones. Samples of one call
belong together (a *cluster*): the packets of a call all crossed the same network, so they are no independent
witnesses, and what is drawn again in the bootstrap are calls.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from statistics import NormalDist
from typing import Final, NamedTuple, TypeVar

from lab.spec.metric_catalogue import MetricKind, Statistic

Weighted = tuple[float, int]
"""A value, and how many samples of it this stands for."""
Cluster = Sequence[Weighted]

_T = TypeVar("_T")

RESAMPLES: Final = 1000
_FEWEST_RESAMPLES: Final = 200
_WORK: Final = 2_000_000
"""Samples that a bootstrap may visit in all: above it there are fewer resamples, and enough data to spare."""


class Interval(NamedTuple):
    """A range that holds the true value with some confidence; both ends belong to it."""

    low: float
    high: float


def estimate(kind: MetricKind, statistic: Statistic, samples: Sequence[Weighted]) -> float:
    """Return a statistic of the samples, of which there is at least one."""
    match statistic:
        case Statistic.COUNT if kind is not MetricKind.SHARE:
            return sum(weight for _, weight in samples)
        case Statistic.COUNT | Statistic.SUM:
            return math.fsum(value * weight for value, weight in samples)
        case Statistic.RATE | Statistic.MEAN:
            return mean(samples)
        case Statistic.MIN:
            return min(value for value, _ in samples)
        case Statistic.MAX:
            return max(value for value, _ in samples)
        case _:
            assert statistic.percentile is not None
            return percentile(samples, statistic.percentile)


def mean(samples: Iterable[Weighted]) -> float:
    """Return the weighted mean; never outside the range of the values."""
    samples = list(samples)
    total = math.fsum(value * weight for value, weight in samples) / sum(weight for _, weight in samples)
    values = [value for value, _ in samples]
    return min(max(total, min(values)), max(values))


def percentile(samples: Iterable[Weighted], percent: int) -> float:
    """Return the percentile by nearest rank: the least value that ``percent`` % of the samples do not exceed.

    It is always a value that was seen. The rank is reckoned in whole numbers: the 95th percentile of 20
    samples is the 19th, whatever 0.95 × 20 is in floating point.
    """
    ordered = sorted(samples)
    return _at_rank([v for v, _ in ordered], [w for _, w in ordered], percent)


def _at_rank(values: Sequence[float], weights: Sequence[int], percent: int) -> float:
    """Return the percentile of values in ascending order."""
    rank = -(-sum(weights) * percent // 100)
    return next(v for v, below in zip(values, accumulate(weights), strict=True) if below >= rank)


def wilson_interval(successes: float, n: float, confidence: float) -> Interval:
    """Return Wilson's score interval for a share, ``successes`` of ``n`` (Wilson 1927), n above 0.

    Unlike the textbook's normal interval it stays within 0..1, and says something of 0 and of n successes.
    """
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    share = successes / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # The formula meets 0 and 1 exactly; floating point only nearly.
    return Interval(
        0.0 if successes == 0 else max(0.0, min(share, centre - half)),
        1.0 if successes == n else min(1.0, max(share, centre + half)),
    )


def interval_of(
    statistic: Statistic, clusters: Sequence[Cluster], confidence: float, generator: random.Random
) -> Interval | None:
    """Return an interval for a statistic; None where there is none.

    Wilson's for a rate; by the bootstrap for means and percentiles, of two clusters at least. Sums and counts
    say what happened and extremes have no honest interval: None.
    """
    if statistic is Statistic.RATE:
        samples = [sample for cluster in clusters for sample in cluster]
        n = sum(weight for _, weight in samples)
        return wilson_interval(round(sum(value * weight for value, weight in samples)), n, confidence)
    percent = statistic.percentile
    if len(clusters) < 2 or (percent is None and statistic is not Statistic.MEAN):
        return None
    if percent is None:
        return _interval_of_mean(clusters, confidence, generator)
    if len({(len(cluster), cluster[0][1]) for cluster in clusters}) == 1 == len(clusters[0]):
        return ordered_interval([cluster[0][0] for cluster in clusters], percent, confidence)
    return bootstrap_interval(clusters, lambda v, w: _at_rank(v, w, percent), confidence, generator)


def ordered_interval(values: Iterable[float], percent: int, confidence: float) -> Interval:
    """Return the bootstrap interval of a percentile of independent values, as endless draws would give it.

    A drawn percentile is at or below the j-th least value where enough of n draws are, each with probability
    j/n: a binomial tail, so nothing needs to be drawn.
    """
    ordered = sorted(values)
    n = len(ordered)
    rank = -(-n * percent // 100)
    log_ways = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(rank, n + 1)]

    def at_or_below(place: int) -> float:
        """Return the probability that the drawn percentile is at or below the value at this place from 1."""
        if place == n:
            return 1.0
        inside, outside = math.log(place / n), math.log1p(-place / n)
        return math.fsum(
            math.exp(ways + i * inside + (n - i) * outside) for i, ways in enumerate(log_ways, start=rank)
        )

    outer = (1 - confidence) / 2
    low, high = (bisect_left(range(1, n + 1), level, key=at_or_below) for level in (outer, 1 - outer))
    return Interval(ordered[low], ordered[high])


def _interval_of_mean(clusters: Sequence[Cluster], confidence: float, generator: random.Random) -> Interval:
    """Return the bootstrap interval of a mean: of each cluster only its sum and its weight matter."""
    sums = [math.fsum(value * weight for value, weight in cluster) for cluster in clusters]
    weights = [sum(weight for _, weight in cluster) for cluster in clusters]
    whole = sum(weights)
    if len(set(weights)) == 1:  # the usual case, three times as fast
        return _percentile_interval(sums, lambda drawn: sum(drawn) / whole, len(sums), confidence, generator)

    def of(drawn: Sequence[tuple[float, int]]) -> float:
        return sum(total for total, _ in drawn) / sum(weight for _, weight in drawn)

    totals = list(zip(sums, weights, strict=True))
    return _percentile_interval(totals, of, len(totals), confidence, generator)


def bootstrap_interval(
    clusters: Sequence[Cluster],
    statistic: Callable[[Sequence[float], Sequence[int]], float],
    confidence: float,
    generator: random.Random,
) -> Interval:
    """Return the percentile bootstrap interval (Efron 1979): clusters are drawn again with replacement.

    Args:
        clusters: what is drawn, each with its samples.
        statistic: a function of distinct values in ascending order and the weight of each (0 is possible).
        confidence: of the two-sided interval, in 0..1.
        generator: where draws come from; equal seeds give equal intervals.

    There are 1000 draws, fewer where the data are very many. The interval is widened to hold the estimate,
    which draws of few lopsided clusters can miss.
    """
    values = sorted({value for cluster in clusters for value, _ in cluster})
    place = {value: index for index, value in enumerate(values)}
    placed = [[(place[value], weight) for value, weight in cluster] for cluster in clusters]

    def of(drawn: Sequence[list[tuple[int, int]]]) -> float:
        weights = [0] * len(values)
        for cluster in drawn:
            for index, weight in cluster:
                weights[index] += weight
        return statistic(values, weights)

    size = sum(map(len, placed)) + len(values)
    return _percentile_interval(placed, of, size, confidence, generator)


def _percentile_interval(
    clusters: Sequence[_T],
    statistic: Callable[[Sequence[_T]], float],
    size: int,
    confidence: float,
    generator: random.Random,
) -> Interval:
    """Return where the statistic of drawn clusters mostly lies; ``size`` is the work of one draw."""
    times = max(_FEWEST_RESAMPLES, min(RESAMPLES, _WORK // size))
    found = sorted(statistic(generator.choices(clusters, k=len(clusters))) for _ in range(times))
    skipped = min(int((1 - confidence) / 2 * times), (times - 1) // 2)
    whole = statistic(clusters)
    return Interval(min(found[skipped], whole), max(found[-1 - skipped], whole))


def samples_needed(percent: int, confidence: float) -> int:
    """Return how many independent samples can bound a percentile from both sides with some confidence.

    With fewer, all samples may well lie on one side of it, so that their extreme bounds nothing (Wilks 1941):
    59 for the 95th percentile at 95 %.
    """
    share = max(percent, 100 - percent) / 100
    return math.ceil(math.log(1 - confidence) / math.log(share))
