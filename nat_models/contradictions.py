"""What no box can be, though each value is of the right kind: ranges, and axes that exclude each other."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from nat_models.model import (
    FirewallRule,
    Lifetimes,
    NatModel,
    PortAssignment,
    PortPool,
    TcpBehaviour,
    Unsolicited,
)

Contradiction = tuple[tuple[str, ...], str, str]
"""(path of the key, what was found, what was expected)."""

_ACTIONS = ("accept", "drop", "reject")
_PROTOCOLS = ("any", "udp", "tcp", "icmp")
_LAST_PORT = 65535


def contradictions(model: NatModel) -> Iterator[Contradiction]:
    """Yield what is wrong with a model as a whole; nothing where it can be built."""
    yield from _ports(model.ports, model.port_assignment)
    yield from _lifetimes(model.lifetimes)
    yield from _tcp(model.tcp)
    if model.unsolicited is Unsolicited.RST:
        yield ("unsolicited",), "UDP knows no reset", "drop, icmp-unreachable or input-accept; rst under tcp"
    if model.fragment_memory < 0:
        yield ("fragment_memory",), f"{model.fragment_memory}", "0 or more fragments"
    for index, rule in enumerate(model.outbound_rules):
        yield from _rule(("outbound_rules", str(index + 1)), rule)


def _ports(pool: PortPool, assignment: PortAssignment) -> Iterator[Contradiction]:
    if not 1 <= pool.first <= pool.last <= _LAST_PORT:
        yield ("ports",), f"first {pool.first}, last {pool.last}", "1 <= first <= last <= 65535"
    room = pool.last - pool.first + 1
    if assignment is PortAssignment.PORT_BLOCK and not 1 <= pool.block_size <= room:
        yield ("ports", "block_size"), f"{pool.block_size}", f"1 to {room}, the size of the pool"
    if pool.per_host_limit < 0:
        yield ("ports", "per_host_limit"), f"{pool.per_host_limit}", "0 (no limit) or more"


def _lifetimes(lifetimes: Lifetimes) -> Iterator[Contradiction]:
    for name in ("udp", "unreplied", "tcp_established", "tcp_transitory", "icmp"):
        if getattr(lifetimes, name) <= 0:
            yield ("lifetimes", name), "no time at all", "more than 0"
    for port, seconds in lifetimes.udp_by_port:
        if not 1 <= port <= _LAST_PORT or seconds <= 0:
            yield ("lifetimes", "udp_by_port"), f"{port}: {seconds:g}s", "ports 1 to 65535, more than 0"


def _tcp(tcp: TcpBehaviour) -> Iterator[Contradiction]:
    for name in ("syn_hold", "rst_hold"):
        if getattr(tcp, name) < 0:
            yield ("tcp", name), f"{getattr(tcp, name):g} s", "0 or more"


def _rule(path: tuple[str, ...], rule: FirewallRule) -> Iterator[Contradiction]:
    if rule.action not in _ACTIONS:
        yield (*path, "action"), f"{rule.action!r}", f"one of {', '.join(_ACTIONS)}"
    if rule.protocol not in _PROTOCOLS:
        yield (*path, "protocol"), f"{rule.protocol!r}", f"one of {', '.join(_PROTOCOLS)}"
    if any(not 1 <= port <= _LAST_PORT for port in rule.ports):
        yield (*path, "ports"), f"{list(rule.ports)}", "ports 1 to 65535"
    for network in rule.networks:
        try:
            ip_network(network)
        except ValueError as error:
            yield (*path, "networks"), str(error), "a prefix such as 203.0.113.0/24"
