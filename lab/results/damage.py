"""What is damaged in a run directory: one look at all it holds, for every command that relies on it.

What a run that was cut short does not have yet is no damage; what it had and has no more is, and so is what
is not as it was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from lab.errors import Problem, UsageError
from lab.results.document import resume_line
from lab.results.kinds import LISTS_BY_NAME, OBJECT, OBJECTS, OBJECTS_BY_NAME, TEXT, TEXTS, misfits
from lab.results.lock import holder
from lab.results.stored_result import TABLE, StoredResult, read_result, read_trials_of_rows
from lab.results.stored_run import Contents, StoredRun

MANIFEST: Final = "manifest.json"
_Read = TypeVar("_Read")
_MANIFEST_KINDS: Final = {
    name: kind.or_absent()
    for name, kind in {
        "callpath": TEXT,
        "world": TEXT,
        "started": TEXT,
        "python": TEXT,
        "name": TEXT,
        "topology": TEXT,
        "libraries": OBJECT,
        "programs": OBJECT,
        "nat_boxes": OBJECTS,
        "inputs": OBJECTS_BY_NAME,
        "vary": LISTS_BY_NAME,
        "expect": OBJECTS,
        "not_judged": OBJECTS,
        "population": TEXTS,
        "matrix": TEXTS.or_null(),
    }.items()
}
"""What reports and comparisons read beside the trials; not all of it was always written."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a run's directory holds, and what of it is damaged: ``problems``, each with its file.

    ``result`` is None where it is damaged, or where there is none yet.
    """

    contents: Contents
    result: StoredResult | None
    problems: Sequence[Problem]


def inspect_run(run: StoredRun, *, in_use: bool = False) -> Inspection:
    """Look at everything that a run depends on.

    Args:
        run: the run.
        in_use: whether another process writes into it: then what is not there may be about to come.
    """
    problems: list[Problem] = []
    result = _read(run, "result.json", read_result, problems)
    contents = _contents(run, result, problems)
    in_table = _read(run, TABLE, read_trials_of_rows, problems)
    if not in_use:
        problems += _gone(run, contents, result)
        problems += _not_in_table(run, result, in_table)
    problems += damaged_manifest(run)
    problems += damaged_inputs(run)
    return Inspection(contents=contents, result=result, problems=problems)


def require_undamaged(*runs: StoredRun) -> None:
    """Refuse runs of which anything is damaged: what is made of them would be of something else.

    Raises:
        UsageError: something is; with all of it.
    """
    problems = [problem for run in runs for problem in damage_of(run)]
    if problems:
        raise UsageError(*problems)


def damage_of(run: StoredRun) -> Sequence[Problem]:
    """Return what is damaged in a run, each with its file."""
    return inspect_run(run, in_use=holder(run.path) is not None).problems


def damaged_manifest(run: StoredRun) -> list[Problem]:
    """Return which keys of a run's manifest hold what is never written there."""
    return misfits(run.manifest, _MANIFEST_KINDS, str(run.path / MANIFEST))


def damaged_inputs(run: StoredRun) -> list[Problem]:
    """Return which copies of the files that a run was started with are gone, or are not what they were."""
    inputs = run.manifest.get("inputs")
    problems = []
    for record in inputs.values() if isinstance(inputs, dict) and OBJECTS_BY_NAME.fits(inputs) else ():
        path = run.path / str(record.get("file", ""))
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            problems.append(Problem(str(path), f"cannot be read: {error.strerror}"))
            continue
        if found != record.get("sha256"):
            problems.append(Problem(str(path), "not the file that the run was started with: edited by hand?"))
    return problems


def _read(run: StoredRun, name: str, read: Callable[[Path], _Read], problems: list[Problem]) -> _Read | None:
    """Return what a file holds; None where it is damaged, or where it is not there yet."""
    if not (run.path / name).exists() and not run.was_finished:
        return None
    try:
        return read(run.path)
    except UsageError as error:
        problems += error.problems
        return None


def _contents(run: StoredRun, result: StoredResult | None, problems: list[Problem]) -> Contents:
    try:
        contents = run.contents(result.events_sha256 if result else {})
    except UsageError as error:
        problems += error.problems
        return Contents(trials=len(run.trials), whole={}, damaged={})
    for position, place in contents.damaged.items():
        what = "are not those that it had" if place.is_whole() else "have no end"
        found = f"damaged: the events of trial {run.trials[position].key} {what}"
        problems.append(Problem(str(place.path), found, suggestion=resume_line(run.path)))
    if run.is_joined and len(contents.whole) == contents.trials:
        size = run.joined.stat().st_size
        if strange := size - sum(place.length or 0 for place in contents.whole.values()):
            found = f"damaged: {strange} bytes are of no trial"
            problems.append(Problem(str(run.joined), found, suggestion=resume_line(run.path)))
    return contents


def _gone(run: StoredRun, contents: Contents, result: StoredResult | None) -> list[Problem]:
    """Return what must have been there and is not."""
    found = len(contents.whole) + len(contents.damaged)
    done = len(run.trials) if run.was_finished else result.done if result else 0
    if found >= done:
        return []
    where = str(run.joined if run.was_finished else run.path / "trials")
    gone = f"the events of {done - found} of {done} trials are gone"
    return [Problem(where, gone, suggestion=resume_line(run.path))]


def _not_in_table(run: StoredRun, result: StoredResult | None, in_table: set[str] | None) -> list[Problem]:
    """Return that the table is not of this run's trials, where all of them were done."""
    if result is None or in_table is None or not run.is_joined:
        return []
    planned = {trial.key for trial in run.trials}
    problems = []
    if strange := in_table - planned:
        problems.append(f"damaged: trial {min(strange)} is none of the manifest's")
    if missing := planned - in_table:
        problems.append(f"damaged: it has no row of trial {min(missing)}, one of {len(missing)}")
    line = resume_line(run.path)
    return [Problem(str(run.path / TABLE), found, suggestion=line) for found in problems]
