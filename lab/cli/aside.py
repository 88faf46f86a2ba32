"""A run that a command makes on its way to something else: its words go to standard error."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.run.plan import Plan


def run_aside(plan: Plan, *, jobs: int, results: Path) -> Path:
    """Run a plan and return the run's directory, whatever the run came to.

    Raises:
        KeyboardInterrupt: it was interrupted.
        UsageError, HostNotReady, TrialInvalid: it cannot be run.
    """
    from lab.cli.executing import EXIT_INTERRUPTED, Execution, execute
    from lab.cli.run import open_directory

    with redirect_stdout(sys.stderr):
        plan, run = open_directory(plan, results)
        if execute(Execution(plan=plan, run=run, jobs=jobs)) == EXIT_INTERRUPTED:
            raise KeyboardInterrupt
    return run.path
