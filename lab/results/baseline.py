"""Chosen baselines: what a run came to, kept under a name, small enough for git.

.. code-block:: text

    results/baselines/<name>/
        baseline.json      each cell's counts of paths and quantiles of set-up times, verdicts, a hash a trial
        events.jsonl.gz    the events of the trials, so that the first one that differs can be shown

The run's directory is not needed again. Equal runs make equal files, whenever and wherever they ran.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.errors import HostNotReady, Problem, UsageError, did_you_mean
from lab.measure.comparison.outcomes import RunOutcomes
from lab.results.baseline_events import MOST_BYTES, pack_events
from lab.results.baseline_file import BASELINE_SCHEMA, BaselineContent, as_text, from_data
from lab.results.compared_run import read_outcomes
from lab.results.document import check_schema, read_document, resume_line, write_whole
from lab.results.stored_run import StoredRun
from lab.spec.event import JsonValue

FOLDER: Final = "baselines"
_FILE: Final = "baseline.json"
_EVENTS: Final = "events.jsonl.gz"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A stored baseline."""

    name: str
    path: Path
    content: BaselineContent

    @property
    def outcomes(self) -> RunOutcomes:
        """What the run that it was made of came to."""
        return self.content.outcomes

    @property
    def events_file(self) -> Path:
        """Where the kept events are."""
        return self.path / _EVENTS


def baseline_names(results: Path) -> list[str]:
    """Return the names of the baselines there are."""
    return sorted(path.parent.name for path in (results / FOLDER).glob(f"*/{_FILE}"))


def read_baseline(results: Path, name: str) -> Baseline:
    """Read a baseline.

    Args:
        results: the directory with the runs.
        name: of the baseline.

    Raises:
        UsageError: there is none of that name, it is damaged, or of another version.
    """
    path = _place(results, name)
    file = path / _FILE
    try:
        document = read_document(file)
    except (FileNotFoundError, NotADirectoryError):
        known = baseline_names(results)
        suggestion = did_you_mean(name, known) if known else "callpath baseline set RUN makes one"
        raise UsageError(Problem(str(path), "no such baseline", suggestion=suggestion)) from None
    check_schema("baseline", document, BASELINE_SCHEMA, str(file))
    try:
        content = from_data(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(Problem(str(file), f"damaged: {type(error).__name__}: {error}")) from None
    return Baseline(name=name, path=path, content=content)


def write_baseline(
    results: Path,
    name: str,
    run: StoredRun,
    overrides: Mapping[str, Sequence[JsonValue]],
    *,
    most_bytes: int = MOST_BYTES,
) -> Baseline:
    """Make a baseline of a stored run, in place of one of that name if it is of the same scenario.

    Args:
        results: the directory with the runs.
        name: of the baseline.
        run: every trial of it was finished and counts.
        overrides: the values that it was run with in place of the scenario's own.
        most_bytes: of the events that are kept, compressed; 0 keeps none.

    Raises:
        UsageError: the run is not whole; or there is a baseline of that name of another scenario.
        HostNotReady: it cannot be written.
    """
    path = _place(results, name)
    outcomes = read_outcomes(run)
    _check_whole(run, outcomes)
    _check_same_scenario(path, results, name, outcomes)
    digests, kept, packed = pack_events(run, most_bytes=most_bytes)
    content = BaselineContent(
        outcomes=outcomes,
        overrides=overrides,
        trials=digests,
        kept=kept,
        events_sha256=hashlib.sha256(packed).hexdigest() if packed else "",
    )
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not packed:
            (path / _EVENTS).unlink(missing_ok=True)
    except OSError as error:
        raise HostNotReady(f"{path}: cannot be written ({error.strerror})") from None
    if packed:
        write_whole(path / _EVENTS, packed)
    # Last, with the hash of the other: halves of an interrupted replacement do not fit, and that is told.
    write_whole(path / _FILE, as_text(content))
    return Baseline(name=name, path=path, content=content)


def _place(results: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        found = f"{name!r} is no name of a baseline"
        raise UsageError(Problem("", found, "letters, digits, dots, dashes and underscores"))
    return results / FOLDER / name


def _check_whole(run: StoredRun, outcomes: RunOutcomes) -> None:
    missing = sum(cell.missing for cell in outcomes.cells)
    invalid = sum(cell.invalid for cell in outcomes.cells)
    problems = []
    if missing:
        found = f"{missing} of {len(run.trials)} trials were not finished: no baseline is made of a part"
        problems.append(Problem(str(run.path), found, suggestion=resume_line(run.path)))
    if invalid:
        found = f"{invalid} trials are invalid: no baseline is made of what must not be judged"
        problems.append(Problem(str(run.path), found))
    if problems:
        raise UsageError(*problems)


def _check_same_scenario(path: Path, results: Path, name: str, outcomes: RunOutcomes) -> None:
    if not (path / _FILE).exists():
        return
    try:
        before = read_baseline(results, name).outcomes.scenario
    except UsageError:
        return  # what cannot be read is replaced by what can
    if before != outcomes.scenario:
        found = f"is a baseline of scenario {before}, and this run is of {outcomes.scenario}"
        raise UsageError(Problem(str(path), found, suggestion="give another name, or remove that baseline"))
