"""How a process of this machine enters a node of a running lab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.emu.programs.name_files import name_files
from lab.emu.settings import device_names
from lab.errors import Problem, TrialInvalid, UsageError, did_you_mean
from lab.live.handle import LiveLab
from lab.spec.network import NodeKind
from lab.spec.trial import KERNEL


def way_into(live: LiveLab, node: str) -> Mapping[str, Any]:
    """Return what :mod:`lab.emu.entering` and :mod:`lab.emu.captures.live_capture` need.

    Raises:
        UsageError: no node of that name has a namespace, or the lab is in virtual time.
        TrialInvalid: the lab has ended.
    """
    if live.spec.world != KERNEL:
        found = f"{node}: in virtual time there is nothing that a program could enter"
        raise UsageError(Problem("", found, "a lab of the kernel world (--world emu)"))
    nodes = [name for name, spec in live.network.nodes.items() if spec.kind is not NodeKind.SWITCH]
    if node not in nodes:
        found = f"no node {node!r} in {live.network.name} has a network of its own"
        raise UsageError(Problem("", found, suggestion=did_you_mean(node, nodes)))
    if not live.world.pid:
        raise TrialInvalid("the lab has ended")
    devices = device_names(live.network)
    return {
        "node": node,
        "pid": live.world.pid,
        "files": name_files(live.network.nodes[node], live.network),
        "interfaces": [
            {"link": at.link, "device": devices[node, at.link], "addresses": [*at.addresses]}
            for at in live.network.nodes[node].interfaces
        ],
    }
