"""What was run, so that it can be run again: versions, seed, plan, the semantics of every NAT."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import lab
from lab.spec.trial import Trial
from nat_models import NatModel

MANIFEST_SCHEMA: Final = 2
_LIBRARIES: Final = ("aioice", "simpy", "matplotlib", "pandas", "mininet", "pydantic")


class ProbedBox(NamedTuple):
    """A NAT model, what a probe found of it, and the NAT plane that carries it out: none in virtual time."""

    model: NatModel
    found: Mapping[str, str]
    plane: str = ""


def plan_hash(trials: Sequence[Trial]) -> str:
    """Return a hash of what a plan will run: the same plan and seed, the same hash."""
    digest = hashlib.sha256()
    for trial in trials:
        digest.update(f"{trial.run_seed} {trial.key}\n".encode())
    return digest.hexdigest()


def make_manifest(
    *,
    scenario: str,
    trials: Sequence[Trial],
    started: datetime,
    argv: Sequence[str],
    boxes: Sequence[ProbedBox],
    world: str = "sim",
    programs: Mapping[str, str] | None = None,
    asked: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """Return the manifest of a run.

    Args:
        scenario: the file as it was named.
        trials: all of them, in the order of the plan.
        started: when, with its time zone.
        argv: the command line.
        boxes: the NAT models, each probed.
        world: where it runs.
        programs: the versions of programs that are not the lab's and take part.
        asked: the rest of the plan (:func:`lab.run.plan_record.plan_record`); without it a run that was cut
            short cannot be resumed.
        inputs: the copies of files that the directory keeps, by kind.
    """
    return {
        "schema": MANIFEST_SCHEMA,
        "callpath": lab.__version__,
        "world": world,
        "started": started.isoformat(),
        "argv": list(argv),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "scenario": scenario,
        "seed": trials[0].run_seed,
        "plan": plan_hash(trials),
        "programs": dict(programs or {}),
        **(asked or {}),
        "inputs": {kind: dict(record) for kind, record in (inputs or {}).items()},
        "nat_boxes": [
            {
                "model": _plain(asdict(box.model)),
                "probed": dict(box.found),
                **({"plane": box.plane} if box.plane else {}),
            }
            for box in boxes
        ],
        "trials": [
            {
                "key": trial.key,
                "topology": trial.topology,
                "parameters": dict(trial.parameters),
                "settings": dict(trial.settings),
                "repeat": trial.repeat,
                "deadline": trial.deadline,
                "event_budget": trial.event_budget,
            }
            for trial in trials
        ],
    }


def _plain(value: Any) -> Any:
    """Return dataclass contents with enums as their values."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return getattr(value, "value", value)
