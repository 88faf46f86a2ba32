"""What a plan would run, in words and as JSON: of ``check`` and of ``run --dry-run``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.run.plan import Plan
    from lab.spec.expectation import Expectation


def build_networks(plan: Plan) -> None:
    """Build every distinct network: a value that its topology refuses is told now.

    Raises:
        UsageError: every problem of every network, each once.
    """
    from lab.errors import Problem, UsageError
    from lab.run.plan import distinct_networks
    from lab.spec.find import load_topology

    problems: list[Problem] = []
    for trial in distinct_networks(plan.trials):
        try:
            load_topology(trial.topology, trial.parameters, trial.inputs)
        except UsageError as error:
            problems += error.problems
    if problems:
        raise UsageError(*dict.fromkeys(problems))


def plan_text(plan: Plan) -> str:
    """Return a plan as lines: how many trials, cells and networks, what varies, what must hold."""
    cells, networks = _counts(plan)
    lines = [
        f"{plan.name}: {_count(len(plan.trials), 'trial')} on {plan.topology}",
        f"  {_count(cells, 'cell')}, {_count(networks, 'network')}",
    ]
    for name, values in plan.vary.items():
        drawn = "drawn from " if name in plan.population else ""
        lines.append(f"  {name}: {drawn}{', '.join(map(str, values))}")
    lines += [f"  {_severity_words(e)}: {_with_condition(e)}" for e in plan.expectations]
    lines += [f"  not judged with these values: {_with_condition(e)}" for e in plan.not_judged]
    return "\n".join(lines)


def _severity_words(expectation: Expectation) -> str:
    from lab.spec.expectation import Severity

    return "must hold" if expectation.severity is Severity.ERROR else "should hold, else a warning"


def plan_data(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON values, with every trial and its key."""
    cells, networks = _counts(plan)
    return {
        "name": plan.name,
        "scenario": plan.path,
        "topology": plan.topology,
        "seed": plan.trials[0].run_seed,
        "cells": cells,
        "networks": networks,
        "vary": {name: list(values) for name, values in plan.vary.items()},
        "population": list(plan.population),
        "expect": [_with_condition(expectation) for expectation in plan.expectations],
        "not_judged": [_with_condition(expectation) for expectation in plan.not_judged],
        "trials": [
            {
                "key": trial.key,
                "parameters": dict(trial.parameters),
                "settings": dict(trial.settings),
                "repeat": trial.repeat,
            }
            for trial in plan.trials
        ],
    }


def _counts(plan: Plan) -> tuple[int, int]:
    """Return how many cells and how many networks; what is drawn makes no cell."""
    from lab.run.plan import distinct_networks

    drawn = set(plan.population)
    cells = {
        json.dumps({name: value for name, value in trial.cell.items() if name not in drawn}, sort_keys=True)
        for trial in plan.trials
    }
    return len(cells), len(distinct_networks(plan.trials))


def _with_condition(expectation: Expectation) -> str:
    words = [f"{name} is {' or '.join(map(str, values))}" for name, values in expectation.when.items()]
    return f"{expectation} where {', '.join(words)}" if words else str(expectation)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
