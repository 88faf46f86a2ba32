"""How a measured value is compared with a threshold."""

from __future__ import annotations

import enum
import math
import operator
from collections.abc import Callable, Mapping
from typing import Final


class Comparator(enum.StrEnum):
    """How a value is compared with a threshold. Values closer than rounding can tell are equal."""

    EQUAL = "=="
    UNEQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    MORE = ">"
    MORE_OR_EQUAL = ">="

    def holds(self, value: float, threshold: float) -> bool:
        """Return whether ``value`` compares so with ``threshold``.

        57 of 100 calls *are* 57 %, although 0.57 and 57 × 0.01 differ in the last bit: such are equal.
        """
        if math.isclose(value, threshold, rel_tol=1e-9, abs_tol=1e-12):
            return self in {Comparator.EQUAL, Comparator.LESS_OR_EQUAL, Comparator.MORE_OR_EQUAL}
        return _COMPARE[self](value, threshold)

    @property
    def is_ordering(self) -> bool:
        """Whether it asks for more or less, rather than for a value or another."""
        return self not in {Comparator.EQUAL, Comparator.UNEQUAL}


_COMPARE: Final[Mapping[Comparator, Callable[[float, float], bool]]] = {
    Comparator.EQUAL: operator.eq,
    Comparator.UNEQUAL: operator.ne,
    Comparator.LESS: operator.lt,
    Comparator.LESS_OR_EQUAL: operator.le,
    Comparator.MORE: operator.gt,
    Comparator.MORE_OR_EQUAL: operator.ge,
}
