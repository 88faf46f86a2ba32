"""What may be asked of a server: one model a request. They read it, refuse it, and describe it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from pydantic_core import from_json

from lab.errors import Problem, UsageError, did_you_mean
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.event import EventType
from lab.spec.program_words import ProgramWords, problems_found

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str | int | None = Field(default=None, description="Comes back in the answer.")


class _OfLab(_Request):
    lab: str = Field(default="", description="Which lab; not needed where there is one.")


class Hello(_Request):
    """Which server this is, and which labs it has; over TCP the first request, with the server's token."""

    do: Literal["hello"]
    token: str = ""


class Open(_Request):
    """Build a network and start the lab's programs on it."""

    do: Literal["open"]
    topology: str
    parameters: dict[str, JsonValue] = Field(default_factory=dict, description="Of the topology.")
    world: Literal["sim", "emu"] = Field(default="sim", description="Virtual time, or the kernel.")
    seed: int = 1
    lab: Name | None = Field(default=None, description="What it is called; else the topology's name.")
    nat_plane: str = Field(default="", description="What carries out NAT boxes in the kernel world.")
    relay: str = Field(default="", description="What every relay is: lab or coturn.")
    programs: dict[str, ProgramWords] = Field(
        default_factory=dict,
        description="As in a scenario file, in the kernel world; commands start where the server runs.",
    )


class Close(_OfLab):
    """End a lab, and whatever runs on it."""

    do: Literal["close"]


class Labs(_Request):
    """List the labs of this server."""

    do: Literal["labs"]


class Describe(_OfLab):
    """Tell the nodes and links of a lab, and what time it is there."""

    do: Literal["describe"]


class Call(_OfLab):
    """Make a call, wait until it is set up or failed, send media, hold it; it stays up."""

    do: Literal["call"]
    caller: str
    callee: str
    name: str = Field(default="", description="The call's own; else the next of call-1, call-2 ...")
    start_offset: str = Field(default="0s", description="By how much the caller starts its checks later.")
    hold: str = "0s"
    timeout: str = Field(default="2min", description="For the set-up.")
    policy: CandidatePolicy = CandidatePolicy()
    media: MediaPlan = MediaPlan()


class Record(_OfLab):
    """Tell what is known of a call now."""

    do: Literal["record"]
    call: str


class Path(_OfLab):
    """Tell the path that a call's media takes."""

    do: Literal["path"]
    call: str = "call-1"


class Send(_OfLab):
    """Send media both ways on a call."""

    do: Literal["send_media"]
    call: str
    media: MediaPlan = MediaPlan()


class HangUp(_OfLab):
    """End a call on both sides."""

    do: Literal["hang_up"]
    call: str


class Sleep(_OfLab):
    """Let time pass on the lab's clock: at once in virtual time, really in the kernel world."""

    do: Literal["sleep"]
    duration: str


class Impair(_OfLab):
    """Impair a link from now on; options that are not given are off."""

    do: Literal["impair"]
    link: str
    options: dict[str, JsonValue] = Field(description='As in a topology: {"delay": "20ms", "loss": "1%"}.')


class Drop(_OfLab):
    """Lose chosen packets on a link from now on."""

    do: Literal["drop"]
    link: str
    options: dict[str, JsonValue] = Field(
        description='As in a scenario file: {"nth": 3, "from": "alice-nat"}.'
    )


class OfLink(_OfLab):
    """Let nothing through a link (`cut`), undo that (`heal`), or give it its own impairments (`reset`)."""

    do: Literal["cut", "heal", "reset"]
    link: str


class OfNode(_OfLab):
    """Do something to a node's NAT box, or to the lab's program on it."""

    do: Literal["reboot_nat", "flush_nat", "kill", "restart", "pause", "resume"]
    node: str


class Move(_OfLab):
    """Take an endpoint off the network it is on, and attach it by another of its links."""

    do: Literal["move"]
    endpoint: str
    to: str
    gap: str = "0s"


class Start(_OfLab):
    """Start a program of this machine on a node, in the kernel world."""

    do: Literal["start"]
    node: str
    command: list[str] = Field(min_length=1)
    directory: str = Field(default="", description="Where it runs; else the server's own.")
    environment: dict[str, str] = Field(default_factory=dict)


class Run(Start):
    """Run a program of this machine on a node to its end; one that takes longer is stopped."""

    do: Literal["run"]  # type: ignore[assignment]  # another request with the same fields
    timeout: str = "1min"


class OfProgram(_OfLab):
    """Tell what a started program has printed (`output`), or wait for its end (`wait`)."""

    do: Literal["output", "wait"]
    program: int
    timeout: str = Field(default="1min", description="Of `wait`; the program goes on.")


class Signal(_OfLab):
    """Send a signal to a started program and to those that it has started."""

    do: Literal["signal"]
    program: int
    number: int = Field(default=15, ge=1, le=64)


class Events(_OfLab):
    """Tell events as lines of their own, from number `since`; with `follow` also those to come."""

    do: Literal["events"]
    since: int = Field(default=0, ge=0)
    types: list[EventType] = Field(default_factory=list, description="Only these; all, where empty.")
    follow: bool = False


class Capture(_OfLab):
    """Write what interfaces saw until now as a pcapng file."""

    do: Literal["capture"]
    file: str
    nodes: list[str] = Field(default_factory=list, description="Whose interfaces; all, where empty.")


class Enter(_OfLab):
    """Tell how a process of this machine enters a node: a namespace's first process, files of names."""

    do: Literal["enter"]
    node: str


class Down(_Request):
    """End the server and all of its labs."""

    do: Literal["down"]


Request = Annotated[
    Hello | Open | Close | Labs | Describe | Call | Record | Path | Send | HangUp | Sleep | Impair | Drop
    | OfLink | OfNode | Move | Start | Run | OfProgram | Signal | Events | Capture | Enter | Down,
    Field(discriminator="do"),
]  # fmt: skip

AnyRequest = (
    Hello | Open | Close | Labs | Describe | Call | Record | Path | Send | HangUp | Sleep | Impair | Drop
    | OfLink | OfNode | Move | Start | Run | OfProgram | Signal | Events | Capture | Enter | Down
)  # fmt: skip

ADAPTER: Final[TypeAdapter[AnyRequest]] = TypeAdapter(Request)

MODELS: Final[dict[str, type[_Request]]] = {
    verb: model for model in get_args(AnyRequest) for verb in get_args(model.model_fields["do"].annotation)
}
"""The model of each verb."""


def read_object_untrusted(line: bytes | UsageError) -> dict[str, Any]:
    """Return the JSON object of a line.

    Raises:
        UsageError: it is none, or nested too deep; or the line could not be read, and why.
    """
    if isinstance(line, UsageError):
        raise line
    expected = 'one JSON object a line, such as {"do": "hello"}'
    try:
        found = from_json(line, allow_inf_nan=False)
    except (ValueError, RecursionError) as error:
        raise UsageError(Problem("request", f"not JSON: {error}", expected)) from None
    if not isinstance(found, dict):
        raise UsageError(Problem("request", f"JSON, but no object: {shown(found)}", expected))
    return found


def id_of(found: dict[str, Any]) -> str | int | None:
    """Return what an answer to an object is to carry, be it a request or not."""
    id_ = found.get("id")
    return id_ if isinstance(id_, str | int) else None


def read_request_untrusted(found: dict[str, Any]) -> AnyRequest:
    """Return the request that an object is.

    Raises:
        UsageError: no such verb, or fields that are unknown, missing or of the wrong kind: all of them.
    """
    try:
        return ADAPTER.validate_python(found)
    except ValidationError as error:
        verb = found.get("do")
        if not isinstance(verb, str) or verb not in MODELS:
            expected = '"do": and one of the verbs'
            what = f"no verb {shown(verb)}" if "do" in found else 'no key "do"'
            raise UsageError(Problem("request", what, expected, did_you_mean(str(verb), MODELS))) from None
        known = [name for name in MODELS[verb].model_fields if name != "do"]
        raise UsageError(*(p for detail in error.errors() for p in _problems(verb, known, detail))) from None


def _problems(verb: str, known: list[str], detail: Any) -> Iterable[Problem]:
    """Return one of pydantic's findings in the lab's form."""
    place = detail["loc"][1:]
    if place[:1] == ("programs",) and len(place) > 1:
        return problems_found(f"{verb}: programs", place[1:], detail)
    return [_problem(verb, known, detail)]


def _problem(verb: str, known: list[str], detail: Any) -> Problem:
    trail = [str(part) for part in detail["loc"][1:]]
    where = f"{verb}: {'.'.join(trail)}" if trail else verb
    if detail["type"] == "extra_forbidden":
        return Problem(verb, f"unknown key {trail[-1]!r}", suggestion=did_you_mean(trail[-1], known))
    if detail["type"] == "missing":
        return Problem(verb, f"{trail[-1]!r} is missing")
    expected = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return Problem(where, f"{shown(detail['input'])} is not what belongs here", expected)


_MOST_SHOWN: Final = 60


def shown(value: object) -> str:
    """Return a value in few characters, whatever it is."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"
