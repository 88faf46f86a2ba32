"""Stored runs of any size and content, without running anything: what the report is shown."""

from pathlib import Path

from lab.measure.verdict import Outcome
from lab.report.html.source import Source
from lab.results.stored_result import StoredResult
from lab.results.stored_run import StoredRun, StoredTrial

PATHS = ("host", "server-reflexive", "peer-reflexive", "relay", "none")


def trial(position, parameters, repeat=0):
    return StoredTrial(
        position=position,
        key=f"{position:012x}",
        topology="two_homes",
        parameters=parameters,
        settings={},
        repeat=repeat,
        deadline=100.0,
        event_budget=1000,
    )


def row(of, path="relay", *, possible="relay", setup_time=0.25, invalid="", **more):
    """Return a row of the table as the run directory has it: what is empty is not in it."""
    connected = path != "none"
    return {
        "trial": of.key,
        "repeat": of.repeat,
        "invalid": invalid,
        **of.parameters,
        "call": "call-1",
        "path": path,
        "possible": possible,
        "validated": {"relay": "relay", "none": "none"}.get(path, "direct"),
        "connected": connected,
        "failed": "" if connected else "alice: no pair succeeded",
        **({"setup_time": setup_time} if connected else {}),
        **more,
    }


def source(trials, rows, verdicts=(), *, reason="", done=None, invalid=(), **manifest):
    """Return what the report is a view of."""
    outcome = Outcome.PASS
    return Source(
        run=StoredRun(
            path=Path("results/20260102T030405Z-made_up-0123abcd"),
            scenario="scenarios/made_up.yaml",
            seed=7,
            trials=trials,
            manifest={
                "name": "made_up",
                "started": "2026-01-02T03:04:05+00:00",
                "callpath": "0.1.0",
                "world": "sim",
                "argv": ["callpath", "run", "made_up"],
                **manifest,
            },
        ),
        result=StoredResult(
            ok=False,
            reason=reason,
            ended="2026-01-02T03:04:15+00:00",
            outcome=outcome,
            trials=len(trials),
            done=len(trials) if done is None else done,
            invalid=list(invalid),
            verdicts=list(verdicts),
        ),
        rows=rows,
    )


def many_calls(cells, repeats):
    """Return a run of ``cells`` × ``cells`` pairs, each ``repeats`` times, with every path in it."""
    names = [f"nat-{number}" for number in range(cells)]
    trials = [
        trial((a * cells + b) * repeats + number, {"alice_nat": names[a], "bob_nat": names[b]}, number)
        for a in range(cells)
        for b in range(cells)
        for number in range(repeats)
    ]
    rows = [
        row(
            one,
            PATHS[(one.position * 7919) % 5],
            possible=("direct", "relay", "none")[one.position % 3],
            setup_time=0.1 + (one.position * 104729 % 10007) / 10007,
        )
        for one in trials
    ]
    return source(trials, rows)
