"""The run directory: written trial by trial, so that a crash loses nothing; never overwritten.

.. code-block:: text

    results/<utc>-<scenario>-<hash>/
        manifest.json     what was run: versions, seed, resolved plan, argv
        trials/           one shard of events a trial, NNNNNN-<key>.jsonl
        events.jsonl      the shards in trial order
        trials.parquet    one row a call
        result.json       the outcome, versioned
        pcap/             captures, where asked for
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from lab.errors import HostNotReady

RESULT_SCHEMA: Final = 1


class RunDirectory:
    """One run's files. Make one with :meth:`create`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, base: Path, *, scenario: str, plan_hash: str, started: datetime) -> RunDirectory:
        """Make a new directory under ``base``; a number is appended if one of that name exists.

        Raises:
            HostNotReady: it cannot be made or written to.
        """
        stem = f"{started:%Y%m%dT%H%M%SZ}-{scenario}-{plan_hash[:8]}"
        try:
            base.mkdir(parents=True, exist_ok=True)
            for number in range(1, 1000):
                path = base / (stem if number == 1 else f"{stem}-{number}")
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                (path / "trials").mkdir()
                return cls(path)
        except OSError as error:
            raise HostNotReady(
                f"{base}: results cannot be written there ({error.strerror})\n"
                "  name a directory you may write to with --results DIR"
            ) from None
        raise HostNotReady(f"{base}: a thousand runs named {stem} exist already")

    def discard(self) -> None:
        """Remove a directory in which no trial was ever written."""
        if not self.shards():
            shutil.rmtree(self.path)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write what was run."""
        _write_whole(self.path / "manifest.json", _to_json(manifest))

    def write_trial(self, position: int, key: str, events: str, pcapng: bytes = b"") -> None:
        """Write one trial's events, and its capture if there is one."""
        _write_whole(self._shard(position, key), events)
        if pcapng:
            folder = self.path / "pcap"
            folder.mkdir(exist_ok=True)
            _write_whole(folder / f"{position:06d}-{key}.pcapng", pcapng)

    def _shard(self, position: int, key: str) -> Path:
        return self.path / "trials" / f"{position:06d}-{key}.jsonl"

    def shards(self) -> list[Path]:
        """Return the trials' event files that exist, in trial order."""
        return sorted((self.path / "trials").glob("*.jsonl"))

    def join_events(self) -> Path:
        """Concatenate the shards into ``events.jsonl`` and return its path."""
        target = self.path / "events.jsonl"
        partial = target.with_suffix(".partial")
        with partial.open("wb") as joined:
            for shard in self.shards():
                joined.write(shard.read_bytes())
        partial.replace(target)
        return target

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write the outcome."""
        _write_whole(self.path / "result.json", _to_json({"schema": RESULT_SCHEMA, **result}))


def _to_json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it is whole or not there, whatever happens meanwhile.

    Raises:
        HostNotReady: it cannot be written (the disk is full, say).
    """
    partial = path.with_name(path.name + ".partial")
    data = content.encode() if isinstance(content, str) else content
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise HostNotReady(
            f"{path}: cannot be written ({error.strerror}); what was written before is kept"
        ) from None
