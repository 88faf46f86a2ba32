"""NAT behaviour discovery (RFC 5780 §4), and the two-mapping probes for what RFC 4787 leaves open.

Theory of operation. The server has two addresses and two ports; a request may ask that the answer come from
any of the four endpoints (CHANGE-REQUEST) and go to any port of the requester's address (RESPONSE-PORT).
So a *helper* socket can have any of the four send a packet to any mapping of another socket, which itself
stays silent: that is how a filter is asked about one remote without opening it. Every test has fresh sockets,
because a socket that was used before has state in the box.

1. Is the server there? 2. Ports of consecutive new mappings, alone, so that nothing else takes a port in
between. 3. Mapping. 4. All the rest side by side, as most of it is waiting for answers that may not come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from lab.protocols.behaviour_discovery.findings import Findings, LifetimeProbe, Observed, PortSample
from lab.protocols.behaviour_discovery.lifetimes import LifetimePlan, probe_lifetimes, probe_refresh
from lab.protocols.behaviour_discovery.probing import Corner, Ground, ProbeHost, ProbeSocket
from lab.protocols.behaviour_discovery.replies import probe_filter_scope, probe_reply_reuse
from lab.protocols.behaviour_discovery.server_check import ServerAbilities, examine_server
from nat_models.model import (
    Filtering,
    FilterScope,
    Hairpinning,
    Mapping,
    Pooling,
    PortAssignment,
    Refresh,
    ReplyReuse,
    Transparency,
    Unsolicited,
)
from nat_models.packet import TransportAddress, format_address

SAMPLE_ORDER: Final = (0, 3, 1, 2, 5, 4, 7, 6)
"""Neighbouring local ports in an order that tells counting ports from ports at a fixed distance."""
PORT_BASES: Final = range(32768, 60000, 16)
FRAGMENTED: Final = 1500
"""Bytes of PADDING: with headers more than an Ethernet frame holds."""

_PRESERVING: Final = (
    PortAssignment.PRESERVE,
    PortAssignment.PRESERVE_OVERLOAD,
    PortAssignment.PRESERVE_SYMMETRIC,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryPlan:
    """What to probe beyond the basics. ``lifetimes`` None leaves them out: they take their time.

    ``own_server`` false: the server is not the lab's, so what it does is examined first, and what cannot be
    seen by it is said so.
    """

    lifetimes: LifetimePlan | None = None
    own_server: bool = True


async def discover(host: ProbeHost, server: TransportAddress, plan: DiscoveryPlan) -> Findings:
    """Return what lies between ``host`` and ``server`` (an RFC 5780 server's primary endpoint).

    Raises:
        DiscoveryIncomplete: the server answered at first and then no longer.
    """
    socket = await host.open()
    try:
        answer = await socket.ask(server)
        basics = Findings(server=server, local=socket.local)
        if answer is None:
            return basics
        translated = answer.mapped != socket.local
    finally:
        socket.close()
    rewritten = answer.plain_mapped is not None and answer.plain_mapped != answer.mapped
    basics = replace(
        basics, reachable=True, other=answer.other, mapped=answer.mapped, address_rewritten=rewritten
    )
    able = ServerAbilities() if plan.own_server else await examine_server(host, server, answer.other)
    if plan.own_server and answer.other is None:
        return replace(basics, notes=("the server has one address only: it cannot classify",))
    ground = Ground(host, server, answer.other or server)
    discovery = _Discovery(ground, translated=translated, able=able)
    if not able.corners:
        return await discovery.run_without_corners(replace(basics, other=None))
    return await discovery.run(basics, plan)


class _Discovery:
    def __init__(self, ground: Ground, *, translated: bool, able: ServerAbilities) -> None:
        self._ground = ground
        self._host = ground.host
        self._translated = translated
        self._able = able

    async def run_without_corners(self, basics: Findings) -> Findings:
        """Find what a server with one endpoint shows: whether and how ports are translated, hairpinning."""
        samples = await self._sample_ports()
        hairpinning = await self._hairpinning()
        if hairpinning.value is Hairpinning.NONE:
            hairpinning = Observed(tuple(Hairpinning), "not done, or refused by the filter")
        untranslated = Observed((Transparency.FIREWALL, Transparency.NONE), "needs a second address")
        return replace(
            basics,
            response_port=False,
            transparency=Observed((Transparency.TRANSLATE,)) if self._translated else untranslated,
            port_assignment=self._port_assignment(samples),
            samples=samples,
            pooling=_pooling(samples),
            hairpinning=hairpinning,
            notes=self._able.notes,
        )

    async def run(self, basics: Findings, plan: DiscoveryPlan) -> Findings:
        samples = await self._sample_ports()
        mapping = await self._mapping()
        transparency = await self._transparency()
        stateless = transparency.value is Transparency.NONE
        lifetimes = None if stateless or not self._able.response_port else plan.lifetimes
        steps: Sequence[Any] = await self._host.together(
            self._filtering(),
            self._fragments(),
            self._lifetimes(lifetimes),
            self._refresh(lifetimes),
            probe_filter_scope(self._ground, mapping.value),
            probe_reply_reuse(self._ground, mapping.value),
            self._unsolicited(mapping.value),
            self._hairpinning(),
        )
        filtering, fragments, alive, refresh, filter_scope, reply_reuse, unsolicited, hairpinning = steps
        if filtering.value is Filtering.ENDPOINT_INDEPENDENT:
            if filter_scope.is_settled:
                filter_scope = Observed(tuple(FilterScope), "everybody is admitted")
            unsolicited = Observed(tuple(Unsolicited), "no packet to a mapping is unsolicited")
        elif mapping.value is not Mapping.ENDPOINT_INDEPENDENT and hairpinning.value is Hairpinning.NONE:
            reason = "the filter refuses what comes from another mapping inside"
            hairpinning = Observed(tuple(Hairpinning), reason)
        found = replace(
            basics,
            transparency=transparency,
            mapping=mapping,
            filtering=filtering,
            filter_scope=filter_scope,
            reply_reuse=reply_reuse,
            port_assignment=self._port_assignment(samples),
            samples=samples,
            pooling=_pooling(samples),
            hairpinning=hairpinning,
            unsolicited=unsolicited,
            fragments=fragments,
            lifetimes=alive,
            refresh=refresh,
            notes=(*self._able.notes, *self._notes()),
        )
        return found if self._able.response_port else _without_response_port(found)

    def _notes(self) -> tuple[str, ...]:
        """Tell of rewritten sources: connection tracking does so where a packet's own flow is taken."""
        return tuple(
            f"a packet from {format_address(sender)} came in as from {format_address(seen)}"
            for sender, seen in self._ground.disguised
        )

    async def _sample_ports(self) -> tuple[PortSample, ...]:
        sockets = await self._neighbouring_sockets()
        samples = []
        for offset in SAMPLE_ORDER:
            socket = sockets[offset]
            samples.append(PortSample(socket.local, await self._ground.bind(socket)))
        for socket in sockets:
            socket.close()
        return tuple(samples)

    async def _neighbouring_sockets(self) -> list[ProbeSocket]:
        while True:
            base = self._host.random.choice(PORT_BASES)
            sockets: list[ProbeSocket] = []
            try:
                for offset in range(len(SAMPLE_ORDER)):
                    sockets.append(await self._host.open(base + offset))  # noqa: PERF401 - kept for closing
            except OSError:
                for socket in sockets:
                    socket.close()
            else:
                return sockets

    def _port_assignment(self, samples: Sequence[PortSample]) -> Observed[PortAssignment]:
        if not self._translated:
            return Observed(tuple(PortAssignment), "nothing is translated")
        distances = [s.external[1] - s.internal[1] for s in samples]
        steps = [b.external[1] - a.external[1] for a, b in pairwise(samples)]
        if distances.count(0) * 2 > len(distances):
            return Observed(_PRESERVING, "one socket's first mapping looks the same in all of them")
        if len(set(distances)) == 1:
            return Observed((PortAssignment.CONTIGUOUS,))
        if all(1 <= step <= 2 for step in steps):  # by 2 where parity is kept
            return Observed((PortAssignment.SEQUENTIAL,))
        drawn = (PortAssignment.RANDOM, PortAssignment.PORT_BLOCK)
        return Observed(drawn, "a block is a range of ports that only the box knows")

    async def _mapping(self) -> Observed[Mapping]:
        socket = await self._host.open()
        first = await self._ground.bind(socket)
        other_address = await self._ground.bind(socket, Corner.IP)
        both = await self._ground.bind(socket, Corner.BOTH)
        same_address = await self._ground.bind(socket, Corner.PORT)
        socket.close()
        if first == other_address == both == same_address:
            return Observed((Mapping.ENDPOINT_INDEPENDENT,))
        if other_address == both and first == same_address:
            return Observed((Mapping.ADDRESS_DEPENDENT,))
        if len({first, other_address, both, same_address}) == len(Corner):
            return Observed((Mapping.ADDRESS_AND_PORT_DEPENDENT,))
        seen = f"{first}, {same_address}, {other_address}, {both}"
        return Observed((), f"mappings by endpoint were {seen}")

    async def _transparency(self) -> Observed[Transparency]:
        if self._translated:
            return Observed((Transparency.TRANSLATE,))
        silent = await self._host.open()
        passes = await self._ground.admits(silent, silent.local, Corner.BOTH)
        silent.close()
        return Observed((Transparency.NONE if passes else Transparency.FIREWALL,))

    async def _filtering(self) -> Observed[Filtering]:
        socket = await self._host.open()
        try:
            await self._ground.bind(socket)
            if await socket.ask(self._ground.server, answer_from=Corner.BOTH):
                return Observed((Filtering.ENDPOINT_INDEPENDENT,))
            if await socket.ask(self._ground.server, answer_from=Corner.PORT):
                return Observed((Filtering.ADDRESS_DEPENDENT,))
            return Observed((Filtering.ADDRESS_AND_PORT_DEPENDENT,))
        finally:
            socket.close()

    async def _fragments(self) -> Observed[bool]:
        if not self._able.padding:
            return Observed((False, True), "the server does not know PADDING")
        socket = await self._host.open()
        answer = await socket.ask(self._ground.server, padding=FRAGMENTED)
        socket.close()
        return Observed((answer is not None,))

    async def _lifetimes(self, plan: LifetimePlan | None) -> tuple[LifetimeProbe, ...]:
        return await probe_lifetimes(self._ground, plan) if plan else ()

    async def _refresh(self, plan: LifetimePlan | None) -> Observed[Refresh]:
        return await probe_refresh(self._ground, plan) if plan else Observed(tuple(Refresh), "not probed")

    async def _unsolicited(self, mapping: Mapping | None) -> Observed[Unsolicited]:
        """Find out whether a refused packet spoils the port for that remote (a router that accepts input)."""
        if not self._translated or mapping is not Mapping.ENDPOINT_INDEPENDENT:
            return Observed(tuple(Unsolicited), "only seen where every remote gets the same port")
        socket = await self._host.open()
        mapped = await self._ground.bind(socket)
        await self._ground.admits(socket, mapped, Corner.BOTH)
        later = await self._ground.bind(socket, Corner.BOTH)
        socket.close()
        if later != mapped:
            return Observed((Unsolicited.INPUT_ACCEPT,))
        rest = tuple(u for u in Unsolicited if u is not Unsolicited.INPUT_ACCEPT)
        return Observed(rest, "only the sender outside sees the difference")

    async def _hairpinning(self) -> Observed[Hairpinning]:
        if not self._translated:
            return Observed(tuple(Hairpinning), "nothing is translated")
        first, second = await self._host.open(), await self._host.open()
        at_first, at_second = await self._ground.bind(first), await self._ground.bind(second)
        # The first packet may be refused, yet it opens the filter of its sender for the second one.
        seen, sender = await first.reach(at_second, second), first
        if seen is None:
            seen, sender = await second.reach(at_first, first), second
        first.close()
        second.close()
        if seen is None:
            return Observed((Hairpinning.NONE,))
        internal = seen == sender.local
        return Observed((Hairpinning.INTERNAL_SOURCE if internal else Hairpinning.EXTERNAL_SOURCE,))


def _without_response_port(found: Findings) -> Findings:
    """Take back what was concluded from packets that the server did not send to another port."""
    why = "the server does not know RESPONSE-PORT"
    transparency = found.transparency
    if transparency.value is not Transparency.TRANSLATE:
        transparency = Observed((Transparency.FIREWALL, Transparency.NONE), why)
    single = found.mapping.value is Mapping.ENDPOINT_INDEPENDENT
    return replace(
        found,
        response_port=False,
        transparency=transparency,
        filter_scope=found.filter_scope if single else Observed(tuple(FilterScope), why),
        reply_reuse=found.reply_reuse if single else Observed(tuple(ReplyReuse), why),
        unsolicited=Observed(tuple(Unsolicited), why),
    )


def _pooling(samples: Sequence[PortSample]) -> Observed[Pooling]:
    if len({sample.external[0] for sample in samples}) > 1:
        return Observed((Pooling.ARBITRARY,))
    return Observed(tuple(Pooling), "one external address was seen")
