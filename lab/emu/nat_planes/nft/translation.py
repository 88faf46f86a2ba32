"""Address translation proper: nat chains, entered once for each flow that is not tracked yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from lab.emu.nat_planes.nft.state import Flow, ProtocolState
from lab.emu.nat_planes.nft.text import Chain, devices, one_of
from lab.emu.nat_planes.wiring import BoxWiring
from nat_models.model import Hairpinning, Mapping, NatModel, Pooling, PortAssignment, PortPool

WELL_KNOWN_LAST: Final = 1023

_PAIRING_SEED: Final = "0x5a17"
"""So that hosts are dealt out over several external addresses the same way at every start."""

_PRESERVING: Final = (PortAssignment.PRESERVE, PortAssignment.PRESERVE_SYMMETRIC)


def preserves(model: NatModel) -> bool:
    """Whether internal ports are kept where possible."""
    return model.port_assignment in _PRESERVING


def translation_chains(
    model: NatModel, wiring: BoxWiring, states: Sequence[ProtocolState]
) -> Iterator[Chain]:
    """Yield the nat chains: destinations back to the inside, sources to external endpoints."""
    hairpins = model.hairpinning is not Hairpinning.NONE
    ours = one_of(wiring.external_addresses)
    arriving = devices((wiring.outside, *wiring.inside) if hairpins else (wiring.outside,))
    yield Chain(
        name="destinations",
        hook="type nat hook prerouting priority dstnat; policy accept;",
        rules=[
            f"iifname {arriving} ip daddr {ours} {state.prefix} "
            f"dnat ip to ip daddr . {state.protocol} dport map @{name}"
            for state in states
            for name in state.all_named("rev")
        ],
        why="to a mapping's external endpoint: to its owner inside",
    )
    rules = []
    for state in states:
        rules.append(f'oifname "{wiring.outside}" {state.prefix} goto {state.protocol}_source')
        if hairpins:
            hairpinned = f"iifname {devices(wiring.inside)} ct original ip daddr {ours}"
            rules.append(f"{hairpinned} {state.prefix} goto {state.protocol}_source")
    # ICMP queries and whatever else there is: connection tracking's own mapping. It keeps identifiers; where
    # mapping depends on the destination it is to draw one for every remote.
    rest = f'oifname "{wiring.outside}" snat ip to {wiring.external_addresses[0]}'
    rules.append(rest if model.mapping is Mapping.ENDPOINT_INDEPENDENT else f"{rest} fully-random")
    yield Chain(
        name="sources",
        hook="type nat hook postrouting priority srcnat; policy accept;",
        rules=rules,
        why="from inside: by the mapping there is, or a new one",
    )
    for state in states:
        yield from _source_chains(model, wiring, state)


def _source_chains(model: NatModel, wiring: BoxWiring, state: ProtocolState) -> Iterator[Chain]:
    here = Flow(
        external="",
        internal=f"ip saddr . {state.protocol} sport",
        remote_address="ct original ip daddr",
        remote_port="ct original proto-dst",
    )
    key = state.mapping_key(here)
    rules = [f"{state.prefix} snat ip to {key} map @{name}" for name in state.all_named("m2e")]
    addresses = wiring.external_addresses
    if len(addresses) == 1:
        rules += _allocation(model, state, here, 0, addresses[0])
        yield Chain(name=f"{state.protocol}_source", rules=rules)
        return
    if model.pooling is Pooling.PAIRED:
        draw = f"jhash ip saddr mod {len(addresses)} seed {_PAIRING_SEED}"
    else:
        draw = f"numgen random mod {len(addresses)}"
    targets = ", ".join(f"{slot} : goto {state.protocol}_address{slot}" for slot in range(len(addresses)))
    yield Chain(name=f"{state.protocol}_source", rules=[*rules, f"{draw} vmap {{ {targets} }}"])
    for slot, address in enumerate(addresses):
        yield Chain(
            name=f"{state.protocol}_address{slot}", rules=list(_allocation(model, state, here, slot, address))
        )


def _allocation(model: NatModel, state: ProtocolState, here: Flow, slot: int, address: str) -> Iterator[str]:
    """Yield the rules that give a new mapping its port on one external address."""
    pool, protocol = model.ports, state.protocol
    if preserves(model):
        free = state.absent(f"taken{slot}", f"{protocol} sport")
        if state.counts_known:
            free += " " + state.absent("known", here.internal)
        kept = f"{protocol} sport {pool.first}-{pool.last}"
        # The port is given by name: left to itself, netfilter prefers one that the host has towards another.
        yield f"{state.prefix} {kept} {free} snat ip to {address}:{protocol} sport"
        well_known = _well_known(pool)
        if well_known is not None:
            low, high = well_known
            lowest = f"{protocol} sport 0-{WELL_KNOWN_LAST}"
            yield f"{state.prefix} {lowest} snat ip to {address}:{low} fully-random"
            yield f"{state.prefix} snat ip to {address}:{high} fully-random"
            return
    yield f"{state.prefix} snat ip to {address}:{_range(pool.first, pool.last)} fully-random"


def _well_known(pool: PortPool) -> tuple[str, str] | None:
    """Return the pool's two classes of ports, where it has both (RFC 4787 REQ-3a)."""
    if pool.first > WELL_KNOWN_LAST or pool.last <= WELL_KNOWN_LAST:
        return None
    return _range(pool.first, WELL_KNOWN_LAST), _range(WELL_KNOWN_LAST + 1, pool.last)


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
