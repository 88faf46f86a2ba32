"""A baseline's files: what is kept, how much at most, and what damage comes to."""

import contextlib
import dataclasses
import json
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.cli.main import run_command_line
from lab.errors import UsageError
from lab.measure.comparison.runs import compare_runs
from lab.report.comparison_data import comparison_data
from lab.report.comparison_text import comparison_text
from lab.results import baseline_events
from lab.results.baseline import baseline_names, read_baseline, write_baseline
from lab.results.baseline_events import kept_events, pack_events
from lab.results.baseline_exact import compare_exactly
from lab.results.baseline_file import as_text, from_data
from lab.results.compared_run import read_outcomes
from lab.results.stored_run import read_run

ROOT = Path(__file__).parents[2]
NARROW = ("--set", "alice_nat=full-cone,symmetric", "--set", "bob_nat=symmetric,udp-blocked", "--repeat", "3")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a stored run of four cells, three times each."""
    folder = tmp_path_factory.mktemp("results")
    assert run_command_line(["run", "nat_matrix", *NARROW, "--jobs", "1", "--results", str(folder)]) == 0
    (path,) = folder.glob("20*")
    return read_run(path)


@pytest.fixture(scope="module")
def baseline(run, tmp_path_factory):
    return write_baseline(tmp_path_factory.mktemp("kept"), "matrix", run, {})


@pytest.fixture
def own(baseline, tmp_path):
    """Return a directory of results with a copy of the baseline that a test may damage."""
    shutil.copytree(baseline.path.parents[1], tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_what_is_read_back_is_what_was_written(own, baseline, run):
    found = read_baseline(own, "matrix")
    assert found.content == baseline.content
    assert found.outcomes == read_outcomes(run)
    assert as_text(found.content) == (baseline.path / "baseline.json").read_text()
    assert baseline_names(own) == ["matrix"]


def test_each_cell_verdict_and_trial_is_a_line_of_its_own(baseline):
    lines = (baseline.path / "baseline.json").read_text().splitlines()
    for key in ("cell", "expectation", "key"):
        assert all(
            json.loads(line.strip().rstrip(",")) for line in lines if line.startswith(f'    {{"{key}"')
        )
    assert sum(line.startswith('    {"cell"') for line in lines) == 4
    assert sum(line.startswith('    {"key"') for line in lines) == 12


@pytest.mark.system("git")
def test_git_keeps_baselines_and_ignores_runs(tmp_path):
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)

    def is_ignored(path):
        command = ["git", "-C", str(tmp_path), "check-ignore", "--quiet", path]
        return subprocess.run(command, check=False).returncode == 0

    assert not is_ignored("results/baselines/matrix/baseline.json")
    assert not is_ignored("results/baselines/matrix/events.jsonl.gz")
    assert is_ignored("results/20260101T000000Z-matrix-01234567/result.json")


# The events that are kept


def test_first_repetitions_come_first_and_what_does_not_fit_is_left_out(run):
    digests, kept, whole = pack_events(run)
    assert kept == len(digests) == 12
    repeats = {trial.key: trial.repeat for trial in run.trials}
    assert [repeats[digest.key] for digest in digests] == [0] * 4 + [1] * 4 + [2] * 4
    for bound in (len(whole), len(whole) - 1, len(whole) // 2, 1000, 1, 0):
        again, fewer, packed = pack_events(run, most_bytes=bound)
        assert again == digests, "a hash of every trial is kept all the same"
        assert len(packed) <= bound
        assert (fewer == 12) == (bound == len(whole))
        lines = zlib.decompress(packed, 31).decode().splitlines() if packed else []
        assert len(lines) == sum(digest.events for digest in digests[:fewer])


def test_no_more_is_kept_than_is_read_back(run, monkeypatch):
    monkeypatch.setattr(baseline_events, "MOST_UNPACKED", 50_000)
    _, kept, packed = pack_events(run)
    assert 0 < kept < 12
    assert len(zlib.decompress(packed, 31)) <= 50_000


def test_kept_events_are_those_of_the_run(run, baseline):
    trials = {trial.key: trial for trial in run.trials}
    found = dict(kept_events(baseline.events_file, baseline.content))
    assert found.keys() == trials.keys()
    for key, lines in found.items():
        assert "".join(f"{line}\n" for line in lines) == run.events_of(trials[key])


def test_events_that_are_not_those_of_their_hash_are_refused(own, run):
    """Either the hash or the events were edited: what is shown as the baseline's would be made up."""
    file = own / "baselines" / "matrix" / "baseline.json"
    first = read_baseline(own, "matrix").content.trials[0]
    file.write_text(file.read_text().replace(first.sha256, "0" * 64))
    with pytest.raises(UsageError, match=f"the events of trial {first.key} are others"):
        compare_exactly(read_baseline(own, "matrix"), run)


def test_a_bomb_is_not_unpacked(own, monkeypatch):
    monkeypatch.setattr(baseline_events, "MOST_UNPACKED", 10_000)
    baseline = read_baseline(own, "matrix")
    with pytest.raises(UsageError, match="more than 10000 bytes"):
        list(kept_events(baseline.events_file, baseline.content))


def test_exactly_is_compared_in_virtual_time_only(own, run):
    baseline = read_baseline(own, "matrix")
    elsewhere = dataclasses.replace(run, manifest={**run.manifest, "world": "emu"})
    with pytest.raises(UsageError, match="only in virtual time"):
        compare_exactly(baseline, elsewhere)


def test_the_same_seed_says_nothing_of_runs_in_the_kernel_world(baseline):
    """Nothing there is drawn from a seed alone: counts are a sample."""
    kernel = dataclasses.replace(baseline.outcomes, facts={**baseline.outcomes.facts, "world": "emu"})
    assert compare_runs(baseline.outcomes, baseline.outcomes).is_exact
    assert not compare_runs(kernel, kernel).is_exact


# Damage


def places(value, path=()):
    """Return where every value of a JSON document is."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def replaced(document, path, value):
    copy = json.loads(json.dumps(document))
    if not path:
        return value
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return copy


NONSENSE = st.sampled_from(
    [None, True, -1, 0, 1, 10**30, 1.5, float("nan"), float("inf"), "", "x", [], [[]], {}, {"a": None}]
)


@pytest.fixture(scope="module")
def damaged(run, baseline, tmp_path_factory):
    """Return a directory of results to damage again and again, the document in it, and the run's outcomes."""
    folder = tmp_path_factory.mktemp("damaged")
    shutil.copytree(baseline.path.parents[1], folder, dirs_exist_ok=True)
    document = json.loads((baseline.path / "baseline.json").read_text())
    return folder, document, read_outcomes(run)


@settings(deadline=None, max_examples=150)
@given(st.data(), NONSENSE)
def test_whatever_a_baseline_says_it_is_compared_or_refused(damaged, run, data, value):
    """Any value anywhere in the file: never another error, whatever the comparison then comes to."""
    folder, document, now = damaged
    part = data.draw(st.sampled_from(sorted(document)))
    path = data.draw(st.sampled_from(sorted(places(document[part], (part,)), key=str)))
    (folder / "baselines" / "matrix" / "baseline.json").write_text(
        json.dumps(replaced(document, path, value))
    )
    with contextlib.suppress(UsageError):
        found = read_baseline(folder, "matrix")
        comparison = compare_runs(found.outcomes, now)
        assert comparison_text(comparison, all_times=True)
        assert json.dumps(comparison_data(comparison))
        compare_exactly(found, run)


@settings(deadline=None)
@given(
    st.recursive(NONSENSE, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
)
def test_what_is_no_baseline_raises_what_is_caught(value):
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        from_data(value)
