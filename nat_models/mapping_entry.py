"""One mapping and its filter state.

A mapping has *permits*: what RFC 4787 §5 calls its filter state. A permit stands for one remote address and
port (address- and port-dependent filtering), one remote address (address-dependent) or everybody
(endpoint-independent). It is made by an outbound packet, is refreshed on its own by packets to and from its
remote, and admits nobody once its mapping has ended: a mapping lives as long as its longest-lived permit, a
permit never longer than its mapping. Connection tracking and the lab's netfilter rules age filter entries
one by one as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nat_models.packet import IpProtocol, TransportAddress

if TYPE_CHECKING:
    from nat_models.mappings import MappingTable
    from nat_models.tcp_tracking import TcpSession

PermitKey = TransportAddress | str | None
MappingKey = TransportAddress | tuple[TransportAddress, TransportAddress | str]


class Permit:
    """Filter state: until when its remote is admitted, and whether it replied since ``made``."""

    __slots__ = ("expires", "made", "replied")

    def __init__(self, made: float, expires: float) -> None:
        self.made = made
        self.expires = expires
        self.replied = False


class MappingEntry:
    """A mapping in force. ``expires`` may pass before anybody notices: compare it with now.

    ``key`` is what the mapping rule finds it by; None for a mapping that had to give way to a later one (its
    port was another's towards some remote) and serves the flows that it has.
    ``paired`` are the remotes whose flows are tied to it (:mod:`nat_models.flows`,
    :mod:`nat_models.separate_flows`); ``sessions`` the TCP connections that it carries, by remote.
    """

    __slots__ = (
        "created",
        "expires",
        "external",
        "internal",
        "key",
        "paired",
        "permits",
        "refreshed",
        "remote",
        "sessions",
        "table",
    )

    def __init__(
        self,
        table: MappingTable,
        key: MappingKey | None,
        internal: TransportAddress,
        external: TransportAddress,
        remote: TransportAddress,
        permits: dict[PermitKey, Permit],
        now: float,
        expires: float,
    ) -> None:
        self.table = table
        self.key = key
        self.internal = internal
        self.external = external
        self.remote = remote
        self.permits = permits
        self.created = self.refreshed = now
        self.expires = expires
        self.paired: list[TransportAddress] = []
        self.sessions: dict[TransportAddress, TcpSession] = {}

    def admits(self, remote: TransportAddress, now: float) -> bool:
        """Whether a packet from ``remote`` may come in by this mapping now."""
        if self.expires <= now:
            return False
        permit = self.permits.get(self.table.permit_key(remote))
        return permit is not None and permit.expires > now


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingView:
    """A mapping as shown to people and tests. ``remote`` made it; times in seconds of the caller's clock."""

    protocol: IpProtocol
    internal: TransportAddress
    external: TransportAddress
    remote: TransportAddress
    created: float
    expires: float
