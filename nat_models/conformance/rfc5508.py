"""RFC 5508: ICMP through a NAT.

Checksums (REQ-3) are not modelled; what a NAT may or need not do (REQ-9 to REQ-11) makes no statement.
"""

from __future__ import annotations

from nat_models.conformance.finding import Catalogue, Level, Needs, Shown, met_if, not_applicable
from nat_models.conformance.probe import (
    EXTERNAL,
    HOST,
    OTHER_HOST,
    OTHER_REMOTE,
    REMOTE,
    ROUTER,
    Probe,
    counted,
    in_words,
    longest_idle,
)
from nat_models.conformance.rfc4787 import quoted_source, sent_out
from nat_models.outcome import Side
from nat_models.packet import IcmpMessage, IcmpType, IpProtocol, Packet

RFC5508 = Catalogue("RFC 5508", Needs.QUERIES)
states = RFC5508.states

_REQUEST = IcmpMessage(IcmpType.ECHO_REQUEST)


@states("REQ-1", Level.MUST, "Queries from inside and their answers pass.", Needs.NOTHING)
def _queries(probe: Probe) -> Shown:
    box = probe.box()
    external = box.ping(HOST[0], 7, REMOTE[0])
    if external is None:
        return not_applicable("Local policy lets out no query.")
    answered = box.pong(REMOTE[0], external) == (HOST[0], 7)
    return met_if(answered, f"The answer to an echo request {'came back' if answered else 'was dropped'}.")


@states("REQ-1a", Level.SHOULD, "The mapping of a query identifier does not depend on the destination.")
def _identifier(probe: Probe) -> Shown:
    box = probe.box()
    used = {box.ping(HOST[0], 7, remote[0]) for remote in (REMOTE, OTHER_REMOTE)}
    return met_if(len(used) == 1, f"Queries to two hosts used {counted(len(used), 'external identifier')}.")


@states("REQ-2", Level.MUST_NOT, "A query session expires in less than 60 s.")
def _timer(probe: Probe) -> Shown:
    def alive(seconds: float) -> bool:
        box = probe.box()
        external = box.ping(HOST[0], 7, REMOTE[0])
        box.jump(seconds)
        return external is not None and box.pong(REMOTE[0], external) is not None

    found = longest_idle(alive)
    return met_if(found >= 60, f"A query session lived {in_words(found)}.")


@states(
    "REQ-4", Level.MUST, "An error from outside is put back to what the host sent, or dropped.", Needs.UDP
)
def _error_from_outside(probe: Probe) -> Shown:
    box = probe.box()
    about = sent_out(box)
    stray = about.translated(source=(about.source[0], about.source[1] ^ 1))
    came = box.error(about, ROUTER, about.source[0], Side.OUTSIDE, IcmpType.TIME_EXCEEDED)
    if came is None or came.icmp is None:
        return met_if(False, "An error about a living mapping was dropped.")  # noqa: FBT003
    good = (
        quoted_source(came) == HOST
        and came.icmp.type is IcmpType.TIME_EXCEEDED
        and came.destination[0] == HOST[0]
    )
    dropped = box.error(stray, ROUTER, about.source[0], Side.OUTSIDE) is None
    evidence = f"About a mapping it {'came in restored' if good else 'came in wrong'}"
    return met_if(good, f"{evidence}; about none it {'was dropped' if dropped else 'passed'}.")


@states("REQ-5", Level.MUST, "An error from inside leaves in terms of the mapping, or is dropped.", Needs.UDP)
def _error_from_inside(probe: Probe) -> Shown:
    box = probe.box()
    about = sent_out(box)
    outcome = box.handle(Packet(IpProtocol.UDP, REMOTE, about.source, b"probe"), Side.OUTSIDE)
    seen = outcome.packets[0].packet
    came = box.error(seen, HOST[0], REMOTE[0], Side.INSIDE)
    quoted = None if came is None or came.icmp is None else came.icmp.quoted
    good = quoted is not None and quoted.destination == about.source and came is not None
    good = good and came is not None and came.source[0] == about.source[0]
    return met_if(
        good, f"An error about an inbound packet {'left restored' if good else 'did not leave restored'}."
    )


@states("REQ-6", Level.MUST_NOT, "An error refreshes or ends the session it is about.")
def _error_is_neutral(probe: Probe) -> Shown:
    def alive(seconds: float, *, error: bool) -> bool:
        box = probe.box()
        request = Packet(IpProtocol.ICMP, (HOST[0], 7), (REMOTE[0], 0), icmp=_REQUEST)
        sent = box.handle(request, Side.INSIDE).packets[0].packet
        box.jump(seconds / 2)
        if error:
            box.error(sent, ROUTER, sent.source[0], Side.OUTSIDE)
        box.jump(seconds / 2)
        return box.pong(REMOTE[0], sent.source) is not None

    without = longest_idle(lambda seconds: alive(seconds, error=False))
    with_one = longest_idle(lambda seconds: alive(seconds, error=True))
    evidence = f"A query session lived {in_words(with_one)} with an error, {in_words(without)} without."
    return met_if(abs(without - with_one) < 1, evidence)


@states("REQ-7", Level.MUST, "An error about a hairpinned packet reaches its sender.", Needs.UDP_TRANSLATION)
def _hairpinned_error(probe: Probe) -> Shown:
    box = probe.box()
    neighbour = (OTHER_HOST[0], 6000)
    sender, receiver = box.out(HOST, REMOTE), box.out(neighbour, REMOTE)
    assert sender is not None
    assert receiver is not None
    box.out(neighbour, sender)
    outcome = box.handle(Packet(IpProtocol.UDP, HOST, receiver, b"probe"), Side.INSIDE)
    if outcome.reason:
        return not_applicable("No hairpinned packet arrived.")
    seen = outcome.packets[0].packet
    if seen.source == HOST:
        return not_applicable("The receiver knows the sender's own address, and reports to it past the box.")
    came = box.error(seen, neighbour[0], seen.source[0], Side.INSIDE)
    good = came is not None and came.destination[0] == HOST[0] and quoted_source(came) == HOST
    return met_if(good, f"The error {'reached the sender' if good else 'did not reach the sender'} restored.")


@states(
    "REQ-8",
    Level.SHOULD,
    "A host for which no mapping can be made is told so by ICMP.",
    Needs.UDP_TRANSLATION,
)
def _refusal(probe: Probe) -> Shown:
    box = probe.box(ports=probe.reconfigured("ports", first=40000, last=40001, parity=False, block_size=1))
    for n in range(2, 6):
        outcome = box.handle(Packet(IpProtocol.UDP, (f"10.0.0.{n}", 7000 + n), REMOTE, b"probe"), Side.INSIDE)
    answers = [e.packet.icmp.type for e in outcome.packets if e.packet.icmp is not None]
    if not outcome.reason:
        return not_applicable(f"With two ports left on {EXTERNAL} four hosts were served.")
    told = IcmpType.ADMINISTRATIVELY_PROHIBITED in answers
    return met_if(told, f"With all ports in use a host was {'told' if told else 'not told'}.")
