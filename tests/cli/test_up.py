"""``callpath up`` and the commands of other terminals, in virtual time: one lab, several, and their ends."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

pytestmark = pytest.mark.real_time

PATIENCE = 60.0

CALLPATH = [sys.executable, "-m", "lab.cli"]


@pytest.fixture
def terminal(tmp_path, monkeypatch):
    """Run commands that see the labs of this test alone."""
    monkeypatch.setenv("CALLPATH_RUNTIME_DIR", str(tmp_path / "run"))

    def run(*command):
        return subprocess.run(
            [*CALLPATH, *command], capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    return run


@pytest.fixture
def up(terminal):
    """Start ``callpath up`` and wait until it says that the lab runs."""
    started = []

    def start(*options):
        process = subprocess.Popen([*CALLPATH, "up", *options], stdout=subprocess.PIPE, text=True)
        started.append(process)
        for line in process.stdout:
            if line.startswith("lab "):
                return process
        raise AssertionError("it ended before its lab ran")

    yield start
    for process in started:
        process.kill()
        process.wait(PATIENCE)
        process.stdout.close()


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """A lab for all tests that only ask; the environment in which it is found."""
    environment = {**os.environ, "CALLPATH_RUNTIME_DIR": str(tmp_path_factory.mktemp("homes") / "run")}
    command = [*CALLPATH, "up", "two_homes"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert any(line.startswith("lab ") for line in process.stdout)
        yield environment
        process.terminate()


def test_a_lab_is_called_on_broken_and_ended_from_other_terminals(up, terminal):
    running = up("two_homes", "--set", "alice_nat=symmetric")
    listed = json.loads(terminal("ps", "--json").stdout)
    assert [(lab["lab"], lab["world"], lab["parameters"]) for lab in listed] == [
        ("two_homes", "sim", {"alice_nat": "symmetric"})
    ]
    called = terminal("call", "alice", "bob")
    assert (called.returncode, called.stdout.startswith("call-1: relay, set up in ")) == (0, True)
    for command in (
        ["impair", "alice-access", "delay=80ms", "loss=1%"],
        ["cut", "bob-access"],
        ["heal", "bob-access"],
        ["reset", "alice-access"],
        ["reboot-nat", "alice-nat"],
    ):
        done = terminal(*command)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), command
    assert terminal("down").returncode == 0
    assert running.wait(PATIENCE) == 0
    told = running.stdout.read()
    for word in ("ice.connected", "delay 80 ms", "settings cut", "nat.rebooted"):
        assert word in told
    assert terminal("ps").stderr == "no lab runs\n"


def test_what_happened_at_the_last_moment_is_told_before_the_end(up, tmp_path):
    running = up("two_homes")
    asked = b'{"do": "reboot_nat", "lab": "two_homes", "node": "alice-nat"}\n{"do": "down"}\n'
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "run" / "two_homes.sock"))
        client.sendall(asked)  # far less than a look's interval apart
        assert running.wait(PATIENCE) == 0
    assert "nat.rebooted" in running.stdout.read()


def test_a_call_without_a_path_ends_with_one(up, terminal):
    up("two_homes", "--set", "alice_nat=udp-blocked", "--quiet")
    terminal("cut", "relay")
    done = terminal("call", "alice", "bob", "--hang-up")
    assert (done.returncode, done.stdout.startswith("call-1: no path")) == (1, True)


def test_a_capture_goes_to_a_file_or_to_standard_output(up, terminal, tmp_path):
    up("two_homes")
    terminal("call", "alice", "bob")
    assert terminal("capture", "alice", "-w", str(tmp_path / "a.pcapng")).returncode == 0
    piped = subprocess.run([*CALLPATH, "capture", "alice", "-w", "-"], capture_output=True, check=True)
    assert (tmp_path / "a.pcapng").read_bytes() == piped.stdout
    assert piped.stdout.startswith(b"\x0a\x0d\x0d\x0a")


def test_of_several_labs_one_is_named(up, terminal, monkeypatch):
    up("one_lan")
    up("one_lan")
    up("two_homes", "--name", "mine")
    refused = terminal("call", "alice", "bob")
    assert (refused.returncode, "--lab and the name of one" in refused.stderr) == (2, True)
    assert "known: mine, one_lan, one_lan-2" in refused.stderr
    assert "host" in terminal("call", "alice", "bob", "--lab", "one_lan-2").stdout
    monkeypatch.setenv("CALLPATH_LAB", "mine")
    assert "call-1: relay" in terminal("call", "alice", "bob").stdout
    wrong = terminal("cut", "x", "--lab", "mein")
    assert (wrong.returncode, 'did you mean "mine"?' in wrong.stderr) == (2, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_lab_and_its_socket_is_gone(up, tmp_path, number):
    running = up("one_lan")
    running.send_signal(number)
    assert running.wait(PATIENCE) == 0
    assert list((tmp_path / "run").iterdir()) == []


def test_the_socket_of_a_lab_that_was_killed_is_told_and_removed(up, terminal, tmp_path):
    running = up("one_lan")
    running.kill()
    running.wait(PATIENCE)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["one_lan.sock"]
    done = terminal("call", "alice", "bob")
    assert done.returncode == 5
    assert "removed the socket of one_lan, whose process has ended" in done.stderr
    assert "no lab runs" in done.stderr
    assert list((tmp_path / "run").iterdir()) == []


def test_a_server_that_is_stopped_is_told_and_not_waited_for_for_ever(up, terminal, monkeypatch):
    running = up("one_lan")
    running.send_signal(signal.SIGSTOP)
    done = terminal("ps")  # which is given some time, and no more
    assert "does not answer" in done.stderr
    running.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("words", [b"220 mail.example ESMTP\r\n", b""])
def test_something_that_is_no_lab_in_the_directory_is_told(terminal, tmp_path, words):
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "run" / "notes.txt").write_text("x")
    with socket.socket(socket.AF_UNIX) as strange:
        strange.bind(str(tmp_path / "run" / "strange.sock"))
        strange.listen()

        def greet():
            for _ in range(3):  # two looks whether it is alive, and one to talk to it
                talking = strange.accept()[0]
                with talking, contextlib.suppress(OSError):
                    talking.sendall(words)

        greeting = threading.Thread(target=greet, daemon=True)
        greeting.start()
        done = terminal("ps")
    assert "run/strange.sock: " in done.stderr
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


def test_with_a_command_the_lab_runs_as_long_as_that_does(terminal, tmp_path):
    done = terminal("up", "two_homes", "--", *CALLPATH, "call", "alice", "bob")
    assert (done.returncode, done.stdout.startswith("call-1: relay, set up in ")) == (0, True)
    assert terminal("up", "one_lan", "--", "sh", "-c", "exit 7").returncode == 7
    missing = terminal("up", "one_lan", "--", "no-such-program")
    assert (missing.returncode, "no-such-program: No such file" in missing.stderr) == (2, True)
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["up", "two_hoems"], 2, 'did you mean "two_homes"'),
        (["up", "two_homes", "--set", "alice_nat=symmetric,cgn"], 2, "2 values\n  expected one"),
        (["up", "two_homes", "--set", "alice_nat=symetric"], 2, "symetric"),
        (["up", "two_homes", "--name", "../x"], 2, "no name for a lab"),
        (["up", "two_homes", "--relay", "coturn"], 2, "coturn"),
        (["call", "alice", "bob"], 5, "no lab runs"),
        (["exec", "alice", "--", "ls"], 5, "no lab runs"),
        (["shell", "alice"], 5, "no lab runs"),
        (["down"], 5, "no lab runs"),
        (["cut", "x"], 5, "no lab runs"),
        (["exec", "alice"], 2, "Missing argument"),
        (["impair", "x", "delay"], 2, "not an assignment"),
        (["impair", "x", "delay=1ms", "delay=2ms"], 2, "a second time"),
    ],
)
def test_what_cannot_be_is_refused_in_words(terminal, command, code, message):
    done = terminal(*command)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["call", "alice", "bobby"], "no endpoint 'bobby'"),
        (["cut", "alice-acess"], 'did you mean "alice-access"'),
        (["impair", "alice-access", "dealy=5ms"], 'did you mean "delay"'),
        (["impair", "alice-access", "delay=5"], "'5' has no unit"),
        (["reboot-nat", "alice"], 'did you mean "alice-nat"'),
        (["capture", "alise", "-w", "-"], 'did you mean "alice"'),
        (["exec", "alice", "--", "ls"], "--world emu"),
        (["shell", "alice"], "--world emu"),
    ],
)
def test_what_a_running_lab_cannot_do_is_refused_in_words(homes, command, message):
    done = subprocess.run(
        [*CALLPATH, *command], env=homes, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_name_that_runs_is_refused(up, terminal):
    up("one_lan", "--name", "mine")
    done = terminal("up", "one_lan", "--name", "mine")
    assert (done.returncode, "a lab of that name runs" in done.stderr) == (2, True)
