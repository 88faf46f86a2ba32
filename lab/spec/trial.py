"""A trial.

One run of a scenario on one network with one set of parameters. Frozen, picklable, keyed by content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from lab.spec.event import JsonValue
from lab.spec.program import Program

DEFAULT_DEADLINE: Final = 600.0
DEFAULT_EVENT_BUDGET: Final = 5_000_000

VIRTUAL_TIME: Final = "sim"
KERNEL: Final = "emu"
WORLDS: Final = (VIRTUAL_TIME, KERNEL)
"""Where a trial takes place; the first is where it does unless told otherwise."""

NAMESPACES: Final = "namespaces"
DOCKER: Final = "docker"
HOSTS: Final = (NAMESPACES, DOCKER)
"""What a host with one of the lab's programs is in the kernel world; the first unless told otherwise."""

COMPOSE: Final = "compose"
"""What a run may be attached to: a standing lab that Docker Compose has started."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What to run. Everything that decides the outcome is in here; nothing else may.

    ``scenario`` is the file's path, ``topology`` a name or path, ``parameters`` those of the topology,
    ``settings`` those of the scenario that vary, ``repeat`` the number of this repetition from 0.
    ``deadline`` in seconds of the trial's clock. ``world`` is one of :data:`WORLDS`; in the kernel world
    ``nat_plane`` says what carries out the NAT boxes (:mod:`lab.emu.nat_planes`), and is empty in virtual
    time. ``relay`` is what every relay is (:data:`lab.spec.roles.RELAY_PROGRAMS`); empty: what the topology
    says. ``programs`` are those that run in place of the lab's own, by node or role
    (:mod:`lab.spec.program`). ``attach`` is :data:`COMPOSE` where the network stands already and is only
    used. ``inputs`` is a directory with copies of the files of the scenario and of the topology, which are
    then read in their place; empty: the files themselves are.
    """

    scenario: str
    topology: str
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    repeat: int = 0
    run_seed: int = 0
    deadline: float = DEFAULT_DEADLINE
    event_budget: int = DEFAULT_EVENT_BUDGET
    capture: bool = False
    world: str = VIRTUAL_TIME
    nat_plane: str = ""
    relay: str = ""
    programs: Mapping[str, Program] = field(default_factory=dict)
    attach: str = ""
    inputs: str = ""

    @cached_property
    def key(self) -> str:
        """Twelve hexadecimal digits: a hash of what is resolved, never of the position in a plan.

        The run seed, the budgets, the capture, the world, the relay, the programs and the place of the inputs
        are left out: they do not say *which* trial it is.
        """
        identity = json.dumps(
            [self.scenario_name, self.topology, dict(self.parameters), dict(self.settings), self.repeat],
            sort_keys=True,
            separators=(",", ":"),
        )
        return hashlib.sha256(identity.encode()).hexdigest()[:12]

    @property
    def scenario_name(self) -> str:
        """The file's name without directory and ending: a scenario is the same wherever it lies."""
        return self.scenario.rpartition("/")[2].rpartition(".")[0]

    @property
    def cell(self) -> Mapping[str, JsonValue]:
        """What varies from trial to trial, without the repetition."""
        return {**self.parameters, **self.settings}
