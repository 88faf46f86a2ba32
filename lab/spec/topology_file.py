"""A topology file: loads it as ``mn --custom`` does, says which parameters it takes, and builds it.

What the author's code raises becomes a message with its file and line, never a traceback. While it builds,
the lines on which nodes and links are added are noted, so that later messages can point at them.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from mininet.topo import Topo

from lab.errors import Problem, UsageError, did_you_mean
from lab.spec.findings import Place

_REQUIRED: Final = inspect.Parameter.empty
_NAMED: Final = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


@dataclass(frozen=True, kw_only=True)
class TopologyFile:
    """One topology of one file. ``factory`` is the ``Topo`` subclass, or what ``topos`` has in its place."""

    name: str
    path: Path
    factory: Callable[..., Topo]

    @property
    def description(self) -> str:
        """What the author says about it: the class's docstring, and that of ``build`` with the parameters."""
        texts = [inspect.getdoc(self.factory), inspect.getdoc(self._entry)]
        return "\n\n".join(text for text in dict.fromkeys(texts) if text)

    @property
    def parameters(self) -> dict[str, object]:
        """Every parameter with its default (``inspect.Parameter.empty`` where there is none)."""
        try:
            found = inspect.signature(self._entry).parameters.values()
        except ValueError:  # some callables written in C do not say
            return {}
        return {p.name: p.default for p in found if p.kind in _NAMED and p.name != "self"}

    @property
    def _entry(self) -> Callable[..., object]:
        if not self._is_topo_class:
            return self.factory
        topo_class: Any = self.factory
        # Mininet's idiom is build(); older files override the constructor.
        own_constructor = topo_class.__init__ is not Topo.__init__
        entry: Callable[..., object] = topo_class.__init__ if own_constructor else topo_class.build
        return entry

    @property
    def _is_topo_class(self) -> bool:
        return isinstance(self.factory, type) and issubclass(self.factory, Topo)

    def build(self, parameters: Mapping[str, object]) -> tuple[Topo, dict[Place, str]]:
        """Return the topology, and the place (``file:line``) where each of its nodes and links was added.

        Raises:
            UsageError: a parameter is unknown or of a wrong type, or the author's code raised.
        """
        problems = self._parameter_problems(parameters)
        if problems:
            raise UsageError(*problems)
        factory: Any = self.factory
        if self._is_topo_class:
            factory = type(factory.__name__, (_Recording, factory), {"__doc__": factory.__doc__})
        topo = _run_authors_code(self.path, lambda: factory(**parameters))
        if not isinstance(topo, Topo):
            found = f"{self.name!r} makes a {type(topo).__name__}, not a Topo"
            raise UsageError(Problem(display_path(self.path), found))
        return topo, getattr(topo, "places_in_file", {})

    def _parameter_problems(self, given: Mapping[str, object]) -> list[Problem]:
        where, known = f"topology {self.name}", self.parameters
        problems = []
        for name, value in given.items():
            if name not in known:
                suggestion = did_you_mean(name, known) if known else "it takes no parameters"
                problems.append(Problem(where, f"unknown parameter {name!r}", suggestion=suggestion))
            elif (expected := _expected_type(known[name], value)) is not None:
                problems.append(Problem(where, f"parameter {name}={value!r}", expected))
        problems += [
            Problem(where, f"parameter {name!r} has no default and was not given")
            for name, default in known.items()
            if default is _REQUIRED and name not in given
        ]
        return problems


_TYPES: Final[Mapping[type, tuple[str, tuple[type, ...]]]] = {
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    str: ("text", (str,)),
}


def _expected_type(default: object, value: object) -> str | None:
    """Return what is expected if ``value`` is not of the type of ``default``; other types are not judged."""
    if type(default) not in _TYPES:
        return None
    words, types = _TYPES[type(default)]
    if isinstance(value, types) and (isinstance(value, bool) == isinstance(default, bool)):
        return None
    return f"{words}, such as {default!r}"


def read_topology_file(path: Path, key: str = "") -> TopologyFile:
    """Return the topology that a file holds: the one called ``key``, or its only one.

    Raises:
        UsageError: the file cannot be read or its code raises; it holds no topology, or several and none was
            named.
    """
    path = path.resolve()
    try:
        namespace = _execute(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise UsageError(Problem(display_path(path), f"cannot be read: {error.strerror}")) from None
    topos = namespace.get("topos", {})
    if not isinstance(topos, dict):
        raise UsageError(Problem(display_path(path), "topos is no dictionary", 'topos = {"name": TheClass}'))
    classes = {
        name: value
        for name, value in namespace.items()
        if isinstance(value, type) and issubclass(value, Topo) and value.__module__ == namespace["__name__"]
    }
    name = key or _only_name(path, topos, classes)
    if name not in topos and name not in classes:
        suggestion = did_you_mean(name, [*topos, *classes])
        raise UsageError(
            Problem(display_path(path), f"no topology {name!r} in this file", suggestion=suggestion)
        )
    factory = topos[name] if name in topos else classes[name]
    if not callable(factory):
        found = f"topos has a {type(factory).__name__} for {name!r}"
        raise UsageError(Problem(display_path(path), found, 'a class, such as topos = {"name": TheClass}'))
    return TopologyFile(name=name if topos or key else path.stem, path=path, factory=factory)


def _only_name(path: Path, topos: Mapping[str, Any], classes: Mapping[str, Any]) -> str:
    names = [str(name) for name in topos or classes]
    if path.stem in names:
        return path.stem
    if len(names) == 1:
        return names[0]
    place = display_path(path)
    if not names:
        raise UsageError(Problem(place, "no topology in this file", "a subclass of mininet.topo.Topo"))
    found = f"several topologies in this file: {', '.join(names)}"
    raise UsageError(Problem(place, found, suggestion=f"name one: {place}:{names[0]}"))


@functools.lru_cache(maxsize=64)
def _execute(path: Path, _modified: int) -> dict[str, Any]:
    """Run a file as Mininet does (no import, no bytecode left behind) and return its names."""
    source = path.read_bytes()
    namespace: dict[str, Any] = {"__name__": f"topology:{path.stem}", "__file__": str(path)}

    def run() -> None:
        code = compile(source, str(path), "exec", dont_inherit=True)
        exec(code, namespace)  # noqa: S102 - a topology is its author's program, as for `mn --custom`

    _run_authors_code(path, run)
    return namespace


def _run_authors_code(path: Path, run: Callable[[], object]) -> Any:
    """Return what ``run`` returns; what it raises becomes a UsageError at the author's own line."""
    try:
        return run()
    except UsageError:
        raise
    except SyntaxError as error:
        line = f":{error.lineno}" if error.lineno else ""  # none for a file that is no text at all
        raise UsageError(Problem(f"{display_path(path)}{line}", str(error.msg))) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an author's code may raise
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        place = f"{display_path(path)}:{lines[-1]}" if lines else display_path(path)
        # A ValueError is how topologies refuse a parameter: its text is written for people.
        text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise UsageError(Problem(place, text)) from None


class _Recording(Topo):  # type: ignore[misc]  # Mininet ships no types
    """Mixed in before the author's class: notes the line on which each node and link is added."""

    def __init__(self, *args: object, **parameters: object) -> None:
        self.places_in_file: dict[Place, str] = {}
        super().__init__(*args, **parameters)

    def addNode(self, name: str, **options: object) -> object:  # noqa: N802 - Mininet's name
        place = _authors_line()
        if (name,) in self.places_in_file:
            # Mininet would let the second one replace the first without a word.
            found = f"node {name!r} is added twice"
            raise UsageError(Problem(place, found, suggestion=f"first at {self.places_in_file[name,]}"))
        self.places_in_file[name,] = place
        return super().addNode(name, **options)

    def addLink(self, node1: str, node2: str, *ports: int, **options: object) -> object:  # noqa: N802
        place = _authors_line()
        for name in (node1, node2):
            if name not in self.g.node:
                found = f"a link leads to {name!r}, which was not added before"
                raise UsageError(Problem(place, found, suggestion=did_you_mean(name, self.g.node)))
        key = super().addLink(node1, node2, *ports, **options)
        self.places_in_file[node1, node2, str(key)] = place
        return key


def _authors_line() -> str:
    """Return ``file:line`` of the nearest caller that is neither this module nor Mininet."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the documented way to one's caller
    while frame is not None and frame.f_code.co_filename in _NOT_THE_AUTHOR:
        frame = frame.f_back
    if frame is None:
        return ""
    directory = os.getcwd()  # noqa: PTH109 - a Path object would cost ten times the rest
    return f"{_shown(frame.f_code.co_filename, directory)}:{frame.f_lineno}"


@functools.lru_cache(maxsize=64)
def _shown(file: str, _directory: str) -> str:
    """Return a file as one would type it in that directory: every node and link asks for the same few."""
    return display_path(Path(file))


_NOT_THE_AUTHOR: Final = {__file__, inspect.getfile(Topo)}


def display_path(path: Path) -> str:
    """Return a path as one would type it: relative to the working directory where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
