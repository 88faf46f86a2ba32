"""The worlds that a run can take place in: the one place where a name becomes a world."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lab.emu.doctor import examine
from lab.emu.lab import Emulated, emulate
from lab.emu.standing.attending import attend
from lab.errors import HostNotReady, UsageError
from lab.handle import Lab
from lab.run.program_choice import with_programs
from lab.run.relay_choice import with_relays
from lab.sim.capture import Capture
from lab.sim.lab import simulate
from lab.spec.event import Event
from lab.spec.network import Network
from lab.spec.trial import KERNEL, Trial

MOST_REPEATED: Final = 4
"""How often a trial of the kernel world is run again that the machine has stalled: after that the machine has
too much to do, and the trial is invalid."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """What happened in a trial, in order, and what its programs printed, by node (in the kernel world)."""

    events: Sequence[Event]
    outputs: Mapping[str, str] = field(default_factory=dict)
    pcapng: bytes = b""
    """Its capture, where the trial asks for one, in the kernel world: which makes it itself."""


def require_world(name: str) -> None:
    """Make sure that trials can be run in a world.

    Raises:
        HostNotReady: this machine lacks something that it needs, which is named.
    """
    if name != KERNEL:
        return
    diagnosis = examine()
    if not diagnosis.ready:
        lines = [f"  {f.name}: {f.evidence}" for f in diagnosis.missing]
        raise HostNotReady(
            "this machine cannot run the kernel world; it lacks\n"
            + "\n".join(lines)
            + "\n  `callpath doctor` says what to do; --world sim needs none of it"
        )


def play_trial(
    trial: Trial,
    network: Network,
    scenario: Callable[[Lab], Awaitable[None]],
    capture: Capture | None = None,
) -> Played:
    """Let a scenario happen on a network in the trial's world.

    Args:
        trial: says how.
        network: the trial's.
        scenario: the trial's.
        capture: hears of every packet, where given; in virtual time only. On the kernel a trial that asks for
            a capture has it with what was played.

    Raises:
        UsageError: the world cannot be what is asked for.
        HostNotReady: this machine cannot.
    """
    network = with_programs(with_relays(network, trial.relay), trial.programs)
    if trial.world != KERNEL:
        events, _ = simulate(
            network, scenario, trial.cell, run_seed=trial.run_seed, trial_key=trial.key,
            deadline=trial.deadline, event_budget=trial.event_budget, capture=capture,
        )  # fmt: skip
        return Played(events=events)
    if capture is not None:
        raise UsageError("packets are traced in virtual time only")
    if trial.attach:
        attended = attend(
            network, scenario, trial.cell, run_seed=trial.run_seed, trial_key=trial.key,
            deadline=trial.deadline,
        )  # fmt: skip
        return Played(events=attended.events, outputs=attended.outputs)
    emulated = _emulate_unstalled(trial, network, scenario)
    return Played(events=emulated.events, outputs=emulated.outputs, pcapng=emulated.pcapng)


def _emulate_unstalled(
    trial: Trial, network: Network, scenario: Callable[[Lab], Awaitable[None]]
) -> Emulated:
    """Run a trial on the kernel; where the machine stalled it, again, and no more often than is useful."""
    before: list[str] = []
    while True:
        emulated = emulate(
            network, scenario, trial.cell, run_seed=trial.run_seed, trial_key=trial.key,
            deadline=trial.deadline, nat_plane=trial.nat_plane, capture=trial.capture, stalled_before=before,
        )  # fmt: skip
        if not emulated.stalled or len(before) == MOST_REPEATED:
            return emulated
        before.append(emulated.stalled)
