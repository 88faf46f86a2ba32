"""Run the tests; those of real time that failed beside others are run once more, alone, and named.

    python tools/run_tests.py PYTEST-ARGUMENT...

Where processes, sockets and this machine's clock have a part (the marker `real_time`, and those that imply
it), a test can be stalled by its neighbours for longer than any patience. Most faults of the code fail again
alone. Tests of virtual time get no second run: a failure there that comes and goes is a fault. Nor do many.

Exit code: pytest's; of the second run, where there was one.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

FAILED = "CALLPATH_FAILED"
"""Environment variable with the file that `tests/conftest.py` writes at the end of a run: what failed."""
COVERAGE = "CALLPATH_COVERAGE"
"""With the file of the requirements that a run showed: all of them, so the second run writes none."""
MOST = 8
"""Failed tests that are still run again; more are no stall of single tests."""
TESTS_FAILED = 1
"""pytest's exit code where tests failed; after an interrupt or a wrong option it is another."""


def main(arguments: Sequence[str]) -> int:
    """Run both runs and say on stdout what came of the second."""
    code, failed = _pytest(arguments, os.environ)
    names = [name for kind, name in failed if kind == "real_time"]
    if code != TESTS_FAILED or not names or len(names) < len(failed) or len(names) > MOST:
        return code
    print("\nFailed beside others; once more, each alone:", *names, sep="\n  ", flush=True)
    # Their names are enough: which tests were to be chosen was said for the first run.
    environment = {name: value for name, value in os.environ.items() if name != COVERAGE}
    code, failed = _pytest(["-p", "no:xdist", "-p", "no:benchmark", "-q", "-m", "", *names], environment)
    if code in {0, TESTS_FAILED}:
        again = [name for _, name in failed]
        _say("failed beside others and passed alone", [name for name in names if name not in again])
        _say("failed beside others and failed again", again)
    return code


def _say(what: str, names: Sequence[str]) -> None:
    if names:
        print(f"{len(names)} {what}:", *names, sep="\n  ", flush=True)


def _pytest(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, list[tuple[str, str]]]:
    """Run pytest; return its exit code, and what failed: of which kind, and its name."""
    with tempfile.TemporaryDirectory() as directory:
        told = Path(directory) / "failed"
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *arguments], env={**environment, FAILED: str(told)}
        )
        code = _wait(process)
        lines = told.read_text().splitlines() if told.exists() else []
    return code, [(kind, name) for kind, _, name in (line.partition("\t") for line in lines)]


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process; what is sent to end this one ends it, in its own good order."""

    def hand_on(number: int, _frame: object) -> None:
        if number != signal.SIGINT:  # the terminal interrupts pytest as well
            process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, hand_on)
    status = process.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
