"""The box in userspace without its sockets: frames in, frames out."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.emu.nat_planes.engine.box import UserspaceBox
from lab.emu.nat_planes.engine.datagram import packed, parse_datagram_untrusted
from lab.emu.nat_planes.engine.frames import BROADCAST, ETHERNET_ARP, ETHERNET_IPV4, ETHERNET_IPV6, Offload
from lab.emu.nat_planes.engine.neighbours import ASK_TIMES, WAITING_LIMIT
from lab.emu.nat_planes.wiring import BoxWiring
from lab.sim.capture.ip import encode_ip
from lab.spec.event import EventType
from nat_models import load_preset
from nat_models.packet import Fragment, IcmpMessage, IcmpType, IpProtocol, Packet, TcpFlag, TcpHeader

HARDWARE = {"in": b"\x02\0\0\0\0\x01", "guests": b"\x02\0\0\0\0\x02", "out": b"\x02\0\0\0\0\x03"}
HOST, GUEST, ROUTER, SERVER = (
    b"\x02\0\0\0\1\x01",
    b"\x02\0\0\0\1\x02",
    b"\x02\0\0\0\1\x03",
    b"\x02\0\0\0\1\x04",
)
EXTERNAL = "203.0.113.9"
NEIGHBOURS = {
    ("in", "10.0.0.2"): HOST,
    ("guests", "10.0.1.2"): GUEST,
    ("out", "203.0.113.1"): ROUTER,
    ("out", "203.0.113.7"): SERVER,
}
INSIDE, REMOTE = ("10.0.0.2", 5000), ("198.51.100.7", 3478)


def wiring(**changes):
    return BoxWiring(
        **{
            "inside": ("in", "guests"),
            "outside": "out",
            "external_addresses": (EXTERNAL,),
            "internal_networks": ("10.0.0.0/24", "10.0.1.0/24", "2001:db8::/64"),
            "addresses": (
                *(("in", "10.0.0.1/24"), ("guests", "10.0.1.1/24"), ("out", "203.0.113.9/24")),
                *(("in", "2001:db8::1/64"), ("out", "2001:db8:1::9/64")),
            ),
            "routes": (("0.0.0.0/0", "out", "203.0.113.1"),),
            **changes,
        }
    )


def box(model="port-restricted", **changes):
    return UserspaceBox(
        load_preset(model), wiring(**changes), HARDWARE, random.Random(1), dict.fromkeys(HARDWARE, 1500)
    )


def frame(packet, *, to, by=HOST):
    kind = ETHERNET_IPV6 if packet.is_ipv6 else ETHERNET_IPV4
    return HARDWARE[to] + by + kind.to_bytes(2) + encode_ip(packet)


def arp(operation, *, to, hardware, sender, target):
    body = b"\0\1\x08\0\6\4" + operation.to_bytes(2) + hardware + packed(sender) + bytes(6) + packed(target)
    return to + hardware + ETHERNET_ARP.to_bytes(2) + body


def sent(made, device, packet, now=0.0, offload=None):
    """Send a packet to the box and answer its questions; return what came out: device, to, packet."""
    arguments = () if offload is None else (offload,)
    frames = made.receive(device, frame(packet, to=device), now, *arguments)
    out = []
    while frames:
        one = frames.pop(0)
        if one.data[12:14] == ETHERNET_ARP.to_bytes(2):
            target = one.data[38:42]
            for (where, address), hardware in NEIGHBOURS.items():
                if where == one.device and packed(address) == target:
                    reply = arp(2, to=HARDWARE[where], hardware=hardware, sender=address, target="0.0.0.0")  # noqa: S104
                    frames += made.receive(where, reply, now)
        else:
            out.append((one.device, one.data[:6], parse_datagram_untrusted(one.data[14:]).packet))
    return out


def udp(source, destination, payload=b"x", **fields):
    return Packet(IpProtocol.UDP, source, destination, payload, **fields)


def test_a_packet_goes_out_translated_by_the_default_route_and_its_answer_comes_back():
    made = box()
    ((device, to, out),) = sent(made, "in", udp(INSIDE, REMOTE))
    assert (device, to) == ("out", ROUTER)
    assert (out.source, out.destination, out.ttl) == ((EXTERNAL, 5000), REMOTE, 63)
    ((device, to, back),) = sent(made, "out", udp(REMOTE, (EXTERNAL, 5000)))
    assert (device, to, back.destination) == ("in", HOST, INSIDE)


def test_a_neighbour_on_the_link_is_reached_without_the_router():
    ((_, to, _),) = sent(box(), "in", udp(INSIDE, ("203.0.113.7", 9)))
    assert to == SERVER


def test_the_box_answers_for_its_own_addresses_only():
    made = box()
    question = arp(1, to=BROADCAST, hardware=ROUTER, sender="203.0.113.1", target=EXTERNAL)
    (answer,) = made.receive("out", question, 0.0)
    assert answer.data[:6] == ROUTER
    assert answer.data[22:32] == HARDWARE["out"] + packed(EXTERNAL)
    assert made.receive("in", question, 0.0) == [], "not an address of that device"
    other = arp(1, to=BROADCAST, hardware=ROUTER, sender="203.0.113.1", target="203.0.113.8")
    assert made.receive("out", other, 0.0) == []


def test_every_address_of_a_pool_is_answered_for():
    made = box(external_addresses=(EXTERNAL, "203.0.113.10"))
    question = arp(1, to=BROADCAST, hardware=ROUTER, sender="203.0.113.1", target="203.0.113.10")
    assert len(made.receive("out", question, 0.0)) == 1


def test_neighbour_discovery_is_answered_and_asked_for_ipv6():
    made = box()
    target, host = packed("2001:db8::1"), packed("2001:db8::2")
    message = b"\x87\0\0\0" + bytes(4) + target + b"\1\1" + HOST
    header = (6 << 28).to_bytes(4) + len(message).to_bytes(2) + b"\x3a\xff" + host + target
    (answer,) = made.receive("in", b"\x33\x33\xff\0\0\1" + HOST + b"\x86\xdd" + header + message, 0.0)
    assert answer.data[:6] == HOST
    assert answer.data[54] == 136
    assert answer.data[-6:] == HARDWARE["in"]
    (asked,) = made.receive("in", frame(udp(("2001:db8::2", 5), ("2001:db8:1::7", 9)), to="in"), 0.0)
    assert (asked.device, asked.data[:6], asked.data[54]) == ("out", b"\x33\x33\xff\0\0\x07", 135)


def test_packets_wait_for_a_neighbour_who_is_asked_and_given_up():
    made = box()
    (question,) = made.receive("in", frame(udp(INSIDE, ("203.0.113.8", 9)), to="in"), 0.0)
    assert question.data[12:14] == ETHERNET_ARP.to_bytes(2)
    for _ in range(2 * WAITING_LIMIT):
        assert made.receive("in", frame(udp(INSIDE, ("203.0.113.8", 9)), to="in"), 0.5) == []
    again = [made.wake(float(second)) for second in range(1, ASK_TIMES + 2)]
    assert [len(frames) for frames in again] == [1] * (ASK_TIMES - 1) + [0, 0]
    assert made.next_wake(9.0) is not None, "the mapping's expiry"
    late = arp(2, to=HARDWARE["out"], hardware=SERVER, sender="203.0.113.8", target=EXTERNAL)
    assert made.receive("out", late, 9.0) == [], "nothing waits any more"


def test_what_is_left_to_the_device_goes_with_the_packet_even_if_it_waits():
    made = box()
    left = Offload(b"\1\0\0\0\0\0\x22\0\6\0", unfinished=True, segmented=False)
    assert len(made.receive("in", frame(udp(INSIDE, REMOTE), to="in"), 0.0, left)) == 1
    reply = arp(2, to=HARDWARE["out"], hardware=ROUTER, sender="203.0.113.1", target=EXTERNAL)
    (released,) = made.receive("out", reply, 0.0)
    assert released.offload is left


def test_inside_networks_are_routed_untranslated_unless_isolated():
    ((device, to, packet),) = sent(box(), "in", udp(INSIDE, ("10.0.1.2", 7)))
    assert (device, to, packet.source) == ("guests", GUEST, INSIDE)
    made = box(isolated=True)
    assert sent(made, "in", udp(INSIDE, ("10.0.1.2", 7))) == []
    assert made.drops == {"the box isolates its inside networks from each other": 1}


def test_mappings_and_drops_are_told_with_their_time_and_what_the_packet_was():
    made = box()
    sent(made, "in", udp(INSIDE, REMOTE), now=1.0)
    stray = udp(REMOTE, (EXTERNAL, 9), b"four")
    assert sent(made, "out", stray, now=2.0) == []
    created, dropped = made.happened
    assert (created.at, created.type) == (1.0, EventType.NAT_MAPPING_CREATED)
    assert created.data["internal"] == "10.0.0.2:5000"
    assert (dropped.at, dropped.type) == (2.0, EventType.PACKET_DROPPED)
    (reason,) = made.drops
    assert dropped.data == {"reason": reason, "packet": stray.describe()}


def test_no_more_is_kept_to_be_told_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr("lab.emu.nat_planes.engine.box.MOST_HAPPENED", 2)
    made = box()
    for port in range(9, 14):
        sent(made, "out", udp(REMOTE, (EXTERNAL, port)))
    assert len(made.happened) == 2
    assert sum(made.drops.values()) == 5


def test_an_echo_to_the_box_is_answered_from_inside_only():
    request = Packet(
        IpProtocol.ICMP, ("10.0.0.2", 7), ("10.0.0.1", 0), b"data", icmp=IcmpMessage(IcmpType.ECHO_REQUEST)
    )
    ((_, _, reply),) = sent(box(), "in", request)
    assert (reply.icmp.type, reply.destination, reply.payload) == (
        IcmpType.ECHO_REPLY,
        ("10.0.0.2", 7),
        b"data",
    )
    assert sent(box(), "out", request) == []
    assert sent(box(), "in", udp(INSIDE, ("10.0.0.1", 53))) == [], "it serves nothing else"


def test_a_packet_at_its_last_hop_is_reported_by_the_device_it_came_by():
    made = box()
    ((device, _, error),) = sent(made, "in", udp(INSIDE, REMOTE, ttl=1))
    assert (device, error.source[0], error.icmp.type) == ("in", "10.0.0.1", IcmpType.TIME_EXCEEDED)
    assert error.icmp.quoted.source == INSIDE


def test_a_packet_too_long_for_the_next_link_is_reported_with_its_mtu():
    made = UserspaceBox(
        load_preset("full-cone"),
        wiring(),
        HARDWARE,
        random.Random(1),
        {"in": 1500, "guests": 1500, "out": 1400},
    )
    ((device, _, error),) = sent(made, "in", udp(INSIDE, REMOTE, b"x" * 1450, dont_fragment=True))
    assert (device, error.icmp.type, error.icmp.mtu) == ("in", IcmpType.FRAGMENTATION_NEEDED, 1400)
    assert error.icmp.quoted.source == INSIDE
    whole = Offload(b"\0\1", unfinished=False, segmented=True)
    assert sent(made, "in", udp(INSIDE, REMOTE, b"x" * 1450), offload=whole), "the device cuts it"


def test_a_refused_segment_is_answered_with_what_came_in_it():
    made = box("port-restricted{outbound_rules: [{action: reject}]}")
    syn = Packet(IpProtocol.TCP, INSIDE, ("198.51.100.7", 80), tcp=TcpHeader(TcpFlag.SYN, 99, 0))
    ((_, to, reset),) = sent(made, "in", syn)
    assert to == HOST
    assert reset.tcp.flags == TcpFlag.RST | TcpFlag.ACK
    assert reset.tcp.acknowledgement == 100
    ((_, _, error),) = sent(made, "in", udp(INSIDE, REMOTE))
    assert error.icmp.type is IcmpType.ADMINISTRATIVELY_PROHIBITED


def test_fragments_that_wait_leave_when_their_first_one_comes():
    made = box()
    later = udp(INSIDE, REMOTE, b"rest", fragment=Fragment(5, 16, more=False))
    assert sent(made, "in", later) == []
    first = udp(INSIDE, REMOTE, b"12345678", fragment=Fragment(5, 0, more=True))
    out = [packet for _, _, packet in sent(made, "in", first)]
    assert [packet.fragment.offset for packet in out] == [0, 16]
    assert {packet.source[0] for packet in out} == {EXTERNAL}


def test_a_held_syn_is_refused_in_time_with_what_it_was():
    made = box("rfc4787{tcp.syn_hold: 2s, tcp.filtering: address-dependent}")
    sent(made, "in", Packet(IpProtocol.TCP, INSIDE, REMOTE, tcp=TcpHeader(TcpFlag.SYN, 1, 0)))
    stranger = Packet(IpProtocol.TCP, ("203.0.113.7", 9), (EXTERNAL, 5000), tcp=TcpHeader(TcpFlag.SYN, 1, 0))
    assert sent(made, "out", stranger, now=1.0) == []
    (question,) = made.wake(3.1)
    assert question.data[12:14] == ETHERNET_ARP.to_bytes(2)
    reply = arp(2, to=HARDWARE["out"], hardware=SERVER, sender="203.0.113.7", target=EXTERNAL)
    (refusal,) = made.receive("out", reply, 3.1)
    error = parse_datagram_untrusted(refusal.data[14:]).packet
    assert (error.icmp.type, error.icmp.quoted.source) == (IcmpType.PORT_UNREACHABLE, ("203.0.113.7", 9))


def test_a_reboot_forgets_mappings():
    made = box("full-cone")
    sent(made, "in", udp(INSIDE, REMOTE))
    assert made.mappings == 1
    made.reboot(1.0)
    assert made.mappings == 0
    assert sent(made, "out", udp(REMOTE, (EXTERNAL, 5000)), now=1.0) == []


@pytest.mark.parametrize("to", [b"\x02\0\0\0\x09\x09", BROADCAST])
def test_frames_for_others_and_for_all_are_let_be(to):
    assert box().receive("in", to + HOST + b"\x08\0" + encode_ip(udp(INSIDE, REMOTE)), 0.0) == []


@given(
    st.sampled_from(sorted(HARDWARE)),
    st.binary(max_size=90),
    st.sampled_from([0x0800, 0x0806, 0x86DD, 0x88CC]),
)
def test_any_bytes_in_a_frame_are_survived(device, data, kind):
    made = box()
    for to in (HARDWARE[device], BROADCAST, b"\x33\x33\0\0\0\1"):
        made.receive(device, to + HOST + kind.to_bytes(2) + data, 0.0)
        made.receive(device, (to + HOST + kind.to_bytes(2) + data)[: len(data)], 0.0)
