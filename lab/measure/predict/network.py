"""What a prediction is about: the boxes in front of each peer, and where the STUN and TURN servers are."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from lab.errors import Problem, UsageError
from lab.protocols.turn_server import PermissionKey
from nat_models.model import FirewallRule, NatModel, Transparency


class CandidateType(enum.StrEnum):
    """The candidate types of RFC 8445 §5.1.1, in the spelling of SDP (RFC 8839 §5.1)."""

    HOST = "host"
    SERVER_REFLEXIVE = "srflx"
    PEER_REFLEXIVE = "prflx"
    RELAYED = "relay"


Pair = tuple[CandidateType, CandidateType]
"""(type of alice's address as bob sees it, type of bob's address as alice sees it)."""


class PresentFor(enum.Flag):
    """Which peers have been given the TURN server."""

    NONE = 0
    ALICE = 1
    BOB = 2
    BOTH = ALICE | BOB


@dataclass(frozen=True, kw_only=True)
class PeerNetwork:
    """The boxes between a peer and the public Internet, innermost first; empty is a public host.

    ``address`` is the peer's address as others see it, needed only where the other's egress policy names
    networks.
    """

    layers: tuple[NatModel, ...] = ()
    address: str = ""

    @property
    def translates(self) -> bool:
        """Whether any box on the way changes addresses."""
        return any(layer.transparency is Transparency.TRANSLATE for layer in self.layers)

    def permits(self, protocol: str, port: int | None, address: str = "") -> bool:
        """Whether the egress policies of all boxes let a packet to this destination leave.

        ``port`` is None where it cannot be known beforehand (a peer's port): rules that name ports then do
        not match. ``address`` is empty where it is not known.

        Raises:
            UsageError: a rule names networks, and whether it matches depends on an address that was not
            given.
        """
        return all(_permits(layer, protocol, port, address) for layer in self.layers)


@dataclass(frozen=True, kw_only=True)
class RelayPlacement:
    """The STUN and TURN servers.

    ``stun_shares_address``: the STUN server's IP address is also that of TURN's relayed transport addresses,
    so that an address-dependent box in front of a peer cannot tell the two apart. Ports are those the TURN
    server listens on by transport; ``address`` is its IP as text, needed only where an egress policy names
    networks. ``stun`` says whether the STUN server answers at all.
    """

    present_for: PresentFor = PresentFor.NONE
    permission_key: PermissionKey = PermissionKey.IP
    stun_shares_address: bool = False
    stun: bool = True
    stun_port: int = 3478
    udp_ports: tuple[int, ...] = (3478,)
    tcp_ports: tuple[int, ...] = (3478,)
    tls_ports: tuple[int, ...] = (5349, 443)
    address: str = ""

    def reachable_from(self, peer: PeerNetwork) -> bool:
        """Whether any transport of the TURN server gets through the peer's egress policies."""
        ways = [("udp", port) for port in self.udp_ports]
        ways += [("tcp", port) for port in (*self.tcp_ports, *self.tls_ports)]
        return any(peer.permits(protocol, port, self.address) for protocol, port in ways)


__all__ = [
    "NO_RELAY",
    "CandidateType",
    "Pair",
    "PeerNetwork",
    "PermissionKey",
    "PresentFor",
    "RelayPlacement",
]

NO_RELAY = RelayPlacement()


def _permits(layer: NatModel, protocol: str, port: int | None, address: str) -> bool:
    if layer.transparency is Transparency.NONE:
        return True
    for rule in layer.outbound_rules:
        if rule.protocol not in {"any", protocol} or (rule.ports and port not in rule.ports):
            continue
        if rule.networks and not _in_networks(rule, address, layer.name):
            continue
        return rule.action == "accept"
    return True


def _in_networks(rule: FirewallRule, address: str, name: str) -> bool:
    if not address:
        raise UsageError(
            Problem(
                name,
                f"its rule names the networks {', '.join(rule.networks)}, and an address is not known",
                "rules by protocol and port, or the relay's address",
            )
        )
    target = ip_address(address)
    return any(target in ip_network(network) for network in rule.networks)
