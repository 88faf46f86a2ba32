"""docs/coverage.md says what shows a row: a citation counts only when the source lets its test run."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = str(ROOT / "tools")

REQUIREMENTS = """
areas: {first: 'One: paths', second: Two}
kinds: {F: function, T: timing}
requirements:
  - {id: Z0-1, area: first, kind: F, statement: A call | is made.}
  - {id: Z0-2, area: first, kind: F, statement: It ends., modelled: a program of the lab stands for it}
  - {id: Z0-3, area: first, kind: T, statement: It is quick., notes: how quick is said nowhere}
  - {id: Z0-4, area: first, kind: F, statement: It is cheap.}
  - {id: Z0-20, area: second, kind: F, statement: It is heard.}
"""


@pytest.fixture(scope="module")
def tool():
    """tools/requirement_coverage.py, as a module."""
    sys.path.append(TOOLS)
    spec = importlib.util.spec_from_file_location(
        "requirement_coverage", Path(TOOLS) / "requirement_coverage.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(TOOLS)


@pytest.fixture
def tree(tmp_path):
    """Write files, by their paths, beside a small docs/requirements.yaml; return their directory."""

    def write(files: dict[str, str]) -> Path:
        (tmp_path / "scenarios").mkdir(exist_ok=True)
        for name, text in {"docs/requirements.yaml": REQUIREMENTS, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


@pytest.fixture
def cited(tool, tree):
    """Return the citations of one test module: (row, test, why it does not count)."""

    def read(source: str, name: str = "tests/sim/test_sample.py") -> list[tuple[str, str, str]]:
        root = tree({name: "import pytest\n" + source})
        return [(one.row, one.where, one.not_run) for one in tool.read_citations(root)]

    return read


CITE = "@pytest.mark.requirement('Z0-1')\n"
CASE = "pytest.param(2, marks=(pytest.mark.requirement('Z0-1'), pytest.mark.root))"
SKIPPED_CASE = "pytest.param(1, marks=[pytest.mark.requirement('Z0-1'), pytest.mark.skip])"


@pytest.mark.parametrize(
    "source",
    [
        CITE + "def test_it(): pass\n",
        CITE + "async def test_it(): pass\n",
        "pytestmark = pytest.mark.requirement('Z0-1')\ndef test_it(): pass\n",
        "pytestmark = [pytest.mark.root, pytest.mark.requirement('Z0-1')]\ndef test_it(): pass\n",
        "SHOWS = pytest.mark.requirement('Z0-1')\n@SHOWS\ndef test_it(): pass\n",
        f"@pytest.mark.parametrize('x', [1, {CASE}])\ndef test_it(x): pass\n",
        f"CASES = [{CASE}]\n@pytest.mark.parametrize('x', [*CASES])\ndef test_it(x): pass\n",
    ],
)
def test_a_citation_is_found_wherever_a_mark_can_stand(cited, source):
    assert cited(source) == [("Z0-1", "test_it", "")]


def test_marks_of_a_class_and_of_its_module_hold_for_each_test(cited):
    source = (
        "pytestmark = pytest.mark.requirement('Z0-3')\n"
        "@pytest.mark.requirement('Z0-2')\nclass TestCalls:\n"
        "    pytestmark = [pytest.mark.requirement('Z0-4')]\n"
        "    @pytest.mark.requirement('Z0-1', 'Z0-2')\n    def test_it(self): pass\n"
        "    def helper(self): pass\n"
    )
    assert [row for row, where, why in cited(source) if where == "TestCalls.test_it" and not why] == [
        "Z0-1",
        "Z0-2",
        "Z0-3",
        "Z0-4",
    ]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("@pytest.mark.skip\n" + CITE + "def test_it(): pass\n", "skipped"),
        (CITE + "@pytest.mark.skip(reason='later')\ndef test_it(): pass\n", "skipped"),
        (CITE + "@pytest.mark.skipif(True, reason='later')\ndef test_it(): pass\n", "skipped"),
        (CITE + "@pytest.mark.xfail\ndef test_it(): pass\n", "an expected failure"),
        (CITE + "@pytest.mark.slow\ndef test_it(): pass\n", "slow, so no part of what CI runs"),
        (CITE + "@pytest.mark.xfail(reason='known')\ndef test_it(): pass\n", "an expected failure"),
        (CITE + "def test_it():\n    pytest.skip('later')\n", "skipped"),
        (CITE + "def test_it():\n    x = 1\n    pytest.xfail('known')\n", "an expected failure"),
        ("pytestmark = pytest.mark.skip\n" + CITE + "def test_it(): pass\n", "skipped"),
        ("pytest.skip('x', allow_module_level=True)\n" + CITE + "def test_it(): pass\n", "skipped"),
        (f"@pytest.mark.parametrize('x', [{SKIPPED_CASE}])\ndef test_it(x): pass\n", "skipped"),
        (f"@pytest.mark.skip\n@pytest.mark.parametrize('x', [{CASE}])\ndef test_it(x): pass\n", "skipped"),
        (CITE + "def check_it(): pass\n", "pytest does not collect it"),
    ],
)
def test_a_test_that_does_not_run_shows_nothing(cited, source, why):
    ((row, _, reason),) = cited(source)
    assert (row, reason) == ("Z0-1", why)


def test_a_skip_of_a_class_holds_for_its_tests(cited):
    source = f"@pytest.mark.skip\nclass TestIt:\n    {CITE}    def test_it(self): pass\n"
    assert cited(source) == [("Z0-1", "TestIt.test_it", "skipped")]


@pytest.mark.parametrize("head", ["class Calls:", "class TestCalls:\n    def __init__(self): pass"])
def test_a_class_that_pytest_does_not_collect_shows_nothing(cited, head):
    source = f"{head}\n    @pytest.mark.requirement('Z0-1')\n    def test_it(self): pass\n"
    assert {why for _, _, why in cited(source)} == {"pytest does not collect it"}


@pytest.mark.parametrize("name", ["tests/sim/calls.py", "tests/sim/conftest.py"])
def test_a_file_that_pytest_does_not_collect_shows_nothing(cited, name):
    assert cited(CITE + "def test_it(): pass\n", name) == [("Z0-1", "test_it", "pytest does not collect it")]


@pytest.mark.parametrize(
    "source",
    [
        CITE + "@pytest.mark.skipif(sys.platform == 'win32', reason='x')\ndef test_it(): pass\n",
        CITE + "@pytest.mark.skipif(False, reason='x')\ndef test_it(): pass\n",
        CITE + "@pytest.mark.xfail(sys.platform == 'win32', reason='x')\ndef test_it(): pass\n",
        CITE + "@pytest.mark.system('tshark')\ndef test_it(): pass\n",
        CITE + "def test_it():\n    if late:\n        pytest.skip('x')\n",
    ],
)
def test_what_depends_on_the_machine_is_left_to_the_run(cited, source):
    assert cited(source) == [("Z0-1", "test_it", "")]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("ROW = 'Z0-1'\n@pytest.mark.requirement(ROW)\ndef test_it(): pass\n", "write each row out"),
        (
            "def test_it(request):\n    request.applymarker(pytest.mark.requirement('Z0-1'))\n",
            "cite rows in a decorator",
        ),
    ],
)
def test_a_citation_that_cannot_be_read_is_refused(tool, cited, source, why):
    with pytest.raises(ValueError, match=rf"tests/sim/test_sample\.py:\d+: {why}"):
        cited(source)


@pytest.mark.parametrize(
    ("name", "imports", "world"),
    [
        ("tests/sim/test_a.py", "", "sim"),
        ("tests/scenarios/deep/test_a.py", "", "sim"),
        ("tests/emu/test_a.py", "", "emu"),
        ("tests/roles/test_a.py", "from lab.sim import lab\n", "sim"),
        ("tests/roles/test_a.py", "import lab.simulated\n", "alone"),
        ("tests/protocols/test_a.py", "", "alone"),
    ],
)
def test_the_world_follows_from_where_a_test_is_and_what_it_imports(tool, tree, name, imports, world):
    (citation,) = tool.read_citations(tree({name: f"import pytest\n{imports}{CITE}def test_it(): pass\n"}))
    assert citation.world == world


SCENARIOS = {
    "scenarios/calls.yaml": "callpath: 1\nrequirements: [Z0-1, Z0-2]\n",
    "scenarios/faults.py": "REQUIREMENTS = ['Z0-3']\n",
    "scenarios/quiet.py": "VARY = {}\n",
}


@pytest.mark.parametrize(
    ("tests", "worlds"),
    [
        ({}, {}),
        ({"tests/cli/test_run.py": "RUN = 'scenarios/calls.yaml'\n"}, {"Z0-1": {"sim"}, "Z0-2": {"sim"}}),
        ({"tests/run/test_a.py": "RUN = 'faults'\n", "tests/emu/test_a.py": "RUN = 'faults.py'\n"},
         {"Z0-3": {"sim", "emu"}}),
        ({"tests/spec/test_a.py": "READ = 'calls.yaml'\n"}, {}),
        ({"tests/run/helper.py": "RUN = 'calls.yaml'\n"}, {}),
        ({"tests/run/test_a.py": "for path in (ROOT / 'scenarios').glob('*.yaml'): run(path)\n"},
         {"Z0-1": {"sim"}, "Z0-2": {"sim"}}),
        ({"tests/run/test_a.py": "for path in (ROOT / 'topologies').glob('*.yaml'): run(path)\n"}, {}),
        ({"tests/spec/test_a.py": "for path in Path('scenarios').glob('*'): read(path)\n"}, {}),
        ({"tests/run/test_a.py": "import pytest\npytestmark = pytest.mark.skip\nRUN = 'calls.yaml'\n"}, {}),
    ],
)  # fmt: skip
def test_a_scenario_counts_in_the_worlds_of_the_tests_that_name_it(tool, tree, tests, worlds):
    citations = tool.read_citations(tree(SCENARIOS | tests))
    assert {one.row for one in citations} == {"Z0-1", "Z0-2", "Z0-3"}
    counted = {}
    for one in citations:
        if not one.not_run:
            counted.setdefault(one.row, set()).add(one.world)
    assert counted == worlds


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("scenarios/a.yaml", "requirements: Z0-1\n"),
        ("scenarios/a.yaml", "requirements: [1]\n"),
        ("scenarios/a.yaml", "a: [\n"),
        ("scenarios/a.py", "REQUIREMENTS = ROWS\n"),
    ],
)
def test_a_scenario_whose_citation_cannot_be_read_is_refused(tool, tree, name, text):
    with pytest.raises(ValueError, match="scenarios/a"):
        tool.read_citations(tree({name: text}))


def rows_of(page: str) -> list[str]:
    """Return the ids that have a line in a table of the page."""
    return re.findall(r"^\| (Z[^<|]+)<br>", page, re.MULTILINE)


def test_the_page_gains_and_loses_a_row_with_its_citation(tool, tree):
    name = "tests/sim/test_a.py"
    without = tool.coverage_page(tree({name: "def test_it(): pass\n"}))
    with_it = tool.coverage_page(tree({name: f"import pytest\n{CITE}def test_it(): pass\n"}))
    skipped = tool.coverage_page(
        tree({name: f"import pytest\n{CITE}@pytest.mark.skip\ndef test_it(): pass\n"})
    )
    assert rows_of(without) == rows_of(skipped) == []
    assert rows_of(with_it) == ["Z0-1"]
    assert "| **all** | 5 | 0 | 0 | 0 | 0 | 1 |" in without
    assert "| **all** | 5 | 1 | 1 | 0 | 0 | 1 |" in with_it
    assert "## Cited, but not run" in skipped
    assert "## Cited, but not run" not in with_it


def test_a_row_says_what_holds_where_and_by_what(tool, tree):
    page = tool.coverage_page(
        tree(
            {
                "tests/sim/test_a.py": f"import pytest\n{CITE}def test_x(): pass\n{CITE}def test_y(): pass\n",
                "tests/emu/test_b.py": f"import pytest\n{CITE}def test_z(): pass\n",
            }
        )
    )
    assert (
        "| Z0-1<br>function | A call \\| is made. | sim, emu | "
        "[tests/emu/test_b.py](../tests/emu/test_b.py): `test_z`<br>"
        "[tests/sim/test_a.py](../tests/sim/test_a.py): `test_x`, `test_y` |\n"
    ) in page
    assert "1 of 4 rows are shown." in page
    assert "Not shown: Z0-2 to Z0-4.\n" in page
    assert "- **Z0-3**: how quick is said nowhere\n" in page
    assert "| [One: paths](#one-paths) | 4 | 1 | 1 | 1 | 0 | 1 |" in page


@pytest.mark.parametrize(
    ("shown", "left"),
    [
        ({"Z0-2"}, "Z0-1, Z0-3 to Z0-5, Z0-20, Z1-1"),
        ({"Z0-2", "Z0-4"}, "Z0-1, Z0-3, Z0-5, Z0-20, Z1-1"),
        ({"Z0-1", "Z0-20"}, "Z0-2 to Z0-5, Z1-1"),
    ],
)
def test_rows_left_out_are_named_in_short(tool, shown, left):
    assert tool._ranges(["Z0-1", "Z0-2", "Z0-3", "Z0-4", "Z0-5", "Z0-20", "Z1-1"], shown) == left


def test_a_citation_of_no_row_is_refused(tool, tree):
    source = "import pytest\n@pytest.mark.requirement('Z0-9')\ndef test_it(): pass\n"
    with pytest.raises(ValueError, match=r"test_a\.py test_it: Z0-9"):
        tool.coverage_page(tree({"tests/sim/test_a.py": source}))


def test_a_page_is_held_against_a_run(tool, tree):
    """What is cited and did not pass in that run is named; what passed beyond it is no matter."""
    mark = "pytestmark = pytest.mark.requirement('Z0-1', 'Z0-3')\n"
    root = tree({"tests/sim/test_a.py": f"import pytest\n{mark}def test_it(): pass\n"})
    assert tool.not_shown_by({"Z0-1", "Z0-3"}, root) == []
    assert tool.not_shown_by({"Z0-3", "Z0-20"}, root) == ["Z0-1"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("{id: Z0-1, area: first, kind: F, statement: Again.}", "Z0-1: twice"),
        ("{id: Z0-x, area: first, kind: F, statement: A.}", "Z0-x: not an id"),
        ("{id: Z0-05, area: first, kind: F, statement: A.}", "Z0-05: not an id"),
        ("{id: Z0-9, area: third, kind: F, statement: A.}", "Z0-9: no such area: third"),
        ("{id: Z0-9, area: first, kind: Q, statement: A.}", "Z0-9: no such kind: Q"),
        ("{id: Z0-9, area: first, kind: F}", "Z0-9: no statement"),
        ("{id: Z0-9, area: first, kind: F, statement: 7}", "Z0-9: statement is not text"),
        ("{id: Z0-9, area: first, kind: F, statement: A., note: B}", "Z0-9: unknown field note"),
    ],
)
def test_a_wrong_row_is_named(tool, tree, row, why):
    root = tree({"docs/requirements.yaml": f"{REQUIREMENTS}  - {row}\n"})
    with pytest.raises(ValueError, match=re.escape(why)):
        tool.coverage_page(root)


def test_the_committed_rows_are_complete(tool):
    """Each series has the numbers its source has, so that an id keeps its meaning for good."""
    series = {
        "Z0": (range(1, 15), range(20, 36)),
        "Z1": (range(1, 14),),
        "Z2": (range(1, 24),),
        "Z3": (range(1, 85), range(90, 105), range(110, 125)),
        "Z3X": (range(1, 11),),
        "Z4": (range(1, 23),),
    }
    rows = tool.read_requirements(ROOT / "docs" / "requirements.yaml").rows
    assert {row.id for row in rows} == {
        f"{name}-{number}" for name, parts in series.items() for part in parts for number in part
    }


def test_every_area_has_rows_and_every_statement_ends(tool):
    requirements = tool.read_requirements(ROOT / "docs" / "requirements.yaml")
    assert {row.area for row in requirements.rows} == set(requirements.areas)
    assert [row.id for row in requirements.rows if not row.statement.endswith(".")] == []


def test_every_committed_citation_names_a_row(tool):
    known = {row.id for row in tool.read_requirements(ROOT / "docs" / "requirements.yaml").rows}
    citations = tool.read_citations(ROOT)
    assert citations
    assert [one for one in citations if one.row not in known] == []


def test_the_program_says_what_a_run_did_not_show(tmp_path):
    """The committed tests against a run of none of them, and against one that showed every row."""
    program = [sys.executable, str(ROOT / "tools" / "requirement_coverage.py")]
    shown = tmp_path / "shown.txt"
    shown.write_text("")
    nothing = subprocess.run([*program, str(shown)], capture_output=True, text=True, check=False)
    assert nothing.returncode == 1, nothing.stderr
    assert "Z1-3" in nothing.stdout.split()
    shown.write_text(nothing.stdout)
    everything = subprocess.run([*program, str(shown)], capture_output=True, text=True, check=False)
    assert everything.returncode == 0, everything.stderr
    assert everything.stdout.startswith("all ")
