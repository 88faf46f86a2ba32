"""Finds topologies and scenarios: the user's first (``./topologies``), then those that ship with the lab.

Content is found by path and never imported as a package, so that a user's ``./topologies`` hides nothing
and is hidden by nothing.
"""

from __future__ import annotations

import functools
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
            raise UsageError(Problem("", f"no {thing} file {name!r}", "a path to a readable file"))
        return path
    for directory in content_directories(kind):
        if (found := directory / f"{name}{ending}").is_file():
            return found
    places = " or ".join(display_path(directory) for directory in content_directories(kind))
    expected = f"a file in {places or kind}, or a path ending in {ending}"
    suggestion = did_you_mean(name, content_names(kind, ending))
    raise UsageError(Problem("", f"no {thing} {name!r}", expected, suggestion))


def open_topology(name_or_path: str) -> TopologyFile:
    """Return the topology of a name (``two_homes``) or path (``nets/mine.py``, ``nets/mine.py:Mine``).

    Raises:
        UsageError: no such file, or the file has no such topology or cannot be loaded.
    """
    name, _, key = name_or_path.partition(":")
    return read_topology_file(find_content(TOPOLOGIES, name, ".py"), key)


def load_topology(name_or_path: str, parameters: Mapping[str, object]) -> Network:
    """Return the network of a topology with some of its parameters set.

    Raises:
        UsageError: as :func:`open_topology`; a parameter that does not exist or has a wrong type; a topology
            that does not build, or describes no network. Places are ``file:line`` where they are known.
    """
    topology = open_topology(name_or_path)
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
