"""A stored run as a comparison needs it: from its manifest, its table and its verdicts; never from its name.

Nothing is run or predicted again: what was possible is what was stored beside the path, so that two versions
of Callpath can be compared by what each said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from lab.errors import Problem, UsageError
from lab.measure.comparison.outcomes import (
    CallRow,
    JudgedCell,
    PlannedTrial,
    RunOutcomes,
    cell_outcomes,
    drawn_names,
)
from lab.measure.verdict_text import format_expectation
from lab.results.stored_result import read_result, read_rows
from lab.results.stored_run import StoredRun

_LIBRARIES: Final = ("aioice", "simpy")
"""Those that decide what happens in a trial; the others only draw."""
_OUTSIDE_THE_MODEL: Final = ("name", "sources", "description")


def read_outcomes(run: StoredRun, *, column: str = "path") -> RunOutcomes:
    """Return what a stored run came to.

    Args:
        run: the run.
        column: of its table, which class of a call is counted as its path: ``path``, the selected one, or
            ``validated``, the reach that checks found.

    Raises:
        UsageError: it was never finished, not even by an interrupt; or a file of it is damaged.
    """
    trials = [PlannedTrial(key=t.key, repeat=t.repeat, values=t.cell) for t in run.trials]
    rows = read_rows(run.path)
    where = str(run.path / "trials.parquet")
    try:
        finished = {str(row["trial"]): str(row["invalid"]) for row in rows}
        calls = [_call(row, column) for row in rows if "path" in row]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(Problem(where, f"damaged: {type(error).__name__}: {error}")) from None
    if unknown := finished.keys() - {trial.key for trial in trials}:
        raise UsageError(Problem(where, f"damaged: trial {min(unknown)} is none of the manifest's"))
    drawn, facts, nats = _settings_of(run, drawn_names(trials))
    return RunOutcomes(
        scenario=run.name,
        topology=run.trials[0].topology if run.trials else "",
        seed=run.seed,
        cells=cell_outcomes(trials, finished, calls, drawn),
        verdicts=[
            JudgedCell(
                expectation=format_expectation(v), cell=v.cell, outcome=v.outcome.value, counts=v.counts
            )
            for v in read_result(run.path).verdicts
        ],
        drawn=drawn,
        facts=facts,
        nats=nats,
    )


def _call(row: Mapping[str, Any], column: str) -> CallRow:
    return CallRow(
        trial=str(row["trial"]),
        between=f"{row['caller']} → {row.get('callee') or '(nobody)'}",
        path=str(row.get(column) or "unknown"),
        possible=str(row.get("possible", "")),
        pairs=tuple(str(row.get("possible_pairs", "")).split()),
        setup_time=float(row["setup_time"]) if "setup_time" in row else None,
    )


def _settings_of(
    run: StoredRun, drawn: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, str], dict[str, dict[str, str]]]:
    """Return what each repetition drew, the world and the versions, and the settings of each NAT model."""
    manifest = run.manifest
    try:
        facts = {name: str(manifest[name]) for name in ("world", "callpath", "python")}
        facts["nat_plane"] = str(manifest.get("nat_plane", ""))
        # Runs and baselines of before there was a choice have neither.
        facts |= {"relay": str(manifest["relay"])} if manifest.get("relay") else {}
        facts |= {name: str(release) for name, release in manifest.get("programs", {}).items()}
        facts |= {name: str(manifest["libraries"].get(name, "")) for name in _LIBRARIES}
        models = _by_name(box["model"] for box in manifest["nat_boxes"])
        nats = {name: dict(_flat("", model)) for name, model in models.items()}
        return tuple(map(str, manifest.get("population", drawn))), facts, nats
    except (KeyError, TypeError, AttributeError) as error:
        found = f"damaged: {type(error).__name__}: {error}"
        raise UsageError(Problem(str(run.path / "manifest.json"), found)) from None


def _by_name(models: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return models by their names, numbered where boxes of one name have different settings."""
    named: dict[str, Mapping[str, Any]] = {}
    for model in models:
        name, number = str(model["name"]), 1
        while (known := named.get(name)) is not None and known != model:
            number += 1
            name = f"{model['name']} ({number})"
        named[name] = model
    return named


def _flat(prefix: str, settings: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in settings.items():
        if name in _OUTSIDE_THE_MODEL:
            continue
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value)
