"""The TCP state machine between two ends of a wire, in explicit time. Ladders show what crossed the wire.

A rung reads ``time sender flags sequence:acknowledgement length``, numbers relative to the initial ones.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.sim.tcp.config import TcpConfig, TcpFailure
from lab.sim.tcp.connection import TcpConnection
from lab.sim.tcp.segment import ACK, FIN, PSH, RST, SYN, Segment, answer_closed, to_wire
from lab.sim.tcp.state import TcpState
from nat_models.packet import IcmpType

NAMES = {SYN: "SYN", FIN: "FIN", RST: "RST", ACK: "ACK"}
CONFIG = TcpConfig(mss_ipv4=1000)
DELAY = 0.05


class Wire:
    """Connections ``a`` and ``b``, ``delay`` seconds apart.

    ``fate`` gives the delays of the copies of a sender's nth packet (none: lost). Everything that the ends
    named in ``mute`` send is lost.
    """

    def __init__(self, *, config=CONFIG, fate=None, mute="", sequences=(1000, 5000), listening=True):
        self.now = 0.0
        self.config = config
        self.fate = fate
        self.mute = mute
        self.sequences = dict(zip("ab", sequences, strict=True))
        self.connections = {"a": self.connection("a")}
        self.listening = listening
        self.received = {"a": b"", "b": b""}
        self.ended = {"a": False, "b": False}
        self.paused = set()
        self.ladder = []
        self.sent = {"a": 0, "b": 0}
        self._queue = []
        self._order = itertools.count()

    def connection(self, name):
        return TcpConnection(self.config, self.config.mss_ipv4, self.sequences[name])

    @property
    def a(self):
        return self.connections["a"]

    @property
    def b(self):
        return self.connections["b"]

    def open(self, name="a"):
        if name not in self.connections:
            self.connections[name] = self.connection(name)
        self.connections[name].open()
        self.pump(name)
        return self

    def connect(self):
        self.open()
        self.run(self.now + 4 * DELAY)
        assert self.a.state is self.b.state is TcpState.ESTABLISHED
        self.ladder.clear()
        return self

    def do(self, name, action, *args):
        getattr(self.connections[name], action)(*args)
        self.pump(name)

    def write(self, name, data, charged=None):
        self.do(name, "write", data, charged)

    def pump(self, name):
        connection = self.connections[name]
        if connection.receiver.unread and name not in self.paused:
            self.received[name] += connection.receiver.read()
        self.ended[name] = self.ended[name] or connection.receiver.finished
        for segment in connection.segments_to_send(self.now):
            self.transmit(name, segment)

    def transmit(self, name, segment):
        number, self.sent[name] = self.sent[name], self.sent[name] + 1
        fates = self.fate(name, number) if self.fate else [DELAY]
        if name in self.mute:
            fates = []
        self.ladder.append(self.rung(name, segment) + ("" if fates else " lost"))
        for delay in fates:
            heapq.heappush(
                self._queue, (self.now + delay, next(self._order), "b" if name == "a" else "a", segment)
            )

    def rung(self, name, segment):
        other = "b" if name == "a" else "a"
        flags = "+".join(text for bit, text in NAMES.items() if segment.flags & bit)
        sequence = to_wire(segment.sequence - self.sequences[name])
        acknowledged = to_wire(segment.acknowledgement - self.sequences[other]) if segment.flags & ACK else 0
        return f"{self.now:.3f} {name} {flags} {sequence}:{acknowledged} {segment.length}"

    def arrive(self, name, segment):
        if name not in self.connections and self.listening and segment.flags & (SYN | ACK | RST) == SYN:
            self.connections[name] = self.connection(name)
            self.connections[name].accept(segment)
        elif name in self.connections and self.connections[name].state is not TcpState.CLOSED:
            self.connections[name].receive(segment, self.now)
        else:
            answer = answer_closed(segment)
            if answer is not None:
                self.transmit(name, answer)
            return
        self.pump(name)

    def next_event(self):
        wakes = [(when, name) for name, c in self.connections.items() if (when := c.next_wake()) is not None]
        first = min(wakes, default=None)
        if self._queue and (first is None or self._queue[0][0] <= first[0]):
            return self._queue[0][0], None
        return first

    def run(self, until=1e9):
        for _ in range(20_000):
            event = self.next_event()
            if event is None or event[0] > until:
                self.now = max(self.now, min(until, 1e9)) if until < 1e9 else self.now
                return self
            when, name = event
            assert when >= self.now
            self.now = when
            if name is None:
                _, _, receiver, segment = heapq.heappop(self._queue)
                self.arrive(receiver, segment)
            else:
                self.connections[name].wake(self.now)
                self.pump(name)
        raise AssertionError("the two ends answer each other for ever")


def losing(*lost):
    """Lose the packets given as (sender, number); everything else takes 50 ms."""

    def fate(sender, number):
        return [] if (sender, number) in lost else [DELAY]

    return fate


def drawn(fates):
    """Give the nth packets of both senders the nth fate; after those drawn the wire is clean."""

    def fate(_sender, number):
        return fates[number] if number < len(fates) else [DELAY]

    return fate


# Opening


def test_three_way_handshake():
    assert Wire().open().run(1).ladder == ["0.000 a SYN 0:0 0", "0.050 b SYN+ACK 0:1 0", "0.100 a ACK 1:1 0"]


def test_syn_to_a_closed_port_is_refused():
    wire = Wire(listening=False).open().run()
    assert wire.ladder == ["0.000 a SYN 0:0 0", f"0.050 b RST+ACK {to_wire(-5000)}:1 0"]
    assert wire.a.failure is TcpFailure.REFUSED


def test_syn_backs_off_and_gives_up_after_127_seconds():
    wire = Wire(mute="ab").open().run()
    assert [float(rung.split()[0]) for rung in wire.ladder] == [0, 1, 3, 7, 15, 31, 63]
    assert (wire.now, wire.a.failure) == (127.0, TcpFailure.TIMED_OUT)


def test_unanswered_syn_ack_gives_up_after_63_seconds():
    wire = Wire(mute="b").open().run(0.04)
    wire.mute = "ab"
    wire.run()
    assert sum("SYN+ACK" in rung for rung in wire.ladder) == 6
    assert wire.b.state is TcpState.CLOSED


def test_lost_syn_ack_is_repeated_when_the_syn_comes_again():
    wire = Wire(config=replace(CONFIG, initial_rto=1.0), fate=losing(("b", 0))).open().run(5)
    assert wire.ladder[:4] == [
        "0.000 a SYN 0:0 0",
        "0.050 b SYN+ACK 0:1 0 lost",
        "1.000 a SYN 0:0 0",
        "1.050 b SYN+ACK 0:1 0",
    ]
    assert wire.a.state is wire.b.state is TcpState.ESTABLISHED


def test_a_syn_that_comes_again_is_answered_at_once():
    """Its sender did not hear the SYN-ACK; waiting for the own timer would double the delay."""
    wire = Wire().open().run(0.06)
    wire.ladder.clear()
    wire.b.receive(Segment(SYN, 1000, 0, 65535), wire.now)
    wire.pump("b")
    assert wire.ladder == ["0.060 b SYN+ACK 0:1 0"]


def test_data_completes_a_handshake_whose_last_acknowledgement_was_lost():
    wire = Wire(fate=losing(("a", 1))).open().run(0.1)
    wire.write("a", b"hello")
    wire.run(0.2)
    assert wire.b.state is TcpState.ESTABLISHED
    assert wire.received["b"] == b"hello"


def test_simultaneous_open_makes_one_connection():
    """Both ends send a SYN before either arrives: what hole punching does (RFC 9293 §3.5, RFC 5382 REQ-2)."""
    wire = Wire().open("a").open("b").run(1)
    assert wire.ladder == [
        "0.000 a SYN 0:0 0",
        "0.000 b SYN 0:0 0",
        "0.050 b SYN+ACK 0:1 0",
        "0.050 a SYN+ACK 0:1 0",
    ]
    assert wire.a.state is wire.b.state is TcpState.ESTABLISHED
    wire.write("a", b"from a")
    wire.write("b", b"from b")
    wire.run(2)
    assert wire.received == {"a": b"from b", "b": b"from a"}


def test_simultaneous_open_survives_the_loss_of_one_syn():
    """The other SYN is answered by a SYN-ACK, as in an ordinary handshake."""
    wire = Wire(fate=losing(("a", 0))).open("a").open("b").run(10)
    assert wire.a.state is wire.b.state is TcpState.ESTABLISHED


def test_acknowledgement_of_something_never_sent_is_reset_while_connecting():
    """An old connection's segment cannot complete a handshake (RFC 9293 §3.10.7.3)."""
    wire = Wire().open()
    wire.a.receive(Segment(SYN | ACK, 77, to_wire(1000 + 500), 65535), 0.01)
    wire.pump("a")
    assert wire.ladder[-1] == "0.000 a RST 500:0 0"
    assert wire.a.state is TcpState.SYN_SENT


# Data


def test_the_answer_carries_the_acknowledgement():
    wire = Wire().connect()
    start = wire.now
    wire.write("a", b"question")
    wire.run(start + 0.06)
    wire.write("b", b"answer")
    wire.run(start + 1)
    assert [rung.split(" ", 1)[1] for rung in wire.ladder] == ["a ACK 1:1 8", "b ACK 1:9 6", "a ACK 9:7 0"]


def test_an_acknowledgement_with_nothing_to_ride_on_waits_40_ms():
    wire = Wire().connect()
    start = wire.now
    wire.write("a", b"x")
    wire.run(start + 1)
    assert wire.ladder[-1] == f"{start + 0.05 + 0.04:.3f} b ACK 1:2 0"


def test_every_second_full_segment_is_acknowledged_at_once():
    wire = Wire().connect()
    start = wire.now
    wire.write("a", bytes(4000))
    wire.run(start + 0.05)
    assert [rung.split(" ", 2)[2] for rung in wire.ladder if " b " in rung] == [
        "ACK 1:2001 0",
        "ACK 1:4001 0",
    ]


def test_the_first_flight_is_ten_segments():
    """RFC 6928; the next one is larger by what was acknowledged (slow start, RFC 5681 §3.1)."""
    wire = Wire().connect()
    start = wire.now
    wire.write("a", bytes(40_000))
    assert len(wire.ladder) == 10
    wire.run(start + 0.1)
    assert sum(" a " in rung for rung in wire.ladder) == 10 + 5 + 10


def test_a_lost_segment_is_sent_again_after_three_duplicates():
    """Within one round trip, long before any timeout (RFC 5681 §3.2)."""
    wire = Wire(fate=losing(("a", 4))).connect()
    start = wire.now
    wire.write("a", bytes(range(250)) * 40)
    wire.run(start + 0.16)
    assert wire.received["b"] == bytes(range(250)) * 40
    assert wire.ladder[2].endswith("2001:1 1000 lost")
    assert sum(" a ACK 2001:1 1000" in rung for rung in wire.ladder) == 2


def test_several_losses_in_a_flight_are_repaired_without_a_timeout():
    """One a round trip, by partial acknowledgements (NewReno, RFC 6582)."""
    wire = Wire(fate=losing(("a", 3), ("a", 5), ("a", 7))).connect()
    start = wire.now
    wire.write("a", bytes(10_000))
    while len(wire.received["b"]) < 10_000:
        wire.run(wire.now + 0.01)
    assert wire.now - start < 0.05 + 3 * 0.1 + 0.05


def test_a_loss_at_the_end_waits_for_the_timeout():
    wire = Wire(fate=losing(("a", 2))).connect()
    start = wire.now
    wire.write("a", b"last words")
    wire.run(start + 2)
    # Measured round trip 100 ms, variance term 4 · 50 ms: RTO 300 ms (RFC 6298 §2.2)
    assert wire.ladder[1].startswith(f"{start + 0.3:.3f} a ACK 1:1 10")
    assert wire.received["b"] == b"last words"


def test_data_begins_with_three_seconds_after_a_lost_syn():
    """RFC 6298 §5.7."""
    wire = Wire(fate=losing(("a", 0), ("a", 3))).open().run(2)
    wire.ladder.clear()
    wire.write("a", b"x")
    wire.run(10)
    assert [rung.split()[0] for rung in wire.ladder if " a " in rung] == ["2.000", "5.000"]


def test_a_black_hole_ends_the_connection_after_fifteen_retransmissions():
    """Doubling from the first timeout to 120 s; the first expiry past 924.6 s (Linux tcp_retries2)."""
    wire = Wire().connect()
    wire.mute = "ab"
    start = wire.now
    wire.write("a", b"anyone?")
    wire.run()
    times = [float(rung.split()[0]) - start for rung in wire.ladder]
    assert times[:5] == pytest.approx([0, 0.3, 0.9, 2.1, 4.5], abs=0.002)
    assert wire.a.failure is TcpFailure.TIMED_OUT
    assert 924.6 <= wire.now - start < 924.6 + 120


@pytest.mark.parametrize(("setting", "lower", "upper"), [
    ({"data_retries": 5}, 12.6, 26), ({"user_timeout": 10.0}, 10, 20),
])  # fmt: skip
def test_how_long_a_black_hole_lasts_is_configured(setting, lower, upper):
    wire = Wire(config=replace(CONFIG, **setting)).connect()
    wire.mute = "ab"
    start = wire.now
    wire.write("a", b"anyone?")
    wire.run()
    assert lower <= wire.now - start < upper


def test_the_stream_survives_the_wrap_of_sequence_numbers():
    wire = Wire(sequences=(2**32 - 3, 2**32 - 1)).connect()
    data = bytes(range(256)) * 100
    wire.write("a", data)
    wire.write("b", data)
    wire.run(wire.now + 5)
    assert wire.received == {"a": data, "b": data}


# Windows


def test_a_reader_that_pauses_stops_the_writer_and_starts_it_again():
    wire = Wire().connect()
    wire.paused.add("b")
    data = bytes(range(256)) * 1000
    wire.write("a", data)
    wire.run(wire.now + 30)
    assert wire.b.receiver.unread == CONFIG.receive_buffer
    assert not wire.b.receiver.window
    wire.paused.clear()
    wire.pump("b")
    wire.run(wire.now + 5)
    assert wire.received["b"] == data


def test_a_closed_window_is_probed_and_a_lost_window_update_does_not_hang():
    """RFC 9293 §3.8.6.1: without probes both ends would wait for ever."""
    wire = Wire().connect()
    wire.paused.add("b")
    wire.write("a", bytes(100_000))
    wire.run(wire.now + 5)
    wire.mute = "b"
    wire.paused.clear()
    wire.pump("b")  # this window update is lost
    wire.run(wire.now + 0.2)
    wire.mute = ""
    wire.run(wire.now + 20)
    assert len(wire.received["b"]) == 100_000


def test_probes_that_are_answered_go_on_for_ever():
    wire = Wire().connect()
    wire.paused.add("b")
    wire.write("a", bytes(70_000))
    wire.run(wire.now + 5000)
    assert wire.a.state is TcpState.ESTABLISHED
    assert len(wire.ladder) < 200, "and cost two packets each two minutes"


def test_no_segment_is_sent_for_a_sliver_of_window():
    """Silly window avoidance, both sides (RFC 9293 §3.8.6.2)."""
    wire = Wire(config=replace(CONFIG, receive_buffer=5500)).connect()
    wire.write("a", bytes(50_000))
    wire.run(wire.now + 10)
    sizes = [int(rung.split()[-1]) for rung in wire.ladder if " a " in rung]
    assert all(size == 1000 for size in sizes)


# Closing


def test_half_close_lets_the_other_side_finish():
    wire = Wire().connect()
    wire.do("a", "shutdown")
    wire.run(wire.now + 1)
    assert wire.ended["b"]
    assert (wire.a.state, wire.b.state) == (TcpState.FIN_WAIT_2, TcpState.CLOSE_WAIT)
    wire.write("b", b"still talking")
    wire.do("b", "shutdown")
    wire.run(wire.now + 1)
    assert wire.received["a"] == b"still talking"
    assert (wire.a.state, wire.b.state) == (TcpState.TIME_WAIT, TcpState.CLOSED)


def test_the_fin_rides_on_the_last_data():
    wire = Wire().connect()
    wire.a.write(b"bye")
    wire.do("a", "shutdown")
    assert [rung.split(" ", 1)[1] for rung in wire.ladder] == ["a FIN+ACK 1:1 3"]


def test_the_side_that_closes_first_waits_60_seconds():
    wire = Wire().connect()
    start = wire.now
    wire.do("a", "close", wire.now)
    wire.run(start + 0.06)
    wire.do("b", "close", wire.now)
    wire.run()
    assert wire.b.state is wire.a.state is TcpState.CLOSED
    assert wire.a.failure is wire.b.failure is None
    assert wire.now == pytest.approx(start + 0.06 + 0.05 + 60)


def test_simultaneous_close_ends_both_sides():
    wire = Wire().connect()
    wire.do("a", "shutdown")
    wire.do("b", "shutdown")
    wire.run(wire.now + 1)
    assert wire.a.state is wire.b.state is TcpState.TIME_WAIT


def test_a_lost_fin_is_sent_again():
    wire = Wire(fate=losing(("a", 2))).connect()
    wire.do("a", "shutdown")
    wire.run(wire.now + 2)
    assert wire.ended["b"]


def test_time_wait_answers_a_repeated_fin():
    """The acknowledgement of b's FIN is lost; b sends it again and is heard."""
    wire = Wire(fate=losing(("a", 3))).connect()
    wire.do("a", "shutdown")
    wire.run(wire.now + 0.06)
    wire.do("b", "shutdown")
    wire.run(wire.now + 3)
    assert wire.b.state is TcpState.CLOSED


def test_a_repeated_fin_starts_the_minute_again():
    """RFC 9293 §3.10.7.4: the peer's FIN is acknowledged once more, and once more waited out."""
    wire = Wire().connect()
    wire.do("a", "shutdown")
    wire.run(wire.now + 0.06)
    wire.do("b", "shutdown")
    wire.run(wire.now + 30)
    wire.ladder.clear()
    wire.mute = "a"
    wire.arrive("a", Segment(FIN | ACK, 5001, 1002, 65535))
    assert [rung.split(" ", 1)[1] for rung in wire.ladder] == ["a ACK 2:2 0 lost"]
    wire.run(wire.now + 59)
    assert wire.a.state is TcpState.TIME_WAIT
    wire.run(wire.now + 2)
    assert wire.a.state is TcpState.CLOSED


def test_a_peer_that_never_closes_is_forgotten_after_60_seconds():
    """Only when the program has gone: a half-closed connection may live for ever."""
    wire = Wire().connect()
    wire.do("a", "close", wire.now)
    wire.run(wire.now + 59)
    assert wire.a.state is TcpState.FIN_WAIT_2
    wire.run(wire.now + 2)
    assert wire.a.state is TcpState.CLOSED


def test_a_half_closed_connection_is_forgotten_60_seconds_after_its_program_has_gone():
    wire = Wire().connect()
    wire.do("a", "shutdown")
    wire.run(wire.now + 1000)
    assert wire.a.state is TcpState.FIN_WAIT_2
    wire.do("a", "close", wire.now)
    wire.run(wire.now + 61)
    assert wire.a.state is TcpState.CLOSED


def test_data_left_by_a_program_that_has_gone_is_retransmitted_for_less_long():
    """102.2 s instead of 924.6 s (Linux tcp_orphan_retries)."""
    wire = Wire().connect()
    wire.mute = "ab"
    start = wire.now
    wire.write("a", b"bye")
    wire.do("a", "close", wire.now)
    wire.run()
    assert 102.2 <= wire.now - start < 210


def test_data_for_a_program_that_has_gone_is_reset():
    wire = Wire().connect()
    wire.do("a", "close", wire.now)
    wire.write("b", b"too late")
    wire.run(wire.now + 1)
    assert wire.b.failure is TcpFailure.RESET


def test_closing_with_unread_data_resets():
    """The peer must learn that its data was not read (RFC 2525 §2.17)."""
    wire = Wire().connect()
    wire.paused.add("a")
    wire.write("b", b"unread")
    wire.run(wire.now + 1)
    wire.do("a", "close", wire.now)
    wire.run(wire.now + 1)
    assert wire.b.failure is TcpFailure.RESET


def test_abort_resets_the_peer():
    wire = Wire().connect()
    wire.do("a", "abort")
    wire.run(wire.now + 1)
    assert (wire.a.failure, wire.b.failure) == (None, TcpFailure.RESET)


def test_a_half_open_connection_is_found_out():
    """One end lost its memory: the other's next segment is answered by a reset (RFC 9293 §3.5.1)."""
    wire = Wire().connect()
    del wire.connections["b"]
    wire.listening = False
    wire.write("a", b"are you there?")
    wire.run(wire.now + 1)
    assert wire.a.failure is TcpFailure.RESET


# Attacks and accidents


@pytest.mark.parametrize("offset", [1, 1000, 65534])
def test_a_reset_that_is_not_exactly_next_is_challenged(offset):
    """RFC 5961 §3.2."""
    wire = Wire().connect()
    wire.arrive("b", Segment(RST, to_wire(1001 + offset)))
    assert wire.b.state is TcpState.ESTABLISHED
    assert wire.ladder[-1].endswith("b ACK 1:1 0")


def test_a_reset_outside_the_window_is_ignored():
    wire = Wire().connect()
    wire.arrive("b", Segment(RST, to_wire(1001 + 70_000)))
    wire.arrive("b", Segment(RST, to_wire(900)))
    assert wire.b.state is TcpState.ESTABLISHED
    assert not wire.ladder


def test_a_syn_on_an_open_connection_is_challenged():
    """RFC 5961 §4.2."""
    wire = Wire().connect()
    wire.arrive("b", Segment(SYN, 1500, 0, 65535))
    assert wire.b.state is TcpState.ESTABLISHED
    assert wire.ladder[-1].endswith("b ACK 1:1 0")


def test_an_acknowledgement_of_what_was_never_sent_is_challenged():
    """RFC 9293 §3.10.7.4, fifth check."""
    wire = Wire().connect()
    wire.write("b", b"abc")
    wire.arrive("b", Segment(ACK, 1001, 5001 + 4, 65535))
    assert wire.b.sender.unacknowledged == 3
    assert wire.ladder[-1].endswith("b ACK 4:1 0")


def test_an_old_segment_does_not_set_the_window():
    """SND.WL1 and SND.WL2 of RFC 9293 §3.10.7.4: only newer segments speak of the window."""
    wire = Wire().connect()
    wire.arrive("b", Segment(ACK, 1101, 5001, 40_000, b"overtook", 8))
    wire.arrive("b", Segment(ACK, 1001, 5001, 7, b"late", 4))
    assert wire.b.sender.peer_window == 40_000


def test_desynchronised_ends_do_not_answer_each_other_for_ever():
    """Each finds the other's acknowledgement unacceptable; two answers a second at most (RFC 5961 §10)."""
    wire = Wire().connect()
    wire.b.sender.first += 100_000
    wire.b.sender.next += 100_000
    wire.b.receiver.acknowledge_now = True
    wire.pump("b")
    wire.run(wire.now + 10)
    assert len(wire.ladder) < 60


# ICMP


@pytest.mark.parametrize(("kind", "failure"), [
    (IcmpType.PORT_UNREACHABLE, TcpFailure.REFUSED),
    (IcmpType.HOST_UNREACHABLE, TcpFailure.HOST_UNREACHABLE),
    (IcmpType.NETWORK_UNREACHABLE, TcpFailure.NETWORK_UNREACHABLE),
    (IcmpType.ADMINISTRATIVELY_PROHIBITED, TcpFailure.HOST_UNREACHABLE),
    (IcmpType.TIME_EXCEEDED, TcpFailure.HOST_UNREACHABLE),
])  # fmt: skip
def test_an_icmp_error_ends_a_connection_attempt(kind, failure):
    wire = Wire(mute="ab").open()
    wire.a.icmp_error(kind, 1000, 0)
    assert (wire.a.state, wire.a.failure) == (TcpState.CLOSED, failure)


def test_an_icmp_error_never_ends_an_open_connection():
    """It becomes the reason if the connection times out (RFC 5461 §4; RFC 5382 REQ-10)."""
    wire = Wire().connect()
    wire.mute = "ab"
    wire.write("a", b"x")
    wire.a.icmp_error(IcmpType.HOST_UNREACHABLE, 1001, 0)
    assert wire.a.state is TcpState.ESTABLISHED
    wire.run()
    assert wire.a.failure is TcpFailure.HOST_UNREACHABLE


def test_an_icmp_hint_is_forgotten_once_the_path_works_again():
    wire = Wire().connect()
    wire.write("a", b"x")
    wire.a.icmp_error(IcmpType.HOST_UNREACHABLE, 1001, 0)
    wire.run(wire.now + 1)
    wire.mute = "ab"
    wire.write("a", b"y")
    wire.run()
    assert wire.a.failure is TcpFailure.TIMED_OUT


def test_an_icmp_error_about_something_not_in_flight_is_a_forgery():
    """RFC 5927 §4."""
    wire = Wire(mute="ab").open()
    wire.a.icmp_error(IcmpType.PORT_UNREACHABLE, 999, 0)
    wire.a.icmp_error(IcmpType.PORT_UNREACHABLE, 1001, 0)
    assert wire.a.state is TcpState.SYN_SENT


def test_fragmentation_needed_cuts_what_is_in_flight_smaller():
    """RFC 1191 §6.3: segments too big for the path are sent again, in pieces that fit."""
    data = bytes(range(250)) * 12
    wire = Wire().connect()
    wire.mute = "a"
    wire.write("a", data)
    wire.mute = ""
    wire.a.icmp_error(IcmpType.FRAGMENTATION_NEEDED, 1001, 600)
    wire.pump("a")
    wire.run(wire.now + 1)
    assert wire.received["b"] == data
    assert {int(rung.split()[4]) for rung in wire.ladder if " a " in rung and "lost" not in rung} <= {
        600,
        400,
    }


# Keep-alive


def test_keepalives_find_a_dead_peer():
    config = replace(CONFIG, keepalive_idle=100.0, keepalive_interval=10.0, keepalive_probes=3)
    wire = Wire(config=config).connect()
    wire.run(wire.now + 1000)
    assert wire.a.state is TcpState.ESTABLISHED, "answered keep-alives keep it alive"
    wire.mute = "ab"
    start = wire.now
    wire.run(start + 200)
    assert wire.a.failure is TcpFailure.TIMED_OUT


def test_keepalives_do_not_cut_retransmission_short():
    config = replace(CONFIG, keepalive_idle=10.0, keepalive_interval=1.0, keepalive_probes=3)
    wire = Wire(config=config).connect()
    wire.mute = "ab"
    start = wire.now
    wire.write("a", b"x")
    wire.run(start + 900)
    assert wire.a.state is TcpState.ESTABLISHED


def test_an_idle_connection_costs_nothing():
    wire = Wire().connect()
    assert wire.a.next_wake() is None
    assert wire.b.next_wake() is None


# Charged lengths


@given(real=st.lists(st.integers(1, 3000), min_size=1, max_size=6), spare=st.integers(0, 600))
@settings(deadline=None)
def test_what_crosses_the_wire_and_when_depends_on_the_charged_length_alone(real, spare):
    """Shrink the payload under a fixed charge, and no time or size changes: so TLS can be repeatable."""
    ladders = []
    for payloads in (real, [max(1, size - spare) for size in real]):
        wire = Wire(fate=losing(("a", 3), ("b", 4))).connect()
        data = [bytes([n]) * size for n, size in enumerate(payloads)]
        for piece, charged in zip(data, real, strict=True):
            wire.write("a", piece, charged)
        wire.do("a", "shutdown")
        wire.run(wire.now + 100)
        assert wire.received["b"] == b"".join(data)
        ladders.append(wire.ladder)
    assert ladders[0] == ladders[1]


def test_the_last_byte_of_a_padded_write_comes_with_its_last_segment():
    """So the moment at which the receiver has everything does not depend on how much padding there is."""
    wire = Wire().connect()
    wire.write("a", b"x" * 10, 2000)
    payloads = [segment.payload for _, _, _, segment in sorted(wire._queue)]
    assert payloads == [b"", b"x" * 10]


# Properties


@given(
    data=st.binary(min_size=1, max_size=40_000),
    pieces=st.integers(1, 7),
    fates=st.lists(st.lists(st.floats(0.01, 0.5), max_size=2), max_size=40),
    drain=st.booleans(),
)
@settings(deadline=None, max_examples=120)
def test_a_stream_arrives_intact_and_in_order_or_the_connection_fails(data, pieces, fates, drain):
    """Whatever is lost, reordered or duplicated: never wrong data; and once the wire is clean, all of it."""
    wire = Wire(fate=drawn(fates))
    wire.open()
    step = -(-len(data) // pieces)
    for start in range(0, len(data), step):
        wire.write("a", data[start : start + step])
        if not drain:
            wire.run(wire.now + 0.03)
    wire.do("a", "shutdown")
    wire.run(wire.now + 2000)
    assert data.startswith(wire.received["b"])
    if wire.a.failure is None:
        assert wire.received["b"] == data
        assert wire.ended["b"]
    else:
        assert wire.a.failure in {TcpFailure.TIMED_OUT, TcpFailure.RESET, TcpFailure.REFUSED}


@given(
    segments=st.lists(
        st.builds(
            Segment,
            flags=st.integers(0, 31),
            sequence=st.one_of(st.integers(0, 2**32 - 1), st.integers(900, 1100), st.integers(4900, 5100)),
            acknowledgement=st.one_of(
                st.integers(0, 2**32 - 1), st.integers(900, 1100), st.integers(4900, 5100)
            ),
            window=st.integers(0, 70_000),
            payload=st.just(b"abc"),
            length=st.integers(3, 9),
        ),
        max_size=12,
    ),
    open_first=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_no_segment_whatever_it_says_breaks_the_state_machine(segments, open_first):
    """Hostile peers get resets and challenges, not exceptions, endless answers or timers in the past."""
    wire = Wire()
    wire.open()
    if open_first:
        wire.run(1)
        wire.write("a", bytes(3000))
    for segment in segments:
        wire.arrive("a", segment)
    wire.do("a", "shutdown")
    wire.run(wire.now + 5000)


def test_a_push_flag_marks_data():
    wire = Wire().connect()
    wire.write("a", b"x")
    assert wire._queue[0][3].flags == PSH | ACK
