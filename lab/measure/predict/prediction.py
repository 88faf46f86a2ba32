"""From two peers' boxes and the servers' places to the candidate pairs that can come to work."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from lab.errors import UsageError
from lab.measure.predict.network import (
    NO_RELAY,
    CandidateType,
    Pair,
    PeerNetwork,
    PresentFor,
    RelayPlacement,
)
from lab.measure.predict.rules import Finding, Port, findings, not_introduced
from lab.measure.predict.view import View, known_type, view_of_peer, view_of_relay
from nat_models.model import Hairpinning, NatModel, Transparency


class Reach(enum.StrEnum):
    """The best that two peers can come to, whichever way they try."""

    DIRECT = "direct"
    RELAY = "relay"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What is possible between two peers.

    ``possible`` holds the pairs (type of alice's address as bob sees it, type of bob's as alice sees it) on
    which checks succeed in some order of events on a network that loses nothing. ``blocked`` has a reason in
    words for every other pair of types that the peers could have. ``needs_first`` names, for those possible
    pairs that depend on it, whose packets must arrive before the other side has sent any.
    """

    possible: frozenset[Pair]
    blocked: Mapping[Pair, str]
    needs_first: Mapping[Pair, str]

    @property
    def reach(self) -> Reach:
        """The best class of path there is."""
        if any(_is_direct(pair) for pair in self.possible):
            return Reach.DIRECT
        return Reach.RELAY if self.possible else Reach.NONE

    @property
    def direct(self) -> frozenset[Pair]:
        """The possible pairs without a relay."""
        return frozenset(pair for pair in self.possible if _is_direct(pair))

    @property
    def mirrored(self) -> Prediction:
        """The same, with the roles swapped."""
        return Prediction(
            possible=frozenset((b, a) for a, b in self.possible),
            blocked={(b, a): reason for (a, b), reason in self.blocked.items()},
            needs_first={(b, a): who for (a, b), who in self.needs_first.items()},
        )


def _is_direct(pair: Pair) -> bool:
    return CandidateType.RELAYED not in pair


def predict(
    alice: PeerNetwork,
    bob: PeerNetwork,
    relay: RelayPlacement = NO_RELAY,
    *,
    shared_layers: int = 0,
    inside_routed: bool = True,
) -> Prediction:
    """Return which pairs of candidate types can work, from the enum values of the boxes alone.

    ``shared_layers`` is the number of outermost boxes behind which both peers are: the same boxes, not equal
    ones. ``inside_routed`` says whether the innermost of them lets its inside hosts send to each other's
    inside addresses. Two hosts of one LAN share all their layers.

    Raises:
        UsageError: the shared layers of the two peers differ, or an egress policy names networks and an
        address
            is not known.
    """
    plan = _Plan(alice, bob, relay, shared_layers, inside_routed)
    ledger: dict[Pair, list[Finding]] = {}
    for pair, finding in plan.all_findings():
        ledger.setdefault(pair, []).append(finding)
    return _summed_up(ledger)


def union(predictions: Iterable[Prediction]) -> Prediction:
    """Return what is possible by any of several ways: between hosts with more than one address each."""
    ledger: dict[Pair, list[Finding]] = {}
    for prediction in predictions:
        for pair in sorted(prediction.possible):
            ledger.setdefault(pair, []).append(Finding(first=prediction.needs_first.get(pair, "")))
        for pair, blocked in prediction.blocked.items():
            ledger.setdefault(pair, []).append(Finding(blocked))
    return _summed_up(ledger)


def _summed_up(ledger: Mapping[Pair, Sequence[Finding]]) -> Prediction:
    open_ = {pair: [f for f in found if not f.blocked] for pair, found in ledger.items()}
    return Prediction(
        possible=frozenset(pair for pair, found in open_.items() if found),
        blocked={
            pair: "; ".join(dict.fromkeys(f.blocked for f in ledger[pair]))
            for pair, found in open_.items()
            if not found
        },
        needs_first={
            pair: found[0].first for pair, found in open_.items() if found and all(f.first for f in found)
        },
    )


class _Plan:
    """The ways there are between two peers: outside, inside of what they share, and by the relays."""

    def __init__(
        self,
        alice: PeerNetwork,
        bob: PeerNetwork,
        relay: RelayPlacement,
        shared_layers: int,
        inside_routed: bool,
    ) -> None:
        self._peers = {"alice": alice, "bob": bob}
        self._relay = relay
        self._inside_routed = inside_routed
        depth = min(len(alice.layers), len(bob.layers))
        if not 0 <= shared_layers <= depth:
            raise UsageError(
                f"{shared_layers} shared layers: alice has {len(alice.layers)}, bob {len(bob.layers)}"
            )
        shared = alice.layers[len(alice.layers) - shared_layers :]
        if shared != bob.layers[len(bob.layers) - shared_layers :]:
            raise UsageError(f"the outermost {shared_layers} layers of alice and bob are not the same boxes")
        # Between the peers, firewalls around everything they share are not crossed.
        self._around = 0
        while shared and shared[-1].transparency is not Transparency.TRANSLATE:
            shared = shared[:-1]
            self._around += 1
        self._shared = shared

    def all_findings(self) -> Iterator[tuple[Pair, Finding]]:
        yield from self._outside()
        if self._shared:
            yield from self._inside()
        for owner, other in (("alice", "bob"), ("bob", "alice")):
            if self._has_relay(owner):
                yield from self._relayed(owner, other)
        if self._has_relay("alice") and self._has_relay("bob"):
            blocked = self._no_allocation("alice") or self._no_allocation("bob")
            yield (CandidateType.RELAYED, CandidateType.RELAYED), Finding(blocked)

    def _outside(self) -> Iterator[tuple[Pair, Finding]]:
        a, b = (self._view(name, self._between(name)) for name in ("alice", "bob"))
        reason = self._no_return() if self._shared else self._kept_apart() if self._around else ""
        for pair, finding in _typed(a, b):
            yield pair, Finding(reason) if reason else finding

    def _no_return(self) -> str:
        box = self._shared[-1]
        if box.hairpinning is Hairpinning.EXTERNAL_SOURCE:
            return ""
        if box.hairpinning is Hairpinning.NONE:
            return f"one NAT ({box.name}) before both returns no packet from its inside to its own address"
        return f"one NAT ({box.name}) before both returns packets with their inside source: answers bypass it"

    def _kept_apart(self) -> str:
        return "" if self._inside_routed else "the box that they share keeps its inside hosts apart"

    def _inside(self) -> Iterator[tuple[Pair, Finding]]:
        """Within the innermost box that both are behind."""
        views = [
            self._inside_view(name, self._between(name)[: -len(self._shared)]) for name in ("alice", "bob")
        ]
        reason = self._kept_apart()
        for pair, finding in _typed(*views):
            yield pair, Finding(reason) if reason else finding
        if len(self._shared) == 1 and self._shared[0].hairpinning is Hairpinning.INTERNAL_SOURCE:
            # A box that hairpins with the inside source shows each side the other's address in there.
            outside = [self._view(name, self._between(name)) for name in ("alice", "bob")]
            blocked = reason or not_introduced(*views, *outside)
            yield (CandidateType.PEER_REFLEXIVE, CandidateType.PEER_REFLEXIVE), Finding(blocked)

    def _inside_view(self, name: str, layers: Sequence[NatModel]) -> View:
        translates = PeerNetwork(layers=tuple(layers)).translates
        return view_of_peer(
            name,
            layers,
            known=None if translates else CandidateType.HOST,
            unknown=f"nobody tells {name} its address inside the network they share",
            silent=self._silent(name, layers),
        )

    def _relayed(self, owner: str, other: str) -> Iterator[tuple[Pair, Finding]]:
        relay = view_of_relay(owner, self._relay, silent=self._no_allocation(owner))
        peer = self._view(other, self._peers[other].layers, towards_relay=True)
        for (its, mine), finding in _typed(relay, peer):
            yield ((its, mine) if owner == "alice" else (mine, its)), finding

    def _between(self, name: str) -> tuple[NatModel, ...]:
        layers = self._peers[name].layers
        return layers[: len(layers) - self._around]

    def _view(self, name: str, layers: Sequence[NatModel], *, towards_relay: bool = False) -> View:
        peer = self._peers[name]
        known = known_type(peer, self._relay)
        return view_of_peer(
            name,
            layers,
            known=known,
            unknown=f"{name} gets no answer from the STUN server",
            silent=self._silent(name, layers, towards_relay=towards_relay),
            towards_stun_address=towards_relay and self._relay.stun_shares_address and known is not None,
        )

    def _silent(self, name: str, layers: Sequence[NatModel], *, towards_relay: bool = False) -> str:
        other = self._peers["bob" if name == "alice" else "alice"]
        address = self._relay.address if towards_relay else other.address
        for layer in layers:
            if not PeerNetwork(layers=(layer,)).permits("udp", None, address):
                return f"{name}'s firewall ({layer.name}) lets no UDP out"
        return ""

    def _has_relay(self, owner: str) -> bool:
        return bool(self._relay.present_for & PresentFor[owner.upper()])

    def _no_allocation(self, owner: str) -> str:
        if self._relay.reachable_from(self._peers[owner]):
            return ""
        return f"{owner}'s boxes let nothing out to the TURN server"


def _typed(x: View, y: View) -> Iterator[tuple[Pair, Finding]]:
    """Yield the findings on two views by candidate type, but for addresses that a side cannot have at all."""
    found = findings(x, y)
    for mine, its in product(Port, Port):
        finding = found[mine, its]
        # A box that changes the other's port on the way in makes an address that nobody has.
        if (_exists(x, mine) and _exists(y, its)) or not finding.blocked:
            yield (_type(x, mine), _type(y, its)), finding


def _exists(view: View, port: Port) -> bool:
    if port is Port.KNOWN:
        return view.known is not None
    return bool(view.moves) or view.diverts or view.known is None


def _type(view: View, port: Port) -> CandidateType:
    if view.known is not None and (port is Port.KNOWN or view.known is CandidateType.RELAYED):
        # A relay's address is known by its IP, whatever port a box on the way makes of its own.
        return view.known
    return CandidateType.PEER_REFLEXIVE
