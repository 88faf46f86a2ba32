"""The words that say which programs run on nodes: the same in scenario files, Python and JSON.

A node's or role's name maps to an adapter's name, or to a mapping with one of ``adapter``, ``command`` and
``image``. A command line says it in one line (:func:`parse_program`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BeforeValidator, Field, StrictFloat, StrictInt, StrictStr, TypeAdapter, ValidationError

from lab.errors import Problem, UsageError, did_you_mean
from lab.spec.adapters import adapter_problem, option_problems, with_files
from lab.spec.program import LAB_PROGRAM, READY_SECONDS, Program
from lab.spec.scenario_values import PROBLEMS, Name, Part, PositiveSeconds, Size
from lab.spec.yaml_loader import parse_yaml


class ProgramPlan(Part):
    """A program in place of the lab's own: one of adapter, command and image."""

    adapter: Name | None = Field(default=None, description="One that ships with the lab.")
    command: tuple[StrictStr, ...] | None = Field(
        default=None,
        min_length=1,
        description="A program and its arguments, started in the directory of this file.",
    )
    image: Name | None = Field(default=None, description="A container's image; with command, what it runs.")
    options: Mapping[Name, Any] = Field(default_factory=dict, description="What the program is told.")
    ready_within: PositiveSeconds = Field(
        default=READY_SECONDS, description="The time it has to say that it is ready."
    )
    memory: Size | None = Field(default=None, description="The most memory that a container may use.")
    cpus: StrictFloat | StrictInt | None = Field(
        default=None, gt=0, description="The most processors that a container may use."
    )

    def to_program(self, directory: str) -> Program:
        """Return it as a trial has it; a command is started, and files are found, in ``directory``."""
        if self.adapter == LAB_PROGRAM:
            return Program()
        program = Program(
            adapter=self.adapter or "",
            command=self.command or (),
            image=self.image or "",
            options=self.options,
            directory=directory if self.command and not self.image else "",
            ready_within=self.ready_within,
            memory=self.memory or 0,
            cpus=float(self.cpus or 0),
        )
        return with_files(program, directory)


def _adapter_or_mapping(value: object) -> object:
    return {"adapter": value} if isinstance(value, str) else value


ProgramWords = Annotated[
    ProgramPlan, BeforeValidator(_adapter_or_mapping, json_schema_input_type=ProgramPlan | Name)
]
_PLANS: Final[TypeAdapter[dict[str, ProgramPlan]]] = TypeAdapter(dict[Name, ProgramWords])


class PlanProblem(NamedTuple):
    """What is wrong with a plan, and with which of its keys; ``at_key``: with the key, not with its value."""

    trail: tuple[str, ...]
    problem: Problem
    at_key: bool


def plan_problems(name: str, plan: ProgramPlan, directory: str) -> Iterator[PlanProblem]:
    """Yield what is wrong with the program of a node or role, whatever the network."""
    given = [key for key in ("adapter", "command", "image") if getattr(plan, key) is not None]
    if given in (["adapter"], ["command"], ["image"], ["command", "image"]):
        if plan.adapter is not None and (problem := adapter_problem(plan.adapter)) is not None:
            yield PlanProblem(("adapter",), problem, at_key=False)
    else:
        found = f"{name!r} has {' and '.join(given)}" if given else f"{name!r} has no program"
        yield PlanProblem((), Problem("", found, "one of adapter, command and image"), at_key=True)
    for limit in ("memory", "cpus"):
        if getattr(plan, limit) is not None and plan.image is None:
            found = f"{name!r} is no container, and cannot be limited"
            yield PlanProblem((limit,), Problem("", found, "an image"), at_key=True)
    for option, problem in option_problems(plan.to_program(directory)):
        yield PlanProblem(("options", option), problem, at_key=True)


def programs_of_plans(plans: Mapping[str, ProgramPlan], *, directory: str, where: str) -> dict[str, Program]:
    """Return the programs of plans by node or role.

    Raises:
        UsageError: what is wrong with them, all of it at once, each told as a place below ``where``.
    """
    problems = [
        _told(where, (name, *wrong.trail), wrong.problem)
        for name, plan in plans.items()
        for wrong in plan_problems(name, plan, directory)
    ]
    if problems:
        raise UsageError(*problems)
    return {name: plan.to_program(directory) for name, plan in plans.items()}


def read_programs(value: object, *, directory: Path, where: str) -> dict[str, Program]:
    """Return programs by node or role, from words; a :class:`Program` stands for itself.

    Args:
        value: a mapping, as in a scenario's ``programs``.
        directory: where commands are started and files are found.
        where: what it is called where problems are told.

    Raises:
        UsageError: what is wrong with it, all of it at once.
    """
    if not isinstance(value, Mapping):
        expected = 'programs by node or role, such as {"alice": "chromium"}'
        raise UsageError(Problem(where, f"{value!r}"[:80], expected))
    ready = {name: program for name, program in value.items() if isinstance(program, Program)}
    words = {name: program for name, program in value.items() if name not in ready}
    try:
        plans = _PLANS.validate_python(words)
    except ValidationError as error:
        found = [p for detail in error.errors() for p in problems_found(where, detail["loc"], detail)]
        raise UsageError(*found) from None
    return ready | programs_of_plans(plans, directory=str(directory), where=where)


def problems_found(where: str, place: Sequence[str | int], detail: Any) -> Iterator[Problem]:
    """Yield one of pydantic's findings in the lab's form; ``place`` is where below the programs it is."""
    trail = tuple(part for part in place if part != "[key]")
    if detail["type"] == PROBLEMS:
        for below, problem in detail["ctx"]["problems"]:
            yield _told(where, (*trail, *below), problem)
    elif detail["type"] == "extra_forbidden":
        known = did_you_mean(str(trail[-1]), ProgramPlan.model_fields)
        yield _told(where, trail[:-1], Problem("", f"unknown key {trail[-1]!r}", "", known))
    else:
        expected = detail["msg"].removeprefix("Input should be ")
        yield _told(where, trail, Problem("", f"{detail['input']!r}"[:80], expected))


def _told(where: str, trail: tuple[str | int, ...], problem: Problem) -> Problem:
    place = ".".join(map(str, trail))
    return Problem(f"{where}: {place}", problem.found, problem.expected, problem.suggestion)


# On a command line

_WITH_OPTIONS: Final = re.compile(r"([\w-]+)(\{.*\})")


def parse_program(text: str) -> tuple[str, Program]:
    """Return the node, or role, and its program as typed: ``alice=chromium``, ``endpoint=./my-client.sh -v``.

    An adapter's options follow in braces, as in a scenario: ``alice=chromium{trickle: false}``. What stands
    in braces alone is all that a scenario could say: ``alice={image: mine, memory: 64MiB}``. What else has a
    slash or a space in it is a command, in the words of a shell, started in this directory.

    Raises:
        UsageError: it is neither.
    """
    whose, sign, what = (part.strip() for part in text.partition("="))
    where = f"--program {text}"
    if not (whose and sign and what):
        raise UsageError(Problem(where, "not a node and its program", "NODE=ADAPTER or NODE=COMMAND"))
    if what.startswith("{"):
        return whose, replace(_in_scenario_words(where, whose, what), typed=what)
    if (with_options := _WITH_OPTIONS.fullmatch(what)) is not None:
        return whose, replace(_with_options(where, *with_options.groups()), typed=what)
    if "/" in what or " " in what:
        try:
            return whose, Program(command=tuple(shlex.split(what)), directory=str(Path.cwd()), typed=what)
        except ValueError as error:
            raise UsageError(Problem(where, f"not the words of a shell: {error}")) from None
    _check_adapter(where, what)
    return whose, Program(adapter="" if what == LAB_PROGRAM else what, typed=what)


def _in_scenario_words(where: str, whose: str, words: str) -> Program:
    document = parse_yaml(words.encode(), Path(where))
    if document.problems:
        raise UsageError(*document.problems)
    return read_programs({whose: document.value}, directory=Path.cwd(), where=where)[whose]


def _check_adapter(where: str, name: str) -> None:
    if (problem := adapter_problem(name)) is not None:
        hint = f"{problem.suggestion}; a command has a slash or a space in it"
        raise UsageError(Problem(where, problem.found, suggestion=hint))


def _with_options(where: str, adapter: str, options: str) -> Program:
    """Return an adapter with the options that stand in braces.

    Raises:
        UsageError: it is none, or an option is not one of its.
    """
    _check_adapter(where, adapter)
    document = parse_yaml(options.encode(), Path(where))
    program = with_files(Program(adapter=adapter, options=document.value), str(Path.cwd()))
    problems = [*document.problems, *(replace(p, where=where) for _, p in option_problems(program))]
    if problems:
        raise UsageError(*problems)
    return program
