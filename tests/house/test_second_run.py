"""`tools/run_tests.py`: what it runs once more, what it does not, and the exit code, on tests of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAD = """\
import pytest
from pathlib import Path

def alone(name):
    before = Path(name).exists()
    Path(name).touch()
    return before
"""
NOW_AND_THEN = "def test_{0}(): assert alone('{0}')\n"
pytestmark = pytest.mark.real_time

REAL = "@pytest.mark.{0}\n"


@pytest.fixture
def run(tmp_path):
    """Run a file of tests by the tool; return exit code and output."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n  real_time\n  root\n  namespaces\n  engine\n  adapter(name)\n  slow\n"
    )

    def run(source: str, *options: str, **environment: str) -> tuple[int, str]:
        (tmp_path / "test_sample.py").write_text(HEAD + source)
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("CALLPATH_", "PYTEST_"))
        }
        finished = subprocess.run(
            [sys.executable, ROOT / "tools" / "run_tests.py", "-q", "-p", "no:benchmark", *options],
            env=kept | environment, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return finished.returncode, finished.stdout + finished.stderr

    return run


@pytest.mark.parametrize("options", [("-p", "no:xdist"), ("--numprocesses=2",)], ids=["one process", "two"])
def test_a_test_of_real_time_is_run_once_more_and_named(run, options):
    source = "def test_other(): pass\n" + REAL.format("real_time") + NOW_AND_THEN.format("it")
    code, output = run(source, *options)
    assert code == 0, output
    assert "1 failed, 1 passed" in output
    assert output.endswith("1 failed beside others and passed alone:\n  test_sample.py::test_it\n")


@pytest.mark.parametrize("mark", ["root", "namespaces", "engine", "adapter('chromium')"])
def test_what_it_needs_can_say_that_it_is_one(run, tmp_path, mark):
    """Where this machine has what it needs; elsewhere it is skipped, and nothing failed."""
    failed = tmp_path / "failed.txt"
    (tmp_path / "test_sample.py").write_text(HEAD + REAL.format(mark) + "def test_it(): assert 0\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:benchmark", "-p", "no:xdist"]
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run(
        command, env={**environment, "CALLPATH_FAILED": str(failed)}, cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    skipped = "1 skipped" in done.stdout
    assert failed.read_text() == ("" if skipped else "real_time\ttest_sample.py::test_it\n"), done.stdout


def test_a_fault_fails_again_and_is_told_from_a_test_that_passes(run):
    real = REAL.format("real_time")
    code, output = run(real + "def test_it(): assert 0\n" + real + NOW_AND_THEN.format("other"))
    assert code == 1
    assert output.endswith(
        "1 failed beside others and passed alone:\n  test_sample.py::test_other\n"
        "1 failed beside others and failed again:\n  test_sample.py::test_it\n"
    )


def test_a_test_that_breaks_at_its_end_is_run_once_more_as_well(run):
    code, output = run(
        "@pytest.fixture\ndef breaking():\n    yield\n    assert alone('it')\n"
        + REAL.format("real_time")
        + "def test_it(breaking): pass\n"
    )
    assert code == 0, output
    assert "1 failed beside others and passed alone" in output


def test_one_that_was_asked_for_by_a_marker_is_found_again(run):
    source = "@pytest.mark.slow\n" + REAL.format("real_time") + NOW_AND_THEN.format("it")
    code, output = run(source, "-m", "slow")
    assert code == 0, output
    assert "1 failed beside others and passed alone" in output


def test_the_second_run_leaves_what_the_first_said_of_requirements(run, tmp_path):
    shown = tmp_path / "shown.txt"
    source = "def test_other(record_property): record_property('requirement', 'Z0-1')\n"
    source += REAL.format("real_time") + NOW_AND_THEN.format("it")
    assert run(source, CALLPATH_COVERAGE=str(shown))[0] == 0
    assert shown.read_text() == "Z0-1\n"


def many(count):
    return "".join(REAL.format("real_time") + NOW_AND_THEN.format(f"it{number}") for number in range(count))


def test_some_are_run_once_more_and_many_are_not(run):
    code, output = run(many(8))
    assert (code, "8 failed beside others and passed alone" in output) == (0, True), output


@pytest.mark.parametrize(
    "source",
    [
        NOW_AND_THEN.format("it"),
        REAL.format("real_time") + NOW_AND_THEN.format("it") + NOW_AND_THEN.format("other"),
        many(9),
    ],
    ids=["virtual time", "one of virtual time among them", "too many"],
)
def test_no_second_run_for_virtual_time_or_for_many(run, source):
    code, output = run(source)
    assert code == 1
    assert "beside others" not in output


def test_a_file_that_cannot_be_read_is_not_made_good_by_a_second_run(run, tmp_path):
    """With several processes such a file does not stop the run."""
    (tmp_path / "test_broken.py").write_text("import no_such_module\n")
    code, output = run(REAL.format("real_time") + NOW_AND_THEN.format("it"), "--numprocesses=2")
    assert code != 0
    assert "failed beside others" not in output


@pytest.mark.parametrize(
    ("more", "options", "expected"),
    [
        ("def test_then(): raise KeyboardInterrupt\n", (), 2),
        ("def test_then(): assert 0\n", ("--exitfirst",), 1),
        ("", ("--no-such-option",), 4),
    ],
    ids=["interrupted", "stopped at the first", "refused"],
)
def test_a_run_that_did_not_come_to_its_end_has_no_second(run, more, options, expected):
    code, output = run(REAL.format("real_time") + NOW_AND_THEN.format("it") + more, *options)
    assert code == expected
    assert "beside others" not in output


def test_what_ends_it_ends_the_tests_in_good_order(tmp_path):
    """By a signal, as `callpath engine` hands one on: what a test holds is given back."""
    (tmp_path / "test_sample.py").write_text(
        "import time, pytest\nfrom pathlib import Path\n"
        "@pytest.fixture\ndef held():\n    Path('held').touch()\n    yield\n    Path('held').unlink()\n"
        "def test_it(held): time.sleep(60)\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    with subprocess.Popen(
        [sys.executable, ROOT / "tools" / "run_tests.py", "-q", "-p", "no:xdist", "-p", "no:benchmark"],
        cwd=tmp_path, start_new_session=True, stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        for _ in range(600):
            if (tmp_path / "held").exists():
                break
            time.sleep(0.1)  # noqa: TID251 - a real process is watched
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 2
    assert not (tmp_path / "held").exists()
