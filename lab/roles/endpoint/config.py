"""Where an endpoint finds its servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nat_models.packet import TransportAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnServers:
    """The TURN server's address for each transport it is reachable over; long-term credentials."""

    addresses: Mapping[str, TransportAddress] = field(default_factory=dict)
    username: str = "callpath"
    password: str = "callpath-password"  # noqa: S105 - the lab's own relay


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """``name`` it registers, the rendezvous, and its STUN and TURN servers (None: not used).

    Of several TURN servers in ``regions`` it uses the nearest, in place of ``turn``.
    """

    name: str
    rendezvous: TransportAddress
    stun: TransportAddress | None = None
    turn: TurnServers | None = None
    regions: tuple[TurnServers, ...] = ()

    def using(self, turn: TurnServers) -> EndpointConfig:
        """Return it with this TURN server; STUN moves along if it was asked of the TURN server before."""
        moves = self.turn is not None and self.stun == self.turn.addresses["udp"]
        return replace(self, turn=turn, stun=turn.addresses["udp"] if moves else self.stun)
