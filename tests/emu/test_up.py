"""``callpath up`` on the kernel: programs and shells on its nodes from other terminals, as root and not."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ordinary_user import as_ordinary_user, place_for_everyone

PATIENCE = 60.0

CALLPATH = [sys.executable, "-m", "lab.cli"]

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack"),
]


def start_up(environment, *options):
    """Start ``callpath up`` and wait until it says that the lab runs."""
    process = subprocess.Popen(
        [*CALLPATH, "up", *options, "--world", "emu"], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert any(line.startswith("lab ") for line in process.stdout), process.wait(PATIENCE)
    return process


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return {**os.environ, "CALLPATH_RUNTIME_DIR": str(tmp_path_factory.mktemp("up") / "run")}


@pytest.fixture(scope="module")
def homes(environment):
    """A lab that runs while the tests of this module do."""
    process = start_up(environment, "two_homes")
    yield process
    process.terminate()
    assert process.wait(PATIENCE) == 0
    process.stdout.close()


@pytest.fixture
def terminal(homes, environment):
    """Run a command as in another terminal."""

    def run(*command, **settings):
        return subprocess.run(
            [*CALLPATH, *command], env=environment, capture_output=True, text=True, check=False,
            timeout=PATIENCE, **settings,
        )  # fmt: skip

    return run


def test_a_program_runs_in_a_nodes_network_with_its_names(terminal):
    assert "192.168.1.10/24" in terminal("exec", "alice", "--", "ip", "-br", "addr").stdout
    assert "203.0.113.10/24" in terminal("exec", "alice-nat", "--", "ip", "-br", "addr").stdout
    assert "192.0.2.10" in terminal("exec", "bob", "--", "getent", "hosts", "relay.test").stdout


def test_input_status_directory_and_environment_are_the_callers(terminal, tmp_path):
    done = terminal("exec", "bob", "--", "sh", "-c", "cat; pwd; echo $CALLPATH_NODE; exit 7",
                    input="typed\n", cwd=tmp_path)  # fmt: skip
    assert (done.returncode, done.stdout) == (7, f"typed\n{tmp_path}\nbob\n")
    assert terminal("exec", "bob", "--", "sh", "-c", "kill -9 $$").returncode == 137


def test_options_of_the_program_are_its_own(terminal):
    assert terminal("exec", "bob", "ip", "-json", "link").stdout.startswith("[")
    assert "--lab" in terminal("exec", "bob", "--", "echo", "--lab", "x", "--help").stdout


def test_calls_and_faults_of_other_terminals(terminal):
    reach = ["exec", "alice", "--", "timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/rendezvous.test/443"]
    assert terminal("call", "alice", "bob").returncode == 0
    assert terminal("cut", "alice-access").returncode == 0
    assert terminal(*reach).returncode == 124
    assert terminal("heal", "alice-access").returncode == 0
    assert terminal(*reach).returncode == 0
    assert terminal("reboot-nat", "alice-nat").returncode == 0
    plain = terminal("impair", "alice-home", "delay=20ms")
    assert (plain.returncode, "built as a plain wire" in plain.stderr) == (2, True)
    assert terminal("impair", "alice-access", "delay=20ms").returncode == 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["exec", "alise", "--", "ls"], 'did you mean "alice"'),
        (["exec", "alice", "--", "no-such-program"], "no program 'no-such-program' on PATH"),
        (["capture", "alise", "-w", "-"], 'did you mean "alice"'),
    ],
)
def test_what_cannot_be_is_refused_in_words(terminal, command, message):
    done = terminal(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


class Shell:
    """A terminal with a shell on a node."""

    def __init__(self, environment, node):
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(environment | {"SHELL": "/bin/bash"})
            os.execv(sys.executable, [*CALLPATH, "shell", node])  # noqa: S606 - that is the point

    def type(self, keys):
        os.write(self._terminal, keys.encode())

    def expect(self, pattern):
        """Read until something matches, and return it."""
        seen, end = "", time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if select.select([self._terminal], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):  # the terminal is gone: what was read is all
                    seen += os.read(self._terminal, 4096).decode()
            if match := re.search(pattern, seen):
                return match
        raise AssertionError(f"{pattern!r} was not seen in {seen!r}")

    def exit_code(self):
        """Wait for the end of the command that it is."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            if select.select([self._terminal], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    os.read(self._terminal, 4096)
        raise AssertionError("it has not ended")

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._terminal)


@pytest.mark.system("bash")
def test_a_shell_has_a_prompt_job_control_and_the_keyboards_interrupt(homes, environment):
    shell = Shell(environment, "alice")
    try:
        shell.expect(r"alice:.*[#$] ")
        shell.type("ip -br -4 addr show dev alice-eth0\n")
        shell.expect(r"192\.168\.1\.10/24")
        shell.type("sh -c 'echo be\"\"gun; exec sleep 1000'\n")
        shell.expect("begun")
        shell.type("\x03")
        shell.expect(r"alice:.*[#$] ")
        shell.type("sh -c 'echo be\"\"gun; exec sleep 1000'\n")
        shell.expect("begun")
        shell.type("\x1a")
        shell.expect(r"Stopped")
        shell.type("exit 5\nexit 5\n")  # the first time it says that there are stopped jobs
        assert shell.exit_code() == 5
    finally:
        shell.end()


def test_programs_end_with_a_lab_that_is_killed(environment):
    """The parent of all is killed by a signal that it cannot catch: nothing is cleaned up."""
    running = start_up({**environment, "CALLPATH_LAB": "doomed"}, "one_lan", "--name", "doomed")
    command = [*CALLPATH, "exec", "--lab", "doomed", "alice", "--", "sh", "-c", "echo up; exec sleep 1000"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "up\n"
        running.kill()
        assert program.wait(PATIENCE) == 128 + signal.SIGKILL
    running.wait(PATIENCE)
    running.stdout.close()
    listed = subprocess.run(
        [*CALLPATH, "ps"], env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert "removed the socket of doomed" in listed.stderr


def test_a_lab_whose_namespace_is_killed_ends_its_command_with_the_reason(environment):
    running = start_up(environment, "one_lan", "--name", "broken")
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    assert running.wait(PATIENCE) == 4
    running.stdout.close()


def test_a_program_ends_with_the_command_that_started_it(homes, environment, terminal):
    command = [*CALLPATH, "exec", "alice", "--", "sh", "-c", "echo $$; exec sleep 1000"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as program:
        inside = program.stdout.readline().strip()
        program.kill()
    end = time.monotonic() + PATIENCE
    while terminal("exec", "alice", "--", "sh", "-c", f"kill -0 {inside}").returncode == 0:
        assert time.monotonic() < end


def test_signals_to_the_command_are_the_programs(homes, environment):
    command = [
        *CALLPATH,
        "exec",
        "alice",
        "--",
        "sh",
        "-c",
        "trap 'echo caught; exit 9' TERM; echo up; read x",
    ]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as p:
        assert p.stdout.readline() == "up\n"
        p.terminate()
        assert p.stdout.readline() == "caught\n"  # before the end of the input, which ends the shell too
        p.stdin.close()
        assert p.wait(PATIENCE) == 9


@pytest.mark.system("setpriv")
def test_an_ordinary_user_has_all_of_it(tmp_path):
    """Who has user namespaces enters them from another terminal, as the same user."""
    place = place_for_everyone(tmp_path)
    inside = "callpath exec alice -- sh -c 'id -u; ip -br addr' && callpath call alice bob"
    wrapped = f'callpath() {{ {" ".join(CALLPATH)} "$@"; }}; {inside}'
    command, environment = as_ordinary_user(
        [*CALLPATH, "up", "one_lan", "--world", "emu", "--", "bash", "-c", wrapped]
    )
    environment["CALLPATH_RUNTIME_DIR"] = str(place / "run")
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120, cwd=place
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0\n")  # root in the lab, and nowhere else
    assert "alice-eth0" in done.stdout
    assert "call-1: host" in done.stdout


@pytest.mark.system("tshark")
def test_a_capture_is_read_while_it_is_written_and_ends_when_nobody_reads(homes, environment, terminal):
    """As `callpath capture alice -w - | wireshark -k -i -`, with one that ends at the first packet."""
    read = [
        "tshark",
        "-l",
        "-i",
        "-",
        "-c",
        "1",
        "-T",
        "fields",
        "-e",
        "frame.interface_name",
        "-Y",
        "tcp.port == 443",
    ]
    command = [*CALLPATH, "capture", "alice", "-w", "-"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as capture:
        with subprocess.Popen(
            read, stdin=capture.stdout, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as reading:
            capture.stdout.close()
            knock(terminal, reading)
            assert "alice:alice-home" in reading.stdout.read()
        knock(terminal, capture)  # what is written now finds nobody
        assert capture.returncode == 0


def knock(terminal, process):
    """Send packets until a process has seen enough of them."""
    end = time.monotonic() + PATIENCE
    while process.poll() is None:
        assert time.monotonic() < end
        terminal("exec", "alice", "--", "timeout", "1", "bash", "-c", "exec 3<>/dev/tcp/rendezvous.test/443")


def test_a_capture_of_a_lab_ends_with_it_or_by_an_interrupt(environment, homes, tmp_path):
    running = start_up(environment, "one_lan", "--name", "brief")
    settings = {"env": environment, "stderr": subprocess.PIPE}
    command = [*CALLPATH, "capture", "--lab", "brief", "alice", "-w", str(tmp_path / "a")]
    interrupted = [*CALLPATH, "capture", "--lab", "two_homes", "bob", "-w", str(tmp_path / "b")]
    with subprocess.Popen(command, **settings) as one, subprocess.Popen(interrupted, **settings) as other:
        end = time.monotonic() + PATIENCE
        while not all(path.exists() and path.stat().st_size for path in (tmp_path / "a", tmp_path / "b")):
            assert time.monotonic() < end
            time.sleep(0.05)
        running.kill()
        other.send_signal(signal.SIGINT)
        assert (one.wait(PATIENCE), other.wait(PATIENCE)) == (0, 0)
        assert (one.stderr.read(), other.stderr.read()) == (b"", b"")
    running.wait(PATIENCE)
    running.stdout.close()


def test_a_program_of_the_users_is_an_endpoint_of_the_lab(environment, tmp_path):
    environment = {**environment, "CALLPATH_RUNTIME_DIR": str(tmp_path)}  # no other lab's end is told here
    client = f"bob={sys.executable} -m lab.adapters.plain_udp"
    options = ["--world", "emu", "--set", "alice_nat=none", "--set", "bob_nat=none"]
    done = subprocess.run(
        [*CALLPATH, "up", "two_homes", *options, "--program", "alice={adapter: plain-udp}",
         "--program", client, "--", *CALLPATH, "call", "alice", "bob"],
        env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "call-1: host, set up in" in done.stdout


def test_serve_runs_programs_on_nodes(environment):
    """For other languages: started, waited for, signalled; their output in answers."""
    with subprocess.Popen(
        [*CALLPATH, "serve", "--end-with-stdin"], env=environment, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        import socket  # noqa: PLC0415 - this test alone

        with socket.socket(socket.AF_UNIX) as client, client.makefile("rw") as lines:
            client.settimeout(PATIENCE)
            client.connect(json.loads(server.stdout.readline())["unix"])

            def ask(do, **fields):
                lines.write(json.dumps({"do": do, **fields}) + "\n")
                lines.flush()
                return json.loads(lines.readline())

            assert ask("open", topology="one_lan", world="emu", lab="served")["ok"]
            ran = ask("run", node="alice", command=["sh", "-c", "hostname -I 2>/dev/null; echo done; exit 3"])
            assert (ran["result"]["exit_code"], ran["result"]["output"].endswith("done\n")) == (3, True)
            program = ask("start", node="bob", command=["sleep", "1000"])["result"]["program"]
            assert ask("output", program=program)["result"]["is_running"] is True
            late = ask("wait", program=program, timeout="100ms")
            assert late["error"]["kind"] == "program-failed"
            assert ask("signal", program=program, number=2)["ok"]
            assert ask("wait", program=program)["result"]["exit_code"] == -2
            assert ask("call", caller="alice", callee="bob")["result"]["path"] == "host"
            opened = ask("open", topology="one_lan", world="emu", programs={"endpoint": "plain-udp"}, lab="p")
            nodes = {node["name"]: node["program"] for node in opened["result"]["nodes"]}
            assert (nodes["alice"], nodes["relay"]) == ("plain-udp", None)
            assert ask("call", lab="p", caller="alice", callee="bob")["result"]["path"] == "host"
            assert ask("close", lab="p")["ok"]
            missing = ask("run", node="alice", command=["no-such-program"])
            assert missing["error"]["kind"] == "usage"
            pid = ask("enter", node="alice")["result"]["pid"]
        server.stdin.close()
        assert server.wait(PATIENCE) == 0
        assert not Path(f"/proc/{pid}").exists()
