"""The format of scenario files, version 1: what each key means, and what alone can be wrong with its value.

The steps of a timeline are in :mod:`lab.spec.scenario_timeline`; what concerns several keys, or the topology,
is in :mod:`lab.spec.scenario_checks`. Times are seconds here and text with a unit in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, StrictStr

from lab.errors import Problem
from lab.spec.command import CandidatePolicy
from lab.spec.program_words import ProgramWords
from lab.spec.scenario_timeline import Media, Step
from lab.spec.scenario_values import (
    Name,
    Part,
    PositiveSeconds,
    Scalar,
    Seconds,
    SignedSeconds,
    Weight,
    refuse,
)
from lab.spec.trial import DEFAULT_EVENT_BUDGET

FORMAT_VERSION: Final = 1

SLUG_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,59}$"
REQUIREMENT_PATTERN: Final = r"^Z[0-9]+-[0-9]+$"


def _version(value: object) -> object:
    if value == FORMAT_VERSION and not isinstance(value, bool | float):
        return value
    raise refuse(((), Problem("", f"format {value!r} is not known here", f"callpath: {FORMAT_VERSION}")))


def _one_or_list(value: object) -> object:
    return [value] if isinstance(value, Mapping) else value


Slug = Annotated[StrictStr, Field(pattern=SLUG_PATTERN)]


class Policy(Part):
    """What an endpoint may use to be reached."""

    candidates: Literal["all", "no-relay", "relay-only"] = Field(
        default="all", description="Which candidates it gathers."
    )
    turn_transports: tuple[Literal["udp", "tcp", "tls"], ...] = Field(
        default=("udp", "tcp", "tls"),
        min_length=1,
        description="How it tries to reach the TURN server, in order.",
    )
    ipv6: StrictBool = Field(default=True, description="Whether it gathers IPv6 candidates.")

    def to_command(self) -> CandidatePolicy:
        """Return it as a command to a role carries it."""
        return CandidatePolicy.model_validate(self.model_dump())


class CallPlan(Part):
    """One call."""

    name: Name | None = Field(
        default=None, description="What the timeline calls it; `call-1`, `call-2` ... if not given."
    )
    caller: Name = Field(alias="from", description="The endpoint that calls.")
    callee: Name = Field(alias="to", description="The endpoint that is called.")
    at: Seconds = Field(default=0.0, description="When it is made, from the start of the trial.")
    hold: Seconds = Field(
        default=0.0, description="How long it is held once it is set up and its media was sent."
    )
    start_offset: SignedSeconds = Field(
        default=0.0, description="Delays the caller's connectivity checks; negative: the callee's."
    )
    timeout: PositiveSeconds = Field(default=120.0, description="The longest that its set-up is waited for.")
    policy: Policy = Field(default=Policy(), description="What both sides may use to be reached.")
    callee_policy: Policy | None = Field(
        default=None, description="What the callee may use, where it differs."
    )
    media: Media = Field(default=Media(), description="What each side sends once connected.")


class KernelWorld(Part):
    """What differs in the kernel world."""

    set_: Mapping[Name, Scalar] = Field(
        default_factory=dict, alias="set", description="Parameters that take another value there."
    )


class ScenarioSpec(Part):
    """A scenario: who calls whom on which network, what happens meanwhile, and what must hold."""

    callpath: Annotated[Literal[1], BeforeValidator(_version)] = Field(description="Version of this format.")
    name: Slug | None = Field(
        default=None, description="What results are called by; the file's name if not given."
    )
    description: StrictStr = Field(default="", description="What is run, for people.")
    why: StrictStr = Field(default="", description="Why it must hold, for people.")
    topology: Name = Field(description="A topology's name, or the path of its file.")
    parameters: Mapping[Name, Scalar] = Field(
        default_factory=dict, description="Parameters of the topology, the same in every trial."
    )
    vary: Mapping[Name, tuple[Scalar, ...]] = Field(
        default_factory=dict,
        description="Parameters of the topology with a list each: every combination is run.",
    )
    population: Mapping[Name, Mapping[Scalar, Weight]] = Field(
        default_factory=dict, description="Parameters drawn anew in every repetition, by weight."
    )
    repeat: StrictInt = Field(default=1, ge=0, le=1_000_000, description="Repetitions of each combination.")
    calls: Annotated[tuple[CallPlan, ...], BeforeValidator(_one_or_list)] = Field(
        min_length=1, max_length=10_000, description="One call, or a list."
    )
    timeline: tuple[Step, ...] = Field(
        default=(), description="What is done to the network and the calls, and when."
    )
    expect: tuple[Mapping[StrictStr, Any], ...] = Field(default=(), description="What must hold.")
    deadline: PositiveSeconds | None = Field(
        default=None,
        description="A trial still running then (on its own clock) is invalid; else 10min after its calls.",
    )
    event_budget: StrictInt = Field(
        default=DEFAULT_EVENT_BUDGET, ge=1, le=10**12, description="A trial with more events is invalid."
    )
    programs: Mapping[Name, ProgramWords] = Field(
        default_factory=dict,
        description="By node or role, what runs there in place of the lab's program; in the kernel world.",
    )
    worlds: tuple[Literal["sim", "emu"], ...] = Field(
        default=("sim", "emu"), min_length=1, description="The worlds it can run in."
    )
    worlds_reason: StrictStr = Field(default="", description="Why not in the others; needed with `worlds`.")
    emu: KernelWorld = Field(
        default=KernelWorld(), description="What is different when it runs in the kernel world."
    )
    matrix: tuple[Name, Name] | None = Field(
        default=None, description="The two parameters that make the rows and the columns of the picture."
    )
    requirements: tuple[Annotated[StrictStr, Field(pattern=REQUIREMENT_PATTERN)], ...] = Field(
        default=(), description="Rows of the requirements that this scenario shows."
    )
