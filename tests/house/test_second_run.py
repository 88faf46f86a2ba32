"""`tools/run_tests.py`: what it runs once more, what it does not, and the exit code, on tests of its own."""

import os
import subprocess
import sys
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
REAL = "@pytest.mark.{0}\n"


@pytest.fixture
def run(tmp_path):
    """Run a file of tests by the tool; return exit code and output."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  real_time\n  root\n")

    def run(source: str, *options: str) -> tuple[int, str]:
        (tmp_path / "test_sample.py").write_text(HEAD + source)
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("CALLPATH_", "PYTEST_"))
        }
        finished = subprocess.run(
            [sys.executable, ROOT / "tools" / "run_tests.py", "-q", "-p", "no:benchmark", *options],
            env=kept, cwd=tmp_path, capture_output=True, text=True, check=False,
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


def test_what_it_needs_can_say_that_it_is_one(run):
    code, output = run(REAL.format("root") + NOW_AND_THEN.format("it"))
    assert (code, "passed alone" in output) == ((0, True) if os.geteuid() == 0 else (0, False)), output


def test_a_fault_fails_again(run):
    code, output = run(REAL.format("real_time") + "def test_it(): assert 0\n")
    assert code == 1
    assert output.endswith("1 failed beside others and failed again:\n  test_sample.py::test_it\n")


def test_a_test_that_breaks_at_its_end_is_run_once_more_as_well(run):
    code, output = run(
        "@pytest.fixture\ndef breaking():\n    yield\n    assert alone('it')\n"
        + REAL.format("real_time")
        + "def test_it(breaking): pass\n"
    )
    assert code == 0, output
    assert "1 failed beside others and passed alone" in output


@pytest.mark.parametrize(
    "source",
    [
        NOW_AND_THEN.format("it"),
        REAL.format("real_time") + NOW_AND_THEN.format("it") + NOW_AND_THEN.format("other"),
        "".join(REAL.format("real_time") + NOW_AND_THEN.format(f"it{number}") for number in range(9)),
    ],
    ids=["virtual time", "one of virtual time among them", "too many"],
)
def test_no_second_run_for_virtual_time_or_for_many(run, source):
    code, output = run(source)
    assert code == 1
    assert "beside others" not in output


def test_what_pytest_refuses_is_not_run_again(run):
    code, output = run("def test_it(): pass\n", "--no-such-option")
    assert code == 4
    assert "beside others" not in output
