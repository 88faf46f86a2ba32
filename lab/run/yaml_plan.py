"""Scenarios in YAML: what they say about their trials, and what they do."""

from __future__ import annotations

from pathlib import Path

from lab.errors import Problem, UsageError
from lab.run.outline import Outline, Scenario
from lab.run.timeline import play
from lab.spec.scenario_checks import nominal_end
from lab.spec.scenario_file import read_scenario
from lab.spec.topology_file import display_path
from lab.spec.trial import DEFAULT_DEADLINE


def yaml_outline(path: Path) -> Outline:
    """Return what a file says about its trials.

    Raises:
        UsageError: the file is wrong, with every problem; or it is not made for the virtual-time world.
    """
    file = read_scenario(path)
    spec = file.spec
    if "sim" not in spec.worlds:
        found = f"runs in {', '.join(spec.worlds)} only: {spec.worlds_reason}"
        raise UsageError(Problem(display_path(path), found))
    constants = {name: [value] for name, value in spec.parameters.items()}
    return Outline(
        path=path,
        name=file.name,
        topology=spec.topology,
        vary={**constants, **spec.vary},
        population=spec.population,
        repeat=spec.repeat,
        deadline=spec.deadline or max(map(nominal_end, spec.calls)) + DEFAULT_DEADLINE,
        event_budget=spec.event_budget,
        matrix=spec.matrix,
        expectations=file.expectations,
    )


def yaml_scenario(path: Path) -> Scenario:
    """Return what a file does, as a coroutine function.

    Raises:
        UsageError: the file is wrong, with every problem.
    """
    return play(read_scenario(path).spec)
