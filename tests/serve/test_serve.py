"""``callpath serve`` as other programs see it: lines of JSON, errors in one form, and it goes on."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from lab.serve.requests import MODELS
from lab.serve.schema import serve_schema

pytestmark = pytest.mark.real_time

PATIENCE = 60.0
"""Seconds, on a machine that is busy with much else."""

EXAMPLES = Path(__file__).parents[2] / "examples" / "serve"


def error_of(answer):
    """Return the error of an answer, whose form is that of every error."""
    assert answer["ok"] is False
    assert set(answer["error"]) == {"kind", "exit_code", "message", "problems"}
    return answer["error"]


def test_a_network_is_built_called_on_broken_and_ended(client):
    opened = client.ask("open", topology="two_homes", parameters={"alice_nat": "symmetric"}, lab="mine", id=7)
    assert (opened["id"], opened["ok"], opened["result"]["lab"]) == (7, True, "mine")
    assert {
        "name": "alice-nat", "kind": "nat", "role": "nat", "program": None,
        "addresses": ["192.168.1.1", "203.0.113.10"], "nat": "symmetric",
    } in opened["result"]["nodes"]  # fmt: skip
    call = client.ask("call", lab="mine", caller="alice", callee="bob")["result"]
    assert (call["path"], call["connected"], call["callee"]["node"]) == ("relay", True, "bob")
    assert client.ask("path", lab="mine")["result"]["path"] == "relay"
    for request in (
        {"do": "impair", "link": "alice-access", "options": {"delay": "50ms"}},
        {"do": "cut", "link": "alice-access"},
        {"do": "heal", "link": "alice-access"},
        {"do": "reset", "link": "alice-access"},
        {"do": "drop", "link": "alice-access", "options": {"nth": 1, "from": "alice-nat"}},
        {"do": "reboot_nat", "node": "alice-nat"},
        {"do": "pause", "node": "bob"},
        {"do": "resume", "node": "bob"},
        {"do": "sleep", "duration": "10s"},
        {"do": "send_media", "call": "call-1"},
        {"do": "record", "call": "call-1"},
        {"do": "hang_up", "call": "call-1"},
    ):
        assert client.ask(lab="mine", **request)["ok"], request
    assert client.ask("describe", lab="mine")["result"]["now"] > 10
    assert client.ask("close", lab="mine")["ok"]
    assert "mine" not in [lab["lab"] for lab in client.ask("labs")["result"]["labs"]]


def test_events_are_lines_of_their_own_between_answers(client, homes):
    homes("call", caller="alice", callee="bob")
    told = homes("events", types=["call.started"])["result"]["told"]
    events = [client.hear() for _ in range(told)]
    assert [event["event"]["node"] for event in events] == ["alice", "bob"]
    assert client.ask("hello")["ok"]


def test_events_are_followed_while_they_happen(client, homes, server, connect):
    assert homes("events", follow=True, types=["link.changed"])["result"]["told"] == 0
    other = connect(server)
    (lab,) = [lab["lab"] for lab in other.ask("labs")["result"]["labs"]]
    assert other.ask("cut", lab=lab, link="bob-access")["ok"]
    assert client.hear()["event"]["data"]["settings"] == "cut"


def test_a_capture_is_written_where_it_is_wanted(homes, tmp_path):
    homes("call", caller="alice", callee="bob")
    assert homes("capture", file=str(tmp_path / "x.pcapng"), nodes=["alice"])["result"]["bytes"] > 1000
    assert (tmp_path / "x.pcapng").read_bytes().startswith(b"\x0a\x0d\x0d\x0a")
    error = error_of(homes("capture", file=str(tmp_path / "no" / "x"), nodes=[]))
    assert "No such file" in error["message"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"not json", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[1, 2]", "JSON, but no object: [1, 2]"),
        (b'"text"', "JSON, but no object"),
        (b'{"do": "call"', "not JSON"),
        (b'{"do": NaN}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"do": ' + b'{"a":' * 100_000, "not JSON"),
        (b"{}", 'no key "do"'),
        (b'{"do": "cal"}', 'did you mean "call"'),
        (b'{"do": null}', "no verb None"),
        (b'{"do": ["call"]}', "no verb ['call']"),
        (b'{"do": "cut"}', "'link' is missing"),
        (b'{"do": "cut", "lnk": "x", "link": "y"}', 'did you mean "link"'),
        (b'{"do": "cut", "link": 5}', "cut: link: 5 is not what belongs here\n  expected a valid string"),
        (b'{"do": "run", "node": "a", "command": []}', "run: command: [] is not what belongs here"),
        (b'{"do": "open", "topology": "two_homes", "world": "moon"}', "open: world: 'moon'"),
        (b'{"do": "open", "topology": "two_hoems"}', 'did you mean "two_homes"'),
        (
            b'{"do": "open", "topology": "two_homes", "programs": {"alice": {"adaptor": "chromium"}}}',
            "open: programs: alice: unknown key 'adaptor'\n  did you mean \"adapter\"",
        ),
        (
            b'{"do": "open", "topology": "two_homes", "programs": {"bob": {"ready_within": 5}}}',
            "open: programs: bob.ready_within: 5",
        ),
        (
            b'{"do": "open", "topology": "two_homes", "programs": {"alice": "chromum"}}',
            "open: programs: alice.adapter: no adapter 'chromum'\n  did you mean \"chromium\"",
        ),
        (
            b'{"do": "open", "topology": "two_homes", "programs": {"alice": "chromium"}}',
            "alice: chromium is a program of the kernel's sockets and clock",
        ),
        (b'{"do": "open", "topology": "two_homes", "lab": "../x"}', "open: lab: '../x'"),
        (b'{"do": "cut", "link": "x", "lab": "no-such"}', "no-such"),
        (b'{"do": "events", "types": ["call.begun"]}', "call.begun"),
    ],
)
def test_what_is_no_request_is_told_in_the_one_form_and_the_server_goes_on(client, line, message):
    client.send(line + b"\n")
    error = error_of(client.hear())
    assert message in error["message"]
    assert (error["kind"], error["exit_code"]) == ("usage", 2)
    assert client.ask("hello")["ok"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"do": "cut"}',
        b'{"do": "cal"}',
        b'{"do": "cut", "link": 5}',
        b"[]",
        b'{"do": "hello", "x": 1}',
        b'{"do": "open", "topology": "x", "programs": {"alice": {"adaptor": "lab"}}}',
    ],
)
def test_the_schema_refuses_what_the_server_refuses(line):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(line), serve_schema())


def test_the_schema_takes_programs_in_both_forms():
    programs = {"alice": "chromium", "endpoint": {"command": ["./mine"], "ready_within": "5s"}}
    jsonschema.validate({"do": "open", "topology": "two_homes", "programs": programs}, serve_schema())


def test_an_error_carries_the_id_of_its_request(client):
    assert client.ask("no such verb", id="seven")["id"] == "seven"
    client.send(b'{"id": {"a": 1}, "do": "hello"}\n')
    assert client.hear()["id"] is None


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"do": "cut", "link": "alice-acess"}, 'did you mean "alice-access"'),
        ({"do": "call", "caller": "alice", "callee": "bobby"}, "no endpoint 'bobby'"),
        ({"do": "sleep", "duration": "5"}, "'5' has no unit"),
        ({"do": "impair", "link": "alice-access", "options": {"dealy": "5ms"}}, 'did you mean "delay"'),
        ({"do": "impair", "link": "alice-access", "options": {"link": "5ms"}}, "unknown option"),
        ({"do": "path", "call": "call-9"}, "no call 'call-9'"),
        (
            {"do": "run", "node": "alice", "command": ["ls"]},
            "no program of this machine runs in virtual time",
        ),
        ({"do": "enter", "node": "alice"}, "nothing that a program could enter"),
        ({"do": "output", "program": 1}, "no program 1 was started"),
        ({"do": "reboot_nat", "node": "alice"}, 'did you mean "alice-nat"'),
    ],
)
def test_what_cannot_be_done_is_told_and_the_lab_goes_on(homes, request_, message):
    assert message in error_of(homes(**request_))["message"]
    assert homes("call", caller="alice", callee="bob")["result"]["connected"]


def test_a_line_that_is_too_long_is_thrown_away_and_the_next_is_read(client):
    client.send(b"x" * (3 << 20) + b'\n{"do": "hello"}\n')
    assert "a line of more than 1048576 bytes" in error_of(client.hear())["message"]
    assert client.hear()["ok"]


def test_anything_at_all_is_answered_line_by_line(client):
    """Seeded noise, of characters that JSON is made of among others."""
    noise = random.Random(5)
    lines = [
        bytes(noise.choices(b'{}[]":,0123456789abcdo \\\x00\xff', k=noise.randrange(1, 60)))
        for _ in range(300)
    ]
    lines = [line for line in lines if line.strip()]
    client.send(b"\n".join(lines) + b"\n")
    for _ in lines:
        assert client.hear()["ok"] is False
    assert client.ask("hello")["ok"]


def test_empty_lines_and_carriage_returns_do_no_harm(client):
    client.send(b'\n\r\n  \n{"do": "hello"}\r\n')
    assert client.hear()["ok"]


def test_several_requests_at_once_are_answered_in_their_order(client, homes):
    client.send(b"".join(b'{"do": "hello", "id": %d}\n' % number for number in range(50)))
    assert [client.hear()["id"] for _ in range(50)] == list(range(50))


def test_a_client_that_vanishes_harms_nobody(server, client, homes, connect):
    for last_words in (b'{"do": "ca', b'{"do": "hello"}', b'{"do": "hello"}\n' * 1000, b'{"do": "labs"}\n'):
        gone = connect(server)
        gone.send(last_words)
        # As a process that is killed: what it had not read is answered by a reset.
        gone.close()
    assert homes("call", caller="alice", callee="bob")["result"]["connected"]


def test_a_client_that_reads_nothing_does_not_hold_up_the_others(server, client, homes, connect):
    (lab,) = [lab["lab"] for lab in client.ask("labs")["result"]["labs"]]
    deaf = connect(server)
    deaf.socket.settimeout(0.2)
    requests = (json.dumps({"do": "describe", "lab": lab}).encode() + b"\n") * 100_000
    with pytest.raises(TimeoutError):
        deaf.send(requests)
    assert homes("call", caller="alice", callee="bob")["result"]["connected"]


def test_requests_of_several_clients_are_carried_out_side_by_side(server, connect):
    """Each has a lab of its own; third-party code is bound to one network at a time all the same."""
    clients = [connect(server) for _ in range(4)]
    for number, one in enumerate(clients):
        parameters = {"alice_nat": "symmetric", "bob_nat": "symmetric"}
        request = {"do": "open", "topology": "two_homes", "parameters": parameters, "lab": f"side-{number}"}
        one.send(json.dumps(request).encode() + b"\n")
    assert all(one.hear()["ok"] for one in clients)
    for number, one in enumerate(clients):
        request = {"do": "call", "lab": f"side-{number}", "caller": "alice", "callee": "bob"}
        one.send(json.dumps(request).encode() + b"\n")
    assert {one.hear()["result"]["path"] for one in clients} == {"relay"}
    for number, one in enumerate(clients):
        assert one.ask("close", lab=f"side-{number}")["ok"]


def test_names_of_labs_are_taken_once_and_numbered_where_none_is_given(client):
    first, second = (client.ask("open", topology="one_lan")["result"]["lab"] for _ in range(2))
    assert (first, second) == ("one_lan", "one_lan-2")
    assert "2 labs are open" in error_of(client.ask("describe"))["message"]
    taken = error_of(client.ask("open", topology="one_lan", lab="one_lan"))
    assert "there is a lab 'one_lan' already" in taken["message"]
    for name in (first, second):
        assert client.ask("close", lab=name)["ok"]
    assert "no labs are open" in error_of(client.ask("describe"))["message"]


# Over TCP


def test_over_tcp_nothing_is_done_without_the_token(start_server, connect):
    word = "a word that was agreed"
    _, where = start_server("--tcp", "127.0.0.1:0", CALLPATH_TOKEN=word)
    host, _, port = where["tcp"].rpartition(":")
    address = (host, int(port))
    for first in (b'{"do": "labs"}\n', b'{"do": "hello", "token": "another"}\n', b"GET / HTTP/1.1\r\n"):
        stranger = connect(address)
        stranger.send(first)
        assert error_of(stranger.hear())["kind"] == "usage"
        assert stranger.hear() is None  # closed
    known = connect(address)
    assert known.ask("hello", token=word)["ok"]
    assert known.ask("open", topology="one_lan")["ok"]


def test_a_token_is_made_up_where_none_is_given(start_server):
    tokens = [start_server("--tcp", "[::1]:0" if n else "127.0.0.1:0")[1]["token"] for n in range(2)]
    assert len({*tokens}) == 2
    assert min(map(len, tokens)) > 20


# The end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_its_socket_is_gone(start_server, number, connect):
    process, where = start_server()
    client = connect(where["unix"])
    assert client.ask("open", topology="one_lan")["ok"]
    process.send_signal(number)
    assert process.wait(PATIENCE) == 0
    assert client.hear() is None
    assert not Path(where["unix"]).exists()


def test_it_ends_with_its_standard_input_where_that_is_asked_for(start_server):
    """As when the process that started it was killed: the pipe ends."""
    process, where = start_server("--end-with-stdin")
    process.stdin.close()
    assert process.wait(PATIENCE) == 0
    assert not Path(where["unix"]).exists()


def test_a_client_may_ask_for_the_end(start_server, connect):
    process, where = start_server()
    client = connect(where["unix"])
    assert client.ask("down")["ok"]
    assert process.wait(PATIENCE) == 0


# Places


def serve(*options, **environment):
    return subprocess.run(
        [sys.executable, "-m", "lab.cli", "serve", *options], env={**os.environ, **environment},
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip


def test_a_socket_that_somebody_left_is_replaced(start_server, tmp_path, connect):
    place = tmp_path / "s"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(place))
    left.close()
    _, where = start_server("--unix", str(place))
    assert connect(where["unix"]).ask("hello")["ok"]
    assert place.stat().st_mode & 0o077 == 0
    refused = serve("--unix", str(place))
    assert (refused.returncode, "another server listens there" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--tcp", "0.0.0.0:0"], 2, "a loopback address such as 127.0.0.1:0"),
        (["--tcp", "127.0.0.1:99999"], 2, "a loopback address"),
        (["--tcp", "localhost"], 2, "a loopback address"),
        (["--unix", "x", "--tcp", "127.0.0.1:0"], 2, "not both"),
        (["--unix", "/no/such/place"], 4, "/no/such: No such file or directory"),
        (["--unix", "./" + "x" * 120], 2, "a path of at most 107"),
        (["--unix", __file__], 2, "something else is there"),
    ],
)
def test_a_place_that_cannot_be_is_refused(options, code, message):
    done = serve(*options)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = serve("--tcp", f"127.0.0.1:{taken.getsockname()[1]}")
    assert (done.returncode, "Address already in use" in done.stderr) == (4, True)


def test_a_runtime_directory_of_others_is_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    done = serve(CALLPATH_RUNTIME_DIR=str(tmp_path / "open"))
    assert (done.returncode, "not a directory of this user's alone" in done.stderr) == (4, True)


# Other languages


def run_example(command, tmp_path):
    environment = {**os.environ, "CALLPATH_RUNTIME_DIR": str(tmp_path / "run")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.system("bash")
def test_the_example_in_bash(tmp_path):
    done = run_example(["bash", EXAMPLES / "call.sh"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["path"] == "relay"


@pytest.mark.system("node")
def test_the_example_in_node(tmp_path):
    done = run_example(["node", EXAMPLES / "call.mjs"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^[a-z-]+, set up in \d+ ms$", done.stdout, re.MULTILINE)
    assert "no endpoint 'nobody' in two_homes" in done.stdout
    assert "ice.consent_lost" in done.stdout
    assert list((tmp_path / "run").iterdir()) == []


def test_every_verb_is_described_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "serve.md").read_text()
    missing = [verb for verb in MODELS if f"`{verb}`" not in page]
    assert not missing
