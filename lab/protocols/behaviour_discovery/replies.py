"""The two-mapping probes: whose sending opens a filter, and from which mapping a reply leaves.

RFC 4787 says neither; implementations differ (see :class:`~nat_models.model.FilterScope` and
:class:`~nat_models.model.ReplyReuse`). Both need a box that gives one socket several mappings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lab.protocols.behaviour_discovery.findings import Observed
from lab.protocols.behaviour_discovery.probing import Corner, Ground, ProbeSocket
from nat_models.model import Filtering, FilterScope, Mapping, ReplyReuse
from nat_models.packet import TransportAddress

ONE_MAPPING: Final = "one mapping serves every remote"


async def probe_filter_scope(
    ground: Ground, mapping: Mapping | None, filtering: Filtering | None
) -> Observed[FilterScope]:
    """Find whose sending opens a filter.

    The socket sends to A1:P1 by mapping M1 and to A2:P2 by M2. Then A2:P2 sends to M1: who counts per
    endpoint admits it, who counts per mapping does not.
    """
    if mapping is Mapping.ENDPOINT_INDEPENDENT:
        return Observed(tuple(FilterScope), ONE_MAPPING)
    if filtering is Filtering.ENDPOINT_INDEPENDENT:
        return Observed(tuple(FilterScope), "everybody is admitted")
    socket = await ground.host.open()
    mapped = await ground.bind(socket)
    await ground.bind(socket, Corner.BOTH)
    admitted = await ground.admits(socket, mapped, Corner.BOTH)
    socket.close()
    return Observed((FilterScope.PER_ENDPOINT if admitted else FilterScope.PER_MAPPING,))


async def probe_reply_reuse(ground: Ground, mapping: Mapping | None) -> Observed[ReplyReuse]:
    """Find from which mapping a reply leaves, if the remote came in by a mapping not made for it."""
    if mapping is Mapping.ENDPOINT_INDEPENDENT:
        return Observed(tuple(ReplyReuse), ONE_MAPPING)
    by_port = mapping is Mapping.ADDRESS_AND_PORT_DEPENDENT
    reused = await _reply_to_stranger(ground, by_port=by_port)
    overrides = await _reply_to_acquaintance(ground, by_port=by_port)
    if reused is False:
        return Observed(() if overrides else (ReplyReuse.OFF,), "only remotes known before are answered so")
    if overrides is True:
        return Observed((ReplyReuse.INBOUND_FIRST,))
    if reused and overrides is False:
        return Observed((ReplyReuse.EXISTING_FLOW_FIRST,))
    if overrides is False:
        return Observed(
            (ReplyReuse.OFF, ReplyReuse.EXISTING_FLOW_FIRST), "only remotes sent to before are admitted"
        )
    if reused:
        both = (ReplyReuse.INBOUND_FIRST, ReplyReuse.EXISTING_FLOW_FIRST)
        return Observed(both, "no remote with a mapping of its own is admitted by another one")
    return Observed(tuple(ReplyReuse), "no remote is admitted by a mapping that was not made for it")


async def _reply_to_stranger(ground: Ground, *, by_port: bool) -> bool | None:
    """Let a remote never sent to come in by M1, then send to it: does the packet leave by M1?

    Which remote is admitted depends on the filter. Anybody; or another port of the address that M1 sent to
    (which has a mapping of its own only if mapping goes by port); or another port of an address that another
    mapping sent to. None where nobody is.
    """
    ways: list[tuple[Corner, Sequence[Corner]]] = [(Corner.BOTH, ()), (Corner.BOTH, (Corner.IP,))]
    if by_port:
        ways.append((Corner.PORT, ()))
    for remote, sent_before in ways:
        socket = await ground.host.open()
        try:
            mapped = await ground.bind(socket)
            for corner in sent_before:
                await ground.bind(socket, corner)
            if await ground.admits(socket, mapped, remote):
                return await ground.bind(socket, remote) == mapped
        finally:
            socket.close()
    return None


async def _reply_to_acquaintance(ground: Ground, *, by_port: bool) -> bool | None:
    """Send to a remote by M2, let it come in by M1, and send again: does the packet now leave by M1?"""
    for remote in (Corner.BOTH, Corner.PORT) if by_port else (Corner.BOTH,):
        socket = await ground.host.open()
        try:
            answer = await _outbound_then_inbound(ground, socket, remote)
        finally:
            socket.close()
        if answer is not None:
            mapped, later = answer
            return mapped == later
    return None


async def _outbound_then_inbound(
    ground: Ground, socket: ProbeSocket, remote: Corner
) -> tuple[TransportAddress, TransportAddress] | None:
    mapped = await ground.bind(socket)
    own = await ground.bind(socket, remote)
    if own == mapped or not await ground.admits(socket, mapped, remote):
        return None
    return mapped, await ground.bind(socket, remote)
