"""One direction of a link: what each impairment does, alone and with the others."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocols.impairment import Fate, LinkDirection
from lab.spec.impairment import PERFECT, GilbertElliott, Impairment, JitterOrder
from nat_models.packet import IpProtocol, Packet

SEED = 0x5EED


def packet(size: int = 100, **fields) -> Packet:
    """Return an IPv4 UDP packet of ``size`` bytes in all."""
    payload = bytes(size - 28)
    return Packet(IpProtocol.UDP, ("192.0.2.1", 4000), ("198.51.100.7", 3478), payload, **fields)


def send(impairment: Impairment, count: int, gap: float = 0.02, seed: int = SEED, size: int = 100):
    """Send ``count`` packets ``gap`` seconds apart; return (direction, decisions)."""
    direction = LinkDirection(impairment, seed, "wire")
    one = packet(size)
    return direction, [direction.transmit(one, number * gap) for number in range(count)]


def lost(decisions) -> list[int]:
    return [index for index, decision in enumerate(decisions) if not decision.deliveries]


def arrivals(decisions) -> list[float]:
    return [time for decision in decisions for time, _ in decision.deliveries]


def binomial_bounds(trials: int, share: float, tail: float = 1e-6) -> tuple[int, int]:
    """Return the counts between which a binomial falls but for ``tail`` on either side, computed exactly."""
    logs = math.log(share), math.log1p(-share)
    chances = [
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(k + 1)
            - math.lgamma(trials - k + 1)
            + k * logs[0]
            + (trials - k) * logs[1]
        )
        for k in range(trials + 1)
    ]

    def quantile(ordered) -> int:
        total = 0.0
        for steps, chance in enumerate(ordered):
            total += chance
            if total > tail:
                return steps
        raise AssertionError("chances do not sum to 1")

    return quantile(chances), trials - quantile(reversed(chances))


def runs(indexes: list[int]) -> list[int]:
    """Return the lengths of the runs of consecutive indexes."""
    lengths: list[int] = []
    for before, index in zip([-2, *indexes], indexes, strict=False):
        if index == before + 1:
            lengths[-1] += 1
        else:
            lengths.append(1)
    return lengths


class TestDelayAndJitter:
    def test_a_perfect_wire_delivers_at_once(self):
        _, decisions = send(PERFECT, 3)
        assert arrivals(decisions) == [0.0, 0.02, 0.04]

    def test_delay_is_added_to_every_packet(self):
        _, decisions = send(Impairment(delay=0.25), 3)
        assert arrivals(decisions) == [0.25, 0.27, 0.29]

    def test_the_packet_that_arrives_is_the_one_that_was_sent(self):
        sent = packet(packet_id=7)
        [(_, received)] = (
            LinkDirection(Impairment(delay=1, jitter=0.5), SEED, "wire").transmit(sent, 0).deliveries
        )
        assert received is sent

    def test_free_jitter_is_uniform_over_delay_plus_minus_jitter(self):
        impairment = Impairment(delay=0.1, jitter=0.05, jitter_order=JitterOrder.FREE)
        _, decisions = send(impairment, 20_000)
        flights = sorted(time - number * 0.02 for number, time in enumerate(arrivals(decisions)))
        assert 0.05 <= flights[0] < 0.0501
        assert 0.1499 < flights[-1] < 0.15
        # Kolmogorov-Smirnov: sup |F - uniform| of 20,000 draws exceeds 1.95/sqrt(n) once in a thousand.
        distance = max(
            abs(place / len(flights) - (flight - 0.05) / 0.1) for place, flight in enumerate(flights)
        )
        assert distance < 1.95 / math.sqrt(len(flights))

    def test_free_jitter_lets_packets_overtake(self):
        impairment = Impairment(delay=0.1, jitter=0.05, jitter_order=JitterOrder.FREE)
        _, decisions = send(impairment, 100)
        assert arrivals(decisions) != sorted(arrivals(decisions))

    @given(st.integers(0, 2**64 - 1), st.floats(0, 0.1), st.lists(st.floats(0, 0.05), max_size=40))
    def test_kept_order_never_lets_one_overtake_and_never_passes_the_bounds(self, seed, jitter, gaps):
        direction = LinkDirection(Impairment(delay=0.1, jitter=jitter), seed, "wire")
        now, before = 0.0, 0.0
        for gap in gaps:
            now += gap
            [(arrival, _)] = direction.transmit(packet(), now).deliveries
            assert before <= arrival
            assert now + 0.1 - jitter - 1e-9 <= arrival <= now + 0.1 + jitter + 1e-9
            before = arrival

    def test_jitter_larger_than_the_delay_never_delivers_before_sending(self):
        _, decisions = send(Impairment(delay=0.01, jitter=0.05, jitter_order=JitterOrder.FREE), 500)
        assert all(time >= number * 0.02 for number, time in enumerate(arrivals(decisions)))

    def test_lowering_the_delay_does_not_let_a_packet_overtake_those_in_flight(self):
        direction = LinkDirection(Impairment(delay=0.5), SEED, "wire")
        direction.transmit(packet(), 0.0)
        direction.change(Impairment(delay=0.1), 0.1)
        assert direction.transmit(packet(), 0.1).deliveries[0][0] == 0.5
        assert direction.transmit(packet(), 1.0).deliveries[0][0] == 1.1


class TestLoss:
    @pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5])
    def test_the_share_of_lost_packets_is_the_one_asked_for(self, share):
        _, decisions = send(Impairment(loss=share), 20_000)
        low, high = binomial_bounds(20_000, share)
        assert low <= len(lost(decisions)) <= high

    def test_losses_are_independent(self):
        _, decisions = send(Impairment(loss=0.3), 20_000)
        after_a_loss = [not decisions[index + 1].deliveries for index in lost(decisions) if index < 19_999]
        low, high = binomial_bounds(len(after_a_loss), 0.3)
        assert low <= sum(after_a_loss) <= high

    def test_full_loss_loses_everything_and_none_nothing(self):
        assert len(lost(send(Impairment(loss=1.0), 200)[1])) == 200
        assert not lost(send(Impairment(delay=0.1, jitter=0.01), 200)[1])

    def test_a_lost_packet_says_where_and_why(self):
        _, [decision] = send(Impairment(loss=1.0), 1)
        assert decision.reason == "lost on wire: random loss of 100%"

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize(("count", "block"), [(1, 10), (3, 7), (0, 4), (4, 4), (99, 100)])
    def test_exact_loss_loses_so_many_of_every_block(self, seed, count, block):
        _, decisions = send(Impairment(loss_block=(count, block)), block * 20, seed=seed)
        for start in range(0, block * 20, block):
            assert len(lost(decisions[start : start + block])) == count

    def test_exact_loss_falls_on_every_position_alike(self):
        _, decisions = send(Impairment(loss_block=(1, 10)), 20_000)
        positions = [index % 10 for index in lost(decisions)]
        low, high = binomial_bounds(2_000, 0.1)
        assert all(low <= positions.count(place) <= high for place in range(10))

    def test_exact_loss_counts_from_the_moment_it_is_switched_on(self):
        direction, _ = send(PERFECT, 7)
        direction.change(Impairment(loss_block=(2, 10)), 1.0)
        for _ in range(5):
            assert len(lost([direction.transmit(packet(), 1.0) for _ in range(10)])) == 2


class TestBurstLoss:
    CHAIN = GilbertElliott(good_to_bad=0.02, bad_to_good=0.25)

    def test_mean_burst_is_one_over_the_chance_to_leave(self):
        _, decisions = send(Impairment(loss_burst=self.CHAIN), 60_000)
        bursts = runs(lost(decisions))
        # Geometric with mean 4 and variance (1 - r)/r^2 = 12; five standard errors.
        assert abs(sum(bursts) / len(bursts) - 4) < 5 * math.sqrt(12 / len(bursts))

    def test_mean_loss_is_the_stationary_share_of_the_bad_state(self):
        _, decisions = send(Impairment(loss_burst=self.CHAIN), 60_000)
        # p/(p+r) = 7.4 %; correlated draws: variance is that of coin tosses times (2 - p - r)/(p + r).
        share = 0.02 / 0.27
        error = math.sqrt(share * (1 - share) * (2 - 0.27) / 0.27 / 60_000)
        assert abs(len(lost(decisions)) / 60_000 - share) < 5 * error

    def test_loss_in_each_state_is_its_own_share(self):
        chain = GilbertElliott(good_to_bad=0.1, bad_to_good=0.1, loss_good=0.05, loss_bad=0.6)
        _, decisions = send(Impairment(loss_burst=chain), 60_000)
        assert abs(len(lost(decisions)) / 60_000 - 0.325) < 0.02

    def test_bursts_do_not_move_when_a_queue_drops_some_packets(self):
        burst = Impairment(loss_burst=self.CHAIN)
        alone = set(lost(send(burst, 3_000, gap=0.001)[1]))
        _, decisions = send(replace(burst, rate=400_000.0, queue=3_000), 3_000, gap=0.001)
        by_burst = {index for index in lost(decisions) if "burst" in decisions[index].reason}
        by_queue = set(lost(decisions)) - by_burst
        assert by_queue
        assert by_burst == alone - by_queue

    def test_a_change_of_something_else_leaves_the_chain_in_its_state(self):
        burst = Impairment(loss_burst=self.CHAIN)
        undisturbed = lost(send(burst, 2_000)[1])
        direction, first = send(burst, 1_000)
        direction.change(replace(burst, delay=0.01), 20.0)
        second = [direction.transmit(packet(), 20.0) for _ in range(1_000)]
        assert lost(first + second) == undisturbed


class TestDuplicationAndReordering:
    def test_the_share_of_doubled_packets_is_the_one_asked_for(self):
        _, decisions = send(Impairment(duplicate=0.05), 20_000)
        low, high = binomial_bounds(20_000, 0.05)
        assert low <= sum(len(decision.deliveries) == 2 for decision in decisions) <= high

    def test_the_copy_is_the_same_packet_on_a_flight_of_its_own(self):
        _, decisions = send(Impairment(delay=0.1, jitter=0.05, duplicate=1.0), 200, gap=1.0)
        pairs = [(first, second) for (first, _), (second, _) in (d.deliveries for d in decisions)]
        assert all(first <= second for first, second in pairs)
        assert any(first < second for first, second in pairs)
        assert all(decision.deliveries[0][1] is decision.deliveries[1][1] for decision in decisions)

    def test_the_share_of_reordered_packets_is_the_one_asked_for(self):
        _, decisions = send(Impairment(delay=0.1, reorder=0.02), 20_000)
        early = sum(time == number * 0.02 for number, time in enumerate(arrivals(decisions)))
        low, high = binomial_bounds(20_000, 0.02)
        assert low <= early <= high

    def test_a_reordered_packet_overtakes_those_in_flight_and_holds_up_none(self):
        _, decisions = send(Impairment(delay=0.1, reorder=0.02), 1_000)
        times = arrivals(decisions)
        early = {number for number, time in enumerate(times) if time == number * 0.02}
        assert early
        for number, time in enumerate(times):
            assert time == (number * 0.02 if number in early else number * 0.02 + 0.1)

    def test_the_gap_limits_how_early(self):
        _, decisions = send(Impairment(delay=0.1, reorder=1.0, reorder_gap=0.03), 10)
        assert arrivals(decisions) == pytest.approx([number * 0.02 + 0.07 for number in range(10)])


class TestRate:
    def test_packets_leave_one_after_the_other(self):
        """>> 1000-byte packets at 8 kbit/s, all at once << one a second, plus the delay."""
        _, decisions = send(Impairment(rate=8_000.0, delay=0.5), 4, gap=0, size=1_000)
        assert arrivals(decisions) == [1.5, 2.5, 3.5, 4.5]

    @pytest.mark.parametrize("rate", [64e3, 2e6, 1e9])
    def test_a_saturated_link_carries_its_rate(self, rate):
        direction = LinkDirection(Impairment(rate=rate, queue=10_000), SEED, "wire")
        gap = 1_000 * 8 / rate / 3  # three times what it carries
        times = arrivals([direction.transmit(packet(1_000), number * gap) for number in range(9_000)])
        carried = (len(times) - 1) * 8_000 / (times[-1] - times[0])
        assert carried == pytest.approx(rate, rel=1e-6)

    def test_what_finds_the_queue_full_is_dropped(self):
        _, decisions = send(Impairment(rate=8_000.0, queue=3_000), 10, gap=0, size=1_000)
        assert [bool(decision.deliveries) for decision in decisions] == [True] * 3 + [False] * 7
        assert decisions[3].reason == "queue of wire full (3000 bytes)"

    def test_room_comes_back_as_bytes_leave(self):
        direction, _ = send(Impairment(rate=8_000.0, queue=3_000), 3, gap=0, size=1_000)
        assert direction.backlog(0.0) == 3_000
        assert direction.backlog(0.25) == 2_750
        assert not direction.transmit(packet(1_000), 0.99).deliveries
        assert direction.transmit(packet(1_000), 1.0).deliveries[0][0] == 4.0

    def test_an_idle_link_takes_a_packet_larger_than_its_queue(self):
        _, decisions = send(Impairment(rate=8_000.0, queue=100), 2, gap=10, size=1_000)
        assert arrivals(decisions) == [1.0, 11.0]

    def test_a_packet_is_charged_its_wire_length(self):
        direction = LinkDirection(Impairment(rate=8_000.0), SEED, "wire")
        assert direction.transmit(packet(100, wire_length=2_000), 0.0).deliveries[0][0] == 2.0

    def test_a_lost_packet_took_its_time_on_the_wire(self):
        direction = LinkDirection(Impairment(rate=8_000.0), SEED, "wire", force={0: Fate.DROP})
        direction.transmit(packet(1_000), 0.0)
        assert direction.transmit(packet(1_000), 0.0).deliveries[0][0] == 2.0

    def test_waiting_bytes_leave_at_the_new_rate(self):
        direction, _ = send(Impairment(rate=8_000.0), 4, gap=0, size=1_000)
        direction.change(Impairment(rate=80_000.0), 1.0)
        assert direction.backlog(1.0) == pytest.approx(3_000)
        # Those decided already keep their times, and nobody overtakes them.
        assert direction.transmit(packet(1_000), 1.0).deliveries[0][0] == 4.0
        assert direction.backlog(1.0) == pytest.approx(4_000)

    @given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(28, 1_500)), max_size=60), st.integers(0, 6_000))
    def test_a_packet_is_accepted_when_the_link_is_idle_or_the_queue_has_room(self, sends, queue):
        direction = LinkDirection(Impairment(rate=64_000.0, queue=queue), SEED, "wire")
        now = 0.0
        for gap, size in sends:
            now += gap
            before = direction.backlog(now)
            accepted = bool(direction.transmit(packet(size), now).deliveries)
            assert direction.backlog(now) == pytest.approx(before + size * accepted)
            assert accepted == (before == 0 or before + size <= queue + 0.5)


class TestCut:
    def test_a_cut_link_drops_everything_until_it_heals(self):
        direction = LinkDirection(Impairment(delay=0.1), SEED, "wire")
        direction.cut()
        assert direction.is_cut
        assert direction.transmit(packet(), 0.0).reason == "link wire is cut"
        direction.heal()
        assert direction.transmit(packet(), 1.0).deliveries[0][0] == 1.1

    def test_a_cut_survives_a_change(self):
        direction = LinkDirection(PERFECT, SEED, "wire")
        direction.cut("backhoe")
        direction.change(Impairment(delay=0.1), 0.0)
        assert direction.transmit(packet(), 0.0).reason == "backhoe"
