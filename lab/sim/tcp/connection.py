"""One TCP connection as a state machine without I/O: RFC 9293 §3.3.2 and §3.10, RFC 5961, RFC 5461.

Theory of operation. The owner feeds segments (:meth:`TcpConnection.receive`), the program's wishes
(``write``, ``shutdown``, ``close``, ``abort``), the time (:meth:`TcpConnection.wake` at
:meth:`TcpConnection.next_wake`) and ICMP errors. After each of these it hands the program what is readable,
then sends what :meth:`TcpConnection.segments_to_send` gives: in that order, so that an acknowledgement
rides on the program's answer.

Not modelled: options (MSS, window scaling, SACK, timestamps), urgent data, ECN, Fast Open, Nagle's rule
(asyncio turns it off), SYN cookies. Each side cuts segments by its own configuration and by ICMP
"fragmentation needed".
"""

from __future__ import annotations

from lab.sim.tcp.config import TcpConfig, TcpFailure
from lab.sim.tcp.receiver import TcpReceiver
from lab.sim.tcp.segment import ACK, FIN, PSH, RST, SYN, Segment, from_wire, to_wire
from lab.sim.tcp.sender import InFlight, TcpSender
from lab.sim.tcp.state import (
    AFTER_FIN_ACKNOWLEDGED,
    AFTER_FIN_RECEIVED,
    AFTER_FIN_SENT,
    ICMP_FAILURES,
    KEPT_ALIVE,
    RECEIVES_DATA,
    UNSYNCHRONIZED,
    TcpState,
)
from nat_models.packet import IcmpType

CHALLENGE_INTERVAL = 0.5
"""Seconds between answers to unacceptable segments without data, or two peers could answer for ever (RFC
5961 §10)."""

_ROUNDING = 1e-9
"""Seconds by which sums of timeouts may miss their limit."""


class TcpConnection:
    """One connection. All times are seconds of the caller's clock.

    Args:
        config: the stack's settings.
        segment_size: bytes of payload a segment.
        initial_sequence: ISS, 32 bits.
    """

    def __init__(self, config: TcpConfig, segment_size: int, initial_sequence: int) -> None:
        self.state = TcpState.CLOSED
        self.failure: TcpFailure | None = None
        """Why the connection ended, once CLOSED; None when its programs closed it."""
        self.sender = TcpSender(config, segment_size, initial_sequence)
        self.receiver = TcpReceiver(config, segment_size)
        self._config = config
        self._active = False
        self._orphan = False
        self._soft_failure: TcpFailure | None = None
        self._initial_received = 0
        self._control: list[Segment] = []
        self._challenged_at = float("-inf")
        self._window_from = (0, 0)  # SND.WL1, SND.WL2
        self._lingers_until: float | None = None
        self._keepalive_at: float | None = None
        self._keepalives = 0

    @property
    def is_synchronized(self) -> bool:
        """Whether both sides agreed that the connection exists: from ESTABLISHED on."""
        return self.state not in UNSYNCHRONIZED

    # The program's wishes

    def open(self) -> None:
        """Begin the handshake (active open)."""
        self._active = True
        self.state = TcpState.SYN_SENT
        self.sender.synchronize()

    def accept(self, segment: Segment) -> None:
        """Answer a SYN (passive open)."""
        self._synchronize_with(segment)
        self.state = TcpState.SYN_RECEIVED
        self.sender.synchronize()

    def write(self, payload: bytes, charged: int | None = None) -> None:
        """Queue bytes; ``charged`` is what they count for on the wire where that is not their number."""
        self.sender.write(payload, charged)

    def shutdown(self) -> None:
        """Send a FIN after everything written; receiving goes on (half-close)."""
        self.sender.finish()

    def close(self, now: float) -> None:
        """Finish sending, and refuse what still arrives: the program has gone (RFC 9293 §3.6.1)."""
        self._orphan = True
        if self.state in {TcpState.SYN_SENT, TcpState.CLOSED}:
            self._end(None)
        elif self.receiver.unread:
            self.abort()  # the peer must learn that its data was not read (RFC 2525 §2.17)
        else:
            self.sender.finish()
            if self.state is TcpState.FIN_WAIT_2:
                self._lingers_until = now + self._config.fin_wait_2

    def abort(self) -> None:
        """End the connection now; the peer gets a reset (RFC 9293 §3.10.5)."""
        if self.state not in {TcpState.SYN_SENT, TcpState.CLOSED, TcpState.TIME_WAIT}:
            self._control.append(self._bare(RST | ACK))
        self._end(None)

    # Segments

    def receive(self, segment: Segment, now: float) -> None:
        """Process a segment that arrived (RFC 9293 §3.10.7)."""
        if self.state is TcpState.SYN_SENT:
            self._receive_in_syn_sent(segment, now)
            return
        if self.state is TcpState.CLOSED:
            return
        start = from_wire(segment.sequence, self.receiver.next)
        flags = segment.flags
        if self.state is TcpState.SYN_RECEIVED and flags & SYN and start == self._initial_received:
            if not flags & ACK:
                self.sender.repeat_first()  # the peer did not hear the SYN-ACK
                return
            # The SYN-ACK of a simultaneous open: its SYN is known, its ACK is news (RFC 9293 §3.5, figure 7).
            start, flags = start + 1, flags & ~SYN
        if not self.receiver.acceptable(start, segment.length + bool(flags & FIN)):
            self._answer_unacceptable(segment, now)
        elif flags & RST:
            self._receive_reset(start, now)
        elif flags & SYN:
            self._challenge(now)
        elif flags & ACK:
            self._note_life(now)
            if self._receive_acknowledgement(segment, start, now):
                self._receive_text(segment, start, flags, now)

    def _receive_in_syn_sent(self, segment: Segment, now: float) -> None:
        flags = segment.flags
        acknowledgement = from_wire(segment.acknowledgement, self.sender.next)
        if flags & ACK and acknowledgement != self.sender.next:
            if not flags & RST:
                self._control.append(Segment(RST, segment.acknowledgement))
            return
        if flags & RST:
            if flags & ACK:
                self._end(TcpFailure.REFUSED)
        elif flags & SYN:
            self._synchronize_with(segment)
            if flags & ACK:
                self._establish(segment, now)
                self.receiver.acknowledge_now = True
            else:
                self.state = TcpState.SYN_RECEIVED
                self.sender.repeat_first()

    def _synchronize_with(self, segment: Segment) -> None:
        self._initial_received = segment.sequence
        self.receiver.start(segment.sequence)
        self.sender.set_peer_window(segment.window)
        self._window_from = (segment.sequence, self.sender.first)

    def _establish(self, segment: Segment, now: float) -> None:
        self.state = TcpState.ESTABLISHED
        self.sender.established()
        self.sender.acknowledge(from_wire(segment.acknowledgement, self.sender.first), now)
        self.sender.set_peer_window(segment.window)
        self._note_life(now)

    def _answer_unacceptable(self, segment: Segment, now: float) -> None:
        if segment.flags & RST:
            return
        if self.state is TcpState.TIME_WAIT and segment.flags & FIN:
            self._lingers_until = now + self._config.time_wait
        if segment.length or segment.flags & FIN:
            self.receiver.acknowledge_now = True
        else:
            self._challenge(now)

    def _challenge(self, now: float) -> None:
        """Send the acknowledgement that a peer in its right mind corrects us by (RFC 5961 §3, §4)."""
        if now - self._challenged_at >= CHALLENGE_INTERVAL:
            self._challenged_at = now
            self.receiver.acknowledge_now = True

    def _receive_reset(self, start: int, now: float) -> None:
        if start != self.receiver.next:
            self._challenge(now)
        elif self.state is TcpState.SYN_RECEIVED:
            self._end(TcpFailure.REFUSED)
        elif self.state in {TcpState.CLOSING, TcpState.LAST_ACK, TcpState.TIME_WAIT}:
            self._end(None)
        else:
            self._end(TcpFailure.RESET)

    def _receive_acknowledgement(self, segment: Segment, start: int, now: float) -> bool:
        """Process the ACK field; return whether to go on with the segment's text."""
        sender = self.sender
        number = from_wire(segment.acknowledgement, sender.first)
        if self.state is TcpState.SYN_RECEIVED:
            if not sender.first < number <= sender.next:
                self._control.append(Segment(RST, segment.acknowledgement))
                return False
            self._establish(segment, now)
            return True
        if number > sender.next:
            self._challenge(now)
            return False
        sender.heard(now)
        if number > sender.first:
            self._take_window(segment, start, number)
            sender.acknowledge(number, now)
            self._soft_failure = None
            if sender.finished:
                self._our_fin_acknowledged(now)
        elif number == sender.first:
            self._receive_repeated(segment, start, number)
        return self.state is not TcpState.CLOSED

    def _receive_repeated(self, segment: Segment, start: int, number: int) -> None:
        window = self.sender.peer_window
        self._take_window(segment, start, number)
        plain = not segment.length and not segment.flags & FIN and self.sender.peer_window == window
        if plain and self.sender.unacknowledged:
            self.sender.duplicate_acknowledgement()

    def _take_window(self, segment: Segment, start: int, number: int) -> None:
        if (start, number) >= self._window_from:
            self._window_from = (start, number)
            self.sender.set_peer_window(segment.window)

    def _our_fin_acknowledged(self, now: float) -> None:
        self.state = AFTER_FIN_ACKNOWLEDGED.get(self.state, self.state)
        if self.state is TcpState.CLOSED:
            self._end(None)
        elif self.state is TcpState.TIME_WAIT:
            self._lingers_until = now + self._config.time_wait
        elif self._orphan:
            self._lingers_until = now + self._config.fin_wait_2

    def _receive_text(self, segment: Segment, start: int, flags: int, now: float) -> None:
        if not segment.length and not flags & FIN:
            return
        if self.state not in RECEIVES_DATA:
            return
        if self._orphan and start + segment.length > self.receiver.next:
            self.abort()  # data for a program that has gone (RFC 9293 §3.6.1; RFC 1122 §4.2.2.13)
            return
        self.receiver.receive(start, segment.payload, segment.length, fin=bool(flags & FIN), now=now)
        if self.receiver.finished:
            self.state = AFTER_FIN_RECEIVED[self.state]
            if self.state is TcpState.TIME_WAIT:
                self._lingers_until = now + self._config.time_wait

    def _end(self, failure: TcpFailure | None) -> None:
        self.state = TcpState.CLOSED
        self.failure = failure
        self.sender.discard()
        self.receiver.acknowledge_now = False
        self.receiver.deadline = self._lingers_until = self._keepalive_at = None

    # What to send

    def segments_to_send(self, now: float) -> list[Segment]:
        """Return and forget the segments to send now."""
        segments, self._control = self._control, []
        if self.state is TcpState.CLOSED:
            return segments
        for sent in self.sender.take(now):
            segments.append(self._segment(sent))
            if sent.flags & FIN:
                self.state = AFTER_FIN_SENT.get(self.state, self.state)
        if self.sender.probe_due:
            self.sender.probe_due = False
            segments.append(self._probe())
        if self.receiver.acknowledge_now:
            segments.append(self._bare(ACK))
        return segments

    def _segment(self, sent: InFlight) -> Segment:
        flags = sent.flags
        if self.state is not TcpState.SYN_SENT:
            flags |= ACK
        if sent.length:
            flags |= PSH
        return self._bare(flags, sent.start, sent.payload, sent.length)

    def _bare(self, flags: int, start: int | None = None, payload: bytes = b"", length: int = 0) -> Segment:
        number = to_wire(self.sender.next if start is None else start)
        if not flags & ACK:
            return Segment(flags, number, 0, self._config.receive_buffer, payload, length)
        self.receiver.acknowledged()
        return Segment(flags, number, to_wire(self.receiver.next), self.receiver.window, payload, length)

    def _probe(self) -> Segment:
        """Return a segment that every peer answers: one number too old, without data (as Linux probes)."""
        return self._bare(ACK, self.sender.next - 1)

    # Time

    def next_wake(self) -> float | None:
        """Return when :meth:`wake` must be called, None when nothing is pending."""
        due = self.sender.deadline
        for time in (self.receiver.deadline, self._lingers_until, self._keepalive_at):
            if time is not None and (due is None or time < due):
                due = time
        return due

    def wake(self, now: float) -> None:
        """Let time pass: retransmit, acknowledge, probe, give up, leave TIME-WAIT."""
        if self._lingers_until is not None and self._lingers_until <= now:
            self._end(None)
            return
        if self.receiver.deadline is not None and self.receiver.deadline <= now:
            self.receiver.acknowledge_now = True
            self.receiver.deadline = None
        if self.sender.deadline is not None and self.sender.deadline <= now:
            self._retransmit(now)
        if self._keepalive_at is not None and self._keepalive_at <= now:
            self._keep_alive(now)

    def _retransmit(self, now: float) -> None:
        if self._exhausted(now):
            self._end(self._soft_failure or TcpFailure.TIMED_OUT)
        else:
            self.sender.expire(now)

    def _exhausted(self, now: float) -> bool:
        config, sender = self._config, self.sender
        if self.state is TcpState.SYN_SENT:
            return sender.timeouts >= config.syn_retries
        if self.state is TcpState.SYN_RECEIVED:
            return sender.timeouts >= config.syn_ack_retries
        stalled = now - (now if sender.stalled_since is None else sender.stalled_since)
        limit = config.user_timeout
        if limit is None:
            limit = config.give_up_after(config.orphan_retries if self._orphan else config.data_retries)
        return stalled >= limit - _ROUNDING

    def _note_life(self, now: float) -> None:
        if self._config.keepalive_idle is not None:
            self._keepalives = 0
            self._keepalive_at = now + self._config.keepalive_idle

    def _keep_alive(self, now: float) -> None:
        if self.state not in KEPT_ALIVE:
            self._keepalive_at = None
            return
        self._keepalive_at = now + self._config.keepalive_interval
        if self.sender.unacknowledged:
            return  # retransmission tries already whether the peer lives
        if self._keepalives >= self._config.keepalive_probes:
            self._control.append(self._bare(RST | ACK))
            self._end(self._soft_failure or TcpFailure.TIMED_OUT)
            return
        self._keepalives += 1
        self._control.append(self._probe())

    # ICMP

    def icmp_error(self, kind: IcmpType, sequence: int, segment_size: int) -> None:
        """Take an ICMP error about a segment with that sequence number.

        Fatal while this side connects, a hint afterwards (RFC 5461 §4, RFC 9293 §3.9.2.2): the hint becomes
        the reason if the connection times out. ``segment_size`` is what fits through, for
        FRAGMENTATION_NEEDED. A sequence number that is not in flight is a forgery or too old (RFC 5927 §4).
        """
        if not self.sender.first <= from_wire(sequence, self.sender.first) < self.sender.next:
            return
        if kind is IcmpType.FRAGMENTATION_NEEDED:
            self.sender.reduce_segment_size(segment_size)
        elif kind in ICMP_FAILURES:
            if self._active and self.state in {TcpState.SYN_SENT, TcpState.SYN_RECEIVED}:
                self._end(ICMP_FAILURES[kind])
            else:
                self._soft_failure = ICMP_FAILURES[kind]
