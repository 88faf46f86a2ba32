"""Reassembly: whatever pieces arrive, in whatever order, what is read is the stream."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.sim.tcp.config import TcpConfig
from lab.sim.tcp.receiver import TcpReceiver
from lab.sim.tcp.segment import from_wire, to_wire, trim_front

STREAM = bytes(range(251)) * 40
START = 1001


def receiver(**settings):
    made = TcpReceiver(TcpConfig(**settings), 1000)
    made.start(START - 1)
    return made


def feed(into, begin, end, *, fin=False, now=0.0):
    into.receive(START + begin, STREAM[begin:end], end - begin, fin=fin, now=now)


@given(
    pieces=st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 3000)), max_size=25),
    read_between=st.booleans(),
)
@settings(deadline=None)
def test_overlapping_pieces_in_any_order_make_the_stream(pieces, read_between):
    """Pieces may repeat, overlap on either side, or lie within others, as after a smaller path MTU."""
    into, read, covered = receiver(), b"", set()
    for begin, length in pieces:
        end = min(begin + length, len(STREAM))
        feed(into, begin, end)
        covered |= set(range(begin, end))
        if read_between:
            read += into.read()
        reached = next((n for n in range(len(STREAM) + 1) if n not in covered), 0)
        assert into.next == START + reached
    read += into.read()
    assert read == STREAM[: len(read)]
    assert len(read) == into.next - START


def test_a_longer_piece_replaces_a_shorter_one_that_waits():
    into = receiver()
    feed(into, 1000, 1500)
    feed(into, 1000, 2500)
    feed(into, 0, 1000)
    assert into.read() == STREAM[:2500]


def test_a_fin_counts_only_when_everything_before_it_is_there():
    into = receiver()
    feed(into, 100, 200, fin=True)
    assert not into.finished
    feed(into, 0, 100)
    assert into.finished
    assert into.next == START + 200 + 1


def test_what_is_out_of_order_is_acknowledged_at_once():
    into = receiver()
    feed(into, 100, 200)
    assert into.acknowledge_now
    assert into.deadline is None


def test_what_fills_a_gap_is_acknowledged_at_once():
    """The sender waits for it (RFC 5681 §4.2)."""
    into = receiver()
    feed(into, 100, 200)
    into.acknowledged()
    feed(into, 0, 100)
    assert into.acknowledge_now


def test_a_repeated_piece_is_acknowledged_at_once():
    """Or its sender would repeat it for ever."""
    into = receiver()
    feed(into, 0, 100)
    into.acknowledged()
    feed(into, 0, 100)
    assert into.acknowledge_now


def test_the_right_edge_of_the_window_never_moves_back():
    into = receiver(receive_buffer=3000)
    edge = START + 3000
    for begin in range(0, 3000, 500):
        feed(into, begin, begin + 500)
        into.acknowledged()
        assert into.next + into.window == edge
    assert into.window == 0


def test_a_closed_window_opens_when_a_segment_fits_and_says_so():
    into = receiver(receive_buffer=3000)
    feed(into, 0, 3000)
    into.acknowledged()
    into.read()
    assert into.acknowledge_now
    into.acknowledged()
    assert into.window == 3000


def test_padding_comes_before_the_payload():
    """So that the last byte comes with the last segment; trimming takes the padding first."""
    assert trim_front(b"real", 10, 6) == (b"real", 4)
    assert trim_front(b"real", 10, 7) == (b"eal", 3)
    assert trim_front(b"real", 10, 2) == (b"real", 8)


@given(number=st.integers(0, 2**40), distance=st.integers(-(2**31), 2**31 - 1))
def test_sequence_numbers_unwrap_to_the_nearest(number, distance):
    assert from_wire(to_wire(number + distance), number) == number + distance
