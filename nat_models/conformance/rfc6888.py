"""RFC 6888: what carriers' NATs are asked for beyond the other documents, as far as packets show it."""

from __future__ import annotations

import itertools

from nat_models.conformance.finding import Catalogue, Level, Needs, Shown, met_if, not_applicable
from nat_models.conformance.probe import HOST, OTHER_HOST, POOL, REMOTE, Probe
from nat_models.conformance.rfc4787 import filtering_class, udp_lifetimes
from nat_models.outcome import Side
from nat_models.packet import IcmpType, IpProtocol, Packet

RFC6888 = Catalogue("RFC 6888", Needs.UDP_TRANSLATION)
states = RFC6888.states

HOLD_DOWN = 120.0


@states("REQ-2", Level.MUST, "One subscriber keeps one external address of several.")
def _pooling(probe: Probe) -> Shown:
    box = probe.box(addresses=POOL)
    pairs = {
        (host, external[0])
        for host in range(2, 10)
        for port in range(5000, 5008)
        if (external := box.out((f"10.0.0.{host}", port), REMOTE))
    }
    used = len({address for _, address in pairs})
    return met_if(len(pairs) == 8, f"8 subscribers were paired {len(pairs)} times, over {used} addresses.")


@states("REQ-4", Level.MUST, "The ports of one subscriber can be limited.")
def _limit(probe: Probe) -> Shown:
    box = probe.box(ports=probe.reconfigured("ports", per_host_limit=2))
    served = sum(box.out((HOST[0], port), REMOTE) is not None for port in range(5000, 5008))
    other = box.out(OTHER_HOST, REMOTE) is not None
    neighbour = f"its neighbour {'was' if other else 'was not'} served"
    return met_if(served == 2 and other, f"Limited to 2, a subscriber got {served} of 8 ports, {neighbour}.")


@states(
    "REQ-7", Level.RECOMMENDED, "Filtering is endpoint-independent; address-dependent where nothing breaks."
)
def _filtering(probe: Probe) -> Shown:
    found = filtering_class(probe.box())
    return met_if(found in {"endpoint-independent", "address-dependent"}, f"Strangers met {found} filtering.")


@states("REQ-8", Level.SHOULD_NOT, "A freed port goes to another subscriber within 120 s.")
def _hold_down(probe: Probe) -> Shown:
    if filtering_class(probe.box()) != "endpoint-independent":
        return not_applicable("Its filter depends on the remote: such ports may be reused at once.")
    ports = probe.reconfigured("ports", first=40000, last=40000, parity=False, block_size=1)
    box = probe.box(ports=ports)
    box.out(HOST, REMOTE)
    box.wait(max(udp_lifetimes(probe)) + 1)
    early = box.out(OTHER_HOST, REMOTE) is not None
    box.wait(HOLD_DOWN - 2)
    later = early or box.out(OTHER_HOST, REMOTE) is not None
    when = "at once" if early else "within 120 s" if later else "not within 120 s"
    return met_if(not later, f"The only port, freed, went to a neighbour {when}.")


@states("REQ-11", Level.SHOULD, "A subscriber for whom no mapping can be made is told so by ICMP.")
def _refusal(probe: Probe) -> Shown:
    box = probe.box(ports=probe.reconfigured("ports", per_host_limit=1))
    box.out(HOST, REMOTE)
    outcome = box.handle(Packet(IpProtocol.UDP, (HOST[0], 5001), REMOTE, b"probe"), Side.INSIDE)
    if not outcome.reason:
        return not_applicable("A limit of one mapping was not reached.")
    told = [e.packet.icmp.type for e in outcome.packets if e.packet.icmp is not None]
    good = told == [IcmpType.ADMINISTRATIVELY_PROHIBITED]
    return met_if(good, f"At its limit a subscriber was {'told' if good else 'not told'}.")


@states("REQ-14", Level.SHOULD, "Few lines tell who had a port: subscribers have blocks of ports.")
def _log_volume(probe: Probe) -> Shown:
    box = probe.box()
    spans: dict[int, list[int]] = {}
    for port in range(5000, 5016):
        for host in range(2, 6):
            external = box.out((f"10.0.0.{host}", port), REMOTE)
            if external is not None:
                spans.setdefault(host, []).append(external[1])
    bounds = sorted((min(ports), max(ports)) for ports in spans.values())
    apart = all(last < first for (_, last), (first, _) in itertools.pairwise(bounds))
    # Blocks are no larger than a share of the ports that could serve sixteen subscribers an address.
    small = all(last - first < 65536 // 16 for first, last in bounds)
    found = "lay" if apart and small else "did not lie"
    return met_if(apart and small, f"The ports of 4 subscribers {found} in blocks apart.")


@states("REQ-15", Level.SHOULD, "The next port is hard to guess.")
def _unpredictable(probe: Probe) -> Shown:
    box = probe.box()
    given = [external[1] for n in range(40) if (external := box.out((HOST[0], 5000 + 3 * n), REMOTE))]
    guessed = sum(
        port in {previous + 1, previous + 2, previous + 3, 5000 + 3 * n}
        for n, (previous, port) in enumerate(itertools.pairwise(given), 1)
    )
    return met_if(guessed <= 2, f"Of 39 further ports, {guessed} were the internal one or followed the last.")
