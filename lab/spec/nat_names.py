"""A NAT as users write it, to its model: the errors of :mod:`nat_models` as those of the lab."""

from __future__ import annotations

from lab.errors import Problem, UsageError
from nat_models import NatModel, NatModelError, load_preset


def load_nat(text: str, where: str, whom: str) -> NatModel:
    """Return the model of a preset, a pair of axes, or either with changes in braces.

    Raises:
        UsageError: no such NAT, or a change that cannot be. ``where`` is the place that asked for it
            (``file:line``), ``whom`` what it is for (``NAT 'home'``).
    """
    try:
        return load_preset(text)
    except NatModelError as error:
        problems = []
        for problem in error.problems:
            found = ": ".join(part for part in (whom, problem.where, problem.found) if part)
            problems.append(Problem(where, found, problem.expected, problem.suggestion))
        raise UsageError(*problems) from None
