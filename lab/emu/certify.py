"""Probe a NAT box of this kernel, alone on a bench: is it what its model claims?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from lab.emu.messages import AgentConnection, encode_network
from lab.emu.nat_planes import NatPlane, plane_for
from lab.emu.outer import OuterNamespace
from lab.emu.run_clock import monotonic_now
from lab.protocols.behaviour_discovery.bench import SERVER, certification_network
from lab.spec.impairment import PERFECT
from lab.spec.network import Network
from lab.spec.roles import RELAY
from nat_models import NatModel

_SIDE_BY_SIDE: Final = 4
"""Boxes that are probed at the same time: each mostly waits for answers that do not come."""


@dataclass(frozen=True, kw_only=True)
class KernelCertificate:
    """What the probe found of a box, in words by property, how it differs from its model; and its plane."""

    model: NatModel
    plane: NatPlane
    found: Mapping[str, str]
    problems: tuple[str, ...]


def certify_on_kernel(boxes: Sequence[tuple[NatModel, int]], *, nat_plane: str) -> list[KernelCertificate]:
    """Build each box alone, in a namespace of its own, and probe it as in the field.

    How long mappings live is not waited for: it is read back where a plane is set up.

    Args:
        boxes: models, each with the number of its external addresses.
        nat_plane: what carries them out (:func:`lab.emu.nat_planes.plane_for`).

    Raises:
        HostNotReady: this machine cannot build them.
        UsageError: the plane cannot be one of the models.
    """
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
        return list(threads.map(lambda box: asyncio.run(_certify(box[0], box[1], nat_plane)), boxes))


async def _certify(model: NatModel, external_addresses: int, nat_plane: str) -> KernelCertificate:
    network = _bench(model, external_addresses)
    with OuterNamespace("lab.emu.agent") as outer:
        agent = AgentConnection(outer)
        await agent.open()
        try:
            await agent.ask("build", network=encode_network(network), nat_plane=nat_plane)
            await agent.ask("start-roles", trial="certification", seed=0, origin=monotonic_now())
            answer = await agent.ask("probe", external_addresses=external_addresses)
        finally:
            await agent.close()
    return KernelCertificate(
        model=model,
        plane=plane_for(nat_plane, model, external_addresses=external_addresses),
        found=answer["found"],
        problems=tuple(answer["problems"]),
    )


def _bench(model: NatModel, external_addresses: int) -> Network:
    """Return the bench with a relay on its server, and wires without delay."""
    network = certification_network(model, external_addresses=external_addresses)
    server = replace(network.nodes[SERVER], role=RELAY)
    wires = {label: replace(link, forward=PERFECT, backward=PERFECT) for label, link in network.links.items()}
    return replace(network, nodes={**network.nodes, SERVER: server}, links=wires)
