"""What a run directory holds, whatever state it is in: finished, cut short, still written to, damaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import Problem
from lab.results.damage import inspect_run
from lab.results.lock import LOCK_FILE, holder, process_words
from lab.results.stored_result import TABLE, StoredResult, read_rows
from lab.results.stored_run import Contents, StoredRun
from lab.spec.event import JsonValue

FINISHED = "finished"


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """A run at one glance.

    ``state`` in words, ``writer`` the process that still runs it (None: none does, 0: which is not known).
    ``result`` and ``rows`` (for the matrix) are None where there are none yet. ``files`` has name and bytes,
    of a directory those of all it holds; ``problems`` says what is damaged, each with its file.
    """

    run: StoredRun
    state: str
    writer: int | None
    contents: Contents
    result: StoredResult | None
    rows: Sequence[Mapping[str, Any]] | None
    files: Sequence[tuple[str, int]]
    problems: Sequence[Problem]

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to run or to write."""
        return self.state == FINISHED

    @property
    def matrix(self) -> tuple[str, str] | None:
        """The parameters that make rows and columns, where the run has a matrix."""
        return _matrix(self.run)

    def as_data(self) -> dict[str, JsonValue]:
        """Return it as JSON values."""
        manifest, result = self.run.manifest, self.result
        return {
            "run": str(self.run.path),
            "name": self.run.name,
            "scenario": self.run.scenario,
            "topology": str(manifest.get("topology", "")),
            "world": str(manifest.get("world", "")),
            "relay": str(manifest.get("relay", "")),
            "programs": dict(manifest.get("programs", {})),
            "seed": self.run.seed,
            "callpath": str(manifest.get("callpath", "")),
            "started": str(manifest.get("started", "")),
            "ended": result.ended if result else None,
            "state": self.state,
            "writer": self.writer,
            "trials": self.contents.trials,
            "done": len(self.contents.whole),
            "missing": self.contents.missing,
            "damaged": [str(place.path) for place in self.contents.damaged.values()],
            "invalid": [*result.invalid] if result else [],
            "repeated": [*result.repeated] if result else [],
            "ok": result.ok if result else None,
            "outcome": result.outcome.value if result else None,
            "reason": result.reason if result else "",
            "verdicts": [verdict.as_data() for verdict in result.verdicts] if result else [],
            "files": dict(self.files),
            "problems": [str(problem) for problem in self.problems],
        }


def summarize(run: StoredRun) -> RunSummary:
    """Look at everything that a run's directory holds; what is damaged is a problem of the summary."""
    writer = holder(run.path)
    found = inspect_run(run, in_use=writer is not None)
    contents, result, problems = found.contents, found.result, [*found.problems]
    rows = _rows(run, problems) if _matrix(run) else None
    complete = len(contents.whole) == contents.trials
    return RunSummary(
        run=run,
        state=_state(run, result, writer, complete=complete),
        writer=writer,
        contents=contents,
        result=result,
        rows=rows,
        files=_files(run.path),
        problems=problems,
    )


def _matrix(run: StoredRun) -> tuple[str, str] | None:
    named = run.manifest.get("matrix")
    return (str(named[0]), str(named[1])) if isinstance(named, list) and len(named) == 2 else None


def _rows(run: StoredRun, problems: list[Problem]) -> Sequence[Mapping[str, Any]] | None:
    """Return the table's rows, if they are of the parameters that the matrix is made of."""
    file = run.path / TABLE
    if not file.exists() or any(problem.where == str(file) for problem in problems):
        return None
    rows = read_rows(run.path)
    needed = (*(_matrix(run) or ()), "invalid")
    missing = [name for name in needed if any(name not in row for row in rows)]
    if not missing:
        return rows
    problems.append(Problem(str(file), f"damaged: no {', '.join(missing)} in every row"))
    return None


def _state(run: StoredRun, result: StoredResult | None, writer: int | None, *, complete: bool) -> str:
    if writer is not None:
        return f"still running, {process_words(writer)}"
    if run.is_joined and complete and result is not None:
        return FINISHED
    if result is not None and result.reason:
        return f"cut short: {result.reason}"
    return "cut short: killed, or the machine went down"


def _files(path: Path) -> list[tuple[str, int]]:
    found = []
    for entry in sorted(path.iterdir()):
        if entry.is_dir():
            found.append((f"{entry.name}/", sum(map(_size, entry.rglob("*")))))
        elif entry.name != LOCK_FILE:
            found.append((entry.name, _size(entry)))
    return found


def _size(path: Path) -> int:
    """Return a file's bytes; 0 of one that went while the directory was read, or of a directory."""
    try:
        return 0 if path.is_dir() else path.stat().st_size
    except OSError:
        return 0
