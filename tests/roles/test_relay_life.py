"""A whole TURN life with aioice's client, unmodified, against the relay in virtual time.

Hours of protocol in milliseconds: 401, allocation, channels, permissions at 300 s, channels at 600 s, the
refresh at 500 s, 438 after an hour, expiry; over UDP, TCP and TLS; in both readings of ChannelBind.
"""

import asyncio
from ipaddress import ip_network

import aioice.stun
import aioice.turn
import pytest

from lab.protocols.turn_server import PermissionRefresh, RelayConfig
from lab.roles.certificates import lab_authority
from lab.roles.relay import Relay, RelayRoleConfig
from lab.sim.clock import VirtualLoop
from lab.sim.network import SimNetwork
from lab.sim.rebind import aioice_on_simulated_hosts
from lab.spec.event import EventType
from lab.spec.impairment import Impairment
from lab.spec.network import Interface, Link, Network, Node, NodeKind, Route

HOSTS = {"alice": "203.0.113.10", "relay": "203.0.113.1", "bob": "203.0.113.20"}
WIRE = Impairment(delay=0.01)


def one_switch():
    """Alice, the relay and Bob on one switch, 10 ms a cable."""
    nodes = {"sw": Node(name="sw", kind=NodeKind.SWITCH, interfaces=tuple(cable("sw", h) for h in HOSTS))}
    for name, address in HOSTS.items():
        interface = cable(name, name, f"{address}/24")
        route = Route(destination=ip_network("203.0.113.0/24"), link=interface.link)
        nodes[name] = Node(name=name, kind=NodeKind.HOST, interfaces=(interface,), routes=(route,))
    links = {f"cable-{h}": Link(label=f"cable-{h}", a=h, b="sw", forward=WIRE, backward=WIRE) for h in HOSTS}
    return Network(name="one switch", nodes=nodes, links=links)


def cable(node, host, *addresses):
    return Interface(node=node, link=f"cable-{host}", addresses=addresses)


class Inbox(asyncio.DatagramProtocol):
    """Keeps (time, data, from) of what comes, and the errors."""

    def __init__(self):
        self.received, self.errors, self.lost = [], [], False

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.received.append((asyncio.get_running_loop().time(), data, addr))

    def error_received(self, exc):
        self.errors.append(exc)

    def connection_lost(self, exc):
        self.lost = True


class Life:
    """The world of one test: Alice's TURN endpoint, Bob's socket, the relay and its events."""

    def __init__(self, **settings):
        self.loop = VirtualLoop(deadline=20_000, event_budget=2_000_000)
        self.network = SimNetwork(one_switch(), self.loop)
        settings.setdefault("users", {"alice": "wonderland"})
        server = RelayConfig(addresses=(HOSTS["relay"],), **settings)
        tls = lambda: lab_authority().server_context([HOSTS["relay"]])  # noqa: E731 - a factory
        self.relay = Relay(RelayRoleConfig(server=server, tls=tls), self.network.host("relay"))

    def run(self, scenario, *, transport="udp", password="wonderland"):  # noqa: S107 - a test account
        """Run ``scenario(self)`` as Alice's program, once the relay listens and Bob has a socket."""

        async def main():
            bob = self.network.host("bob")
            self.network.host("relay").start(self.relay.run())
            await self.relay.ready.wait()
            _, self.bob = await bob.start(
                self.loop.create_datagram_endpoint(Inbox, local_addr=(HOSTS["bob"], 7000))
            )
            await self.network.host("alice").start(self._alice(scenario, transport, password))

        with aioice_on_simulated_hosts():
            self.loop.run_until_complete(main())
            self.loop.close()
        assert self.loop.unhandled == []

    async def _alice(self, scenario, transport, password):
        ports = {"udp": 3478, "tcp": 3478, "tls": 5349}
        self.turn, self.inbox = await aioice.turn.create_turn_endpoint(
            Inbox,
            (HOSTS["relay"], ports[transport]),
            username="alice",
            password=password,
            ssl=transport == "tls" or None,
            transport="udp" if transport == "udp" else "tcp",
        )
        self.relayed = self.turn.get_extra_info("sockname")
        await scenario(self)

    async def to_bob(self, data):
        """Send through the relay; return whether Bob got it."""
        before = len(self.bob.received)
        self.turn.sendto(data, (HOSTS["bob"], 7000))
        await asyncio.sleep(1)
        return [d for _, d, _ in self.bob.received[before:]] == [data]

    async def from_bob(self, data):
        """Bob sends to the relayed address; return whether Alice got it."""
        before = len(self.inbox.received)
        self.bob.transport.sendto(data, self.relayed)
        await asyncio.sleep(1)
        return [(d, a) for _, d, a in self.inbox.received[before:]] == [(data, (HOSTS["bob"], 7000))]

    async def until(self, time):
        await asyncio.sleep(time - self.loop.time())

    def told(self, *types):
        return [(e.type, dict(e.data)) for e in self.network.events if e.type in types]


@pytest.mark.requirement("Z0-1")
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_data_goes_both_ways_over_every_transport(transport):
    life = Life()

    async def scenario(life):
        assert await life.to_bob(b"hello")
        assert await life.from_bob(b"hello yourself")
        assert life.bob.received[0][2] == life.relayed, "Bob sees the relayed address"
        life.turn.close()
        await asyncio.sleep(1)
        assert life.inbox.lost

    life.run(scenario, transport=transport)
    (allocated,) = life.told(EventType.TURN_ALLOCATED)
    assert allocated[1]["transport"] == transport
    (expired,) = life.told(EventType.TURN_EXPIRED)
    assert expired[1]["why"] == "the client deleted it"
    assert life.relay.allocations == 0


def test_a_wrong_password_is_refused_and_told():
    life = Life()
    with pytest.raises(aioice.stun.TransactionFailed, match="401"):
        life.run(None, password="looking-glass")  # noqa: S106 - wrong on purpose
    (refused,) = life.told(EventType.TURN_REFUSED)
    assert refused[1]["code"] == 401
    assert "alice" in refused[1]["reason"]


def test_as_coturn_does_it_an_idle_call_is_up_after_an_hour():
    """The client refreshes the allocation every 500 s, and the channel with the next data after 500 s."""
    life = Life()

    async def scenario(life):
        for time in range(20, 3600, 20):
            await life.until(time)
            assert await life.to_bob(b"%d" % time)
            assert await life.from_bob(b"%d" % time)

    life.run(scenario)
    assert life.told(EventType.TURN_EXPIRED, EventType.TURN_REFUSED) == []


def test_to_the_letter_of_the_rfc_the_call_goes_deaf_at_300_seconds_and_the_run_says_why():
    life = Life(permission_refresh=PermissionRefresh.RFC8656)
    heard = {}

    async def scenario(life):
        for time in range(20, 600, 20):
            await life.until(time)
            assert await life.to_bob(b"%d" % time)
            heard[time] = await life.from_bob(b"%d" % time)

    life.run(scenario)
    # The first data, at 20 s, binds the channel and with it the permission; Bob sends at 21, 41, 61 ...
    assert [time for time in heard if not heard[time]] == list(range(320, 540, 20))
    assert heard[540], "the channel's rebinding after 500 s brings the permission back"
    (expired,) = life.told(EventType.TURN_EXPIRED)
    assert expired[1]["what"] == "permission"
    assert expired[1]["why"] == f"not refreshed; data from {HOSTS['bob']} is dropped from now on"
    (reason,) = {d["reason"] for _, d in life.told(EventType.PACKET_DROPPED)}
    assert reason == "no permission for this peer"


def test_without_data_the_channel_ends_at_600_seconds_and_the_next_data_binds_it_again():
    life = Life()

    async def scenario(life):
        assert await life.to_bob(b"first")
        await life.until(590)
        assert await life.from_bob(b"still")
        await life.until(605)
        assert not await life.from_bob(b"deaf")
        assert await life.to_bob(b"again")
        assert await life.from_bob(b"back")

    life.run(scenario)
    ended = [data["what"] for _, data in life.told(EventType.TURN_EXPIRED)]
    assert sorted(ended) == ["channel", "permission"]


@pytest.mark.parametrize(
    ("mode", "ends"),
    [
        (PermissionRefresh.COTURN, {"permission": 600, "channel": 600}),
        (PermissionRefresh.RFC8656, {"permission": 300, "channel": 600}),
    ],
    ids=lambda value: value.value if isinstance(value, PermissionRefresh) else "",
)
def test_permission_and_channel_end_when_their_reading_of_the_rfc_says(mode, ends):
    """One datagram binds the channel; then silence, but for the client's refreshes of its allocation."""
    life = Life(permission_refresh=mode)

    async def scenario(life):
        life.bound = life.loop.time()
        assert await life.to_bob(b"first")
        await life.until(700)
        assert life.relay.allocations == 1

    life.run(scenario)
    expired = [event for event in life.network.events if event.type is EventType.TURN_EXPIRED]
    # The binding takes a round trip of 40 ms at most; the relay looks at its lifetimes when one is due.
    assert {e.data["what"]: pytest.approx(e.time - life.bound, abs=0.1) for e in expired} == ends


def test_a_stale_nonce_is_answered_by_438_and_the_client_goes_on():
    life = Life(nonce_lifetime=1000.0)

    async def scenario(life):
        for time in range(60, 4000, 60):
            await life.until(time)
            assert await life.to_bob(b"%d" % time)

    life.run(scenario)
    codes = [data["code"] for _, data in life.told(EventType.TURN_REFUSED)]
    assert codes
    assert set(codes) == {438}


def test_an_allocation_whose_client_vanishes_ends_after_its_lifetime():
    life = Life()

    async def scenario(life):
        life.network.cut("cable-alice")
        await life.until(599)
        assert life.relay.allocations == 1
        await life.until(601)
        assert life.relay.allocations == 0

    life.run(scenario)
    (expired,) = life.told(EventType.TURN_EXPIRED)
    assert expired[1]["why"] == "its lifetime ran out unrefreshed"


def test_after_the_relay_closed_nothing_listens_any_more():
    life = Life()

    async def scenario(life):
        assert await life.to_bob(b"hello")

    life.run(scenario)
    assert life.network.host("relay").udp.bound == ()


def test_the_same_seed_makes_the_same_events():
    def events():
        life = Life()

        async def scenario(life):
            await life.to_bob(b"hello")
            await life.from_bob(b"hello")
            await life.until(700)

        life.run(scenario)
        return [event.to_json("") for event in life.network.events]

    assert events() == events()
