"""Run a program as an ordinary user, from root: with its interpreter within reach, and no capability."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOBODY = "65534"

# The mounts are private to the program: what root alone may enter is bound where everybody may.
REACH = """\
set -e
mount -t tmpfs -o mode=755 none /mnt
number=0
for place in $PLACES; do
    number=$((number + 1)); mkdir /mnt/$number; mount --bind "$place" /mnt/$number
done
for closed in $CLOSED; do mount -t tmpfs -o mode=755 none "$closed"; done
number=0
for place in $PLACES; do
    number=$((number + 1)); mkdir -p "$place"; mount --bind /mnt/$number "$place"
done
exec setpriv --reuid=$NOBODY --regid=$NOBODY --clear-groups --inh-caps=-all "$@"
"""


def as_ordinary_user(command: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return (command line, environment) that runs ``command`` as an ordinary user.

    Where this process is one's already, that is the command itself.
    """
    environment = {**os.environ, "HOME": "/nonexistent"}
    if os.geteuid() != 0:
        return list(command), environment
    places = _outermost([Path(sys.base_prefix), Path(sys.prefix), ROOT])
    closed = _outermost([parent for place in places for parent in place.parents if not _is_open(parent)])
    environment |= {
        "PLACES": " ".join(str(place) for place in places if _below(place, closed)),
        "CLOSED": " ".join(map(str, closed)),
        "NOBODY": NOBODY,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return ["unshare", "--mount", "sh", "-c", REACH, "sh", *command], environment


def place_for_everyone(below: Path) -> Path:
    """Return a new directory that everybody can reach and write to."""
    place = below / "theirs"
    place.mkdir()
    place.chmod(0o777)
    for parent in place.parents:
        if not _is_open(parent):
            parent.chmod(parent.stat().st_mode | 0o001)
    return place


def _is_open(directory: Path) -> bool:
    return bool(directory.stat().st_mode & 0o001)


def _outermost(paths: Iterable[Path]) -> list[Path]:
    distinct = sorted({path.resolve() for path in paths}, key=lambda path: len(path.parts))
    return [path for path in distinct if not any(other in path.parents for other in distinct)]


def _below(place: Path, closed: Iterable[Path]) -> bool:
    return any(directory in place.parents for directory in closed)
