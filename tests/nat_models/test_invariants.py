"""What holds of every model after any history of packets, time and reboots.

The machine keeps its own books of what was sent and when, written from the definitions, and never looks
inside.
"""

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nat_models import Nat, NatEventKind, Side, model_for
from nat_models.model import (
    Filtering,
    FilterScope,
    Hairpinning,
    Mapping,
    Pooling,
    PortAssignment,
    Refresh,
    ReplyReuse,
)
from nat_models.packet import IpProtocol, Packet

ADDRESSES = ("203.0.113.1", "203.0.113.2")
HOSTS = [(f"10.0.0.{host}", port) for host in (2, 3) for port in (5000, 5001)]
REMOTES = [(f"198.51.100.{host}", port) for host in (7, 8) for port in (3478, 3479)]
LIFETIME = 60.0

MODELS = st.builds(
    model_for,
    st.sampled_from(Mapping),
    st.sampled_from(Filtering),
    filter_scope=st.sampled_from(FilterScope),
    reply_reuse=st.sampled_from(ReplyReuse),
    port_assignment=st.sampled_from(PortAssignment),
    pooling=st.sampled_from(Pooling),
    hairpinning=st.sampled_from(Hairpinning),
    ports=st.sampled_from([{}, {"parity": True}, {"first": 40000, "last": 40007, "block_size": 2}]),
    lifetimes=st.sampled_from(Refresh).map(lambda refresh: {"udp": "60s", "udp_refresh": refresh}),
)


class BoxMachine(RuleBasedStateMachine):
    """One box and its twin, which is given the same packets."""

    @initialize(model=MODELS, seed=st.integers(0, 3))
    def build(self, model, seed):
        self.model = model
        self.boxes = [Nat(model, external_addresses=ADDRESSES, random=random.Random(seed)) for _ in range(2)]
        self.now = 0.0
        self.live = {}  # (internal, external) -> times it was created
        self.sent = []  # (time, internal, external, remote)
        self.came = []  # (time, internal, external, remote)
        self.externals = [(ADDRESSES[0], 40000), (ADDRESSES[0], 5000)]
        self.last_event = 0.0

    def play(self, source, destination, side):
        first, second = (
            box.handle(Packet(IpProtocol.UDP, source, destination, b"x", packet_id=1), side, self.now)
            for box in self.boxes
        )
        assert first == second, "the same packets and the same seed had different outcomes"
        self.note(first.events)
        assert bool(first.packets) != bool(first.reason), "a packet passes, or there is a reason why not"
        return first

    def note(self, events):
        for event in events:
            assert event.time <= self.now
            assert event.time >= self.last_event, "events go back in time"
            self.last_event = event.time
            if event.kind is NatEventKind.CREATED:
                self.live[event.internal, event.external, event.time] = event
            elif event.kind is NatEventKind.EXPIRED:
                key = next(k for k in self.live if k[:2] == (event.internal, event.external))
                del self.live[key]
                assert event.idle >= LIFETIME - 1e-9, "a mapping ended before its time"
            else:
                assert event.mappings == len(self.live)
                self.live.clear()
                self.sent.clear()
                self.came.clear()

    @rule(internal=st.sampled_from(HOSTS), remote=st.sampled_from(REMOTES))
    def send(self, internal, remote):
        outcome = self.play(internal, remote, Side.INSIDE)
        if not outcome.packets:
            return
        packet, side = outcome.packets[0]
        assert side is Side.OUTSIDE
        assert packet.destination == remote
        external = packet.source
        if self.model.ports.parity:
            assert external[1] % 2 == internal[1] % 2
        assert self.model.ports.first <= external[1] <= self.model.ports.last
        if self.model.mapping is Mapping.ENDPOINT_INDEPENDENT and not self.overloads:
            others = {e for i, e, _ in self.live if i == internal}
            assert others == {external}, "an endpoint-independent mapping changed"
        self.sent.append((self.now, internal, external, remote))
        self.externals.append(external)

    @rule(remote=st.sampled_from(REMOTES), which=st.integers(0, 5))
    def receive(self, remote, which):
        external = self.externals[-1 - which % len(self.externals)]
        outcome = self.play(remote, external, Side.OUTSIDE)
        if outcome.packets:
            packet, side = outcome.packets[0]
            assert side is Side.INSIDE
            self.check_seen(packet.destination, packet.source, external, remote)
            self.check_admitted(packet.destination, external, remote)
            self.came.append((self.now, packet.destination, external, remote))

    @rule(internal=st.sampled_from(HOSTS), which=st.integers(0, 5))
    def hairpin(self, internal, which):
        target = self.externals[-1 - which % len(self.externals)]
        outcome = self.play(internal, target, Side.INSIDE)
        if self.model.hairpinning is Hairpinning.NONE:
            assert not outcome.packets
            return
        created = [e for e in self.live.values() if e.internal == internal]
        if not created:
            return
        # The packet left by a mapping of the sender: whichever, it counts as sent to the target.
        for event in created:
            self.sent.append((self.now, internal, event.external, target))
        if outcome.packets:
            packet, side = outcome.packets[0]
            assert side is Side.INSIDE
            if self.model.hairpinning is Hairpinning.INTERNAL_SOURCE:
                assert packet.source == internal
            elif self.model.reply_reuse is ReplyReuse.SEPARATE_FLOWS:
                assert packet.source[0] in {
                    external[0] for mine, external, _ in self.live if mine == internal
                }
            else:
                assert (internal, packet.source) in {key[:2] for key in self.live}
                self.came.append((self.now, packet.destination, target, packet.source))

    @rule(seconds=st.sampled_from([0.5, 20.0, 45.0, 61.0]))
    def wait(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.boxes[0].next_wake() is not None)
    @rule()
    def wake_when_due(self):
        due = [box.next_wake() for box in self.boxes]
        assert due[0] == due[1]
        self.now = max(self.now, due[0])
        first, second = (box.wake(self.now) for box in self.boxes)
        assert first == second
        assert not first.packets
        self.note(first.events)
        later = self.boxes[0].next_wake()
        assert later is None or later > self.now, "a wake-up that leaves something due"

    @rule(really=st.integers(0, 9))
    def reboot(self, really):
        if really == 0:
            first, second = (box.reboot(self.now) for box in self.boxes)
            assert first == second
            self.note(first.events)
            assert self.boxes[0].mappings == ()

    @property
    def overloads(self):
        return self.model.port_assignment is PortAssignment.PRESERVE_OVERLOAD

    def check_seen(self, internal, seen, external, remote):
        """The inside sees the remote itself, or, where flows are kept apart, another port of its address.

        What it then sends there arrives at the remote, and leaves by the mapping that the packet came in by.
        """
        if self.model.reply_reuse is not ReplyReuse.SEPARATE_FLOWS:
            assert seen == remote
        assert seen[0] == remote[0]
        if seen == remote:
            return
        packet, side = self.play(internal, seen, Side.INSIDE).packets[0]
        assert side is Side.OUTSIDE
        assert (packet.source, packet.destination) == (external, remote)
        self.sent.append((self.now, internal, external, remote))

    def check_admitted(self, internal, external, remote):
        """Somebody must have opened the filter, by the axis' definition and not longer ago than a lifetime.

        Inbound packets may have kept it open; then the chain of packets must reach back to an outbound one.
        """
        model = self.model
        if model.filtering is Filtering.ENDPOINT_INDEPENDENT:
            same = lambda _: True  # noqa: E731
        elif model.filtering is Filtering.ADDRESS_DEPENDENT:
            same = lambda other: other[0] == remote[0]  # noqa: E731
        else:
            same = lambda other: other == remote  # noqa: E731
        per_mapping = model.filter_scope is FilterScope.PER_MAPPING
        opened = [
            time
            for time, i, e, r in self.sent
            if i == internal and same(r) and (e == external or not per_mapping)
        ]
        assert opened, f"{remote} came in to {external}, and nobody had let it in"
        refreshes = sorted(
            {time for time, i, _, _ in self.sent + self.came if i == internal and time >= opened[0]}
        )
        last = refreshes[-1] if refreshes else opened[-1]
        assert self.now - last < LIFETIME, "an expired mapping let a packet in"
        assert (internal, external) in {key[:2] for key in self.live}

    @invariant()
    def no_two_endpoints_share_a_port(self):
        if not hasattr(self, "model"):
            return
        owners = {}
        for internal, external, _ in self.live:
            assert self.overloads or owners.setdefault(external, internal) == internal

    @invariant()
    def paired_pooling_keeps_a_host_on_one_address(self):
        if hasattr(self, "model") and self.model.pooling is Pooling.PAIRED:
            pairs = {(internal[0], external[0]) for internal, external, _ in self.live}
            assert len(pairs) == len({host for host, _ in pairs})

    @invariant()
    def events_and_view_tell_one_story(self):
        if hasattr(self, "model"):
            held = {(view.internal, view.external) for view in self.boxes[0].mappings}
            assert held == {key[:2] for key in self.live}


BoxMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestBox = BoxMachine.TestCase
