"""The format of scenario files, version 1: what each key means, and what alone can be wrong with its value.

What concerns several keys, or the topology, is :mod:`lab.spec.scenario_checks`. Times are seconds here and
text with a unit in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from lab.errors import Problem, UsageError
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.impairment_options import parse_impairment
from lab.spec.trial import DEFAULT_EVENT_BUDGET
from lab.units import format_duration, parse_duration

FORMAT_VERSION: Final = 1
LONGEST: Final = 31 * 86_400.0
"""Seconds: the longest time that a scenario may name."""

SLUG_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,59}$"
REQUIREMENT_PATTERN: Final = r"^Z[0-9]+-[0-9]+$"

PROBLEMS: Final = "callpath_problems"
"""The type of validation errors that carry the project's own problems: pairs of (trail below, problem)."""


def _refuse(*problems: tuple[tuple[str | int, ...], Problem]) -> PydanticCustomError:
    return PydanticCustomError(PROBLEMS, "not usable", {"problems": problems})


def _seconds(value: object, *, signed: bool = False) -> float:
    negative = signed and isinstance(value, str) and value.strip().startswith("-")
    try:
        seconds = parse_duration(str(value).strip()[1:] if negative else value)
    except UsageError as error:
        raise _refuse(*(((), problem) for problem in error.problems)) from None
    if seconds > LONGEST:
        raise _refuse(((), Problem("", f"{value!r} is too long", f"at most {format_duration(LONGEST)}")))
    return -seconds if negative else seconds


def _signed_seconds(value: object) -> float:
    return _seconds(value, signed=True)


def _positive_seconds(value: object) -> float:
    if (seconds := _seconds(value)) == 0:
        raise _refuse(((), Problem("", f"{value!r} is no time at all", "a duration above 0")))
    return seconds


def _version(value: object) -> object:
    if value == FORMAT_VERSION and not isinstance(value, bool | float):
        return value
    raise _refuse(((), Problem("", f"format {value!r} is not known here", f"callpath: {FORMAT_VERSION}")))


def _weight(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _refuse(((), Problem("", f"{value!r} is not a weight", "a number above 0, such as 55")))
    if value <= 0:
        suggestion = "leave out what never occurs"
        raise _refuse(((), Problem("", f"a weight of {value!r}", "a number above 0", suggestion)))
    return float(value)


def _scalar(value: object) -> object:
    if isinstance(value, str | bool | int | float):
        return value
    raise _refuse(((), Problem("", f"{value!r} is no single value", "text, a number, true or false")))


def _one_or_list(value: object) -> object:
    return [value] if isinstance(value, Mapping) else value


_UNIT: Final = r"\s*(us|µs|ms|s|min|h)\s*$"
_DURATION: Final = {"anyOf": [{"type": "string", "pattern": rf"^\s*\+?[0-9.eE+-]+{_UNIT}"}, {"const": 0}]}
_SIGNED: Final = {"anyOf": [{"type": "string", "pattern": rf"^\s*[+-]?[0-9.eE+-]+{_UNIT}"}, {"const": 0}]}

Seconds = Annotated[float, BeforeValidator(_seconds), WithJsonSchema(_DURATION)]
SignedSeconds = Annotated[float, BeforeValidator(_signed_seconds), WithJsonSchema(_SIGNED)]
PositiveSeconds = Annotated[float, BeforeValidator(_positive_seconds), WithJsonSchema(_DURATION)]
Weight = Annotated[float, BeforeValidator(_weight), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
Scalar = Annotated[Any, BeforeValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Name = Annotated[StrictStr, Field(min_length=1, max_length=100)]
Slug = Annotated[StrictStr, Field(pattern=SLUG_PATTERN)]


class Part(BaseModel):
    """Any mapping of a scenario file: frozen, and without a key that is not described."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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


class Media(Part):
    """Datagrams that each side sends once connected."""

    packets: StrictInt = Field(default=5, ge=0, le=10_000_000, description="How many each side sends.")
    interval: PositiveSeconds = Field(default=0.02, description="Time between two.")
    size: StrictInt = Field(default=172, ge=24, le=65_000, description="Bytes of each.")

    @property
    def duration(self) -> float:
        """Seconds until the last was sent."""
        return self.packets * self.interval

    def to_command(self) -> MediaPlan:
        """Return it as a command to a role carries it."""
        return MediaPlan(packets=self.packets, interval=self.interval, size=self.size)


class MediaOfCall(Media):
    """More media on an established call."""

    call: Name = Field(description="The call's name.")


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


class LinkOptions(Part):
    """Impairments of one link; what is not given is off."""

    delay: Any = Field(default=None, description="One-way delay: `20ms`.")
    jitter: Any = Field(
        default=None, description="How far the delay varies either way, at most the delay: `5ms`."
    )
    jitter_order: Any = Field(default=None, description="Whether packets may overtake: `keep` or `free`.")
    loss: Any = Field(default=None, description="Share lost at random: `1%`.")
    loss_burst: Any = Field(
        default=None, description="Loss in bursts: `{good_to_bad: 1%, bad_to_good: 25%}`, a packet."
    )
    loss_exactly: Any = Field(default=None, description='So many of each block: `"1/10"`.')
    duplicate: Any = Field(default=None, description="Share that arrives twice.")
    reorder: Any = Field(default=None, description="Share that is sent early; needs a delay.")
    reorder_gap: Any = Field(default=None, description="The most by which it is early.")
    rate: Any = Field(default=None, description="Bits a second: `2Mbit/s`.")
    queue: Any = Field(default=None, description="Bytes that wait for the rate: `64KiB`.")
    mtu: Any = Field(default=None, description="Largest IP packet: `1400B`.")


class SetLink(LinkOptions):
    """Impair a link from now on."""

    link: Name = Field(description="The link's label.")
    forward: LinkOptions | None = Field(default=None, description="Options of one direction, which win.")
    backward: LinkOptions | None = Field(default=None, description="Options of the other direction.")

    @property
    def options(self) -> dict[str, Any]:
        """The impairments, as :meth:`lab.handle.Lab.impair` takes them."""
        return self.model_dump(exclude_unset=True, exclude={"link"})

    @model_validator(mode="after")
    def _options_are_right(self) -> SetLink:
        try:
            parse_impairment(self.options, "")
        except UsageError as error:
            raise _refuse(*map(_at_option, error.problems)) from None
        if not self.options:
            raise _refuse(
                ((), Problem("", "no impairment is set", "such as loss: 100%", "to undo one: reset"))
            )
        return self


def _at_option(problem: Problem) -> tuple[tuple[str | int, ...], Problem]:
    return tuple(problem.where.split(".")) if problem.where else (), problem


class OneLink(Part):
    """A link, by its label."""

    link: Name = Field(description="The link's label.")


class Flap(OneLink):
    """Cut and heal a link several times."""

    down: PositiveSeconds = Field(description="How long it is cut each time.")
    up: PositiveSeconds = Field(description="How long it is whole in between.")
    times: StrictInt = Field(default=1, ge=1, le=10_000, description="How often it is cut.")


class Reboot(Part):
    """Power-cycle a NAT box: every mapping is lost."""

    nat: Name = Field(description="The box's name.")


class OneCall(Part):
    """A call, by its name."""

    call: Name = Field(description="The call's name.")


class Step(Part):
    """Something that is done at a time: exactly one of the actions."""

    at: Seconds = Field(description="When, from the start of the trial.")
    set_: SetLink | None = Field(default=None, alias="set", description="Impair a link.")
    reset: OneLink | None = Field(
        default=None, description="Give a link back the impairments of the topology."
    )
    cut: OneLink | None = Field(default=None, description="Let nothing through a link.")
    heal: OneLink | None = Field(default=None, description="Undo `cut`.")
    flap: Flap | None = Field(default=None, description="Cut and heal a link several times.")
    reboot: Reboot | None = Field(default=None, description="Power-cycle a NAT box.")
    send_media: MediaOfCall | None = Field(default=None, description="Send more media on a call.")
    hang_up: OneCall | None = Field(default=None, description="End a call before its hold is over.")

    @property
    def action(self) -> tuple[str, Part]:
        """The action's name in the file, and its settings."""
        (found,) = self._actions()
        return found

    def _actions(self) -> list[tuple[str, Part]]:
        settings = ((name, getattr(self, name)) for name in type(self).model_fields if name != "at")
        return [(name.rstrip("_"), value) for name, value in settings if value is not None]

    @property
    def end(self) -> float:
        """Seconds from the start of the trial at which it is over."""
        flap = self.flap
        return self.at if flap is None else self.at + flap.times * flap.down + (flap.times - 1) * flap.up

    @model_validator(mode="after")
    def _is_one_action(self) -> Step:
        actions = [name for name, _ in self._actions()]
        if len(actions) == 1:
            return self
        known = ", ".join(name.rstrip("_") for name in type(self).model_fields if name != "at")
        found = f"{' and '.join(actions)} in one step" if actions else "nothing to do at that time"
        suggestion = "write one step for each" if actions else ""
        raise _refuse(((), Problem("", found, f"one of {known}", suggestion)))


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
