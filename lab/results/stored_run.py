"""A run directory read back: which trials it has, where their events are.

To look at a run its schema must be known; to run a trial of it again, so must every version be the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import lab
from lab.errors import Problem, UsageError
from lab.measure.calls import CallRecord, calls_of
from lab.results.document import check_schema, read_document, resume_line
from lab.results.kinds import MOST_MISFITS, NUMBER, OBJECT, OBJECTS, TEXT, WHOLE, misfits
from lab.results.manifest import MANIFEST_SCHEMA
from lab.results.stored_events import EventsPlace, find_in_joined
from lab.spec.assignment import format_cell
from lab.spec.event import Event, JsonValue, PathClass
from lab.spec.trial import DEFAULT_DEADLINE, DEFAULT_EVENT_BUDGET, VIRTUAL_TIME

_NOT_THE_SAME: Final = "a replay would not be the same: run the scenario again"
_NOT_EXACT: Final = (
    "only what ran in virtual time can be replayed: what comes first on the kernel is up to its scheduler\n"
    "  callpath explain and ladder read what was kept of it; callpath run --trial KEY runs a trial anew"
)
_MANIFEST_KINDS: Final = {"scenario": TEXT, "seed": WHOLE, "trials": OBJECTS}
"""Without these nothing can be said of a run; what else is damaged is for lab.results.damage to tell."""
_TRIAL_KINDS: Final = {
    "key": TEXT,
    "topology": TEXT,
    "parameters": OBJECT,
    "settings": OBJECT,
    "repeat": WHOLE,
    "deadline": NUMBER.or_absent(),
    "event_budget": WHOLE.or_absent(),
}
_NO_HASHES: Final[Mapping[str, str]] = {}
_OF_CALLS: Final = ('"type":"call.', '"type":"ice.', '"type":"sip.')


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
        return format_cell(self.cell)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Which trials of a run have their events, by position: whole; or without their end, or changed."""

    trials: int
    whole: Mapping[int, EventsPlace]
    damaged: Mapping[int, EventsPlace]

    @property
    def missing(self) -> int:
        """How many trials have none."""
        return self.trials - len(self.whole) - len(self.damaged)


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """What a run directory says of itself: ``scenario`` is the file as named, ``manifest`` all of it."""

    path: Path
    scenario: str
    seed: int
    trials: Sequence[StoredTrial]
    manifest: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """What the scenario is called."""
        return str(self.manifest.get("name") or Path(self.scenario).stem)

    @property
    def inputs(self) -> str:
        """The directory of the files that the run was started with; empty where it kept none."""
        return str(self.path / "inputs") if self.manifest.get("inputs") else ""

    @property
    def joined(self) -> Path:
        """The events of all trials, where the run was finished."""
        return self.path / "events.jsonl"

    def shard(self, trial: StoredTrial) -> Path:
        """Return where a trial's events are while the run is not finished, if the trial is."""
        return self.path / "trials" / f"{trial.position:06d}-{trial.key}.jsonl"

    def place_of(self, trial: StoredTrial) -> EventsPlace | None:
        """Return where a trial's events are; None if it was not finished."""
        shard = self.shard(trial)
        if shard.exists():
            return EventsPlace(shard)
        return self._places_in_joined.get(trial.key) if self.joined.exists() else None

    @cached_property
    def _places_in_joined(self) -> Mapping[str, EventsPlace]:
        return find_in_joined(self.joined, [trial.key for trial in self.trials])

    def is_finished(self, trial: StoredTrial) -> bool:
        """Return whether a trial's events are there."""
        return self.place_of(trial) is not None

    def contents(self, hashes: Mapping[str, str] = _NO_HASHES) -> Contents:
        """Look at the events of every trial.

        Args:
            hashes: of trials by key, those that were written when their events were joined. Joined events
                that have another one are damaged.

        Raises:
            UsageError: the joined events cannot be read.
        """
        whole: dict[int, EventsPlace] = {}
        damaged: dict[int, EventsPlace] = {}
        for trial in self.trials:
            place = self.place_of(trial)
            if place is not None:
                fits = place.is_whole() and self._is_unchanged(place, hashes.get(trial.key))
                (whole if fits else damaged)[trial.position] = place
        return Contents(trials=len(self.trials), whole=whole, damaged=damaged)

    def _is_unchanged(self, place: EventsPlace, sha256: str | None) -> bool:
        """Return whether a trial's events are what was joined; a shard is not yet, or is newer."""
        return sha256 is None or place.path != self.joined or place.sha256() == sha256

    @property
    def was_finished(self) -> bool:
        """Whether the run once was: from its start to its end there are shards, or a place for them."""
        return not (self.path / "trials").exists()

    @property
    def is_joined(self) -> bool:
        """Whether nothing was left to write: the shards are gone, and their events are in one file."""
        return self.joined.exists() and self.was_finished

    def events_of(self, trial: StoredTrial) -> str:
        """Return a trial's events, one JSON object a line.

        Raises:
            UsageError: the trial was not finished, or its events cannot be read.
        """
        place = self.place_of(trial)
        if place is None:
            found = f"trial {trial.key} has no events: the run ended before it"
            raise UsageError(Problem(str(self.path), found, suggestion=resume_line(self.path)))
        return place.read()

    def calls_in(self, trial: StoredTrial) -> list[CallRecord]:
        """Return a trial's calls, from its stored events (media are not counted).

        Raises:
            UsageError: as :meth:`events_of`; or a line that is no event.
        """
        lines = self.events_of(trial).split("\n")
        try:
            return calls_of(
                Event.from_json(line)[1] for line in lines if any(word in line for word in _OF_CALLS)
            )
        except ValueError as error:
            place = self.place_of(trial)
            where = str(place.path if place else self.path)
            raise UsageError(Problem(where, f"trial {trial.key} is damaged: {error}")) from None

    def most_telling_trial(self) -> StoredTrial:
        """Return the first finished trial with a call that found no path, else that was relayed, else any.

        Raises:
            UsageError: no trial was finished.
        """
        relayed: StoredTrial | None = None
        finished = [trial for trial in self.trials if self.is_finished(trial)]
        for trial in finished:
            paths = {call.path for call in self.calls_in(trial) if not call.signalling_only}
            if PathClass.NONE in paths:
                return trial
            if PathClass.RELAY in paths and relayed is None:
                relayed = trial
        if not finished:
            raise UsageError(Problem(str(self.path), "no trial of this run was finished"))
        return relayed or finished[0]


def open_run(path: Path, *, worlds: Collection[str] = (VIRTUAL_TIME,)) -> StoredRun:
    """Read a run directory's manifest, to run trials of it: again as they were, or those that are missing.

    Args:
        path: the directory.
        worlds: where it may have been run; what happens again exactly does so in virtual time only.

    Raises:
        UsageError: as :func:`read_run`; or it was run in another world, or by another version of what a trial
            depends on.
    """
    run = read_run(path)
    _check_versions(run.manifest, worlds, str(path / "manifest.json"))
    return run


def read_run(path: Path) -> StoredRun:
    """Read a run directory's manifest, to look at what is stored.

    Raises:
        UsageError: it is damaged, or of another schema.
    """
    manifest = _read_manifest(path / "manifest.json")
    where = str(path / "manifest.json")
    check_schema("manifest", manifest, MANIFEST_SCHEMA, where)
    if problems := misfits(manifest, _MANIFEST_KINDS, where) or _trial_problems(manifest["trials"], where):
        raise UsageError(*problems[:MOST_MISFITS])
    return StoredRun(
        path=path,
        scenario=manifest["scenario"],
        seed=manifest["seed"],
        trials=[_trial(position, record) for position, record in enumerate(manifest["trials"])],
        manifest=manifest,
    )


def _trial_problems(records: Sequence[Mapping[str, Any]], where: str) -> list[Problem]:
    return [
        problem
        for position, record in enumerate(records)
        for problem in misfits(record, _TRIAL_KINDS, where, within=f"trials[{position}].")
    ]


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        return read_document(path)
    except FileNotFoundError:
        found = "no such file: not a run directory, or one whose run ended before it began"
        raise UsageError(Problem(str(path), found)) from None


def _check_versions(manifest: Mapping[str, Any], worlds: Collection[str], where: str) -> None:
    libraries = manifest.get("libraries")
    aioice = libraries.get("aioice") if isinstance(libraries, dict) else None
    world = manifest.get("world")
    problems = [
        Problem(where, f"written with {what} {wrote}; this is {own}", suggestion=remedy)
        for what, wrote, own, remedy in (
            ("callpath", manifest.get("callpath"), lab.__version__, _NOT_THE_SAME),
            ("world", world, world if world in worlds else VIRTUAL_TIME, _NOT_EXACT),
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
