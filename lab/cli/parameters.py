"""What is typed after ``--set`` and ``--program``: values as JSON where they are JSON, else as text."""

from __future__ import annotations

from collections.abc import Iterable

from lab.errors import Problem, UsageError
from lab.spec.assignment import parse_value, split_values
from lab.spec.event import JsonValue
from lab.spec.program import Program
from lab.spec.program_words import parse_program


def parse_assignments(assignments: Iterable[str]) -> dict[str, list[JsonValue]]:
    """Return the values by name.

    Raises:
        UsageError: an assignment without a name or a value, or one of them twice; all of them at once.
    """
    found: dict[str, list[JsonValue]] = {}
    problems = []
    for text in assignments:
        name, equals, values = text.partition("=")
        if not (name.strip() and equals and values):
            problems.append(Problem(f"--set {text}", "not an assignment", "NAME=VALUE or NAME=VALUE,VALUE"))
            continue
        texts = split_values(values)
        if len(set(texts)) < len(texts) or name.strip() in found:
            # The same trials twice would look like twice as many samples.
            problems.append(Problem(f"--set {text}", "the same twice", "each name and each value once"))
        found[name.strip()] = [parse_value(value) for value in texts]
    if problems:
        raise UsageError(*problems)
    return found


def parse_programs(texts: Iterable[str]) -> dict[str, Program]:
    """Return the programs by node or role; ``--program NODE=PROGRAM``.

    Raises:
        UsageError: not a program, or two for one node; all of them at once.
    """
    found: dict[str, Program] = {}
    problems: list[Problem] = []
    for text in texts:
        try:
            whose, program = parse_program(text)
        except UsageError as error:
            problems += error.problems
            continue
        if whose in found:
            problems.append(Problem(f"--program {text}", f"a second program for {whose!r}", "one"))
        found[whose] = program
    if problems:
        raise UsageError(*problems)
    return found


def parse_parameters(assignments: Iterable[str]) -> dict[str, JsonValue]:
    """Return the one value of each name.

    Raises:
        UsageError: as :func:`parse_assignments`; or several values of one name.
    """
    found = parse_assignments(assignments)
    problems = [
        Problem(f"--set {name}", f"{len(values)} values", "one: there is one network")
        for name, values in found.items()
        if len(values) > 1
    ]
    if problems:
        raise UsageError(*problems)
    return {name: values[0] for name, values in found.items()}


def parse_options(assignments: Iterable[str]) -> dict[str, str]:
    """Return the texts of ``NAME=VALUE`` arguments by name.

    Raises:
        UsageError: one is no assignment, or a name comes twice; all of them at once.
    """
    found: dict[str, str] = {}
    problems = []
    for text in assignments:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            problems.append(Problem(text, "not an assignment", "NAME=VALUE, such as delay=20ms"))
        elif name in found:
            problems.append(Problem(text, f"{name!r} a second time", "each name once"))
        found[name] = value
    if problems:
        raise UsageError(*problems)
    return found
