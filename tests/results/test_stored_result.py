"""What a run came to, read back from its directory; damage and other versions are named."""

import json

import pytest

from lab.cli.main import run_command_line
from lab.errors import UsageError
from lab.measure.verdict import Outcome
from lab.results.stored_result import read_result, read_rows

SMALL = ("nat_matrix", "--set", "alice_nat=none,symmetric", "--set", "bob_nat=symmetric", "--repeat", "1")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    base = tmp_path_factory.mktemp("results")
    assert run_command_line(["run", *SMALL, "--results", str(base)]) == 0
    return next(base.iterdir())


@pytest.fixture
def damaged(run, tmp_path):
    """Return a directory with copies of the two files, to damage."""
    for name in ("result.json", "trials.parquet"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    return tmp_path


def change(path, **values):
    file = path / "result.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_the_result_has_its_verdicts_as_they_were_judged(run):
    result = read_result(run)
    written = json.loads((run / "result.json").read_text())
    assert (result.ok, result.outcome, result.done, result.trials) == (True, Outcome.PASS, 2, 2)
    assert [verdict.as_data() for verdict in result.verdicts] == written["verdicts"]


def test_rows_are_those_of_the_table_without_what_is_empty(run):
    rows = read_rows(run)
    assert [row["alice_nat"] for row in rows] == ["none", "symmetric"]
    assert [row["path"] for row in rows] == ["peer-reflexive", "relay"]
    assert all(value is not None for row in rows for value in row.values())


@pytest.mark.parametrize(
    ("values", "because"),
    [
        ({"schema": 99}, "newer callpath"),
        (
            {"outcome": "maybe"},
            'damaged: "outcome" holds "maybe"\n  expected one of pass, fail, inconclusive',
        ),
        ({"verdicts": [{}]}, r'damaged: no "verdicts\[0\].metric"'),
        ({"verdicts": 3}, 'damaged: "verdicts" holds 3\n  expected a list of objects'),
        ({"verdicts": [3]}, r'damaged: "verdicts" holds \[3\]\n  expected a list of objects'),
        ({"done": True}, '"done" holds true\n  expected a whole number\n  callpath resume .* writes it anew'),
    ],
)
def test_a_result_that_is_none_is_refused(damaged, values, because):
    change(damaged, **values)
    with pytest.raises(UsageError, match=because):
        read_result(damaged)


@pytest.mark.parametrize("read", [read_result, read_rows])
def test_a_run_that_was_never_finished_says_how_to_finish_it(read, tmp_path):
    with pytest.raises(UsageError, match="callpath resume"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"\0" * 100])
def test_a_damaged_table_is_refused(damaged, content):
    (damaged / "trials.parquet").write_bytes(content)
    with pytest.raises(UsageError, match="damaged"):
        read_rows(damaged)
