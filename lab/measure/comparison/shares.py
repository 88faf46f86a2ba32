"""Two shares beside each other: whether they differ by more than chance explains.

Newcombe's interval of the difference (Newcombe 1998, method 10, the hybrid score interval): made of the two
Wilson intervals, it keeps to -1..1 and says something of none and of all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from lab.measure.statistics import Interval, wilson_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareDifference:
    """A share before and after, and the interval of after less before."""

    name: str
    before: float
    after: float
    interval: Interval

    @property
    def is_told(self) -> bool:
        """Whether the interval excludes that there is no difference."""
        return not self.interval.low <= 0 <= self.interval.high


def difference_interval(
    before: tuple[float, float], after: tuple[float, float], confidence: float
) -> Interval:
    """Return the interval of the second share less the first.

    Args:
        before: successes and how many in all, above 0; neither needs to be whole.
        after: the same of the other side.
        confidence: of the two-sided interval, in 0..1.
    """
    first, second = before[0] / before[1], after[0] / after[1]
    low1, high1 = wilson_interval(*before, confidence)
    low2, high2 = wilson_interval(*after, confidence)
    difference = second - first
    return Interval(
        max(-1.0, difference - math.hypot(second - low2, high1 - first)),
        min(1.0, difference + math.hypot(high2 - second, first - low1)),
    )


def can_tell(before: float, after: float, confidence: float) -> bool:
    """Return whether so many samples a side could tell any difference: that of none from all."""
    return difference_interval((0.0, before), (after, after), confidence).low > 0


def samples_to_tell(confidence: float) -> int:
    """Return how many samples a side tell none from all: with fewer no difference can be told.

    Wilson's interval of n of n begins at n / (n + z²); Newcombe's of the difference excludes 0 where
    √2 z² < n + z².
    """
    return math.floor((math.sqrt(2) - 1) * NormalDist().inv_cdf((1 + confidence) / 2) ** 2) + 1
