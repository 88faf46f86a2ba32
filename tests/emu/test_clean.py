"""`callpath clean`: what a run has left is found by the run's name, and nobody else's is touched."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from namespace_commands import commands_inside
from test_outer_namespace import comes_true, processes_of

from lab.cli.main import run_command_line
from lab.emu import leftovers
from lab.emu.log_directories import log_directories, make_log_directory
from lab.emu.outer import OuterNamespace
from lab.emu.outer.maker import MakerState, maker_number, maker_state, own_mark
from lab.emu.outer.namespace import RUN_VARIABLE

LEAK = Path(__file__).parent / "programs" / "leak_namespace.py"

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "setpriv"),
    pytest.mark.usefixtures("test_agents", "untouched_machine"),
]


@contextlib.contextmanager
def left_over():
    """Yield the name of a run whose maker was killed while another process held what it lives by."""
    with subprocess.Popen([sys.executable, str(LEAK)], stdout=subprocess.PIPE, text=True) as maker:
        said = json.loads(maker.stdout.readline())
        maker.send_signal(signal.SIGKILL)
    try:
        yield said["run"]
    finally:
        os.kill(said["lent"], signal.SIGKILL)
        comes_true(lambda: not processes_of(said["run"]))


def test_what_is_left_is_told_and_then_removed_and_a_run_that_goes_on_is_not_touched(monkeypatch, capsys):
    """One test: what one leaves to be found, another would remove."""

    def refuse(_handle, _number):
        raise PermissionError

    with OuterNamespace("command_agent") as other, commands_inside(other) as run, left_over() as name:
        left = len(processes_of(name))
        assert left >= 4  # unshare, init, agent, and the program that it started
        assert run_command_line(["clean", "--dry-run"]) == 0
        said = capsys.readouterr().out
        assert f"would remove: {left} processes of run {name}: process " in said
        assert f"of run {other.run}: process {os.getpid()} runs it" in said
        assert len(processes_of(name)) == left

        with monkeypatch.context() as as_if_another_users:
            as_if_another_users.setattr(signal, "pidfd_send_signal", refuse)
            assert run_command_line(["clean"]) == 4
        assert f"not this user's to end (run {name})" in capsys.readouterr().err
        assert len(processes_of(name)) == left

        assert run_command_line(["clean"]) == 0
        said = capsys.readouterr().out
        assert f"removing: {left} processes of run {name}: process " in said
        assert processes_of(name) == []
        assert run("echo alive").strip() == "alive"
        assert run_command_line(["clean"]) == 0
        assert name not in capsys.readouterr().out


def test_a_number_that_is_another_processs_by_now_is_let_be():
    with subprocess.Popen(["sleep", "600"]) as innocent:
        found = leftovers._Process(innocent.pid, "sleep")
        assert leftovers._kill("some-run", [found]) == []
        assert innocent.poll() is None
        innocent.kill()


def test_who_cleans_from_a_shell_of_the_run_itself_is_let_be(monkeypatch):
    program = (
        "import json; from lab.emu.leftovers import find_leftovers\n"
        "print(json.dumps([one.things for one in find_leftovers() if one.run == 'the-shells-run']))"
    )
    done = subprocess.run(
        ["sh", "-c", f'sleep 30 & "{sys.executable}" -c "$PROGRAM"; kill $!'], check=True, text=True,
        env={**os.environ, RUN_VARIABLE: "the-shells-run", "PROGRAM": program}, capture_output=True,
    )  # fmt: skip
    ((sleep,),) = json.loads(done.stdout)
    assert sleep.endswith(" sleep")


def test_a_maker_is_told_by_when_it_began_and_where():
    mark = own_mark()
    number, began, namespace = mark.split(":")
    assert maker_number(mark) == os.getpid()
    assert maker_state(mark) is MakerState.RUNS
    assert maker_state(f"{number}:{int(began) + 1}:{namespace}") is MakerState.GONE
    assert maker_state(f"{number}:{began}:{int(namespace) + 1}") is MakerState.ELSEWHERE
    assert maker_state("") is MakerState.ELSEWHERE
    with subprocess.Popen(["true"]) as ended:
        time.sleep(0)
    assert maker_state(f"{ended.pid}:1:{namespace}") is MakerState.GONE


def test_what_the_programs_of_a_killed_lab_have_printed_is_removed_and_nobody_elses(tmp_path, monkeypatch):
    """A lab that stays open keeps it in a directory, whose name has the mark of who made it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    make = "from lab.emu.log_directories import make_log_directory; print(make_log_directory('some-run'))"
    made = subprocess.run([sys.executable, "-c", make], check=True, capture_output=True, text=True)
    left = Path(made.stdout.strip())
    (left / "1-alice-ping.log").write_text("it said this\n")
    own = make_log_directory("other-run")
    (tmp_path / "callpath-logs-of-mine").mkdir()
    (tmp_path / f"callpath-logs-linked-{left.name.rsplit('-', 2)[1]}-x").symlink_to(own)

    found = {one.things[0]: one for one in log_directories()}
    assert {path: (one.run, one.state) for path, one in found.items()} == {
        str(left): ("some-run", MakerState.GONE),
        str(own): ("other-run", MakerState.RUNS),
    }
    monkeypatch.setattr(leftovers, "FINDERS", [log_directories])
    assert run_command_line(["clean"]) == 0
    assert not left.exists()
    assert own.exists()
