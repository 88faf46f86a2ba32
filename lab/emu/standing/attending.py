"""What a run needs of a standing lab, without the Docker SDK where there is none to attend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from lab.spec.event import JsonValue
from lab.spec.network import Network

if TYPE_CHECKING:
    from lab.emu.lab import Emulated
    from lab.handle import Lab

STANDING_PLANE = "engine"
"""What carries out the NAT boxes of a standing lab (:mod:`lab.emu.nat_planes`)."""


def standing_parameters_of(topology: str) -> dict[str, JsonValue]:
    """Return the parameters with which the standing lab of a topology was started.

    Raises:
        HostNotReady: there is no engine that will do, or no such lab stands.
    """
    from lab.emu.containers.engine import Engine  # noqa: PLC0415 - the SDK takes a while to import
    from lab.emu.standing.lab import standing_parameters  # noqa: PLC0415 - as above

    with Engine() as engine:
        return standing_parameters(engine, topology)


def attend(
    spec: Network,
    scenario: Callable[[Lab], Awaitable[None]],
    parameters: Mapping[str, object],
    *,
    run_seed: int,
    trial_key: str,
    deadline: float,
) -> Emulated:
    """Run a scenario on a standing lab: see :func:`lab.emu.standing.lab.attend`."""
    from lab.emu.standing import lab  # noqa: PLC0415 - as above

    return lab.attend(spec, scenario, parameters, run_seed=run_seed, trial_key=trial_key, deadline=deadline)
