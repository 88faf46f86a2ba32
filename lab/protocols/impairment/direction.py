"""One direction of a link: the pipe a packet goes through, from the sender's interface to the receiver's.

In this order: MTU, cut, queue and rate, loss, duplication, time of flight, reordering. Loss comes after the
rate: a packet lost on the wire was sent. The pipe keeps no packet and needs no event: it answers at once with
the time of arrival, and the network schedules that. Packets under way when the link is cut or changed
therefore arrive as was decided when they were sent.

Every packet has an index, counted from 0 for each direction; every draw is a function of the link's seed,
that index and the draw's purpose. So one more impairment does not change what the others do, and `force` can
change the fate of one packet and leave the rest as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lab.protocols.fragmentation import fragment_packet
from lab.protocols.impairment.block import BlockLoss
from lab.protocols.impairment.burst import BurstLoss
from lab.protocols.impairment.decision import Decision, Fate, Lost
from lab.protocols.impairment.duplicate import Duplication
from lab.protocols.impairment.jitter import Flight
from lab.protocols.impairment.loss import IndependentLoss
from lab.protocols.impairment.mtu import fits, refusal
from lab.protocols.impairment.rate import Transmitter
from lab.protocols.impairment.reorder import Reordering, hurried
from lab.protocols.impairment.target import Target
from lab.spec.impairment import Impairment, JitterOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nat_models.packet import Packet

# A packet with this much less payload than the MTU fits for sure: IPv6 and fragment header, and TCP's; the
# quotation of an ICMP error is not payload, so links with a smaller MTU than such an error always look
# closely.
_HEADER_ROOM = 40 + 8 + 20
_LARGEST_ICMP_ERROR = 1280


_NONE_FORCED: Mapping[int, Fate] = {}


class _LossModel(Protocol):
    reason: str

    def loses(self, index: int) -> bool:
        """Return whether the packet of that index is lost."""


class LinkDirection:
    """The running state of one direction; ``seed`` is its own (64 bits), ``label`` names it to people.

    ``force`` sets the fate of packets by index, against every chance: ``Fate.DROP`` loses one,
    ``Fate.DELIVER`` saves one from loss, duplication and reordering alike (but not from a full queue or a
    cut). ``log`` is the other side of it: index → fate of every packet that was not simply delivered, jitter
    aside.
    """

    # A network of thousands of homes has as many directions: slots halve them.
    __slots__ = (
        "_block",
        "_burst",
        "_cut_reason",
        "_delay",
        "_duplication",
        "_flight",
        "_force",
        "_index",
        "_is_plain",
        "_latest",
        "_losses",
        "_reordering",
        "_seed",
        "_surely_fits",
        "_targets",
        "_transmitter",
        "impairment",
        "label",
        "log",
    )

    def __init__(
        self, impairment: Impairment, seed: int, label: str, force: Mapping[int, Fate] | None = None
    ) -> None:
        self.impairment = impairment
        self.label = label
        self.log: dict[int, Fate] = {}
        self._seed = seed
        self._force = dict(force) if force else _NONE_FORCED
        self._targets: tuple[Target, ...] = ()
        self._index = 0
        self._latest = 0.0
        self._cut_reason = ""
        self._transmitter: Transmitter | None = None
        self._burst: BurstLoss | None = None
        self._losses: tuple[_LossModel, ...] = ()
        self._configure(None, 0.0)

    def transmit(self, packet: Packet, now: float) -> Decision:
        """Decide what becomes of a packet handed to the link at ``now`` (seconds, never falling)."""
        carried = self.carry(packet, now)
        return carried if isinstance(carried, Decision) else Decision(((carried, packet),))

    def carry(self, packet: Packet, now: float) -> float | Decision:
        """Decide as :meth:`transmit`, and return no more than the time of arrival where that says it all."""
        if len(packet.payload) > self._surely_fits and not fits(packet, self.impairment.mtu):
            return self._carry_oversize(packet, now)
        index = self._index
        self._index = index + 1
        if not self._is_plain:
            return self._carry_impaired(packet, now, index)
        for model in self._losses:
            if model.loses(index):
                return self._drop(index, f"lost on {self.label}: {model.reason}")
        arrival = now + self._delay
        # A wire keeps its order when its delay is lowered.
        if arrival < self._latest:  # noqa: PLR1730 - max() would cost a tenth of the whole call
            arrival = self._latest
        self._latest = arrival
        return arrival

    def change(self, impairment: Impairment, now: float) -> None:
        """Impair otherwise from ``now`` on; packet index, queue, and a burst chain left as it was go on."""
        before, self.impairment = self.impairment, impairment
        self._configure(before, now)

    def cut(self, reason: str = "") -> None:
        """Drop everything handed in from now on."""
        self._cut_reason = reason or f"link {self.label} is cut"
        self._set_plain()

    def heal(self) -> None:
        """Undo :meth:`cut`."""
        self._cut_reason = ""
        self._set_plain()

    @property
    def is_cut(self) -> bool:
        """Whether the link is cut in this direction."""
        return bool(self._cut_reason)

    @property
    def packets(self) -> int:
        """How many packets were handed in: the index of the next one."""
        return self._index

    def backlog(self, now: float) -> float:
        """Return the bytes that wait to be sent."""
        return self._transmitter.backlog(now) if self._transmitter else 0.0

    def drop_matching(
        self,
        match: Callable[[Packet], bool],
        nth: int = 1,
        count: int | None = 1,
        reason: str = "",
        step: int = 1,
    ) -> None:
        """Drop the ``nth`` packet (from 1, counted from now) that matches, and every ``step`` th after it.

        ``count`` packets in all; None: without end.
        """
        reason = reason or f"dropped on request: match {nth} on {self.label}"
        self._targets += (Target(match, nth, count, reason, step),)
        self._set_plain()

    def drop_indexes(self, indexes: Iterable[int]) -> None:
        """Drop the packets of these indexes, whatever they are.

        Raises:
            ValueError: one of them was handed in already.
        """
        wanted = list(indexes)
        if wanted and min(wanted) < self._index:
            raise ValueError(
                f"packet {min(wanted)} of {self.label} was sent before; the next one is {self._index}"
            )
        self._force = {**self._force, **dict.fromkeys(wanted, Fate.DROP)}
        self._set_plain()

    def _configure(self, before: Impairment | None, now: float) -> None:
        new, seed = self.impairment, self._seed
        self._delay = new.delay
        self._surely_fits = new.mtu - _HEADER_ROOM if new.mtu >= _LARGEST_ICMP_ERROR else -1
        self._flight = Flight(new.delay, new.jitter, seed) if new.jitter else None
        self._duplication = Duplication(new.duplicate, seed) if new.duplicate else None
        self._reordering = Reordering(new.reorder, seed) if new.reorder else None
        self._configure_transmitter(now)
        if before is None or before.loss_burst != new.loss_burst:
            self._burst = BurstLoss(new.loss_burst, seed, self._index) if new.loss_burst else None
        if before is None or before.loss_block != new.loss_block:
            self._block = BlockLoss(*new.loss_block, seed, self._index) if new.loss_block else None
        independent = IndependentLoss(new.loss, seed) if new.loss else None
        self._losses = tuple(model for model in (independent, self._burst, self._block) if model is not None)
        self._set_plain()

    def _configure_transmitter(self, now: float) -> None:
        rate, queue = self.impairment.rate, self.impairment.queue
        if not rate:
            self._transmitter = None
        elif self._transmitter is None:
            self._transmitter = Transmitter(rate, queue)
        else:
            self._transmitter.retune(rate, queue, now)

    def _set_plain(self) -> None:
        """Note whether a packet can only get lost or arrive ``delay`` later: the case that must be quick."""
        wanted = self.impairment
        self._is_plain = not (
            self._cut_reason
            or self._targets
            or self._force
            or self._duplication
            or self._transmitter
            or self._flight
            or self._reordering
            or wanted.jitter_order is JitterOrder.FREE
        )

    def _carry_oversize(self, packet: Packet, now: float) -> Decision:
        refused = refusal(packet, self.impairment.mtu, self.label)
        if refused is not None:
            return refused
        pieces = fragment_packet(packet, self.impairment.mtu)
        decisions = [self.transmit(piece, now) for piece in pieces]
        arriving = tuple(delivery for decision in decisions for delivery in decision.deliveries)
        lost = tuple(
            Lost(piece, decision.reason, decision.packet_index)
            for piece, decision in zip(pieces, decisions, strict=True)
            if decision.reason
        )
        return Decision(arriving, "" if arriving else lost[0].reason, lost)

    def _carry_impaired(self, packet: Packet, now: float, index: int) -> float | Decision:
        if self._cut_reason:
            return self._drop(index, self._cut_reason)
        sent = now
        if self._transmitter is not None:
            out = self._transmitter.send(packet.length, now)
            if out is None:
                return self._drop(index, f"queue of {self.label} full ({self._transmitter.queue} bytes)")
            sent = out
        reason = self._loss_reason(packet, index)
        if reason:
            return self._drop(index, reason)
        return self._deliver(packet, index, sent)

    def _loss_reason(self, packet: Packet, index: int) -> str:
        """Return why the packet is lost on the wire, empty when it is not."""
        reason = self._aimed_reason(packet) if self._targets else ""
        forced = self._force.get(index)
        if forced is not None:
            return reason or (
                f"dropped on request: packet {index} on {self.label}" if Fate.DROP in forced else ""
            )
        for model in self._losses:
            if model.loses(index):
                return reason or f"lost on {self.label}: {model.reason}"
        return reason

    def _aimed_reason(self, packet: Packet) -> str:
        reason = ""
        for target in self._targets:
            if target.hits(packet):
                reason = target.reason
        if any(target.is_spent for target in self._targets):
            self._targets = tuple(target for target in self._targets if not target.is_spent)
            self._set_plain()
        return reason

    def _deliver(self, packet: Packet, index: int, sent: float) -> float | Decision:
        fate = self._force.get(index)
        if fate is None:
            fate = self._drawn_fate(index)
        arrival = sent + (self._flight.seconds(index) if self._flight else self._delay)
        if not fate:
            return self._in_order(arrival)
        self.log[index] = fate
        if Fate.REORDER in fate:
            first = hurried(sent, arrival, self.impairment.reorder_gap)
        else:
            first = self._in_order(arrival)
        if Fate.DUPLICATE not in fate:
            return Decision(((first, packet),), packet_index=index, fate=fate)
        second = self._in_order(sent + (self._flight.copy_seconds(index) if self._flight else self._delay))
        return Decision(((first, packet), (second, packet)), packet_index=index, fate=fate)

    def _drawn_fate(self, index: int) -> Fate:
        fate = Fate.DELIVER
        if self._duplication is not None and self._duplication.doubles(index):
            fate = Fate.DUPLICATE
        if self._reordering is not None and self._reordering.overtakes(index):
            fate |= Fate.REORDER
        return fate

    def _in_order(self, arrival: float) -> float:
        if self.impairment.jitter_order is JitterOrder.FREE:
            return arrival
        self._latest = max(self._latest, arrival)
        return self._latest

    def _drop(self, index: int, reason: str) -> Decision:
        self.log[index] = Fate.DROP
        return Decision(reason=reason, packet_index=index)
