"""The mark for quality of service (DSCP, RFC 2474) on media, with ICE and without."""

import asyncio

import pytest

from lab.sim.capture import Capture
from lab.sim.lab import simulate
from lab.spec.command import CandidatePolicy
from lab.spec.find import load_topology
from nat_models.packet import IpProtocol

EXPEDITED = 46
"""The class of voice (RFC 3246)."""


def captured(scenario):
    """Play on two homes; return (node, whether outbound, packet) of all that its interfaces saw."""
    topology = load_topology("two_homes", {"bob_nat": "none"})
    capture = Capture(topology)
    _, invalid = simulate(
        topology, scenario, {}, run_seed=1, trial_key="t", deadline=600, event_budget=10**6, capture=capture
    )
    assert invalid == ""
    return [(r.tap[0], r.outbound, r.packet) for r in capture._records]


@pytest.mark.requirement("Z0-3")
def test_without_ice_a_program_marks_its_media_and_the_mark_is_there_at_the_far_end():
    """Through Alice's NAT, which rewrites the address and leaves the mark."""

    async def plain_rtp(lab):
        loop, alice, bob = asyncio.get_running_loop(), *map(lab.simulated.host, ("alice", "bob"))
        opened = loop.create_datagram_endpoint(asyncio.DatagramProtocol, (alice.addresses[0], 4000))
        heard = loop.create_datagram_endpoint(asyncio.DatagramProtocol, (bob.addresses[0], 4000))
        await bob.start(heard)
        transport, _ = await alice.start(opened)
        transport.dscp = EXPEDITED
        for _ in range(5):
            transport.sendto(b"RTP", (bob.addresses[0], 4000))
        await lab.sleep("1s")

    marks = [p.dscp for node, _, p in captured(plain_rtp) if node == "bob" and p.payload == b"RTP"]
    assert marks == [EXPEDITED] * 5


@pytest.mark.requirement("Z0-3")
@pytest.mark.parametrize("candidates", ["no-relay", "relay-only"])
def test_with_ice_media_leaves_without_a_mark_so_none_is_promised(candidates):
    async def call(lab):
        policy = CandidatePolicy(candidates=candidates)
        record = await lab.call("alice", "bob", policy=policy)
        assert record.media_both_ways

    sent = [p for node, outbound, p in captured(call) if outbound and node in {"alice", "bob", "relay"}]
    marks = [packet.dscp for packet in sent if packet.protocol is IpProtocol.UDP]
    assert len(marks) > 10
    assert set(marks) == {0}
