"""Two runs beside each other: which cells changed, which cannot be told, and what counts as either."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from lab.measure.comparison.cells import moves
from lab.measure.comparison.outcomes import (
    CallRow,
    JudgedCell,
    PlannedTrial,
    RunOutcomes,
    cell_outcomes,
    drawn_names,
    times_of,
)
from lab.measure.comparison.runs import compare_runs
from lab.measure.comparison.shares import can_tell, difference_interval, samples_to_tell
from lab.measure.verdict import Outcome

NATS = ("full-cone", "symmetric", "cgn")
PATHS = ("host", "server-reflexive", "relay", "none")


def run(paths, *, seed=1, possible=None, missing=(), invalid=(), verdicts=(), times=None, **constants):
    """Return a run; ``paths`` has by value of ``nat`` the path of each repetition, ``possible`` the reach."""
    trials, calls = [], []
    for nat, taken in sorted(paths.items()):
        for repeat, path in enumerate(taken):
            key = f"{nat}-{repeat}{''.join(f'-{v}' for v in constants.values())}"
            trials.append(PlannedTrial(key=key, repeat=repeat, values={"nat": nat, **constants}))
            reach = (possible or {}).get(nat, "direct")
            time = None if path == "none" else (times or {}).get(nat, 0.1 + repeat / 100)
            calls.append(
                CallRow(trial=key, between="alice → bob", path=path, possible=reach, setup_time=time)
            )
    finished = {trial.key: "budget" if trial.key in invalid else "" for trial in trials}
    kept = {key: why for key, why in finished.items() if key not in missing}
    return RunOutcomes(
        scenario="calls",
        topology="two_homes",
        seed=seed,
        cells=cell_outcomes(trials, kept, [call for call in calls if call.trial in kept]),
        verdicts=[JudgedCell(expectation=e, cell={"nat": n}, outcome=o) for e, n, o in verdicts],
    )


def named(cells):
    return [cell.before.cell["nat"] for cell in cells]


def runs(**fixed):
    """Return a strategy of runs of the same trials."""
    cell = st.lists(st.sampled_from(PATHS), min_size=3, max_size=3)
    paths = st.fixed_dictionaries(dict.fromkeys(NATS, cell))
    reach = st.fixed_dictionaries(dict.fromkeys(NATS, st.sampled_from(["direct", "relay"])))
    gone = st.sets(st.sampled_from([f"{nat}-{repeat}" for nat in NATS for repeat in range(3)]), max_size=2)
    return st.builds(run, paths, **({"possible": reach, "missing": gone} | fixed))


# The same draws: counts as they are


@settings(deadline=None)
@given(runs())
def test_nothing_changes_from_a_run_to_itself(one):
    found = compare_runs(one, one)
    assert (found.changed, found.settings, found.gone, found.new, found.flips) == ([], [], [], [], [])
    assert found.outcome is (
        Outcome.INCONCLUSIVE if any(cell.missing for cell in one.cells) else Outcome.PASS
    )


@settings(deadline=None)
@given(runs(), runs(seed=st.sampled_from([1, 2])))
def test_the_same_cells_changed_whichever_run_comes_first(one, other):
    forth, back = compare_runs(one, other), compare_runs(other, one)
    assert named(forth.changed) == named(back.changed)
    assert named(forth.in_doubt) == named(back.in_doubt)
    assert (forth.gone, forth.new) == (back.new, back.gone)
    assert forth.outcome is back.outcome


@settings(deadline=None)
@given(runs(missing=st.just(())), runs(missing=st.just(())))
def test_exactly_the_cells_whose_counts_differ_are_told(one, other):
    pairs = zip(one.cells, other.cells, strict=True)
    different = [
        before.cell["nat"]
        for before, after in pairs
        if any(
            getattr(before.calls["alice → bob"], what) != getattr(after.calls["alice → bob"], what)
            for what in ("paths", "possible")
        )
    ]
    found = compare_runs(one, other)
    assert named(found.changed) == different
    assert found.in_doubt == []
    assert found.outcome is (Outcome.FAIL if different else Outcome.PASS)


@pytest.mark.parametrize(
    ("taken", "outcome"),
    [
        (["relay", "relay", "relay"], Outcome.INCONCLUSIVE),  # the missing one may have been a relay's too
        (["host", "relay", "relay"], Outcome.FAIL),  # whatever it was, none went from host to host before
    ],
)
def test_a_missing_trial_leaves_a_doubt_unless_the_others_have_decided(taken, outcome):
    before = run({"cgn": ["relay"] * 3})
    assert compare_runs(before, run({"cgn": taken}, missing=("cgn-2",))).outcome is outcome


def test_an_invalid_trial_is_not_counted_and_is_told():
    found = compare_runs(run({"cgn": ["relay"] * 3}), run({"cgn": ["relay"] * 3}, invalid=("cgn-1",)))
    assert [cell.doubt for cell in found.in_doubt] == ["1 of 3 trials is invalid (now)"]
    assert found.cells[0].after.calls["alice → bob"].paths == {"relay": 2}


@pytest.mark.parametrize("seed", [1, 2])
def test_of_a_cell_without_any_trial_nothing_is_said(seed):
    found = compare_runs(run({"cgn": ["relay"]}), run({"cgn": ["host"]}, missing=("cgn-0",), seed=seed))
    assert found.changed == []
    assert found.outcome is Outcome.INCONCLUSIVE


def test_calls_between_others_are_counted_apart():
    """Two calls of a trial that exchange their paths are a change, though the cell has as many of each."""
    trials = [PlannedTrial(key="a", repeat=0, values={})]

    def cells(first, second):
        calls = [
            CallRow(trial="a", between="x → y", path=first),
            CallRow(trial="a", between="x → z", path=second),
        ]
        return RunOutcomes(scenario="s", topology="t", seed=1, cells=cell_outcomes(trials, {"a": ""}, calls))

    (cell,) = compare_runs(cells("relay", "host"), cells("host", "relay")).changed
    assert [difference.between for difference in cell.differences] == ["x → y", "x → z"]


def test_a_cell_that_one_run_lacks_is_no_change_of_it():
    """It is told; without it the comparison of what was before is not whole."""
    both, less = run({"cgn": ["relay"], "symmetric": ["relay"]}), run({"cgn": ["relay"]})
    found = compare_runs(both, less)
    assert (found.gone, found.new, found.outcome) == ([{"nat": "symmetric"}], [], Outcome.INCONCLUSIVE)
    found = compare_runs(less, both)
    assert (found.gone, found.new, found.outcome) == ([], [{"nat": "symmetric"}], Outcome.PASS)


def test_a_constant_that_differs_is_a_setting_and_its_cells_are_compared():
    """Its trials have other keys, so they drew other numbers: no longer is every difference a change."""
    before = run({"cgn": ["relay"] * 30, "symmetric": ["relay"] * 30}, delay="10ms")
    after = run({"cgn": ["relay"] * 29 + ["host"], "symmetric": ["host"] * 30}, delay="20ms")
    found = compare_runs(before, after)
    assert [(s.name, s.before, s.after) for s in found.settings] == [("delay", "10ms", "20ms")]
    assert named(found.changed) == ["symmetric"]
    assert not found.is_exact


# Other draws: shares, by the interval of their difference


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((48, 80), (56, 70), 0.0524, 0.3339),
        ((3, 10), (9, 10), 0.1705, 0.8090),
        ((2, 7), (6, 7), 0.0582, 0.8062),
        ((0, 29), (5, 56), -0.0381, 0.1926),
        ((0, 20), (0, 10), -0.1611, 0.2775),
        ((0, 10), (10, 10), 0.6075, 1.0),
    ],
)
def test_the_interval_is_that_of_the_paper(first, second, low, high):
    """The examples of Newcombe 1998, table II, method 10."""
    found = difference_interval(first, second, 0.95)
    assert found == pytest.approx((low, high), abs=6e-5)


@settings(deadline=None)
@given(
    st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.sampled_from([0.8, 0.95, 0.9999]),
)
def test_the_interval_is_made_of_two_of_wilson(first, second, confidence):
    """Compared with scipy's; exchanged sides mirror it, and it holds what was found."""
    found = difference_interval(first, second, confidence)
    (p1, ci1), (p2, ci2) = (
        (k / n, binomtest(k, n).proportion_ci(confidence, method="wilson")) for k, n in (first, second)
    )
    low = p2 - p1 - math.hypot(p2 - ci2.low, ci1.high - p1)
    high = p2 - p1 + math.hypot(ci2.high - p2, p1 - ci1.low)
    assert found == pytest.approx((max(-1, low), min(1, high)), abs=1e-9)
    mirrored = difference_interval(second, first, confidence)
    assert found == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-12)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5])
@pytest.mark.parametrize(("n", "confidence"), [(30, 0.95), (30, 0.999), (100, 0.9999)])
def test_equal_shares_are_seldom_told_to_differ(share, n, confidence):
    """Every pair of counts by its probability: false alarms stay near what the confidence leaves."""
    chance = [binom.pmf(k, n, share) for k in range(n + 1)]
    likely = [k for k in range(n + 1) if chance[k] > 1e-9]
    alarms = 0.0
    for one in likely:
        for other in likely:
            low, high = difference_interval((one, n), (other, n), confidence)
            alarms += chance[one] * chance[other] * (not low <= 0 <= high)
    assert alarms < 1.3 * (1 - confidence)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999, 1 - 0.05 / 1500])
def test_so_many_samples_tell_none_from_all_and_one_less_does_not(confidence):
    needed = samples_to_tell(confidence)
    assert can_tell(needed, needed, confidence)
    assert not can_tell(needed - 1, needed - 1, confidence)


def test_with_another_seed_a_few_calls_more_or_less_are_no_change():
    before = run({"cgn": ["relay"] * 30, "symmetric": ["relay"] * 30})
    after = run({"cgn": ["relay"] * 28 + ["host"] * 2, "symmetric": ["host"] * 20 + ["relay"] * 10}, seed=2)
    found = compare_runs(before, after)
    assert named(found.changed) == ["symmetric"]
    (difference,) = found.changed[0].differences
    assert {share.name: share.interval.low > 0 for share in difference.shares} == {
        "host": True,
        "relay": False,
    }


def test_with_another_seed_what_is_possible_is_compared_as_it_is():
    """It follows from the models and not from any draw."""
    before, after = run({"cgn": ["relay"]}), run({"cgn": ["relay"]}, seed=2, possible={"cgn": "relay"})
    assert named(compare_runs(before, after).changed) == ["cgn"]


def test_too_few_trials_of_another_seed_leave_a_doubt_that_says_how_many_are_needed():
    found = compare_runs(run({"cgn": ["relay"] * 2}), run({"cgn": ["host"] * 2}, seed=2))
    assert found.outcome is Outcome.INCONCLUSIVE
    (difference,) = found.in_doubt[0].differences
    needed = samples_to_tell(found.confidence)
    assert difference.doubt == f"2 and 2 trials cannot tell it from chance: {needed} a side can tell"
    before, after = ({"cgn": [path] * needed} for path in ("relay", "host"))
    assert compare_runs(run(before), run(after, seed=2)).outcome is Outcome.FAIL


def test_the_more_cells_are_compared_the_surer_each_must_be():
    one = compare_runs(run({"cgn": ["relay", "host"]}), run({"cgn": ["relay", "host"]}, seed=2))
    many = dict.fromkeys(NATS, ("relay", "host"))
    assert compare_runs(run(many), run(many, seed=2)).confidence > one.confidence > 0.95


def test_what_a_population_drew_makes_no_cells():
    drawn = [
        PlannedTrial(key=f"{delay}-{n}", repeat=n, values={"delay": delay, "nat": nat, "relay": "x"})
        for delay in ("10ms", "20ms")
        for n, nat in enumerate(("cgn", "symmetric", "cgn"))
    ]
    assert drawn_names(drawn) == ("nat",)
    assert [cell.cell for cell in cell_outcomes(drawn, {}, [], drawn_names(drawn))] == [
        {"delay": "10ms", "relay": "x"},
        {"delay": "20ms", "relay": "x"},
    ]


def test_of_drawn_networks_the_reach_is_a_share_and_the_pairs_are_left_out():
    """Which pairs are possible follows which networks were drawn; where nothing was drawn it is a fact."""

    def side(seed, reaches, drawn):
        trials = [PlannedTrial(key=f"{seed}-{n}", repeat=n, values={}) for n in range(len(reaches))]
        calls = [
            CallRow(trial=t.key, between="a → b", path="relay", possible=reach, pairs=("relay/relay", reach))
            for t, reach in zip(trials, reaches, strict=True)
        ]
        cells = cell_outcomes(trials, dict.fromkeys([t.key for t in trials], ""), calls)
        return RunOutcomes(scenario="s", topology="t", seed=seed, cells=cells, drawn=drawn)

    for drawn, one, other, subjects in (
        (("nat",), ["direct"] * 29 + ["relay"], ["direct"] * 30, []),
        (("nat",), ["direct"] * 30, ["relay"] * 30, ["possible"]),
        ((), ["direct"] * 29 + ["relay"], ["direct"] * 30, ["possible", "pairs"]),
    ):
        (cell,) = compare_runs(side(1, one, drawn), side(2, other, drawn)).cells
        assert [difference.subject.value for difference in cell.differences] == subjects


# Verdicts and times


def test_a_verdict_that_flips_is_a_change_even_where_no_path_is():
    paths = {"cgn": ["relay"], "symmetric": ["relay"]}
    before = run(paths, verdicts=[("p95 < 800ms", "cgn", "pass"), ("p95 < 800ms", "symmetric", "pass")])
    after = run(paths, verdicts=[("p95 < 800ms", "cgn", "fail"), ("p95 < 800ms", "symmetric", "pass")])
    found = compare_runs(before, after)
    assert [(flip.cell["nat"], flip.before, flip.after) for flip in found.flips] == [("cgn", "pass", "fail")]
    assert (found.changed, found.outcome) == ([], Outcome.FAIL)


def test_a_warning_that_flips_is_told_and_not_counted():
    before, after = run({"cgn": ["relay"]}), run({"cgn": ["relay"]})
    for side, outcome in ((before, "pass"), (after, "fail")):
        side.verdicts.append(JudgedCell(expectation="x", cell={"nat": "cgn"}, outcome=outcome, counts=False))
    found = compare_runs(before, after)
    assert (len(found.flips), found.outcome) == (1, Outcome.PASS)
    after.verdicts.clear()
    found = compare_runs(before, after)
    assert (len(found.verdicts_gone), found.outcome) == (1, Outcome.PASS)


def test_a_verdict_that_flips_under_another_seed_may_be_chance():
    before, after = (
        run({"cgn": ["relay"]}, seed=seed, verdicts=[("p95 < 800ms", "cgn", outcome)])
        for seed, outcome in ((1, "pass"), (2, "fail"))
    )
    assert compare_runs(before, after).outcome is Outcome.INCONCLUSIVE


def test_what_is_no_longer_expected_is_a_change_and_what_is_new_is_told():
    plain, judged = run({"cgn": ["relay"]}), run({"cgn": ["relay"]}, verdicts=[("x", "cgn", "pass")])
    assert compare_runs(judged, plain).outcome is Outcome.FAIL
    found = compare_runs(plain, judged)
    assert (len(found.verdicts_new), found.outcome) == (1, Outcome.PASS)


def test_times_that_moved_are_told_and_are_no_change():
    """Of the same draws any move is one; of others only intervals that do not overlap."""
    before = run({"cgn": ["relay"] * 30})
    later = dict.fromkeys(["cgn"], 0.5)
    for seed, moved in ((1, True), (2, True)):
        (cell,) = compare_runs(before, run({"cgn": ["relay"] * 30}, seed=seed, times=later)).cells
        assert (bool(cell.moved), cell.is_changed) == (moved, False)
    (cell,) = compare_runs(before, run({"cgn": ["relay"] * 29}, seed=2)).cells
    assert not cell.moved


def test_a_few_calls_of_another_seed_say_nothing_of_times():
    """The interval of three values is from the least to the greatest: it misses their median once in four."""
    for n, percents in ((3, []), (5, [50]), (58, [50]), (59, [50, 95])):
        before, after = (
            run({"cgn": ["relay"] * n}, seed=s, times={"cgn": t}) for s, t in ((1, 0.1), (2, 0.5))
        )
        (cell,) = compare_runs(before, after).cells
        assert [move.percent for move in cell.moved] == percents


@pytest.mark.parametrize(("n", "percent"), [(5, 50), (30, 50), (59, 95)])
def test_equal_times_seldom_lie_apart(n, percent):
    """Two samples of one distribution: about one in a hundred, as is said where moves are told."""
    generator = random.Random(1)
    apart = 0
    for _ in range(1000):
        one, other = (times_of([generator.lognormvariate(0, 1) for _ in range(n)]) for _ in range(2))
        apart += percent in {move.percent for move in moves("", one, other, is_exact=False)}
    assert apart < 20


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=40))
def test_percentiles_are_of_the_values_and_within_their_intervals(values):
    times = times_of(values)
    assert times.n == len(values)
    for found, interval in ((times.p50, times.p50_interval), (times.p95, times.p95_interval)):
        assert interval.low <= found <= interval.high
        assert min(abs(found - value) for value in values) <= 1e-9
    assert times_of([]) is None
