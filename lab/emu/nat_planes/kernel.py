"""The kernel plane: what a Linux router does by itself, ``masquerade`` and connection tracking.

Every rule here is one that such a router has. What the box then does is not made to follow a model; it is
claimed by a few models (``linux-masquerade`` and its like), and measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lab.emu.nat_planes.nft.filtering import fragment_chain, inside_rules
from lab.emu.nat_planes.nft.outbound_rules import outbound_rule_chains
from lab.emu.nat_planes.nft.text import Chain, Table, devices
from lab.emu.nat_planes.wiring import BoxWiring
from nat_models.model import NatModel, PortAssignment, Transparency, Unsolicited

_HIGHEST_PORT: Final = 65535

SIP_PORT: Final = 5060


def kernel_rule_set(model: NatModel, wiring: BoxWiring, *, sip_helper: bool = False) -> str:
    """Return the rules of a Linux router.

    The model must be one that the plane can be: see :func:`lab.emu.nat_planes.check`.

    Args:
        model: What it is claimed to be.
        wiring: Its devices and networks.
        sip_helper: Whether the kernel's SIP gateway rewrites what leaves for port 5060 ("SIP ALG").
    """
    tables = [_table(model, wiring, family, sip_helper=sip_helper) for family in ("ip", "ip6")]
    return f"# {model.name}, by the kernel itself\n" + "\n".join(table.text() for table in tables)


def _table(model: NatModel, wiring: BoxWiring, family: str, *, sip_helper: bool) -> Table:
    if model.transparency is Transparency.NONE:
        return Table(family=family, states=(), chains=())
    translates = family == "ip" and model.transparency is Transparency.TRANSLATE
    chains = [] if model.fragments else [fragment_chain(family)]
    chains += outbound_rule_chains(model.outbound_rules, family, wiring)
    chains += [_forward(model, wiring, family)]
    if model.unsolicited is Unsolicited.DROP and translates:
        chains += [_input(wiring)]
    if translates:
        chains += [_masquerade(model, wiring)]
    declarations: tuple[str, ...] = ()
    if translates and sip_helper:
        declarations = ('ct helper sip { type "sip" protocol udp; l3proto ip; }',)
        chains += list(_helper())
    return Table(family=family, states=(), chains=chains, objects=declarations)


def _forward(model: NatModel, wiring: BoxWiring, family: str) -> Chain:
    inside = devices(wiring.inside)
    rules = list(inside_rules(wiring))
    if not model.icmp_errors:
        rules.append(f"meta l4proto {'icmp' if family == 'ip' else 'ipv6-icmp'} ct state related drop")
    # A segment that fits no connection is not translated: it would leave with its private address.
    rules += [
        "ct state invalid drop",
        f'iifname {inside} oifname "{wiring.outside}" accept',
        "ct state { established, related } accept",
    ]
    return Chain(
        name="forward",
        hook="type filter hook forward priority filter; policy drop;",
        rules=rules,
        why="all from inside; from outside what connection tracking knows",
    )


def _input(wiring: BoxWiring) -> Chain:
    return Chain(
        name="input",
        hook="type filter hook input priority filter; policy accept;",
        rules=[f'iifname "{wiring.outside}" ct state != {{ established, related }} drop'],
        why="nothing from outside is for the box itself; without this, strays take ports from the inside",
    )


def _masquerade(model: NatModel, wiring: BoxWiring) -> Chain:
    to = ""
    if (model.ports.first, model.ports.last) not in {(1, _HIGHEST_PORT), (1024, _HIGHEST_PORT)}:
        to = f" to :{model.ports.first}-{model.ports.last}"
    flag = " fully-random" if model.port_assignment is PortAssignment.RANDOM else ""
    rules = [f'oifname "{wiring.outside}" masquerade{flag}']
    if to:
        ports = f'oifname "{wiring.outside}" meta l4proto {{ udp, tcp }} masquerade{to}{flag}'
        rules.insert(0, ports)
    return Chain(
        name="sources",
        hook="type nat hook postrouting priority srcnat; policy accept;",
        rules=rules,
    )


def _helper() -> Iterator[Chain]:
    yield Chain(
        name="helpers",
        hook="type filter hook prerouting priority mangle; policy accept;",
        rules=[f'udp dport {SIP_PORT} ct helper set "sip"'],
        why="the kernel's application gateway for SIP",
    )
