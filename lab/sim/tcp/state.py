"""The states of a TCP connection and what moves it between them (RFC 9293 §3.3.2).

::

    open()   ─→ SYN-SENT ──SYN-ACK──→ ESTABLISHED ──FIN sent──→ FIN-WAIT-1 ─ACK─→ FIN-WAIT-2 ─FIN─→ TIME-WAIT
                   │ SYN               ↑     │ FIN                  │ FIN                          ↑
    accept() ─→ SYN-RECEIVED ──ACK─────┘     │                      └────→ CLOSING ──────ACK───────┘
                                             └→ CLOSE-WAIT ──FIN sent──→ LAST-ACK ──ACK──→ CLOSED
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from lab.sim.tcp.config import TcpFailure
from nat_models.packet import IcmpType

if TYPE_CHECKING:
    from collections.abc import Mapping


class TcpState(enum.Enum):
    """RFC 9293 §3.3.2. LISTEN is not here: a listener makes a connection for each SYN."""

    CLOSED = "CLOSED"
    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"


UNSYNCHRONIZED = frozenset({TcpState.CLOSED, TcpState.SYN_SENT, TcpState.SYN_RECEIVED})
RECEIVES_DATA = frozenset({TcpState.ESTABLISHED, TcpState.FIN_WAIT_1, TcpState.FIN_WAIT_2})
KEPT_ALIVE = frozenset({TcpState.ESTABLISHED, TcpState.CLOSE_WAIT, TcpState.FIN_WAIT_2})

AFTER_FIN_SENT: Mapping[TcpState, TcpState] = {
    TcpState.ESTABLISHED: TcpState.FIN_WAIT_1,
    TcpState.CLOSE_WAIT: TcpState.LAST_ACK,
}
AFTER_FIN_ACKNOWLEDGED: Mapping[TcpState, TcpState] = {
    TcpState.FIN_WAIT_1: TcpState.FIN_WAIT_2,
    TcpState.CLOSING: TcpState.TIME_WAIT,
    TcpState.LAST_ACK: TcpState.CLOSED,
}
AFTER_FIN_RECEIVED: Mapping[TcpState, TcpState] = {
    TcpState.ESTABLISHED: TcpState.CLOSE_WAIT,
    TcpState.FIN_WAIT_1: TcpState.CLOSING,
    TcpState.FIN_WAIT_2: TcpState.TIME_WAIT,
}
ICMP_FAILURES: Mapping[IcmpType, TcpFailure] = {
    IcmpType.NETWORK_UNREACHABLE: TcpFailure.NETWORK_UNREACHABLE,
    IcmpType.HOST_UNREACHABLE: TcpFailure.HOST_UNREACHABLE,
    IcmpType.PORT_UNREACHABLE: TcpFailure.REFUSED,
    IcmpType.ADMINISTRATIVELY_PROHIBITED: TcpFailure.HOST_UNREACHABLE,
    IcmpType.TIME_EXCEEDED: TcpFailure.HOST_UNREACHABLE,
}
"""What Linux reports for each (icmp_err_convert)."""
