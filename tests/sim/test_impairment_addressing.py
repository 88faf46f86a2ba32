"""Every decision of a link has an address: it can be looked up, repeated, and changed alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocols.impairment import Fate, LinkDirection
from lab.protocols.impairment.draws import Draws, Purpose, mix
from lab.spec.impairment import PERFECT, GilbertElliott, Impairment
from nat_models.packet import IpProtocol, Packet

SEED = 0xADD2E55
EVERYTHING = Impairment(
    delay=0.05,
    jitter=0.02,
    loss=0.05,
    loss_burst=GilbertElliott(good_to_bad=0.01, bad_to_good=0.3),
    duplicate=0.05,
    reorder=0.05,
    reorder_gap=0.03,
)


def packet(number: int = 0) -> Packet:
    payload = number.to_bytes(4)
    return Packet(IpProtocol.UDP, ("192.0.2.1", 4000), ("198.51.100.7", 3478), payload, packet_id=number)


def send(direction: LinkDirection, count: int = 2_000):
    return [direction.transmit(packet(number), number * 0.01) for number in range(count)]


def lost(decisions) -> list[int]:
    return [index for index, decision in enumerate(decisions) if not decision.deliveries]


def doubled(decisions) -> list[int]:
    return [index for index, decision in enumerate(decisions) if len(decision.deliveries) == 2]


class TestDraws:
    def test_the_generator_is_splitmix64(self):
        """The first outputs for seed 1234567 that other implementations of SplitMix64 publish."""
        draws = Draws(0, Purpose.LOSS)
        draws._base = 1234567
        assert [draws.bits(index) for index in range(5)] == [
            6457827717110365317,
            3203168211198807973,
            9817491932198370423,
            4593380528125082431,
            16408922859458223821,
        ]

    @given(st.integers(0, 2**64 - 1), st.sampled_from(Purpose), st.integers(0, 2**40))
    def test_a_share_is_the_upper_bits_of_the_word(self, seed, purpose, index):
        draws = Draws(seed, purpose)
        assert draws.share(index) == (draws.bits(index) >> 11) / 2**53
        assert 0 <= draws.share(index) < 1

    def test_purposes_and_seeds_have_streams_of_their_own(self):
        streams = {
            tuple(Draws(seed, purpose).bits(index) for index in range(4))
            for seed in range(8)
            for purpose in Purpose
        }
        assert len(streams) == 8 * len(Purpose)

    @given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
    def test_mixing_loses_nothing(self, one, other):
        assert (mix(one) == mix(other)) == (one == other)


class TestOneMoreImpairmentReshufflesNothing:
    @pytest.mark.parametrize(
        "added",
        [
            {"duplicate": 0.1},
            {"reorder": 0.1, "reorder_gap": 0.01},
            {"jitter": 0.01},
            {"rate": 1e8},
            {"delay": 0.2},
        ],
    )
    def test_the_same_packets_are_lost(self, added):
        plain = Impairment(delay=0.05, loss=0.05, loss_burst=EVERYTHING.loss_burst)
        before = send(LinkDirection(plain, SEED, "wire"))
        after = send(LinkDirection(replace(plain, **added), SEED, "wire"))
        assert lost(before)
        assert lost(after) == lost(before)

    def test_loss_does_not_change_which_of_the_others_are_doubled(self):
        plain = Impairment(delay=0.05, duplicate=0.1)
        before = doubled(send(LinkDirection(plain, SEED, "wire")))
        decisions = send(LinkDirection(replace(plain, loss=0.2), SEED, "wire"))
        gone = set(lost(decisions))
        assert gone & set(before)
        assert doubled(decisions) == [index for index in before if index not in gone]

    def test_a_loss_share_raised_keeps_every_loss_there_was(self):
        few = lost(send(LinkDirection(Impairment(loss=0.02), SEED, "wire")))
        many = lost(send(LinkDirection(Impairment(loss=0.05), SEED, "wire")))
        assert set(few) < set(many)

    def test_another_seed_is_another_link(self):
        one = lost(send(LinkDirection(EVERYTHING, SEED, "wire")))
        assert one != lost(send(LinkDirection(EVERYTHING, SEED + 1, "wire")))

    def test_the_same_seed_is_the_same_link(self):
        once = send(LinkDirection(EVERYTHING, SEED, "wire"))
        assert send(LinkDirection(EVERYTHING, SEED, "wire")) == once


class TestForce:
    def test_a_packet_can_be_dropped_by_index_and_the_rest_is_as_it_was(self):
        before = send(LinkDirection(EVERYTHING, SEED, "wire"))
        spared = next(index for index, decision in enumerate(before) if decision.deliveries)
        after = send(LinkDirection(EVERYTHING, SEED, "wire", force={spared: Fate.DROP}))
        assert lost(after) == sorted([*lost(before), spared])
        assert after[spared].reason == f"dropped on request: packet {spared} on wire"

    def test_a_lost_packet_can_be_saved(self):
        before = lost(send(LinkDirection(EVERYTHING, SEED, "wire")))
        after = lost(send(LinkDirection(EVERYTHING, SEED, "wire", force={before[3]: Fate.DELIVER})))
        assert after == before[:3] + before[4:]

    def test_duplication_and_reordering_can_be_asked_for_by_index(self):
        fates = {0: Fate.DUPLICATE, 1: Fate.REORDER, 2: Fate.DUPLICATE | Fate.REORDER}
        decisions = send(LinkDirection(Impairment(delay=1.0), SEED, "wire", force=fates), 4)
        times = [[time for time, _ in decision.deliveries] for decision in decisions]
        assert times == [[1.0, 1.0], [0.01], [0.02, 1.02], [1.03]]

    def test_a_log_replays_without_any_chance(self):
        """>> a run by chance << its log, forced on a link without chance: the same decisions."""
        chance = LinkDirection(EVERYTHING, SEED, "wire")
        run = send(chance)
        certain = replace(EVERYTHING, loss=0, loss_burst=None, duplicate=0, reorder=0)
        replay = send(LinkDirection(certain, SEED, "wire", force=chance.log))
        assert [decision.deliveries for decision in replay] == [decision.deliveries for decision in run]

    def test_the_log_holds_exactly_what_was_not_simply_delivered(self):
        direction = LinkDirection(EVERYTHING, SEED, "wire")
        decisions = send(direction)
        assert [index for index, fate in direction.log.items() if fate is Fate.DROP] == lost(decisions)
        assert [index for index, fate in direction.log.items() if Fate.DUPLICATE in fate] == doubled(
            decisions
        )
        assert Fate.DELIVER not in direction.log.values()
        assert direction.packets == 2_000

    @pytest.mark.parametrize(
        ("fate", "text"),
        [
            (Fate.DELIVER, "deliver"),
            (Fate.DROP, "drop"),
            (Fate.DUPLICATE | Fate.REORDER, "duplicate+reorder"),
        ],
    )
    def test_a_fate_reads_back_from_its_text(self, fate, text):
        assert str(fate) == text
        assert Fate.from_text(text) is fate

    @pytest.mark.parametrize("text", ["", "drop+", "DROP", "explode", "drop+deliver", "drop+duplicate"])
    def test_a_fate_that_is_none_is_refused(self, text):
        with pytest.raises(ValueError, match="not a fate"):
            Fate.from_text(text)


class TestAim:
    @staticmethod
    def is_odd(one: Packet) -> bool:
        return one.payload[-1] % 2 == 1

    def test_the_nth_match_is_dropped_and_no_other(self):
        direction = LinkDirection(PERFECT, SEED, "wire")
        direction.drop_matching(self.is_odd, nth=3)
        decisions = send(direction, 20)
        assert lost(decisions) == [5]
        assert decisions[5].reason == "dropped on request: match 3 on wire"

    def test_a_run_of_matches_is_dropped(self):
        direction = LinkDirection(PERFECT, SEED, "wire")
        direction.drop_matching(self.is_odd, nth=2, count=3, reason="the server's last flight")
        decisions = send(direction, 20)
        assert lost(decisions) == [3, 5, 7]
        assert decisions[3].reason == "the server's last flight"

    def test_matches_count_from_the_request_on(self):
        direction = LinkDirection(PERFECT, SEED, "wire")
        send(direction, 6)
        direction.drop_matching(self.is_odd)
        assert lost(send(direction, 6)) == [1]

    def test_aims_count_side_by_side(self):
        direction = LinkDirection(PERFECT, SEED, "wire")
        direction.drop_matching(self.is_odd, nth=2)
        direction.drop_matching(lambda one: one.payload[-1] >= 2, nth=1)
        assert lost(send(direction, 20)) == [2, 3]

    def test_a_spent_aim_leaves_the_link_as_it_was(self):
        direction = LinkDirection(Impairment(delay=0.05), SEED, "wire")
        direction.drop_matching(self.is_odd)
        assert lost(send(direction, 4)) == [1]
        assert direction.transmit(packet(), 1.0).deliveries[0][0] == 1.05
        assert direction._is_plain

    def test_an_aimed_drop_reshuffles_nothing(self):
        before = lost(send(LinkDirection(EVERYTHING, SEED, "wire")))
        direction = LinkDirection(EVERYTHING, SEED, "wire")
        direction.drop_matching(lambda one: one.packet_id == 4)
        assert lost(send(direction)) == sorted({*before, 4})
