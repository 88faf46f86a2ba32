"""Which run a name means: a directory, how a name begins, the latest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab.errors import Problem, UsageError, did_you_mean
from lab.results.document import read_document

LATEST: Final = "latest"
_RUN_NAME: Final = re.compile(r"\d{8}T\d{6}Z-.+-[0-9a-f]{8}(-\d+)?")


def find_run(name: str, base: Path = Path("results")) -> Path:
    """Return the directory of a run: a path, ``latest``, or how its name under ``base`` begins.

    Raises:
        UsageError: there is none, or several begin so.
    """
    path = Path(name)
    if path.is_dir() and ("/" in name or (path / "manifest.json").exists() or _RUN_NAME.fullmatch(name)):
        return path  # also without a manifest: then it is told that this is missing
    known = runs_beginning("", base)
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


def runs_beginning(text: str, base: Path) -> list[str]:
    """Return the names of the runs under a directory that begin so, oldest first."""
    return sorted(
        path.name
        for path in base.glob("*")
        if path.name.startswith(text) and _RUN_NAME.fullmatch(path.name) and path.is_dir()
    )


def _latest(base: Path, known: Sequence[str]) -> Path:
    """Return the run started last; names say the second, manifests of the same second the rest."""
    second = known[-1].partition("-")[0]
    same = [base / name for name in known if name.startswith(second)]
    return max(same, key=_started) if len(same) > 1 else same[0]


def _started(path: Path) -> str:
    try:
        return str(read_document(path / "manifest.json").get("started", ""))
    except (UsageError, OSError):
        return ""
