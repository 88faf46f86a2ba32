"""RFC 4787 §11: fragments in any order, within a bounded memory."""

from nat_models import Side

HOST, R1, R2 = ("10.0.0.2", 5000), ("198.51.100.7", 3478), ("198.51.100.8", 3478)
OUT, IN = Side.INSIDE, Side.OUTSIDE
MORE, LAST = True, False


def later(address):
    """A fragment that is not the first carries no port."""
    return (address[0], 0)


def addresses(outcome):
    return [(e.packet.source, e.packet.destination, e.packet.fragment.offset) for e in outcome.packets]


def test_fragments_in_order_are_translated_alike_in_both_directions(bench):
    box = bench("port-restricted")
    first = box.fragment(HOST, R1, 0, MORE, OUT)
    external = first.packets[0].packet.source
    assert addresses(box.fragment(later(HOST), later(R1), 8, LAST, OUT)) == [(later(external), later(R1), 8)]
    assert addresses(box.fragment(R1, external, 0, MORE, IN)) == [(R1, HOST, 0)]
    assert addresses(box.fragment(later(R1), later(external), 8, LAST, IN)) == [(later(R1), later(HOST), 8)]


def test_fragments_that_come_before_the_first_wait_for_it_and_follow_it(bench):
    box = bench("port-restricted")
    external = box.out(HOST, R1)
    for offset, more in ((16, False), (8, True)):
        outcome = box.fragment(later(R1), later(external), offset, more, IN)
        assert outcome.packets == ()
        assert outcome.reason == "held: the first fragment has not come yet"
    outcome = box.fragment(R1, external, 0, MORE, IN)
    assert addresses(outcome) == [(R1, HOST, 0), (later(R1), later(HOST), 16), (later(R1), later(HOST), 8)]
    assert [e.packet.packet_id for e in outcome.packets] == [4, 2, 3]


def test_fragments_of_different_packets_are_not_mixed(bench):
    box = bench("port-restricted")
    external = box.out(HOST, R1)
    box.fragment(later(R1), later(external), 8, LAST, IN, ident=1)
    assert len(box.fragment(R1, external, 0, MORE, IN, ident=2).packets) == 1
    assert len(box.fragment(R1, external, 0, MORE, IN, ident=1).packets) == 2


def test_what_follows_a_dropped_first_fragment_is_dropped(bench):
    box = bench("port-restricted")
    external = box.out(HOST, R1)
    box.fragment(later(R2), later(external), 8, MORE, IN)
    refused = box.fragment(R2, external, 0, MORE, IN)
    assert (refused.packets, refused.reason[:7]) == ((), "filter:")
    outcome = box.fragment(later(R2), later(external), 16, LAST, IN)
    assert outcome.packets == ()
    assert outcome.reason.startswith("the first fragment was dropped: filter:")
    assert box.nat.next_wake() == 300


def test_memory_for_waiting_fragments_is_bounded_and_does_not_stop_other_packets(bench):
    """RFC 4787 REQ-14a."""
    box = bench("port-restricted", fragment_memory=4)
    external = box.out(HOST, R1)
    for ident in range(10):
        box.fragment(later(R2), later(external), 8, LAST, IN, ident=ident)
    assert box.last.reason == "4 fragments already wait for their first one"
    assert box.into(R1, external) == HOST
    assert len(box.fragment(R1, external, 0, MORE, IN, ident=99).packets) == 1


def test_waiting_fragments_are_given_up_after_a_while(bench):
    box = bench("port-restricted")
    external = box.out(HOST, R1)
    box.fragment(later(R1), later(external), 8, LAST, IN)
    assert box.nat.next_wake() == 30
    box.wait(30)
    assert box.nat.wake(box.now).reason == "1 fragments given up: the first one never came"
    assert len(box.fragment(R1, external, 0, MORE, IN).packets) == 1


def test_first_fragments_are_forgotten_after_a_while(bench):
    box = bench("port-restricted")
    box.fragment(HOST, R1, 0, MORE, OUT)
    box.wait(30)
    assert box.fragment(later(HOST), later(R1), 8, LAST, OUT).reason.startswith("held:")


def test_a_reused_identification_does_not_keep_others_from_being_forgotten(bench):
    box = bench("port-restricted")
    for ident in (1, 2):
        box.fragment(HOST, R1, 0, MORE, OUT, ident=ident)
    box.wait(20)
    box.fragment(HOST, R1, 0, MORE, OUT, ident=1)
    box.wait(11)
    assert box.fragment(later(HOST), later(R1), 8, LAST, OUT, ident=2).reason.startswith("held:")
    assert box.fragment(later(HOST), later(R1), 8, LAST, OUT, ident=1).reason == ""


def test_fragments_hairpin(bench):
    box = bench("full-cone", hairpinning="external-source")
    other = ("10.0.0.3", 6000)
    of_host, of_other = box.out(HOST, R1), box.out(other, R1)
    box.fragment(later(HOST), later(of_other), 8, LAST, OUT)
    outcome = box.fragment(HOST, of_other, 0, MORE, OUT)
    assert addresses(outcome) == [(of_host, other, 0), (later(of_host), later(other), 8)]
    assert {e.side for e in outcome.packets} == {Side.INSIDE}


def test_a_box_may_drop_all_fragments(bench):
    box = bench("port-restricted", fragments=False)
    assert box.fragment(HOST, R1, 0, MORE, OUT).reason == "fragments are not forwarded"


def test_a_box_that_does_nothing_passes_them_as_they_come(bench):
    box = bench("none")
    assert len(box.fragment(later(HOST), later(R1), 8, LAST, OUT).packets) == 1


def test_verdicts_are_bounded(bench):
    box = bench("port-restricted")
    for ident in range(1100):
        box.fragment(HOST, R1, 0, MORE, OUT, ident=ident)
    assert box.fragment(later(HOST), later(R1), 8, LAST, OUT, ident=0).reason.startswith("held:")
    assert len(box.fragment(later(HOST), later(R1), 8, LAST, OUT, ident=1099).packets) == 1
