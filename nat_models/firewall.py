"""Egress policy: outbound rules, first match wins, what no rule matches is accepted."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from nat_models.answers import icmp_error, tcp_reset
from nat_models.model import FirewallRule
from nat_models.outcome import DroppedError, Emission, Side
from nat_models.packet import IcmpType, IpProtocol, Packet

_CACHE_LIMIT = 65536


class OutboundRules:
    """The rules of one box, and what they said of destinations asked before."""

    def __init__(self, rules: Sequence[FirewallRule]) -> None:
        self._rules = [(rule, tuple(map(ip_network, rule.networks))) for rule in rules]
        self._known: dict[tuple[IpProtocol, str, int], int | None] = {}

    def check(self, packet: Packet) -> None:
        """Let an outbound packet pass.

        Raises:
            DroppedError: a rule drops or rejects it; with the answer to its sender if it rejects.
        """
        flow = (packet.protocol, *packet.destination)
        if flow not in self._known:
            if len(self._known) >= _CACHE_LIMIT:
                self._known.clear()
            self._known[flow] = self._match(packet)
        index = self._known[flow]
        if index is None or self._rules[index][0].action == "accept":
            return
        rule = self._rules[index][0]
        answer = None
        if rule.action == "reject":
            prohibited = IcmpType.ADMINISTRATIVELY_PROHIBITED
            answer = icmp_error(packet, prohibited) if packet.tcp is None else tcp_reset(packet)
        answers = () if answer is None else (Emission(answer, Side.INSIDE),)
        raise DroppedError(f"firewall: outbound rule {index + 1} ({describe_rule(rule)})", answers)

    def _match(self, packet: Packet) -> int | None:
        address, port = packet.destination
        for index, (rule, networks) in enumerate(self._rules):
            if rule.protocol not in {"any", packet.protocol.name.lower()}:
                continue
            if rule.ports and (packet.protocol is IpProtocol.ICMP or port not in rule.ports):
                continue
            if not networks or _contains(networks, address):
                return index
        return None


def describe_rule(rule: FirewallRule) -> str:
    """Return a rule in words: ``drop udp``, ``accept tcp to port 443``, ``reject any to 10.0.0.0/8``."""
    words = [rule.action, rule.protocol]
    if rule.ports:
        words += ["to port" if len(rule.ports) == 1 else "to ports", ", ".join(map(str, rule.ports))]
    if rule.networks:
        words += ["to", ", ".join(rule.networks)]
    return " ".join(words)


def _contains(networks: Sequence[IPv4Network | IPv6Network], address: str) -> bool:
    parsed = ip_address(address)
    return any(parsed.version == network.version and parsed in network for network in networks)
