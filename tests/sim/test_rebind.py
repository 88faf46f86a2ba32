"""The names replaced inside aioice: each exists, each is put back, none lets the machine into a run."""

import asyncio

import aioice
import aioice.ice
import aioice.stun
import aioice.turn
import pytest
from aioice.candidate import Candidate
from mininet.topo import Topo

from lab.errors import HostNotReady
from lab.protocols.signalling import IceDescription, Signal, encode_signal
from lab.roles.endpoint import Endpoint, EndpointConfig
from lab.sim.rebind import _REPLACEMENTS, aioice_on_simulated_hosts
from lab.spec.event import EventType

ANY = "0.0.0.0"  # noqa: S104 - a simulated host
NAMES = [pytest.param(module, name, id=f"{module.__name__}.{name}") for module, name, _ in _REPLACEMENTS]
LOCAL_NAME = "3f0c1d5e-0000-4000-8000-000000000000.local"


class Pair(Topo):
    """Two hosts on one wire, with both families."""

    def build(self):
        for name in ("alice", "bob"):
            self.addHost(name, role="host")
        self.addLink("alice", "bob", ipv6=True)


def originals():
    return [getattr(module, name) for module, name, _ in _REPLACEMENTS]


def are(one, other):
    return all(left is right for left, right in zip(one, other, strict=True))


class TestReplacing:
    @pytest.mark.parametrize(("module", "name"), NAMES)
    def test_every_name_is_in_the_installed_release(self, module, name):
        """A name that is gone would be set and never read: the machine would leak into the run."""
        assert hasattr(module, name)

    def test_they_are_replaced_within_the_block_and_put_back_after_it(self):
        before = originals()
        with aioice_on_simulated_hosts():
            assert are(originals(), [replacement for _, _, replacement in _REPLACEMENTS])
        assert are(originals(), before)

    def test_they_are_put_back_when_the_run_fails(self):
        before = originals()
        with pytest.raises(ZeroDivisionError), aioice_on_simulated_hosts():
            raise ZeroDivisionError
        assert are(originals(), before)

    def test_a_block_within_a_block_leaves_the_outer_one_in_force(self):
        before = originals()
        with aioice_on_simulated_hosts():
            within = originals()
            with aioice_on_simulated_hosts():
                pass
            assert are(originals(), within)
        assert are(originals(), before)

    @pytest.mark.parametrize(("module", "name"), NAMES)
    def test_a_name_that_is_missing_is_told_before_anything_runs(self, module, name, monkeypatch):
        monkeypatch.delattr(module, name)
        others = [(m, n) for m, n, _ in _REPLACEMENTS if (m, n) != (module, name)]
        before = [getattr(*other) for other in others]
        with (
            pytest.raises(HostNotReady, match=f"{module.__name__} has no '{name}'"),
            aioice_on_simulated_hosts(),
        ):
            pytest.fail("ran without it")
        assert are([getattr(*other) for other in others], before)


class TestWhatAioiceSees:
    def on(self, world, host, look):
        async def program():
            return look()

        with aioice_on_simulated_hosts():
            return world.run(world.on(host, program()))

    def test_the_addresses_of_its_host(self, build):
        world = build(Pair)
        for host in ("alice", "bob"):
            seen = self.on(world, host, lambda: aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True))
            assert seen == list(world.host(host).addresses)
        four = self.on(world, "bob", lambda: aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=False))
        assert four == [world.address("bob", 0)]

    def test_virtual_time(self, build):
        world = build(Pair)
        world.run(asyncio.sleep(3600))
        assert self.on(world, "alice", lambda: int(aioice.turn.time.time())) == 3600

    @pytest.mark.parametrize(
        "draw",
        [
            lambda: aioice.ice.random_string(22),
            lambda: aioice.ice.secrets.randbits(64),
            lambda: str(aioice.ice.random.random()),
            lambda: aioice.turn.random_transaction_id().hex(),
        ],
        ids=["strings", "tie-breaker", "consent timer", "transaction id"],
    )
    def test_randomness_of_the_seed_and_the_host(self, build, draw):
        def drawn(seed, host):
            return self.on(build(Pair, seed=seed), host, draw)

        assert drawn(1, "alice") == drawn(1, "alice")
        assert len({drawn(1, "alice"), drawn(2, "alice"), drawn(1, "bob")}) == 3

    def test_the_signatures_that_it_would_compute_itself(self):
        message, key = bytes(40), b"secret"
        own = aioice.stun.message_integrity(message, key)
        with aioice_on_simulated_hosts():
            shared = [aioice.stun.message_integrity(message, key) for _ in range(2)]
            other = aioice.stun.message_integrity(message, b"another")
        assert shared == [own, own]
        assert other != own

    def test_nothing_where_no_host_is(self):
        with aioice_on_simulated_hosts(), pytest.raises(RuntimeError, match="no simulated host"):
            aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True)


class TestMulticastDns:
    def test_an_unresolvable_candidate_is_left_out_and_the_others_are_checked(self, build):
        world = build(Pair)

        async def connection(controlling):
            made = aioice.Connection(ice_controlling=controlling, use_ipv6=False)
            await made.gather_candidates()
            return made

        async def scenario():
            alice = await world.on("alice", connection(controlling=True))
            bob = await world.on("bob", connection(controlling=False))
            for one, other in ((alice, bob), (bob, alice)):
                one.remote_username, one.remote_password = other.local_username, other.local_password
                host = Candidate.from_sdp(f"1 1 udp 2130706431 {LOCAL_NAME} 9 typ host")
                for candidate in (host, *other.local_candidates, None):
                    await world.on("alice" if one is alice else "bob", one.add_remote_candidate(candidate))
            await asyncio.gather(
                world.on("alice", alice.connect()),
                world.on("bob", bob.connect()),
            )
            remote = [candidate.host for candidate in alice.remote_candidates]
            await asyncio.gather(world.on("alice", alice.close()), world.on("bob", bob.close()))
            return remote

        with aioice_on_simulated_hosts():
            assert world.run(scenario()) == [world.address("bob")]

    def test_an_endpoint_that_gets_nothing_else_says_so_and_its_call_fails(self, build):
        """A browser that hides its addresses calls: an event names the candidate, nothing crashes."""
        world = build(Pair)
        ice = IceDescription(
            username_fragment="abcd",
            password="a" * 22,
            candidates=(f"1 1 udp 2130706431 {LOCAL_NAME} 9 typ host",),
        )
        offer = Signal(kind="offer", sender="browser", to="alice", call="call", ice=ice)

        async def rendezvous(reader, writer):
            await reader.readline()
            writer.write(encode_signal(offer))
            await reader.read()
            writer.close()

        async def scenario():
            await world.on("bob", asyncio.start_server(rendezvous, ANY, 443))
            config = EndpointConfig(name="alice", rendezvous=(world.address("bob"), 443))
            world.on("alice", Endpoint(config, world.host("alice")).run())
            await asyncio.sleep(60)

        with aioice_on_simulated_hosts():
            world.run(scenario())
            world.close()
        (left_out,) = [e.data for e in world.network.events if e.data.get("side") == "remote"]
        assert left_out["address"] == LOCAL_NAME
        assert left_out["problem"].startswith("its name was not resolved")
        types = [event.type for event in world.network.events]
        assert EventType.ICE_FAILED in types
        assert EventType.ROLE_FAILED not in types
