"""RFC 5382 REQ-1 to REQ-10: TCP, and what RFC 7857 adds on resets."""

from __future__ import annotations

from nat_models.conformance.finding import Catalogue, Level, Needs, Shown, Verdict, met_if, not_applicable
from nat_models.conformance.probe import (
    EXTERNAL,
    HOST,
    OTHER_HOST,
    OTHER_WEB,
    ROUTER,
    WEB,
    Box,
    Probe,
    counted,
    in_words,
    longest_idle,
)
from nat_models.conformance.rfc4787 import quoted_source
from nat_models.outcome import Side
from nat_models.packet import IcmpType, IpProtocol, Packet, TcpFlag, TcpHeader, TransportAddress

RFC5382 = Catalogue("RFC 5382", Needs.TCP_TRANSLATION)
RFC7857 = Catalogue("RFC 7857", Needs.TCP)
states = RFC5382.states

SYN, ACK, FIN, RST = TcpFlag.SYN, TcpFlag.ACK, TcpFlag.FIN, TcpFlag.RST
SILENCE = 6.0


@states("REQ-1", Level.MUST, "The mapping of an internal endpoint does not depend on the destination.")
def _mapping(probe: Probe) -> Shown:
    box = probe.box()
    used = {box.connect(HOST, WEB), box.connect(HOST, OTHER_WEB)}
    return met_if(
        len(used) == 1, f"Connections to two servers used {counted(len(used), 'external endpoint')}."
    )


@states(
    "REQ-2",
    Level.MUST,
    "Every valid sequence of segments passes, from whichever side it may begin.",
    Needs.TCP,
)
def _sequences(probe: Probe) -> Shown:
    box = probe.box()
    external = box.connect(HOST, WEB)
    if external is None:
        return Shown(Verdict.VIOLATED, "A three-way handshake did not pass.")
    half_close = (
        box.tcp_out(HOST, WEB, FIN | ACK),
        box.tcp_in(WEB, external, ACK),
        box.tcp_in(WEB, external, ACK),
        box.tcp_out(HOST, WEB, ACK),
        box.tcp_in(WEB, external, FIN | ACK),
        box.tcp_out(HOST, WEB, ACK),
    )
    again = box.connect(HOST, WEB)
    good = None not in half_close and again is not None
    return met_if(good, f"Handshake, half-close and reconnection {'passed' if good else 'did not all pass'}.")


@states("REQ-2 inbound", Level.MUST, "A connection that the filter admits may begin outside.")
def _inbound(probe: Probe) -> Shown:
    box = probe.box()
    external = box.connect(HOST, WEB)
    assert external is not None
    caller = (WEB[0], 9999)
    if box.tcp_in(caller, external, SYN) is None:
        caller = OTHER_WEB
        if box.tcp_in(caller, external, SYN) is None:
            return not_applicable("The filter admits no connection from a server not called before.")
    seen = box.tcp_out(HOST, caller, SYN | ACK)
    good = seen == external and box.tcp_in(caller, external, ACK) == HOST
    return met_if(good, f"A connection from outside {'was completed' if good else 'broke'}.")


@states("REQ-2a", Level.MUST, "Simultaneous open passes.", Needs.TCP)
def _simultaneous(probe: Probe) -> Shown:
    box = probe.box()
    external = box.tcp_out(HOST, WEB, SYN)
    assert external is not None
    crossed = box.tcp_in(WEB, external, SYN)
    answers = box.tcp_out(HOST, WEB, SYN | ACK), box.tcp_in(WEB, external, SYN | ACK)
    good = crossed == HOST and None not in answers
    return met_if(good, f"Two SYNs that crossed {'made a connection' if good else 'did not'}.")


@states(
    "REQ-3",
    Level.RECOMMENDED,
    "Filtering is endpoint-independent, or address-dependent where strict.",
    Needs.TCP,
)
def _filtering(probe: Probe) -> Shown:
    found = "address- and port-dependent"
    for caller, what in (((WEB[0], 9999), "address-dependent"), (OTHER_WEB, "endpoint-independent")):
        box = probe.box()
        external = box.connect(HOST, WEB)
        if external is not None and box.tcp_in(caller, external, SYN) == HOST:
            found = what
    return met_if(found != "address- and port-dependent", f"Strangers met {found} filtering.")


@states(
    "REQ-4", Level.MUST_NOT, "An unsolicited SYN is answered within six seconds, or after one crossed it."
)
def _syn(probe: Probe) -> Shown:
    box, crossing = probe.box(), probe.box()
    at_once = _call(box) + box.wait(SILENCE - 0.01)
    _call(crossing)
    crossing.wait(1)
    external = crossing.tcp_out(HOST, OTHER_WEB, SYN)
    later = crossing.wait(20)
    kept_port = external == (EXTERNAL, HOST[1])
    evidence = f"{counted(len(at_once), 'answer')} came within 6 s"
    if not kept_port:
        return met_if(not at_once, f"{evidence}; an outbound SYN took another port, so none could cross.")
    return met_if(
        not at_once and not later, f"{evidence}, {len(later)} after an outbound SYN had crossed it."
    )


@states("REQ-4a", Level.SHOULD, "After that it is answered with ICMP port unreachable, or silently dropped.")
def _syn_answer(probe: Probe) -> Shown:
    box = probe.box()
    answers = _call(box) + box.wait(20)
    if not answers:
        return Shown(Verdict.MET, "It was dropped in silence, as a security policy demands.")
    kinds = {a.icmp.type.value if a.icmp is not None else "a reset" for a in answers}
    return met_if(
        kinds == {IcmpType.PORT_UNREACHABLE.value}, f"It was answered with {', '.join(sorted(kinds))}."
    )


def _call(box: Box) -> tuple[Packet, ...]:
    outcome = box.segment(OTHER_WEB, (EXTERNAL, HOST[1]), SYN, Side.OUTSIDE)
    return tuple(emission.packet for emission in outcome.packets)


@states("REQ-5", Level.MUST_NOT, "An established connection is given up in less than 2 h 4 min.", Needs.TCP)
def _established(probe: Probe) -> Shown:
    def alive(seconds: float) -> bool:
        box = probe.box()
        external = box.connect(HOST, WEB)
        box.jump(seconds)
        return external is not None and box.tcp_in(WEB, external, ACK) == HOST

    found = longest_idle(alive)
    return met_if(found >= 7440, f"An established connection lived {in_words(found)}.")


@states(
    "REQ-5 transitory", Level.MUST_NOT, "One that opens or closes is given up in less than 4 min.", Needs.TCP
)
def _transitory(probe: Probe) -> Shown:
    def opening(seconds: float) -> bool:
        box = probe.box()
        external = box.tcp_out(HOST, WEB, SYN)
        box.jump(seconds)
        return external is not None and box.tcp_in(WEB, external, SYN | ACK) == HOST

    def closing(seconds: float) -> bool:
        box = probe.box()
        external = box.connect(HOST, WEB)
        assert external is not None
        box.tcp_out(HOST, WEB, FIN | ACK)
        box.tcp_in(WEB, external, FIN | ACK)
        box.jump(seconds)
        return box.tcp_in(WEB, external, ACK) == HOST

    first, last = longest_idle(opening), longest_idle(closing)
    evidence = f"It lived {in_words(first)} while opening, {in_words(last)} while closing."
    return met_if(min(first, last) >= 240, evidence)


@states(
    "REQ-6",
    Level.RECOMMENDED,
    "No application gateway but FTP's rewrites TCP payloads by default.",
    Needs.TCP,
)
def _no_alg(probe: Probe) -> Shown:
    box = probe.box()
    box.connect(HOST, WEB)
    text = f"INVITE sip:x SIP/2.0\r\nContact: <sip:a@{HOST[0]}>\r\n\r\n".encode()
    outcome = box.segment(HOST, WEB, ACK, Side.INSIDE, text)
    same = bool(outcome.packets) and outcome.packets[0].packet.payload == text
    return met_if(same, f"A SIP message with a private Contact left {'unchanged' if same else 'changed'}.")


@states("REQ-7", Level.MUST_NOT, "Two internal endpoints share an external port.")
def _overloading(probe: Probe) -> Shown:
    box = probe.box()
    used = [box.tcp_out((f"10.0.0.{n}", 5000), (f"198.51.100.{n}", 443), SYN) for n in range(2, 22)]
    return met_if(
        len(set(used)) == len(used), f"20 hosts with one source port got {counted(len(set(used)), 'port')}."
    )


def _hairpin_syn(probe: Probe) -> tuple[TransportAddress | None, str]:
    """Return the source that a neighbour saw in a SYN, or None and why; tried again with an open filter."""
    reason = ""
    for opened in (False, True):
        box = probe.box()
        neighbour = (OTHER_HOST[0], 6000)
        sender, receiver = box.connect(HOST, WEB), box.connect(neighbour, WEB)
        assert sender is not None
        assert receiver is not None
        if opened:
            box.segment(neighbour, sender, SYN, Side.INSIDE)
        outcome = box.segment(HOST, receiver, SYN, Side.INSIDE)
        if not outcome.reason:
            return outcome.packets[0].packet.source, ""
        reason = outcome.reason
    return None, reason


@states("REQ-8", Level.MUST, "Two inside hosts connect by their external endpoints.")
def _hairpin(probe: Probe) -> Shown:
    seen, reason = _hairpin_syn(probe)
    return met_if(seen is not None, f"A hairpinned SYN {'arrived' if seen else f'was dropped: {reason}'}.")


@states("REQ-8a", Level.MUST, "A hairpinned segment shows the sender's external endpoint.")
def _hairpin_source(probe: Probe) -> Shown:
    seen, _ = _hairpin_syn(probe)
    if seen is None:
        return not_applicable("No hairpinned SYN arrived.")
    return met_if(seen[0] == EXTERNAL, f"The receiver saw {seen[0]} as source.")


def _syn_sent(box: Box) -> Packet:
    packet = Packet(IpProtocol.TCP, HOST, WEB, tcp=TcpHeader(SYN, 1, 0))
    return box.handle(packet, Side.INSIDE).packets[0].packet


@states("REQ-9", Level.SHOULD, "ICMP destination unreachable is translated.", Needs.TCP)
def _unreachable(probe: Probe) -> Shown:
    box = probe.box()
    about = _syn_sent(box)
    came = box.error(about, ROUTER, about.source[0], Side.OUTSIDE, IcmpType.HOST_UNREACHABLE)
    good = came is not None and quoted_source(came) == HOST
    return met_if(good, f"Host unreachable {'came in about the SYN as sent' if good else 'did not come in'}.")


@states("REQ-10", Level.MUST_NOT, "An ICMP message ends a mapping or connection.", Needs.TCP)
def _icmp_ends_nothing(probe: Probe) -> Shown:
    box = probe.box()
    about = _syn_sent(box)
    for kind in (IcmpType.PORT_UNREACHABLE, IcmpType.HOST_UNREACHABLE, IcmpType.TIME_EXCEEDED):
        box.error(about, WEB[0], about.source[0], Side.OUTSIDE, kind)
    alive = box.tcp_in(WEB, about.source, SYN | ACK) == HOST
    return met_if(
        alive, f"After three kinds of ICMP error the handshake {'went on' if alive else 'was stuck'}."
    )


@RFC7857.states("TCP RST", Level.SHOULD, "A session outlives a reset by 4 min, for it may be forged.")
def _reset(probe: Probe) -> Shown:
    def alive(seconds: float) -> bool:
        box = probe.box()
        external = box.connect(HOST, WEB)
        assert external is not None
        box.tcp_in(WEB, external, RST)
        box.jump(seconds)
        return box.tcp_in(WEB, external, ACK) == HOST

    found = longest_idle(alive)
    return met_if(found >= 240, f"After a reset the session lived {in_words(found)}.")


@RFC7857.states(
    "EIF refresh", Level.SHOULD_NOT, "Strangers keep an endpoint-independent mapping alive.", Needs.UDP
)
def _stranger_refresh(probe: Probe) -> Shown:
    server, stranger = ("198.51.100.7", 3478), ("198.51.100.8", 3478)
    box = probe.box()
    external = box.out(HOST, server)
    assert external is not None
    if box.into(stranger, external) is None:
        return not_applicable("The filter admits no stranger.")

    def alive(seconds: float, *, kept: bool) -> bool:
        box = probe.box()
        external = box.out(HOST, server)
        assert external is not None
        if kept:
            box.jump(seconds * 0.6)
            box.into(stranger, external)
            box.jump(seconds * 0.6)
        else:
            box.jump(seconds)
        return box.into(server, external) == HOST

    lifetime = longest_idle(lambda seconds: alive(seconds, kept=False))
    refreshed = alive(lifetime, kept=True)
    return met_if(
        not refreshed, f"A stranger's packet {'kept' if refreshed else 'did not keep'} the mapping alive."
    )
