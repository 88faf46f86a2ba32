"""What the report is a view of: a run directory, read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import Problem
from lab.results.stored_result import StoredResult, read_result, read_rows
from lab.results.stored_run import StoredRun, read_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One trial told in full.

    ``because`` says why it is, ``explanation`` why its calls took their paths; ``ladder`` is an SVG document,
    or empty, and ``missing`` then says why.
    """

    key: str
    title: str
    because: str
    explanation: str = ""
    ladder: str = ""
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One stored run.

    ``rows`` are those of :mod:`lab.results.table`. ``stories`` are of a few trials; ``untold`` says why there
    is none of those that deserved one. ``damage`` is what of the run is not as it was written.
    """

    run: StoredRun
    result: StoredResult
    rows: Sequence[Mapping[str, Any]]
    stories: Sequence[Story] = ()
    untold: Sequence[str] = ()
    damage: Sequence[Problem] = ()


def read_source(path: Path) -> Source:
    """Read a run directory.

    Raises:
        UsageError: it is damaged, of another version, or of a run that was not finished.
    """
    return Source(
        run=read_run(path),
        result=read_result(path),
        rows=read_rows(path),
    )
