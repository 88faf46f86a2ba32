"""Listens to every packet of a simulated network, and tells the story of each."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence

from lab.measure.trace import PacketDrop, PacketKind, PacketStep, PacketTrace
from lab.run.packet_words import PacketWords, words_of
from lab.sim.capture import Capture
from lab.spec.event import Event, EventType
from lab.spec.network import Network
from nat_models.packet import Packet, format_address


class TraceRecorder(Capture):
    """A capture that keeps each packet in words, each drop as what it is; ``copy`` gets them as they are."""

    def __init__(self, copy: Capture | None = None) -> None:
        super().__init__()
        self._copy = copy
        self.steps: list[PacketStep] = []
        self.drops: list[PacketDrop] = []
        self._words: dict[int, tuple[Packet, PacketWords]] = {}

    def record(
        self, time: float, node: str, link: str, packet: Packet, *, outbound: bool, comment: str = ""
    ) -> None:
        """Note that an interface sent or got a packet."""
        if self._copy is not None:
            self._copy.record(time, node, link, packet, outbound=outbound, comment=comment)
        self._note(time, node, link, packet, outbound=outbound)

    def _note(self, time: float, node: str, link: str, packet: Packet, *, outbound: bool) -> None:
        content = self._words_of(packet)
        self.steps.append(
            PacketStep(
                time=time,
                node=node,
                link=link,
                outbound=outbound,
                packet_id=packet.packet_id,
                cause_id=packet.cause_id,
                source=format_address(packet.source),
                destination=format_address(packet.destination),
                kinds=content.kinds,
                words=content.words,
                exchange=content.exchange,
                is_check=content.is_check,
            )
        )

    def _words_of(self, packet: Packet) -> PacketWords:
        """Return the packet's words, made once for its whole way: boxes change addresses, seldom contents."""
        known = self._words.get(packet.packet_id)
        if known is None or known[0].payload is not packet.payload or known[0].fragment != packet.fragment:
            known = self._words[packet.packet_id] = packet, words_of(packet)
        return known[1]

    def record_drop(self, time: float, where: str, packet: Packet, reason: str) -> None:
        """Note where a packet ended; one that no interface saw is given a step at its sender."""
        if self._copy is not None:
            self._copy.record_drop(time, where, packet, reason)
        if packet.packet_id not in self._words:
            self._note(time, where, "", packet, outbound=True)
        self.drops.append(PacketDrop(time=time, where=where, packet_id=packet.packet_id, reason=reason))

    def record_refusal(self, time: float, where: str, packet_id: int, reason: str) -> None:
        """Pass on that a program dropped a packet; its event tells the trace."""
        if self._copy is not None:
            self._copy.record_refusal(time, where, packet_id, reason)


def trace_of(network: Network, recorder: TraceRecorder, events: Sequence[Event]) -> PacketTrace:
    """Return the story of the packets that a recorder saw, and of those that only events tell of."""
    seen = {step.packet_id for step in recorder.steps}
    steps = [*recorder.steps, *_steps_inside_hosts(events, seen)]
    drops = [*recorder.drops, *_drops_by_programs(events)]
    return PacketTrace(
        network=network,
        steps=sorted(steps, key=lambda step: step.time),
        drops=sorted(drops, key=lambda drop: drop.time),
    )


def _steps_inside_hosts(events: Iterable[Event], seen: Container[int]) -> list[PacketStep]:
    """Return a step for what no interface saw: refused within its own host, or held by a box till then."""
    steps = []
    for event in _refusals(events):
        if event.cause_id not in seen:
            source, _, destination = str(event.data["packet"]).partition(" > ")
            steps.append(
                PacketStep(
                    time=event.time,
                    node=event.node,
                    link="",
                    outbound=True,
                    packet_id=event.cause_id,
                    cause_id=0,
                    source=source,
                    destination=destination,
                    kinds=(PacketKind.UDP,),
                    words="from the host to itself" if source else "held until then",
                )
            )
    return steps


def _refusals(events: Iterable[Event]) -> Iterator[Event]:
    return (event for event in events if event.type is EventType.PACKET_DROPPED and not event.packet_id)


def _drops_by_programs(events: Iterable[Event]) -> list[PacketDrop]:
    """Return what programs refused to relay: they took the packet, so the network knows no drop of it."""
    return [
        PacketDrop(
            time=event.time, where=event.node, packet_id=event.cause_id, reason=str(event.data["reason"])
        )
        for event in _refusals(events)
    ]
