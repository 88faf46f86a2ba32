"""Run the command line in this process, in a directory of the test's own."""

from dataclasses import dataclass

import pytest

from lab.cli.main import run_command_line


@dataclass
class Done:
    """One command's exit code and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture
def callpath(tmp_path, monkeypatch, capsys):
    """Run ``callpath`` with arguments; relative paths are the test's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: str) -> Done:
        code = run_command_line([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run
