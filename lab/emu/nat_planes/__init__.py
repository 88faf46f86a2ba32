"""NAT boxes of the kernel world: what carries out a NAT model there, and what cannot."""

from lab.emu.nat_planes.box import Box, start_box
from lab.emu.nat_planes.capabilities import Refusal, check, planes_for
from lab.emu.nat_planes.choice import AUTO, NAT_PLANES, has_sip_gateways, plane_for
from lab.emu.nat_planes.plane import NatPlane
from lab.emu.nat_planes.wiring import BoxWiring

__all__ = [
    "AUTO", "NAT_PLANES", "Box", "BoxWiring", "NatPlane", "Refusal", "check", "has_sip_gateways", "plane_for",
    "planes_for", "start_box",
]  # fmt: skip
