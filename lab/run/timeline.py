"""Plays a scenario's calls and timeline: each through the one handle, each at its time.

What happens at the same time happens in this order: steps of the timeline as the file has them, then calls as
the file has them. So an impairment at ``0s`` is there before a call at ``0s``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

from lab.handle import Lab
from lab.run.outline import Scenario
from lab.spec.scenario import CallPlan, Flap, ScenarioSpec, Step
from lab.spec.scenario_checks import call_names

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
                await lab.sleep(wait)
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
            start_offset=plan.start_offset,
            policy=plan.policy.to_command(),
            callee_policy=plan.callee_policy.to_command() if plan.callee_policy else None,
            media=plan.media.to_command(),
            hold=plan.hold,
            timeout=plan.timeout,
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
    async def do(lab: Lab) -> None:
        if step.set_ is not None:
            lab.impair(step.set_.link, **step.set_.options)
        elif step.reset is not None:
            lab.reset(step.reset.link)
        elif step.cut is not None:
            lab.cut(step.cut.link)
        elif step.heal is not None:
            lab.heal(step.heal.link)
        elif step.reboot is not None:
            lab.reboot_nat(step.reboot.nat)
        elif step.hang_up is not None:
            await lab.hang_up(step.hang_up.call)
        elif step.send_media is not None and lab.record(step.send_media.call).connected:
            await lab.send_media(step.send_media.call, step.send_media.to_command())

    return do
