"""What commands on a stored run have in common: which run, which trial, and its replay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.results.stored_run import StoredRun, StoredTrial
    from lab.run.replay import Replay

RESULTS_OPTION: Callable[[Any], Any] = click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    envvar="CALLPATH_RESULTS",
    help="Where runs are looked for.",
)


def replay_trial(run: str, selector: str, results: Path) -> tuple[StoredRun, StoredTrial, str, Replay]:
    """Return (run, trial, name of a call in it or ``""``, its replay) of what was named on the command line.

    Raises:
        UsageError: no such run, trial or call; or one that cannot be replayed.
        TrialInvalid: the replay is not what was stored.
    """
    from lab.results.selection import choose_trial
    from lab.results.stored_run import find_run, open_run
    from lab.run.replay import replay_stored

    stored = open_run(find_run(run, results))
    trial, call = choose_trial(stored, selector)
    return stored, trial, call, replay_stored(stored, trial)
