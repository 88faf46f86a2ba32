"""Ladders: NAT boxes are columns, drops are broken arrows, and no packet is forgotten."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import UsageError
from lab.measure.trace import PacketDrop, PacketKind, PacketStep, PacketTrace
from lab.report.ladder import Selection, ladder_of
from lab.report.ladder_text import ladder_text
from lab.spec.find import load_topology

GOLDEN = Path(__file__).with_name("ladder_symmetric_port_restricted.txt")
CHECKS = Selection(only=[PacketKind.STUN])
NETWORK = load_topology("two_homes", {})
ROUTE = ["alice", "alice-nat", "internet", "bob-nat", "bob"]


def drawn(text: str) -> int:
    """Return how many packets a ladder says that it shows: each label, times its count."""
    labels = re.findall(r"^ +\d+\.\d{6} .*?#\d+(?: ×(\d+))?", text, re.MULTILINE)
    return sum(int(count or 1) for count in labels)


def test_a_call_between_a_symmetric_and_a_port_restricted_nat_looks_as_it_did(relayed_call):
    """If packets were meant to change, write what this test got to the file, and read it first."""
    text = ladder_text(ladder_of(relayed_call.trace, "symmetric × port-restricted", CHECKS)) + "\n"
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_the_arrow_of_a_filtered_check_breaks_at_the_box_with_packet_id_and_reason(relayed_call):
    lines = ladder_text(ladder_of(relayed_call.trace, "", CHECKS)).splitlines()
    names = lines[0]
    at = next(i for i, line in enumerate(lines) if "dropped at bob-nat: filter:" in line)
    packet = re.search(r"✗ (#\d+) dropped", lines[at])[1]
    label = next(i for i in range(at, 0, -1) if re.match(r" +\d", lines[i]))
    arrow = lines[label + 1]
    assert packet in lines[label]
    assert "192.168.1.10" in lines[label], "alice sent it"
    assert arrow.index("◆") in range(names.index("alice-nat"), names.index("alice-nat") + len("alice-nat"))
    assert arrow.index("─✗") + 1 in range(names.index("bob-nat"), names.index("bob-nat") + len("bob-nat"))
    assert "from 203.0.113.10:" in lines[label + 2], "the box's own address stands at the box"


def test_what_the_relay_refuses_to_pass_on_ends_at_the_relay(relayed_call):
    text = ladder_text(ladder_of(relayed_call.trace))
    assert "dropped at relay: no permission for this peer" in text


def test_columns_are_in_the_order_of_the_path_and_routers_only_on_request(relayed_call):
    everybody = ("alice", "alice-nat", "relay", "rendezvous", "bob-nat", "bob")
    assert ladder_of(relayed_call.trace).columns == everybody
    assert "internet" in ladder_of(relayed_call.trace, "", Selection(routers=True)).columns


def test_only_some_kinds_leave_out_columns_that_take_no_part(relayed_call):
    ladder = ladder_of(relayed_call.trace, "", Selection(only=[PacketKind.MEDIA]))
    assert "rendezvous" not in ladder.columns
    assert {rung.kind for rung in ladder.rungs} <= {PacketKind.TURN, PacketKind.MEDIA}


def test_media_of_one_stream_are_one_rung_with_their_number(relayed_call):
    ladder = ladder_of(relayed_call.trace, "", Selection(only=[PacketKind.MEDIA]))
    assert [len(rung.packets) for rung in ladder.rungs] == [5, 5, 5, 5]
    assert "×5" in ladder.rungs[0].label


def test_every_packet_of_a_real_call_is_drawn_or_counted(relayed_call):
    trace = relayed_call.trace
    for selection in (Selection(), Selection(routers=True)):
        ladder = ladder_of(trace, "", selection)
        shown = [packet for rung in ladder.rungs for packet in rung.packets]
        assert set(shown) == {step.packet_id for step in trace.steps}
        assert drawn(ladder_text(ladder)) == len(shown)


@pytest.mark.parametrize("width", [61, 70, 80, 97, 120, 160, 240])
def test_no_line_is_longer_than_asked_for(relayed_call, width):
    ladder = ladder_of(relayed_call.trace, "a title of a trial " * 12)
    text = ladder_text(ladder, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert drawn(text) == sum(len(rung.packets) for rung in ladder.rungs)


def test_a_page_too_narrow_for_its_columns_is_refused_with_the_least_width(relayed_call):
    with pytest.raises(UsageError, match="61 or more"):
        ladder_text(ladder_of(relayed_call.trace), width=60)


def test_pauses_are_shown_by_their_length():
    sent = [(1, 0.0, "one"), (2, 0.49, "two")]
    steps = [
        step(packet, time, node=node, exchange=exchange)
        for packet, time, exchange in sent
        for node in ("alice", "alice-nat")
    ]
    text = ladder_text(ladder_of(PacketTrace(network=NETWORK, steps=steps, drops=[])))
    assert "… 490 ms …" in text


def test_a_retransmission_with_another_fate_is_drawn_for_itself():
    """Sent three times: filtered twice, then let through. Two rungs: ×2 that broke, one that arrived."""
    steps, drops = [], []
    for packet, time in ((1, 0.0), (2, 0.5), (3, 1.5)):
        steps += [step(packet, time), step(packet, time, node="alice-nat")]
        if packet < 3:
            drops.append(PacketDrop(time=time, where="alice-nat", packet_id=packet, reason="filter"))
    ladder = ladder_of(PacketTrace(network=NETWORK, steps=steps, drops=drops))
    assert [(rung.packets, bool(rung.reason)) for rung in ladder.rungs] == [([1, 2], True), ([3], False)]


def step(packet: int, time: float, node: str = "alice", exchange: str = "x", **changes) -> PacketStep:
    values = {
        "time": time, "node": node, "link": "alice-home", "outbound": node == "alice", "packet_id": packet,
        "cause_id": 0, "source": "a:1", "destination": "b:2", "kinds": (PacketKind.STUN,),
        "words": "Binding request", "exchange": exchange,
    }  # fmt: skip
    return PacketStep(**values | changes)


@pytest.mark.parametrize(
    ("way", "place"),
    [(["alice-nat", "internet"], 1.25), (["internet", "alice-nat"], 1.25), (["alice", "alice-nat"], 0.5)],
    ids=str,
)
def test_a_packet_lost_on_a_link_ends_between_its_two_nodes(way, place):
    """Where the router has no column it stands half way to the next one, and its links are half as long."""
    link = "alice-access" if "internet" in way else "alice-home"
    lost = PacketDrop(
        time=0.0, where=f"{link} from {way[0]}", packet_id=1, reason=f"lost on {link} from {way[0]}"
    )
    steps = [step(1, 0.0, node=way[0], outbound=True, link=link)]
    steps += [step(2, 0.0, node=name, outbound=False) for name in ROUTE]
    (rung, *_) = ladder_of(PacketTrace(network=NETWORK, steps=steps, drops=[lost])).rungs
    assert rung.legs[-1].end == place
    assert rung.reason == lost.reason, "a reason that says where is not told twice"


@st.composite
def traces(draw) -> PacketTrace:
    """Packets that go some way between the homes, are rewritten by chance, and end somewhere by chance."""
    steps, drops = [], []
    for packet in range(1, draw(st.integers(1, 12)) + 1):
        route = draw(st.sampled_from([ROUTE, ROUTE[::-1], ["alice", "alice-nat", "internet", "relay"]]))
        length = draw(st.integers(1, len(route)))
        time = draw(st.floats(0, 4))
        exchange = draw(st.sampled_from(["", "one", "two"]))
        source = 1
        for number, node in enumerate(route[:length]):
            shared = {"packet": packet, "time": time, "node": node, "exchange": exchange}
            if number:
                steps.append(step(**shared, outbound=False, source=f"a:{source}"))
            source += draw(st.integers(0, 1))
            if number < length - 1 or length == 1:
                steps.append(step(**shared, outbound=True, source=f"a:{source}"))
        if draw(st.booleans()):
            drops.append(PacketDrop(time=time, where=route[length - 1], packet_id=packet, reason="lost"))
    return PacketTrace(network=NETWORK, steps=sorted(steps, key=lambda s: s.time), drops=drops)


@given(traces(), st.booleans(), st.integers(70, 200))
def test_whatever_packets_do_each_is_drawn_or_counted(trace, routers, width):
    ladder = ladder_of(trace, "", Selection(routers=routers))
    shown = sorted(packet for rung in ladder.rungs for packet in rung.packets)
    assert shown == sorted({s.packet_id for s in trace.steps})
    text = ladder_text(ladder, width=width)
    assert drawn(text) == len(shown)
    assert max(map(len, text.splitlines())) <= width
    assert text == ladder_text(ladder_of(trace, "", Selection(routers=routers)), width=width)
