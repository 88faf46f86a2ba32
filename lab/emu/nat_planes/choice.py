"""Which plane carries out a box: the one that was asked for, or the first that can be its model."""

from __future__ import annotations

from typing import Final

from lab.emu.nat_planes.capabilities import planes_for
from lab.emu.nat_planes.plane import NatPlane
from nat_models.model import NatModel

AUTO: Final = "auto"
"""For each box the first plane, in the order of :class:`NatPlane`, that can be its model."""

NAT_PLANES: Final = (AUTO, *(plane.value for plane in NatPlane))
"""What a run may ask for; the first is taken unless told otherwise."""


def plane_for(
    choice: str, model: NatModel, *, external_addresses: int = 1, sip_gateway: bool = False
) -> NatPlane:
    """Return the plane that carries out a box.

    Args:
        choice: one of :data:`NAT_PLANES`. A plane by name is taken whether it can be the model or not: who
            starts the box refuses what it cannot.
        model: what the box does.
        external_addresses: how many addresses it translates to.
        sip_gateway: whether it rewrites SIP, which only the kernel's own plane does.

    Raises:
        ValueError: there is no such choice.
    """
    if choice != AUTO:
        return NatPlane(choice)
    if sip_gateway:
        return NatPlane.KERNEL
    return next(iter(planes_for(model, external_addresses=external_addresses)), NatPlane.NFT)


def has_sip_gateways(choice: str) -> bool:
    """Whether a box that rewrites SIP can be had by this choice."""
    return choice in {AUTO, NatPlane.KERNEL.value}
