"""What was run, so that it can be run again: versions, seed, plan, the semantics of every NAT."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final

import lab
from lab.spec.trial import Trial
from nat_models import NatModel

MANIFEST_SCHEMA: Final = 1
_LIBRARIES: Final = ("aioice", "simpy", "matplotlib", "pandas", "mininet", "pydantic")


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
    boxes: Sequence[tuple[NatModel, Mapping[str, str]]],
) -> dict[str, Any]:
    """Return the manifest of a run. ``boxes`` are the NAT models with what a probe found of each."""
    return {
        "schema": MANIFEST_SCHEMA,
        "callpath": lab.__version__,
        "world": "sim",
        "started": started.isoformat(),
        "argv": list(argv),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "scenario": scenario,
        "seed": trials[0].run_seed,
        "plan": plan_hash(trials),
        "nat_boxes": [{"model": _plain(asdict(model)), "probed": dict(found)} for model, found in boxes],
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
