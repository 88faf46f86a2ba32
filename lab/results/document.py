"""JSON documents of a run directory: written whole or not at all, read with every damage told by its file."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from lab.errors import HostNotReady, Problem, UsageError

PARTIAL: Final = ".partial"
"""How the names of files end that are being written, and of those that a killed process left so."""


def read_document(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        FileNotFoundError: there is none.
        UsageError: it cannot be read, or holds something else.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UsageError(Problem(str(path), f"cannot be read: {error.strerror}")) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(Problem(str(path), f"damaged: {error}")) from None
    if not isinstance(document, dict):
        raise UsageError(Problem(str(path), "damaged: not an object"))
    return document


def check_schema(what: str, document: Mapping[str, Any], known: int, where: str) -> None:
    """Refuse a document of another version.

    Raises:
        UsageError: it is older or newer than ``known``, or does not say.
    """
    written = document.get("schema")
    if written == known and not isinstance(written, bool):
        return
    if not isinstance(written, int) or isinstance(written, bool):
        raise UsageError(Problem(where, f"damaged: no {what} schema"))
    age = "an older" if written < known else "a newer"
    found = f"written with {what} schema {written}; this is {known}"
    raise UsageError(Problem(where, found, suggestion=f"{age} callpath wrote it: read it with that one"))


def resume_line(run: Path) -> str:
    """Return the command that finishes a run, to be pasted into a shell."""
    return shlex.join(["callpath", "resume", str(run)])


def to_json(document: Mapping[str, Any]) -> str:
    """Return a document as text, indented for people."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write_whole(path: Path, content: str | bytes, *, of_run: bool = True) -> None:
    """Write a file so that it is whole or not there, whatever happens meanwhile.

    ``of_run``: it is one of several that are written one after the other, in a run's directory.

    Raises:
        HostNotReady: it cannot be written (the disk is full, say).
    """
    partial = path.with_name(path.name + PARTIAL)
    data = content.encode() if isinstance(content, str) else content
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):  # where a directory on the way is a file, say
            partial.unlink(missing_ok=True)
        raise cannot_be_written(path, error, of_run=of_run) from None


def cannot_be_written(path: Path, error: OSError, *, of_run: bool = True) -> HostNotReady:
    """Return what to raise where a file, one ``of_run`` or one of its own, cannot be written."""
    kept = "; what was written before is kept" if of_run else ""
    return HostNotReady(f"{path}: cannot be written ({error.strerror}){kept}")
