"""A scenario file read and checked: every problem at once, each at its line and column."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from lab.errors import Problem, UsageError, did_you_mean
from lab.spec.expectation import Expectation, parse_expectation
from lab.spec.scenario import REQUIREMENT_PATTERN, SLUG_PATTERN, ScenarioSpec
from lab.spec.scenario_checks import check_conditions, check_together
from lab.spec.scenario_values import PROBLEMS
from lab.spec.yaml_loader import Document, Trail, load_yaml, parse_yaml


@dataclass(frozen=True, kw_only=True)
class ScenarioFile:
    """A scenario and the file it came from; ``document`` tells where in it each value stands."""

    spec: ScenarioSpec
    document: Document
    expectations: tuple[Expectation, ...] = ()

    @property
    def path(self) -> Path:
        """The file."""
        return self.document.path

    @property
    def name(self) -> str:
        """What the scenario is called."""
        return self.spec.name or self.path.stem


def read_scenario(path: Path) -> ScenarioFile:
    """Return the scenario of a YAML file.

    Raises:
        UsageError: the file, or anything in it, is wrong; with every problem found.
    """
    return check_scenario(load_yaml(path))


def parse_scenario(data: bytes, path: Path) -> ScenarioFile:
    """Return the scenario that ``data`` holds; ``path`` is named in what is reported.

    Raises:
        UsageError: as :func:`read_scenario`.
    """
    return check_scenario(parse_yaml(data, path))


_PLACEHOLDERS: Final = {"callpath": 1, "topology": "none", "calls": {"from": "a", "to": "b"}}


def check_scenario(document: Document) -> ScenarioFile:
    """Return a document as a scenario.

    Raises:
        UsageError: as :func:`read_scenario`.
    """
    problems = list(document.problems)
    broken: frozenset[str] = frozenset()
    try:
        spec = ScenarioSpec.model_validate(document.value)
    except ValidationError as error:
        details = error.errors()
        problems += _without_repeats(document, details)
        broken = frozenset(str(detail["loc"][0]) for detail in details if detail["loc"])
        # What is right is judged together all the same, so that one look shows everything.
        intact = {key: value for key, value in document.value.items() if str(key) not in broken}
        spec = ScenarioSpec.model_validate(_PLACEHOLDERS | intact)
    problems += check_together(spec, document, broken)
    expectations = [] if "expect" in broken else _expectations(spec, document, problems)
    if not broken.intersection(("expect", "vary", "population")):
        problems += check_conditions(spec, document, expectations)
    if problems:
        raise UsageError(*_in_order(problems, document))
    read = tuple(expectation for expectation in expectations if expectation is not None)
    return ScenarioFile(spec=spec, document=document, expectations=read)


def _expectations(
    spec: ScenarioSpec, document: Document, problems: list[Problem]
) -> list[Expectation | None]:
    """Return what must hold; None where that cannot be read, with its problems added."""
    read: list[Expectation | None] = []
    for index, record in enumerate(spec.expect):
        try:
            read.append(parse_expectation(record, f"expect[{index}]"))
        except UsageError as error:
            read.append(None)
            problems += [_at_key_path(document, problem) for problem in error.problems]
    return read


_KEY_PATH: Final = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def _at_key_path(document: Document, problem: Problem) -> Problem:
    """Return a problem told at a key path (``expect[2].p95``) at its place in the file."""
    parts = _KEY_PATH.findall(problem.where)
    trail = tuple(int(index) if index else name for index, name in parts)
    at_key = problem.found.startswith("unknown key")
    return document.problem(trail, problem.found, problem.expected, problem.suggestion, at_key=at_key)


def _in_order(problems: Sequence[Problem], document: Document) -> list[Problem]:
    """Return the problems from top to bottom; one in the YAML stands for what follows from it there."""
    as_yaml = {problem.where for problem in document.problems}
    kept = [p for p in dict.fromkeys(problems) if p.where not in as_yaml or p in document.problems]
    return sorted(kept, key=_place)


def _place(problem: Problem) -> tuple[int, int]:
    parts = problem.where.rsplit(":", 2)
    return (int(parts[1]), int(parts[2])) if len(parts) == 3 and parts[1].isdigit() else (0, 0)


def _without_repeats(document: Document, details: Sequence[Any]) -> list[Problem]:
    return list(dict.fromkeys(problem for detail in details for problem in _problems(document, detail)))


def _problems(document: Document, detail: Mapping[str, Any]) -> list[Problem]:
    """Return one of pydantic's errors in the project's words."""
    trail = _trail_in(document, detail["loc"])
    kind, found, context = detail["type"], _shown(detail["input"]), detail.get("ctx", {})
    if kind == PROBLEMS:
        return [
            document.problem((*trail, *below), problem.found, problem.expected, problem.suggestion)
            for below, problem in context["problems"]
        ]
    if kind == "extra_forbidden":
        known = _known_keys(detail["loc"][:-1])
        return [
            document.problem(
                trail, f"unknown key {str(trail[-1])!r}", "", did_you_mean(str(trail[-1]), known), at_key=True
            )
        ]
    if kind == "too_short" and len(detail["input"]) >= context["min_length"]:
        return []  # what is wrong with the entries is told by themselves
    if kind == "missing":
        last = detail["loc"][-1]
        if isinstance(last, int):
            return [document.problem(trail, f"entry {last + 1} is missing")]
        return [document.problem(trail, f"{last!r} is missing", f"{last}: {_described(detail['loc'])}")]
    if kind == "literal_error":
        return [document.problem(trail, f"{found} is not one of the choices", context["expected"])]
    expected = (
        _EXPECTED.get(kind)
        or _PATTERNS.get(context.get("pattern", ""))
        or detail["msg"].removeprefix("Input should be ")
    )
    return [document.problem(trail, f"{found} is not what belongs here", expected)]


_EXPECTED: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "mapping_type": "a mapping of names to values",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of names to values",
    "too_short": "at least one entry",
    "too_long": "fewer entries",
    "invalid_key": "a name",
}


_PATTERNS: Final = {
    SLUG_PATTERN: "up to 60 lower-case letters, digits, - and _",
    REQUIREMENT_PATTERN: "a row such as Z1-6",
}


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    return "nothing" if value is None else repr(value)[:60]


def _trail_in(document: Document, location: Trail) -> Trail:
    """Return a location as the file has it: where one call stands for a list of it, there is no index."""
    trail: Trail = ()
    for part in location:
        if part == 0 and (*trail, 0) not in document.values and trail == ("calls",):
            continue
        if part == "[key]":
            continue
        trail = (*trail, part)
    return trail


def _known_keys(location: Trail) -> list[str]:
    """Return the keys that a mapping of the format may have."""
    model = _annotation(location)
    if isinstance(model, type) and issubclass(model, BaseModel):
        return [field.alias or name for name, field in model.model_fields.items()]
    return []


def _described(location: Trail) -> str:
    """Return what the format says about a key."""
    model = _annotation(location[:-1])
    if isinstance(model, type) and issubclass(model, BaseModel):
        for name, field in model.model_fields.items():
            if (field.alias or name) == location[-1]:
                return (field.description or "").replace("`", "").rstrip(".")
    return ""


def _annotation(location: Trail) -> Any:
    """Return the type that the format has at a location."""
    found: Any = ScenarioSpec
    for part in location:
        if isinstance(found, type) and issubclass(found, BaseModel):
            fields = {field.alias or name: field for name, field in found.model_fields.items()}
            found = fields[str(part)].annotation if part in fields else None
        else:
            found = get_args(found)[1 if get_origin(found) is not tuple else 0] if get_args(found) else None
        found = _bare(found)
    return found


def _bare(annotation: Any) -> Any:
    """Return a type without ``Annotated`` and ``None``."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in {Union, types.UnionType}:
            annotation = next(kind for kind in get_args(annotation) if kind is not types.NoneType)
        else:
            return annotation
