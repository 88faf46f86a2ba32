"""Which server the relays of a run are: the lab's own, or coturn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from lab.emu.servers.coturn import coturn_version, require_coturn_can, runs_coturn
from lab.errors import Problem, UsageError
from lab.roles.catalogue import coturn_refusal
from lab.spec.find import load_topology
from lab.spec.network import Network
from lab.spec.roles import COTURN, RELAY
from lab.spec.trial import KERNEL, Trial


def with_relays(network: Network, program: str) -> Network:
    """Return a network all of whose relays are that program; an empty one leaves them as they are."""
    relays = network.by_role.get(RELAY, {}) if program else {}
    chosen = {
        name: replace(node, options={**node.options, "program": program}) for name, node in relays.items()
    }
    return replace(network, nodes={**network.nodes, **chosen}) if chosen else network


def check_relays(trials: Iterable[Trial]) -> Mapping[str, str]:
    """Make sure that the relays of a plan can be what is asked for.

    Args:
        trials: one for each of the plan's networks, all in the same world.

    Returns:
        The version of coturn as ``{"coturn": "4.6.1"}``, if any relay is it.

    Raises:
        UsageError: coturn in virtual time, or with an option that it has not; or there is no relay to be it.
        HostNotReady: coturn is asked for, and is not installed.
    """
    with_coturn = False
    for trial in trials:
        network = with_relays(load_topology(trial.topology, trial.parameters, trial.inputs), trial.relay)
        relays = network.by_role.get(RELAY, {}).values()
        if trial.relay and not relays:
            raise UsageError(Problem(f"--relay {trial.relay}", f"{network.name} has no relay"))
        for node in filter(runs_coturn, relays):
            with_coturn = True
            if trial.world != KERNEL:
                raise UsageError(coturn_refusal(node))
            require_coturn_can(node)
    return {COTURN: coturn_version()} if with_coturn else {}
