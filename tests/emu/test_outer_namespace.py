"""The outer namespace: nothing of the machine is in it, and nothing of it outlives its maker."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from namespace_commands import commands_inside
from ordinary_user import as_ordinary_user

from lab.emu.outer import OuterNamespace
from lab.emu.outer.namespace import RUN_VARIABLE, Privilege, unshare_command
from lab.errors import HostNotReady

HOLD = Path(__file__).parent / "programs" / "hold_namespace.py"
USERS = [
    pytest.param(False, id="this user"),
    pytest.param(True, id="an ordinary user"),
]

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "nft", "setpriv"),
    pytest.mark.usefixtures("test_agents", "untouched_machine"),
]


@contextlib.contextmanager
def holder(*options, ordinary):
    """Yield (process, what it said) of a program that holds an outer namespace; it is killed at the end."""
    command, environment = [sys.executable, str(HOLD), *options], dict(os.environ)
    if ordinary:
        command, changes = as_ordinary_user(command)
        environment = {**changes, "PYTHONPATH": os.environ["PYTHONPATH"]}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def processes_of(run):
    """Return the numbers of the processes that carry a run's name."""
    mark, found = f"{RUN_VARIABLE}={run}".encode(), []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in environment.read_bytes().split(b"\0"):
                found.append(environment.parent.name)
    return found


def processes_in(namespaces):
    """Return the processes that are in one of these namespaces."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/ns/*"):
        with contextlib.suppress(OSError):
            if str(link.readlink()) in namespaces:
                found.add(link.parts[2])
    return found


def comes_true(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_inside_there_is_a_loopback_interface_and_nothing_else():
    with OuterNamespace("command_agent") as outer, commands_inside(outer) as run:
        assert [link["ifname"] for link in json.loads(run("ip -j link"))] == ["lo"]
        assert json.loads(run("ip -j route") or "[]") == []
        assert run("nft list ruleset") == ""
        assert run("ls /sys/class/net").split() in (["lo"], [])


def test_there_is_no_way_out():
    with OuterNamespace("command_agent") as outer, commands_inside(outer) as run:
        words = run("ip route get 192.0.2.1 2>&1 || true") + run("ip route get 2001:db8::1 2>&1 || true")
        assert words.count("unreachable") == 2


def test_its_agent_is_root_inside_and_sees_only_the_namespaces_processes():
    with OuterNamespace("command_agent") as outer, commands_inside(outer) as run:
        assert run("id -u").strip() == "0"
        seen = [name for name in run("ls /proc").split() if name.isdigit()]
        assert len(seen) <= 5
        assert "1" in seen


def test_the_machines_run_time_files_are_hidden_and_its_settings_cannot_be_written():
    with OuterNamespace("command_agent") as outer, commands_inside(outer) as run:
        assert run("ls /run").split() == ["netns"]
        run("sysctl -qw net.ipv4.ip_forward=1")
        refused = run(
            "echo 1000000 2>&1 > /proc/sys/fs/file-max || true; cat /proc/mounts | grep ' /proc/sys '"
        )
        assert " ro," in refused


def test_names_of_network_namespaces_are_its_own():
    with OuterNamespace("command_agent") as one, commands_inside(one) as run_one:
        run_one("ip netns add alice")
        with OuterNamespace("command_agent") as other, commands_inside(other) as run_other:
            assert run_other("ip netns list").split() == []
            run_other("ip netns add alice && ip link add lan type bridge")
            assert "lan" not in run_one("ip -br link")


@pytest.mark.parametrize("ordinary", USERS)
def test_two_runs_at_once_do_not_meet(ordinary):
    with holder(ordinary=ordinary) as (_, one), holder(ordinary=ordinary) as (_, other):
        assert one["output"] == other["output"] == ["filled"]
        assert set(one["namespaces"]).isdisjoint(other["namespaces"])


@pytest.mark.parametrize("options", [(), ("--fork",)], ids=["alone", "with a forked child that lives on"])
@pytest.mark.parametrize("ordinary", USERS)
def test_kill_minus_nine_of_the_parent_leaves_no_process_and_no_namespace(ordinary, options):
    with holder(*options, ordinary=ordinary) as (process, said):
        assert said["output"] == ["filled"]
        assert len(processes_of(said["run"])) >= 4  # unshare, init, agent, and the program behind the rule
        members = processes_in(said["namespaces"])
        assert len(members) >= 3
        process.send_signal(signal.SIGKILL)
        assert comes_true(lambda: not processes_of(said["run"]))
        # Numbers of namespaces are used again at once, those of processes are not.
        assert comes_true(lambda: not any(Path(f"/proc/{process}").exists() for process in members))
        assert not Path(f"/proc/{said['init']}").exists()


def test_kill_minus_nine_of_unshare_itself_ends_the_rest(untouched_machine):
    outer = OuterNamespace("command_agent")
    with commands_inside(outer) as run:
        run("(setsid sleep 600 </dev/null >/dev/null 2>&1 &)")
        outer.process.kill()
        assert comes_true(lambda: not processes_of(outer.run))
    outer.close()


def test_kill_minus_nine_of_the_agent_ends_the_namespace_with_its_status():
    with OuterNamespace("command_agent") as outer:
        with outer.channel.makefile("rw") as lines:
            lines.write("kill -9 $PPID\n")
            lines.flush()
            assert lines.readline() == ""
        assert outer.process.wait(10) == 128 + signal.SIGKILL


def test_closing_ends_programs_that_would_not_stop():
    with OuterNamespace("command_agent") as outer, commands_inside(outer) as run:
        run("(setsid sh -c 'trap \"\" TERM HUP INT; sleep 600' </dev/null >/dev/null 2>&1 &)")
        run_name = outer.run
        assert processes_of(run_name)
    assert not processes_of(run_name)


def test_orphans_are_collected():
    """Programs whose parent has ended become the init's; it must not pile up zombies."""
    with OuterNamespace("command_agent") as outer, commands_inside(outer) as run:
        run("for i in 1 2 3 4 5; do (setsid sh -c 'sleep 0.01 & exit' >/dev/null 2>&1 &) ; done; sleep 0.3")
        assert run("grep -l 'State:.Z' /proc/[0-9]*/status || true") == ""


def test_an_agent_that_cannot_start_is_told_with_its_words():
    with OuterNamespace("no_such_agent") as outer:
        assert outer.channel.recv(1) == b""
        assert "No module named no_such_agent" in str(outer.why_it_ended())


def test_a_kernel_that_refuses_is_told_with_what_to_do(monkeypatch, tmp_path):
    """As where user namespaces are switched off: unshare says so and ends."""
    (tmp_path / "unshare").write_text(
        "#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n"
    )
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with OuterNamespace("command_agent") as outer:
        assert outer.channel.recv(1) == b""
        error = outer.why_it_ended()
    assert isinstance(error, HostNotReady)
    assert "Operation not permitted" in str(error)
    assert "callpath doctor" in str(error)


def test_without_the_program_unshare_the_package_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(HostNotReady, match="apt-get install util-linux"):
        unshare_command(Privilege.ROOT)


def test_the_channel_carries_bytes_both_ways():
    with OuterNamespace("command_agent") as outer, commands_inside(outer) as run:
        assert isinstance(outer.channel, socket.socket)
        assert len(run("head -c 300000 /dev/zero | tr '\\0' x")) == 300_000
