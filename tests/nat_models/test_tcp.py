"""RFC 5382: sessions, timers, simultaneous open, and SYNs that nobody asked for."""

import pytest

from nat_models import Side, model_for
from nat_models.packet import IcmpType, TcpFlag

HOST, R1, R2 = ("10.0.0.2", 5000), ("198.51.100.7", 443), ("198.51.100.8", 443)
SYN, ACK, FIN, RST = TcpFlag.SYN, TcpFlag.ACK, TcpFlag.FIN, TcpFlag.RST
OUT, IN = Side.INSIDE, Side.OUTSIDE
HOLD = 6.0


class Session:
    """One TCP connection through a box, as segments with flags alone."""

    def __init__(self, box, internal=HOST, remote=R1):
        self.box, self.internal, self.remote = box, internal, remote
        self.external = None

    def out(self, flags):
        outcome = self.box.segment(self.internal, self.remote, flags, OUT)
        if outcome.reason:
            return False
        self.external = outcome.packets[0].packet.source
        return True

    def into(self, flags):
        outcome = self.box.segment(self.remote, self.external, flags, IN)
        return not outcome.reason and outcome.packets[0].packet.destination == self.internal

    def connect(self):
        assert self.out(SYN)
        assert self.into(SYN | ACK)
        assert self.out(ACK)
        return self


@pytest.fixture
def box(bench):
    return bench("port-restricted")


def test_a_handshake_passes_and_a_stranger_does_not(box):
    session = Session(box).connect()
    assert box.segment(R2, session.external, SYN | ACK, IN).packets == ()


@pytest.mark.parametrize(("idle", "alive"), [(7439, True), (7441, False)])
def test_an_established_session_lives_for_its_long_timer(box, idle, alive):
    session = Session(box).connect()
    box.wait(idle)
    assert session.into(ACK) is alive


@pytest.mark.parametrize(("idle", "alive"), [(239, True), (241, False)])
def test_a_session_that_is_opening_lives_for_its_short_timer(box, idle, alive):
    session = Session(box)
    session.out(SYN)
    box.wait(idle)
    assert session.into(SYN | ACK) is alive


def test_a_half_closed_session_stays_established(box):
    session = Session(box).connect()
    session.out(FIN | ACK)
    box.wait(3600)
    assert session.into(ACK)


@pytest.mark.parametrize(("idle", "alive"), [(239, True), (241, False)])
def test_a_session_closed_both_ways_lives_for_its_short_timer(box, idle, alive):
    session = Session(box).connect()
    session.out(FIN | ACK)
    session.into(FIN | ACK)
    session.out(ACK)
    box.wait(idle)
    assert session.into(ACK) is alive


def test_the_same_endpoints_may_connect_anew_after_closing(box):
    session = Session(box).connect()
    session.out(FIN | ACK)
    session.into(FIN | ACK)
    session.connect()
    box.wait(3600)
    assert session.into(ACK)


def test_a_mapping_lives_as_long_as_its_longest_session(box):
    one, other = Session(box, remote=R1).connect(), Session(box, remote=R2).connect()
    assert one.external == other.external
    one.out(FIN | ACK)
    one.into(FIN | ACK)
    box.wait(300)
    assert not one.into(ACK)
    assert other.into(ACK)


def test_simultaneous_open_passes_and_establishes(box):
    """Both SYNs cross; each side answers with SYN and ACK (RFC 5382 REQ-2a)."""
    session = Session(box)
    session.out(SYN)
    assert session.into(SYN)
    assert session.out(SYN | ACK)
    assert session.into(SYN | ACK)
    box.wait(7000)
    assert session.into(ACK)


def test_simultaneous_open_is_refused_by_a_box_that_does_not_know_it(bench):
    box = bench("port-restricted", tcp={"simultaneous_open": False})
    session = Session(box)
    session.out(SYN)
    assert not session.into(SYN)
    assert "simultaneous open" in box.last.reason
    assert session.into(SYN | ACK)


def test_a_reset_ends_a_session_at_once(box):
    session = Session(box).connect()
    assert session.into(RST)
    assert box.nat.mappings == ()
    assert not session.into(ACK)


def test_a_reset_may_end_a_session_late_and_a_segment_revives_it(bench):
    """RFC 7857 §2.2: the reset may have been forged."""
    box = bench("port-restricted", tcp={"rst_hold": "240s"})
    session = Session(box).connect()
    session.into(RST)
    box.wait(239)
    assert session.out(ACK)
    box.wait(7000)
    assert session.into(ACK)
    session.into(RST)
    box.wait(241)
    assert not session.into(ACK)


def test_a_reset_leaves_the_filter_open_for_other_sessions_with_the_same_address(bench):
    box = bench(model_for("eim", "adf"))
    one, other = Session(box, remote=R1).connect(), Session(box, remote=(R1[0], 8443)).connect()
    one.into(RST)
    assert other.into(ACK)
    assert not one.into(ACK)


def test_a_reset_leaves_the_filter_open_for_sessions_of_other_mappings(bench):
    box = bench(model_for("apdm", "adf", filter_scope="per-endpoint"))
    one, other = Session(box, remote=R1).connect(), Session(box, remote=(R1[0], 8443)).connect()
    assert one.external != other.external
    one.into(RST)
    assert other.into(ACK)


def test_a_segment_without_a_session_is_dropped(box):
    assert not Session(box).out(ACK)
    assert box.last.reason == "no TCP session with 198.51.100.7:443"


def test_a_box_that_picks_up_continues_sessions_after_a_reboot(bench):
    box = bench("linux-masquerade")
    session = Session(box).connect()
    box.nat.reboot(box.now)
    assert not session.into(ACK)
    assert session.out(ACK)
    assert session.into(ACK)


def test_an_inbound_connection_through_an_open_filter_is_a_session(bench):
    box = bench(model_for("eim", "eif"))
    Session(box, remote=R1).connect()
    caller = Session(box, remote=R2)
    caller.external = box.nat.mappings[0].external
    assert caller.into(SYN)
    assert caller.out(SYN | ACK)
    assert caller.into(ACK)
    box.wait(7000)
    assert caller.into(ACK)


@pytest.mark.parametrize("reuse", ["off", "inbound-first", "existing-flow-first"])
def test_a_segment_follows_its_session_whatever_reply_reuse_says(bench, reuse):
    box = bench(model_for("apdm", "eif", reply_reuse=reuse))
    first = Session(box, remote=R1).connect()
    caller = Session(box, remote=R2)
    caller.external = first.external
    assert caller.into(SYN)
    assert caller.out(SYN | ACK)
    assert caller.external == first.external


UNSOLICITED = (R2, ("203.0.113.1", 5000))


def test_an_unsolicited_syn_is_answered_after_six_seconds(bench):
    """RFC 5382 REQ-4."""
    box = bench("port-restricted", tcp={"unsolicited": "icmp-unreachable"})
    assert box.segment(*UNSOLICITED, SYN, IN).packets == ()
    assert box.last.reason.startswith("held: unsolicited SYN")
    assert box.nat.next_wake() == HOLD
    box.wait(5.9)
    assert box.nat.wake(box.now).packets == ()
    box.wait(0.1)
    (emission,) = box.nat.wake(box.now).packets
    assert emission.side is Side.OUTSIDE
    assert (emission.packet.icmp.type, emission.packet.destination) == (IcmpType.PORT_UNREACHABLE, (R2[0], 0))
    assert emission.packet.icmp.quoted.source == R2
    assert emission.packet.cause_id == 1


def test_a_retransmitted_syn_is_answered_once(bench):
    box = bench("port-restricted", tcp={"unsolicited": "icmp-unreachable"})
    for _ in range(3):
        box.segment(*UNSOLICITED, SYN, IN)
        box.wait(1)
    box.wait(HOLD)
    assert len(box.nat.wake(box.now).packets) == 1


def test_an_outbound_syn_cancels_the_held_one(bench):
    box = bench("port-restricted", tcp={"unsolicited": "icmp-unreachable"})
    box.segment(*UNSOLICITED, SYN, IN)
    session = Session(box, remote=R2)
    assert session.out(SYN)
    assert session.external == UNSOLICITED[1]
    box.wait(HOLD)
    assert box.nat.wake(box.now).packets == ()
    assert session.into(SYN)


def test_a_box_that_drops_stays_silent_for_ever(box):
    box.segment(*UNSOLICITED, SYN, IN)
    assert box.last.reason == "no mapping on port 5000"
    assert box.nat.next_wake() is None


def test_a_box_may_answer_at_once_with_a_reset(bench):
    box = bench("port-restricted", tcp={"unsolicited": "rst", "syn_hold": 0})
    (emission,) = box.segment(*UNSOLICITED, SYN, IN).packets
    assert emission.packet.tcp.flags == RST | ACK
    assert emission.packet.tcp.acknowledgement == 101
    assert (emission.packet.source, emission.packet.destination) == (UNSOLICITED[1], R2)
    (emission,) = box.segment(*UNSOLICITED, ACK, IN).packets
    assert (emission.packet.tcp.flags, emission.packet.tcp.sequence) == (RST, 200)
    assert box.segment(*UNSOLICITED, RST, IN).packets == ()


def test_the_memory_for_held_syns_is_bounded(bench):
    box = bench("port-restricted", tcp={"unsolicited": "icmp-unreachable"})
    for port in range(1, 1030):
        box.segment(("198.51.100.8", port), UNSOLICITED[1], SYN, IN)
    assert box.last.reason == "no mapping on port 5000"
    box.wait(HOLD)
    assert len(box.nat.wake(box.now).packets) == 1024


def test_tcp_maps_and_filters_by_its_own_axes(bench):
    box = bench("full-cone", tcp={"mapping": "apdm", "filtering": "apdf"})
    one, other = Session(box, remote=R1).connect(), Session(box, remote=R2).connect()
    assert one.external != other.external
    assert box.out(HOST, R1) == box.out(HOST, R2)
