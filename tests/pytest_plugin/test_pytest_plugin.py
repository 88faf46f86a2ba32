"""The plugin as pytest runs it: fixtures, markers, and what the message of a failing test names."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

pytestmark = pytest.mark.real_time

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_client"

OPTIONS = ("-p", "no:xdist", "-p", "no:benchmark", "-p", "no:cacheprovider", "--strict-markers")


@pytest.fixture
def run(pytester):
    """Run a test file, written here, by a pytest of its own."""

    def run_file(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(f"import pytest\n\n{source}")
        return pytester.runpytest(*OPTIONS, *options)

    return run_file


CALL = '@pytest.mark.callpath("two_homes", parameters={"alice_nat": "symmetric", "bob_nat": "symmetric"})\n'


def test_the_fixture_is_the_network_of_the_marker(run):
    result = run(
        CALL
        + "def test_it(callpath):\n"
        + '    assert callpath.call("alice", "bob").path == callpath.path() == "relay"\n'
    )
    result.assert_outcomes(passed=1)


def test_the_marker_may_stand_on_the_module(run):
    result = run(
        'pytestmark = pytest.mark.callpath("one_lan")\n\n'
        'def test_it(callpath):\n    assert callpath.call("alice", "bob").path == "host"\n'
    )
    result.assert_outcomes(passed=1)


def test_a_failing_test_names_losses_and_the_directory_with_ladder_and_capture(run, pytester):
    result = run(
        CALL + 'def test_it(callpath):\n    assert callpath.call("alice", "bob").path == "host"\n', "-x"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- callpath -*",
            "two_homes in virtual time, last event at * s",
            "lost * at *-nat: UDP *: filter: * never sent to by this mapping",
            "kept in  callpath-artifacts/*--test_it/",
            " *ladder.txt, capture.pcapng, events.jsonl, network.txt",
        ]
    )
    (kept,) = (pytester.path / "callpath-artifacts").iterdir()
    assert "Binding request" in (kept / "ladder.txt").read_text()
    assert (kept / "capture.pcapng").read_bytes().startswith(b"\x0a\x0d\x0d\x0a")


def test_the_message_is_in_the_junit_file_too(run, pytester):
    run(CALL + "def test_it(callpath):\n    assert 0\n", "--junitxml=j.xml")
    assert "kept in" in (pytester.path / "j.xml").read_text()
    assert 'name="callpath_artifacts"' in (pytester.path / "j.xml").read_text()


def test_a_test_that_passes_leaves_nothing(run, pytester):
    run(CALL + "def test_it(callpath):\n    pass\n")
    assert not (pytester.path / "callpath-artifacts").exists()


def test_evidence_that_cannot_be_written_does_not_hide_the_failure(run, pytester):
    (pytester.path / "taken").write_text("")
    result = run(CALL + "def test_it(callpath):\n    assert 2 == 3\n", "--callpath-artifacts=taken")
    result.stdout.fnmatch_lines(["E *assert 2 == 3", "*/taken/*: not written: NotADirectoryError:*"])


def test_every_combination_of_nat_presets_is_a_test_with_a_name(run):
    result = run(
        '@pytest.mark.callpath("two_homes")\n'
        '@pytest.mark.nat_presets("alice_nat", "bob_nat", presets=("full-cone", "symmetric"))\n'
        "def test_it(callpath, callpath_cell):\n"
        "    assert callpath.parameters == callpath_cell\n"
        '    hard = set(callpath_cell.values()) == {"symmetric"}\n'
        '    assert (callpath.call("alice", "bob").path == "relay") == hard\n',
        "-v",
    )
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*test_it[[]alice_nat=full-cone,bob_nat=symmetric] PASSED*"])


def test_the_classic_presets_are_tried_unless_told_otherwise(run):
    result = run(
        '@pytest.mark.callpath("two_homes")\n@pytest.mark.nat_presets("alice_nat")\n'
        'def test_it(callpath):\n    assert callpath.call("alice", "bob").connected\n'
    )
    result.assert_outcomes(passed=4)


def test_several_networks_in_one_test(run):
    result = run(
        "def test_it(callpath_open):\n"
        '    home, lan = callpath_open("two_homes"), callpath_open("one_lan")\n'
        '    assert home.call("alice", "bob").path != lan.call("alice", "bob").path\n'
        "    assert 0\n"
    )
    result.stdout.fnmatch_lines(["kept in  */1-two_homes/", "kept in  */2-one_lan/"])


def test_a_coroutine_that_failed_unseen_fails_the_test(run):
    result = run(
        "async def program():\n    raise LookupError('nobody looks')\n\n"
        + CALL
        + "def test_it(callpath):\n"
        + '    callpath.host("alice").start_async(program)\n    callpath.sleep("1s")\n'
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*LookupError: nobody looks"])


def test_a_deadline_ends_a_test_that_would_go_on(run):
    result = run(
        '@pytest.mark.callpath("two_homes", deadline="1h")\n'
        "def test_it(callpath):\n    while True:\n        callpath.sleep('1min')\n"
    )
    result.stdout.fnmatch_lines(["E *DeadlineExceeded: the trial ran to its virtual deadline of 3600 s"])


def test_a_topology_of_the_project_is_found_from_the_test_file(run, pytester):
    source = (EXAMPLE / "topologies" / "phone_at_home.py").read_text()
    pytester.mkdir("nets").joinpath("mine.py").write_text(source)
    result = run(
        '@pytest.mark.callpath("nets/mine.py")\n'
        'def test_it(callpath):\n    assert callpath.host("phone").address == "192.168.1.10"\n'
    )
    result.assert_outcomes(passed=1)


@pytest.mark.namespaces
@pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack")
def test_a_program_beside_the_test_is_an_endpoint_of_its_network(run, pytester):
    pytester.mkdir("clients").joinpath("mine.sh").write_text(
        f"#!/bin/sh\nexec {sys.executable} -m lab.adapters.plain_udp\n"
    )
    (pytester.path / "clients" / "mine.sh").chmod(0o755)
    result = run(
        'PROGRAMS = {"alice": "plain-udp", "bob": {"command": ["clients/mine.sh"]}}\n\n'
        '@pytest.mark.callpath("one_lan", world="emu", programs=PROGRAMS)\n'
        'def test_it(callpath):\n    assert callpath.call("alice", "bob").path == "host"\n'
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ("", "*needs a marker that names one topology*"),
        ("@pytest.mark.callpath()", "*needs a marker that names one topology*"),
        ('@pytest.mark.callpath("two_hoems")', '*did you mean "two_homes"*'),
        ('@pytest.mark.callpath("two_homes", paramters={})', '*did you mean "parameters"*'),
        ('@pytest.mark.callpath("two_homes", parameters={"alice_nta": "cgn"})', "*alice_nta*"),
        ('@pytest.mark.callpath("two_homes", world="moon")', "*no such world: 'moon'*"),
        ('@pytest.mark.callpath("two_homes", programs={"alice": "chromum"})', '*did you mean "chromium"*'),
        (
            '@pytest.mark.callpath("two_homes", programs={"alice": "chromium"})',
            "*not run in virtual time*",
        ),
        ('@pytest.mark.callpath("two_homes", deadline="5")', "*deadline: '5' has no unit*"),
        ('@pytest.mark.callpath("two_homes")\n@pytest.mark.nat_presets("a_nat")', "*a_nat*"),
    ],
)
def test_a_wrong_marker_is_an_error_in_words(run, marks, message):
    result = run(f"{marks}\ndef test_it(callpath):\n    pass\n")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([message])
    assert "lab/pytest_plugin.py" not in result.stdout.str()  # no traceback


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("nat_presets()", "*takes names of the topology's parameters*"),
        ('nat_presets("alice_nat", preset=["cgn"])', "*takes names of the topology's parameters*"),
        ('nat_presets("alice_nat", presets="cgn")', "*expected several*"),
        ('nat_presets("alice_nat", presets=["symetric"])', "*symetric*symmetric*"),
    ],
)
def test_wrong_presets_end_the_collection_in_words(run, mark, message):
    result = run(
        f'@pytest.mark.callpath("two_homes")\n@pytest.mark.{mark}\ndef test_it(callpath):\n    pass\n'
    )
    assert result.ret in {pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR}
    output = result.stdout.str() + result.stderr.str()
    assert re.search(message.replace("*", ".*").replace("[", r"\["), output, re.DOTALL), output


def test_presets_without_the_fixture_are_refused(run):
    result = run('@pytest.mark.nat_presets("alice_nat")\ndef test_it():\n    pass\n')
    assert "nat_presets needs the fixture `callpath`" in result.stdout.str() + result.stderr.str()


def test_a_machine_without_the_kernel_world_skips_with_the_reason_or_fails(run, monkeypatch, tmp_path):
    """Here the programs that it needs are out of reach."""
    from lab.live import handle  # noqa: PLC0415 - the cache of what this process has found out

    monkeypatch.setenv("PATH", str(tmp_path))
    handle._require_world.cache_clear()
    source = '@pytest.mark.callpath("two_homes", world="emu")\ndef test_it(callpath):\n    pass\n'
    try:
        result = run(source, "-rs")
        result.assert_outcomes(skipped=1)
        result.stdout.fnmatch_lines(["SKIPPED*this machine cannot run the kernel world; it lacks*"])
        run(source, "--callpath-no-skip").assert_outcomes(errors=1)
    finally:
        handle._require_world.cache_clear()


def test_pytest_imports_next_to_nothing_for_the_plugin():
    """It is loaded by every pytest of the environment, for tests that have no network as well."""
    program = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import lab.pytest_plugin\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "sys.exit(f'imports {sorted(new)}' if new - {'lab'} else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# The sample project


def run_sample(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("CALLPATH", "PYTEST"))
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *OPTIONS, *arguments],
        cwd=project, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def sample(tmp_path):
    """A copy of the sample project."""
    shutil.copytree(EXAMPLE, tmp_path / "sample", ignore=shutil.ignore_patterns("__pycache__", "callpath-*"))
    return tmp_path / "sample"


def test_the_sample_project_passes_in_virtual_time(sample):
    done = run_sample(sample, "tests/test_in_virtual_time.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_sample_catches_keepalives_rarer_than_the_nats_memory(sample):
    """The bug is planted here; the message names its cause: the box forgot the phone before the hello."""
    client = sample / "my_client" / "client.py"
    planted = client.read_text().replace("KEEPALIVE = 25.0", "KEEPALIVE = 60.0")
    assert planted != client.read_text()
    client.write_text(planted)
    done = run_sample(sample, "tests/test_in_virtual_time.py", "-k", "idle and shortest")
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(
        r"^lost .* at home: UDP .*: mapping expired [\d.]+ s earlier$", done.stdout, re.MULTILINE
    )
    kept = re.search(r"^kept in  (\S+)/\n +ladder.txt, capture.pcapng", done.stdout, re.MULTILINE)
    assert kept is not None, done.stdout
    assert "✗ #3 dropped at home: mapping expired" in (sample / kept[1] / "ladder.txt").read_text()
