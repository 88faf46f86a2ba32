"""Egress policy: a model's outbound rules, first match wins, before anything is remembered or translated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from lab.emu.nat_planes.nft.text import Chain, devices, one_of
from lab.emu.nat_planes.wiring import BoxWiring
from nat_models.firewall import describe_rule
from nat_models.model import FirewallRule

_ICMP: Final = {"ip": "icmp", "ip6": "ipv6-icmp"}
_PROHIBITED: Final = {"ip": "icmp admin-prohibited", "ip6": "icmpv6 admin-prohibited"}


def outbound_rule_chains(rules: Sequence[FirewallRule], family: str, wiring: BoxWiring) -> Iterator[Chain]:
    """Yield the chains of a family (``ip``, ``ip6``), none without rules."""
    if not rules:
        return
    inside = [n for n in wiring.internal_networks if (":" in n) == (family == "ip6")]
    away = [f"iifname {devices(wiring.inside)}"]
    if family == "ip6":
        # What stays on the link (neighbour discovery above all) is no matter of policy.
        inside = [*inside, "fe80::/10", "ff00::/8"]
    if inside:
        away.append(f"{family} daddr != {one_of(inside)}")
    yield Chain(
        name="leaving",
        hook="type filter hook prerouting priority raw + 10; policy accept;",
        rules=[" ".join([*away, "jump egress"])],
        why="what inside sends beyond the box: the egress policy",
    )
    yield Chain(name="egress", rules=[line for rule in rules for line in _lines(rule, family)])


def _lines(rule: FirewallRule, family: str) -> Iterator[str]:
    networks = [n for n in rule.networks if (":" in n) == (family == "ip6")]
    if rule.networks and not networks:
        return
    where = [f"{family} daddr {one_of(networks)}"] if networks else []
    for protocol in ("udp", "tcp", "icmp"):
        if rule.protocol not in {"any", protocol} or (rule.ports and protocol == "icmp"):
            continue
        what = [f"meta l4proto {_ICMP[family] if protocol == 'icmp' else protocol}"]
        if rule.ports:
            what.append(f"{protocol} dport {one_of([str(port) for port in rule.ports])}")
        match = " ".join([*what, *where])
        comment = f'comment "{describe_rule(rule)}"'
        yield f"{match} {_verdict(rule.action, protocol, family)} {comment}"


def _verdict(action: str, protocol: str, family: str) -> str:
    if action == "accept":
        return "return"
    if action == "drop":
        return "drop"
    return "reject with tcp reset" if protocol == "tcp" else f"reject with {_PROHIBITED[family]}"
