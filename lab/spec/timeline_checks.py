"""What the steps of a timeline say together: times, what a step undoes, and whom each of them names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from lab.errors import Problem, did_you_mean
from lab.spec.scenario import CallPlan, ScenarioSpec
from lab.spec.scenario_timeline import Step
from lab.spec.yaml_loader import Document, Trail
from lab.units import format_duration


def call_names(spec: ScenarioSpec) -> list[str]:
    """Return the names of the calls, in the file's order."""
    return [call.name or f"call-{number}" for number, call in enumerate(spec.calls, 1)]


def nominal_end(call: CallPlan) -> float:
    """Return the seconds at which a call is over that was set up in no time: it never ends before."""
    return call.at + call.media.duration + 1.0 + call.hold


def check_times(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    """Yield steps at which the call that they are about is not up, and steps after the end of all calls."""
    names = call_names(spec)
    ends = dict(zip(names, map(nominal_end, spec.calls), strict=True))
    starts = {name: call.at for name, call in zip(names, spec.calls, strict=True)}
    last = max(ends.values())
    for index, step in enumerate(spec.timeline):
        action, settings = step.action
        trail: Trail = ("timeline", index)
        call = getattr(settings, "call", None)
        if call is not None and call not in ends:
            found = f"no call {call!r}"
            yield document.problem((*trail, action, "call"), found, "", did_you_mean(call, names))
        elif call is not None and not starts[call] < step.at <= ends[call]:
            found = f"at {format_duration(step.at)} call {call!r} is not up for sure"
            expected = f"after {format_duration(starts[call])} and up to {format_duration(ends[call])}"
            yield document.problem((*trail, "at"), found, expected, "change at, or the call's hold")
        elif step.end > last:
            found = f"the step ends at {format_duration(step.end)}, after the end of all calls"
            expected = f"up to {format_duration(last)}"
            yield document.problem((*trail, "at"), found, expected, "hold a call longer, or act earlier")


def check_order(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    """Yield steps that undo what was not done: a link healed that is whole, a program resumed that runs."""
    order = sorted(range(len(spec.timeline)), key=lambda index: spec.timeline[index].at)
    yield from _cuts(spec, document, order)
    yield from _programs(spec, document, order)


def _cuts(spec: ScenarioSpec, document: Document, order: Sequence[int]) -> Iterator[Problem]:
    cut: dict[str, bool] = {}
    for index in order:
        step = spec.timeline[index]
        if step.cut is not None:
            cut[step.cut.link] = True
        if step.heal is not None and not cut.pop(step.heal.link, False):
            found = f"{step.heal.link!r} is not cut at {format_duration(step.at)}"
            trail: Trail = ("timeline", index, "heal")
            yield document.problem(trail, found, "", "cut it earlier; flap heals by itself")


def _programs(spec: ScenarioSpec, document: Document, order: Sequence[int]) -> Iterator[Problem]:
    state: dict[str, str] = {}
    for index in order:
        step = spec.timeline[index]
        action, settings = step.action
        if action not in _NEEDED:
            continue
        name = str(getattr(settings, "node", ""))
        found, (needed, then) = state.get(name, "running"), _NEEDED[action]
        if found not in needed:
            words = f"the program of {name!r} is {found} at {format_duration(step.at)}"
            yield document.problem(("timeline", index, action), words, "", _REMEDY[action])
        state[name] = then


_NEEDED: Final = {
    "kill": (("running", "paused"), "dead"),
    "restart": (("running", "paused", "dead"), "running"),
    "pause": (("running",), "paused"),
    "resume": (("paused",), "running"),
}
"""By action: in which states a program may be, and in which it is then."""

_REMEDY: Final = {
    "kill": "restart it before",
    "pause": "restart or resume it before",
    "resume": "pause it before; what was killed is restarted",
}

_KINDS: Final = {"link": "link", "nat": "NAT box", "node": "node with a program", "endpoint": "endpoint"}
"""Keys of steps that name something of the network, and what that is."""


def named_in_step(step: Step) -> Iterator[tuple[Trail, str, str]]:
    """Yield (place in the step, kind, name) of whatever it names in the network."""
    action, settings = step.action
    for key, kind in _KINDS.items():
        if name := getattr(settings, key, None):
            yield (action, key), kind, name
    if step.drop is not None and step.drop.sender is not None:
        yield (action, "from"), f"end of link {step.drop.link}", step.drop.sender
    if step.move is not None:
        yield (action, "to"), f"link of {step.move.endpoint}", step.move.to
