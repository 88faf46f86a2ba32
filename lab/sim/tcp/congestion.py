"""When to retransmit and how much to send: RFC 6298 (timer) and RFC 5681, 6582, 6928 (NewReno).

Not modelled: SACK, timestamps, ECN, tail loss probes, pacing, restarting the window after idle time. A loss
at the end of a flight therefore costs a retransmission timeout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.sim.tcp.config import TcpConfig

DUPLICATE_THRESHOLD = 3
"""Duplicate acknowledgements that mean a loss (RFC 5681 §3.2)."""


class RetransmissionTimeout:
    """The RTO of one connection, in seconds."""

    def __init__(self, config: TcpConfig) -> None:
        self._config = config
        self._smoothed = 0.0
        self._variance = 0.0
        self._base = config.initial_rto
        self._backoff = 0

    @property
    def seconds(self) -> float:
        """The timeout now, with its back-off."""
        # The exponent is bounded: after ten doublings of any base the maximum holds anyway.
        return min(self._base * (1 << min(self._backoff, 32)), self._config.maximum_rto)

    def sample(self, round_trip: float) -> None:
        """Take a measured round trip (RFC 6298 §2.2, §2.3); never one of a retransmitted segment (§3)."""
        if self._smoothed == 0.0:
            self._smoothed, self._variance = round_trip, round_trip / 2
        else:
            self._variance = 0.75 * self._variance + 0.25 * abs(self._smoothed - round_trip)
            self._smoothed = 0.875 * self._smoothed + 0.125 * round_trip
        self._base = self._smoothed + max(self._config.minimum_rto, 4 * self._variance)

    def back_off(self) -> None:
        """Double, after the timer expired (RFC 6298 §5.5)."""
        self._backoff += 1

    def progress(self) -> None:
        """End the back-off: new data was acknowledged (as Linux does, which measures by timestamps)."""
        self._backoff = 0

    def restart_after_lost_syn(self) -> None:
        """Begin data with three seconds if the SYN timed out (RFC 6298 §5.7)."""
        self._base, self._backoff = 3.0, 0


class NewReno:
    """The congestion window of one connection, in bytes."""

    def __init__(self, segment_size: int, initial_segments: int) -> None:
        self.segment_size = segment_size
        self.window = initial_segments * segment_size
        self.threshold = 1 << 40
        self._recover: int | None = None
        self._timed_out_at = 0
        self._duplicates = 0

    @property
    def in_recovery(self) -> bool:
        """Whether a fast retransmit is not yet answered in full."""
        return self._recover is not None

    @property
    def allowance(self) -> int:
        """Bytes beyond the window that two duplicates permit (limited transmit, RFC 3042)."""
        return 0 if self.in_recovery else min(self._duplicates, 2) * self.segment_size

    def acknowledged(self, count: int, up_to: int) -> bool:
        """Grow for ``count`` acknowledged bytes; return whether the next segment is lost too (RFC 6582)."""
        self._duplicates = 0
        if self._recover is not None:
            if up_to < self._recover:
                self.window = max(self.window - count + self.segment_size, self.segment_size)
                return True
            self.window, self._recover = self.threshold, None
        elif self.window < self.threshold:
            self.window += min(count, self.segment_size)
        else:
            self.window += max(1, self.segment_size * self.segment_size // self.window)
        return False

    def duplicate(self, in_flight: int, first: int, sent_up_to: int) -> bool:
        """Count a duplicate acknowledgement of ``first``; return whether to retransmit now (RFC 5681 §3.2).

        What was in flight at a timeout is sent again anyway, and its duplicates mean nothing (RFC 6582 §3.2).
        """
        self._duplicates += 1
        if self._recover is not None:
            self.window += self.segment_size
            return False
        if self._duplicates != DUPLICATE_THRESHOLD or first < self._timed_out_at:
            return False
        self.threshold = max(in_flight // 2, 2 * self.segment_size)
        self.window = self.threshold + DUPLICATE_THRESHOLD * self.segment_size
        self._recover = sent_up_to
        return True

    def timed_out(self, in_flight: int, sent_up_to: int, *, again: bool) -> None:
        """Fall back to one segment (RFC 5681 §3.1); the threshold falls on a loss's first timeout alone."""
        if not again:
            self.threshold = max(in_flight // 2, 2 * self.segment_size)
        self.window, self._recover, self._duplicates = self.segment_size, None, 0
        self._timed_out_at = sent_up_to
