"""One broken file for each kind of mistake, beside the whole of what is said about it.

``broken_scenarios/NAME.yaml`` is the file, ``NAME.txt`` the message: every problem at once, each with line
and column, the line itself, a caret, what was expected, what to try. The command line shows as much of it as
fits a screen.
"""

from pathlib import Path

import pytest

from lab.errors import MOST_LINES, Problem, UsageError, did_you_mean, told
from lab.spec.scenario_file import parse_scenario, read_scenario

ROOT = Path(__file__).parents[2]
BROKEN = sorted((ROOT / "tests" / "spec" / "broken_scenarios").glob("*.yaml"))


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_is_told_whole_with_places_and_remedies(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UsageError) as refused:
        read_scenario(path)
    assert refused.value.exit_code == 2
    everything = told(refused.value.problems, most_lines=1000)
    assert f"{everything}\n" == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_two_thousand_unknown_keys_fill_one_screen_and_the_known_ones_are_listed_once():
    """Later problems say what was found and, where there is one, the nearest known word."""
    keys = "".join(f"{'repaet' if number == 3 else 'xyzzy'}{number}: 1\n" for number in range(2000))
    text = f"callpath: 1\ntopology: two_homes\ncalls: {{from: alice, to: bob}}\n{keys}"
    with pytest.raises(UsageError) as refused:
        parse_scenario(text.encode(), Path("mine.yaml"))
    lines = str(refused.value).split("\n")
    assert len(refused.value.problems) == 2000
    assert len(lines) <= MOST_LINES + 1
    assert sum("known: " in line for line in lines) == 1
    assert '  did you mean "repeat"?' in lines
    shown = sum("unknown key" in line for line in lines)
    assert lines[-1] == f"... and {2000 - shown} more"
    assert shown >= 10


def test_each_list_of_known_words_is_told_once_and_no_other_advice_is_left_out():
    of_links, of_calls = did_you_mean("x", ["rate", "loss", "rate"]), did_you_mean("x", ["hold"])
    problems = [
        Problem("a", "one", suggestion=of_links),
        Problem("b", "two", suggestion=of_calls),
        Problem("c", "three", suggestion=of_links),
        Problem("d", "four", "4", "write 4"),
        Problem("e", "five", "4", "write 4"),
    ]
    assert told(problems).split("\n") == [
        "a: one", "  known: loss, rate", "b: two", "  known: hold", "c: three",
        "d: four", "  expected 4", "  write 4", "e: five", "  expected 4", "  write 4",
    ]  # fmt: skip


def test_what_does_not_fit_a_screen_is_counted_but_the_first_problem_is_always_whole():
    long = Problem("a", "much", excerpt="\n".join("line" for _ in range(60)))
    assert told([long]) == str(long)
    assert told([long, Problem("b", "more"), Problem("c", "more")]) == f"{long}\n... and 2 more"
    assert told([Problem("", str(n)) for n in range(40)]).endswith("\n39")
    assert told([Problem("", str(n)) for n in range(41)]).endswith("\n39\n... and 1 more")
