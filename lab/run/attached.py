"""A run on a lab that stands: its parameters are those that the lab was started with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from lab.emu.standing.attending import STANDING_PLANE, standing_parameters_of
from lab.errors import Problem, UsageError
from lab.run.plan import Plan
from lab.spec.event import JsonValue
from lab.spec.find import open_topology
from lab.spec.trial import COMPOSE, KERNEL, Trial


def on_standing_lab(plan: Plan) -> Plan:
    """Return a plan whose trials run on the standing lab of its topology.

    Raises:
        HostNotReady: no such lab stands here.
        UsageError: the scenario asks for a network that the lab is not.
    """
    stands = standing_parameters_of(open_topology(plan.topology).name)
    if problems := list(dict.fromkeys(p for trial in plan.trials for p in _differences(trial, stands))):
        raise UsageError(*problems)
    trials = tuple(
        replace(
            trial, world=KERNEL, nat_plane=STANDING_PLANE, attach=COMPOSE, parameters=stands, programs={},
        )
        for trial in plan.trials
    )  # fmt: skip
    return replace(plan, trials=trials)


def _differences(trial: Trial, stands: Mapping[str, JsonValue]) -> Iterator[Problem]:
    for name, value in trial.parameters.items():
        if stands.get(name) != value:
            yield Problem(
                f"parameter {name}",
                f"the scenario has {value!r}, and the lab was started with {stands.get(name)!r}",
                suggestion=f"{name.upper()}={value} docker-compose up -d, or leave it out of the scenario",
            )
    for node, program in trial.programs.items():
        yield Problem(f"program of {node}", f"a standing lab has its own, not {program.name}")
    if trial.relay:
        yield Problem(f"--relay {trial.relay}", "a standing lab has its own relay")
