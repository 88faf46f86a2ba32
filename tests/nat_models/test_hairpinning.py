"""RFC 4787 §6: two endpoints behind one box that talk by its external addresses."""

import pytest

from nat_models import Side, model_for
from nat_models.packet import IcmpType, IpProtocol, Packet

A, B = ("10.0.0.2", 5000), ("10.0.0.3", 6000)
STUN = ("198.51.100.1", 3478)


def hairpin(box, sender, target):
    """Return (source, destination) as the receiver inside sees them, or None."""
    outcome = box.handle(Packet(IpProtocol.UDP, sender, target, b"x"), Side.INSIDE)
    if outcome.reason:
        return None
    (emission,) = outcome.packets
    assert emission.side is Side.INSIDE
    return emission.packet.source, emission.packet.destination


def test_without_hairpinning_the_packet_is_dropped_and_nothing_is_mapped(bench):
    box = bench(model_for("eim", "eif"))
    of_b = box.out(B, STUN)
    assert hairpin(box, A, of_b) is None
    assert box.last.reason.startswith("no hairpinning: 203.0.113.1:")
    assert len(box.nat.mappings) == 1


def test_external_source_shows_the_senders_external_endpoint(bench):
    box = bench(model_for("eim", "eif", hairpinning="external-source"))
    of_a, of_b = box.out(A, STUN), box.out(B, STUN)
    assert hairpin(box, A, of_b) == (of_a, B)
    assert hairpin(box, B, of_a) == (of_b, A)


def test_internal_source_shows_the_senders_private_endpoint(bench):
    box = bench(model_for("eim", "eif", hairpinning="internal-source"))
    of_b = box.out(B, STUN)
    assert hairpin(box, A, of_b) == (A, B)


@pytest.mark.parametrize("filtering", ["adf", "apdf"])
def test_the_receivers_filter_applies_until_both_have_sent(bench, filtering):
    box = bench(model_for("eim", filtering, hairpinning="external-source"))
    of_a, of_b = box.out(A, STUN), box.out(B, STUN)
    assert hairpin(box, A, of_b) is None
    assert box.last.reason.startswith("filter: 203.0.113.1")
    assert hairpin(box, B, of_a) == (of_b, A)
    assert hairpin(box, A, of_b) == (of_a, B)


def test_an_endpoint_reaches_its_own_mapping(bench):
    box = bench(model_for("eim", "eif", hairpinning="external-source"))
    of_a = box.out(A, STUN)
    assert hairpin(box, A, of_a) == (of_a, A)


def test_the_box_answers_pings_from_inside_to_its_external_address(bench):
    box = bench(model_for("eim", "eif"))
    outcome = box.echo(("10.0.0.2", 9), ("203.0.113.1", 9), IcmpType.ECHO_REQUEST, Side.INSIDE)
    (emission,) = outcome.packets
    assert (emission.side, emission.packet.icmp.type) == (Side.INSIDE, IcmpType.ECHO_REPLY)
    assert emission.packet.destination == ("10.0.0.2", 9)
