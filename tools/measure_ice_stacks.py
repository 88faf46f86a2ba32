"""Keep what stored runs of scenarios/ice_stacks.py came to, for docs/ice-stacks.md.

    python tools/measure_ice_stacks.py RUN ... && python tools/generate_docs.py ice-stacks.md

A run is a directory below results/; those of one stack in one world count together. What was kept before of
other stacks stays. Trials that are invalid, because the machine stalled, are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lab.measure.trial_end import why_invalid  # noqa: E402 - the tree that this script is in
from lab.report.ice_stacks import StackRun, as_json, from_json, stack_call  # noqa: E402 - as above
from lab.results.stored_run import read_run  # noqa: E402 - as above
from lab.spec.event import Event, EventType  # noqa: E402 - as above
from lab.spec.find import load_topology  # noqa: E402 - as above

FILE = ROOT / "docs" / "ice-stacks.json"
STACKS = {"lab": "aioice", "node-datachannel": "libjuice", "chromium": "Chromium"}
ORDER = [("aioice", "sim"), ("aioice", "emu"), ("libjuice", "emu"), ("Chromium", "emu")]


def main(directories: list[str]) -> None:
    """Read the runs and write the file."""
    kept = from_json(FILE.read_text(encoding="utf-8")) if FILE.exists() else []
    runs = {(run.stack, run.world): run for run in kept}
    anew: dict[tuple[str, str], StackRun] = {}
    for directory in directories:
        run = read_stack_run(Path(directory))
        key = run.stack, run.world
        before = anew[key].calls if key in anew else ()
        anew[key] = StackRun(
            stack=run.stack, version=run.version, world=run.world, calls=(*before, *run.calls)
        )
    runs |= anew
    FILE.write_text(as_json(runs[key] for key in ORDER if key in runs), encoding="utf-8")


def read_stack_run(directory: Path) -> StackRun:
    """Return the calls of a stored run, of all its trials that are whole."""
    stored = read_run(directory)
    playing = stored.manifest["playing"].get("endpoint", {}).get("adapter", "") or "lab"
    calls = []
    for trial in stored.trials:
        if not stored.is_finished(trial):
            continue
        events = [Event.from_json(line)[1] for line in stored.events_of(trial).splitlines()]
        if why := why_invalid(events):
            sys.stderr.write(f"trial {trial.key} is left out: {why}\n")
            continue
        network = load_topology(trial.topology, trial.parameters, stored.inputs)
        pairs = selected_pairs(events)
        calls += [
            stack_call(network, record, pairs.get(record.call, {})) for record in stored.calls_in(trial)
        ]
    return StackRun(
        stack=STACKS[playing], version=version_of(stored.manifest, playing), world=stored.manifest["world"],
        calls=tuple(calls),
    )  # fmt: skip


def selected_pairs(events: Iterable[Event]) -> dict[str, dict[str, list[str]]]:
    """Return by call and node the pairs of candidate types that were selected, one after the other.

    A pair that gets another name, because its candidate was signalled after it was found, is the same: its
    addresses are. (Chromium hides the address of a candidate that was not signalled, and shows its port.)
    """
    found: dict[str, dict[str, list[str]]] = {}
    where: dict[tuple[str, str], tuple[str, str]] = {}
    for event in events:
        if event.type is EventType.ICE_SELECTED:
            local, remote = event.data["local"], event.data["remote"]
            place = local["address"], remote["address"].rpartition(":")[2]
            pairs = found.setdefault(event.call, {}).setdefault(event.node, [])
            if where.get((event.call, event.node)) == place:
                pairs.pop()
            pairs.append(f"{local['type']}>{remote['type']}")
            where[event.call, event.node] = place
    return found


def version_of(manifest: dict, playing: str) -> str:
    """Return the version of the stack that a run had."""
    if playing == "lab":
        return str(manifest["libraries"]["aioice"])
    version = str(manifest["programs"][playing])
    return f"(node-datachannel {version})" if playing == "node-datachannel" else version


if __name__ == "__main__":
    main(sys.argv[1:])
