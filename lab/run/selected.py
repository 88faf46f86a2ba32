"""A plan confined to some of its trials: ``callpath run ... --trial KEY``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lab.errors import NothingSelected, Problem, UsageError
from lab.run.plan import Plan
from lab.spec.trial import Trial


def only_trials(plan: Plan, keys: Sequence[str]) -> Plan:
    """Return a plan with the trials whose keys begin so; without ``keys`` all of it.

    What is expected of cells that have no trial left is not judged.

    Raises:
        NothingSelected: no trial has a key that begins so: another scenario, other values, fewer repetitions.
        UsageError: several have; all problems at once.
    """
    if not keys:
        return plan
    unknown = [key for key in keys if not _fitting(plan, key)]
    if unknown:
        raise NothingSelected(*[_unknown(plan, key) for key in unknown])
    several = [Problem(f"--trial {key}", _several(plan, key)) for key in keys if len(_fitting(plan, key)) > 1]
    if several:
        raise UsageError(*several)
    wanted = {_fitting(plan, key)[0].key for key in keys}
    trials = tuple(trial for trial in plan.trials if trial.key in wanted)
    judged = tuple(e for e in plan.expectations if any(e.applies_to(trial.cell) for trial in trials))
    left_out = tuple(e for e in plan.expectations if e not in judged)
    return replace(plan, trials=trials, expectations=judged, not_judged=(*plan.not_judged, *left_out))


def _fitting(plan: Plan, key: str) -> list[Trial]:
    return [trial for trial in plan.trials if key and trial.key.startswith(key)]


def _unknown(plan: Plan, key: str) -> Problem:
    found = f"none of the {len(plan.trials)} trials of this plan has a key that begins so"
    shown = ", ".join(trial.key for trial in plan.trials[:3])
    hint = "a key is made of the scenario's name, the parameters and the repetition"
    return Problem(f"--trial {key}", found, f"one such as {shown}", hint)


def _several(plan: Plan, key: str) -> str:
    keys = [trial.key for trial in _fitting(plan, key)]
    return f"{len(keys)} trials have keys that begin so: {', '.join(keys[:3])}{' ...' if keys[3:] else ''}"
