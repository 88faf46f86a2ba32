"""The run directory as it is written: trial by trial, so that a crash loses nothing; never overwritten.

.. code-block:: text

    results/<utc>-<scenario>-<hash>/
        manifest.json     what is run: versions, seed, every trial, what must hold, argv
        inputs/           the scenario's and the topology's file as they were
        trials/           one shard of events a trial, NNNNNN-<key>.jsonl; gone when the run is finished
        events.jsonl      the shards in trial order, when the run is finished
        trials.parquet    one row a call
        result.json       the outcome, versioned
        pcap/             captures of trials that failed, or of those asked for
        logs/             what programs of the kernel world printed, NNNNNN-<key>.<node>.log
        ladders/          what their packets did, as text
        junit.xml         the outcome as CI servers read it
        lock              held by the process that writes

Every file is written under another name and then renamed, so that it is whole or not there. A trial is done
once its shard is there; the run is finished once ``trials/`` is gone. See docs/run-directory.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lab.errors import HostNotReady
from lab.results.document import PARTIAL, cannot_be_written, to_json, write_whole
from lab.results.lock import RunLock
from lab.results.stored_events import EventsPlace

if TYPE_CHECKING:
    import pandas as pd

RESULT_SCHEMA: Final = 1
_NONE: Final[Mapping[str, str]] = {}


class RunDirectory:
    """One run's files, to write. Make one with :meth:`create`, or go on with one by :meth:`open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = RunLock(path)

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
                return cls.open(path)
        except OSError as error:
            raise HostNotReady(
                f"{base}: results cannot be written there ({error.strerror})\n"
                "  name a directory you may write to with --results DIR"
            ) from None
        raise HostNotReady(f"{base}: a thousand runs named {stem} exist already")

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Go on with a directory; no other process may until :meth:`close`.

        Raises:
            UsageError: another process writes into it.
            HostNotReady: it cannot be written to.
        """
        run = cls(path)
        run._lock.take()
        return run

    def close(self) -> None:
        """Let other processes go on with it."""
        self._lock.release()

    @property
    def _shards(self) -> Path:
        return self.path / "trials"

    def discard(self) -> None:
        """Remove a directory in which no trial was ever written."""
        if not self.shards():
            self.close()
            shutil.rmtree(self.path)

    def clear_partial(self) -> None:
        """Remove what a killed process was writing."""
        for pattern in (f"*{PARTIAL}", f"*/*{PARTIAL}"):
            for path in self.path.glob(pattern):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    @property
    def inputs(self) -> Path:
        """Where copies of the files that the run depends on are kept."""
        return self.path / "inputs"

    def keep_input(self, file: Path, copy: Path) -> dict[str, str]:
        """Copy a file that the run depends on; return what the manifest says of the copy.

        Args:
            file: the file.
            copy: its place below :attr:`inputs`.

        Raises:
            HostNotReady: the copy cannot be written.
        """
        content = file.read_bytes()
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_whole(copy, content)
        return {
            "file": copy.relative_to(self.path).as_posix(),
            "from": str(file),
            "sha256": hashlib.sha256(content).hexdigest(),
        }

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write what is run."""
        write_whole(self.path / "manifest.json", to_json(manifest))

    def write_trial(
        self, position: int, key: str, events: str, pcapng: bytes = b"", outputs: Mapping[str, str] = _NONE
    ) -> None:
        """Write one trial's capture, what its programs printed, and then its events: with them it is done.

        ``outputs`` are texts by node; of a program that printed nothing there is no file.
        """
        for node, text in outputs.items():
            if text:
                self.write_of_trial("logs", position, key, f".{node}.log", text)
        if pcapng:
            self.write_of_trial("pcap", position, key, ".pcapng", pcapng)
        self.write_of_trial(self._shards.name, position, key, ".jsonl", events)

    def write_of_trial(self, folder: str, position: int, key: str, ending: str, content: str | bytes) -> None:
        """Write a file of one trial, in a folder of such files: ``pcap/000003-1a2b3c4d5e6f.pcapng``."""
        place = self.path / folder
        place.mkdir(exist_ok=True)
        write_whole(place / f"{position:06d}-{key}{ending}", content)

    def remove_of_trial(self, folder: str, position: int, key: str, ending: str) -> None:
        """Remove such a file, if it is there; and the folder with its last one."""
        place = self.path / folder
        (place / f"{position:06d}-{key}{ending}").unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            place.rmdir()

    def write_junit(self, text: str) -> None:
        """Write the outcome as CI servers read it."""
        write_whole(self.path / "junit.xml", text)

    def shards(self) -> list[Path]:
        """Return the trials' event files that exist, in trial order."""
        return sorted(self._shards.glob("*.jsonl"))

    def join_events(self, places: Iterable[EventsPlace]) -> Path:
        """Concatenate the events of all trials into ``events.jsonl`` and return its path.

        Args:
            places: where they are, in the order to join them; those without a shard any more are in the
                ``events.jsonl`` of before. Where that has them all, and nothing else, it is left as it is.

        Raises:
            HostNotReady: it cannot be written.
        """
        target = self.path / "events.jsonl"
        places = list(places)
        if _is_made_of(target, places):
            return target
        partial = target.with_name(target.name + PARTIAL)
        try:
            with partial.open("wb") as joined:
                for place in places:
                    place.copy_to(joined)
                joined.flush()
                os.fsync(joined.fileno())
            partial.replace(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise cannot_be_written(target, error) from None
        return target

    def remove_shards(self) -> None:
        """Remove the shards, once ``events.jsonl`` has them and all else is written: the run is finished."""
        gone = self._shards.with_name(self._shards.name + PARTIAL)
        if self._shards.exists():
            self._shards.rename(gone)  # all at once: however many there are, the run is finished with this
        shutil.rmtree(gone, ignore_errors=True)

    def write_table(self, table: pd.DataFrame) -> None:
        """Write the table of all calls."""
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        write_whole(self.path / "trials.parquet", buffer.getvalue())

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write the outcome."""
        write_whole(self.path / "result.json", to_json({"schema": RESULT_SCHEMA, **result}))


def _is_made_of(joined: Path, places: Sequence[EventsPlace]) -> bool:
    """Return whether a file consists of these places, one after the other."""
    end = 0
    for place in places:
        if place.path != joined or place.offset != end or place.length is None:
            return False
        end += place.length
    return joined.exists() and joined.stat().st_size == end
