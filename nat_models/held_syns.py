"""Inbound SYNs that no mapping admits: kept in silence for a while before they are refused (RFC 5382 REQ-4).

In that time the inside host may connect to the same remote; then the held SYN is dropped without a word, and
the remote's retransmission meets an open filter. An answer at once would end the remote's attempt.
"""

from __future__ import annotations

from nat_models.packet import Packet, TransportAddress

HELD_SYN_LIMIT = 1024
"""SYNs held at once by one box; more are dropped, which is what an answer withheld for ever looks like."""


class HeldSyns:
    """SYNs waiting for their refusal, in order of arrival."""

    def __init__(self) -> None:
        self.held: dict[tuple[TransportAddress, TransportAddress], tuple[float, Packet]] = {}

    def hold(self, syn: Packet, due: float) -> bool:
        """Keep a SYN until ``due``; a retransmission changes nothing. False: memory is used up."""
        flow = (syn.destination, syn.source)
        if flow not in self.held and len(self.held) >= HELD_SYN_LIMIT:
            return False
        self.held.setdefault(flow, (due, syn))
        return True

    def cancel(self, external: TransportAddress, remote: TransportAddress) -> None:
        """Forget the SYN that crosses an outbound one."""
        self.held.pop((external, remote), None)

    def next_due(self) -> float | None:
        """Return when the first held SYN must be answered."""
        return next(iter(self.held.values()))[0] if self.held else None

    def overdue(self, now: float) -> list[Packet]:
        """Give up, and return, the SYNs whose time has come."""
        done = [(flow, syn) for flow, (due, syn) in self.held.items() if due <= now]
        for flow, _ in done:
            del self.held[flow]
        return [syn for _, syn in done]

    def forget_all(self) -> None:
        """Lose all state, as a reboot does."""
        self.held.clear()
