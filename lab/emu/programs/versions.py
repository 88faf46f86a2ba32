"""Which version a program is, by what it says itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from typing import Final

from lab.errors import HostNotReady

_SECONDS: Final = 30.0
"""In which a program has to say its version."""


def installed_version(command: Sequence[str], message: str) -> str:
    """Return the version that a program says when this command asks for it.

    Raises:
        HostNotReady: there is no such program; it says this message.
    """
    if shutil.which(command[0]) is None:
        raise HostNotReady(message)
    return said_version(command)


def said_version(command: Sequence[str]) -> str:
    """Return the first version number that a command prints, or words that say that there is none."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        done = None
    versions = re.findall(r"\d+(?:\.\d+)+\S*", done.stdout + done.stderr) if done else []
    return versions[0] if versions else "of an unknown version"
