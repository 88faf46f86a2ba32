"""Two worlds beside each other: what agrees, what a known cause explains, what cannot be told."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import UsageError
from lab.measure.agreement import Side, agreement
from lab.measure.comparison.outcomes import (
    CallRow,
    JudgedCell,
    PlannedTrial,
    RunOutcomes,
    cell_outcomes,
)
from lab.measure.verdict import Outcome
from lab.report.agreement_data import agreement_data
from lab.report.agreement_text import agreement_text, places_text
from lab.spec.known_differences import KnownDifference, read_known

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
DIRECT, RELAYED = "server-reflexive", "relay"


def outcomes(
    paths, world, *, possible="direct", times=None, invalid=(), missing=(), verdicts=(), plane="nft"
):
    """Return a run; ``paths`` has by value of ``nat`` the class of each repetition's call."""
    trials, calls = [], []
    for nat, taken in paths.items():
        for repeat, path in enumerate(taken):
            key = f"{nat}-{repeat}"
            trials.append(PlannedTrial(key=key, repeat=repeat, values={"nat": nat, "delay": "10ms"}))
            time = (times or {}).get(nat, 0.2)
            calls.append(
                CallRow(trial=key, between="alice → bob", path=path, possible=possible, setup_time=time)
            )
    finished = {t.key: "stalled" if t.key in invalid else "" for t in trials if t.key not in missing}
    return RunOutcomes(
        scenario="calls",
        topology="two_homes",
        seed=1,
        cells=cell_outcomes(trials, finished, [call for call in calls if call.trial in finished]),
        verdicts=[JudgedCell(expectation=e, cell={"nat": nat}, outcome=o) for e, nat, o in verdicts],
        facts={"world": world, "nat_plane": plane if world == "emu" else ""},
    )


def side(paths, world, *, validated=None, **options):
    """Return a run by its selected classes, and by validated reaches: direct unless told otherwise."""
    reaches = {nat: ["direct"] * len(taken) for nat, taken in paths.items()} | (validated or {})
    return Side(selected=outcomes(paths, world, **options), validated=outcomes(reaches, world, **options))


def worlds(sim, kernel, known=(), *, of_sim=None, of_kernel=None):
    return agreement(side(sim, "sim", **(of_sim or {})), side(kernel, "emu", **(of_kernel or {})), known)


def cause(**changes):
    values = {
        "name": "early-packet",
        "about": "selected",
        "nat_planes": ["nft"],
        "when": {"nat": ["cgn", "symmetric"]},
        "virtual_time": [DIRECT],
        "kernel": [RELAYED],
        "cause": "A box takes a stranger's packet for its own.",
        "test": "tests/emu/test_agree.py::test_x",
    }
    return KnownDifference(**(values | changes))


TWICE = {"cgn": [DIRECT] * 2, "none": ["host"] * 2}


def test_trials_of_the_kernel_that_were_run_again_are_told():
    line = "cgn-0 nat=cgn: the machine stalled: 9 of 100 packets"
    kernel = dataclasses.replace(side(TWICE, "emu"), repeated=[line])
    found = agreement(side(TWICE, "sim"), kernel, ())
    assert agreement_data(found)["repeated"] == [line]
    told = places_text(found, Path("sim"), Path("emu"))
    assert f"1 trial was run again, for the machine had stalled: {line}" in told
    assert "run again" not in places_text(worlds(TWICE, TWICE), Path("sim"), Path("emu"))


FLIPPED = {"cgn": [RELAYED] * 2, "none": ["host"] * 2}


def test_equal_classes_agree_and_times_are_told_side_by_side():
    found = worlds(
        TWICE,
        TWICE,
        of_sim={"times": {"cgn": 0.24, "none": 0.2}},
        of_kernel={"times": {"cgn": 0.3, "none": 0.21}},
    )
    assert found.outcome is PASS
    assert found.medians == pytest.approx((0.22, 0.255))
    assert [times.later for times in found.times] == pytest.approx([0.06, 0.01])
    assert agreement_text(found).splitlines() == [
        "all 2 cells agree: possible, validated and selected classes",
        "set-up p50 sim 220 ms, kernel 255 ms; cell by cell +10 to +60 ms (measured, not judged)",
    ]
    assert "   240    300     240    300    2   2  nat=cgn" in agreement_text(found, times=True)


def test_another_selected_class_is_a_disagreement_in_a_line():
    found = worlds(TWICE, FLIPPED)
    assert found.outcome is FAIL
    assert [cell.outcome for cell in found.cells] == [FAIL, PASS]
    assert agreement_text(found).splitlines()[0] == f"nat=cgn  selected {DIRECT} 2 → {RELAYED} 2"
    assert "1 of 2 cells agree; 1 disagree" in agreement_text(found)


def test_one_trial_a_side_is_enough_where_no_class_is_in_common():
    """A regression gate would ask for more trials; here each world is asked what it says, and it said it."""
    assert worlds({"cgn": [DIRECT]}, {"cgn": [RELAYED]}).outcome is FAIL


def test_some_trials_that_differ_cannot_be_told_from_chance():
    found = worlds({"cgn": [DIRECT, DIRECT]}, {"cgn": [DIRECT, RELAYED]})
    assert found.outcome is INCONCLUSIVE
    assert "cannot tell it from chance" in agreement_text(found)
    assert "0 of 1 cell agree; 1 cannot be told" in agreement_text(found)


def test_a_class_that_one_world_alone_took_is_told_though_it_may_be_chance():
    found = worlds({"cgn": [RELAYED] * 8}, {"cgn": [RELAYED] * 5 + [DIRECT] * 3})
    assert found.outcome is INCONCLUSIVE
    assert f"{DIRECT} in one world only: more repetitions would tell" in agreement_text(found)
    mixed = worlds({"cgn": [RELAYED] * 5 + [DIRECT] * 3}, {"cgn": [RELAYED] * 4 + [DIRECT] * 4})
    assert mixed.outcome is PASS


def test_enough_trials_tell_a_share_that_differs():
    assert worlds({"cgn": [DIRECT] * 40}, {"cgn": [DIRECT] * 20 + [RELAYED] * 20}).outcome is FAIL


def test_what_was_validated_and_what_is_possible_are_compared_as_well():
    validated = worlds(TWICE, TWICE, of_kernel={"validated": {"cgn": ["relay"] * 2}})
    assert validated.outcome is FAIL
    assert agreement_text(validated).startswith("nat=cgn  validated direct 2 → relay 2")
    possible = worlds(TWICE, TWICE, of_kernel={"possible": "relay"})
    assert possible.outcome is FAIL
    assert agreement_text(possible).startswith("nat=cgn  possible direct 2 → relay 2")


# Known causes


def test_a_known_cause_explains_its_cells_and_no_other():
    known = worlds(TWICE, FLIPPED, [cause()])
    assert (known.outcome, len(known.explained)) == (PASS, 1)
    text = agreement_text(known)
    assert "(explained: early-packet)" in text
    assert "2 of 2 cells agree; 1 explained" in text


@pytest.mark.parametrize(
    "changes",
    [
        {"nat_planes": ["engine"]},
        {"when": {"nat": ["symmetric"]}},
        {"when": {"nat": ["cgn"], "delay": ["20ms"]}},
        {"when": {"nat": ["cgn"], "no_such_parameter": [1]}},
        {"about": "validated"},
        {"virtual_time": [RELAYED], "kernel": [DIRECT]},
    ],
)
def test_a_cause_of_another_plane_cell_or_direction_explains_nothing(changes):
    assert worlds(TWICE, FLIPPED, [cause(**changes)]).outcome is FAIL


def test_a_cell_is_explained_only_where_all_that_differs_in_it_is():
    found = worlds(TWICE, FLIPPED, [cause()], of_kernel={"validated": {"cgn": ["relay"] * 2}})
    assert found.outcome is FAIL
    both = [cause(), cause(name="other", about="validated", virtual_time=["direct"], kernel=["relay"])]
    found = worlds(TWICE, FLIPPED, both, of_kernel={"validated": {"cgn": ["relay"] * 2}})
    assert (found.outcome, len(found.explained)) == (PASS, 1)


# What cannot be told


@pytest.mark.parametrize("kind", ["invalid", "missing"])
def test_trials_that_are_no_use_leave_a_cell_in_doubt(kind):
    found = worlds(TWICE, TWICE, of_kernel={kind: ("cgn-1",)})
    assert found.outcome is INCONCLUSIVE
    assert f"nat=cgn  1 of 2 trials {kind} in the kernel" in agreement_text(found)


def test_a_difference_counts_before_doubt():
    assert worlds(TWICE, FLIPPED, of_kernel={"invalid": ("none-1",)}).outcome is FAIL


def test_a_cell_of_one_world_alone_cannot_be_told():
    found = worlds(TWICE, {**TWICE, "symmetric": [RELAYED] * 2})
    assert found.outcome is INCONCLUSIVE
    assert "nat=symmetric  only in the kernel" in agreement_text(found)


# Verdicts


def flipped(before, after, kernel=TWICE, known=(), **of_kernel):
    name = "ice.setup_time p50 < 250ms"
    return worlds(
        TWICE,
        kernel,
        known,
        of_sim={"verdicts": [(name, "cgn", before)]},
        of_kernel={"verdicts": [(name, "cgn", after)], **of_kernel},
    )


def test_a_verdict_that_flips_though_its_classes_agree_is_a_disagreement():
    found = flipped("pass", "fail")
    assert found.outcome is FAIL
    assert "ice.setup_time p50 < 250ms  [nat=cgn]  pass → fail" in agreement_text(found)


def test_a_verdict_that_fails_in_both_worlds_is_no_disagreement():
    assert flipped("fail", "fail").outcome is PASS


def test_a_verdict_that_is_inconclusive_in_one_world_leaves_doubt():
    assert flipped("pass", "inconclusive").outcome is INCONCLUSIVE
    assert "trials of its cell" in agreement_text(flipped("pass", "inconclusive", invalid=("cgn-1",)))


def test_a_verdict_follows_from_a_class_that_is_explained():
    found = flipped("pass", "fail", FLIPPED, [cause()])
    assert found.outcome is PASS
    assert "follows from the classes of its cell" in agreement_text(found)


def test_a_verdict_of_one_world_alone_leaves_doubt():
    one = side(TWICE, "sim", verdicts=[("ice.connected rate == 100%", "cgn", "pass")])
    assert agreement(one, side(TWICE, "emu"), []).outcome is INCONCLUSIVE


PATHS = st.lists(st.sampled_from(["host", DIRECT, RELAYED, "none"]), min_size=1, max_size=4)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["cgn", "none", "symmetric"]), PATHS, min_size=1))
def test_a_run_agrees_with_itself_in_the_other_world(paths):
    assert worlds(paths, paths).outcome is PASS


@settings(deadline=None)
@given(PATHS, PATHS)
def test_agreement_does_not_depend_on_which_world_said_what(one, other):
    assert worlds({"cgn": one}, {"cgn": other}).outcome is worlds({"cgn": other}, {"cgn": one}).outcome


# The file of known causes


def test_each_known_cause_names_a_test_that_there_is():
    root = Path(__file__).parents[2]
    for known in read_known():
        file, _, name = known.test.partition("::")
        assert f"def {name}(" in (root / file).read_text()


def test_the_tie_is_known_in_one_direction_and_off_it_nothing_is():
    (tie,) = [known for known in read_known() if known.name == "round-trip-ties-with-pacing"]
    values = {"alice_nat": "port-restricted", "bob_nat": "port-restricted", "bob_delay": "10ms"}
    assert tie.is_of("nft", values | {"alice_delay": "10ms"})
    assert not tie.is_of("nft", values | {"alice_delay": "12ms"})
    assert not tie.is_of("nft", values), "a delay that is not named may be any"
    assert tie.explains("selected", {RELAYED: 8}, {RELAYED: 5, DIRECT: 3})
    assert not tie.explains("selected", {DIRECT: 8}, {RELAYED: 8})
    assert not tie.explains("selected", {RELAYED: 8}, {"none": 8})


ENTRY = """differences:
  - name: early-packet
    about: selected
    nat_planes: [nft]
    when: {nat: [cgn]}
    virtual_time: [server-reflexive]
    kernel: [relay]
    cause: A box takes a stranger's packet for its own.
    test: tests/emu/test_agree.py::test_x
"""


def test_an_entry_is_read_as_it_is_written(tmp_path):
    (tmp_path / "worlds.yaml").write_text(ENTRY)
    (known,) = read_known(tmp_path / "worlds.yaml")
    assert known == cause(when={"nat": ["cgn"]})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("when: {nat: [cgn]}", "when: {}"),  # a cause of every cell would explain all there is
        ("nat_planes: [nft]", "nat_planes: []"),
        ("tests/emu/test_agree.py::test_x", "somebody saw it"),
        ("about: selected", "about: times"),
        ("    cause: A box takes a stranger's packet for its own.\n", ""),
        ("name: early-packet", "name: early-packet\n    extra: 1"),
        (ENTRY.removeprefix("differences:\n"), ENTRY.removeprefix("differences:\n") * 2),
    ],
)
def test_an_entry_that_does_not_say_all_of_it_is_refused(old, new, tmp_path):
    assert old in ENTRY
    (tmp_path / "worlds.yaml").write_text(ENTRY.replace(old, new))
    with pytest.raises(UsageError, match=r"worlds\.yaml"):
        read_known(tmp_path / "worlds.yaml")


def test_true_is_not_one():
    values = {"nat": True}
    assert not cause(when={"nat": [1]}).is_of("nft", values)
    assert cause(when={"nat": [True]}).is_of("nft", values)


def test_settings_besides_the_world_are_told():
    one, other = side(TWICE, "sim"), side(TWICE, "emu")
    seeded = dataclasses.replace(other, selected=dataclasses.replace(other.selected, seed=2))
    text = agreement_text(agreement(one, seeded, []))
    assert "run with other settings on the kernel:\n  seed: 1 → 2\n" in text
    assert "world" not in text
