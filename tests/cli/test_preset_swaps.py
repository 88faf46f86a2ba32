"""A NAT of a network is replaced by another: the baseline tells exactly the cells in which that matters.

The scenario's matrix names homes by their place and not by their NAT, so that no name, no key of a trial and
no random number tells one preset from another: only what they do. What should be told is found without the
baseline: by `predict` from the networks, and by the paths in the events of both runs.
"""

import datetime as dt
import itertools
import json
import shutil
from pathlib import Path

import pytest

from lab.measure.calls import calls_of
from lab.measure.comparison.runs import compare_runs
from lab.measure.predict import PeerNetwork, PresentFor, RelayPlacement, predict
from lab.measure.predict.from_network import predict_call
from lab.results.baseline import read_baseline, write_baseline
from lab.results.compared_run import read_outcomes
from lab.results.manifest import make_manifest, plan_hash
from lab.results.run_directory import RunDirectory
from lab.results.stored_run import read_run
from lab.results.table import table_of
from lab.run.collector import Collector
from lab.run.plan import plan_run
from lab.run.plan_record import keep_inputs, plan_record
from lab.run.pool import run_trials
from lab.spec.event import Event
from lab.spec.find import load_topology
from nat_models import presets

TOPOLOGY = '''
"""Two homes; what NAT stands in the first one's cellar is not in its name."""

from mininet.topo import Topo

NATS = {"replaced": "REPLACED", "kept": "port-restricted"}


class Homes(Topo):
    """Alice and Bob at home."""

    def build(self, alice_home: str = "replaced", bob_nat: str = "none") -> None:
        """Build it."""
        self.addHost("alice", role="endpoint")
        self.addHost("alice-nat", role="nat", nat=NATS[alice_home], uplink="internet")
        self.addHost("bob", role="endpoint")
        self.addHost("bob-nat", role="nat", nat=bob_nat, uplink="internet")
        self.addHost("internet", role="router")
        self.addHost("relay", role="relay")
        self.addHost("rendezvous", role="rendezvous")
        self.addLink("alice", "alice-nat", label="alice-home")
        self.addLink("alice-nat", "internet", label="alice-access", impair={"delay": "10ms"})
        self.addLink("bob", "bob-nat", label="bob-home")
        self.addLink("bob-nat", "internet", label="bob-access", impair={"delay": "10ms"})
        self.addLink("relay", "internet", label="relay", impair={"delay": "5ms"})
        self.addLink("rendezvous", "internet", label="rendezvous", impair={"delay": "5ms"})


topos = {"homes": Homes}
'''

SCENARIO = """
callpath: 1
name: homes
topology: topologies/homes.py
vary:
  alice_home: [replaced, kept]
  bob_nat: [{others}]
calls: {{from: alice, to: bob, start_offset: -30ms}}
"""


def behaviours():
    """Return the presets by what is possible between them and every preset, one list a behaviour."""
    relay = RelayPlacement(present_for=PresentFor.BOTH)
    peers = {name: PeerNetwork(layers=(model,)) for name, model in presets().items()}
    found = {}
    for name, peer in peers.items():
        possible = tuple(predict(peer, other, relay).possible for other in peers.values())
        found.setdefault(possible, []).append(name)
    return list(found.values())


PRESETS = tuple(presets())
ONE_OF_EACH = tuple(alike[0] for alike in behaviours())


def store_run(results):
    """Run the scenario as it is now and keep the run and a baseline of it; without probes and pictures."""
    plan = plan_run("scenarios/homes.yaml", seed=1)
    started = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    run = RunDirectory.create(results, scenario=plan.name, plan_hash=plan_hash(plan.trials), started=started)
    plan, inputs = keep_inputs(plan, run)
    manifest = make_manifest(
        scenario=plan.path,
        trials=plan.trials,
        started=started,
        argv=[],
        boxes=[],
        asked=plan_record(plan),
        inputs=inputs,
    )
    run.write_manifest(manifest)
    collector = Collector(plan)
    for position, result in run_trials(plan.trials, jobs=1):
        run.write_trial(position, result.trial.key, result.events)
        collector.add(position, result)
    run.write_table(table_of(collector.rows))
    count = len(plan.trials)
    run.write_result(
        {"ok": True, "outcome": "pass", "trials": count, "done": count, "invalid": [], "verdicts": []}
    )
    run.close()
    write_baseline(results, plan.name, read_run(run.path), {})


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a directory with a run and a baseline of it for every preset in Alice's cellar."""
    base = tmp_path_factory.mktemp("swaps")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        Path("scenarios").mkdir()
        Path("scenarios/homes.yaml").write_text(SCENARIO.format(others=", ".join(ONE_OF_EACH)))
        Path("topologies").mkdir()
        for name in PRESETS:
            Path("topologies/homes.py").write_text(TOPOLOGY.replace("REPLACED", name))
            store_run(Path(name))
    return base


def run_of(place, name):
    (path,) = (place / name).glob("20*")
    return read_run(path)


@pytest.fixture(scope="module")
def seen(place):
    """Return what is possible and what was selected, by preset and cell; not from tables or baselines."""
    found = {}
    for name in PRESETS:
        run = run_of(place, name)
        for trial in run.trials:
            network = load_topology(trial.topology, trial.parameters, run.inputs)
            lines = run.events_of(trial).splitlines()
            (call,) = calls_of(Event.from_json(line)[1] for line in lines)
            possible = predict_call(network, "alice", "bob").possible
            cell = tuple(trial.cell[axis] for axis in ("alice_home", "bob_nat"))
            found.setdefault(name, {})[cell] = possible, call.path
    return found


def cells(changed):
    return sorted((cell["alice_home"], cell["bob_nat"]) for cell in changed)


def differing(seen, before, after):
    return sorted(cell for cell in seen[before] if seen[before][cell] != seen[after][cell])


def test_every_swap_of_two_presets_is_told_with_exactly_its_cells(place, seen):
    """All ordered pairs: what is told, cell by cell, and that what only follows from the draws is not."""
    baselines = {name: read_baseline(place / name, "homes").outcomes for name in PRESETS}
    runs = {name: read_outcomes(run_of(place, name)) for name in PRESETS}
    caught = 0
    for before, after in itertools.permutations(PRESETS, 2):
        found = compare_runs(baselines[before], runs[after])
        told = cells(comparison.cell for comparison in found.changed)
        assert told == differing(seen, before, after), f"{before} replaced by {after}"
        assert found.in_doubt == []
        assert not any(home == "kept" for home, _ in told)
        predicted = [c for c in seen[before] if seen[before][c][0] != seen[after][c][0]]
        assert set(predicted) <= set(told)
        caught += bool(predicted)
    assert caught > len(PRESETS) * (len(PRESETS) - 1) / 2, "most swaps change a prediction"


@pytest.mark.parametrize("before", ONE_OF_EACH)
def test_the_command_tells_a_swap_of_behaviours_with_its_cells_and_ends_with_1(before, place, seen, callpath):
    for after in (name for name in ONE_OF_EACH if name != before):
        run = str(run_of(place, after).path)
        done = callpath("baseline", "check", run, "--results", place / before, "--json")
        told = json.loads(done.out)
        assert cells(told["changed"]) == differing(seen, before, after) != []
        assert (done.code, told["outcome"]) == (1, "changed")


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_an_unchanged_rerun_passes_both(name, place, callpath):
    """Elsewhere, later, from the scenario alone."""
    shutil.copytree(place / "scenarios", "scenarios")
    shutil.copytree(place / name / "baselines", "results/baselines")
    Path("topologies").mkdir()
    Path("topologies/homes.py").write_text(TOPOLOGY.replace("REPLACED", name))
    done = callpath("baseline", "check", "scenarios/homes.yaml", "--exact", "--jobs", "1")
    assert done.code == 0, done.out + done.err
    assert done.out.endswith("unchanged\n")
