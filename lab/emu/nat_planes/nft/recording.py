"""What packets leave behind in the sets: chains entered after translation, before a flow is confirmed.

Theory of operation. Connection tracking knows a flow by two tuples: *original*, the first packet as it came,
and *reply*, the answer to that packet as it left. A flow that began inside has the box's external endpoint as
the destination of its reply tuple; one that began outside has it as the destination of its original tuple; a
hairpinned flow has both. So the tuples tell, for every packet, which endpoint is whose:

=================  ======================  =====================  ======================
flow began         external endpoint       internal endpoint      remote
=================  ======================  =====================  ======================
inside             reply destination       original source        original destination
outside            original destination    reply source           original source
inside, as its     original destination    reply source           reply destination
receiver inside
sees it (hairpin)
=================  ======================  =====================  ======================

The endpoint of the sender outside is taken from the tuple that has it as it is on the wire: where its flow
clashes with one that exists, connection tracking gives it another port towards the inside, and that port
means nothing to a filter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from lab.emu.nat_planes.nft.lifetimes import LifetimeClass, choices
from lab.emu.nat_planes.nft.state import Flow, ProtocolState
from lab.emu.nat_planes.nft.text import Chain, one_of
from nat_models.model import Hairpinning, Refresh

BEGAN_INSIDE: Final = Flow(
    external="ct reply ip daddr . ct reply proto-dst",
    internal="ct original ip saddr . ct original proto-src",
    remote_address="ct original ip daddr",
    remote_port="ct original proto-dst",
)
BEGAN_OUTSIDE: Final = Flow(
    external="ct original ip daddr . ct original proto-dst",
    internal="ct reply ip saddr . ct reply proto-src",
    remote_address="ct original ip saddr",
    remote_port="ct original proto-src",
)
HAIRPIN_RECEIVER: Final = Flow(
    external=BEGAN_OUTSIDE.external,
    internal=BEGAN_OUTSIDE.internal,
    remote_address="ct reply ip daddr",
    remote_port="ct reply proto-dst",
)
_FLOWS: Final = {"inside": BEGAN_INSIDE, "outside": BEGAN_OUTSIDE, "receiver": HAIRPIN_RECEIVER}


def recording_chains(
    states: Sequence[ProtocolState], external: Sequence[str], hairpinning: Hairpinning, refresh: Refresh
) -> Iterator[Chain]:
    """Yield the chain that the kernel enters, then those of each protocol.

    Args:
        states: The sets of each protocol.
        external: The box's external addresses.
        hairpinning: Whether packets from inside may come back, and under which source.
        refresh: Which UDP packets refresh; TCP is refreshed by both directions, as sessions are.
    """
    ours = one_of(external)
    rules: list[str] = []
    for state in states:
        refreshing = refresh if state.protocol == "udp" else Refresh.BOTH
        rules += _dispatch(state, ours, refreshing, hairpins=hairpinning is not Hairpinning.NONE)
    yield Chain(
        name="record",
        hook="type filter hook postrouting priority 150; policy accept;",
        rules=rules,
        why="after translation: remember mappings and permits, and whose they are",
    )
    for state in states:
        refreshing = refresh if state.protocol == "udp" else Refresh.BOTH
        hairpins = hairpinning is not Hairpinning.NONE
        flows = [name for name in _FLOWS if hairpins or name != "receiver"]
        for name in flows:
            yield from keeping_chains(state, name, _FLOWS[name], refreshing)
            yield from outbound_chains(state, name, _FLOWS[name], refreshing)
            if heeds_inbound(state, refreshing):
                yield from inbound_chains(state, name, _FLOWS[name], refreshing)
        if hairpins:
            yield _hairpin_chain(state, refreshing, hairpinning)


def heeds_inbound(state: ProtocolState, refresh: Refresh) -> bool:
    """Return whether an admitted packet from outside changes anything that is remembered."""
    return refresh is not Refresh.OUTBOUND or state.tracks_answers


def _dispatch(state: ProtocolState, ours: str, refresh: Refresh, *, hairpins: bool) -> Iterator[str]:
    began_inside = f"{state.prefix} ct reply ip daddr {ours}"
    began_outside = f"{state.prefix} ct original ip daddr {ours}"
    if hairpins:
        yield f"{began_inside} ct original ip daddr {ours} goto {state.protocol}_hairpin"
    yield f"{began_inside} ct direction original goto {state.protocol}_out_inside"
    yield f"{began_outside} ct direction reply goto {state.protocol}_out_outside"
    if heeds_inbound(state, refresh):
        yield f"{began_inside} goto {state.protocol}_in_inside"
        yield f"{began_outside} goto {state.protocol}_in_outside"


def outbound_chains(state: ProtocolState, name: str, flow: Flow, refresh: Refresh) -> Iterator[Chain]:
    """Yield the chains for a packet from inside: is the port its own, and for how long is it remembered?

    A reply leaves by the mapping that the remote came in by, whoever's it is by the mapping rule.
    """
    chain = f"{state.protocol}_out_{name}"
    owner = f"{flow.external} . {state.mapping_key(flow)}"
    rules: list[str] = []
    if state.translates and name == "inside":
        rules += [f"{state.prefix} {match} goto {chain}_own" for match in state.present("own", owner)]
        rules += [f"{state.prefix} {match} drop" for match in state.present("used", flow.external)]
        why = "a port that was drawn and is another mapping's: dropped, the next packet draws again"
        yield Chain(name=chain, rules=[*rules, f"goto {chain}_own"], why=why)
        chain = f"{chain}_own"
    yield from _remembering(state, chain, flow, refresh, answers=False)


def inbound_chains(state: ProtocolState, name: str, flow: Flow, refresh: Refresh) -> Iterator[Chain]:
    """Yield the chains for an admitted packet from outside: it may refresh, and it is an answer."""
    yield from _remembering(state, f"{state.protocol}_in_{name}", flow, refresh, answers=True)


def _remembering(
    state: ProtocolState, chain: str, flow: Flow, refresh: Refresh, *, answers: bool
) -> Iterator[Chain]:
    """Yield a chain that chooses the lifetime which a packet gives."""
    permit, prefix = state.permit_key(flow), state.prefix
    rules = list(_answer_rules(state, permit, answers=answers)) if state.tracks_answers else []
    if not (answers and refresh is Refresh.OUTBOUND):
        for match, lifetime in choices(
            state.classes,
            permit=permit,
            remote_port=flow.remote_port,
            answered="" if answers else state.named("answered"),
            young=state.named("young"),
        ):
            verb = _verb(refresh, answers=answers)
            rules.append(" ".join(filter(None, [prefix, match, f"goto {_keeping(chain, verb, lifetime)}"])))
    yield Chain(name=chain, rules=rules)


def _verb(refresh: Refresh, *, answers: bool) -> str:
    """Return what is done to an element that is there already: ``add`` leaves it as old as it is."""
    return "add" if refresh is Refresh.INBOUND and not answers else "update"


def _keeping(chain: str, verb: str, lifetime: LifetimeClass) -> str:
    protocol, _, whose = chain.split("_")[:3]
    return f"{protocol}_{verb}_{whose}_{lifetime.name}"


def keeping_chains(state: ProtocolState, name: str, flow: Flow, refresh: Refresh) -> Iterator[Chain]:
    """Yield the chains that put a flow into the sets, one a lifetime."""
    for verb in dict.fromkeys((_verb(refresh, answers=False), "update")):
        for lifetime in state.classes:
            updates = list(state.updates(flow, lifetime, operation=verb))
            if lifetime.answered_only:
                updates.append(
                    f"{state.prefix} update @{state.named('answered')} {{ {state.permit_key(flow)} }}"
                )
            yield Chain(name=_keeping(f"{state.protocol}_keep_{name}", verb, lifetime), rules=updates)


def _answer_rules(state: ProtocolState, permit: str, *, answers: bool) -> Iterator[str]:
    answered, young = state.named("answered"), state.named("young")
    if answers:
        yield f"{state.prefix} update @{answered} {{ {permit} }}"
        return
    new = f"{state.prefix} {state.absent(state.permit_set, permit)}"
    yield f"{new} delete @{answered} {{ {permit} }}"
    if any(c.young for c in state.classes):
        yield f"{new} add @{young} {{ {permit} }}"


def _hairpin_chain(state: ProtocolState, refresh: Refresh, hairpinning: Hairpinning) -> Chain:
    """Return what a packet from one inside host to another's mapping goes through.

    It leaves by its sender's mapping, and must be admitted by its receiver's like one from outside.
    """
    prefix, protocol = state.prefix, state.protocol
    rules = []
    for direction, sender, receiver in (("original", "inside", "receiver"), ("reply", "receiver", "inside")):
        match = f"{prefix} ct direction {direction}"
        rules.append(f"{match} jump {protocol}_out_{sender}")
        if not state.admits_all:
            permit = state.permit_key(_FLOWS[receiver])
            rules.append(f"{match} {state.absent('flt', permit)} drop")
        if heeds_inbound(state, refresh):
            rules.append(f"{match} jump {protocol}_in_{receiver}")
    if hairpinning is Hairpinning.INTERNAL_SOURCE:
        # Translated to be judged by the filter, and now given its own source again.
        for direction in ("original", "reply"):
            match = f"{prefix} ct direction {direction}"
            rules.append(f"{match} ip saddr set ct {direction} ip saddr")
            rules.append(f"{match} {protocol} sport set ct {direction} proto-src")
    return Chain(name=f"{protocol}_hairpin", rules=rules, why="from inside to inside, by external endpoints")
