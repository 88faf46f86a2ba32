"""Whether what a run's networks have of SIP can be: Kamailio, and a box's gateway, in the kernel world."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lab.emu.nat_planes import has_sip_gateways
from lab.emu.servers.kamailio import KAMAILIO, kamailio_version
from lab.errors import UsageError
from lab.roles.catalogue import require_sip_gateways, sip_proxy_refusal
from lab.spec.find import load_topology
from lab.spec.roles import SIP_PROXY
from lab.spec.trial import KERNEL, Trial


def check_sip_proxies(trials: Iterable[Trial]) -> Mapping[str, str]:
    """Make sure that the SIP proxies of a plan can run.

    Args:
        trials: one for each of the plan's networks, all in the same world.

    Returns:
        The version of Kamailio as ``{"kamailio": "5.6.3"}``, if there is any proxy.

    Raises:
        UsageError: there is one in virtual time, or a box's SIP gateway anywhere but on the kernel plane.
        HostNotReady: Kamailio is not installed.
    """
    found = False
    for trial in trials:
        network = load_topology(trial.topology, trial.parameters, trial.inputs)
        on_kernel = trial.world == KERNEL and has_sip_gateways(trial.nat_plane)
        require_sip_gateways(network, on_kernel_plane=on_kernel)
        for proxy in network.by_role.get(SIP_PROXY, {}).values():
            found = True
            if trial.world != KERNEL:
                raise UsageError(sip_proxy_refusal(proxy))
    return {KAMAILIO: kamailio_version()} if found else {}
