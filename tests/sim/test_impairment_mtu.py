"""What does not fit a link: fragments, refusals, and putting fragments together again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocols.fragmentation import Reassembler, fragment_packet, internet_sum, natural_length
from lab.protocols.impairment import Fate, LinkDirection
from lab.spec.impairment import Impairment
from nat_models.packet import (
    Fragment,
    IcmpMessage,
    IcmpType,
    IpProtocol,
    Packet,
    TcpFlag,
    TcpHeader,
)

V4 = ("192.0.2.1", 4000), ("198.51.100.7", 3478)
V6 = ("2001:db8::1", 4000), ("2001:db8:1::7", 3478)


def udp(payload: bytes, addresses=V4, **fields) -> Packet:
    return Packet(IpProtocol.UDP, *addresses, payload, packet_id=77, **fields)


def numbered(size: int) -> bytes:
    """Return bytes of which no two places look alike."""
    return b"".join(number.to_bytes(4) for number in range(size // 4 + 1))[:size]


class TestLink:
    def test_a_packet_of_exactly_the_mtu_passes_whole(self):
        whole = udp(bytes(1_400 - 28))
        decision = LinkDirection(Impairment(mtu=1_400), 1, "wire").transmit(whole, 0.0)
        assert decision.deliveries == ((0.0, whole),)

    def test_one_byte_more_is_fragmented(self):
        decision = LinkDirection(Impairment(mtu=1_400, delay=0.1), 1, "wire").transmit(udp(bytes(1_373)), 0.0)
        assert [(when, piece.fragment is not None) for when, piece in decision.deliveries] == [
            (0.1, True)
        ] * 2

    def test_dont_fragment_is_refused_and_the_sender_is_to_be_told(self):
        direction = LinkDirection(Impairment(mtu=1_400), 1, "wire")
        decision = direction.transmit(udp(bytes(1_373), dont_fragment=True), 0.0)
        assert not decision.deliveries
        assert decision.mtu == 1_400
        assert decision.reason == "too big for wire: 1401 bytes, MTU 1400, and it may not be fragmented"

    def test_ipv6_is_refused_and_the_sender_is_to_be_told(self):
        decision = LinkDirection(Impairment(mtu=1_400), 1, "wire").transmit(udp(bytes(1_353), V6), 0.0)
        assert decision.mtu == 1_400
        assert "IPv6 is not fragmented on the way" in decision.reason

    def test_an_icmp_error_that_is_too_big_is_dropped_without_another(self):
        error = Packet(
            IpProtocol.ICMP, *V4, icmp=IcmpMessage(IcmpType.PORT_UNREACHABLE, quoted=udp(bytes(600)))
        )
        decision = LinkDirection(Impairment(mtu=400), 1, "wire").transmit(error, 0.0)
        assert decision.reason
        assert decision.mtu == 0

    def test_a_refused_packet_takes_no_index(self):
        """What never reached the wire must not move the fate of those that do."""
        direction = LinkDirection(Impairment(mtu=1_400), 1, "wire", force={0: Fate.DROP})
        direction.transmit(udp(bytes(2_000), dont_fragment=True), 0.0)
        assert direction.packets == 0
        assert direction.transmit(udp(b""), 0.0).reason.startswith("dropped on request")

    def test_each_fragment_has_an_index_and_a_fate_of_its_own(self):
        direction = LinkDirection(Impairment(mtu=1_400), 1, "wire", force={1: Fate.DROP})
        decision = direction.transmit(udp(bytes(4_000)), 0.0)
        assert len(decision.deliveries) == 2
        [(piece, reason, number)] = decision.lost
        assert piece.fragment.offset == 1_376
        assert (reason, number) == ("dropped on request: packet 1 on wire", 1)
        assert not decision.reason

    def test_when_every_fragment_is_lost_the_packet_is(self):
        decision = LinkDirection(Impairment(mtu=1_400, loss=1.0), 1, "wire").transmit(udp(bytes(4_000)), 0.0)
        assert decision.reason == "lost on wire: random loss of 100%"

    def test_fragments_share_the_rate(self):
        direction = LinkDirection(Impairment(mtu=1_020, rate=8_000.0), 1, "wire")
        decision = direction.transmit(udp(bytes(1_992)), 0.0)
        assert [when for when, _ in decision.deliveries] == [pytest.approx(1.02), pytest.approx(2.04)]

    def test_the_length_charged_on_the_wire_does_not_count_against_the_mtu(self):
        one = udp(b"hello", wire_length=5_000)
        assert LinkDirection(Impairment(mtu=1_400), 1, "wire").transmit(one, 0.0).deliveries == ((0.0, one),)


class TestFragmenting:
    @pytest.mark.parametrize("addresses", [V4, V6])
    @given(size=st.integers(0, 5_000), mtu=st.integers(80, 1_500))
    def test_fragments_fit_tile_the_datagram_and_come_together_again(self, addresses, size, mtu):
        whole = udp(numbered(size), addresses)
        pieces = fragment_packet(whole, mtu)
        assert all(piece.length <= mtu for piece in pieces)
        assert all(piece.fragment.offset % 8 == 0 for piece in pieces if piece.fragment)
        assert all(piece.fragment.more for piece in pieces[:-1])
        assert reassemble(pieces) == whole

    @given(st.integers(100, 1_500), st.integers(100, 1_500))
    def test_a_fragment_is_fragmented_again_by_a_smaller_mtu(self, first, second):
        whole = udp(numbered(3_000))
        pieces = [
            piece for outer in fragment_packet(whole, first) for piece in fragment_packet(outer, second)
        ]
        assert all(piece.length <= min(first, second) for piece in pieces)
        assert [piece.fragment.more for piece in pieces] == [True] * (len(pieces) - 1) + [False]
        assert reassemble(pieces) == whole

    def test_only_the_first_fragment_carries_ports(self):
        first, *later = fragment_packet(udp(bytes(4_000)), 1_400)
        assert (first.source, first.destination) == V4
        assert all(piece.source == ("192.0.2.1", 0) for piece in later)
        assert all(piece.destination == ("198.51.100.7", 0) for piece in later)

    def test_the_first_fragment_knows_the_whole_so_that_a_nat_may_translate_it(self):
        payload = numbered(4_001)
        first, *later = fragment_packet(udp(payload), 1_400)
        assert (first.fragment.total_payload, first.fragment.payload_sum) == (4_001, internet_sum(payload))
        assert {piece.fragment.total_payload for piece in later} == {0}

    def test_fragments_of_one_datagram_share_its_number_and_packet_id(self):
        pieces = fragment_packet(udp(bytes(4_000)), 1_400)
        assert {piece.fragment.identification for piece in pieces} == {77}
        assert {piece.packet_id for piece in pieces} == {77}

    def test_tcp_and_echo_are_fragmented_too(self):
        tcp = Packet(IpProtocol.TCP, *V4, numbered(3_000), tcp=TcpHeader(TcpFlag.ACK, 1, 1))
        echo = Packet(IpProtocol.ICMP, *V4, numbered(3_000), icmp=IcmpMessage(IcmpType.ECHO_REQUEST))
        for whole in (tcp, echo):
            pieces = fragment_packet(whole, 1_400)
            assert len(pieces) == 3
            assert all(piece.tcp is None and piece.icmp is None for piece in pieces[1:])
            assert reassemble(pieces) == whole

    def test_an_mtu_without_room_is_refused(self):
        with pytest.raises(ValueError, match="no room"):
            fragment_packet(udp(bytes(100)), 27)

    def test_an_icmp_error_is_refused(self):
        error = Packet(
            IpProtocol.ICMP, *V4, icmp=IcmpMessage(IcmpType.PORT_UNREACHABLE, quoted=udp(bytes(600)))
        )
        assert natural_length(error) == 576
        with pytest.raises(ValueError, match="ICMP error"):
            fragment_packet(error, 500)

    @given(st.binary(max_size=200))
    def test_the_internet_sum_is_that_of_rfc_1071(self, data):
        total = sum(
            int.from_bytes(data[place : place + 2].ljust(2, b"\0")) for place in range(0, len(data), 2)
        )
        while total > 0xFFFF:
            total = (total & 0xFFFF) + (total >> 16)
        assert internet_sum(data) == total


def reassemble(pieces) -> Packet | None:
    reassembler = Reassembler()
    results = [reassembler.accept(piece, 0.0) for piece in pieces]
    assert results[:-1] == [None] * (len(results) - 1)
    return results[-1]


class TestReassembly:
    WHOLE = udp(numbered(5_000))

    def pieces(self, **fields) -> tuple[Packet, ...]:
        return fragment_packet(udp(self.WHOLE.payload, **fields), 1_400)

    @given(st.permutations(range(4)))
    def test_order_does_not_matter(self, order):
        pieces = self.pieces()
        assert reassemble([pieces[place] for place in order]) == self.WHOLE

    def test_a_fragment_that_comes_twice_changes_nothing(self):
        first, second, third, fourth = self.pieces()
        assert reassemble([first, second, second, third, first, fourth]) == self.WHOLE

    def test_an_unfragmented_packet_goes_straight_through(self):
        reassembler = Reassembler()
        assert reassembler.accept(self.WHOLE, 0.0) is self.WHOLE
        assert len(reassembler) == 0

    def test_a_missing_fragment_is_waited_for_thirty_seconds(self):
        *most, last = self.pieces()
        in_time, late = Reassembler(), Reassembler()
        for piece in most:
            assert in_time.accept(piece, 0.0) is None
            assert late.accept(piece, 0.0) is None
        assert in_time.accept(last, 29.9) == self.WHOLE
        assert late.accept(last, 30.0) is None
        assert len(late) == 1

    def test_datagrams_do_not_mix(self):
        reassembler = Reassembler()
        ours = self.pieces()
        theirs = fragment_packet(udp(bytes(reversed(self.WHOLE.payload))), 1_400, identification=78)
        results = [
            reassembler.accept(piece, 0.0) for pair in zip(ours, theirs, strict=True) for piece in pair
        ]
        assert [result.payload for result in results if result] == [
            self.WHOLE.payload,
            bytes(reversed(self.WHOLE.payload)),
        ]

    def test_an_overlap_gives_the_datagram_up(self):
        first, second, *_ = self.pieces()
        overlapping = second.translated()
        overlapping.fragment = second.fragment._replace(offset=second.fragment.offset - 8)
        reassembler = Reassembler()
        reassembler.accept(first, 0.0)
        assert reassembler.accept(overlapping, 0.0) is None
        assert len(reassembler) == 0

    def test_a_contradiction_gives_the_datagram_up(self):
        first, *_ = self.pieces()
        forged = first.translated()
        forged.payload = bytes(len(first.payload))
        reassembler = Reassembler()
        reassembler.accept(first, 0.0)
        reassembler.accept(forged, 0.0)
        assert len(reassembler) == 0

    def test_memory_is_bounded_and_the_oldest_gives_way(self):
        reassembler = Reassembler(capacity=3)
        for number in range(10):
            reassembler.accept(fragment_packet(self.WHOLE, 1_400, identification=number)[0], float(number))
        assert len(reassembler) == 3
        remaining = fragment_packet(self.WHOLE, 1_400, identification=7)[1:]
        assert [reassembler.accept(piece, 9.0) for piece in remaining][-1] == self.WHOLE

    @given(
        st.lists(
            st.tuples(st.integers(0, 6), st.booleans(), st.binary(max_size=24)),
            max_size=30,
        )
    )
    def test_no_sequence_of_fragments_breaks_it(self, sequence):
        reassembler = Reassembler(capacity=2)
        for place, more, payload in sequence:
            piece = udp(payload)
            piece.fragment = Fragment(len(payload) % 3, place * 8, more=more)
            whole = reassembler.accept(piece, 0.0)
            assert whole is None or whole.fragment is None
            assert len(reassembler) <= 2
