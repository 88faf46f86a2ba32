"""Scenario files to trials, every combination of what varies times its repetitions.

A scenario is found by name or path, in either form: YAML (:mod:`lab.run.yaml_plan`) or scripted in Python
(:mod:`lab.run.scripted`).
"""

from __future__ import annotations

import enum
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from lab.errors import NothingSelected, Problem, UsageError, did_you_mean
from lab.run.outline import REPEAT, Outline, Scenario
from lab.run.scripted import scripted_outline, scripted_scenario
from lab.run.yaml_plan import yaml_outline, yaml_scenario, yaml_scenario_unchecked, yaml_world
from lab.spec.event import JsonValue
from lab.spec.expectation import Expectation
from lab.spec.find import content_names, find_content, open_topology, what_is_there
from lab.spec.program import Program
from lab.spec.seeds import stream
from lab.spec.topology_file import display_path
from lab.spec.trial import VIRTUAL_TIME, Trial

MOST_TRIALS: Final = 100_000
"""Of one run: the process that collects keeps some 10 kB of each, a row and its samples."""

ENDINGS: Final = (".yaml", ".py")
"""The two forms of a scenario."""


class Captured(enum.StrEnum):
    """Of which trials a capture is kept."""

    NONE = "none"
    FAILING = "failing"
    ALL = "all"


def captures_as_it_runs(captured: Captured, world: str) -> bool:
    """Whether every trial is captured while it runs."""
    return captured is Captured.ALL or (captured is Captured.FAILING and world != VIRTUAL_TIME)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All trials of a run, what must hold for them, and how to show them.

    ``matrix`` names the two parameters that make rows and columns. Where all trials are captured, each says
    so itself; those that fail are known, and run again, when all have been run. On the kernel nothing runs
    again as it was, so all are captured there, and the captures of those that fail are kept.
    """

    name: str
    path: str
    topology: str
    trials: tuple[Trial, ...]
    vary: Mapping[str, Sequence[JsonValue]] = field(default_factory=dict)
    matrix: tuple[str, str] | None = None
    expectations: tuple[Expectation, ...] = ()
    not_judged: tuple[Expectation, ...] = ()
    """What the scenario expects of cells that the run's own values leave out."""
    population: tuple[str, ...] = ()
    """The parameters that each repetition draws: no cells of their own, unless an expectation names them."""
    captured: Captured = Captured.FAILING
    calls: tuple[tuple[str, str], ...] = ()
    """Who is planned to call whom; of a script nobody knows."""

    @property
    def world(self) -> str:
        """Where the trials take place."""
        return self.trials[0].world

    def capturing(self, captured: Captured) -> Plan:
        """Return the plan with another choice of captures."""
        as_it_runs = captures_as_it_runs(captured, self.world)
        trials = tuple(replace(trial, capture=as_it_runs) for trial in self.trials)
        return replace(self, captured=captured, trials=trials)

    def with_own_programs(self) -> Plan:
        """Return the plan with the lab's own programs alone."""
        return replace(self, trials=tuple(replace(trial, programs={}) for trial in self.trials))


def find_scenario(name_or_path: str) -> Path:
    """Return the file of a scenario: by path, or by name among the user's and the shipped ones.

    Raises:
        UsageError: there is none, or one of each form has that name.
    """
    if "/" in name_or_path or name_or_path.endswith(ENDINGS):
        ending = next((ending for ending in ENDINGS if name_or_path.endswith(ending)), "")
        if not ending:
            found = what_is_there(name_or_path) or f"{name_or_path!r} is no scenario file"
            raise UsageError(Problem("", found, "a scenario's file, ending in .yaml or .py"))
        return find_content("scenarios", name_or_path, ending)
    by_ending = {ending: content_names("scenarios", ending) for ending in ENDINGS}
    files = [names[name_or_path] for names in by_ending.values() if name_or_path in names]
    if len(files) > 1:
        places = " and ".join(map(display_path, files))
        found = f"two scenarios are called {name_or_path!r}: {places}"
        raise UsageError(Problem("", found, suggestion="name one by its path"))
    if not files:
        known = [name for names in by_ending.values() for name in names]
        expected = "a name that `callpath ls` lists, or a path ending in .yaml or .py"
        suggestion = did_you_mean(name_or_path, known)
        raise UsageError(Problem("", f"no scenario {name_or_path!r}", expected, suggestion))
    return files[0]


def load_scenario(path: str | Path, *, is_copy: bool = False) -> Scenario:
    """Return what a scenario file does, as a coroutine function that acts through the handle.

    Args:
        path: the file.
        is_copy: it is what a run kept of a file that was checked before.

    Raises:
        UsageError: no such file, or anything about it that is wrong.
    """
    path = Path(path)
    if path.suffix != ".yaml":
        return scripted_scenario(path)
    return yaml_scenario_unchecked(path) if is_copy else yaml_scenario(path)


def own_world(name_or_path: str) -> str:
    """Return the world that a scenario is made for: virtual time, unless it says otherwise.

    Raises:
        UsageError: there is none, or its file is wrong.
    """
    path = find_scenario(name_or_path)
    return yaml_world(path) if path.suffix == ".yaml" else VIRTUAL_TIME


def plan_run(
    name_or_path: str,
    *,
    seed: int,
    repeat: int | None = None,
    overrides: Mapping[str, Sequence[JsonValue]] | None = None,
    world: str = VIRTUAL_TIME,
    nat_plane: str = "",
    relay: str = "",
    programs: Mapping[str, Program] | None = None,
) -> Plan:
    """Return the trials of a scenario.

    Args:
        name_or_path: a scenario: a name among the shipped ones, or a file.
        seed: the run's seed.
        repeat: repetitions a cell, in place of the scenario's own.
        overrides: values for parameters, in place of the scenario's own.
        world: where the trials take place; nothing is captured but in virtual time.
        nat_plane: what carries out the NAT boxes in the kernel world.
        relay: what every relay is; empty: what the topology says.
        programs: programs by node or role, in place of the scenario's own.

    Raises:
        UsageError: anything about the file or the overrides that is wrong, all of it at once.
    """
    path = find_scenario(name_or_path)
    outline = yaml_outline(path, world) if path.suffix == ".yaml" else scripted_outline(path)
    known = open_topology(outline.topology).parameters
    _check_overrides(overrides or {}, [*known, *outline.vary, *outline.population])
    vary = {**outline.vary, **(overrides or {})}
    repetitions = outline.repeat if repeat is None else repeat
    _check_size(vary, repetitions, display_path(path))
    population = {name: weights for name, weights in outline.population.items() if name not in vary}
    draws = [draw(population, seed, outline, number) for number in range(repetitions)]
    trials = tuple(_trials(outline, _cells(vary), draws, known, seed))
    playing = {**outline.programs, **(programs or {})}
    trials = tuple(
        replace(trial, world=world, nat_plane=nat_plane, relay=relay, programs=playing) for trial in trials
    )
    if not trials:
        raise NothingSelected(*_empty(outline, vary, repetitions))
    judged, not_judged = _about(outline.expectations, trials, narrowed=bool(overrides))
    asked = {name for expectation in judged for name in expectation.when}
    varying = {name: values for name, values in vary.items() if len(values) > 1 or name in asked}
    return Plan(
        name=outline.name,
        path=str(path),
        topology=outline.topology,
        trials=trials,
        vary=varying | {name: list(weights) for name, weights in population.items()},
        matrix=outline.matrix,
        expectations=judged,
        calls=outline.calls,
        not_judged=not_judged,
        population=tuple(population),
        captured=Captured.FAILING if world == VIRTUAL_TIME else Captured.NONE,
    )


def _empty(outline: Outline, vary: Mapping[str, Sequence[JsonValue]], repetitions: int) -> list[Problem]:
    """Return why no trial is left."""
    problems = [outline.empty[name] for name, values in vary.items() if not values and name in outline.empty]
    if not repetitions and REPEAT in outline.empty:
        problems.append(outline.empty[REPEAT])
    return problems or [Problem(display_path(outline.path), "no trial is left")]


def _about(
    expectations: tuple[Expectation, ...], trials: Sequence[Trial], *, narrowed: bool
) -> tuple[tuple[Expectation, ...], tuple[Expectation, ...]]:
    """Return the expectations that a run can judge, and those about cells that ``--set`` left out."""
    if not narrowed:
        return expectations, ()
    judged = tuple(e for e in expectations if any(e.applies_to(trial.cell) for trial in trials))
    return judged, tuple(e for e in expectations if e not in judged)


def distinct_networks(trials: Iterable[Trial]) -> list[Trial]:
    """Return one trial for each set of the topology's parameters: nothing else changes the network."""
    return list({json.dumps(dict(trial.parameters), sort_keys=True): trial for trial in trials}.values())


def draw(
    population: Mapping[str, Mapping[JsonValue, float]], seed: int, outline: Outline, number: int
) -> dict[str, JsonValue]:
    """Return the member of a population that one repetition meets: the same in every cell.

    Each parameter has a stream of its own, so that one more does not draw the others anew; and so has each
    repetition, so that a longer run begins as a shorter one.
    """
    drawn = {}
    for name, weights in population.items():
        generator = stream(seed, outline.path.stem, f"repetition {number}", f"population {name}")
        (drawn[name],) = generator.choices(list(weights), list(weights.values()))
    return drawn


def _trials(
    outline: Outline,
    cells: Iterable[Mapping[str, JsonValue]],
    draws: Sequence[Mapping[str, JsonValue]],
    of_topology: Mapping[str, object],
    seed: int,
) -> Iterable[Trial]:
    for cell in cells:
        for number, drawn in enumerate(draws):
            values = {**cell, **drawn}
            yield Trial(
                scenario=str(outline.path),
                topology=outline.topology,
                parameters={name: value for name, value in values.items() if name in of_topology},
                settings={name: value for name, value in values.items() if name not in of_topology},
                repeat=number,
                run_seed=seed,
                deadline=outline.deadline,
                event_budget=outline.event_budget,
            )


def _cells(vary: Mapping[str, Sequence[JsonValue]]) -> list[dict[str, JsonValue]]:
    return [dict(zip(vary, values, strict=True)) for values in itertools.product(*vary.values())]


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
