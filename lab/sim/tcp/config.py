"""The settings of a simulated TCP stack, and the reasons a connection can end.

Defaults are those of Linux 6 where RFC 9293 leaves a choice; each field says its unit and its source.
"""

from __future__ import annotations

import enum
import errno
import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpConfig:
    """What an administrator sets on a host, once for all its connections."""

    mss_ipv4: int = 1460
    """Bytes of payload a segment over IPv4 (RFC 9293 §3.7.1 with an MTU of 1500)."""
    mss_ipv6: int = 1220
    """Bytes of payload a segment over IPv6 (RFC 9293 §3.7.1: the minimum MTU of 1280)."""
    receive_buffer: int = 65535
    """Bytes; the largest window offered. More than 65535 needs the window scaling of RFC 7323, implied
    here."""
    send_buffer: int = 262144
    """Bytes held by the stack for sending; what is written beyond waits in the transport and pauses the
    writer."""
    initial_window: int = 10
    """Segments sent before the first acknowledgement (RFC 6928)."""
    initial_rto: float = 1.0
    """Seconds before the first retransmission of a SYN (RFC 6298 §2.1)."""
    minimum_rto: float = 0.2
    """Seconds; the floor of the variance term (RFC 6298 §2.3 with Linux's 200 ms, not the 1 s of §2.4)."""
    maximum_rto: float = 120.0
    """Seconds (RFC 6298 §2.5; TCP_RTO_MAX)."""
    syn_retries: int = 6
    """Retransmissions of a SYN before "timed out": 127 s in all (tcp_syn_retries)."""
    syn_ack_retries: int = 5
    """Retransmissions of a SYN-ACK: 63 s in all (tcp_synack_retries)."""
    data_retries: int = 15
    """Retransmissions of data, as the time they take from the minimum RTO on: 924.6 s (tcp_retries2)."""
    orphan_retries: int = 8
    """The same when the program has closed already: 102.2 s (tcp_orphan_retries 0 means 8)."""
    user_timeout: float | None = None
    """Seconds without progress, in place of ``data_retries`` (RFC 5482; TCP_USER_TIMEOUT)."""
    delayed_ack: float = 0.04
    """Seconds an acknowledgement waits for data to ride on (RFC 9293 §3.8.6.3; Linux's minimum)."""
    time_wait: float = 60.0
    """Seconds in TIME-WAIT (TCP_TIMEWAIT_LEN; RFC 9293 says four minutes)."""
    fin_wait_2: float = 60.0
    """Seconds to wait for the peer's FIN when the program has closed already (tcp_fin_timeout)."""
    keepalive_idle: float | None = None
    """Seconds of silence before the first keep-alive; None sends none (RFC 9293 §3.8.4: off by default)."""
    keepalive_interval: float = 75.0
    """Seconds between keep-alives (tcp_keepalive_intvl)."""
    keepalive_probes: int = 9
    """Unanswered keep-alives before "timed out" (tcp_keepalive_probes)."""

    def give_up_after(self, retries: int) -> float:
        """Return the seconds that so many retransmissions take, from the minimum RTO to the maximum."""
        return sum(min(self.minimum_rto * float(2**n), self.maximum_rto) for n in range(retries + 1))


class TcpFailure(enum.Enum):
    """Why a connection ended otherwise than by its programs closing it; the value is the ``errno``."""

    REFUSED = errno.ECONNREFUSED
    RESET = errno.ECONNRESET
    TIMED_OUT = errno.ETIMEDOUT
    NETWORK_UNREACHABLE = errno.ENETUNREACH
    HOST_UNREACHABLE = errno.EHOSTUNREACH

    def as_error(self, about: str) -> OSError:
        """Return the exception that a program sees: ConnectionRefusedError, TimeoutError ... by ``errno``."""
        return OSError(self.value, f"{os.strerror(self.value)}: {about}")
