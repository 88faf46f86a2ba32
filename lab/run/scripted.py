"""Scripted scenarios: a Python file that says what varies and what to do.

.. code-block:: python

    TOPOLOGY = "two_homes"
    VARY = {"alice_nat": ["full-cone", "symmetric"], "bob_nat": ["port-restricted"]}
    REPEAT = 3

    async def scenario(lab):
        await lab.call("alice", "bob")

Names in ``VARY`` that the topology has as parameters go to it; the others are read by ``lab.parameters``.
``PROGRAMS = {"alice": "chromium"}`` has the words of a YAML file's ``programs``.
"""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Mapping, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from lab.errors import Problem, UsageError
from lab.run.outline import NO_REPETITION, NO_VALUE, REPEAT, Outline, Scenario
from lab.run.settings import check_parameter_names, check_settings
from lab.spec.event import JsonValue
from lab.spec.find import open_topology
from lab.spec.program_words import read_programs
from lab.spec.topology_file import display_path
from lab.spec.trial import DEFAULT_DEADLINE, DEFAULT_EVENT_BUDGET
from lab.units import parse_duration


def scripted_scenario(path: Path) -> Scenario:
    """Return the ``scenario`` coroutine function of a file.

    Raises:
        UsageError: no such file, it does not load, or it has no ``async def scenario(lab)``.
    """
    scenario: Scenario = _load_module(path).scenario
    return scenario


def scripted_outline(path: Path) -> Outline:
    """Return what a file says about its trials.

    Raises:
        UsageError: it does not load, or its settings are wrong; all of it at once.
    """
    module = _load_module(path)
    check_settings(vars(module), display_path(path))
    vary = {**_constants(module), **dict(getattr(module, "VARY", {}))}
    topology = str(module.TOPOLOGY)
    check_parameter_names(vary, open_topology(topology).parameters, display_path(path))
    return Outline(
        path=path,
        name=path.stem,
        topology=topology,
        vary=vary,
        repeat=int(getattr(module, "REPEAT", 1)),
        deadline=parse_duration(getattr(module, "DEADLINE", f"{DEFAULT_DEADLINE}s"), f"{path}: DEADLINE"),
        event_budget=int(getattr(module, "EVENT_BUDGET", DEFAULT_EVENT_BUDGET)),
        matrix=getattr(module, "MATRIX", None),
        empty=_empty(vary, display_path(path)),
        programs=read_programs(
            getattr(module, "PROGRAMS", {}), directory=path.resolve().parent,
            where=f"{display_path(path)}: PROGRAMS",
        ),
    )  # fmt: skip


def _empty(vary: Mapping[str, Sequence[JsonValue]], where: str) -> dict[str, Problem]:
    found, expected = NO_VALUE
    empty = {
        name: Problem(f"{where}: VARY", f"{name!r} {found}", expected)
        for name, values in vary.items()
        if not values
    }
    return empty | {REPEAT: Problem(f"{where}: REPEAT", *NO_REPETITION)}


def _constants(module: ModuleType) -> dict[str, Sequence[JsonValue]]:
    return {name: [value] for name, value in getattr(module, "PARAMETERS", {}).items()}


class _WithoutBytecode(SourceFileLoader):
    """Leaves nothing beside an author's file, or beside the copy of it that a run keeps."""

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Write no bytecode."""


def _load_module(path: Path) -> ModuleType:
    name = f"callpath_scenario_{path.stem}"
    loader = _WithoutBytecode(name, str(path.resolve()))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
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


def problem_in_file(path: Path, error: BaseException, copy: Path | None = None) -> Problem:
    """Return what an author's file raised as a problem at the line of that file; ``copy`` is what was run."""
    place, own = display_path(path), str((copy or path).resolve())
    if isinstance(error, SyntaxError):
        line = f":{error.lineno}" if error.lineno else ""  # none for a file that is no text at all
        return Problem(f"{place}{line}", ": ".join(filter(None, [error.msg, (error.text or "").strip()])))
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == own]
    return Problem(f"{place}:{lines[-1]}" if lines else place, f"{type(error).__name__}: {error}")
