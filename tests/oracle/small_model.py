"""Two peers behind NATs, as small as can be, searched over every order of events.

An oracle that shares no code with what it judges. Ports are named by what made them, so that equal histories
are equal states. Each peer may at any time probe any address it was told or heard from; it answers each probe
at once. Packets of one direction keep their order, none is lost. A pair counts when an answer comes back from
where its probe was sent to (RFC 8445 §7.2.5.2.1).

Written from the definitions of the axes (RFC 4787 and nat_models.model), not from the engine or the rules.
"""

from typing import NamedTuple

from nat_models.model import Filtering, FilterScope, Mapping, NatModel, ReplyReuse

DEPTH = 4
"""Ports that are named after ports that are named after ... beyond this are not pursued."""

Address = tuple  # (IP, port name)
STUN = ("stun", "3478")


class Box(NamedTuple):
    """State of one NAT: which external ports exist, who opened what, which port a flow (E, R) is bound to.

    Where flows are kept apart, a flow is (external port, remote, what the inside sees in the remote's place).
    """

    ports: frozenset
    opened: frozenset
    flows: frozenset


class Packet(NamedTuple):
    source: Address
    target: Address
    answers: tuple | None  # (address probed, address the probe came from), None for a probe
    probed: tuple | None = None  # what a probe was sent to, as its sender knows it


EMPTY = Box(frozenset(), frozenset(), frozenset())


def filter_key(model: NatModel, remote: Address):
    return {
        Filtering.ENDPOINT_INDEPENDENT: None,
        Filtering.ADDRESS_DEPENDENT: remote[0],
        Filtering.ADDRESS_AND_PORT_DEPENDENT: remote,
    }[model.filtering]


def mapping_key(model: NatModel, remote: Address):
    return {
        Mapping.ENDPOINT_INDEPENDENT: None,
        Mapping.ADDRESS_DEPENDENT: remote[0],
        Mapping.ADDRESS_AND_PORT_DEPENDENT: remote,
    }[model.mapping]


def outbound(model: NatModel, address: str, box: Box, inner: Address, remote: Address):
    """Return the external port, the remote that the packet goes to, and the box as it is then."""
    if model.reply_reuse is ReplyReuse.SEPARATE_FLOWS:
        return outbound_apart(model, address, box, inner, remote)
    flows = dict(box.flows)
    outer = flows.get((inner, remote)) or (address, (inner, mapping_key(model, remote)))
    if model.reply_reuse is ReplyReuse.EXISTING_FLOW_FIRST:
        flows[inner, remote] = outer
    opener = outer if model.filter_scope is FilterScope.PER_MAPPING else inner
    opened = box.opened | {(opener, filter_key(model, remote))}
    return outer, remote, Box(box.ports | {outer}, opened, frozenset(flows.items()))


def outbound_apart(model: NatModel, address: str, box: Box, inner: Address, seen: Address):
    outer, remote = (address, (inner, mapping_key(model, seen))), seen
    mine = [flow for flow in box.flows if (flow[0][1][0], flow[2]) == (inner, seen)]
    if mine:
        outer, remote, _ = mine[0]
    else:
        assert not any(flow[:2] == (outer, remote) for flow in box.flows), "no flow ends here"
    opener = outer if model.filter_scope is FilterScope.PER_MAPPING else inner
    opened = box.opened | {(opener, filter_key(model, remote))}
    return outer, remote, Box(box.ports | {outer}, opened, box.flows | {(outer, remote, seen)})


def inbound(model: NatModel, box: Box, outer: Address, remote: Address):
    """Return the inner port or None, what is seen there in the remote's place, and the box as it is then."""
    if outer not in box.ports:
        return None, remote, box
    inner = outer[1][0]
    opener = outer if model.filter_scope is FilterScope.PER_MAPPING else inner
    admits_all = model.filtering is Filtering.ENDPOINT_INDEPENDENT
    if not admits_all and (opener, filter_key(model, remote)) not in box.opened:
        return None, remote, box
    if model.reply_reuse is ReplyReuse.SEPARATE_FLOWS:
        seen = next((flow[2] for flow in box.flows if flow[:2] == (outer, remote)), remote)
        if any(
            flow[0][1][0] == inner and flow[2] == seen and flow[:2] != (outer, remote) for flow in box.flows
        ):
            seen = (remote[0], (remote, outer))  # a drawn port, named by the flow it stands for
        return inner, seen, box._replace(flows=box.flows | {(outer, remote, seen)})
    flows = dict(box.flows)
    if model.reply_reuse is ReplyReuse.INBOUND_FIRST:
        flows[inner, remote] = outer
    elif model.reply_reuse is ReplyReuse.EXISTING_FLOW_FIRST:
        flows.setdefault((inner, remote), outer)
    return inner, remote, box._replace(flows=frozenset(flows.items()))


class Peer(NamedTuple):
    """A host and the boxes before it, innermost first."""

    name: str
    layers: tuple
    relay_key: str = ""  # "ip" or "ip-port": the peer speaks by a relayed address instead of its host's
    at: str = ""  # IP of the relay

    @property
    def host(self):
        return (f"{self.name}-inside" if self.layers else self.name, "5000")

    def address_of(self, level):
        return self.name if level == len(self.layers) - 1 else f"{self.name}-{level}"

    def send(self, boxes, remote):
        """Return source and destination of the packet outside, and the boxes as they are then."""
        if self.relay_key:
            key = remote[0] if self.relay_key == "ip" else remote
            return (self.at, self.name), remote, (boxes[0]._replace(opened=boxes[0].opened | {key}),)
        at, boxes = self.host, list(boxes)
        for level, model in enumerate(self.layers):
            at, remote, boxes[level] = outbound(model, self.address_of(level), boxes[level], at, remote)
        return at, remote, tuple(boxes)

    def receive(self, boxes, packet):
        """Return what the peer sees as the source, None if it gets nothing, and the boxes then."""
        source = packet.source
        if self.relay_key:
            key = source[0] if self.relay_key == "ip" else source
            return source if packet.target == (self.at, self.name) and key in boxes[0].opened else None, boxes
        at, boxes = packet.target, list(boxes)
        for level in range(len(self.layers) - 1, -1, -1):
            at, source, boxes[level] = inbound(self.layers[level], boxes[level], at, source)
            if at is None:
                return None, tuple(boxes)
        return source if at == self.host else None, tuple(boxes)


class State(NamedTuple):
    boxes: tuple  # per peer
    knows: tuple  # per peer: addresses to probe
    flying: tuple  # per sender: packets in order


def depth_of(address) -> int:
    """How many ports a port's name is nested in by way of destinations."""
    if address is None or isinstance(address, str) or isinstance(address[1], str):
        return 0
    inner, destination = address[1]
    return max(depth_of(inner), depth_of(destination) + isinstance(destination, tuple))


def reachable_pairs(
    alice: Peer, bob: Peer, *, untold: str = "", together: bool = False, limit: int = 200_000
):
    """Return the set of (alice's type, bob's type) that some order reaches.

    The other side is not told the address of a peer named in `untold`. With `together` both send to the known
    address of the other before anything is delivered.
    """
    peers = (alice, bob)
    boxes, known = [], []
    for peer in peers:
        state = (EMPTY,) * max(1, len(peer.layers))
        if peer.name in untold:
            first = None
        elif peer.relay_key:
            first = (peer.at, peer.name)
        else:
            first, _, state = peer.send(state, STUN)
        known.append(first)
        boxes.append(state)
    start = State(tuple(boxes), tuple(frozenset({a} - {None}) for a in known[::-1]), ((), ()))
    if together:
        for me in (0, 1):
            start = probe(peers, start, me, known[1 - me])
    found, seen, waiting = set(), {start}, [start]
    while waiting:
        state = waiting.pop()
        for following in steps(peers, state, known, found):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
                assert len(seen) < limit, "the search outgrew its limit"
    return frozenset(found)


def probe(peers, state, me, target):
    source, destination, boxes = peers[me].send(state.boxes[me], target)
    packet = Packet(source, destination, None, target)
    return State(put(state.boxes, me, boxes), state.knows, put(state.flying, me, (*state.flying[me], packet)))


def put(pair, index, value):
    return (value, pair[1]) if index == 0 else (pair[0], value)


def steps(peers, state, known, found):
    for me in (0, 1):
        if not state.flying[me] and len(state.flying[1 - me]) < 2:
            for target in state.knows[me]:
                yield probe(peers, state, me, target)
        elif state.flying[me]:
            yield deliver(peers, state, me, known, found)


def deliver(peers, state, sender, known, found):
    """Deliver a packet, and its answer too if nothing flies ahead of that: a reduction, not a rule."""
    me = 1 - sender
    packet, *rest = state.flying[sender]
    flying = put(state.flying, sender, tuple(rest))
    seen, boxes = peers[me].receive(state.boxes[me], packet)
    state = State(put(state.boxes, me, boxes), state.knows, flying)
    if seen is None:
        return state
    if packet.answers is None:
        if depth_of(seen) <= DEPTH:
            state = state._replace(knows=put(state.knows, me, state.knows[me] | {seen}))
        source, destination, boxes = peers[me].send(state.boxes[me], seen)
        answer = Packet(source, destination, (packet.probed, seen))
        state = State(put(state.boxes, me, boxes), state.knows, put(flying, me, (*flying[me], answer)))
        return state if flying[me] else deliver(peers, state, me, known, found)
    probed, mapped = packet.answers
    if seen == probed:
        mine, its = name_of(peers[me], mapped, known[me]), name_of(peers[sender], probed, known[sender])
        found.add((mine, its) if me == 0 else (its, mine))
    return state


def name_of(peer, address, known):
    if address != known and not peer.relay_key:
        return "prflx"
    return "relay" if peer.relay_key else "srflx" if peer.layers else "host"
