"""What a NAT knows of one TCP connection: which control bits went which way (RFC 5382 §2, §4.3).

State      Seen so far                               Idle time (RFC 5382 REQ-5)
---------  ----------------------------------------  --------------------------
opening    a SYN in one direction or both            transitory, >= 4 min
open       SYN and ACK in both directions            established, >= 2 h 4 min
closing    open, and FIN in both directions          transitory
reset      an RST                                    ``rst_hold``

One FIN keeps a connection open: the other direction may go on for hours (RFC 793 half-close). A segment
after a reset revives the connection, for the RST may have been forged (RFC 7857 §2.2).
"""

from __future__ import annotations

import enum

from nat_models.packet import TcpFlag


class TcpState(enum.Enum):
    """What the seen control bits amount to."""

    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    RESET = "reset"


# Plain numbers: an operation on an IntFlag costs as much as translating a whole packet.
_FIN, _SYN, _RST, _ACK = (int(flag) for flag in (TcpFlag.FIN, TcpFlag.SYN, TcpFlag.RST, TcpFlag.ACK))
_HANDSHAKE = _SYN | _ACK
_TRACKED = _SYN | _ACK | _FIN


class TcpSession:
    """The control bits seen in each direction, and until when the session lives."""

    __slots__ = ("expires", "inbound", "outbound", "was_reset")

    def __init__(self, now: float) -> None:
        self.expires = now
        self.outbound = 0
        self.inbound = 0
        self.was_reset = False

    @property
    def state(self) -> TcpState:
        """Where the connection is in its life."""
        if self.was_reset:
            return TcpState.RESET
        both = self.outbound & self.inbound
        if both & _HANDSHAKE != _HANDSHAKE:
            return TcpState.OPENING
        return TcpState.CLOSING if both & _FIN else TcpState.OPEN

    def saw(self, flags: int, *, outbound: bool) -> None:
        """Take note of a segment's control bits."""
        if is_initial_syn(flags) and self.state in {TcpState.CLOSING, TcpState.RESET}:
            # The same endpoints connect anew (RFC 9293 §3.6.1).
            self.outbound = self.inbound = 0
        self.was_reset = flags & _RST != 0
        if outbound:
            self.outbound |= flags & _TRACKED
        else:
            self.inbound |= flags & _TRACKED

    def assume_open(self) -> None:
        """Take the connection for open, having missed its handshake."""
        self.outbound = self.inbound = _HANDSHAKE


def is_initial_syn(flags: int) -> bool:
    """Whether a segment opens a connection: SYN without ACK or RST."""
    return flags & (_SYN | _ACK | _RST) == _SYN
