"""A YAML 1.2 file to plain values, with the line and column of each, within bounds whatever the file holds.

Built on the parser's events, not on its constructors: so duplicate keys are seen, tags build nothing, and
aliases are counted before they are expanded. Scalars follow the core schema (YAML 1.2.2 §10.3): ``on`` is
text, ``22:22`` is text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from lab.errors import Problem, UsageError
from lab.spec.topology_file import display_path

LARGEST_FILE: Final = 256 * 1024
"""Bytes; refused before it is read."""
MOST_VALUES: Final = 20_000
"""Values of a file, with every alias counted as often as it is used."""
DEEPEST: Final = 24

Trail = tuple[str | int, ...]
"""Where in the document: keys and indexes, from the top."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the text: line and column from 0, and how many characters it spans on that line.

    A length of 0 is a value that is not written: ``vary:`` and nothing after it.
    """

    line: int
    column: int
    length: int = 1


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a file holds: ``value`` as dicts, lists and scalars, with a mark for each value and each key."""

    path: Path
    lines: tuple[str, ...]
    value: Any
    values: Mapping[Trail, Mark]
    keys: Mapping[Trail, Mark]
    problems: tuple[Problem, ...] = ()
    """What is wrong with the file as YAML although it could be read: keys given twice, odd numbers."""

    def problem(
        self, trail: Trail, found: str, expected: str = "", suggestion: str = "", *, at_key: bool = False
    ) -> Problem:
        """Return a problem at a value, or at the key that names it; at the nearest one that the file has."""
        mark = self.keys.get(trail) if at_key else self.values.get(trail)
        while mark is None or (mark.length == 0 and trail):
            # Nothing is written there: the key that it is missing from, or what holds it.
            mark = self.keys.get(trail) or self.values.get(trail := trail[:-1])
        return problem_at(self.path, self.lines, mark, found, expected, suggestion)


def problem_at(
    path: Path, lines: tuple[str, ...], mark: Mark, found: str, expected: str = "", suggestion: str = ""
) -> Problem:
    """Return a problem at ``file:line:column``, with that line and a caret below the place."""
    where = f"{display_path(path)}:{mark.line + 1}:{mark.column + 1}"
    return Problem(where, found, expected, suggestion, excerpt=_excerpt(lines, mark))


_WIDEST: Final = 90


def _excerpt(lines: tuple[str, ...], mark: Mark) -> str:
    if mark.line >= len(lines):
        return ""
    text = "".join(character if character.isprintable() else " " for character in lines[mark.line])
    start = max(0, mark.column - _WIDEST // 2) if len(text) > _WIDEST else 0
    shown, column = text[start : start + _WIDEST].rstrip(), mark.column - start
    carets = "^" * max(1, min(mark.length, len(shown) - column))
    return f"{mark.line + 1:>5} | {shown}\n      | {' ' * column}{carets}"


def load_yaml(path: Path) -> Document:
    """Return the document of a file.

    Raises:
        UsageError: it cannot be read, is too large, not UTF-8, not YAML, not one mapping, or beyond the
            bounds on values and depth.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise UsageError(_too_large(path, size))
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UsageError(Problem(display_path(path), f"cannot be read: {error.strerror}")) from None
    return parse_yaml(data, path)


def parse_yaml(data: bytes, path: Path) -> Document:
    """Return the document that ``data`` holds; ``path`` is named in what is reported.

    Raises:
        UsageError: as :func:`load_yaml`.
    """
    if len(data) > LARGEST_FILE:  # a pipe, or a file that grew, says no size beforehand
        raise UsageError(_too_large(path, len(data)))
    text = _decode(data, path)
    lines = tuple(re.split(r"\r\n|[\n\r]", text))
    reader = _Reader(path, lines)
    try:
        root = reader.read(YAML(typ="safe", pure=True).parse(text))
    except ReaderError as error:
        before = text[: error.position]
        mark = Mark(before.count("\n"), len(before) - before.rfind("\n") - 1)
        found = f"character U+{ord(text[error.position]):04X} is not allowed in YAML"
        raise UsageError(problem_at(path, lines, mark, found)) from None
    except MarkedYAMLError as error:
        raise UsageError(_syntax_problem(error, path, lines)) from None
    except (YAMLError, ValueError, LookupError, AttributeError, TypeError) as error:
        # What the parser itself trips over in a few malformed directives and tags.
        raise UsageError(Problem(display_path(path), f"is not YAML: {error}")) from None
    if not isinstance(root.content, dict):
        found = "the file is empty" if root.content is None else "the file is not a mapping"
        raise UsageError(
            problem_at(path, lines, root.mark, found, "keys and values, beginning with callpath: 1")
        )
    value = reader.expand(root, ())
    return Document(
        path=path,
        lines=lines,
        value=value,
        values=reader.values,
        keys=reader.keys,
        problems=tuple(reader.problems),
    )


def _too_large(path: Path, size: int) -> Problem:
    expected = f"at most {LARGEST_FILE // 1024} KiB"
    return Problem(display_path(path), f"too large for a scenario: {size} bytes", expected)


def _decode(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        found = f"byte 0x{data[error.start]:02x} is not UTF-8"
        where = f"{display_path(path)}:{line}:{column}"
        raise UsageError(Problem(where, found, suggestion="save the file as UTF-8")) from None


def _syntax_problem(error: MarkedYAMLError, path: Path, lines: tuple[str, ...]) -> Problem:
    mark = error.problem_mark or error.context_mark
    words = " ".join(part for part in (error.context, error.problem) if part)
    found = f"not YAML: {words}"
    if mark is None:
        return Problem(display_path(path), found)
    return problem_at(path, lines, Mark(mark.line, mark.column), found)


@dataclass(slots=True)
class _Node:
    """A value before its aliases are expanded; ``content`` is a scalar, or holds nodes."""

    content: Any
    mark: Mark
    key_marks: dict[Any, Mark] = field(default_factory=dict)


class _Reader:
    """Builds nodes from events, then values from nodes."""

    def __init__(self, path: Path, lines: tuple[str, ...]) -> None:
        self._path = path
        self._lines = lines
        self._anchors: dict[str, _Node] = {}
        self._count = 0
        self.problems: list[Problem] = []
        self.values: dict[Trail, Mark] = {}
        self.keys: dict[Trail, Mark] = {}

    def read(self, events: Iterator[Event]) -> _Node:
        """Return the node of the only document."""
        documents = 0
        root = _Node(None, Mark(0, 0))
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise UsageError(self._problem(_mark(event), "a second document", "one scenario a file"))
            elif isinstance(event, NodeEvent):
                root = self._node(event, events, 0)
        return root

    def _problem(self, mark: Mark, found: str, expected: str = "", suggestion: str = "") -> Problem:
        return problem_at(self._path, self._lines, mark, found, expected, suggestion)

    def _node(self, event: Event, events: Iterator[Event], depth: int) -> _Node:
        mark = _mark(event)
        self._bound(mark, depth)
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                found = f"*{event.anchor} names no anchor that is complete here"
                raise UsageError(self._problem(mark, found, f"&{event.anchor} on an earlier value"))
            return self._anchors[event.anchor]
        tag, anchor = getattr(event, "tag", None), getattr(event, "anchor", None)
        if tag is not None:
            raise UsageError(self._problem(mark, f"tag {tag} is not used in scenarios", "a plain value"))
        node = _Node(None, mark)
        if isinstance(event, ScalarEvent):
            node.content = self._scalar(event, mark)
        elif isinstance(event, SequenceStartEvent):
            node.content = self._sequence(events, depth)
        elif isinstance(event, MappingStartEvent):
            node.content = self._mapping(events, depth, node.key_marks)
        if anchor:
            self._anchors[anchor] = node
        return node

    def _bound(self, mark: Mark, depth: int) -> None:
        self._count += 1
        if self._count > MOST_VALUES:
            expected = f"at most {MOST_VALUES}, each alias counted as often as it is used"
            raise UsageError(self._problem(mark, "too many values", expected))
        if depth > DEEPEST:
            raise UsageError(self._problem(mark, "nested too deep", f"at most {DEEPEST} levels"))

    def _sequence(self, events: Iterator[Event], depth: int) -> list[_Node]:
        nodes = []
        while not isinstance(event := next(events), SequenceEndEvent):
            nodes.append(self._node(event, events, depth + 1))
        return nodes

    def _mapping(self, events: Iterator[Event], depth: int, key_marks: dict[Any, Mark]) -> dict[Any, _Node]:
        nodes: dict[Any, _Node] = {}
        while not isinstance(event := next(events), MappingEndEvent):
            key = self._node(event, events, depth + 1)
            value = self._node(next(events), events, depth + 1)
            name = key.content
            if not isinstance(name, str | int | float):
                self.problems.append(self._problem(key.mark, "a key that is no text", "a name"))
            elif name in nodes:
                first = f"first at line {key_marks[name].line + 1}"
                self.problems.append(self._problem(key.mark, f"key {str(name)!r} is given twice", "", first))
            else:
                nodes[name], key_marks[name] = value, key.mark
        return nodes

    def _scalar(self, event: ScalarEvent, mark: Mark) -> Any:
        if event.style:  # quoted or a block: text
            return event.value
        try:
            return plain_scalar(event.value)
        except ValueError as error:
            self.problems.append(self._problem(mark, f"{event.value[:40]!r} {error}", "a finite number"))
            return 0

    def expand(self, node: _Node, trail: Trail) -> Any:
        """Return a node's value, and note where everything in it stands."""
        if trail:
            self._bound(node.mark, len(trail))
        else:
            self._count = 0
        self.values[trail] = node.mark
        if isinstance(node.content, list):
            return [self.expand(item, (*trail, index)) for index, item in enumerate(node.content)]
        if isinstance(node.content, dict):
            for key, mark in node.key_marks.items():
                self.keys[*trail, key] = mark
            return {key: self.expand(item, (*trail, key)) for key, item in node.content.items()}
        return node.content


_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: Final = {"": None, "~": None} | {
    spelling: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for spelling in (word, word.title(), word.upper())
}


def plain_scalar(text: str) -> str | int | float | bool | None:
    """Return what an unquoted scalar means (YAML 1.2.2 §10.3.2).

    Raises:
        ValueError: a number that is not finite, or has more digits than anything here needs.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("is not finite")
    if _INTEGER.fullmatch(text):
        if len(text) > 18:
            raise ValueError("has too many digits")
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    if _FLOAT.fullmatch(text):
        if not math.isfinite(number := float(text)):
            raise ValueError("is not finite")
        return number
    return text


def _mark(event: Event) -> Mark:
    start, end = event.start_mark, event.end_mark
    length = end.column - start.column if end.line == start.line else 1
    nothing = isinstance(event, ScalarEvent) and length == 0
    return Mark(start.line, start.column, 0 if nothing else max(1, length))
