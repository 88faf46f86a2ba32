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

import difflib
import importlib.util
import itertools
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from lab.errors import NothingSelected, Problem, UsageError, did_you_mean
from lab.handle import Lab
from lab.spec.event import JsonValue
from lab.spec.find import find_content, open_topology
from lab.spec.topology_file import display_path
from lab.spec.trial import DEFAULT_DEADLINE, DEFAULT_EVENT_BUDGET, Trial
from lab.units import parse_duration

Scenario = Callable[[Lab], Awaitable[None]]
"""What a scripted scenario defines: a coroutine function that acts through the handle."""

_KNOWN = frozenset({"TOPOLOGY", "PARAMETERS", "VARY", "REPEAT", "DEADLINE", "EVENT_BUDGET", "MATRIX"})


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
    _check_names(module, path)
    vary = {**_constants(module), **dict(getattr(module, "VARY", {})), **(overrides or {})}
    topology = str(module.TOPOLOGY)
    topology_names = open_topology(topology).parameters
    _check_overrides(overrides or {}, [*topology_names, *getattr(module, "VARY", {})])
    repetitions = int(getattr(module, "REPEAT", 1)) if repeat is None else repeat
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
    except Exception as error:  # noqa: BLE001 - a scenario may raise anything; it is told by file and line
        raise UsageError(problem_in_file(path, error)) from None
    missing = [name for name in ("TOPOLOGY", "scenario") if not hasattr(module, name)]
    if missing:
        problems = [
            Problem(str(path), f"no {name}", 'TOPOLOGY = "..." and async def scenario(lab)')
            for name in missing
        ]
        raise UsageError(*problems)
    return module


def problem_in_file(path: Path, error: Exception) -> Problem:
    """Return what an author's file raised as a problem at the line of that file."""
    place, own = display_path(path), str(path.resolve())
    if isinstance(error, SyntaxError):
        return Problem(f"{place}:{error.lineno}", f"{error.msg}: {(error.text or '').strip()}")
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == own]
    return Problem(f"{place}:{lines[-1]}" if lines else place, f"{type(error).__name__}: {error}")


def _check_names(module: ModuleType, path: Path) -> None:
    """A misspelt setting would silently be ignored: refuse capitals that nearly are one."""
    problems = []
    for name in vars(module):
        if name.isupper() and name not in _KNOWN and difflib.get_close_matches(name, _KNOWN, cutoff=0.7):
            suggestion = did_you_mean(name, _KNOWN)
            problems.append(Problem(display_path(path), f"unknown setting {name}", suggestion=suggestion))
    if problems:
        raise UsageError(*problems)


def _check_overrides(overrides: Mapping[str, Any], known: Sequence[str]) -> None:
    problems = [
        Problem(f"--set {name}", f"no parameter {name!r}", suggestion=did_you_mean(name, known))
        for name in overrides
        if name not in known
    ]
    if problems:
        raise UsageError(*problems)
