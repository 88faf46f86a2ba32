"""`callpath agree` runs a scenario in both worlds: the same classes; a difference that is made is seen."""

import json
from pathlib import Path

import pytest

from lab.cli.main import run_command_line
from lab.emu.servers.coturn import coturn_version
from lab.results.compared_run import read_outcomes
from lab.results.stored_run import read_run

SCENARIO = """\
callpath: 1
topology: two_homes
vary:
  alice_nat: [{alice}]
parameters: {{bob_nat: port-restricted}}
calls: {{from: alice, to: bob, start_offset: -30ms, media: {{packets: 2}}}}
expect:
  - {{metric: ice.connected, rate: "== 100%"}}
"""

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack"),
    pytest.mark.usefixtures("untouched_machine"),
]


@pytest.fixture
def scenario(tmp_path, monkeypatch):
    """Write scenarios below a directory of the test's own, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("scenarios").mkdir()

    def write(alice, more=""):
        Path("scenarios/pairs.yaml").write_text(SCENARIO.format(alice=alice) + more)

    return write


def agree(capsys, *options):
    """Return (exit code, document, what was said) of an agreement, one trial at a time: less is stalled."""
    code = run_command_line(["agree", "pairs", "--jobs", "1", "--repeat", "1", "--json", *options])
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err


def test_both_worlds_come_to_the_same_classes(scenario, capsys):
    scenario("full-cone, symmetric")
    code, found, said = agree(capsys)
    assert (found["nat_plane"], found["compared"]) == ("auto", 2)
    assert [cell["disagreements"] for cell in found["cells"]] == [[], []]
    # A machine with much else to do may stall a trial, which is then told and counts as neither.
    stalled = [cell["uncounted"] for cell in found["cells"] if cell["uncounted"]]
    assert (code, found["outcome"]) == ((3, "inconclusive") if stalled else (0, "agree")), said
    timed = [times for cell in found["cells"] for times in cell["setup_times"]]
    assert 1 <= len(timed) == 2 - len(stalled)
    worlds = [
        json.loads(Path(found[world], "manifest.json").read_text())["world"] for world in ("sim", "emu")
    ]
    assert worlds == ["sim", "emu"]


@pytest.mark.system("turnserver")
def test_with_coturn_as_the_kernels_relay_the_classes_are_those_of_the_labs_own(scenario, capsys):
    """By UDP and, from behind a box that lets none out, by TCP or TLS."""
    scenario("symmetric, udp-blocked")
    code, found, said = agree(capsys, "--relay", "coturn")
    assert found["relay"] == {"sim": "lab", "emu": f"coturn {coturn_version()}"}
    assert [cell["disagreements"] for cell in found["cells"]] == [[], []]
    stalled = [cell["uncounted"] for cell in found["cells"] if cell["uncounted"]]
    assert code == (3 if stalled else 0), said
    sim = read_outcomes(read_run(Path(found["sim"])))
    assert [set(cell.calls["alice → bob"].paths) for cell in sim.cells] == [{"relay"}, {"relay"}]
    assert run_command_line(["agree", found["sim"], found["emu"]]) == code
    one, other = capsys.readouterr().out.splitlines()[:2]
    assert one.endswith("the lab's own relay, as always in virtual time")
    assert other.endswith(f"relay coturn {coturn_version()}")


@pytest.mark.system("turnserver")
@pytest.mark.adapter("node-datachannel")
def test_another_stack_on_the_kernel_comes_to_the_classes_of_the_labs_own_in_virtual_time(scenario, capsys):
    """Where only a relay is possible; virtual time runs the lab's own programs whatever the scenario says."""
    scenario("symmetric", "programs: {endpoint: node-datachannel}\n")
    code, found, said = agree(capsys, "--relay", "coturn")
    assert [cell["disagreements"] for cell in found["cells"]] == [[]]
    stalled = [cell["uncounted"] for cell in found["cells"] if cell["uncounted"]]
    assert code == (3 if stalled else 0), said
    sim, kernel = (json.loads(Path(found[world], "manifest.json").read_text()) for world in ("sim", "emu"))
    assert sim["playing"] == {}
    assert kernel["playing"]["endpoint"]["adapter"] == "node-datachannel"


def test_a_network_that_is_another_on_the_kernel_is_a_disagreement(scenario, capsys):
    """Bob's box is switched to another one there, and only there: the class of Alice's call flips."""
    scenario("symmetric", "emu: {set: {bob_nat: full-cone}}\n")
    code, found, _ = agree(capsys, "--nat-plane", "engine")
    assert (code, found["outcome"]) == (1, "disagree")
    (cell,) = found["cells"]
    selected = {d["about"]: d for d in cell["disagreements"]}["selected"]
    assert (selected["virtual_time"], selected["kernel"]) == ({"relay": 1}, {"peer-reflexive": 1})
    told = {setting["name"]: setting for setting in found["settings"]}["bob_nat"]
    assert (told["before"], told["after"]) == ("port-restricted", "full-cone")


TIE = """\
callpath: 1
topology: two_homes
parameters: {alice_nat: port-restricted, bob_nat: port-restricted, bob_delay: 10ms}
vary: {alice_delay: [8ms, 10ms, 12ms]}
calls: {from: alice, to: bob, media: {packets: 2}}
expect:
  - {metric: ice.connected, rate: "== 100%"}
"""


def test_a_tie_of_round_trip_and_pacing_is_what_the_kernel_may_settle_otherwise(scenario, capsys):
    """Known as round-trip-ties-with-pacing. Off the tie, to either side of it, both worlds take the same."""
    scenario("none")
    Path("scenarios/pairs.yaml").write_text(TIE)
    for _ in range(3):  # a program that waits for a processor makes a tie of its own, once in a while
        code, found, said = agree(capsys)
        cells = {cell["cell"]["alice_delay"]: cell for cell in found["cells"]}
        if not cells["8ms"]["disagreements"] and not cells["12ms"]["disagreements"]:
            break
    assert [cells[delay]["disagreements"] for delay in ("8ms", "12ms")] == [[], []]
    stalled = [cell["uncounted"] for cell in found["cells"] if cell["uncounted"]]
    assert code == (3 if stalled else 0), said
    sim = read_outcomes(read_run(Path(found["sim"])))
    taken = {cell.cell["alice_delay"]: set(cell.calls["alice → bob"].paths) for cell in sim.cells}
    assert taken == {"8ms": {"server-reflexive"}, "10ms": {"relay"}, "12ms": {"relay"}}
    for difference in cells["10ms"]["disagreements"]:
        assert difference["explained_by"] == "round-trip-ties-with-pacing"


PUNCHED = """\
callpath: 1
topology: two_homes
parameters: {alice_nat: eim-apdf}
vary: {bob_nat: [apdm-eif]}
calls: {from: alice, to: bob, start_offset: -30ms, media: {packets: 2}}
"""


@pytest.mark.parametrize(
    ("plane", "reuse", "taken"),
    [
        ("nft", "separate-flows", "peer-reflexive"),
        ("engine", "separate-flows", "peer-reflexive"),
        ("engine", "existing-flow-first", "relay"),
    ],
)
def test_flows_kept_apart_decide_a_path_and_do_so_in_both_worlds(plane, reuse, taken, scenario, capsys):
    """Netfilter and the model keep them apart: direct. The model that does not takes the relay."""
    scenario("none")
    Path("scenarios/pairs.yaml").write_text(PUNCHED)
    code, found, said = agree(capsys, "--nat-plane", plane, "--set", f"reply_reuse={reuse}")
    (cell,) = found["cells"]
    assert cell["disagreements"] == []
    assert code == (3 if cell["uncounted"] else 0), said
    (call,) = read_outcomes(read_run(Path(found["sim"]))).cells[0].calls.values()
    assert set(call.paths) == {taken}


def test_a_plane_that_cannot_be_a_model_is_refused_before_anything_has_run(scenario, capsys):
    scenario("symmetric")
    assert run_command_line(["agree", "pairs", "--nat-plane", "kernel"]) == 2
    assert "the kernel plane cannot do" in capsys.readouterr().err
    assert not list(Path().glob("results/*"))
