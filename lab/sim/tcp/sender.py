"""The sending half of a connection: what waits, what is in flight, what to send next.

A segment is cut once and retransmitted as it was; only a smaller path MTU cuts it again. Sequence numbers
here are plain integers that never wrap. Lost segments are marked and sent again, oldest first, as the
window permits, before anything new.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from lab.sim.tcp.congestion import NewReno, RetransmissionTimeout
from lab.sim.tcp.segment import FIN, SYN, trim_front

if TYPE_CHECKING:
    from lab.sim.tcp.config import TcpConfig

MINIMUM_SEGMENT_SIZE = 88
"""Bytes; no ICMP message makes segments smaller (the reason is that of Linux: forged tiny MTUs)."""


class InFlight:
    """A segment sent and not yet acknowledged. ``flags``: SYN or FIN or nothing."""

    __slots__ = ("flags", "length", "lost", "payload", "sent_at", "start", "transmissions")

    def __init__(self, start: int, payload: bytes, length: int, flags: int) -> None:
        self.start = start
        self.payload = payload
        self.length = length
        self.flags = flags
        self.sent_at = 0.0
        self.transmissions = 0
        self.lost = False

    @property
    def span(self) -> int:
        """Sequence numbers it occupies."""
        return self.length + (1 if self.flags else 0)

    @property
    def end(self) -> int:
        """The sequence number after it."""
        return self.start + self.length + (1 if self.flags else 0)


class TcpSender:
    """Queue, flight and timer. ``first`` is SND.UNA, ``next`` is SND.NXT of RFC 9293 §3.3.1."""

    def __init__(self, config: TcpConfig, segment_size: int, initial_sequence: int) -> None:
        self.segment_size = segment_size
        self.first = self.next = initial_sequence
        self.peer_window = 0
        self.deadline: float | None = None
        """When the retransmission or window probe timer expires."""
        self.stalled_since: float | None = None
        """When the oldest unacknowledged segment was first sent, or the peer's window closed."""
        self.timeouts = 0
        """Timer expiries since the last progress."""
        self.probe_due = False
        self.queued = 0
        self._largest_window = 0
        self._congestion = NewReno(segment_size, config.initial_window)
        self._timeout = RetransmissionTimeout(config)
        self._queue: deque[tuple[bytes | memoryview, int]] = deque()  # payload, charged length
        self._flight: deque[InFlight] = deque()
        self._pipe = 0  # sequence numbers sent and believed to be in the network
        self._lost = 0  # segments marked lost
        self._finish = False
        self._fin_sent = False
        self._may_send_data = False
        self._override = False  # send new data although the piece is small
        self._urgent = False  # send a lost segment although the window is full

    # What the program wants

    def write(self, payload: bytes, charged: int | None = None) -> None:
        """Queue bytes; ``charged`` is what they count for, at least their number."""
        length = len(payload) if charged is None else charged
        self._queue.append((payload, length))
        self.queued += length

    def forget_beyond(self, room: int) -> None:
        """Drop what was queued last, down to a backlog of ``room`` charged bytes: it was never taken over.

        A piece is charged as a whole: one that is partly within stays in part only where it is not charged
        for more than it has.
        """
        while self._queue and (excess := self.backlog - room) > 0:
            payload, length = self._queue.pop()
            self.queued -= length
            if excess < length == len(payload):
                self.write(bytes(payload[: length - excess]))

    def finish(self) -> None:
        """Send a FIN after everything queued."""
        self._finish = True

    def discard(self) -> None:
        """Forget everything: the connection is over."""
        self._queue.clear()
        self._flight.clear()
        self.queued = self._pipe = self._lost = 0
        self._finish = False
        self.deadline = None

    @property
    def unacknowledged(self) -> int:
        """Sequence numbers sent and not acknowledged."""
        return self.next - self.first

    @property
    def backlog(self) -> int:
        """Charged bytes queued or unacknowledged: what occupies the send buffer."""
        return self.queued + self.next - self.first

    @property
    def finished(self) -> bool:
        """Whether the FIN was sent and everything was acknowledged."""
        return self._finish and not self._flight and not self._unsent

    @property
    def _unsent(self) -> bool:
        return self.queued > 0 or (self._finish and not self._fin_sent)

    # What the network says

    def synchronize(self) -> None:
        """Put a SYN in front; it is sent, and sent again, like any segment."""
        self._flight.append(InFlight(self.next, b"", 0, SYN))
        self.next += 1
        self._mark_lost(self._flight[-1])

    def repeat_first(self) -> None:
        """Send the oldest segment again at the next occasion, whatever the window."""
        if not self._flight:
            return
        self._urgent = True
        first = self._flight[0]
        if not first.lost:
            self._pipe -= first.span
            self._mark_lost(first)

    def established(self) -> None:
        """Permit data: the SYN was acknowledged."""
        self._may_send_data = True
        if self.timeouts:
            self._timeout.restart_after_lost_syn()

    def set_peer_window(self, window: int) -> None:
        """Take the window that the peer offers, in bytes from the acknowledged number on."""
        if window and not self.peer_window and not self._flight:
            self.deadline = self.stalled_since = None  # a probe's answer, or a window update: send now
            self._timeout.progress()
        self.peer_window = window
        self._largest_window = max(self._largest_window, window)

    def acknowledge(self, number: int, now: float) -> None:
        """Take an acknowledgement of everything before ``number`` (first < number <= next)."""
        count = number - self.first
        sample: InFlight | None = None
        clean = True
        while self._flight and self._flight[0].end <= number:
            sample = self._flight.popleft()
            clean = clean and sample.transmissions == 1
            self._leave(sample)
        if sample is not None and clean:
            self._timeout.sample(now - sample.sent_at)  # RFC 6298 §3 (Karn): no ambiguous sample
        self.first = number
        self._trim_partly_acknowledged()
        self._timeout.progress()
        self.timeouts = 0
        if self._congestion.acknowledged(count, number):
            self.repeat_first()
        if self._flight:
            self.stalled_since, self.deadline = now, now + self._timeout.seconds
        else:
            self.stalled_since = self.deadline = None

    def duplicate_acknowledgement(self) -> None:
        """Take an acknowledgement that says nothing new while data is in flight (RFC 5681 §2)."""
        if self._congestion.duplicate(self.unacknowledged, self.first, self.next):
            self.repeat_first()

    def heard(self, now: float) -> None:
        """Note that the peer lives: window probes that are answered go on for ever (RFC 9293 §3.8.6.1)."""
        if not self._flight and self.stalled_since is not None:
            self.stalled_since = now

    def reduce_segment_size(self, size: int) -> None:
        """Cut smaller from now on, and what is in flight again (RFC 1191 §6.3: retransmit at once)."""
        size = max(size, MINIMUM_SEGMENT_SIZE)
        if size >= self.segment_size:
            return
        self.segment_size = self._congestion.segment_size = size
        if any(segment.length > size for segment in self._flight):
            self._flight = deque(piece for segment in self._flight for piece in _cut(segment, size))
            self._mark_all_lost()

    def expire(self, now: float) -> None:
        """Take a timeout: everything in flight is lost (RFC 6298 §5.4), or a window probe is due."""
        self._timeout.back_off()
        if self._flight:
            self._congestion.timed_out(self.unacknowledged, self.next, again=self.timeouts > 0)
            self._mark_all_lost()
        elif self.peer_window:
            self._override = True  # too small a piece waited long enough (RFC 9293 §3.8.6.2.1)
        else:
            self.probe_due = True
        self.timeouts += 1
        self.deadline = now + self._timeout.seconds

    # What to send

    def take(self, now: float) -> list[InFlight]:
        """Return what is to be sent now, oldest first."""
        chosen: list[InFlight] = []
        idle = not self._flight
        if self._lost:
            self._take_lost(chosen)
        if self._may_send_data and (self.queued or self._finish):
            self._take_new(chosen)
        for segment in chosen:
            segment.sent_at = now
            segment.transmissions += 1
        # Nothing may be on its way and something wait for the window: then the timer probes it.
        waiting = self._may_send_data and self._unsent
        if (chosen and idle) or (self.deadline is None and (chosen or waiting)):
            self.deadline = now + self._timeout.seconds
            if idle or self.stalled_since is None:
                self.stalled_since = now
        return chosen

    def _take_lost(self, chosen: list[InFlight]) -> None:
        window = self._congestion.window
        for segment in self._flight:
            if not segment.lost:
                continue
            if self._pipe and not self._urgent and self._pipe + segment.span > window:
                return
            segment.lost = self._urgent = False
            self._lost -= 1
            self._pipe += segment.span
            chosen.append(segment)

    def _take_new(self, chosen: list[InFlight]) -> None:
        window = self._congestion.window + self._congestion.allowance
        while not self._lost and self._unsent:
            room = min(window - self._pipe, self.first + self.peer_window - self.next)
            size = min(room, self.segment_size, self.queued)
            if room < 1 or not self._worth_sending(size):
                return
            payload = self._dequeue(size)
            flags = FIN if self._finish and not self.queued and size < room else 0
            self._fin_sent = self._fin_sent or flags == FIN
            segment = InFlight(self.next, payload, size, flags)
            self._flight.append(segment)
            self.next = segment.end
            self._pipe += segment.span
            self._override = False
            chosen.append(segment)

    def _worth_sending(self, size: int) -> bool:
        """Avoid silly windows (RFC 9293 §3.8.6.2.1). Nagle's rule is off, as asyncio sets TCP_NODELAY."""
        return size in {self.segment_size, self.queued} or size * 2 >= self._largest_window or self._override

    def _dequeue(self, size: int) -> bytes:
        """Take ``size`` charged bytes off the queue; return what of them is real."""
        queue = self._queue
        self.queued -= size
        if queue and queue[0][1] == size:
            return bytes(queue.popleft()[0])
        pieces = []
        while size:
            payload, length = queue.popleft()
            use = min(length, size)
            rest, rest_length = trim_front(memoryview(payload), length, use)
            pieces.append(payload[: len(payload) - len(rest)])
            if rest_length:
                queue.appendleft((rest, rest_length))  # a view: a long write is copied once
            size -= use
        return b"".join(pieces)

    # The flight

    def _leave(self, segment: InFlight) -> None:
        if segment.lost:
            self._lost -= 1
        else:
            self._pipe -= segment.span

    def _mark_lost(self, segment: InFlight) -> None:
        segment.lost = True
        self._lost += 1

    def _mark_all_lost(self) -> None:
        for segment in self._flight:
            segment.lost = True
        self._lost, self._pipe = len(self._flight), 0

    def _trim_partly_acknowledged(self) -> None:
        if not self._flight or self._flight[0].start >= self.first:
            return
        segment = self._flight[0]
        count = self.first - segment.start
        segment.payload, segment.length = trim_front(segment.payload, segment.length, count)
        segment.start = self.first
        if not segment.lost:
            self._pipe -= count


def _cut(segment: InFlight, size: int) -> list[InFlight]:
    """Return the pieces of a segment; its FIN stays with the last."""
    pieces = []
    start, payload, length = segment.start, segment.payload, segment.length
    while length > size:
        rest, length = trim_front(payload, length, size)
        pieces.append(_piece(segment, start, payload[: len(payload) - len(rest)], size, 0))
        start, payload = start + size, rest
    pieces.append(_piece(segment, start, payload, length, segment.flags))
    return pieces


def _piece(segment: InFlight, start: int, payload: bytes, length: int, flags: int) -> InFlight:
    piece = InFlight(start, payload, length, flags)
    piece.sent_at, piece.transmissions = segment.sent_at, segment.transmissions
    return piece
