"""Virtual time and the kernel come to the same in all 81 pairs of mapping and filtering.

A trial that the machine stalled each time counts as neither: a cell of which so nothing is known is run once
more, alone. A cell that differs stands as it is. What may differ is what lab/spec/worlds.yaml explains, and
that is little.
"""

import json
from pathlib import Path

import pytest

from lab.cli.main import run_command_line
from lab.results.compared_run import read_outcomes
from lab.results.stored_run import read_run

SCENARIOS = Path(__file__).parents[2] / "scenarios"
PAIRS = 81
WITHOUT_RELAY, WITH_RELAY = "rfc4787_without_relay", "rfc4787_matrix"
JOBS = {WITHOUT_RELAY: 8, WITH_RELAY: 4}
"""Trials at a time. Without a relay a quarter of the calls fail, each after some seconds of waiting."""
OTHER_SETTINGS = {WITHOUT_RELAY: (), WITH_RELAY: ("separate_stun=false",)}
EXPLAINED_AT_MOST = 3

DIRECT = {
    ("per-mapping", "off"): 42,
    ("per-mapping", "inbound-first"): 57,
    ("per-mapping", "existing-flow-first"): 53,
    ("per-mapping", "separate-flows"): 57,
    ("per-endpoint", "separate-flows"): 77,
}
"""Pairs that go direct where both sides send at once: docs/paths.md."""

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack"),
    pytest.mark.usefixtures("untouched_machine"),
    pytest.mark.timeout(900),
]


@pytest.fixture
def agreed(tmp_path, monkeypatch, capsys):
    """Return all cells of both worlds, one that was run again as it was then."""
    monkeypatch.chdir(tmp_path)

    def once(scenario, plane, jobs, settings):
        sets = [word for setting in settings for word in ("--set", setting)]
        target = str(SCENARIOS / f"{scenario}.yaml")
        how = ["--nat-plane", plane, "--jobs", f"{jobs}", "--repeat", "1", "--json"]
        code = run_command_line(["agree", target, *how, *sets])
        captured = capsys.readouterr()
        assert code in {0, 1, 3}, captured.err
        return json.loads(captured.out)

    def both_worlds(scenario, plane, scope, reuse):
        settings = (f"filter_scope={scope}", f"reply_reuse={reuse}", *OTHER_SETTINGS[scenario])
        found = once(scenario, plane, JOBS[scenario], settings)
        cells = {(c["cell"]["alice_nat"], c["cell"]["bob_nat"]): (c, found) for c in found["cells"]}
        for alice, bob in [pair for pair, (cell, _) in cells.items() if cell["outcome"] == "inconclusive"]:
            again = once(scenario, plane, 1, (*settings, f"alice_nat={alice}", f"bob_nat={bob}"))
            cells[alice, bob] = (again["cells"][0], again)
        return cells

    return both_worlds


def direct_on_the_kernel(cells):
    """Return the pairs of boxes between which the kernel's checks found a direct path."""
    runs = {found["emu"] for _, found in cells.values()}
    reached = {}
    for path in runs:
        for cell in read_outcomes(read_run(Path(path)), column="validated").cells:
            pair = (cell.cell["alice_nat"], cell.cell["bob_nat"])
            if cells[pair][1]["emu"] == path:
                reached[pair] = {reach for call in cell.calls.values() for reach in call.paths}
    return {pair for pair, reaches in reached.items() if "direct" in reaches}


def check(agreed, scenario, plane, scope, reuse):
    cells = agreed(scenario, plane, scope, reuse)
    assert len(cells) == PAIRS
    differing = {pair: cell["disagreements"] for pair, (cell, _) in cells.items() if cell["disagreements"]}
    unexplained = {
        pair: different
        for pair, different in differing.items()
        if not all(difference["explained_by"] or difference["doubt"] for difference in different)
    }
    assert unexplained == {}
    assert len(differing) <= EXPLAINED_AT_MOST
    stalled = {pair for pair, (cell, _) in cells.items() if cell["outcome"] == "inconclusive"}
    assert len(stalled) <= PAIRS // 10, "nothing is said of a cell whose trials stalled each time"
    direct = direct_on_the_kernel(cells)
    assert DIRECT[scope, reuse] - len(stalled) <= len(direct) <= DIRECT[scope, reuse] + len(stalled)


@pytest.mark.requirement("Z0-14")
@pytest.mark.parametrize("scenario", [WITHOUT_RELAY, WITH_RELAY])
def test_all_pairs_come_to_the_same_on_netfilter(agreed, scenario):
    check(agreed, scenario, "nft", "per-mapping", "separate-flows")


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [WITHOUT_RELAY, WITH_RELAY])
def test_they_do_so_too_where_filters_ask_for_the_internal_endpoint(agreed, scenario):
    check(agreed, scenario, "nft", "per-endpoint", "separate-flows")


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [WITHOUT_RELAY, WITH_RELAY])
@pytest.mark.parametrize("reuse", ["off", "inbound-first", "existing-flow-first", "separate-flows"])
def test_the_engine_on_the_kernel_comes_to_the_same_in_every_setting_of_reply_reuse(agreed, scenario, reuse):
    check(agreed, scenario, "engine", "per-mapping", reuse)
