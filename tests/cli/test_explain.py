"""`callpath explain`: why a stored call took its path."""

from pathlib import Path

import pytest

RUN = (str(Path(__file__).parents[1] / "report" / "offset_call.py"),)


@pytest.fixture(autouse=True)
def stored(callpath):
    assert callpath("run", *RUN, "--repeat", "2").code == 0


def test_a_cell_is_explained_with_the_packet_that_was_dropped_where_and_why(callpath):
    done = callpath("explain", "latest", "alice_nat=symmetric,bob_nat=port-restricted")
    assert done.code == 0
    assert done.out.splitlines()[1] == "selected in all 2 finished repetitions of this cell: relay 2"
    assert "bob-nat dropped 1 check of alice from 203.0.113.10:" in done.out
    assert done.err == ""


def test_a_parameter_that_does_not_vary_need_not_be_named(callpath):
    assert callpath("explain", "latest", "alice_nat=full-cone").code == 0


@pytest.mark.parametrize(
    ("cell", "because"),
    [
        ("bob_nat=port-restricted", "add alice_nat=, one of symmetric, full-cone"),
        ("alice_nat=full-cine", 'did you mean "full-cone"?'),
        ("alice_nut=full-cone", 'did you mean "alice_nat"?'),
        ("call-2", 'did you mean "call-1"?'),
    ],
)
def test_a_cell_that_is_unknown_or_not_one_is_bad_usage(callpath, cell, because):
    done = callpath("explain", "latest", cell)
    assert done.code == 2
    assert because in done.err


def test_a_trial_without_calls_has_nothing_to_explain(callpath, tmp_path):
    (tmp_path / "idle.py").write_text(
        'TOPOLOGY = "two_homes"\n\nasync def scenario(lab):\n    await lab.sleep("1s")\n'
    )
    assert callpath("run", "./idle.py").code == 3
    assert "no call was made in it" in callpath("explain", "latest").out


def test_a_call_that_nobody_learned_of_is_told_so(callpath, tmp_path):
    (tmp_path / "unheard.py").write_text(
        'TOPOLOGY = "two_homes"\n\nasync def scenario(lab):\n'
        '    lab.cut("bob-home")\n    await lab.call("alice", "bob", timeout="20s")\n'
    )
    assert callpath("run", "./unheard.py").code == 0
    assert "nobody ever learned of it" in callpath("explain", "latest").out
