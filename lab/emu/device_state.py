"""What is done to, and read of, a running network's devices: cut, healed, moved, counted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from lab.emu.kernel_network import KernelNode
from lab.emu.settings import attached_part, leaving_commands, node_commands

_TABLE: Final = "callpath-cut"
_CUT: Final = """\
add table netdev {table}
add chain netdev {table} {device} {{ type filter hook ingress device "{device}" priority -500; policy drop; }}
"""
_HEAL: Final = "delete chain netdev {table} {device}\n"


def cut_device(node: KernelNode, device: str) -> None:
    """Drop everything that arrives at a device, of any protocol, before anything else sees it.

    The device stays up: nobody is told that a link is cut but by what does not arrive. Cutting again changes
    nothing.

    Raises:
        HostNotReady: no ``nft``, or a kernel without its hook for devices.
    """
    node.run("nft", "-f", "-", given=_CUT.format(table=_TABLE, device=device))


def heal_device(node: KernelNode, device: str) -> None:
    """Undo :func:`cut_device`; nothing changes where the device is not cut.

    Raises:
        HostNotReady: no ``nft``.
    """
    if f"chain {device} " in node.run("nft", "list", "chains", "netdev"):
        node.run("nft", "-f", "-", given=_HEAL.format(table=_TABLE, device=device))


def detach(node: KernelNode) -> None:
    """Take a node off all its links: it has no address and no route."""
    devices = {(node.spec.name, link): device for link, device in node.devices.items()}
    _batch(node, leaving_commands(node.spec, devices))


def attach(node: KernelNode, link: str) -> None:
    """Attach a node by one of its links, with the addresses and routes that the plan gives it there."""
    devices = {(node.spec.name, label): device for label, device in node.devices.items()}
    _batch(node, node_commands(attached_part(node.spec, [link]), devices))


def _batch(node: KernelNode, commands: Iterable[str]) -> None:
    node.run("ip", "-batch", "-", given="\n".join(commands))


def packets_sent(node: KernelNode) -> int:
    """Return how many packets a node has sent on its links."""
    lines = Path(f"/proc/{node.pid}/net/dev").read_text(encoding="ascii").splitlines()
    counters = (line.split(":", 1) for line in lines if ":" in line)
    # Eight counters of what was received stand before those of what was sent; packets are the second.
    return sum(int(values.split()[9]) for name, values in counters if name.strip() != "lo")
