"""The first errors a newcomer can meet: each says what is missing and how to get it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# No apt-get among them: as root, setup would ask it for what is missing.
UTILITIES = ["cat", "dirname", "grep", "id", "rm", "sed", "sh", "sha256sum", "sort", "tr"]


@pytest.fixture
def checkout(tmp_path):
    """A directory with what setup reads, and a PATH that holds little."""
    (tmp_path / "bin").mkdir()
    for utility in UTILITIES:
        (tmp_path / "bin" / utility).symlink_to(shutil.which(utility))
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    (tmp_path / "constraints").mkdir()
    for file in ("constraints/all.txt", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def _script(checkout: Path, name: str, body: str) -> Path:
    path = checkout / "bin" / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def _run(
    checkout: Path, script: str = "tools/setup.sh", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / script],
        env={"PATH": str(checkout / "bin")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_python_the_message_names_the_packages(checkout):
    finished = _run(checkout)
    assert finished.returncode == 4
    assert "Python 3.11 or newer is needed" in finished.stderr
    assert "apt-get install python3 python3-venv" in finished.stderr


def test_an_old_python_is_not_taken(checkout):
    _script(checkout, "python3", 'case "$*" in *version_info*) exit 1;; esac; exit 99')
    finished = _run(checkout)
    assert finished.returncode == 4
    assert "Python 3.11 or newer is needed" in finished.stderr


def test_a_newer_python_under_its_own_name_is_found(checkout):
    """An old python3 does not hide python3.12; here that one gets as far as its missing venv module."""
    _script(checkout, "python3", "exit 1")
    _script(checkout, "python3.12", 'case "$*" in *ensurepip*) exit 1;; esac')
    finished = _run(checkout)
    assert finished.returncode == 4
    assert "python3.12 cannot make virtual environments" in finished.stderr


def test_without_the_venv_module_the_message_names_the_package(checkout):
    """As on Debian without python3-venv: the interpreter is there, `ensurepip` is not."""
    without = checkout / "without"
    without.mkdir()
    (without / "ensurepip.py").write_text("raise ImportError('No module named ensurepip')\n")
    finished = _run(checkout, PYTHON=sys.executable, PYTHONPATH=str(without))
    assert finished.returncode == 4
    assert "apt-get install python3-venv" in finished.stderr
    assert not (checkout / ".venv").exists()


def test_a_linked_environment_is_left_alone(checkout):
    (checkout / ".venv").symlink_to(sys.prefix)
    before = sorted(Path(sys.prefix).iterdir())
    finished = _run(checkout)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
    assert sorted(Path(sys.prefix).iterdir()) == before


def test_missing_programs_are_named_and_not_fatal(checkout):
    finished = _run(checkout, "tools/system-packages.sh")
    assert finished.returncode == 0
    assert "the tests that need them are skipped" in finished.stderr
    remedy = finished.stderr.partition("apt-get install --no-install-recommends ")[2]
    assert {"coturn", "tshark"} <= set(remedy.split())


def test_without_make_ci_says_so(checkout):
    (checkout / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", checkout / ".ci" / "run")
    (checkout / "bin" / "bash").symlink_to(shutil.which("bash"))
    (checkout / "bin" / "env").symlink_to(shutil.which("env"))
    finished = _run(checkout, ".ci/run")
    assert finished.returncode == 4
    assert "make is missing" in finished.stderr
