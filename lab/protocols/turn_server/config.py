"""What a TURN server is told: one frozen record, every field with its unit."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.errors import Problem, UsageError
from lab.protocols.channel_data import LAST_CHANNEL_RFC5766
from lab.protocols.stun_address import family_of
from nat_models.packet import TransportAddress


class Transport(enum.StrEnum):
    """What carries messages between client and server (RFC 8656 §3.1)."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"

    @property
    def is_stream(self) -> bool:
        """Whether messages come one after another on a connection."""
        return self is not Transport.UDP


class PermissionRefresh(enum.StrEnum):
    """What ChannelBind does to the permission of the channel's peer.

    RFC8656: the permission lives its own 300 s (RFC 8656 §12.2), so a client that only rebinds its channels
    every 500 s is cut. COTURN: it lives at least as long as the channel, as coturn does.
    """

    COTURN = "coturn"
    RFC8656 = "rfc8656"


class PermissionKey(enum.StrEnum):
    """What a permission is for. IP is the standard (RFC 8656 §9), IP_PORT a known fault kept as a control."""

    IP = "ip"
    IP_PORT = "ip-port"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConfig:
    """A TURN and STUN server. Times in seconds.

    ``addresses`` are the service addresses; with two of one family the server also answers NAT behaviour
    discovery (RFC 5780) on ``port`` and ``alternate_port``. ``relay_addresses`` are those that allocations
    are made on, one a family; empty takes the first service address of each family.
    """

    addresses: tuple[str, ...]
    port: int = 3478
    alternate_port: int = 3479
    relay_addresses: tuple[str, ...] = ()
    relay_ports: tuple[int, int] = (49152, 65535)
    """First and last relayed port, both included (RFC 8656 §7.2)."""
    realm: str = "callpath.test"
    users: Mapping[str, str] = field(default_factory=dict)
    """User names and passwords of the long-term mechanism (RFC 8489 §9.2)."""
    require_auth: bool = True
    security_features: bool = False
    """Offer SHA-256 keys and USERHASH through the nonce cookie (RFC 8489 §9.2.1)."""
    software: str = "Callpath"
    default_lifetime: int = 600
    max_lifetime: int = 3600
    permission_lifetime: float = 300.0
    channel_lifetime: float = 600.0
    channel_cooldown: float = 300.0
    """How long an expired channel's number and peer stay tied (RFC 8656 §12)."""
    last_channel: int = LAST_CHANNEL_RFC5766
    """The highest channel number clients may bind. ``LAST_CHANNEL`` holds them to RFC 8656, but refuses many
    clients of RFC 5766, which pick their numbers at random (coturn's own among them)."""
    reservation_lifetime: float = 30.0
    nonce_lifetime: float = 3600.0
    """A nonce older than this is answered by 438; RFC 8656 §5 asks for at most an hour."""
    permission_refresh: PermissionRefresh = PermissionRefresh.COTURN
    permission_key: PermissionKey = PermissionKey.IP
    allocations_per_user: int = 0
    """More are refused by 486; 0 is no limit."""
    max_allocations: int = 0
    """More are refused by 508; 0 is no limit."""
    permissions_per_allocation: int = 0
    """More are refused by 508; 0 is no limit."""
    denied_peers: tuple[str, ...] = ()
    """Prefixes of peers that are refused by 403 ..."""
    allowed_peers: tuple[str, ...] = ()
    """... but for these."""
    alternate_server: TransportAddress | None = None
    """Where every Allocate is sent instead, by 300 (RFC 8489 §10)."""

    def __post_init__(self) -> None:
        """Refuse what no server can be.

        Raises:
            UsageError: no or unusable address, port or lifetime; names every problem.
        """
        problems = [*self._address_problems(), *self._number_problems()]
        if problems:
            raise UsageError(*problems)

    @property
    def relays(self) -> Mapping[int, str]:
        """The relay address of each STUN address family."""
        chosen: dict[int, str] = {}
        for address in self.relay_addresses or self.addresses:
            chosen.setdefault(family_of(address), address)
        return chosen

    def other_address(self, server: TransportAddress) -> TransportAddress | None:
        """Return OTHER-ADDRESS for requests to ``server``: other address and other port; None without one."""
        address, port = server
        ports = {self.port: self.alternate_port, self.alternate_port: self.port}
        same_family = [a for a in self.addresses if family_of(a) == family_of(address)]
        if port not in ports or address not in same_family or len(same_family) != 2:
            return None
        return same_family[1 - same_family.index(address)], ports[port]

    def _address_problems(self) -> list[Problem]:
        problems = [] if self.addresses else [Problem("addresses", "a relay needs an address")]
        for name in ("addresses", "relay_addresses"):
            problems += [
                Problem(name, f"{text!r} is no IP address", "an address such as 192.0.2.1")
                for text in getattr(self, name)
                if not _is_network(text) or "/" in text
            ]
        for name in ("denied_peers", "allowed_peers"):
            problems += [
                Problem(name, f"{text!r} is no prefix", "a prefix such as 10.0.0.0/8")
                for text in getattr(self, name)
                if not _is_network(text)
            ]
        return problems

    def _number_problems(self) -> list[Problem]:
        problems = []
        first, last = self.relay_ports
        if not 1 <= first <= last <= 65535:
            problems.append(Problem("relay_ports", f"{first} to {last} is no range of ports"))
        if not 0 < self.default_lifetime <= self.max_lifetime:
            problems.append(
                Problem(
                    "default_lifetime",
                    f"{self.default_lifetime} s",
                    f"1 to max_lifetime ({self.max_lifetime} s)",
                )
            )
        problems += [
            Problem(name, f"{getattr(self, name)} s", "more than 0 s")
            for name in ("permission_lifetime", "channel_lifetime", "nonce_lifetime")
            if getattr(self, name) <= 0
        ]
        return problems


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
