"""One broken file for each kind of mistake, beside the whole of what is said about it.

``broken_scenarios/NAME.yaml`` is the file, ``NAME.txt`` the message: every problem at once, each with line
and column, the line itself, a caret, what was expected, what to try.
"""

from pathlib import Path

import pytest

from lab.errors import UsageError
from lab.spec.scenario_file import read_scenario

ROOT = Path(__file__).parents[2]
BROKEN = sorted((ROOT / "tests" / "spec" / "broken_scenarios").glob("*.yaml"))


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_is_told_whole_with_places_and_remedies(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UsageError) as refused:
        read_scenario(path)
    assert refused.value.exit_code == 2
    assert f"{refused.value}\n" == path.with_suffix(".txt").read_text(encoding="utf-8")
