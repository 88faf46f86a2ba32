"""RFC 5508: echo by identifier, errors by the packet they quote."""

import pytest

from nat_models import Side, model_for
from nat_models.packet import IcmpType, IpProtocol, Packet, TcpFlag, TcpHeader

HOST, R1, R2 = ("10.0.0.2", 5000), ("198.51.100.7", 3478), ("198.51.100.8", 3478)
ROUTER = "192.0.2.254"
REQUEST, REPLY = IcmpType.ECHO_REQUEST, IcmpType.ECHO_REPLY
OUT, IN = Side.INSIDE, Side.OUTSIDE


def ping(box, host, ident, remote):
    """Send an echo request; return the external address and identifier."""
    outcome = box.echo((host, ident), (remote, 0), REQUEST, OUT)
    return None if outcome.reason else outcome.packets[0].packet.source


def pong(box, remote, external):
    outcome = box.echo((remote, 0), external, REPLY, IN)
    return None if outcome.reason else outcome.packets[0].packet.destination


def test_two_hosts_with_one_identifier_each_get_their_reply(bench):
    box = bench("port-restricted")
    one, other = ping(box, "10.0.0.2", 7, R1[0]), ping(box, "10.0.0.3", 7, R1[0])
    assert one != other
    assert pong(box, R1[0], one) == ("10.0.0.2", 7)
    assert pong(box, R1[0], other) == ("10.0.0.3", 7)


@pytest.mark.parametrize(("filtering", "admitted"), [("eif", ("10.0.0.2", 7)), ("adf", None), ("apdf", None)])
def test_queries_are_filtered_by_address_alone(bench, filtering, admitted):
    box = bench(model_for("eim", filtering))
    external = ping(box, "10.0.0.2", 7, R1[0])
    assert pong(box, R1[0], external) == ("10.0.0.2", 7)
    assert pong(box, R2[0], external) == admitted


@pytest.mark.parametrize(("mapping", "same"), [("eim", True), ("adm", False), ("apdm", False)])
def test_queries_are_mapped_by_address_alone(bench, mapping, same):
    box = bench(model_for(mapping, "eif"))
    first = ping(box, "10.0.0.2", 7, R1[0])
    assert (ping(box, "10.0.0.2", 7, R2[0]) == first) is same
    assert ping(box, "10.0.0.2", 7, R1[0]) == first


def test_a_query_mapping_lives_for_its_own_timer(bench):
    box = bench("port-restricted", lifetimes={"icmp": "60s"})
    external = ping(box, "10.0.0.2", 7, R1[0])
    box.wait(59)
    assert pong(box, R1[0], external) == ("10.0.0.2", 7)
    box.wait(1)
    assert pong(box, R1[0], external) is None


def test_a_further_query_keeps_the_mapping(bench):
    box = bench("port-restricted", lifetimes={"icmp": "60s"})
    external = ping(box, "10.0.0.2", 7, R1[0])
    box.wait(40)
    assert ping(box, "10.0.0.2", 7, R1[0]) == external
    box.wait(40)
    assert pong(box, R1[0], external) == ("10.0.0.2", 7)


def test_pings_from_outside_and_replies_to_nobody_are_dropped(bench):
    box = bench("full-cone")
    assert box.echo((R1[0], 7), ("203.0.113.1", 0), REQUEST, IN).reason == "echo request to the box itself"
    assert (
        box.echo(("10.0.0.2", 0), (R1[0], 7), REPLY, OUT).reason == "echo reply to no query of 198.51.100.7"
    )


def outside_packet(box):
    """Return the packet as it left the box last."""
    return box.last.packets[0].packet


@pytest.mark.parametrize("mapping", ["eim", "adm", "apdm"])
@pytest.mark.parametrize("reporter", [R1[0], ROUTER])
def test_an_error_comes_back_to_the_host_about_the_packet_it_sent(bench, mapping, reporter):
    """RFC 5508 REQ-4: the quotation is put back, type and code stay; any router may report."""
    box = bench(model_for(mapping, "apdf"))
    box.out(HOST, R1)
    outcome = box.error(reporter, "203.0.113.1", outside_packet(box), IN, IcmpType.FRAGMENTATION_NEEDED)
    (emission,) = outcome.packets
    assert emission.side is Side.INSIDE
    assert (emission.packet.source[0], emission.packet.destination[0]) == (reporter, HOST[0])
    assert emission.packet.icmp.type is IcmpType.FRAGMENTATION_NEEDED
    assert (emission.packet.icmp.quoted.source, emission.packet.icmp.quoted.destination) == (HOST, R1)


@pytest.mark.parametrize("flags", [TcpFlag.SYN])
def test_errors_about_tcp_and_echo_come_back_too(bench, flags):
    box = bench("port-restricted")
    box.segment(HOST, R1, flags, OUT)
    outcome = box.error(ROUTER, "203.0.113.1", outside_packet(box), IN)
    assert outcome.packets[0].packet.icmp.quoted.source == HOST
    ping(box, "10.0.0.2", 7, R1[0])
    outcome = box.error(ROUTER, "203.0.113.1", outside_packet(box), IN, IcmpType.TIME_EXCEEDED)
    assert outcome.packets[0].packet.icmp.quoted.source == ("10.0.0.2", 7)


def test_an_error_neither_ends_nor_refreshes_a_mapping(bench):
    """RFC 4787 REQ-12, RFC 5382 REQ-10, RFC 5508 REQ-6."""
    box = bench("port-restricted", lifetimes={"udp": "60s"})
    external = box.out(HOST, R1)
    sent = outside_packet(box)
    box.wait(30)
    assert box.error(R1[0], "203.0.113.1", sent, IN).reason == ""
    assert box.into(R1, external) == HOST
    box.wait(30)
    assert box.into(R1, external) is None


def test_an_error_about_no_mapping_is_dropped(bench):
    box = bench("port-restricted")
    about = Packet(IpProtocol.UDP, ("203.0.113.1", 5000), R1, b"x")
    outcome = box.error(ROUTER, "203.0.113.1", about, IN)
    assert outcome.packets == ()
    assert outcome.reason.startswith(
        "ICMP error about a packet that left by no mapping: UDP 203.0.113.1:5000"
    )


@pytest.mark.parametrize("reuse", ["off", "inbound-first"])
@pytest.mark.parametrize("mapping", ["eim", "apdm"])
def test_an_error_from_inside_leaves_about_the_packet_that_came(bench, mapping, reuse):
    """RFC 5508 REQ-5: to the outside, box and host are one address."""
    box = bench(model_for(mapping, "eif", reply_reuse=reuse))
    external = box.out(HOST, R1)
    box.into(R2, external)
    outcome = box.error(HOST[0], R2[0], box.last.packets[0].packet, OUT)
    (emission,) = outcome.packets
    assert emission.side is Side.OUTSIDE
    assert (emission.packet.source[0], emission.packet.destination[0]) == ("203.0.113.1", R2[0])
    assert (emission.packet.icmp.quoted.source, emission.packet.icmp.quoted.destination) == (R2, external)


def test_an_error_from_inside_about_a_packet_that_never_came_is_dropped(bench):
    box = bench("full-cone")
    about = Packet(IpProtocol.UDP, R1, HOST, b"x")
    assert box.error(HOST[0], R1[0], about, OUT).reason.startswith(
        "ICMP error about a packet that came in by no"
    )


def test_an_error_about_a_hairpinned_packet_goes_back_to_its_sender(bench):
    """RFC 5508 REQ-7: both ends of the quotation are translated, one after the other."""
    box = bench("full-cone", hairpinning="external-source")
    sender, receiver = HOST, ("10.0.0.3", 6000)
    of_sender, of_receiver = box.out(sender, R1), box.out(receiver, R1)
    seen = box.handle(Packet(IpProtocol.UDP, sender, of_receiver, b"x"), OUT).packets[0].packet
    assert (seen.source, seen.destination) == (of_sender, receiver)
    (emission,) = box.error(receiver[0], of_sender[0], seen, OUT).packets
    assert emission.side is Side.INSIDE
    assert emission.packet.destination[0] == sender[0]
    assert (emission.packet.icmp.quoted.source, emission.packet.icmp.quoted.destination) == (
        sender,
        of_receiver,
    )


def test_a_box_may_pass_no_errors_at_all(bench):
    box = bench("port-restricted", icmp_errors=False)
    box.out(HOST, R1)
    assert box.error(ROUTER, "203.0.113.1", outside_packet(box), IN).reason == "ICMP errors are not passed"


def test_errors_about_tcp_do_not_end_the_session(bench):
    box = bench("port-restricted")
    box.segment(HOST, R1, TcpFlag.SYN, OUT)
    sent = outside_packet(box)
    box.error(R1[0], "203.0.113.1", sent, IN)
    answer = Packet(IpProtocol.TCP, R1, sent.source, tcp=TcpHeader(TcpFlag.SYN | TcpFlag.ACK, 1, 1))
    assert box.handle(answer, IN).packets[0].packet.destination == HOST


def test_a_box_may_answer_strays_with_port_unreachable(bench):
    box = bench("port-restricted", unsolicited="icmp-unreachable")
    assert box.into(R1, ("203.0.113.1", 40001)) is None
    (emission,) = box.last.packets
    assert box.last.reason == "no mapping on port 40001"
    assert emission.side is Side.OUTSIDE
    assert emission.packet.icmp.type is IcmpType.PORT_UNREACHABLE
    assert (emission.packet.source[0], emission.packet.destination[0]) == ("203.0.113.1", R1[0])
    assert emission.packet.cause_id == box.serial


def test_no_error_is_sent_about_an_error(bench):
    """RFC 1122 §3.2.2."""
    box = bench("port-restricted", unsolicited="icmp-unreachable")
    about = Packet(IpProtocol.UDP, ("203.0.113.1", 5000), R1, b"x")
    assert box.error(ROUTER, "203.0.113.1", about, IN).packets == ()
