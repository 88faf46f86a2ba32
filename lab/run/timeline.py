"""Plays a scenario's calls and timeline: each through the one handle, each at its time.

What happens at the same time happens in this order: steps of the timeline as the file has them, then calls as
the file has them. So an impairment at ``0s`` is there before a call at ``0s``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from lab.handle import Lab
from lab.run.outline import Scenario
from lab.spec.scenario import CallPlan, ScenarioSpec
from lab.spec.scenario_timeline import Flap, Step
from lab.spec.timeline_checks import call_names

Do = Callable[[Lab], Awaitable[None]]


class Item(NamedTuple):
    """Something to begin ``at`` so many seconds after the start, without waiting for its end."""

    at: float
    do: Do


def agenda(spec: ScenarioSpec) -> list[Item]:
    """Return everything that a scenario does, in order of time; a flap as the cuts and heals it is."""
    hung_up = {step.hang_up.call for step in spec.timeline if step.hang_up is not None}
    items = [item for step in spec.timeline for item in _items(step)]
    items += [
        Item(call.at, _calling(name, call, hang_up=name not in hung_up))
        for name, call in zip(call_names(spec), spec.calls, strict=True)
    ]
    return sorted(items, key=lambda item: item.at)  # stable


def play(spec: ScenarioSpec) -> Scenario:
    """Return the scenario as a coroutine function; it ends when every call is over and every step done."""
    items = agenda(spec)

    async def scenario(lab: Lab) -> None:
        start, begun = lab.now, []
        for item in items:
            if (wait := start + item.at - lab.now) > 0:
                await asyncio.sleep(wait)
            begun.append(asyncio.ensure_future(item.do(lab)))
            await asyncio.sleep(0)  # a step takes effect before what follows it at the same time
        for task in begun:
            await task

    return scenario


def _calling(name: str, plan: CallPlan, *, hang_up: bool) -> Do:
    async def call(lab: Lab) -> None:
        record = await lab.call(
            plan.caller,
            plan.callee,
            name=name,
            start_offset=f"{plan.start_offset}s",
            policy=plan.policy.to_command(),
            callee_policy=plan.callee_policy.to_command() if plan.callee_policy else None,
            media=plan.media.to_command(),
            hold=f"{plan.hold}s",
            timeout=f"{plan.timeout}s",
        )
        if hang_up and record.connected:
            await lab.hang_up(name)

    return call


def _items(step: Step) -> Iterator[Item]:
    """Yield what one step of the timeline comes to."""
    if step.flap is None:
        yield Item(step.at, _doing(step))
        return
    for number in range(step.flap.times):
        down = step.at + number * (step.flap.down + step.flap.up)
        yield Item(down, _cutting(step.flap))
        yield Item(down + step.flap.down, _healing(step.flap))


def _cutting(flap: Flap) -> Do:
    async def cut(lab: Lab) -> None:
        lab.cut(flap.link)

    return cut


def _healing(flap: Flap) -> Do:
    async def heal(lab: Lab) -> None:
        lab.heal(flap.link)

    return heal


def _doing(step: Step) -> Do:
    action, settings = step.action
    begin = _ACTIONS[action]

    async def do(lab: Lab) -> None:
        doing = begin(lab, settings)
        if doing is not None:
            await doing

    return do


def _send_media(lab: Lab, settings: Any) -> Awaitable[object] | None:
    """Send where there is a call to send on."""
    return (
        lab.send_media(settings.call, settings.to_command()) if lab.record(settings.call).connected else None
    )


_ACTIONS: Final[Mapping[str, Callable[[Lab, Any], Awaitable[object] | None]]] = {
    "set": lambda lab, to: lab.impair(to.link, **to.options),
    "reset": lambda lab, to: lab.reset(to.link),
    "cut": lambda lab, to: lab.cut(to.link),
    "heal": lambda lab, to: lab.heal(to.link),
    "drop": lambda lab, to: lab.drop(to.link, **to.options),
    "reboot": lambda lab, to: lab.reboot_nat(to.nat),
    "flush": lambda lab, to: lab.flush_nat(to.nat),
    "kill": lambda lab, to: lab.kill(to.node),
    "restart": lambda lab, to: lab.restart(to.node),
    "pause": lambda lab, to: lab.pause(to.node),
    "resume": lambda lab, to: lab.resume(to.node),
    "move": lambda lab, to: lab.move(to.endpoint, to.to, gap=f"{to.gap}s"),
    "send_media": _send_media,
    "hang_up": lambda lab, to: lab.hang_up(to.call),
}
"""What each action of a timeline asks of the handle; what takes time is awaited. A flap is cuts and heals."""
