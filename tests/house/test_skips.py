"""The rules of `tests/conftest.py`, shown on small test files of their own in a separate pytest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFTEST = ROOT / "tests" / "conftest.py"
REQUIREMENTS = ROOT / "docs" / "requirements.yaml"
MARKERS = "[pytest]\nmarkers =\n  requirement(*ids)\n  system(*tools)\n  root\n  namespaces\n  real_time\n"


@pytest.fixture
def outcome(tmp_path):
    """Run one test file under the project's conftest and return (exit code, output)."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "requirements.yaml").write_text(REQUIREMENTS.read_text())

    def run(source: str, *options: str, **environment: str) -> tuple[int, str]:
        (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
        (tmp_path / "pytest.ini").write_text(MARKERS)
        (tmp_path / "test_sample.py").write_text("import pytest\n" + source)
        clean = {
            key: value
            for key, value in os.environ.items()
            if key != "CI" and not key.startswith(("CALLPATH_", "PYTEST_"))
        }
        finished = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-ra",
                "-q",
                "-p",
                "no:cacheprovider",
                "-p",
                "no:benchmark",
                *options,
                str(tmp_path),
            ],
            env=clean | environment | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        return finished.returncode, finished.stdout + finished.stderr

    return run


ABSENT_PROGRAM = "@pytest.mark.system('sh', 'no-such-program')\ndef test_it(): pass\n"


def test_an_absent_program_skips_with_its_name(outcome):
    code, output = outcome(ABSENT_PROGRAM)
    assert code == 0
    assert "no-such-program is not installed" in output
    assert "1 skipped" in output


@pytest.mark.parametrize("environment", [{"CI": "true"}, {"CALLPATH_REQUIRE_ALL": "1"}])
@pytest.mark.parametrize(
    "source",
    [
        ABSENT_PROGRAM,
        "def test_it(): pytest.skip('not today')\n",
        "@pytest.mark.skip(reason='not today')\ndef test_it(): pass\n",
    ],
)
def test_on_ci_a_skip_is_a_failure(outcome, environment, source):
    code, output = outcome(source, **environment)
    assert code == 1
    assert "skipped where everything has to run" in output


def test_on_ci_a_module_that_skips_itself_is_a_failure(outcome):
    code, output = outcome("pytest.importorskip('no_such_module')\n", CI="true")
    assert code != 0
    assert "skipped where everything has to run" in output


def test_on_ci_present_programs_and_expected_failures_stay_green(outcome):
    code, output = outcome(
        "@pytest.mark.system('sh')\ndef test_it(): pass\n"
        "@pytest.mark.xfail(reason='known')\ndef test_x(): assert 0\n",
        CI="true",
    )
    assert code == 0, output
    assert "1 passed, 1 xfailed" in output


@pytest.mark.parametrize("row", ["'Z9-1'", "'Z0-0'", "'Z0-15'", "'Z3-125'", "'Z0-9 '", "9", ""])
def test_a_requirement_that_is_none_stops_the_run(outcome, row):
    code, output = outcome(f"@pytest.mark.requirement({row})\ndef test_it(): pass\n")
    assert code == 4
    assert "requirement marks name rows of docs/requirements.yaml" in output


@pytest.mark.parametrize("row", ["Z0-9", "Z3-124", "Z3X-10"])
def test_a_requirement_row_is_accepted(outcome, row):
    assert outcome(f"@pytest.mark.requirement({row!r})\ndef test_it(): pass\n")[0] == 0


SHOWN_AND_NOT = """
@pytest.mark.requirement('Z0-1', 'Z0-2')
def test_passes(): pass
@pytest.mark.requirement('Z0-2')
def test_fails(): assert 0
@pytest.mark.requirement('Z0-3')
def test_is_skipped(): pytest.skip('not today')
@pytest.mark.requirement('Z0-4')
@pytest.mark.xfail
def test_is_expected_to_fail(): assert 0
@pytest.mark.requirement('Z0-5')
@pytest.mark.xfail(strict=False)
def test_passes_unexpectedly(): pass
@pytest.fixture
def broken():
    yield
    raise OSError
@pytest.mark.requirement('Z0-6')
def test_breaks_at_its_end(broken): pass
def test_names_what_it_runs(record_property): record_property('requirement', 'Z0-7')
"""


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "2")], ids=["one process", "two processes"])
def test_a_run_writes_the_rows_that_it_showed(outcome, tmp_path, options):
    """Cited by a test that passed and by none that failed; the same from several processes."""
    shown = tmp_path / "shown.txt"
    code, output = outcome(SHOWN_AND_NOT, *options, CALLPATH_COVERAGE=str(shown))
    assert code == 1, output
    assert shown.read_text().split() == ["Z0-1", "Z0-7"]


def test_without_the_variable_no_file_is_written(outcome, tmp_path):
    before = {path.name for path in tmp_path.iterdir()}
    assert outcome("@pytest.mark.requirement('Z0-1')\ndef test_it(): pass\n")[0] == 0
    made = {path.name for path in tmp_path.iterdir()} - before - {"__pycache__"}
    assert made == {"conftest.py", "pytest.ini", "test_sample.py"}
