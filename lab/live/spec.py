"""What a lab that stays open is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lab.emu.nat_planes import NAT_PLANES
from lab.errors import Problem, UsageError, did_you_mean
from lab.run.program_choice import with_programs
from lab.run.relay_choice import with_relays
from lab.spec.event import JsonValue
from lab.spec.find import load_topology
from lab.spec.network import Network
from lab.spec.program import Program
from lab.spec.program_words import read_programs
from lab.spec.roles import RELAY_PROGRAMS
from lab.spec.trial import DEFAULT_EVENT_BUDGET, KERNEL, VIRTUAL_TIME, WORLDS, Trial


@dataclass(frozen=True, kw_only=True)
class LabSpec:
    """A topology with its parameters, the world to build it in, and the seed of every lot.

    ``name`` is whose lab it is, a test's for example: labs of two names draw different lots from one seed.
    ``nat_plane`` and ``relay`` as for a run; empty: the world's own, and what the topology says. ``programs``
    run in place of the lab's own, by node or role, in the kernel world: in the words of a scenario's
    ``programs``; commands are started in the current directory.
    ``deadline`` in seconds of the network's clock, after which every action fails; None: there is none.
    ``event_budget`` bounds what happens in virtual time. ``keeps_packets``: every packet is remembered there,
    for a ladder and a capture.
    """

    topology: str
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    world: str = VIRTUAL_TIME
    seed: int = 1
    name: str = "live"
    nat_plane: str = ""
    relay: str = ""
    programs: Mapping[str, Program | str | Mapping[str, Any]] = field(default_factory=dict)
    deadline: float | None = None
    event_budget: int = DEFAULT_EVENT_BUDGET
    keeps_packets: bool = True

    def __post_init__(self) -> None:
        """Refuse words that are none.

        Raises:
            UsageError: an unknown world, NAT plane or relay program; all of them at once. What is wrong with
                a program.
        """
        choices = (
            ("world", self.world, WORLDS),
            ("nat_plane", self.nat_plane, ("", *NAT_PLANES)),
            ("relay", self.relay, ("", *RELAY_PROGRAMS)),
        )
        problems = [
            Problem(
                where, f"no such {where.replace('_', ' ')}: {found!r}", "", did_you_mean(str(found), known)
            )
            for where, found, known in choices
            if found not in known
        ]
        if problems:
            raise UsageError(*problems)
        if self.nat_plane and self.world != KERNEL:
            found = f"{self.nat_plane!r} carries out NAT boxes of the kernel world"
            raise UsageError(Problem("nat_plane", found, 'world="emu"'))
        _ = self.playing  # read now: commands are started in the directory that is current now

    @cached_property
    def playing(self) -> Mapping[str, Program]:
        """The programs by node or role."""
        return read_programs(self.programs, directory=Path.cwd(), where="programs")

    @property
    def place(self) -> str:
        """The world in words."""
        return "on this kernel" if self.world == KERNEL else "in virtual time"

    @property
    def plane(self) -> str:
        """What carries out the NAT boxes; empty in virtual time."""
        return self.nat_plane or (NAT_PLANES[0] if self.world == KERNEL else "")

    @cached_property
    def trial(self) -> Trial:
        """The lab as a trial, for what is keyed by one."""
        return Trial(
            scenario=f"{self.name.replace('/', '.')}.live", topology=Path(self.topology).name,
            parameters=self.parameters, run_seed=self.seed, world=self.world, relay=self.relay,
        )  # fmt: skip

    def network(self) -> Network:
        """Return the network as it will be built.

        Raises:
            UsageError: no such topology or parameter, or the topology describes no network.
        """
        return with_programs(with_relays(self.bare_network, self.relay), self.playing)

    @cached_property
    def bare_network(self) -> Network:
        """The topology, with the lab's own programs alone."""
        return load_topology(self.topology, self.parameters)
