"""The processes of a program that were started below this one, in whatever namespace."""

import os
from pathlib import Path


def our_processes(name):
    """Return the numbers of those that run a program of this name."""
    numbers = {int(place.name) for place in Path("/proc").iterdir() if place.name.isdigit()}
    return {number for number in numbers if process_name(number) == name and _is_ours(number)}


def process_name(process):
    """Return what a process runs; empty if it has ended."""
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


def _is_ours(process):
    while process > 1:
        if process == os.getpid():
            return True
        try:
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False
