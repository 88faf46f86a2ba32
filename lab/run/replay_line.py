"""A trial as a command that runs it again, to be pasted into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path

from lab.errors import UsageError
from lab.run.plan import find_scenario
from lab.spec.assignment import format_value
from lab.spec.topology_file import display_path
from lab.spec.trial import DOCKER, VIRTUAL_TIME, Trial


def replay_line(trial: Trial) -> str:
    """Return the command that runs this trial and no other: same key, same seed, the same events.

    Every parameter is given its value, a drawn one too, so that nothing depends on what else was run. The key
    at the end makes a changed scenario one that is told, not one that is run.
    """
    words = ["callpath", "run", scenario_argument(trial.scenario), "--seed", str(trial.run_seed)]
    for name, value in trial.cell.items():
        words += ["--set", f"{name}={format_value(value)}"]
    if trial.world != VIRTUAL_TIME:
        words += ["--world", trial.world, "--nat-plane", trial.nat_plane]
    if trial.attach:
        words += ["--attach", trial.attach]
    if trial.relay:
        words += ["--relay", trial.relay]
    if any(program.runs_roles for program in trial.programs.values()):
        words += ["--hosts", DOCKER]
    for name, program in trial.programs.items():
        if program.typed:  # what the scenario says it says again
            words += ["--program", f"{name}={program.typed}"]
    words += ["--repeat", str(trial.repeat + 1), "--trial", trial.key]
    return shlex.join(words)


def scenario_argument(path: str) -> str:
    """Return how a scenario's file is named on the command line: by name if that finds it, else by path."""
    file = Path(path)
    try:
        if not file.stem.startswith("-") and find_scenario(file.stem).resolve() == file.resolve():
            return file.stem
    except UsageError:
        pass  # not among the scenarios known by name, or there are two of that name
    shown = display_path(file)
    return shown if "/" in shown else f"./{shown}"
