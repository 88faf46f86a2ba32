"""What a stored run was run with in place of its scenario's own values, to run it like that again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from lab.errors import Problem, UsageError
from lab.results.manifest import plan_hash
from lab.results.stored_run import StoredRun
from lab.run.plan import plan_run
from lab.run.plan_record import stored_programs
from lab.spec.event import JsonValue
from lab.spec.trial import VIRTUAL_TIME


def overrides_of(run: StoredRun) -> dict[str, list[JsonValue]]:
    """Return the values by name that, given to the scenario as it is now, plan the run's trials again.

    Raises:
        UsageError: no values do: the scenario has changed since, or not all of its trials were run.
    """
    scenario = run.scenario if Path(run.scenario).is_file() else Path(run.scenario).stem
    plan_again = partial(
        plan_run,
        scenario,
        seed=run.seed,
        repeat=1 + max((trial.repeat for trial in run.trials), default=0),
        world=str(run.manifest.get("world", VIRTUAL_TIME)),
        nat_plane=str(run.manifest.get("nat_plane", "")),
        relay=str(run.manifest.get("relay", "")),
        programs=stored_programs(run),
    )
    wanted = _values(trial.cell for trial in run.trials)
    own = _values(trial.cell for trial in plan_again().trials)
    overrides = {name: values for name, values in wanted.items() if not _equal(own.get(name, []), values)}
    if plan_hash(plan_again(overrides=overrides).trials) != run.manifest.get("plan"):
        found = f"scenario {scenario} does not plan the trials of this run"
        suggestion = "it has changed since, or only some of its trials were run: run it again"
        raise UsageError(Problem(str(run.path), found, suggestion=suggestion))
    return overrides


def _values(cells: Iterable[Mapping[str, JsonValue]]) -> dict[str, list[JsonValue]]:
    """Return the different values of each parameter, in order of appearance."""
    found: dict[str, dict[str, JsonValue]] = {}
    for cell in cells:
        for name, value in cell.items():
            found.setdefault(name, {})[json.dumps(value, sort_keys=True)] = value
    return {name: list(values.values()) for name, values in found.items()}


def _equal(one: Sequence[JsonValue], other: Sequence[JsonValue]) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
