"""What is not translated is filtered all the same: IPv6 through every box, and IPv4 through a firewall.

The internal endpoint stands for the mapping (RFC 6092 §3.2 words it so for IPv6 gateways). UDP goes by the
sets alone; TCP and ICMP by connection tracking, and by the sets where a connection begins outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from lab.emu.nat_planes.nft.filtering import fragment_chain, inside_rules
from lab.emu.nat_planes.nft.outbound_rules import outbound_rule_chains
from lab.emu.nat_planes.nft.recording import heeds_inbound, inbound_chains, keeping_chains, outbound_chains
from lab.emu.nat_planes.nft.state import Flow, ProtocolState
from lab.emu.nat_planes.nft.text import Chain, Table, devices
from lab.emu.nat_planes.wiring import BoxWiring
from nat_models.model import NatModel, Refresh, Unsolicited

_ICMP: Final = {"ip": "icmp", "ip6": "ipv6-icmp"}
_UNREACHABLE: Final = {"ip": "icmp port-unreachable", "ip6": "icmpv6 port-unreachable"}


def firewall_table(model: NatModel, wiring: BoxWiring, family: str, states: Sequence[ProtocolState]) -> Table:
    """Return the table of a family that is filtered and not translated.

    Args:
        model: What the box does.
        wiring: Its devices and networks.
        family: ``ip`` or ``ip6``.
        states: The sets of UDP and TCP, for that family.
    """
    chains = [] if model.fragments else [fragment_chain(family)]
    chains += outbound_rule_chains(model.outbound_rules, family, wiring)
    chains.append(_forward(model, wiring, family, states))
    udp, tcp = states
    refresh = model.lifetimes.udp_refresh
    outward, inward = _outward(family, "udp"), _inward(family, "udp")
    chains += keeping_chains(udp, "inside", outward, refresh)
    chains += outbound_chains(udp, "inside", outward, refresh)
    if heeds_inbound(udp, refresh):
        chains += keeping_chains(udp, "outside", inward, refresh)
        chains += inbound_chains(udp, "outside", inward, refresh)
    chains += keeping_chains(tcp, "inside", _outward(family, "tcp"), Refresh.BOTH)
    chains += outbound_chains(tcp, "inside", _outward(family, "tcp"), Refresh.BOTH)
    return Table(
        family=family,
        states=[declaration for state in states for declaration in state.declarations()],
        chains=chains,
    )


def _outward(family: str, protocol: str) -> Flow:
    own = f"{family} saddr . {protocol} sport"
    return Flow(own, own, f"{family} daddr", f"{protocol} dport")


def _inward(family: str, protocol: str) -> Flow:
    own = f"{family} daddr . {protocol} dport"
    return Flow(own, own, f"{family} saddr", f"{protocol} sport")


def _forward(model: NatModel, wiring: BoxWiring, family: str, states: Sequence[ProtocolState]) -> Chain:
    inside, outside = devices(wiring.inside), f'"{wiring.outside}"'
    leaving, arriving = f"iifname {inside} oifname {outside}", f"iifname {outside} oifname {inside}"
    udp, tcp = states
    rules = list(inside_rules(wiring))
    if not model.icmp_errors:
        rules.append(f"meta l4proto {_ICMP[family]} ct state related drop")
    rules += [
        f"{leaving} {udp.prefix} jump udp_out_inside",
        "ct state invalid meta l4proto tcp drop",
        f"{leaving} {tcp.prefix} jump tcp_out_inside",
        f"{leaving} accept",
        *_udp_in(model, udp, family, arriving),
        f"{arriving} ct state {{ established, related }} accept",
        *_tcp_in(model, tcp, family, arriving),
    ]
    return Chain(
        name="forward",
        hook="type filter hook forward priority filter; policy drop;",
        rules=rules,
        why="all from inside; from outside what the inside asked for",
    )


def _udp_in(model: NatModel, udp: ProtocolState, family: str, arriving: str) -> Iterator[str]:
    inward = _inward(family, "udp")
    match = f"{arriving} {udp.prefix}"
    refuse = "drop"
    if model.unsolicited is Unsolicited.ICMP_UNREACHABLE:
        refuse = f"reject with {_UNREACHABLE[family]}"
    yield f"{match} {udp.absent('used', inward.external)} {refuse}"
    if not udp.admits_all:
        yield f"{match} {udp.absent('flt', udp.permit_key(inward))} {refuse}"
    if heeds_inbound(udp, model.lifetimes.udp_refresh):
        yield f"{match} jump udp_in_outside"
    yield f"{match} accept"


def _tcp_in(model: NatModel, tcp: ProtocolState, family: str, arriving: str) -> Iterator[str]:
    inward = _inward(family, "tcp")
    match = f"{arriving} {tcp.prefix}"
    refuse = "drop"
    if model.tcp.unsolicited is Unsolicited.RST:
        refuse = "reject with tcp reset"
    elif model.tcp.unsolicited is Unsolicited.ICMP_UNREACHABLE:
        refuse = f"reject with {_UNREACHABLE[family]}"
    yield f"{match} tcp flags & (fin | syn | rst | ack) != syn drop"
    yield f"{match} {tcp.absent('used', inward.external)} {refuse}"
    if not tcp.admits_all:
        yield f"{match} {tcp.absent('flt', tcp.permit_key(inward))} {refuse}"
    yield f"{match} accept"
