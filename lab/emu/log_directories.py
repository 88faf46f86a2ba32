"""Where a lab that stays open keeps what the user's programs print; its name tells whose it is.

It is removed when the lab is closed. What a killed process leaves, ``callpath clean`` finds by the name.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lab.emu.leftovers import Leftover
from lab.emu.outer.maker import own_mark

_PREFIX: Final = "callpath-logs-"
_NAME: Final = re.compile(rf"{_PREFIX}(?P<run>.+)-(?P<mark>\d+\.\d+\.\d+)-\w+", re.ASCII)


def make_log_directory(run: str) -> Path:
    """Return a new directory for what a run's programs print, this user's alone."""
    mark = own_mark().replace(":", ".")
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{run}-{mark}-"))


def log_directories() -> Iterator[Leftover]:
    """Yield this user's directories of logs, each with its run and its maker."""
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")):
        name = _NAME.fullmatch(path.name)
        if name is not None and _is_own(path):
            yield Leftover(
                run=name["run"],
                maker=name["mark"].replace(".", ":"),
                kind="directories",
                things=[str(path)],
                remove=lambda path=path: _remove(path),  # type: ignore[misc]
            )


def _is_own(path: Path) -> bool:
    """Whether it is a directory of this user's: anybody may give something in /tmp such a name."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False  # its lab was closed meanwhile
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _remove(path: Path) -> list[str]:
    """Remove a directory; return it if it is still there."""
    shutil.rmtree(path, ignore_errors=True)
    return [str(path)] if path.exists() else []
