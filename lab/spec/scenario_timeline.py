"""The timeline of a scenario: one model for each thing that can be done to a network, a program or a call."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StrictInt, ValidationInfo, model_validator

from lab.errors import Problem, UsageError
from lab.spec.command import MediaPlan
from lab.spec.impairment_options import PARSERS, parse_impairment
from lab.spec.packet_drop import DropPackets
from lab.spec.scenario_values import Name, Part, PositiveSeconds, Seconds, refuse


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


def _below(problem: Problem) -> tuple[str, ...]:
    return tuple(problem.where.split(".")) if problem.where else ()


def _option(value: object, info: ValidationInfo) -> object:
    """Judge an option by itself: what else is wrong in its mapping must not hide it."""
    name = str(info.field_name)
    try:
        PARSERS[name](value, name)
    except UsageError as error:
        problems = [(_below(problem)[1:], problem) for problem in error.problems]
        raise refuse(*problems) from None
    return value


Option = Annotated[Any, BeforeValidator(_option)]


class LinkOptions(Part):
    """Impairments of one link; what is not given is off."""

    delay: Option = Field(default=None, description="One-way delay: `20ms`.")
    jitter: Option = Field(
        default=None, description="How far the delay varies either way, at most the delay: `5ms`."
    )
    jitter_order: Option = Field(default=None, description="Whether packets may overtake: `keep` or `free`.")
    loss: Option = Field(default=None, description="Share lost at random: `1%`.")
    loss_burst: Option = Field(
        default=None, description="Loss in bursts: `{good_to_bad: 1%, bad_to_good: 25%}`, a packet."
    )
    loss_exactly: Option = Field(default=None, description='So many of each block: `"1/10"`.')
    duplicate: Option = Field(default=None, description="Share that arrives twice.")
    reorder: Option = Field(default=None, description="Share that is sent early; needs a delay.")
    reorder_gap: Option = Field(default=None, description="The most by which it is early.")
    rate: Option = Field(default=None, description="Bits a second: `2Mbit/s`.")
    queue: Option = Field(default=None, description="Bytes that wait for the rate: `64KiB`.")
    mtu: Option = Field(default=None, description="Largest IP packet: `1400B`.")


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
            problems = [(_below(problem), problem) for problem in error.problems]
            raise refuse(*problems) from None
        if not self.options:
            raise refuse(
                ((), Problem("", "no impairment is set", "such as loss: 100%", "to undo one: reset"))
            )
        return self


class OneLink(Part):
    """A link, by its label."""

    link: Name = Field(description="The link's label.")


class Flap(OneLink):
    """Cut and heal a link several times."""

    down: PositiveSeconds = Field(description="How long it is cut each time.")
    up: PositiveSeconds = Field(description="How long it is whole in between.")
    times: StrictInt = Field(default=1, ge=1, le=10_000, description="How often it is cut.")


class OneNat(Part):
    """A NAT box, by its name."""

    nat: Name = Field(description="The box's name.")


class OneRole(Part):
    """A node with a program, by its name."""

    node: Name = Field(description="The node on which the program runs.")


class Move(Part):
    """Take an endpoint from the network it is on to another one."""

    endpoint: Name = Field(description="Who moves.")
    to: Name = Field(description="The label of the link by which it is attached from then on.")
    gap: Seconds = Field(default=0.0, description="How long it is on no network at all in between.")


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
    drop: DropPackets | None = Field(default=None, description="Lose chosen packets on a link.")
    reboot: OneNat | None = Field(
        default=None, description="Power-cycle a NAT box: mappings and all else that it remembers are lost."
    )
    flush: OneNat | None = Field(
        default=None, description="Empty a NAT box's table of mappings; it goes on giving ports as before."
    )
    kill: OneRole | None = Field(default=None, description="End a program at once, as SIGKILL does.")
    restart: OneRole | None = Field(
        default=None, description="Start a program anew; one that still runs is killed first."
    )
    pause: OneRole | None = Field(default=None, description="Stop a program, as SIGSTOP does.")
    resume: OneRole | None = Field(default=None, description="Let a paused program go on.")
    move: Move | None = Field(default=None, description="Take an endpoint to another network.")
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
        if self.flap is not None:
            return self.at + self.flap.times * self.flap.down + (self.flap.times - 1) * self.flap.up
        return self.at if self.move is None else self.at + self.move.gap

    @model_validator(mode="after")
    def _is_one_action(self) -> Step:
        actions = [name for name, _ in self._actions()]
        if len(actions) == 1:
            return self
        known = ", ".join(name.rstrip("_") for name in type(self).model_fields if name != "at")
        found = f"{' and '.join(actions)} in one step" if actions else "nothing to do at that time"
        suggestion = "write one step for each" if actions else ""
        raise refuse(((), Problem("", found, f"one of {known}", suggestion)))
