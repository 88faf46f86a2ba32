"""One trial: budgets that end it with the reason, and failures that become events instead of vanishing."""

import asyncio
import gc
import weakref

import pytest
from mininet.topo import Topo

from lab.errors import UsageError
from lab.sim.lab import simulate
from lab.spec.event import EventType
from lab.spec.find import load_topology
from lab.spec.plan import plan_network


def play(scenario, spec=None, *, deadline=1_000.0, event_budget=200_000, seed=1):
    return simulate(
        spec or load_topology("two_homes", {}),
        scenario,
        {},
        run_seed=seed,
        trial_key="trial",
        deadline=deadline,
        event_budget=event_budget,
    )


def failures(events):
    return [(e.node, e.data["error"]) for e in events if e.type is EventType.ROLE_FAILED]


async def fails(error="broken", after=0.0):
    await asyncio.sleep(after)
    raise ValueError(error)


class TestLimits:
    def test_a_trial_past_its_virtual_deadline_is_invalid_and_says_so(self):
        async def scenario(lab):
            await lab.call("alice", "bob")
            await lab.sleep("1h")

        events, invalid = play(scenario, deadline=60.0)
        assert invalid == "the trial ran to its virtual deadline of 60 s"
        assert events[-1].type is EventType.TRIAL_ENDED
        assert events[-1].data["reason"] == invalid
        assert events[-1].time <= 60.0
        assert EventType.ICE_CONNECTED in {event.type for event in events}

    def test_a_trial_that_uses_up_its_events_is_invalid_and_says_when(self):
        async def scenario(lab):
            while lab.now >= 0:
                await lab.sleep("0s")

        events, invalid = play(scenario, event_budget=1_000)
        assert invalid == "the trial used its budget of 1000 events by 0.060 s"
        assert events[-1].data["events"] == 1_001

    def test_a_trial_that_waits_for_what_cannot_happen_is_invalid(self):
        class Alone(Topo):
            def build(self):
                self.addHost("alice", role="host")
                self.addHost("bob", role="host")
                self.addLink("alice", "bob")

        async def scenario(lab):
            await asyncio.get_running_loop().create_future()

        _, invalid = play(scenario, plan_network(Alone(), "alone"))
        assert invalid == "nothing is scheduled after 0.000 s and the trial is not done"

    def test_what_is_wrong_with_the_scenario_is_no_invalid_trial(self):
        async def scenario(lab):
            await lab.call("alice", "bbo")

        with pytest.raises(UsageError, match='did you mean "bob"'):
            play(scenario)


class TestFailures:
    """A program's exception is an event on its node, wherever in the program it was raised."""

    def test_of_a_role(self, monkeypatch):
        monkeypatch.setattr("lab.roles.rendezvous.Rendezvous.run", lambda _self: fails(after=5.0))

        async def scenario(lab):
            await lab.sleep("10s")

        events, invalid = play(scenario)
        assert ("rendezvous", "ValueError: broken") in failures(events)
        (event,) = [e for e in events if e.node == "rendezvous" and e.type is EventType.ROLE_FAILED]
        assert (event.time, event.data["program"]) == (5.0, "rendezvous")
        assert invalid == ""

    def test_of_a_role_that_cannot_start_does_not_hang_the_trial(self):
        """Nobody is reachable: the endpoints give up after TCP's 127 s, and calls to them fail at once."""
        spec = load_topology("two_homes", {"alice_loss": "100%"})

        async def scenario(lab):
            began = lab.now
            record = await lab.call("alice", "bob")
            assert not record.connected
            assert lab.now == began

        events, invalid = play(scenario, spec)
        assert invalid == ""
        reasons = failures(events)
        assert reasons[0][0] == "alice"
        assert reasons[0][1].startswith("TimeoutError: [Errno 110] Connection timed out")
        assert ("alice", "dial: the program has ended") in reasons

    def test_of_a_task_that_nobody_awaits(self):
        async def spawns():
            asyncio.get_running_loop().create_task(fails("nobody asks"), name="stray")
            await asyncio.sleep(1)

        async def scenario(lab):
            await lab.simulated.host("alice").start(spawns())
            gc.collect()

        events, _ = play(scenario)
        (event,) = [e for e in events if e.type is EventType.ROLE_FAILED]
        assert (event.node, event.data) == ("alice", {"error": "ValueError: nobody asks", "program": "stray"})

    def test_of_tasks_come_in_the_order_in_which_they_were_made(self):
        """Whether the collector freed one of them meanwhile must not show."""

        async def spawns(keep):
            loop = asyncio.get_running_loop()
            for number in range(6):
                task = loop.create_task(fails(str(number)))
                if number % 2 and keep is not None:
                    keep.append(task)
            del task
            await asyncio.sleep(1)

        def told(keep):
            async def scenario(lab):
                await lab.simulated.host("bob").start(spawns(keep))

            return failures(play(scenario)[0])

        assert told(None) == told([]) == [("bob", f"ValueError: {number}") for number in range(6)]

    def test_of_a_timer(self):
        async def program():
            asyncio.get_running_loop().call_later(1.0, int, "no number")
            await asyncio.sleep(2)

        async def scenario(lab):
            await lab.simulated.host("bob").start(program())

        events, _ = play(scenario)
        ((node, error),) = failures(events)
        assert node == "bob"
        assert error.startswith("ValueError: invalid literal")
        (event,) = [e for e in events if e.type is EventType.ROLE_FAILED]
        assert event.data["program"] == "int"

    def test_is_told_in_the_same_words_whatever_ran_before(self):
        """No memory address, no number that counts the tasks of the process."""

        async def spawns():
            loop = asyncio.get_running_loop()
            stray = loop.create_task(fails("one"))
            del stray
            loop.call_soon(lambda: 1 / 0)
            await asyncio.sleep(1)

        async def scenario(lab):
            await lab.simulated.host("bob").start(spawns())

        first, second = ([e.to_json("t") for e in play(scenario)[0]] for _ in range(2))
        assert first == second
        assert sum('"program":"fails"' in line for line in first) == 1

    def test_of_a_datagram_protocol(self):
        class Broken(asyncio.DatagramProtocol):
            def datagram_received(self, data, addr):
                raise ValueError("bug")

        async def listens():
            where = ("127.0.0.1", 9)
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Broken, where)
            transport.sendto(b"", where)
            await asyncio.sleep(1)

        async def scenario(lab):
            await lab.simulated.host("bob").start(listens())

        assert failures(play(scenario)[0]) == [("bob", "ValueError: bug")]

    def test_of_a_stream_handler(self):
        async def handler(reader, writer):
            await fails("bug")

        async def program():
            server = await asyncio.start_server(handler, "127.0.0.1", 9)
            _, writer = await asyncio.open_connection("127.0.0.1", 9)
            await asyncio.sleep(1)
            writer.close()
            server.close()

        async def scenario(lab):
            await lab.simulated.host("bob").start(program())

        assert failures(play(scenario)[0]) == [("bob", "ValueError: bug")]

    def test_what_somebody_awaits_is_no_failure(self):
        async def scenario(lab):
            with pytest.raises(ValueError, match="expected"):
                await lab.simulated.host("bob").start(fails("expected"))

        assert failures(play(scenario)[0]) == []


class TestTheEnd:
    def test_open_connections_and_their_handlers_end_without_a_word(self, capfd):
        """The callback that asyncio gives stream handlers complains of a cancelled one in some releases."""

        async def handler(reader, writer):
            await reader.read()

        async def serves():
            await asyncio.start_server(handler, "127.0.0.1", 9)
            _, writer = await asyncio.open_connection("127.0.0.1", 9)
            try:
                await asyncio.sleep(3600)
            finally:
                writer.close()

        async def scenario(lab):
            lab.simulated.host("bob").start(serves())
            await lab.call("alice", "bob")

        events, invalid = play(scenario)
        assert (invalid, failures(events)) == ("", [])
        assert events[-1].type is EventType.TRIAL_ENDED
        assert capfd.readouterr() == ("", "")

    def test_what_the_shutdown_does_is_not_part_of_the_trial(self):
        async def lingers():
            try:
                await asyncio.sleep(3600)
            finally:
                raise ValueError("while cleaning up")

        async def scenario(lab):
            lab.simulated.host("bob").start(lingers())
            await lab.sleep("1s")

        events, _ = play(scenario)
        assert failures(events) == []
        assert events[-1].data["reason"] == "scenario done"

    def test_changes_of_links_are_events(self):
        async def scenario(lab):
            lab.impair("alice-access", delay="50ms")
            lab.cut("bob-access")
            lab.heal("bob-access")

        events, _ = play(scenario)
        changes = [e.data for e in events if e.type is EventType.LINK_CHANGED]
        assert changes == [
            {"link": "alice-access", "settings": {"alice-nat": "delay 50 ms", "internet": "delay 50 ms"}},
            {"link": "bob-access", "settings": "cut"},
            {"link": "bob-access", "settings": "healed"},
        ]


class TestItsEnd:
    def test_frees_the_network_without_the_garbage_collector(self):
        parts = []

        async def scenario(lab):
            await lab.call("alice", "bob")
            nodes = lab.simulated.nodes.values()
            parts.extend(weakref.ref(node) for node in nodes if node.forwards)

        gc.disable()
        try:
            play(scenario)
            assert [part() for part in parts] == [None] * len(parts)
        finally:
            gc.enable()
        assert len(parts) > 2

    def test_leaves_the_network_to_a_killed_program_that_is_in_the_middle_of_something(self):
        labs = []

        async def scenario(lab):
            labs.append(lab)
            lab.kill("alice")

        _, invalid = play(scenario)
        assert invalid == ""
        assert "alice" in labs[0].simulated.nodes
