"""Programs of anybody as endpoints: the contract, the example programs, and programs that misbehave."""

import asyncio
import os
import sys
import textwrap
from pathlib import Path

import pytest
from plain_topologies import homes_network, public_network

from lab.emu.lab import emulate
from lab.emu.programs.external_program import HANG_UP_SECONDS, command_of
from lab.errors import HostNotReady, UsageError
from lab.measure.calls import calls_of
from lab.run.program_choice import with_programs
from lab.spec.event import EventType, PathClass
from lab.spec.program import Program
from lab.spec.program_lines import LONGEST_LINE

ROOT = Path(__file__).parents[2]
PLAIN = Program(adapter="plain-udp")
SETTINGS = {"run_seed": 1, "trial_key": "t", "deadline": 90.0}

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack"),
    pytest.mark.usefixtures("untouched_machine"),
]


def play(network, programs, scenario):
    return emulate(with_programs(network, programs), scenario, {}, **SETTINGS)


def python(*lines, **options):
    """Return a program that reads its setup and then does what the lines say."""
    beginning = "import json, os, sys, time\nsetup = json.loads(sys.stdin.readline())['setup']\n"
    code = beginning + textwrap.dedent("\n".join(lines))
    return Program(command=(sys.executable, "-u", "-c", code), **options)


READY = "print('{\"ready\": true}')"
FOR_EVER = "for line in sys.stdin: pass"


async def one_call(lab):
    await lab.call("alice", "bob", timeout="30s")
    await lab.hang_up("call-1")


def failures(played):
    return {e.node: e.data["error"] for e in played.events if e.type is EventType.ROLE_FAILED}


def test_the_shipped_example_calls_between_public_hosts_with_media_both_ways():
    played = play(public_network(), {"endpoint": PLAIN}, one_call)
    (call,) = calls_of(played.events)
    assert call.path is PathClass.HOST
    assert (call.caller.received, call.callee.received) == (5, 5)
    assert min(call.caller.delays) > 0
    assert 0 < call.setup_time < 5
    ended = [e.data["reason"] for e in played.events if e.type is EventType.CALL_ENDED]
    assert ended == ["hung up"] * 2


@pytest.mark.requirement("Z1-1")
def test_without_nat_traversal_a_call_between_two_homes_fails_for_both():
    played = play(homes_network(), {"endpoint": PLAIN}, one_call)
    (call,) = calls_of(played.events)
    assert call.path is PathClass.NONE
    assert "nothing was heard" in call.caller.failed
    assert "nothing was heard" in call.callee.failed


@pytest.mark.system("node")
def test_an_endpoint_in_javascript_calls_one_in_python():
    example = Program(command=("node", "plain-udp.mjs"), directory=str(ROOT / "docs" / "examples"))
    played = play(public_network(), {"alice": example, "bob": PLAIN}, one_call)
    (call,) = calls_of(played.events)
    assert call.path is PathClass.HOST
    assert (call.caller.received, call.callee.received) == (5, 5)
    assert failures(played) == {}


def test_a_program_is_told_who_and_where_it_is_and_its_servers_and_can_use_them():
    """What it reports as a JSON text is an event of the run."""
    report = """
        import ssl, socket
        turn = [s for s in setup["servers"] if s["transport"] == "tls"][0]
        trusted = ssl.create_default_context(cafile=setup["ca_file"])
        plain = socket.create_connection((turn["host"], turn["port"]))
        version = trusted.wrap_socket(plain, server_hostname=turn["host"]).version()
        here = os.getcwd() == setup["directory"] == os.environ["TMPDIR"]
        clock = time.monotonic() - setup["origin"]
        print(json.dumps({"type": "program.reported", "data":
            {"what": "setup", "setup": setup, "tls": version, "here": here, "clock": clock}}))
    """
    told = python(textwrap.dedent(report), READY, FOR_EVER, options={"volume": 11})

    async def scenario(lab):
        await lab.sleep("1ms")

    played = play(public_network(), {"alice": told}, scenario)
    (event,) = [e for e in played.events if e.type is EventType.PROGRAM_REPORTED]
    setup = event.data["setup"]
    assert (setup["node"], setup["role"], setup["options"]) == ("alice", "endpoint", {"volume": 11})
    address = setup["nodes"]["alice"]["addresses"][0]
    assert setup["addresses"] == [address]
    relay = setup["nodes"]["relay"]["addresses"][0]
    assert [(s["kind"], s["transport"], s["host"], s["port"]) for s in setup["servers"]] == [
        ("stun", "udp", relay, 3478),
        ("turn", "udp", relay, 3478),
        ("turn", "tcp", relay, 443),
        ("turn", "tls", relay, 5349),
    ]
    assert {s["username"] for s in setup["servers"]} == {"", "callpath"}
    assert setup["rendezvous"] == [setup["nodes"]["rendezvous"]["addresses"][0], 443]
    assert event.data["tls"] in {"TLSv1.2", "TLSv1.3"}
    assert event.data["here"]
    assert event.time - 2.0 < event.data["clock"] <= event.time


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (
            python("print('no licence', file=sys.stderr)", "sys.exit(3)"),
            r"alice: python\S* ended with exit status 3 before it was ready; it said last\n  no licence",
        ),
        (python("print('Listening on 0.0.0.0')", FOR_EVER), r"breaks the contract: not JSON: 'Listening on "),
        (
            python("time.sleep(60)", ready_within=0.5),
            r"alice: python\S* has not said in 0.5 s that it is ready",
        ),
        (Program(command=("./nowhere",)), r"alice: cannot start './nowhere': No such file or directory"),
    ],
    ids=["ends at once", "says something else", "says nothing", "is not there"],
)
def test_a_program_that_does_not_get_ready_ends_the_run_with_the_reason(program, words):
    with pytest.raises(HostNotReady, match=words):
        play(public_network(), {"alice": program, "bob": PLAIN}, one_call)


GARBAGE = ["sys.stdin.readline()", 'print(\'{"type": "ice.selected", "call": "call-1"}\')', FOR_EVER]
ENDLESS = ["sys.stdin.readline()", "while True: sys.stdout.write('x' * 4096)"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (GARBAGE, 'breaks the contract: local: Field required: \'{"type": "ice.selected"'),
        (ENDLESS, f"breaks the contract: a line of more than {LONGEST_LINE} bytes"),
        (
            [
                "sys.stdin.readline()",
                "print('Segmentation fault', file=sys.stderr)",
                "os.kill(os.getpid(), 11)",
            ],
            "was ended by SIGSEGV; it said last\n  Segmentation fault",
        ),
    ],
    ids=["an event without its data", "a line without end", "a crash"],
)
def test_a_program_that_fails_in_a_call_is_one_event_and_the_call_is_over_at_once(lines, words):
    played = play(public_network(), {"alice": PLAIN, "bob": python(READY, *lines)}, one_call)
    (error,) = [error for node, error in failures(played).items() if node == "bob"]
    assert words in error
    assert len(error) < 1000
    (call,) = calls_of(played.events)
    assert not call.connected
    assert played.events[-1].time - call.caller.started < 20


@pytest.mark.parametrize("killer", ["somebody", "the lab"])
def test_a_call_that_a_program_was_told_to_make_as_it_died_is_one_that_failed(killer):
    """Whether the command comes before its end is heard of or after."""

    async def scenario(lab):
        if killer == "somebody":
            command = ["sh", "-c", "kill -9 $(grep -lx role-alice /proc/[0-9]*/comm | cut -d/ -f3)"]
            await lab._agent.ask("run", node="bob", command=command)
            await lab.call("alice", "bob", timeout="20s")
        else:
            calling = asyncio.ensure_future(lab.call("alice", "bob", timeout="20s"))
            await asyncio.sleep(0)
            lab.kill("alice")
            await calling

    played = play(public_network(), {"endpoint": PLAIN}, scenario)
    (call,) = calls_of(played.events)
    assert not call.connected
    assert played.events[-1].time - call.caller.started < 15


def test_a_call_to_a_program_that_does_nothing_ends_by_the_deadline_of_the_call():
    deaf = python(READY, FOR_EVER)

    async def scenario(lab):
        before = lab.now
        await lab.call("alice", "bob", timeout="1s")
        seconds.append(lab.now - before)
        await lab.hang_up("call-1")
        seconds.append(lab.now - before)

    seconds = []
    played = play(public_network(), {"endpoint": deaf}, scenario)
    (call,) = calls_of(played.events)
    assert not call.connected
    assert 1 <= seconds[0] < 2.5
    assert seconds[1] < 1 + HANG_UP_SECONDS + 2
    assert f"has not said so in {HANG_UP_SECONDS:g} s" in played.events[-2].data["reason"]


def test_a_program_is_killed_with_what_it_started_and_starts_anew_and_is_paused():
    parent = python(
        "import subprocess",
        "child = subprocess.Popen(['sleep', '600'])",
        "print(json.dumps({'type': 'program.reported', 'data': {'what': 'child', 'pid': child.pid}}))",
        READY,
        FOR_EVER,
    )

    async def states(lab, pids):
        command = ["sh", "-c", f"cat {' '.join(f'/proc/{pid}/stat' for pid in pids)} 2>&1; true"]
        said = await lab._agent.ask("run", node="bob", command=command)
        return [
            "gone" if "No such" in line else line.rpartition(")")[2].split()[0] for line in said.splitlines()
        ]

    async def scenario(lab):
        children = [e.data["pid"] for e in lab.events if e.type is EventType.PROGRAM_REPORTED]
        lab.pause("alice")
        await lab.sleep("200ms")
        seen.append(await states(lab, children))
        lab.resume("alice")
        lab.kill("alice")
        await lab.sleep("200ms")
        seen.append(await states(lab, children))
        lab.restart("alice")
        await lab.sleep("1s")
        seen.append([e.data["pid"] for e in lab.events if e.type is EventType.PROGRAM_REPORTED])

    seen = []
    played = play(public_network(), {"alice": parent, "bob": PLAIN}, scenario)
    assert seen[0] == ["T"]
    assert seen[1] in (["gone"], ["Z"])
    assert len(seen[2]) == 2
    told = [(e.type, e.data["program"]) for e in played.events if e.type.value.startswith("role.")]
    name = Path(sys.executable).name
    assert told == [
        (EventType.ROLE_PAUSED, name),
        (EventType.ROLE_RESUMED, name),
        (EventType.ROLE_KILLED, name),
        (EventType.ROLE_RESTARTED, name),
    ]


@pytest.mark.parametrize(("whose", "own"), [("alice", "bob"), ("bob", "alice")])
def test_an_external_program_and_the_labs_own_endpoint_cannot_talk_which_is_said_before_they_try(whose, own):
    """The lab's own endpoint has no DTLS, by which everybody else makes sure of whom it hears."""
    with pytest.raises(UsageError) as refused:
        play(public_network(), {whose: PLAIN}, one_call)
    told = str(refused.value)
    assert f"{own} (the lab's own endpoint) speaks ICE alone" in told
    assert f"{whose} (plain-udp) speaks session descriptions" in told


def test_what_a_program_prints_is_among_the_runs_outputs():
    talkative = python("print('hello from the program', file=sys.stderr)", READY, FOR_EVER)

    async def scenario(lab):
        await lab.sleep("1ms")

    played = play(public_network(), {"alice": talkative, "bob": PLAIN}, scenario)
    assert played.outputs["alice"] == "hello from the program\n"


def test_the_command_of_an_adapter_is_the_labs_interpreter():
    assert command_of(PLAIN)[0] == sys.executable
    assert os.access(command_of(PLAIN)[0], os.X_OK)
