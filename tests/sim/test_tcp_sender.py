"""The sending half: what is sent when, and how much (RFC 5681, 6298, 6582, 3042)."""

from dataclasses import replace

import pytest

from lab.sim.tcp.config import TcpConfig
from lab.sim.tcp.congestion import NewReno, RetransmissionTimeout
from lab.sim.tcp.sender import TcpSender

CONFIG = TcpConfig()
MSS = 1000
ISS = 5000
WINDOW = 60_000


@pytest.fixture
def sender():
    """An open connection's sender that has sent nothing but its SYN."""
    return opened(CONFIG)


def opened(config):
    sender = TcpSender(config, MSS, ISS)
    sender.synchronize()
    sender.take(0.0)
    sender.established()
    sender.acknowledge(ISS + 1, 0.1)
    sender.set_peer_window(WINDOW)
    return sender


def starts(segments):
    return [segment.start - ISS - 1 for segment in segments]


def acknowledge(sender, count, now):
    sender.acknowledge(ISS + 1 + count, now)


def test_a_write_is_cut_into_segments(sender):
    sender.write(bytes(2500))
    assert [segment.length for segment in sender.take(1.0)] == [1000, 1000, 500]


@pytest.mark.parametrize(
    ("writes", "kept"), [([5000], 3000), ([1000] * 5, 3000), ([2500, 2500], 3000), ([100], 100)]
)
def test_what_the_buffer_has_no_room_for_can_be_forgotten_from_the_end(sender, writes, kept):
    for number, size in enumerate(writes):
        sender.write(bytes([number]) * size)
    sender.forget_beyond(3000)
    assert sender.backlog == kept
    sent = b"".join(bytes(segment.payload) for segment in sender.take(1.0))
    assert sent == b"".join(bytes([number]) * size for number, size in enumerate(writes))[:kept]


def test_small_writes_share_a_segment_when_they_had_to_wait():
    sender = opened(replace(CONFIG, initial_window=1))
    sender.write(bytes(1000))
    sender.take(1.0)
    for _ in range(3):
        sender.write(b"abc")
    assert sender.take(1.0) == []
    acknowledge(sender, 1000, 1.1)
    assert [segment.payload for segment in sender.take(1.1)] == [b"abcabcabc"]


def test_after_a_timeout_the_flight_is_sent_again_from_the_front_in_slow_start(sender):
    """One segment, then two, then four (RFC 5681 §3.1)."""
    sender.write(bytes(10_000))
    assert len(sender.take(1.0)) == 10
    sender.expire(2.0)
    assert starts(sender.take(2.0)) == [0]
    assert sender.take(2.05) == [], "an application's writing gives no right to more"
    acknowledge(sender, 1000, 2.1)
    assert starts(sender.take(2.1)) == [1000, 2000]
    acknowledge(sender, 3000, 2.2)
    assert starts(sender.take(2.2)) == [3000, 4000, 5000]


def test_what_the_receiver_already_had_is_not_sent_again(sender):
    sender.write(bytes(10_000))
    sender.take(1.0)
    sender.expire(2.0)
    sender.take(2.0)
    acknowledge(sender, 10_000, 2.1)
    assert sender.take(2.1) == []
    assert sender.unacknowledged == 0


def test_an_acknowledgement_within_a_segment_takes_its_front_away(sender):
    """A receiver may take part of a segment (RFC 9293 §3.10.7.4)."""
    sender.write(bytes(range(200)) * 5)
    sender.take(1.0)
    acknowledge(sender, 300, 1.1)
    sender.expire(2.0)
    (again,) = sender.take(2.0)
    assert (again.start - ISS - 1, again.payload) == (300, (bytes(range(200)) * 5)[300:])


def test_duplicates_let_new_data_out(sender):
    """Limited transmit: two more segments, so that a small window gets its third duplicate (RFC 3042)."""
    sender = opened(replace(CONFIG, initial_window=3))
    sender.write(bytes(20_000))
    assert starts(sender.take(1.0)) == [0, 1000, 2000]
    sender.duplicate_acknowledgement()
    assert starts(sender.take(1.1)) == [3000]
    sender.duplicate_acknowledgement()
    assert starts(sender.take(1.1)) == [4000]
    sender.duplicate_acknowledgement()
    assert starts(sender.take(1.1)) == [0]


def test_back_off_ends_with_progress(sender):
    """The next loss waits for the ordinary timeout again, not for the doubled one."""
    sender.write(b"x")
    sender.take(1.0)
    first = sender.deadline - 1.0
    sender.expire(2.0)
    sender.take(2.0)
    sender.expire(4.0)
    sender.take(4.0)
    assert sender.deadline - 4.0 == pytest.approx(4 * first)
    acknowledge(sender, 1, 4.1)
    sender.write(b"y")
    sender.take(5.0)
    assert sender.deadline - 5.0 == pytest.approx(first)


def test_the_timer_starts_with_the_first_segment_of_a_flight_and_again_with_each_progress(sender):
    """RFC 6298 §5.1, §5.3."""
    sender.write(bytes(3000))
    sender.take(1.0)
    first = sender.deadline
    sender.write(bytes(1000))
    sender.take(1.05)
    assert sender.deadline == first
    acknowledge(sender, 1000, 1.1)
    assert sender.deadline > first
    acknowledge(sender, 4000, 1.2)
    assert sender.deadline is None


def test_data_after_a_wait_for_window_has_a_timer_of_its_own(sender):
    """A window too small to use waits by a timer; what is sent when it opens is not timed by that one."""
    sender.set_peer_window(100)
    sender.write(bytes(1000))
    assert sender.take(1.0) == []
    waiting = sender.deadline
    sender.set_peer_window(5000)
    assert len(sender.take(waiting - 0.001)) == 1
    assert sender.deadline > waiting + 0.1


def test_a_window_too_small_is_used_after_the_timer(sender):
    """The override of RFC 9293 §3.8.6.2.1: better little than never."""
    sender.set_peer_window(100)
    sender.write(bytes(1000))
    assert sender.take(1.0) == []
    sender.expire(sender.deadline)
    assert [segment.length for segment in sender.take(2.0)] == [100]


def test_a_long_write_is_not_copied_for_every_segment(sender):
    """What waits is a view of the first write."""
    sender.write(bytes(100_000))
    sender.take(1.0)
    assert isinstance(sender._queue[0][0], memoryview)
    acknowledge(sender, 10_000, 1.1)
    assert all(isinstance(segment.payload, bytes) for segment in sender.take(1.1))


class TestRoundTrips:
    """RFC 6298, numbers by hand."""

    def test_first_sample(self):
        timeout = RetransmissionTimeout(CONFIG)
        timeout.sample(0.4)
        assert timeout.seconds == pytest.approx(0.4 + 4 * 0.2)

    def test_second_sample(self):
        timeout = RetransmissionTimeout(CONFIG)
        timeout.sample(0.4)
        timeout.sample(0.2)
        assert timeout.seconds == pytest.approx((0.875 * 0.4 + 0.125 * 0.2) + 4 * (0.75 * 0.2 + 0.25 * 0.2))

    def test_the_variance_term_has_a_floor(self):
        timeout = RetransmissionTimeout(CONFIG)
        for _ in range(100):
            timeout.sample(0.05)
        assert timeout.seconds == pytest.approx(0.05 + 0.2)

    def test_the_timeout_has_a_ceiling(self):
        timeout = RetransmissionTimeout(CONFIG)
        for _ in range(200):
            timeout.back_off()
        assert timeout.seconds == 120.0

    def test_a_retransmitted_segment_gives_no_sample(self, sender):
        """Karn: nobody knows which transmission was acknowledged."""
        sender.write(b"x")
        sender.take(1.0)
        before = sender._timeout.seconds
        sender.expire(1.5)
        sender.take(1.5)
        acknowledge(sender, 1, 9.0)
        assert sender._timeout.seconds == before


class TestCongestionWindow:
    """RFC 5681, RFC 6582, numbers by hand."""

    @pytest.fixture
    def reno(self):
        return NewReno(MSS, 10)

    def test_slow_start_adds_what_was_acknowledged_up_to_a_segment(self, reno):
        reno.acknowledged(300, 300)
        reno.acknowledged(2000, 2300)
        assert reno.window == 10_000 + 300 + 1000

    def test_congestion_avoidance_adds_a_segment_a_round_trip(self, reno):
        reno.threshold = 10_000
        for number in range(10):
            reno.acknowledged(1000, 1000 * number)
        assert 10_900 < reno.window <= 11_000

    def test_three_duplicates_halve_the_window(self, reno):
        answers = [reno.duplicate(8000, 0, 8000) for _ in range(4)]
        assert answers == [False, False, True, False]
        assert (reno.threshold, reno.window) == (4000, 4000 + 3000 + 1000)
        assert not reno.acknowledged(8000, 8000)
        assert (reno.window, reno.in_recovery) == (4000, False)

    def test_a_partial_acknowledgement_means_another_loss(self, reno):
        for _ in range(3):
            reno.duplicate(8000, 0, 8000)
        assert reno.acknowledged(2000, 2000)
        assert reno.in_recovery

    def test_a_timeout_falls_back_to_one_segment(self, reno):
        reno.timed_out(8000, 8000, again=False)
        assert (reno.threshold, reno.window) == (4000, 1000)
        reno.timed_out(8000, 8000, again=True)
        assert reno.threshold == 4000, "the same loss does not halve it twice"

    def test_duplicates_of_what_a_timeout_sent_again_mean_nothing(self, reno):
        reno.timed_out(8000, 8000, again=False)
        assert not any(reno.duplicate(8000, 4000, 8000) for _ in range(5))
        assert reno.window == 1000
