"""One peer as the other one meets it: what its boxes together do to addresses, and whom they let in.

A view is made of the enum values of the boxes alone. Two addresses of a peer matter to the other side: the
*known* one, which the STUN server reported and the signalling carried, and *fresh* ones, made when the peer
sends towards the other. Each field that can stand in the way holds why, in words; an empty text means that
nothing does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from lab.measure.predict.network import CandidateType, PeerNetwork, PermissionKey, RelayPlacement
from nat_models.model import Filtering, FilterScope, Mapping, NatModel, ReplyReuse, Transparency, Unsolicited


@dataclass(frozen=True, kw_only=True)
class View:
    """What the other side can know and hit of one peer.

    ``known`` is the type of the known address, None where no such address reached the other side, and
    ``unknown`` then says why.
    """

    name: str
    known: CandidateType | None
    unknown: str = ""
    silent: str = ""
    """Why nothing leaves towards the other side."""
    moves: str = ""
    """Why packets to the other side leave by another port than the known one."""
    per_remote_port: bool = False
    """Whether each port of the other side is given a fresh port, rather than each address."""
    never_settles: bool = False
    """Whether what comes in on a fresh port from another port of the other is answered by a third one."""
    no_reply_reuse: str = ""
    """Why an answer to a packet that came in by one port leaves by another."""
    answers_apart: bool = False
    """Whether an answer to what came in on the known port leaves by a port that nothing else leaves by.

    So it does where one box reuses the port a packet came in on, and a box behind it does not."""
    diverts: bool = False
    """Whether a packet that the known port refused moves later ones to its sender to a fresh port."""
    diverts_heard: bool = False
    """Whether it does so even after it let a later packet of the same sender in (reply reuse off)."""
    existing_flow_first: bool = False
    """Whether a flow that the peer opened itself decides by which port it answers, once there is one."""
    separate_flows: bool = False
    """Whether what comes in on the known port beside such a flow is seen under another port, and answered."""
    deaf_to_strangers: str = ""
    """Why the known port lets nobody in before the peer has sent to the other side."""
    deaf_to_known: str = ""
    """Why the known port does not let the other's known address in after the peer has sent to it."""
    deaf_to_known_as_other: str = ""
    """The same, where a box changes the port that the address seems to have on the way in."""
    deaf_before_flow: str = ""
    """Why a stranger's packet does not get in as far as where it would bind a flow to the known port."""
    deaf_to_fresh: str = ""
    """Why the known port refuses a fresh port of the other after the peer has sent to its known address."""
    fresh_deaf_to_fresh: str = ""
    """Why a port that has sent to one port of the other does not let another port of it in."""


def view_of_peer(
    name: str,
    layers: Sequence[NatModel],
    *,
    known: CandidateType | None,
    unknown: str = "",
    silent: str = "",
    towards_stun_address: bool = False,
) -> View:
    """Return what boxes, innermost first, together make of a peer.

    ``towards_stun_address``: the other side is a relayed address on the IP address of the STUN server that
    made the known address. An address-dependent box then uses the known port towards it, and has already
    opened it.
    """
    boxes = [
        _Box(name, layer, level, len(layers), towards_stun_address) for level, layer in enumerate(layers)
    ]
    movers = [box for box in boxes if box.mapping is not Mapping.ENDPOINT_INDEPENDENT]
    first_mover = boxes.index(movers[0]) if movers else len(boxes)
    diverters = [
        box
        for level, box in enumerate(boxes)
        if box.diverts and all(outer.admits_all for outer in boxes[level + 1 :])
    ]
    return View(
        name=name,
        known=known,
        unknown=unknown,
        silent=silent,
        moves=_first(
            f"{box.label} sends from a port of its own to each destination ({box.mapping.value} mapping)"
            for box in movers
        ),
        per_remote_port=any(box.mapping is Mapping.ADDRESS_AND_PORT_DEPENDENT for box in movers),
        never_settles=any(
            box.mapping is Mapping.ADDRESS_AND_PORT_DEPENDENT and box.model.reply_reuse is ReplyReuse.OFF
            for box in movers
        ),
        no_reply_reuse=_first(
            f"{box.label} answers by its mapping rule, not by the port a packet came in on (reply reuse off)"
            for box in movers
            if box.model.reply_reuse is ReplyReuse.OFF
        ),
        # A peer's own packet leaves the boxes behind the first mover from an internal endpoint of their own,
        # so that the flow it opens there is not the one an answer by the known port belongs to.
        existing_flow_first=bool(movers) and movers[0].model.reply_reuse in _FIRST_FLOW_STAYS,
        separate_flows=bool(movers) and movers[0].model.reply_reuse is ReplyReuse.SEPARATE_FLOWS,
        answers_apart=bool(movers) and movers[0].model.reply_reuse is not ReplyReuse.OFF,
        diverts=bool(diverters),
        diverts_heard=any(box.model.reply_reuse is ReplyReuse.OFF for box in diverters),
        deaf_to_strangers=_first(box.deaf for box in boxes if not box.admits_all),
        deaf_before_flow=_first(box.deaf for box in boxes[first_mover:] if not box.admits_all),
        deaf_to_known=_first(
            box.shut
            for level, box in enumerate(boxes)
            if not (box.admits_all or box.opens(level, first_mover))
        ),
        # The first box that moves changes the port. Those behind it see another one than the peer sent to.
        deaf_to_known_as_other=_first(
            box.shut if level >= first_mover else box.picky
            for level, box in enumerate(boxes)
            if not (
                box.admits_all
                or (box.opens(level, first_mover) if level >= first_mover else box.admits_ports)
            )
        ),
        deaf_to_fresh=_first(
            box.shut if not box.opens(level, first_mover) else box.picky
            for level, box in enumerate(boxes)
            if not (box.admits_all or (box.opens(level, first_mover) and box.admits_ports))
        ),
        fresh_deaf_to_fresh=_first(box.picky for box in boxes if not (box.admits_all or box.admits_ports)),
    )


def view_of_relay(owner: str, relay: RelayPlacement, *, silent: str = "") -> View:
    """Return a peer seen through its relayed address: one port for all, filtered by TURN permissions."""
    picky = ""
    if relay.permission_key is PermissionKey.IP_PORT:
        picky = f"{owner}'s relay admits only the very addresses and ports it has a permission for"
    return View(
        name=f"{owner}'s relay",
        known=CandidateType.RELAYED,
        silent=silent,
        deaf_to_strangers=f"{owner}'s relay admits nobody without a permission",
        deaf_to_fresh=picky,
        fresh_deaf_to_fresh=picky,
    )


_FIRST_FLOW_STAYS: Final = (ReplyReuse.EXISTING_FLOW_FIRST, ReplyReuse.SEPARATE_FLOWS)


class _Box:
    """One box on the way, by the values that count towards the other side."""

    def __init__(
        self, name: str, model: NatModel, level: int, levels: int, towards_stun_address: bool
    ) -> None:
        self.model = model
        translates = model.transparency is Transparency.TRANSLATE
        self.mapping = model.mapping if translates else Mapping.ENDPOINT_INDEPENDENT
        self.filtering = model.filtering
        if model.transparency is Transparency.NONE:
            self.filtering = Filtering.ENDPOINT_INDEPENDENT
        if towards_stun_address:
            if self.mapping is Mapping.ADDRESS_DEPENDENT:
                self.mapping = Mapping.ENDPOINT_INDEPENDENT
            if self.filtering is Filtering.ADDRESS_DEPENDENT:
                self.filtering = Filtering.ENDPOINT_INDEPENDENT
        self.admits_all = self.filtering is Filtering.ENDPOINT_INDEPENDENT
        self.diverts = (
            translates
            and model.unsolicited is Unsolicited.INPUT_ACCEPT
            and self.mapping is Mapping.ENDPOINT_INDEPENDENT
            and not self.admits_all
        )
        self.admits_ports = self.filtering is Filtering.ADDRESS_DEPENDENT
        kind = "NAT" if translates else "firewall"
        place = "" if levels == 1 else f", box {level + 1} of {levels}"
        self.label = f"{name}'s {kind} ({model.name}{place})"
        self.deaf = f"{self.label} admits nobody {name} has not sent to ({self.filtering.value} filtering)"
        self.shut = f"the known port of {self.label} admits only whom it sent to, the STUN server alone"
        self.picky = f"{self.label} admits only the very ports {name} has sent to"

    def opens(self, level: int, first_mover: int) -> bool:
        """Whether the peer's own packets to the other side open the filter of the known mapping of this box.

        They do where they leave by that mapping, or, with a filter per endpoint, at least come from the
        internal endpoint that owns it: from here on in no box may have moved them.
        """
        if self.model.filter_scope is FilterScope.PER_ENDPOINT:
            return level <= first_mover
        return level < first_mover


def _first(reasons: Iterable[str]) -> str:
    return next(iter(reasons), "")


def known_type(peer: PeerNetwork, relay: RelayPlacement) -> CandidateType | None:
    """Return the type of the address that signalling gives the other side, None if it is of no use there."""
    if not peer.translates:
        return CandidateType.HOST
    if relay.stun and peer.permits("udp", relay.stun_port, relay.address):
        return CandidateType.SERVER_REFLEXIVE
    return None
