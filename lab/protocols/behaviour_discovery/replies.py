"""The two-mapping probes: whose sending opens a filter, and from which mapping a reply leaves.

RFC 4787 says neither; implementations differ (see :class:`~nat_models.model.FilterScope` and
:class:`~nat_models.model.ReplyReuse`). Both need a box that gives one socket several mappings.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

from lab.protocols.behaviour_discovery.findings import Observed
from lab.protocols.behaviour_discovery.probing import Corner, Ground
from nat_models.model import FilterScope, Mapping, ReplyReuse

ONE_MAPPING: Final = "one mapping serves every remote"


async def probe_filter_scope(ground: Ground, mapping: Mapping | None) -> Observed[FilterScope]:
    """Find whose sending opens a filter.

    The socket sends to A1:P1 by mapping M1 and to A2:P2 by M2. Then A2:P2 sends to M1: who counts per
    endpoint admits it, who counts per mapping does not. (Who admits everybody does not count.)
    """
    if mapping is Mapping.ENDPOINT_INDEPENDENT:
        return Observed(tuple(FilterScope), ONE_MAPPING)
    socket = await ground.host.open()
    mapped = await ground.bind(socket)
    await ground.bind(socket, Corner.BOTH)
    admitted = await ground.admits(socket, mapped, Corner.BOTH)
    socket.close()
    return Observed((FilterScope.PER_ENDPOINT if admitted else FilterScope.PER_MAPPING,))


class _Reply(enum.Enum):
    """By which mapping the socket's packet to a remote leaves, after one of the remote's came in by M1."""

    BY_INBOUND = "by M1"
    BY_RULE = "by another one"
    APART = "by another one, and by M1 to the port under which the remote was seen to come"


async def probe_reply_reuse(ground: Ground, mapping: Mapping | None) -> Observed[ReplyReuse]:
    """Find from which mapping a reply leaves, if the remote came in by a mapping not made for it."""
    if mapping is Mapping.ENDPOINT_INDEPENDENT:
        return Observed(tuple(ReplyReuse), ONE_MAPPING)
    by_port = mapping is Mapping.ADDRESS_AND_PORT_DEPENDENT
    stranger, acquaintance = await ground.host.together(
        _reply_to_stranger(ground, by_port=by_port), _reply_to_acquaintance(ground, by_port=by_port)
    )
    fitting = tuple(
        reuse
        for reuse, (to_stranger, to_acquaintance) in _ANSWERS.items()
        if stranger in {None, to_stranger} and acquaintance in {None, to_acquaintance}
    )
    if stranger is None and acquaintance is None:
        return Observed(fitting, "no remote is admitted by a mapping that was not made for it")
    if not fitting:
        found = f"a stranger is answered {stranger.value}" if stranger else "no stranger is admitted"
        return Observed(
            (), f"{found}, a remote sent to before {acquaintance.value if acquaintance else 'never'}"
        )
    if stranger is None:
        return Observed(fitting, "only remotes sent to before are admitted")
    return Observed(fitting, "no remote with a mapping of its own is admitted by another one")


_ANSWERS: Final = {
    ReplyReuse.OFF: (_Reply.BY_RULE, _Reply.BY_RULE),
    ReplyReuse.INBOUND_FIRST: (_Reply.BY_INBOUND, _Reply.BY_INBOUND),
    ReplyReuse.EXISTING_FLOW_FIRST: (_Reply.BY_INBOUND, _Reply.BY_RULE),
    ReplyReuse.SEPARATE_FLOWS: (_Reply.BY_INBOUND, _Reply.APART),
}
"""How a remote is answered that was never sent to, and one that was sent to before, by another mapping."""


async def _reply_to_stranger(ground: Ground, *, by_port: bool) -> _Reply | None:
    """Let a remote never sent to come in by M1, then send to it: by which mapping does the packet leave?

    Which remote is admitted depends on the filter. Anybody; or another port of the address that M1 sent to
    (which has a mapping of its own only if mapping goes by port); or another port of an address that another
    mapping sent to. None where nobody is.
    """
    ways = [
        _reply_after_inbound(ground, Corner.BOTH),
        _reply_after_inbound(ground, Corner.BOTH, sent_before=Corner.IP),
    ]
    if by_port:
        ways.append(_reply_after_inbound(ground, Corner.PORT))
    return _first_known(await ground.host.together(*ways))


async def _reply_to_acquaintance(ground: Ground, *, by_port: bool) -> _Reply | None:
    """Send to a remote by M2, let it come in by M1, and send again: by which mapping?"""
    remotes = (Corner.BOTH, Corner.PORT) if by_port else (Corner.BOTH,)
    ways = [_reply_after_inbound(ground, remote, sent_before=remote) for remote in remotes]
    return _first_known(await ground.host.together(*ways))


async def _reply_after_inbound(
    ground: Ground, remote: Corner, *, sent_before: Corner | None = None
) -> _Reply | None:
    socket = await ground.host.open()
    try:
        mapped = await ground.bind(socket)
        if sent_before is not None and await ground.bind(socket, sent_before) == mapped:
            return None
        seen = await ground.source_seen(socket, mapped, remote)
        if seen is None:
            return None
        if await ground.bind(socket, remote) == mapped:
            return _Reply.BY_INBOUND
        if seen != ground.endpoint(remote):
            answer = await socket.ask(seen)
            if answer is not None and answer.mapped == mapped:
                return _Reply.APART
        return _Reply.BY_RULE
    finally:
        socket.close()


def _first_known(answers: Sequence[_Reply | None]) -> _Reply | None:
    return next((answer for answer in answers if answer is not None), None)
