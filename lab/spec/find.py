"""Finds topologies and scenarios: the user's first (``./topologies``), then those that ship with the lab.

Content is found by path and never imported as a package, so that a user's ``./topologies`` hides nothing
and is hidden by nothing.
"""

from __future__ import annotations

import errno
import functools
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import lab
from lab.errors import Problem, UsageError, did_you_mean
from lab.spec.network import Network
from lab.spec.plan import plan_network
from lab.spec.topology_file import TopologyFile, display_path, read_topology_file

TOPOLOGIES: Final = "topologies"


def content_directories(kind: str) -> list[Path]:
    """Return where content of a kind ("topologies", "scenarios") lies, the user's directory first.

    An installed wheel carries it as package data, a checkout at its top.
    """
    package = Path(lab.__file__).resolve().parent
    installed = package / "_content" / kind
    shipped = installed if installed.is_dir() else package.parent / kind
    directories = [directory for directory in (Path.cwd() / kind, shipped) if directory.is_dir()]
    return directories if len({d.resolve() for d in directories}) == len(directories) else directories[:1]


def content_names(kind: str, ending: str) -> dict[str, Path]:
    """Return all content of a kind by name (the file's without ``ending``), the user's before the lab's."""
    found: dict[str, Path] = {}
    for directory in content_directories(kind):
        for path in sorted(directory.glob(f"*{ending}")):
            if not path.name.startswith("_"):
                found.setdefault(path.name.removesuffix(ending), path)
    return found


def find_content(kind: str, name: str, ending: str) -> Path:
    """Return the file of a name, or of a path (with a slash, or with the ending).

    Raises:
        UsageError: there is none; the nearest name is suggested.
    """
    thing = "topology" if kind == TOPOLOGIES else kind.removesuffix("s")
    if "/" in name or name.endswith(ending):
        path = Path(name)
        if not path.is_file():
            wrong = what_is_there(name) or f"no {thing} file {name!r}"
            raise UsageError(Problem("", wrong, f"a {thing}'s file, ending in {ending}"))
        return path
    for directory in content_directories(kind):
        if (found := directory / f"{name}{ending}").is_file():
            return found
    places = " or ".join(display_path(directory) for directory in content_directories(kind))
    expected = f"a file in {places or kind}, or a path ending in {ending}"
    suggestion = did_you_mean(name, content_names(kind, ending))
    raise UsageError(Problem("", f"no {thing} {name!r}", expected, suggestion))


_OTHERS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def what_is_there(path: str | Path) -> str:
    """Return what stands in place of a file, in words that begin with the path; empty: a file, or nothing."""
    try:
        other = _OTHERS.get(stat.S_IFMT(Path(path).stat().st_mode))
    except ValueError:
        return ""  # no path has such characters
    except OSError as error:
        if error.errno == errno.ENOENT:
            return f"{str(path)!r} is a symbolic link to nothing" if Path(path).is_symlink() else ""
        # For one, a loop of symbolic links, or a directory on the way that must not be looked into.
        return f"{str(path)!r} cannot be read: {error.strerror}"
    return f"{str(path)!r} is {other}" if other else ""


def open_topology(name_or_path: str, inputs: str = "") -> TopologyFile:
    """Return the topology of a name (``two_homes``) or path (``nets/mine.py``, ``nets/mine.py:Mine``).

    With ``inputs``, a directory of a run, its file is the copy that :func:`kept_file` names.

    Raises:
        UsageError: no such file, or the file has no such topology or cannot be loaded.
    """
    name, _, key = name_or_path.partition(":")
    if inputs:
        return read_topology_file(kept_file(inputs, TOPOLOGIES, name, ".py"), key)
    return read_topology_file(find_content(TOPOLOGIES, name, ".py"), key)


def kept_file(inputs: str | Path, kind: str, name_or_path: str, ending: str) -> Path:
    """Return where a run's directory of inputs has its copy of a file, there or not.

    It is laid out as the user's own directories are: ``topologies/two_homes.py``.
    """
    return Path(inputs, kind, Path(name_or_path).name.removesuffix(ending) + ending)


def load_topology(name_or_path: str, parameters: Mapping[str, object], inputs: str = "") -> Network:
    """Return the network of a topology with some of its parameters set; ``inputs`` as for open_topology.

    Raises:
        UsageError: as :func:`open_topology`; a parameter that does not exist or has a wrong type; a topology
            that does not build, or describes no network. Places are ``file:line`` where they are known.
    """
    topology = open_topology(name_or_path, inputs)
    return _plan(topology, _Parameters(parameters))


class _Parameters(dict[str, object]):
    """Parameters that can be told apart, also where Python calls them equal (True and 1)."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(repr(sorted(self.items())))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Parameters) and repr(sorted(self.items())) == repr(sorted(other.items()))


@functools.lru_cache(maxsize=512)
def _plan(topology: TopologyFile, parameters: _Parameters) -> Network:
    """Plan once for all repetitions of a cell; a file that changed is another ``TopologyFile``."""
    topo, places = topology.build(parameters)
    return plan_network(topo, topology.name, places)
