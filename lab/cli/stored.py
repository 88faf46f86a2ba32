"""What commands on a stored run have in common: which run, which trial, and its replay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lab.results.stored_run import StoredRun, StoredTrial
    from lab.run.replay import Replay

RESULTS_OPTION: Callable[[Any], Any] = click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    envvar="CALLPATH_RESULTS",
    show_envvar=True,
    help="Where runs are looked for.",
)


def replay_trial(
    run: str,
    selector: str,
    results: Path,
    *,
    capture: bool = False,
    nodes: Sequence[str] = (),
) -> tuple[StoredRun, StoredTrial, str, Replay]:
    """Return (run, trial, name of a call in it or ``""``, its replay) of what was named on the command line.

    With ``capture`` the replay has its packets as pcapng, those of some ``nodes`` alone if any are named.

    Raises:
        UsageError: no such run, trial or call; or one that cannot be replayed.
        TrialInvalid: the replay is not what was stored.
    """
    from lab.results.finding import find_run
    from lab.results.selection import choose_trial
    from lab.results.stored_run import open_run
    from lab.run.replay import replay_stored

    stored = open_run(find_run(run, results))
    trial, call = choose_trial(stored, selector)
    return stored, trial, call, replay_stored(stored, trial, capture=capture, nodes=nodes)


def look_at_trial(
    run: str, selector: str, results: Path, *, without_packets: bool = False
) -> tuple[StoredRun, StoredTrial, str, Replay]:
    """Return what :func:`replay_trial` does; a trial of the kernel world as it was, from its capture.

    Where that was not kept, ``without_packets`` is content with its events.

    Raises:
        UsageError: no such run, trial or call; or its packets are needed and nobody has kept them.
        TrialInvalid: the replay is not what was stored.
    """
    from lab.results.finding import find_run
    from lab.results.selection import choose_trial
    from lab.results.stored_run import open_run
    from lab.run.captured_trace import captured_trial, has_capture, uncaptured_trial
    from lab.spec.trial import VIRTUAL_TIME, WORLDS

    stored = open_run(find_run(run, results), worlds=WORLDS)
    if stored.manifest.get("world", VIRTUAL_TIME) == VIRTUAL_TIME:
        return replay_trial(run, selector, results)
    trial, call = choose_trial(stored, selector)
    if without_packets and not has_capture(stored, trial):
        return stored, trial, call, uncaptured_trial(stored, trial)
    return stored, trial, call, captured_trial(stored, trial)
