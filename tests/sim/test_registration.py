"""An endpoint is ready when the rendezvous has said so: calls reach it from then on, whatever got lost."""

import asyncio
from itertools import pairwise

import pytest
from mininet.topo import Topo

from lab.protocols.signalling import Signal, encode_signal, parse_signal_untrusted
from lab.roles.endpoint import Endpoint, EndpointConfig
from lab.roles.registration import REGISTRATION_TIMEOUT
from lab.roles.rendezvous import Rendezvous, RendezvousConfig
from lab.sim.lab import simulate
from lab.sim.rebind import aioice_on_simulated_hosts
from lab.spec.command import Dial, encode_command
from lab.spec.event import EventType
from lab.spec.find import load_topology

ANY = "0.0.0.0"  # noqa: S104 - a simulated host
CALL = encode_command(Dial(call="call", to="bob"))


class Trio(Topo):
    """Two users and a server, 10 ms from each other."""

    def build(self):
        self.addHost("middle", role="router")
        for name in ("alice", "bob", "server"):
            self.addHost(name, role="host")
            self.addLink(name, "middle", label=name, impair={"delay": "5ms"})


class Line:
    """A connection to the rendezvous, spoken by hand."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    def say(self, kind, sender, to=""):
        self.writer.write(encode_signal(Signal(kind=kind, sender=sender, to=to, call="call")))

    async def hear(self):
        """Return the kind of what comes next, None at the end of the connection."""
        line = await asyncio.wait_for(self.reader.readline(), 30)
        return parse_signal_untrusted(line).kind if line else None


def with_rendezvous(world, program):
    """Run a coroutine function on alice's host, given what opens a line to the rendezvous."""
    lines = []

    async def open_line():
        lines.append(Line(*await asyncio.open_connection(world.address("server"), 443)))
        return lines[-1]

    async def scenario():
        world.on("server", Rendezvous(RendezvousConfig(), world.host("server")).run())
        await asyncio.sleep(0.1)
        await world.on("alice", program(open_line))
        for line in lines:
            line.writer.close()

    world.run(scenario())


def test_a_registration_is_acknowledged_and_the_name_leads_there_from_then_on(build):
    async def program(open_line):
        bob = await open_line()
        bob.say("register", "bob")
        assert await bob.hear() == "registered"
        alice = await open_line()
        alice.say("bye", "alice", to="bob")
        assert await bob.hear() == "bye"

    with_rendezvous(build(Trio), program)


@pytest.mark.parametrize("kind", ["registered", "unknown"])
def test_what_only_the_rendezvous_may_say_it_does_not_pass_on(build, kind):
    """Else any endpoint could tell another one that it is registered, or that whom it calls is not."""

    async def program(open_line):
        bob = await open_line()
        bob.say("register", "bob")
        assert await bob.hear() == "registered"
        stranger = await open_line()
        stranger.say(kind, "alice", to="bob")
        assert await stranger.hear() is None
        bob.say("bye", "bob", to="bob")
        assert await bob.hear() == "bye"

    with_rendezvous(build(Trio), program)


class SlowRendezvous:
    """Takes connections and acknowledges a registration ``after`` so many seconds (None: never)."""

    def __init__(self, after, hangs_up=False):
        self.after, self.hangs_up, self.offered_at = after, hangs_up, []

    async def serve(self, reader, writer):
        await reader.readline()
        if self.hangs_up:
            writer.close()
            return
        if self.after is not None:
            await asyncio.sleep(self.after)
            writer.write(encode_signal(Signal(kind="registered", sender="", to="alice")))
        while await reader.readline():
            self.offered_at.append(asyncio.get_running_loop().time())
        writer.close()


def endpoint_with(build, rendezvous, *, dial_at=1.0, until=400.0):
    """Run alice's endpoint; return the world, the exception that ended its program, and when it was ready."""
    world = build(Trio)
    told = {}

    async def scenario():
        await world.on("server", asyncio.start_server(rendezvous.serve, ANY, 443))
        endpoint = Endpoint(
            EndpointConfig(name="alice", rendezvous=(world.address("server"), 443)), world.host("alice")
        )
        program = world.on("alice", endpoint.run())
        world.loop.call_at(dial_at, world.host("alice").call_soon, endpoint.handle, CALL)

        async def note_when_ready():
            await endpoint.ready.wait()
            told["ready"] = world.loop.time()

        watch = asyncio.ensure_future(note_when_ready())
        await asyncio.wait([program], timeout=until)
        await asyncio.sleep(dial_at)  # a call's own time to wait began so much later
        watch.cancel()
        return program.exception() if program.done() else None

    with aioice_on_simulated_hosts():
        error = world.run(scenario())
        world.close()
    return world, error, told.get("ready")


def test_an_endpoint_is_ready_when_it_is_told_so_and_a_call_made_before_waits_for_it(build):
    rendezvous = SlowRendezvous(after=3.0)
    world, error, ready = endpoint_with(build, rendezvous)
    assert error is None
    assert ready == pytest.approx(3.04, abs=0.001)
    (started,) = [e.time for e in world.network.events if e.type is EventType.CALL_STARTED]
    assert started == pytest.approx(1.0)
    assert len(rendezvous.offered_at) == 1
    assert rendezvous.offered_at[0] > ready


def test_without_an_acknowledgement_the_program_ends_and_the_call_says_why(build):
    world, error, ready = endpoint_with(build, SlowRendezvous(after=None))
    why = "alice is not registered: no answer from the rendezvous within 120 s"
    assert ready is None
    assert isinstance(error, TimeoutError)
    assert str(error) == why
    (ended,) = [e for e in world.network.events if e.type is EventType.CALL_ENDED]
    assert ended.data["reason"] == why
    assert ended.time == pytest.approx(1.0 + REGISTRATION_TIMEOUT)


def test_a_rendezvous_that_hangs_up_on_a_registration_has_not_acknowledged_it(build):
    _, error, ready = endpoint_with(build, SlowRendezvous(after=None, hangs_up=True))
    assert ready is None
    assert isinstance(error, ConnectionError)
    assert str(error) == "alice is not registered: the rendezvous hung up"


async def calls_after(lab, restart_after):
    """Kill the rendezvous for so many seconds; call both ways a minute later."""
    await lab.call("alice", "bob", name="before")
    lab.kill("rendezvous")
    await lab.sleep(f"{restart_after}s")
    lab.restart("rendezvous")
    await lab.sleep("60s")
    return [await lab.call(*pair) for pair in (("alice", "bob"), ("bob", "alice"))]


@pytest.mark.parametrize("outage", [0, 3, 100])
def test_endpoints_register_again_with_a_rendezvous_that_comes_back(outage):
    async def scenario(lab):
        assert all(record.media_both_ways for record in await calls_after(lab, outage))

    events, invalid = simulate(
        load_topology("two_homes", {}),
        scenario,
        {},
        run_seed=1,
        trial_key="t",
        deadline=900,
        event_budget=10**6,
    )
    assert invalid == ""
    assert [e.data for e in events if e.type is EventType.ROLE_FAILED] == []


def test_a_call_made_while_the_rendezvous_is_away_is_offered_when_it_is_back():
    async def scenario(lab):
        lab.kill("rendezvous")
        await lab.sleep("500ms")  # by then both sides have heard that their connections are closed
        call = asyncio.ensure_future(lab.call("alice", "bob"))
        await lab.sleep("2s")
        lab.restart("rendezvous")
        await call

    events, invalid = simulate(
        load_topology("two_homes", {}),
        scenario,
        {},
        run_seed=2,
        trial_key="t",
        deadline=900,
        event_budget=10**6,
    )
    assert invalid == ""
    offers = [e.time for e in events if e.type is EventType.SIGNAL_SENT and e.data["kind"] == "offer"]
    assert len(offers) == 1
    assert 2 < offers[0] < 10


def test_attempts_to_register_again_become_rare_and_come_at_random(build):
    """Three minutes without a rendezvous: pauses of 1, 2, 4 ... 30 s, each shortened by up to a half."""
    attempts = []

    class Gone:
        """Acknowledges the first registration, and hangs up on it and on all later ones."""

        async def serve(self, reader, writer):
            attempts.append(asyncio.get_running_loop().time())
            await reader.readline()
            if len(attempts) == 1:
                writer.write(encode_signal(Signal(kind="registered", sender="", to="alice")))
            writer.close()

    endpoint_with(build, Gone(), dial_at=500.0, until=180.0)
    pauses = [later - earlier for earlier, later in pairwise(attempts)]
    expected = [1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert len(pauses) >= len(expected)
    for pause, most in zip(pauses, expected, strict=False):
        assert most / 2 <= pause <= most + 0.1
    assert len({round(pause / most, 3) for pause, most in zip(pauses, expected, strict=False)}) > 4


@pytest.mark.parametrize("seed", range(25))
def test_however_much_gets_lost_no_call_ends_for_want_of_a_registration(seed):
    """A fifth of all packets is lost, each way, at both ends; calls are made as soon as roles are ready."""
    spec = load_topology("two_homes", {"alice_loss": "20%", "bob_loss": "20%"})

    async def both_call(lab):
        await asyncio.gather(lab.call("alice", "bob"), lab.call("bob", "alice"))

    events, invalid = simulate(
        spec, both_call, {}, run_seed=seed, trial_key="t", deadline=3_000, event_budget=10**6
    )
    assert invalid == ""
    assert [e.data for e in events if e.type is EventType.ROLE_FAILED] == []
    assert [e.data for e in events if e.type is EventType.CALL_ENDED] == []
    assert len([e for e in events if e.type is EventType.CALL_STARTED]) == 4
