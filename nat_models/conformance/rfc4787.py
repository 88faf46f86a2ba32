"""RFC 4787 REQ-1 to REQ-14: unicast UDP."""

from __future__ import annotations

from collections.abc import Callable

from nat_models.conformance.finding import Catalogue, Level, Needs, Shown, Verdict, met_if, not_applicable
from nat_models.conformance.probe import (
    EXTERNAL,
    HOST,
    OTHER_HOST,
    OTHER_REMOTE,
    POOL,
    REMOTE,
    REMOTE_OTHER_PORT,
    ROUTER,
    Box,
    Probe,
    counted,
    in_words,
    longest_idle,
)
from nat_models.outcome import Side
from nat_models.packet import IcmpType, IpProtocol, Packet, TransportAddress

RFC4787 = Catalogue("RFC 4787", Needs.UDP_TRANSLATION)
states = RFC4787.states

_ERRORS = tuple(kind for kind in IcmpType if kind not in {IcmpType.ECHO_REQUEST, IcmpType.ECHO_REPLY})


def mapping_class(box: Box, host: TransportAddress = HOST) -> str:
    """Return what the external ports towards three remotes amount to, in the words of RFC 4787 §4.1."""
    first, same_address, other = (box.out(host, r) for r in (REMOTE, REMOTE_OTHER_PORT, OTHER_REMOTE))
    if first == same_address == other:
        return "endpoint-independent"
    return "address-dependent" if first == same_address else "address- and port-dependent"


def filtering_class(box: Box, host: TransportAddress = HOST) -> str:
    """Return which strangers come in to a mapping, in the words of RFC 4787 §5."""
    external = box.out(host, REMOTE)
    if external is None:
        return "closed"
    if box.into(OTHER_REMOTE, external) == host:
        return "endpoint-independent"
    admits_port = box.into(REMOTE_OTHER_PORT, external) == host
    return "address-dependent" if admits_port else "address- and port-dependent"


def udp_lifetimes(probe: Probe, remote: TransportAddress = REMOTE) -> tuple[float, float]:
    """Return the idle seconds that a mapping survives: after one packet, and after an exchange."""

    def one_way(seconds: float) -> bool:
        box = probe.box()
        external = box.out(HOST, remote)
        box.jump(seconds)
        return external is not None and box.into(remote, external) == HOST

    def both_ways(seconds: float) -> bool:
        box = probe.box()
        external = box.out(HOST, remote)
        assert external is not None
        for pause in (0.0, min(3.0, one / 2)):
            box.jump(pause)
            box.out(HOST, remote)
            box.into(remote, external)
        box.jump(seconds)
        return box.into(remote, external) == HOST

    one = longest_idle(one_way)
    return one, longest_idle(both_ways)


@states("REQ-1", Level.MUST, "The mapping of an internal endpoint does not depend on the destination.")
def _mapping(probe: Probe) -> Shown:
    found = mapping_class(probe.box())
    return met_if(found == "endpoint-independent", f"Three destinations showed {found} mapping.")


@states("REQ-2", Level.RECOMMENDED, "One internal host keeps one external address of several.")
def _pooling(probe: Probe) -> Shown:
    box = probe.box(addresses=POOL)
    used = {external[0] for port in range(5000, 5032) if (external := box.out((HOST[0], port), REMOTE))}
    return met_if(len(used) == 1, f"32 endpoints of one host used {len(used)} of 4 external addresses.")


@states("REQ-3", Level.MUST_NOT, "Two internal endpoints share an external port.")
def _overloading(probe: Probe) -> Shown:
    box = probe.box()
    used = [box.out((f"10.0.0.{n}", 5000), (f"198.51.100.{n}", 3478)) for n in range(2, 22)]
    return met_if(
        len(set(used)) == len(used), f"20 hosts with one source port got {counted(len(set(used)), 'port')}."
    )


@states("REQ-3a", Level.RECOMMENDED, "Ports up to 1023 map to such ports, all others to others.")
def _port_range(probe: Probe) -> Shown:
    box = probe.box()
    low = [external[1] for n in range(2, 10) if (external := box.out((f"10.0.0.{n}", 500), REMOTE))]
    high = [external[1] for n in range(2, 10) if (external := box.out((f"10.0.0.{n}", 5000), REMOTE))]
    kept_low, kept_high = sum(p <= 1023 for p in low), sum(p > 1023 for p in high)
    return met_if(
        kept_low == len(low) and kept_high == len(high),
        f"Of 8 low ports {kept_low} stayed low, of 8 high ones {kept_high} stayed high.",
    )


@states("REQ-4", Level.RECOMMENDED, "Even ports map to even ones and odd to odd.")
def _parity(probe: Probe) -> Shown:
    box = probe.box()
    sent = [((f"10.0.0.{host}", port)) for host in range(2, 10) for port in (5000, 5001)]
    kept = sum(external[1] % 2 == s[1] % 2 for s in sent if (external := box.out(s, REMOTE)))
    return met_if(kept == len(sent), f"Of 16 mappings, two of each of 8 hosts, {kept} kept their parity.")


@states("REQ-5", Level.MUST_NOT, "An idle mapping expires in less than two minutes.", Needs.UDP)
def _timer(probe: Probe) -> Shown:
    one, both = udp_lifetimes(probe)
    evidence = f"A mapping lived {in_words(one)} after one packet, {in_words(both)} after an exchange."
    return met_if(min(one, both) >= 120, evidence)


@states("REQ-5a", Level.MAY, "Only destination ports up to 1023 have shorter timers.", Needs.UDP)
def _timer_by_port(probe: Probe) -> Shown:
    usual = udp_lifetimes(probe)[0]
    shorter = {port: udp_lifetimes(probe, ("198.51.100.7", port))[0] for port in (53, 123, 5060, 16384)}
    shorter = {port: seconds for port, seconds in shorter.items() if seconds < usual - 1}
    if not shorter:
        return Shown(Verdict.MET, "Ports 53, 123, 5060 and 16384 had the timer of port 3478.")
    found = ", ".join(f"port {port} had {in_words(seconds)}" for port, seconds in shorter.items())
    return met_if(max(shorter) <= 1023, f"Against {in_words(usual)} for port 3478, {found}.")


@states("REQ-5b", Level.MAY, "The timer can be configured.", Needs.UDP)
def _timer_configurable(probe: Probe) -> Shown:
    lifetimes = probe.reconfigured("lifetimes", udp=777.0, udp_unreplied=777.0)

    def alive(seconds: float) -> bool:
        box = probe.box(lifetimes=lifetimes)
        external = box.out(HOST, REMOTE)
        box.jump(seconds)
        return external is not None and box.into(REMOTE, external) == HOST

    return met_if(
        abs(longest_idle(alive) - 777) < 1, f"Set to 777 s, it was {in_words(longest_idle(alive))}."
    )


@states("REQ-5c", Level.RECOMMENDED, "The default timer is five minutes or more.", Needs.UDP)
def _timer_default(probe: Probe) -> Shown:
    shortest = min(udp_lifetimes(probe))
    return met_if(shortest >= 300, f"The shortest lifetime was {in_words(shortest)}.")


@states("REQ-6", Level.MUST, "Outbound packets keep a mapping alive.", Needs.UDP)
def _outbound_refresh(probe: Probe) -> Shown:
    return _refresh(probe, outbound=True)


@states("REQ-6a", Level.MAY, "Inbound packets keep a mapping alive.", Needs.UDP)
def _inbound_refresh(probe: Probe) -> Shown:
    shown = _refresh(probe, outbound=False)
    return Shown(Verdict.MET, shown.evidence + ("" if shown.verdict is Verdict.MET else " Both are allowed."))


def _refresh(probe: Probe, *, outbound: bool) -> Shown:
    lifetime = udp_lifetimes(probe)[0]
    box = probe.box()
    external = box.out(HOST, REMOTE)
    assert external is not None
    for _ in range(3):
        box.jump(lifetime * 0.6)
        if outbound:
            box.out(HOST, REMOTE)
        else:
            box.into(REMOTE, external)
    box.jump(lifetime * 0.6)
    alive = box.into(REMOTE, external) == HOST
    direction = "Outbound" if outbound else "Inbound"
    return met_if(
        alive,
        f"{direction} packets at 0.6 lifetimes {'kept' if alive else 'did not keep'} the mapping alive.",
    )


@states("REQ-7", Level.MUST, "Outside addresses that also exist inside are translated and reached.")
def _same_prefix(probe: Probe) -> Shown:
    box = probe.box(addresses=("10.0.0.1",), networks=("10.0.0.0/24",))
    remote = ("10.0.0.77", 3478)
    external = box.out(HOST, remote)
    reached = external is not None and external[0] == "10.0.0.1" and box.into(remote, external) == HOST
    return met_if(reached, f"With 10.0.0.0/24 on both sides an exchange {'passed' if reached else 'failed'}.")


@states(
    "REQ-8",
    Level.RECOMMENDED,
    "Filtering is endpoint-independent, or address-dependent where strict.",
    Needs.UDP,
)
def _filtering(probe: Probe) -> Shown:
    found = filtering_class(probe.box())
    return met_if(found in {"endpoint-independent", "address-dependent"}, f"Strangers met {found} filtering.")


def hairpinned(probe: Probe) -> tuple[TransportAddress | None, str]:
    """Return the source that a neighbour saw, or None and why; both have opened their filters."""
    box = probe.box()
    neighbour = (OTHER_HOST[0], 6000)
    sender, receiver = box.out(HOST, REMOTE), box.out(neighbour, REMOTE)
    assert sender is not None
    assert receiver is not None
    box.out(neighbour, sender)
    outcome = box.handle(Packet(IpProtocol.UDP, HOST, receiver, b"probe"), Side.INSIDE)
    return (outcome.packets[0].packet.source if not outcome.reason else None), outcome.reason


@states("REQ-9", Level.MUST, "Two inside hosts reach each other by their external endpoints.")
def _hairpin(probe: Probe) -> Shown:
    seen, reason = hairpinned(probe)
    return met_if(seen is not None, f"A hairpinned packet {'arrived' if seen else f'was dropped: {reason}'}.")


@states("REQ-9a", Level.MUST, "A hairpinned packet shows the sender's external endpoint.")
def _hairpin_source(probe: Probe) -> Shown:
    seen, _ = hairpinned(probe)
    if seen is None:
        return not_applicable("No hairpinned packet arrived.")
    return met_if(seen[0] == EXTERNAL, f"The receiver saw {seen[0]} as source.")


@states("REQ-10", Level.SHOULD, "No application gateway rewrites UDP payloads by default.", Needs.UDP)
def _no_alg(probe: Probe) -> Shown:
    box = probe.box()
    text = f"REGISTER sip:x SIP/2.0\r\nContact: <sip:a@{HOST[0]}:{HOST[1]}>\r\n\r\n".encode()
    packet = Packet(IpProtocol.UDP, HOST, ("198.51.100.7", 5060), text)
    outcome = box.handle(packet, Side.INSIDE)
    same = bool(outcome.packets) and outcome.packets[0].packet.payload == text
    return met_if(same, f"A SIP message with a private Contact left {'unchanged' if same else 'changed'}.")


@states("REQ-11", Level.MUST_NOT, "Mapping or filtering changes under conflict of ports.")
def _deterministic(probe: Probe) -> Shown:
    plain = _behaviour(probe, lambda _: None)
    conditions = (
        ("behind a neighbour with the same port", _behaviour(probe, _crowd)),
        ("after a stray from one of the remotes", _behaviour(probe, _stray)),
    )
    changed = [f"{when} it showed {found}" for when, found in conditions if found != plain]
    if not changed:
        return Shown(Verdict.MET, f"It showed {plain}, with a neighbour on its port and after a stray too.")
    return Shown(Verdict.VIOLATED, f"It showed {plain}; {'; '.join(changed)}.")


def _behaviour(probe: Probe, prepare: Callable[[Box], None]) -> str:
    boxes = probe.box(), probe.box()
    for box in boxes:
        prepare(box)
    return f"{mapping_class(boxes[0])} mapping and {filtering_class(boxes[1])} filtering"


def _crowd(box: Box) -> None:
    # With one of the remotes that the host will send to, neither the first nor all of them: a box that gives
    # way to a conflict with the first would show the same port to all.
    box.out(OTHER_HOST, REMOTE_OTHER_PORT)


def _stray(box: Box) -> None:
    box.into(REMOTE_OTHER_PORT, (EXTERNAL, HOST[1]))


def sent_out(box: Box) -> Packet:
    """Send a UDP packet, and return it as it left."""
    return box.handle(Packet(IpProtocol.UDP, HOST, REMOTE, b"probe"), Side.INSIDE).packets[0].packet


@states("REQ-12", Level.MUST_NOT, "An ICMP message ends a mapping.", Needs.UDP)
def _icmp_ends_nothing(probe: Probe) -> Shown:
    box = probe.box()
    about = sent_out(box)
    for kind in _ERRORS:
        for reporter in (REMOTE[0], ROUTER):
            box.error(about, reporter, about.source[0], Side.OUTSIDE, kind)
    alive = box.into(REMOTE, about.source) == HOST
    return met_if(
        alive, f"After {len(_ERRORS)} kinds of error the mapping was {'there' if alive else 'gone'}."
    )


@states("REQ-12a", Level.SHOULD_NOT, "ICMP errors are filtered by who sends them.", Needs.UDP)
def _icmp_from_anybody(probe: Probe) -> Shown:
    box = probe.box()
    about = sent_out(box)
    passed = box.error(about, ROUTER, about.source[0], Side.OUTSIDE) is not None
    return met_if(passed, f"An error from a router on the path {'passed' if passed else 'was dropped'}.")


@states("REQ-12b", Level.RECOMMENDED, "Destination unreachable messages are supported.", Needs.UDP)
def _unreachable(probe: Probe) -> Shown:
    box = probe.box()
    about = sent_out(box)
    came = box.error(about, REMOTE[0], about.source[0], Side.OUTSIDE)
    good = came is not None and quoted_source(came) == HOST
    return met_if(
        good, f"Port unreachable {'came in about the packet as sent' if good else 'did not come in'}."
    )


def quoted_source(error: Packet) -> TransportAddress | None:
    """Return the source of the packet that an ICMP error quotes."""
    return None if error.icmp is None or error.icmp.quoted is None else error.icmp.quoted.source


@states("REQ-13", Level.MUST, "A packet that is too big and may not be fragmented is answered.", Needs.UDP)
def _too_big(probe: Probe) -> Shown:
    packet = Packet(IpProtocol.UDP, HOST, REMOTE, bytes(1400), dont_fragment=True)
    outcome = probe.box().handle(packet, Side.INSIDE)
    if not outcome.packets or not outcome.packets[0].packet.dont_fragment:
        return Shown(Verdict.VIOLATED, "The box lost the don't-fragment bit, so that no link can answer.")
    return not_applicable("The box keeps the don't-fragment bit; sizes belong to its links, which answer.")


@states("REQ-14", Level.MUST, "Fragments pass in order and out of order.", Needs.UDP)
def _fragments(probe: Probe) -> Shown:
    passed = []
    for order in ((True, False), (False, True)):
        box = probe.box()
        external = box.out(HOST, REMOTE)
        assert external is not None
        came = sum(box.fragment(REMOTE, external, 1, first=first, side=Side.OUTSIDE) for first in order)
        passed.append(came)
    evidence = f"Of 2 fragments {passed[0]} came through in order, {passed[1]} with the first one last."
    return met_if(passed == [2, 2], evidence)


@states("REQ-14a", Level.MUST_NOT, "A flood of fragments stops other packets.", Needs.UDP)
def _fragment_flood(probe: Probe) -> Shown:
    box = probe.box()
    external = box.out(HOST, REMOTE)
    assert external is not None
    for ident in range(2000):
        box.fragment(OTHER_REMOTE, external, ident, first=False, side=Side.OUTSIDE)
    whole = box.into(REMOTE, external) == HOST
    parts = sum(
        box.fragment(REMOTE, external, 5000, first=first, side=Side.OUTSIDE) for first in (True, False)
    )
    evidence = f"After 2000 stray fragments a whole packet {'passed' if whole else 'was dropped'}"
    if parts == 0 and probe.box().fragment(HOST, REMOTE, 1, first=True, side=Side.INSIDE) == 0:
        return met_if(whole, f"{evidence}; fragments do not pass at all.")
    return met_if(whole and parts == 2, f"{evidence}, and {parts} of 2 fragments in order.")
