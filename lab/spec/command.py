"""Commands to roles: one serialisable schema, encoded in both worlds, so that neither can cheat.

In virtual time an encoded command goes through a queue, in the kernel world through a Unix socket. Times are
seconds. Unknown fields and unknown commands are refused.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lab.errors import Problem, UsageError


class _Command(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MediaPlan(_Command):
    """Datagrams to send each way once connected.

    ``packets`` of ``size`` bytes, ``interval`` seconds apart.
    """

    packets: int = Field(default=5, ge=0, le=10_000_000)
    interval: float = Field(default=0.02, gt=0)
    size: int = Field(default=172, ge=24, le=65_000)


class CandidatePolicy(_Command):
    """Which candidates an endpoint may gather, and over which transports it tries to reach the TURN server.

    ``turn_transports`` are tried in order until one gives an allocation (an ICE library that takes one server
    at a time cannot try them at once).
    """

    candidates: Literal["all", "no-relay", "relay-only"] = "all"
    turn_transports: tuple[Literal["udp", "tcp", "tls"], ...] = ("udp", "tcp", "tls")
    ipv6: bool = True


class StartPlan(_Command):
    """When both sides of a call begin their checks, where signalling waits for processors as well.

    The answer is under way for ``travel`` seconds by the links alone. It says when it was sent, and so both
    sides know the moments at which they begin, on their one clock: as if it had come after ``travel``, and
    ``margin`` later, in which a late answer still arrives in time.
    """

    travel: float = Field(ge=0)
    margin: float = Field(default=0.0, ge=0)


class Answer(_Command):
    """Prepare to answer a call of this name, from ``caller``.

    Checks start ``check_delay`` seconds after the answer is sent; ``start`` says how exactly.
    """

    command: Literal["answer"] = "answer"
    call: str
    caller: str = ""
    check_delay: float = Field(default=0.0, ge=0)
    start: StartPlan | None = None
    policy: CandidatePolicy = CandidatePolicy()
    media: MediaPlan = MediaPlan()


class Dial(_Command):
    """Call ``to``; checks start ``check_delay`` seconds after its answer arrived: see :class:`Answer`."""

    command: Literal["dial"] = "dial"
    call: str
    to: str
    check_delay: float = Field(default=0.0, ge=0)
    start: StartPlan | None = None
    policy: CandidatePolicy = CandidatePolicy()
    media: MediaPlan = MediaPlan()


class SendMedia(_Command):
    """Send more media on an established call."""

    command: Literal["send-media"] = "send-media"
    call: str
    media: MediaPlan = MediaPlan()


class HangUp(_Command):
    """End a call and free its sockets."""

    command: Literal["hang-up"] = "hang-up"
    call: str


Command = Annotated[Answer | Dial | SendMedia | HangUp, Field(discriminator="command")]
_ADAPTER: TypeAdapter[Answer | Dial | SendMedia | HangUp] = TypeAdapter(Command)


def encode_command(command: Answer | Dial | SendMedia | HangUp) -> bytes:
    """Return the command as one JSON object, UTF-8, no newline."""
    return _ADAPTER.dump_json(command, exclude_none=True)


def decode_command(data: bytes) -> Answer | Dial | SendMedia | HangUp:
    """Return the command that ``data`` encodes.

    Raises:
        UsageError: not a command; every field at fault is named.
    """
    try:
        return _ADAPTER.validate_json(data)
    except ValidationError as error:
        raise UsageError(*(_problem(detail) for detail in error.errors())) from None


def _problem(detail: object) -> Problem:
    assert isinstance(detail, dict)
    where = ".".join(str(part) for part in detail["loc"])
    return Problem(f"command {where}".rstrip(), f"{detail['msg']} (found {detail.get('input')!r})")
