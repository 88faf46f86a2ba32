"""What the JSON of a baseline holds, and back. One line a cell, a verdict, a trial: git shows changes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from lab.measure.comparison.outcomes import CellOutcome, JudgedCell, RunOutcomes, Tally, Times
from lab.measure.statistics import Interval
from lab.spec.event import JsonValue
from lab.spec.trial import WORLDS

BASELINE_SCHEMA: Final = 1
_LISTS: Final = ("cells", "verdicts", "trials")
"""What is written one item a line, as are the NAT models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialDigest:
    """The events of one trial: how many there are, and the SHA-256 of their lines."""

    key: str
    events: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class BaselineContent:
    """What a baseline holds of the run it was made of, the kept events apart.

    ``overrides`` are the values in place of the scenario's own. ``trials`` has first repetitions first; of so
    many of them, from the first on, the events are ``kept``. ``events_sha256`` is of the file that has them,
    empty where there is none.
    """

    outcomes: RunOutcomes
    overrides: Mapping[str, Sequence[JsonValue]]
    trials: Sequence[TrialDigest]
    kept: int = 0
    events_sha256: str = ""


def as_text(content: BaselineContent) -> str:
    """Return the JSON text: equal contents give equal bytes."""
    outcomes = content.outcomes
    document: dict[str, Any] = {
        "schema": BASELINE_SCHEMA,
        "scenario": outcomes.scenario,
        "topology": outcomes.topology,
        "seed": outcomes.seed,
        "repeat": outcomes.repeat,
        "set": {name: list(values) for name, values in content.overrides.items()},
        "population": list(outcomes.drawn),
        "kept": content.kept,
        "events_sha256": content.events_sha256,
        "facts": dict(outcomes.facts),
        "nats": {name: dict(settings) for name, settings in outcomes.nats.items()},
        "cells": [_cell_data(cell) for cell in outcomes.cells],
        "verdicts": [asdict(judged) for judged in outcomes.verdicts],
        "trials": [asdict(trial) for trial in content.trials],
    }
    lines = [f"  {json.dumps(name)}: {_value(name, value)}" for name, value in document.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def from_data(data: Mapping[str, Any]) -> BaselineContent:
    """Return the content that :func:`as_text` wrote.

    Raises:
        KeyError: something is missing.
        TypeError: something is of another type.
        ValueError: as TypeError.
        AttributeError: as TypeError.
    """
    facts = _texts(data["facts"])
    if facts["world"] not in WORLDS:
        raise ValueError(f"{facts['world']!r} is no world")
    outcomes = RunOutcomes(
        scenario=str(data["scenario"]),
        topology=str(data["topology"]),
        seed=_whole(data["seed"]),
        cells=[_cell(record) for record in data["cells"]],
        verdicts=[
            JudgedCell(
                expectation=str(record["expectation"]),
                cell=dict(record["cell"]),
                outcome=str(record["outcome"]),
                counts=bool(record["counts"]),
            )
            for record in data["verdicts"]
        ],
        drawn=tuple(map(str, data["population"])),
        facts=facts,
        nats={str(name): _texts(settings) for name, settings in data["nats"].items()},
    )
    return BaselineContent(
        outcomes=outcomes,
        overrides={str(name): list(values) for name, values in data["set"].items()},
        trials=[_digest(record) for record in data["trials"]],
        kept=_whole(data["kept"], least=0),
        events_sha256=str(data["events_sha256"]),
    )


def _value(name: str, value: object) -> str:
    if name in _LISTS and isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"    {_line(item)}" for item in value) + "\n  ]"
    if name == "nats" and isinstance(value, dict) and value:
        return "{\n" + ",\n".join(f"    {_line(key)}: {_line(text)}" for key, text in value.items()) + "\n  }"
    return _line(value)


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _cell_data(cell: CellOutcome) -> dict[str, Any]:
    calls = {
        between: {
            "paths": dict(tally.paths),
            "possible": dict(tally.possible),
            "pairs": dict(tally.pairs),
            "setup_time": None if tally.setup_times is None else asdict(tally.setup_times),
        }
        for between, tally in cell.calls.items()
    }
    return {"cell": dict(cell.cell), "calls": calls, "trials": list(cell.trials)}


def _cell(data: Mapping[str, Any]) -> CellOutcome:
    return CellOutcome(
        cell=dict(data["cell"]),
        trials=tuple(map(str, data["trials"])),
        calls={str(between): _tally(record) for between, record in data["calls"].items()},
    )


def _tally(data: Mapping[str, Any]) -> Tally:
    return Tally(
        paths=_counts(data["paths"].items()),
        possible=_counts(data["possible"].items()),
        pairs=_counts(data["pairs"].items()),
        setup_times=None if data["setup_time"] is None else _times(data["setup_time"]),
    )


def _texts(data: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in data.items()}


def _counts(items: Iterable[tuple[object, Any]]) -> dict[str, int]:
    return {str(name): _whole(count, least=1) for name, count in items}


def _whole(value: object, *, least: int | None = None) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
        raise ValueError(f"{value!r} is no count" if least is not None else f"{value!r} is no whole number")
    return value


def _times(data: Mapping[str, Any]) -> Times:
    bounds = {name: Interval(*map(float, data[name])) for name in ("p50_interval", "p95_interval")}
    return Times(n=_whole(data["n"], least=1), p50=float(data["p50"]), p95=float(data["p95"]), **bounds)


def _digest(data: Mapping[str, Any]) -> TrialDigest:
    return TrialDigest(
        key=str(data["key"]), events=_whole(data["events"], least=0), sha256=str(data["sha256"])
    )
