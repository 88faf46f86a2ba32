"""The receiving half of a connection: reassembly, the window offered, and when to acknowledge.

Acknowledgements are delayed (RFC 9293 §3.8.6.3, RFC 5681 §4.2), which also costs the simulation least: most
ride on the answer that the program sends. At once go those for a second full-sized segment, for anything
out of order, for what fills a gap, for a FIN, and for a window that opens again.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, NamedTuple

from lab.sim.tcp.segment import trim_front

if TYPE_CHECKING:
    from lab.sim.tcp.config import TcpConfig


class _Early(NamedTuple):
    start: int
    length: int
    payload: bytes


class TcpReceiver:
    """What arrived. ``next`` is RCV.NXT of RFC 9293 §3.3.1; numbers never wrap."""

    def __init__(self, config: TcpConfig, segment_size: int) -> None:
        self.next = 0
        self.finished = False
        """Whether everything up to and including the peer's FIN arrived."""
        self.acknowledge_now = False
        self.deadline: float | None = None
        """When a delayed acknowledgement is due."""
        self.unread = 0
        """Charged bytes in order that the program has not taken yet."""
        self._capacity = config.receive_buffer
        self._delay = config.delayed_ack
        self._segment_size = segment_size
        self._ready: list[bytes] = []
        self._early: list[_Early] = []
        self._edge = 0
        self._acknowledged = 0
        self._fin_at: int | None = None

    def start(self, initial_sequence: int) -> None:
        """Take the peer's initial sequence number."""
        self.next = self._acknowledged = initial_sequence + 1
        self._edge = self.next + self._capacity

    @property
    def window(self) -> int:
        """Bytes offered from ``next`` on; the right edge never moves back (RFC 9293 §3.8.6)."""
        return self._edge - self.next

    def acceptable(self, start: int, span: int) -> bool:
        """Whether any of it falls into the window (RFC 9293 §3.10.7.4, first check)."""
        if span == 0:
            return self.next <= start < self._edge or start == self.next
        return start < self._edge and start + span > self.next

    def receive(self, start: int, payload: bytes, length: int, *, fin: bool, now: float) -> None:
        """Take data and FIN of an acceptable segment."""
        if fin:
            self._fin_at = start + length
        in_order = start <= self.next and not self._early
        before = self.next
        if start <= self.next:
            self._append(start, payload, length)
            self._append_early()
        elif length:
            self._keep(_Early(start, length, payload))
        if self._fin_at == self.next and not self.finished:
            self.finished = True
            self.next += 1
        self._schedule_acknowledgement(now, at_once=fin or not in_order or self.next == before)

    def read(self) -> bytes:
        """Return and remove the bytes that are ready."""
        taken = self._ready[0] if len(self._ready) == 1 else b"".join(self._ready)
        self._ready.clear()
        self.unread = 0
        gain = self.next + self._capacity - self._edge
        closed = self.window < self._segment_size
        if gain >= self._capacity // 2 or (closed and gain >= min(self._segment_size, self._capacity // 2)):
            self.acknowledge_now = True  # a window update
        return taken

    def acknowledged(self) -> None:
        """Note that an acknowledgement goes out; the window opens as far as there is room."""
        self.acknowledge_now = False
        self.deadline = None
        self._acknowledged = self.next
        room = self.next + self._capacity - self.unread
        gain = room - self._edge
        if gain >= min(self._segment_size, self._capacity // 2) or (gain > 0 and not self.unread):
            self._edge = room  # no silly windows (RFC 9293 §3.8.6.2.2)

    def _append(self, start: int, payload: bytes, length: int) -> None:
        old = self.next - start
        if old >= length:
            return
        if old:
            payload, length = trim_front(payload, length, old)
        self.next += length
        self.unread += length
        if payload:
            self._ready.append(payload)

    def _append_early(self) -> None:
        while self._early and self._early[0].start <= self.next:
            start, length, payload = self._early.pop(0)
            self._append(start, payload, length)

    def _keep(self, early: _Early) -> None:
        place = bisect.bisect_left(self._early, early.start, key=lambda held: held.start)
        if place < len(self._early) and self._early[place].start == early.start:
            if self._early[place].length < early.length:
                self._early[place] = early
            return
        self._early.insert(place, early)

    def _schedule_acknowledgement(self, now: float, *, at_once: bool) -> None:
        if at_once or self.next - self._acknowledged >= 2 * self._segment_size:
            self.acknowledge_now = True
        elif self.deadline is None:
            self.deadline = now + self._delay
