"""RFC 4787 §4.3: when UDP state ends, what refreshes it, and what is said about it."""

import pytest

from nat_models import NatEventKind, model_for
from nat_models.packet import IpProtocol

HOST = ("10.0.0.2", 5000)
R1, R2, DNS = ("198.51.100.7", 3478), ("198.51.100.8", 3478), ("198.51.100.9", 53)


def box_with(bench, mapping="eim", filtering="eif", **lifetimes):
    return bench(model_for(mapping, filtering, lifetimes=lifetimes))


def test_a_mapping_lives_for_its_lifetime_and_not_a_moment_longer(bench):
    box = box_with(bench, udp="60s")
    external = box.out(HOST, R1)
    box.wait(59.999)
    assert box.into(R1, external) == HOST
    box.wait(0.001)
    assert box.into(R1, external) is None
    assert box.last.reason == "mapping expired 0 s earlier"


@pytest.mark.parametrize(
    ("refresh", "by_outbound", "by_inbound"),
    [("outbound", True, False), ("inbound", False, True), ("both", True, True)],
)
def test_refresh_direction_decides_which_packets_keep_a_mapping(bench, refresh, by_outbound, by_inbound):
    for send_out, kept in ((True, by_outbound), (False, by_inbound)):
        box = box_with(bench, udp="60s", udp_refresh=refresh)
        external = box.out(HOST, R1)
        box.wait(40)
        box.out(HOST, R1) if send_out else box.into(R1, external)
        box.wait(40)
        assert (box.into(R1, external) == HOST) is kept


def test_a_mapping_seen_one_way_ends_before_one_seen_both_ways(bench):
    box = box_with(bench, udp_unreplied="30s", udp="120s", udp_refresh="both")
    one_way, both_ways = box.out(HOST, R1), box.out(("10.0.0.2", 5001), R1)
    box.into(R1, both_ways)
    box.wait(31)
    assert box.into(R1, one_way) is None
    assert box.into(R1, both_ways) is not None


def test_a_flow_becomes_a_stream_only_when_it_is_still_active_after_a_while(bench):
    """Linux: an answered flow keeps 30 s until a packet comes 2 s or more after its first."""
    box = bench("linux-masquerade")
    external = box.out(HOST, R1)
    box.wait(1)
    box.into(R1, external)
    box.wait(30)
    assert box.into(R1, external) is None
    external = box.out(HOST, R1)
    box.wait(2)
    box.into(R1, external)
    box.wait(119)
    assert box.into(R1, external) == HOST


def test_a_destination_port_may_have_a_lifetime_of_its_own(bench):
    box = box_with(bench, "apdm", udp="300s", udp_by_port={53: "10s"})
    query, media = box.out(HOST, DNS), box.out(HOST, R1)
    box.wait(11)
    assert box.into(DNS, query) is None
    assert box.into(R1, media) == HOST


def test_a_short_lived_destination_does_not_shorten_a_mapping_it_shares(bench):
    box = box_with(bench, udp="300s", udp_by_port={53: "10s"})
    external = box.out(HOST, R1)
    box.out(HOST, DNS)
    box.wait(200)
    assert box.into(R1, external) == HOST


def test_filter_entries_age_one_by_one_within_a_living_mapping(bench):
    box = box_with(bench, filtering="apdf", udp="60s")
    external = box.out(HOST, R1)
    box.wait(40)
    assert box.out(HOST, R2) == external
    box.wait(30)
    assert box.into(R2, external) == HOST
    assert box.into(R1, external) is None
    assert box.last.reason == "filter: entry for 198.51.100.7:3478 expired 10 s earlier"
    box.out(HOST, R1)
    assert box.into(R1, external) == HOST


def test_a_new_remote_does_not_lengthen_a_mapping_that_only_inbound_packets_refresh(bench):
    box = box_with(bench, filtering="apdf", udp="60s", udp_refresh="inbound")
    external = box.out(HOST, R1)
    box.wait(40)
    box.out(HOST, R2)
    box.wait(30)
    assert box.into(R2, external) is None


def test_creation_and_expiry_are_events_with_the_time_they_happened(bench):
    box = box_with(bench, udp="60s")
    external = box.out(HOST, R1)
    (created,) = box.last.events
    assert (created.kind, created.time, created.protocol) == (NatEventKind.CREATED, 0.0, IpProtocol.UDP)
    assert (created.internal, created.external, created.remote) == (HOST, external, R1)
    box.wait(20)
    box.out(HOST, R1)
    assert box.last.events == ()
    box.wait(100)
    (expired,) = box.nat.wake(box.now).events
    assert (expired.kind, expired.time, expired.idle) == (NatEventKind.EXPIRED, 80.0, 60.0)
    assert expired.as_data() == {
        "internal": "10.0.0.2:5000",
        "external": f"203.0.113.1:{external[1]}",
        "remote": "198.51.100.7:3478",
        "protocol": "udp",
        "idle": 60.0,
    }


def test_whoever_notices_an_expiry_first_reports_it_once(bench):
    box = box_with(bench, udp="60s")
    external = box.out(HOST, R1)
    box.wait(61)
    box.into(R1, external)
    assert [event.kind for event in box.last.events] == [NatEventKind.EXPIRED]
    assert box.nat.wake(box.now).events == ()


def test_the_next_wake_is_never_later_than_the_first_expiry(bench):
    box = box_with(bench, udp="60s")
    assert box.nat.next_wake() is None
    external = box.out(HOST, R1)
    assert box.nat.next_wake() == 60
    box.wait(30)
    box.out(HOST, R1)
    box.wait(30)
    assert box.nat.wake(box.now).events == ()
    assert box.nat.next_wake() == 90
    box.wait(30)
    assert len(box.nat.wake(box.now).events) == 1
    assert box.nat.next_wake() is None
    assert box.into(R1, external) is None


def test_packets_only_move_times_and_leave_the_expiry_queue_alone(bench):
    box = box_with(bench, udp="60s")
    for _ in range(1000):
        box.out(HOST, R1)
        box.wait(0.01)
    assert len(box.nat._queue.heap) == 1


def test_filter_entries_of_a_long_lived_mapping_do_not_pile_up(bench):
    box = box_with(bench, filtering="apdf", udp="60s")
    for n in range(1000):
        box.out(HOST, ("198.51.100.9", 1024 + n))
        box.wait(1)
        box.nat.wake(box.now)
    (entry,) = box.nat._ipv4.udp.table._by_key.values()
    assert len(entry.permits) < 200


def test_a_reboot_loses_everything_and_counts_it(bench):
    box = bench("symmetric")
    external = box.out(HOST, R1)
    box.out(HOST, R2)
    (event,) = box.nat.reboot(box.now).events
    assert (event.kind, event.mappings, event.as_data()) == (NatEventKind.REBOOTED, 2, {"mappings": 2})
    assert box.nat.mappings == ()
    assert box.nat.next_wake() is None
    assert box.into(R1, external) is None
    assert box.last.reason == f"no mapping on port {external[1]}"
    assert box.out(HOST, R1) != external


def test_the_view_shows_what_the_box_holds(bench):
    box = box_with(bench, udp="60s")
    external = box.out(HOST, R1)
    (view,) = box.nat.mappings
    assert (view.internal, view.external, view.remote, view.expires) == (HOST, external, R1, 60.0)


def test_a_flush_loses_every_mapping_and_counts_them(bench):
    box = bench("symmetric")
    external = box.out(HOST, R1)
    box.out(HOST, R2)
    (event,) = box.nat.flush(box.now).events
    assert (event.kind, event.as_data()) == (NatEventKind.FLUSHED, {"mappings": 2})
    assert box.nat.mappings == ()
    assert box.nat.next_wake() is None
    assert box.into(R1, external) is None


@pytest.mark.parametrize(("forget", "same"), [("flush", False), ("reboot", True)])
def test_after_a_flush_ports_go_on_and_after_a_reboot_they_begin_anew(bench, forget, same):
    """Sequential ports tell the two apart; a box that keeps the internal port gives it again either way."""
    box = bench(model_for("apdm", "apdf", port_assignment="sequential"))
    first = box.out(HOST, R1)
    getattr(box.nat, forget)(box.now)
    again = box.out(HOST, R1)
    assert (again == first) is same
    assert same or again[1] == first[1] + 1


def test_a_flushed_box_that_preserves_ports_gives_the_same_again(bench):
    """So does netfilter after `conntrack -F`: with port preservation a peer does not notice."""
    box = bench("port-restricted")
    external = box.out(HOST, R1)
    box.nat.flush(box.now)
    assert box.into(R1, external) is None
    assert box.out(HOST, R1) == external
    assert box.into(R1, external) == HOST
