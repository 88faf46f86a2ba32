"""A run directory read back: which trials it has, where their events are. Refuses what cannot be replayed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import lab
from lab.errors import Problem, UsageError, did_you_mean
from lab.measure.calls import CallRecord, calls_of
from lab.results.manifest import MANIFEST_SCHEMA
from lab.spec.event import Event, JsonValue, PathClass
from lab.spec.trial import DEFAULT_DEADLINE, DEFAULT_EVENT_BUDGET

LATEST: Final = "latest"
_RUN_NAME: Final = re.compile(r"\d{8}T\d{6}Z-.+-[0-9a-f]{8}(-\d+)?")
_NOT_THE_SAME: Final = "a replay would not be the same: run the scenario again"
_OF_CALLS: Final = ('"type":"call.', '"type":"ice.')


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTrial:
    """One trial of a manifest. ``position`` counts from 0."""

    position: int
    key: str
    topology: str
    parameters: Mapping[str, JsonValue]
    settings: Mapping[str, JsonValue]
    repeat: int
    deadline: float
    event_budget: int

    @property
    def cell(self) -> Mapping[str, JsonValue]:
        """What varies from trial to trial, without the repetition."""
        return {**self.parameters, **self.settings}

    @property
    def title(self) -> str:
        """The trial in one line: key, cell, which repetition (from 1)."""
        return "  ".join(filter(None, [f"trial {self.key}", self.cell_text, f"repetition {self.repeat + 1}"]))

    @property
    def cell_text(self) -> str:
        """The cell as it can be typed: ``alice_nat=symmetric,bob_nat=cgn``."""
        return ",".join(
            f"{name}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in self.cell.items()
        )


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """What a run directory says of itself."""

    path: Path
    scenario: str
    seed: int
    trials: Sequence[StoredTrial]

    def shard(self, trial: StoredTrial) -> Path:
        """Return where a trial's events are, if it was finished."""
        return self.path / "trials" / f"{trial.position:06d}-{trial.key}.jsonl"

    def events_of(self, trial: StoredTrial) -> str:
        """Return a trial's events, one JSON object a line.

        Raises:
            UsageError: the trial was not finished, or its events cannot be read.
        """
        shard = self.shard(trial)
        try:
            return shard.read_text(encoding="utf-8")
        except FileNotFoundError:
            found = f"trial {trial.key} has no events: the run ended before it"
            raise UsageError(Problem(str(self.path), found, suggestion="run the scenario again")) from None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(Problem(str(shard), f"cannot be read: {error}")) from None

    def calls_in(self, trial: StoredTrial) -> list[CallRecord]:
        """Return a trial's calls, from its stored events (media are not counted).

        Raises:
            UsageError: as :meth:`events_of`; or a line that is no event.
        """
        lines = self.events_of(trial).splitlines()
        try:
            return calls_of(
                Event.from_json(line)[1] for line in lines if any(word in line for word in _OF_CALLS)
            )
        except ValueError as error:
            raise UsageError(Problem(str(self.shard(trial)), f"damaged: {error}")) from None

    def most_telling_trial(self) -> StoredTrial:
        """Return the first finished trial with a call that found no path, else that was relayed, else any.

        Raises:
            UsageError: no trial was finished.
        """
        relayed: StoredTrial | None = None
        finished = [trial for trial in self.trials if self.shard(trial).exists()]
        for trial in finished:
            paths = {call.path for call in self.calls_in(trial)}
            if PathClass.NONE in paths:
                return trial
            if PathClass.RELAY in paths and relayed is None:
                relayed = trial
        if not finished:
            raise UsageError(Problem(str(self.path), "no trial of this run was finished"))
        return relayed or finished[0]


def find_run(name: str, base: Path = Path("results")) -> Path:
    """Return the directory of a run: a path, ``latest``, or how its name under ``base`` begins.

    Raises:
        UsageError: there is none, or several begin so.
    """
    if Path(name).is_dir() and (Path(name) / "manifest.json").exists():
        return Path(name)
    known = sorted(path.name for path in base.glob("*") if _RUN_NAME.fullmatch(path.name) and path.is_dir())
    if not known:
        raise UsageError(Problem(name, f"no run directory, and no run under {base}/", "a run's directory"))
    if name == LATEST:
        return _latest(base, known)
    fitting = [run for run in known if run == name] or [run for run in known if run.startswith(name)]
    if len(fitting) == 1:
        return base / fitting[0]
    if fitting:
        listed = ", ".join(fitting[:5])
        raise UsageError(
            Problem(name, f"{len(fitting)} runs begin so: {listed}", suggestion="type more of it")
        )
    raise UsageError(
        Problem(
            name, f"no run of that name under {base}/", 'a directory, a name\'s beginning, or "latest"',
            did_you_mean(name, known[-10:]),
        )
    )  # fmt: skip


def _latest(base: Path, known: Sequence[str]) -> Path:
    """Return the run started last; names say the second, manifests of the same second the rest."""
    second = known[-1].partition("-")[0]
    same = [base / name for name in known if name.startswith(second)]
    return max(same, key=_started) if len(same) > 1 else same[0]


def _started(path: Path) -> str:
    try:
        return str(_read_manifest(path / "manifest.json").get("started", ""))
    except UsageError:
        return ""


def open_run(path: Path) -> StoredRun:
    """Read a run directory's manifest.

    Raises:
        UsageError: it is damaged, or was written by another version of what a replay depends on.
    """
    manifest = _read_manifest(path / "manifest.json")
    where = str(path / "manifest.json")
    _check_versions(manifest, where)
    try:
        return StoredRun(
            path=path,
            scenario=str(manifest["scenario"]),
            seed=int(manifest["seed"]),
            trials=[_trial(position, record) for position, record in enumerate(manifest["trials"])],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(Problem(where, f"damaged: {type(error).__name__}: {error}")) from None


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = "no such file: not a run directory, or one whose run ended before it began"
        raise UsageError(Problem(str(path), found)) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(Problem(str(path), f"damaged: {error}")) from None
    if not isinstance(manifest, dict):
        raise UsageError(Problem(str(path), "damaged: not an object"))
    return manifest


def _check_versions(manifest: Mapping[str, Any], where: str) -> None:
    libraries = manifest.get("libraries")
    aioice = libraries.get("aioice") if isinstance(libraries, dict) else None
    problems = [
        Problem(where, f"written with {what} {wrote}; this is {own}", suggestion=remedy)
        for what, wrote, own, remedy in (
            ("manifest schema", manifest.get("schema"), MANIFEST_SCHEMA, "use the callpath that wrote it"),
            ("callpath", manifest.get("callpath"), lab.__version__, _NOT_THE_SAME),
            ("world", manifest.get("world"), "sim", "only what ran in virtual time can be replayed"),
            ("aioice", aioice, version("aioice"), _NOT_THE_SAME),
        )
        if wrote != own
    ]  # fmt: skip
    if problems:
        raise UsageError(*problems)


def _trial(position: int, record: Mapping[str, Any]) -> StoredTrial:
    return StoredTrial(
        position=position,
        key=str(record["key"]),
        topology=str(record["topology"]),
        parameters=dict(record["parameters"]),
        settings=dict(record["settings"]),
        repeat=int(record["repeat"]),
        deadline=float(record.get("deadline", DEFAULT_DEADLINE)),
        event_budget=int(record.get("event_budget", DEFAULT_EVENT_BUDGET)),
    )
