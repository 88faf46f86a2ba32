"""A Docker engine of one's own, and what is said of one that is not there, too old, or not to be used."""

import http.server
import os
import re
import signal
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ordinary_user import as_ordinary_user
from test_killed_runs import carrying

import lab as package
from lab.emu.containers.engine import HOST_VARIABLE, Engine
from lab.emu.containers.engine_process import hierarchies
from lab.emu.containers.holder_image import holder_program
from lab.emu.containers.private_engine import CGROUP_PREFIX, group_directories
from lab.errors import HostNotReady

CALLPATH = [sys.executable, "-m", "lab.cli"]
MARK = "CALLPATH_TEST_OF_ENGINES"
HOLD = """
import sys
from lab.emu.containers.engine import Engine
from lab.emu.containers.hosts import ContainerHosts, Names
ContainerHosts(Engine(), "of-a-test").hold({"alice": Names()})
print("held", flush=True)
input()
sys.exit(7)
"""
KNOWN: dict[str, set[str]] = {}
"""The control groups of engines by their marks: they are known while the engine runs."""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])}


def engine_command(*words):
    return [*CALLPATH, "engine", *words]


def eventually(condition):
    """Return whether something comes true, in as long as a busy machine may need."""
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(condition())


def traces(mark):
    """Return the processes of the engine that was started with a mark, and its control groups."""
    processes = carrying(MARK, mark)
    names = {word for process in processes for word in _words(process) if word.startswith(CGROUP_PREFIX)}
    KNOWN.setdefault(mark, set()).update(names)
    return {*processes, *(path.name for name in KNOWN[mark] for path in group_directories(name))}


def _words(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return []


@pytest.mark.parametrize("how", ["command ends", "engine is killed"])
@pytest.mark.usefixtures("untouched_machine")
@pytest.mark.root
@pytest.mark.system("unshare", "dockerd")
def test_an_engine_serves_a_command_and_leaves_nothing_however_it_ends(how, tmp_path):
    mark = str(tmp_path)
    running = subprocess.Popen(
        engine_command(sys.executable, "-c", HOLD), env={**ENVIRONMENT, MARK: mark}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert running.stdout.readline() == "held\n"
    assert any(isinstance(trace, str) for trace in traces(mark)), "a control group"
    if how == "command ends":
        running.stdin.write("\n")
    else:
        running.send_signal(signal.SIGKILL)
    running.stdin.close()
    assert running.wait() == (7 if how == "command ends" else -signal.SIGKILL)
    running.stdout.close()
    assert eventually(lambda: not traces(mark)), traces(mark)
    assert "callpath-engine" not in Path("/proc/self/mounts").read_text()


def test_an_ordinary_user_is_told_that_an_engine_and_containers_take_root():
    for words in (["engine", "true"], ["engine", "--if-none", "true"]):
        command, environment = as_ordinary_user([*CALLPATH, *words])
        environment["PYTHONPATH"] = ENVIRONMENT["PYTHONPATH"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        optional = "--if-none" in words
        assert (done.returncode, "it takes root" in done.stderr) == ((0, False) if optional else (4, True))


@pytest.mark.root
def test_without_docker_installed_an_engine_of_ones_own_is_refused_with_the_package(tmp_path):
    environment = {**ENVIRONMENT, "PATH": str(tmp_path)}
    done = subprocess.run(
        engine_command("true"), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert "apt-get install docker.io" in done.stderr


@pytest.mark.root
@pytest.mark.system("dockerd")
def test_an_engine_that_does_not_start_is_told_with_its_last_words(tmp_path, monkeypatch):
    stand_in = tmp_path / "dockerd"
    stand_in.write_text("#!/bin/sh\necho failed to load: no overlay >&2\nexit 1\n")
    stand_in.chmod(0o755)
    environment = {**ENVIRONMENT, "PATH": f"{tmp_path}:{os.environ['PATH']}", MARK: str(tmp_path)}
    done = subprocess.run(
        engine_command("true"), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert "dockerd ended with exit status 1; it said last\n  failed to load: no overlay" in done.stderr
    assert eventually(lambda: not traces(str(tmp_path)))


# Engines that will not do


@pytest.mark.root
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("unix:///nowhere/docker.sock", "no Docker engine: there is no /nowhere/docker.sock"),
        (f"unix://{__file__}", f"no Docker engine: {__file__} is no socket"),
        ("tcp://192.0.2.1:2375", "the Docker engine at tcp://192.0.2.1:2375 is not of this machine"),
    ],
)
def test_an_engine_that_cannot_be_used_is_told_with_the_remedy(url, said, monkeypatch):
    monkeypatch.setenv(HOST_VARIABLE, url)
    with pytest.raises(HostNotReady) as refused:
        Engine()
    assert said in str(refused.value)
    assert "DOCKER_HOST" in str(refused.value)


class _Old(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answer = b'{"Version": "17.05.0-ce", "ApiVersion": "1.29", "MinAPIVersion": "1.12"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def address_string(self):
        return "here"

    def log_message(self, *_):
        pass


@pytest.mark.root
def test_an_engine_that_is_too_old_is_told_with_its_version_and_the_one_that_is_needed(tmp_path, monkeypatch):
    with socketserver.UnixStreamServer(str(tmp_path / "old.sock"), _Old) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(HOST_VARIABLE, f"unix://{tmp_path}/old.sock")
        with pytest.raises(HostNotReady, match=r"too old: 17\.05\.0-ce.*1\.29\n.*1\.40 is needed"):
            Engine()
        server.shutdown()


# What an engine of one's own is made of


@pytest.mark.parametrize(
    ("own", "mounted"),
    [
        ("0::/user.slice/session-2.scope\n", {"/sys/fs/cgroup": "cgroup2"}),
        (
            "4:memory:/\n3:cpu,cpuacct:/\n2:name=systemd:/\n0::/\n",
            {
                "/sys/fs/cgroup": "tmpfs",
                "/sys/fs/cgroup/memory": "cgroup",
                "/sys/fs/cgroup/cpu,cpuacct": "cgroup",
                "/sys/fs/cgroup/systemd": "cgroup",
            },
        ),
    ],
    ids=["unified", "one for each controller"],
)
def test_an_engine_finds_the_control_groups_that_the_machine_has(own, mounted):
    assert {target: kind for _, target, kind, _ in hierarchies(own)} == mounted


@pytest.mark.system("file")
@pytest.mark.parametrize(
    ("architecture", "name"), [("amd64", "x86-64"), ("arm64", "ARM aarch64")], ids=["amd64", "arm64"]
)
def test_the_holders_program_is_an_executable_of_its_architecture(architecture, name, tmp_path):
    program = tmp_path / "hold"
    program.write_bytes(holder_program(architecture))
    told = subprocess.run(["file", "--brief", program], capture_output=True, text=True, check=True).stdout
    assert re.match(rf"ELF 64-bit LSB executable, {name}.*statically linked", told)
    with pytest.raises(HostNotReady, match="this is riscv64"):
        holder_program("riscv64")


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the program is of another architecture")
def test_the_holders_program_waits_and_goes_on_waiting_after_a_signal(tmp_path):
    program = tmp_path / "hold"
    program.write_bytes(holder_program("amd64"))
    program.chmod(0o755)
    with subprocess.Popen([program]) as running:
        try:
            running.send_signal(signal.SIGSTOP)
            running.send_signal(signal.SIGCONT)  # ends a system call that waits
            time.sleep(0.2)
            assert running.poll() is None
            spent = Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            assert spent == ["0", "0"]
        finally:
            running.kill()
