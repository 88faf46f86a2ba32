"""Roles as processes: the programs of virtual time on the kernel, their events, their ends."""

import asyncio
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from ordinary_user import as_ordinary_user
from plain_topologies import public_network

import lab
from lab.emu.messages import AgentConnection, encode_network
from lab.emu.outer import OuterNamespace
from lab.emu.programs.name_files import name_files
from lab.emu.programs.role_programs import describe_end
from lab.emu.run_clock import monotonic_now
from lab.errors import UsageError
from lab.measure.calls import calls_of
from lab.spec.command import Answer, CandidatePolicy, Dial, HangUp, encode_command
from lab.spec.event import EventType, PathClass

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec"),
    pytest.mark.usefixtures("untouched_machine"),
]


class Running:
    """A network with its roles, and what they have told."""

    def __init__(self, connection):
        self.connection = connection
        self.events, self.ends = [], []

    async def command(self, node, command):
        await self.connection.ask("command", node=node, encoded=encode_command(command).decode())

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - events come from a callback
                await asyncio.sleep(0.01)

    def types(self, node):
        return [event.type for event in self.events if event.node == node]

    async def process_of(self, node):
        """Return the number of a node's role process, as the namespace counts."""
        command = ["sh", "-c", f"grep -lx role-{node} /proc/[0-9]*/comm"]
        return (await self.connection.ask("run", node=node, command=command)).split("/")[2]


@contextlib.asynccontextmanager
async def running(network):
    """Yield the network on the kernel with its roles started."""
    with OuterNamespace("lab.emu.agent") as outer:
        state = Running(None)
        state.connection = AgentConnection(
            outer, state.events.append, lambda node, role, why: state.ends.append((node, role, why))
        )
        await state.connection.open()
        try:
            await state.connection.ask("build", network=encode_network(network))
            state.commanded = await state.connection.ask(
                "start-roles", trial="t", seed=1, origin=monotonic_now()
            )
            yield state
        finally:
            await state.connection.close()


EVERY_CANDIDATE = CandidatePolicy()


async def call(state, policy=EVERY_CANDIDATE):
    """Let alice call bob; return the record when both have heard the media."""
    await state.command("bob", Answer(call="c", policy=policy))
    await state.command("alice", Dial(call="c", to="bob", policy=policy))
    await state.until(lambda: sum(e.type is EventType.MEDIA_RECEIVED for e in state.events) >= 10)
    (record,) = calls_of(sorted(state.events, key=lambda event: event.time))
    return record


@pytest.mark.parametrize(
    ("options", "policy", "path"),
    [
        ({}, EVERY_CANDIDATE, PathClass.HOST),
        ({"dns": True}, EVERY_CANDIDATE, PathClass.HOST),
        ({"ipv6": True}, EVERY_CANDIDATE, PathClass.HOST),
        ({}, CandidatePolicy(candidates="relay-only", turn_transports=("udp",)), PathClass.RELAY),
        ({}, CandidatePolicy(candidates="relay-only", turn_transports=("tcp",)), PathClass.RELAY),
        ({}, CandidatePolicy(candidates="relay-only", turn_transports=("tls",)), PathClass.RELAY),
        ({"dns": True}, CandidatePolicy(candidates="relay-only", turn_transports=("tls",)), PathClass.RELAY),
    ],
    ids=["plain", "names by DNS", "IPv6 too", "TURN/UDP", "TURN/TCP", "TURN/TLS", "TURN/TLS by name"],
)
def test_a_call_between_public_hosts(options, policy, path):
    async def play():
        async with running(public_network(**options)) as state:
            assert state.commanded == ["alice", "bob"]
            record = await call(state, policy)
            assert state.ends == []
            return state.events, record

    events, record = asyncio.run(play())
    assert record.connected
    assert record.path is path
    assert EventType.ROLE_FAILED not in {event.type for event in events}
    transports = {e.data["transport"] for e in events if e.type is EventType.TURN_ALLOCATED}
    assert transports == {policy.turn_transports[0]}


def test_events_of_all_processes_are_on_one_clock():
    """What is sent is received later, by a clock that began when the roles were started."""

    async def play():
        async with running(public_network()) as state:
            await call(state)
            return state.events

    events = asyncio.run(play())
    time_of = {(e.node, e.type, e.data.get("kind")): e.time for e in events}
    sent, received = EventType.SIGNAL_SENT, EventType.SIGNAL_RECEIVED
    assert 0 < time_of["alice", sent, "offer"] < time_of["bob", received, "offer"]
    assert time_of["bob", sent, "answer"] < time_of["alice", received, "answer"] < 30
    delays = [e.data["delay"] for e in events if e.type is EventType.MEDIA_RECEIVED]
    assert min(delays) > 0


def test_a_process_that_is_killed_is_told_with_its_last_words():
    async def play():
        async with running(public_network()) as state:
            output = "/run/callpath-output/alice"
            await state.connection.ask(
                "run", node="alice", command=["sh", "-c", f"echo 'out of memory' >> {output}"]
            )
            process = await state.process_of("alice")
            await state.connection.ask("run", node="bob", command=["kill", "-9", process])
            await state.until(lambda: state.ends)
            outputs = await state.connection.ask("outputs")
            return state.ends, outputs

    ends, outputs = asyncio.run(play())
    assert ends == [("alice", "endpoint", "the program was ended by SIGKILL: out of memory")]
    assert outputs["alice"] == "out of memory\n"


def test_a_program_that_fails_says_so_itself_and_is_not_ready():
    async def play():
        async with running(public_network(rendezvous=False)) as state:
            await state.until(lambda: len(state.ends) == 2)
            return state.commanded, state.ends, state.events

    commanded, ends, events = asyncio.run(play())
    assert commanded == []
    assert ends == [("alice", "endpoint", ""), ("bob", "endpoint", "")] or ends[0][0] == "bob"
    failed = [e for e in events if e.type is EventType.ROLE_FAILED]
    assert {e.node for e in failed} == {"alice", "bob"}
    assert all("has endpoints but no node with role 'rendezvous'" in e.data["error"] for e in failed)
    assert {e.data["program"] for e in failed} == {"endpoint"}


def test_a_command_that_makes_no_sense_is_a_failure_and_the_program_goes_on():
    async def play():
        async with running(public_network()) as state:
            await state.connection.ask("command", node="alice", encoded='{"command":"dance"}')
            await state.command("alice", HangUp(call="never"))
            await state.connection.ask("command", node="relay", encoded='{"command":"dance"}')
            await state.until(lambda: EventType.ROLE_FAILED in state.types("relay"))
            with pytest.raises(UsageError, match="no program runs on internet"):
                await state.connection.ask("command", node="internet", encoded="{}")
            return (await call(state)).connected, state.events

    connected, events = asyncio.run(play())
    failures = {e.node: e.data["error"] for e in events if e.type is EventType.ROLE_FAILED}
    assert "dance" in failures["alice"]
    assert failures["relay"] == "UsageError: this program takes no commands"
    assert connected


def test_an_ordinary_users_roles_call_too():
    program = (
        "import asyncio, sys; sys.path[:0] = ['tests/emu']\n"
        "from test_role_processes import *\n"
        "async def main():\n"
        "    async with running(public_network(dns=True)) as state:\n"
        "        print((await call(state)).path.value)\n"
        "asyncio.run(main())\n"
    )
    command, environment = as_ordinary_user([sys.executable, "-c", program])
    root = Path(lab.__file__).parents[1]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["host"], done.stderr


# In words and files


@pytest.mark.parametrize(
    ("status", "output", "words"),
    [
        (0, "", "the program ended with exit status 0"),
        (70, "Traceback ...\nMemoryError\n", "the program ended with exit status 70: MemoryError"),
        (-11, "", "the program was ended by SIGSEGV"),
        (-63, "", "the program ended with exit status -63"),
    ],
)
def test_the_end_of_a_program_in_words(status, output, words):
    assert describe_end(status, output) == words


def test_without_a_dns_server_the_names_are_in_a_table():
    network = public_network()
    files = name_files(network.nodes["alice"], network)
    assert "192.0.2.10 relay.test\n" in files["/etc/hosts"]
    assert files["/etc/resolv.conf"] == ""
    assert files["/etc/nsswitch.conf"] == "hosts: files\n"


def test_with_a_dns_server_the_names_are_its_own():
    network = public_network(dns=True)
    files = name_files(network.nodes["alice"], network)
    (dns,) = network.by_role["dns"].values()
    address = dns.interfaces[0].addresses[0].partition("/")[0]
    assert files["/etc/resolv.conf"] == f"nameserver {address}\n"
    assert "relay.test" not in files["/etc/hosts"]


def test_the_machines_own_name_files_are_not_changed():
    paths = [Path("/etc/hosts"), Path("/etc/resolv.conf"), Path("/etc/nsswitch.conf")]

    def contents():
        return json.dumps([path.read_text() if path.exists() else None for path in paths])

    before = contents()

    async def play():
        async with running(public_network(dns=True)):
            return contents()

    assert asyncio.run(play()) == before == contents()
