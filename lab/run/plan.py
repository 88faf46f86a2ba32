"""Scenario files to trials: a scripted scenario is a Python file that says what varies and what to do.

.. code-block:: python

    TOPOLOGY = "two_homes"
    VARY = {"alice_nat": ["full-cone", "symmetric"], "bob_nat": ["port-restricted"]}
    REPEAT = 3

    async def scenario(lab):
        await lab.call("alice", "bob")

Names in ``VARY`` that the topology has as parameters go to it; the others are read by ``lab.parameters``.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from lab.errors import NothingSelected, Problem, UsageError, did_you_mean
from lab.handle import Lab
from lab.run.settings import check_parameter_names, check_settings
from lab.spec.event import JsonValue
from lab.spec.find import find_content, open_topology
from lab.spec.topology_file import display_path
from lab.spec.trial import DEFAULT_DEADLINE, DEFAULT_EVENT_BUDGET, Trial
from lab.units import parse_duration

Scenario = Callable[[Lab], Awaitable[None]]
"""What a scripted scenario defines: a coroutine function that acts through the handle."""

MOST_TRIALS: Final = 1_000_000
"""Of one run: they are planned before the first one starts, at about a kilobyte each."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All trials of a run, and how to show them.

    ``matrix`` names the two parameters that make rows and columns.
    """

    name: str
    path: str
    topology: str
    trials: tuple[Trial, ...]
    vary: Mapping[str, Sequence[JsonValue]] = field(default_factory=dict)
    matrix: tuple[str, str] | None = None


def load_scenario(path: str | Path) -> Scenario:
    """Return the ``scenario`` coroutine function of a scripted scenario.

    Raises:
        UsageError: no such file, it does not load, or it has no ``async def scenario(lab)``.
    """
    scenario: Scenario = _load_module(Path(path)).scenario
    return scenario


def plan_run(
    name_or_path: str,
    *,
    seed: int,
    repeat: int | None = None,
    overrides: Mapping[str, Sequence[JsonValue]] | None = None,
) -> Plan:
    """Return the trials of a scenario, every combination of what varies times its repetitions.

    Args:
        name_or_path: a scripted scenario: a name among the shipped ones, or a file.
        seed: the run's seed.
        repeat: repetitions a cell, in place of the scenario's own.
        overrides: values for parameters, in place of the scenario's own.

    Raises:
        UsageError: anything about the file or the overrides that is wrong, all of it at once.
    """
    path = find_content("scenarios", name_or_path, ".py")
    module = _load_module(path)
    check_settings(vars(module), display_path(path))
    own = {**_constants(module), **dict(getattr(module, "VARY", {}))}
    vary = {**own, **(overrides or {})}
    topology = str(module.TOPOLOGY)
    topology_names = open_topology(topology).parameters
    _check_overrides(overrides or {}, [*topology_names, *own])
    check_parameter_names(own, topology_names, display_path(path))
    repetitions = int(getattr(module, "REPEAT", 1)) if repeat is None else repeat
    _check_size(vary, repetitions, display_path(path))
    trials = [
        Trial(
            scenario=str(path),
            topology=topology,
            parameters={k: v for k, v in cell.items() if k in topology_names},
            settings={k: v for k, v in cell.items() if k not in topology_names},
            repeat=number,
            run_seed=seed,
            deadline=parse_duration(getattr(module, "DEADLINE", f"{DEFAULT_DEADLINE}s"), f"{path}: DEADLINE"),
            event_budget=int(getattr(module, "EVENT_BUDGET", DEFAULT_EVENT_BUDGET)),
        )
        for cell in _cells(vary)
        for number in range(repetitions)
    ]
    if not trials:
        raise NothingSelected(Problem(str(path), "no trial is left: a list is empty, or repeat is 0"))
    varying = {name: values for name, values in vary.items() if len(values) > 1}
    matrix = getattr(module, "MATRIX", None)
    return Plan(
        name=path.stem, path=str(path), topology=topology, trials=tuple(trials), vary=varying, matrix=matrix
    )


def _constants(module: ModuleType) -> dict[str, Sequence[JsonValue]]:
    return {name: [value] for name, value in getattr(module, "PARAMETERS", {}).items()}


def _cells(vary: Mapping[str, Sequence[JsonValue]]) -> list[dict[str, JsonValue]]:
    return [dict(zip(vary, values, strict=True)) for values in itertools.product(*vary.values())]


def _load_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"callpath_scenario_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(Problem(str(path), "not a Python file", "a scripted scenario (.py)"))
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an author's code may raise
        raise UsageError(problem_in_file(path, error)) from None
    missing = [name for name in ("TOPOLOGY", "scenario") if not hasattr(module, name)]
    if missing:
        problems = [
            Problem(str(path), f"no {name}", 'TOPOLOGY = "..." and async def scenario(lab)')
            for name in missing
        ]
        raise UsageError(*problems)
    return module


def problem_in_file(path: Path, error: BaseException) -> Problem:
    """Return what an author's file raised as a problem at the line of that file."""
    place, own = display_path(path), str(path.resolve())
    if isinstance(error, SyntaxError):
        line = f":{error.lineno}" if error.lineno else ""  # none for a file that is no text at all
        return Problem(f"{place}{line}", ": ".join(filter(None, [error.msg, (error.text or "").strip()])))
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == own]
    return Problem(f"{place}:{lines[-1]}" if lines else place, f"{type(error).__name__}: {error}")


def _check_size(vary: Mapping[str, Sequence[JsonValue]], repetitions: int, where: str) -> None:
    cells = math.prod(map(len, vary.values()))
    if cells * repetitions > MOST_TRIALS:
        found = f"{cells} cells, each repeated {repetitions} times, are {cells * repetitions} trials"
        raise UsageError(Problem(where, found, f"at most {MOST_TRIALS} a run"))


def _check_overrides(overrides: Mapping[str, Any], known: Sequence[str]) -> None:
    problems = [
        Problem(f"--set {name}", f"no parameter {name!r}", suggestion=did_you_mean(name, known))
        for name in overrides
        if name not in known
    ]
    if problems:
        raise UsageError(*problems)
