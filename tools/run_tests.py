"""Run the tests; those of real time that failed beside others are run once more, alone, and named.

    python tools/run_tests.py PYTEST-ARGUMENT...

Where processes, sockets and this machine's clock have a part (the marker `real_time`, and those that imply
it), a test can be stalled by its neighbours for longer than any patience. A fault of the code fails again
alone. Tests of virtual time get no second run: a failure there that comes and goes is a fault. Nor do many.

Exit code: pytest's; of the second run, where there was one.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

FAILED = "CALLPATH_FAILED"
"""Environment variable with the file to which `tests/conftest.py` writes a line for each failed test."""
MOST = 8
"""Failed tests that are still run again; more are no stall of single tests."""
TESTS_FAILED = 1
"""pytest's exit code where it ran to its end and tests failed; after an interrupt it is another."""


def main(arguments: list[str]) -> int:
    """Run both runs and say on stdout what the second was for."""
    with tempfile.TemporaryDirectory() as directory:
        failed = Path(directory) / "failed"
        code = _pytest(arguments, {FAILED: str(failed)})
        lines = failed.read_text().splitlines() if code == TESTS_FAILED and failed.exists() else []
    kinds = [line.partition("\t") for line in lines]
    names = [name for _, _, name in kinds]
    if not names or len(names) > MOST or any(kind != "real_time" for kind, _, _ in kinds):
        return code
    print("\nFailed beside others; once more, each alone:", *names, sep="\n  ", flush=True)
    again = _pytest(["-p", "no:xdist", "-p", "no:benchmark", "-q", *names], {})
    said = "passed alone" if again == 0 else "failed again"
    print(f"{len(names)} failed beside others and {said}:", *names, sep="\n  ", flush=True)
    return again


def _pytest(arguments: list[str], environment: dict[str, str]) -> int:
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, env=os.environ | environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
