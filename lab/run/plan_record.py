"""A plan as a run's manifest holds it, and back: all that is needed to go on with the run, whatever changed.

The trials stand in the manifest one by one, and the files that say what happens in them are copied into the
run's directory. So neither the scenario's file nor the topology's is needed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lab.errors import Problem, UsageError
from lab.results.damage import damaged_inputs, damaged_manifest
from lab.results.run_directory import RunDirectory
from lab.results.stored_run import StoredRun, StoredTrial
from lab.run.plan import Captured, Plan, captures_as_it_runs
from lab.spec.comparison import Comparator
from lab.spec.expectation import Expectation, Severity
from lab.spec.find import TOPOLOGIES, kept_file, open_topology
from lab.spec.metric_catalogue import CATALOGUE, Statistic
from lab.spec.program import Program, program_of_data
from lab.spec.trial import VIRTUAL_TIME, Trial


def plan_record(plan: Plan) -> dict[str, Any]:
    """Return what a manifest holds of a plan, without its trials."""
    return {
        "name": plan.name,
        "topology": plan.topology,
        "vary": {name: list(values) for name, values in plan.vary.items()},
        "population": list(plan.population),
        "matrix": None if plan.matrix is None else list(plan.matrix),
        "expect": [_as_data(expectation) for expectation in plan.expectations],
        "not_judged": [_as_data(expectation) for expectation in plan.not_judged],
        "capture": plan.captured.value,
        "nat_plane": plan.trials[0].nat_plane,
        "relay": plan.trials[0].relay,
        "attach": plan.trials[0].attach,
        "playing": {name: program.to_data() for name, program in plan.trials[0].programs.items()},
    }


def _as_data(expectation: Expectation) -> dict[str, Any]:
    return {**asdict(expectation), "when": {name: list(v) for name, v in expectation.when.items()}}


def stored_plan(run: StoredRun) -> Plan:
    """Return the plan of a stored run, with trials that read the run's own copies of its inputs.

    Raises:
        UsageError: the manifest does not hold it, or a copy is not what it was.
    """
    where = str(run.path / "manifest.json")
    try:
        record = run.manifest
        matrix = record["matrix"]
        plan = Plan(
            name=str(record["name"]),
            path=run.scenario,
            topology=str(record["topology"]),
            trials=tuple(stored_trial(run, trial) for trial in run.trials),
            vary={str(name): list(values) for name, values in record["vary"].items()},
            matrix=None if matrix is None else (str(matrix[0]), str(matrix[1])),
            expectations=_expectations(record["expect"]),
            not_judged=_expectations(record["not_judged"]),
            population=tuple(map(str, record["population"])),
            captured=Captured(record["capture"]),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else "what it holds is none"
        found = f"does not hold the whole plan: {what}"
        raise UsageError(*damaged_manifest(run), Problem(where, found)) from None
    if not plan.trials:
        raise UsageError(Problem(where, "holds no trial"))
    _check_inputs(run)
    _check_keys(run, plan)
    return plan


def stored_trial(run: StoredRun, stored: StoredTrial) -> Trial:
    """Return a stored trial to run it again, from the run's own copies of its inputs."""
    world = str(run.manifest.get("world", VIRTUAL_TIME))
    return Trial(
        scenario=run.scenario,
        topology=stored.topology,
        parameters=stored.parameters,
        settings=stored.settings,
        repeat=stored.repeat,
        run_seed=run.seed,
        deadline=stored.deadline,
        event_budget=stored.event_budget,
        capture=captures_as_it_runs(Captured(run.manifest.get("capture", Captured.NONE)), world),
        world=world,
        nat_plane=str(run.manifest.get("nat_plane", "")),
        relay=str(run.manifest.get("relay", "")),
        programs=stored_programs(run),
        attach=str(run.manifest.get("attach", "")),
        inputs=run.inputs,
    )


def stored_programs(run: StoredRun) -> dict[str, Program]:
    """Return the programs of a stored run that are not the lab's own, by node or role."""
    playing = run.manifest.get("playing") or {}
    return {str(name): program_of_data(data) for name, data in playing.items()}


def _expectations(records: Iterable[Mapping[str, Any]]) -> tuple[Expectation, ...]:
    return tuple(map(_expectation, records))


def _expectation(record: Mapping[str, Any]) -> Expectation:
    return Expectation(
        metric=CATALOGUE[record["metric"]].name,
        statistic=Statistic(record["statistic"]),
        comparator=Comparator(record["comparator"]),
        threshold=float(record["threshold"]),
        threshold_text=str(record["threshold_text"]),
        when={str(name): tuple(values) for name, values in record["when"].items()},
        why=str(record["why"]),
        within=record["within"],
        confidence=record["confidence"],
        severity=Severity(record["severity"]),
    )


def _check_inputs(run: StoredRun) -> None:
    """Check that the copies of the inputs are those that the run was started with."""
    if problems := damaged_manifest(run):
        raise UsageError(*problems)
    inputs = run.manifest.get("inputs") or {}
    missing = [kind for kind in ("scenario", "topology") if kind not in inputs]
    problems = [Problem(str(run.path), f"keeps no copy of its {kind}") for kind in missing]
    problems += damaged_inputs(run)
    if problems:
        raise UsageError(*problems)


def _check_keys(run: StoredRun, plan: Plan) -> None:
    for stored, trial in zip(run.trials, plan.trials, strict=True):
        if stored.key != trial.key:
            where = str(run.path / "manifest.json")
            found = f"trial {stored.key} is described as {trial.key}: edited by hand?"
            raise UsageError(Problem(where, found))


def keep_inputs(plan: Plan, run: RunDirectory) -> tuple[Plan, dict[str, dict[str, str]]]:
    """Copy the files that a plan depends on into the run's directory.

    Returns:
        The plan, with trials that read the copies: a file that is edited meanwhile changes nothing. And what
        the manifest says of them, by what they are.

    Raises:
        HostNotReady: a copy cannot be written.
    """
    topology = plan.topology.partition(":")[0]
    kept = {
        "scenario": (Path(plan.path), kept_file(run.inputs, "scenarios", plan.path, Path(plan.path).suffix)),
        "topology": (open_topology(plan.topology).path, kept_file(run.inputs, TOPOLOGIES, topology, ".py")),
    }
    records = {what: run.keep_input(file, copy) for what, (file, copy) in kept.items()}
    trials = tuple(replace(trial, inputs=str(run.inputs)) for trial in plan.trials)
    return replace(plan, trials=trials), records
