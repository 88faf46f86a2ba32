"""Who may come in to a translating box: filters before, and the forwarding policy after connection tracking.

UDP is judged before connection tracking sees it, so that a packet which is refused neither makes a flow (that
would take the port from the inside host) nor keeps one alive. TCP is judged after it: segments of a tracked
connection pass, and only what would begin one is asked for a permit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.emu.nat_planes.nft.state import Flow, ProtocolState
from lab.emu.nat_planes.nft.text import Chain, devices, one_of
from lab.emu.nat_planes.wiring import BoxWiring
from nat_models.model import FilterScope, NatModel, Unsolicited

_ANSWERS = {
    Unsolicited.DROP: "drop",
    Unsolicited.ICMP_UNREACHABLE: "reject with icmp port-unreachable",
    Unsolicited.RST: "reject with tcp reset",
}


def filter_chains(model: NatModel, wiring: BoxWiring, states: Sequence[ProtocolState]) -> Iterator[Chain]:
    """Yield the filters of IPv4: on arrival, towards the box itself, and for what is forwarded."""
    udp, tcp = states
    if not model.fragments:
        yield fragment_chain("ip")
    yield from _arrival(model, wiring, udp)
    yield from _new_connections(model, wiring, tcp)
    yield _to_the_box(wiring)
    yield _forwarding(model, wiring, states)


def inside_rules(wiring: BoxWiring) -> Iterator[str]:
    """Yield the rules for what is routed between inside devices; what stays on one of them always passes."""
    for device in wiring.inside if wiring.isolated else ():
        others = [other for other in wiring.inside if other != device]
        if others:
            yield f'iifname "{device}" oifname {devices(others)} drop'
    inside = devices(wiring.inside)
    yield f"iifname {inside} oifname {inside} accept"


def fragment_chain(family: str) -> Chain:
    """Return the chain of a box that forwards no fragments: entered before the kernel reassembles them."""
    match = "ip frag-off & 0x3fff != 0" if family == "ip" else "exthdr frag exists"
    return Chain(
        name="fragments",
        hook="type filter hook prerouting priority -450; policy accept;",
        rules=[f"{match} drop"],
        why="fragments are not forwarded",
    )


def _remote(protocol: str) -> Flow:
    """Return where the endpoints of a packet from outside stand, before it is translated."""
    return Flow(
        external=f"ip daddr . {protocol} dport",
        internal=f"ip daddr . {protocol} dport",
        remote_address="ip saddr",
        remote_port=f"{protocol} sport",
    )


def _arrival(model: NatModel, wiring: BoxWiring, udp: ProtocolState) -> Iterator[Chain]:
    refuse = _ANSWERS[model.unsolicited]
    yield Chain(
        name="arriving",
        hook="type filter hook prerouting priority raw; policy accept;",
        rules=[
            f'iifname "{wiring.outside}" ip daddr != {one_of(wiring.external_addresses)} drop',
            f'iifname "{wiring.outside}" {udp.prefix} jump udp_filter',
        ],
        why="from outside: to an external address only, and UDP only where a mapping admits its sender",
    )
    here = _remote("udp")
    rules = [f"{udp.prefix} {udp.absent('used', here.external)} {refuse}"]
    if not udp.admits_all and udp.scope is FilterScope.PER_MAPPING:
        rules.append(f"{udp.prefix} {udp.absent('flt', udp.permit_key(here))} {refuse}")
    yield Chain(name="udp_filter", rules=rules)


def _new_connections(model: NatModel, wiring: BoxWiring, tcp: ProtocolState) -> Iterator[Chain]:
    refuse = _ANSWERS[model.tcp.unsolicited]
    unknown = f"{tcp.prefix} ct state != {{ established, related }}"
    yield Chain(
        name="connecting",
        hook="type filter hook prerouting priority mangle; policy accept;",
        rules=[f'iifname "{wiring.outside}" {unknown} jump tcp_filter'],
        why="from outside: a TCP connection may begin only where a mapping admits its sender",
    )
    here = _remote("tcp")
    rules = [
        "tcp flags & (fin | syn | rst | ack) != syn drop",
        f"{tcp.prefix} {tcp.absent('used', here.external)} {refuse}",
    ]
    if not tcp.admits_all and tcp.scope is FilterScope.PER_MAPPING:
        rules.append(f"{tcp.prefix} {tcp.absent('flt', tcp.permit_key(here))} {refuse}")
    yield Chain(name="tcp_filter", rules=rules)


def _to_the_box(wiring: BoxWiring) -> Chain:
    ours = f"ip daddr {one_of(wiring.external_addresses)}"
    rules = [
        f'iifname "{wiring.outside}" drop',
        # Addressed to an external endpoint from inside, and not translated: no hairpinning, or no mapping.
        f"iifname {devices(wiring.inside)} {ours} meta l4proto != icmp drop",
    ]
    return Chain(
        name="input",
        hook="type filter hook input priority filter; policy accept;",
        rules=rules,
        why="to the box itself: nothing from outside",
    )


def _forwarding(model: NatModel, wiring: BoxWiring, states: Sequence[ProtocolState]) -> Chain:
    inside = devices(wiring.inside)
    rules = ["ct state invalid drop"]
    if not model.icmp_errors:
        rules.append("meta l4proto icmp ct state related drop")
    rules += [rule for state in states for rule in _scope_rules(model, wiring, state)]
    rules.append(f'iifname {inside} oifname "{wiring.outside}" accept')
    rules += [
        # By external endpoints they reach each other even where they are kept apart: that is hairpinning.
        f"iifname {inside} oifname {inside} ct status dnat accept",
        *inside_rules(wiring),
        "ct state { established, related } accept",
        "ct status dnat accept",
    ]
    return Chain(
        name="forward",
        hook="type filter hook forward priority filter; policy drop;",
        rules=rules,
        why="forwarded: from inside, and what belongs to a mapping",
    )


def _scope_rules(model: NatModel, wiring: BoxWiring, state: ProtocolState) -> Iterator[str]:
    """Yield the filter by internal endpoint: it can be asked only when the destination is translated."""
    if state.scope is not FilterScope.PER_ENDPOINT or state.admits_all:
        return
    unsolicited = model.unsolicited if state.protocol == "udp" else model.tcp.unsolicited
    permit = state.permit_key(_remote(state.protocol))
    new = "" if state.protocol == "udp" else " ct state new"
    match = f'iifname "{wiring.outside}" {state.prefix}{new}'
    yield f"{match} {state.absent('flt', permit)} {_ANSWERS[unsolicited]}"
