"""Scenarios in YAML: what they say about their trials, and what they do."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from lab.errors import Problem, UsageError
from lab.run.outline import NO_REPETITION, NO_VALUE, REPEAT, Outline, Scenario
from lab.run.timeline import play
from lab.spec.scenario import ScenarioSpec
from lab.spec.scenario_file import ScenarioFile, read_scenario
from lab.spec.timeline_checks import nominal_end
from lab.spec.topology_file import display_path
from lab.spec.trial import DEFAULT_DEADLINE, KERNEL, VIRTUAL_TIME
from lab.spec.yaml_loader import load_yaml


def yaml_world(path: Path) -> str:
    """Return the world that a file is made for: virtual time, unless it says otherwise.

    Raises:
        UsageError: the file is wrong, with every problem.
    """
    worlds = read_scenario(path).spec.worlds
    return VIRTUAL_TIME if VIRTUAL_TIME in worlds else worlds[0]


def yaml_outline(path: Path, world: str = VIRTUAL_TIME) -> Outline:
    """Return what a file says about its trials in a world.

    Raises:
        UsageError: the file is wrong, with every problem; or it is not made for that world.
    """
    file = read_scenario(path)
    spec = file.spec
    if world not in spec.worlds:
        found = f"runs in {', '.join(spec.worlds)} only: {spec.worlds_reason}"
        raise UsageError(Problem(display_path(path), found, suggestion=f"use --world {spec.worlds[0]}"))
    constants = {name: [value] for name, value in spec.parameters.items()}
    own = {name: [value] for name, value in spec.emu.set_.items()} if world == KERNEL else {}
    return Outline(
        path=path,
        name=file.name,
        topology=spec.topology,
        vary={**constants, **spec.vary, **own},
        population=spec.population,
        repeat=spec.repeat,
        deadline=spec.deadline or max(map(nominal_end, spec.calls)) + DEFAULT_DEADLINE,
        event_budget=spec.event_budget,
        matrix=spec.matrix,
        expectations=file.expectations,
        empty=_empty(file),
        calls=tuple((call.caller, call.callee) for call in spec.calls),
        programs={name: plan.to_program(str(path.resolve().parent)) for name, plan in spec.programs.items()},
    )


def _empty(file: ScenarioFile) -> dict[str, Problem]:
    found, expected = NO_VALUE
    problem = file.document.problem
    empty = {
        name: problem(("vary", name), f"{name!r} {found}", expected, at_key=True)
        for name, values in file.spec.vary.items()
        if not values
    }
    if not file.spec.repeat:
        empty[REPEAT] = problem(("repeat",), *NO_REPETITION, at_key=True)
    return empty


def yaml_scenario(path: Path) -> Scenario:
    """Return what a file does, as a coroutine function.

    Raises:
        UsageError: the file is wrong, with every problem.
    """
    return play(read_scenario(path).spec)


def yaml_scenario_unchecked(path: Path) -> Scenario:
    """Return what a run's copy of a file does: it was checked when the run began.

    The topology is not looked at again: of that the run has a copy, too, and the file may be gone.

    Raises:
        UsageError: the copy cannot be read, or is no scenario any more.
    """
    try:
        return play(ScenarioSpec.model_validate(load_yaml(path).value))
    except ValidationError as error:
        found = f"not the scenario that was run: {error.error_count()} problems"
        raise UsageError(Problem(display_path(path), found)) from None
