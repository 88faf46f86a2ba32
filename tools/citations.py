"""Which tests and scenarios cite which rows of docs/requirements.yaml, read from their source.

Nothing is imported or run. A test cites rows by `pytest.mark.requirement` on the function, on its class, in
`pytestmark`, or on one `pytest.param` of its table; a scenario by the key `requirements` (YAML) or the
constant `REQUIREMENTS` (Python), in the worlds of the tests that name the scenario. A citation that the
source itself keeps from running carries the reason and shows nothing: a file, class or function that pytest
does not collect, an unconditional skip or expected failure, the marker `slow`, a scenario that no test in a
world names. What only a run can tell (a program that is missing, a table whose every line is skipped) is seen
by the run: see CALLPATH_COVERAGE in tests/conftest.py.
"""

from __future__ import annotations

import ast
import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeGuard

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

# Which world a test runs in, by the directory directly under tests/. Elsewhere a module that imports the
# virtual-time world runs in it, and any other is about one part without a network.
WORLD_OF_DIRECTORY = {
    "cli": "sim",
    "emu": "emu",
    "live": "sim",
    "oracle": "sim",
    "run": "sim",
    "scenarios": "sim",
    "serve": "sim",
    "sim": "sim",
}
WORLDS = ("sim", "emu", "alone")

NOT_COLLECTED = "pytest does not collect it"
NOT_NAMED = "no test in a world names this scenario"


class CitationError(ValueError):
    """A citation that cannot be read from the source: it would show nothing, unnoticed."""


@dataclass(frozen=True, order=True, kw_only=True)
class Citation:
    """One row cited in one place.

    Attributes:
        row: the id, e.g. `Z0-9`.
        path: the file, relative to the repository, with `/`.
        where: the test in it (`test_x`, `TestY.test_x`); empty for a scenario.
        world: one of WORLDS; empty for a scenario that is not run.
        not_run: why the citation shows nothing; empty when it counts.
    """

    row: str
    path: str
    where: str
    world: str
    not_run: str = ""


def read_citations(root: Path) -> list[Citation]:
    """Return every citation below `root`, sorted, each once.

    Raises:
        CitationError: a citation is not written out where this module can read it.
    """
    modules = [_TestModule(path, root) for path in sorted((root / "tests").rglob("*.py"))]
    found = {citation for module in modules for citation in module.citations()}
    running = [module for module in modules if module.runs and module.world != "alone"]
    for path in sorted((root / "scenarios").rglob("*")):
        found.update(_scenario_citations(path, root, running))
    return sorted(found)


@dataclass(frozen=True)
class _Marks:
    """What the marks on one thing say: rows, and why it does not run (empty when it does)."""

    rows: tuple[str, ...] = ()
    not_run: str = ""

    def within(self, outer: _Marks) -> _Marks:
        return _Marks(outer.rows + self.rows, outer.not_run or self.not_run)


@dataclass
class _TestModule:
    path: Path
    root: Path
    tree: ast.Module = field(init=False)
    read: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.path.read_text(encoding="utf-8"))
        assigned = [node for node in self.tree.body if isinstance(node, ast.Assign)]
        self.constants = {
            target.id: node.value
            for node in assigned
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        self.name = self.path.relative_to(self.root).as_posix()
        self.collected = any(fnmatch.fnmatch(self.path.name, name) for name in ("test_*.py", "*_test.py"))

    @property
    def runs(self) -> bool:
        return self.collected and not self._own(self.tree.body).not_run

    @cached_property
    def world(self) -> str:
        directory = Path(self.name).parts[1]
        imports = any(f"{module}.".startswith("lab.sim.") for module in _imported(self.tree))
        return WORLD_OF_DIRECTORY.get(directory, "sim" if imports else "alone")

    @staticmethod
    def strings(tree: ast.AST) -> Iterator[str]:
        nodes = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
        return (value for value in nodes if isinstance(value, str))

    def names(self, scenario: Path) -> bool:
        """Return whether it has the file's name as a string, or reads it by a pattern from `scenarios`."""
        texts = set(self.strings(self.tree))
        named = any(text == scenario.stem or text.rpartition("/")[2] == scenario.name for text in texts)
        return named or any(fnmatch.fnmatch(scenario.name, pattern) for pattern in self.patterns())

    def patterns(self) -> Iterator[str]:
        """Yield `*.yaml` of `(ROOT / "scenarios").glob("*.yaml")`."""
        for call in (node for node in ast.walk(self.tree) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Attribute) and call.func.attr in {"glob", "rglob"}:
                directories = {text.rpartition("/")[2] for text in self.strings(call.func.value)}
                if "scenarios" in directories:
                    yield from self.strings(ast.Tuple(elts=call.args))

    def citations(self) -> list[Citation]:
        module = self._own(self.tree.body, collected=self.collected)
        found = list(self._in_body(self.tree.body, module, ()))
        unread = [call for call in ast.walk(self.tree) if _is_citation(call) and id(call) not in self.read]
        if unread and self.collected:
            where = f"{self.name}:{min(call.lineno for call in unread)}"
            raise CitationError(f"{where}: cite rows in a decorator, in pytestmark or in a pytest.param")
        loose = (row for call in unread for row in self._rows(call))
        return found + [self._citation(row, "", NOT_COLLECTED) for row in loose]

    def _in_body(self, body: Sequence[ast.stmt], outer: _Marks, names: tuple[str, ...]) -> Iterator[Citation]:
        for node in body:
            if isinstance(node, ast.ClassDef):
                own = self._own(node.body, node.decorator_list, collected=_is_test_class(node))
                yield from self._in_body(node.body, own.within(outer), (*names, node.name))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                own = self._own(node.body, node.decorator_list, collected=node.name.startswith("test"))
                yield from self._in_function(node, own.within(outer), ".".join((*names, node.name)))

    def _in_function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, marks: _Marks, where: str
    ) -> Iterator[Citation]:
        yield from (self._citation(row, where, marks.not_run) for row in marks.rows)
        for case in self._cases(node.decorator_list):
            line = self._read(case, ())
            yield from (self._citation(row, where, marks.not_run or line.not_run) for row in line.rows)

    def _citation(self, row: str, where: str, not_run: str) -> Citation:
        return Citation(row=row, path=self.name, where=where, world=self.world, not_run=not_run)

    def _own(
        self, body: Sequence[ast.stmt], decorators: Sequence[ast.expr] = (), *, collected: bool = True
    ) -> _Marks:
        """Return what a module, class or function says of itself."""
        assigned = [
            node.value
            for node in body
            if isinstance(node, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)
        ]
        return self._read([*decorators, *assigned], body, collected=collected)

    def _read(
        self, expressions: Sequence[ast.expr], body: Sequence[ast.stmt], *, collected: bool = True
    ) -> _Marks:
        marks = [mark for expression in expressions for mark in self._flat(expression)]
        rows = [row for mark in marks if _is_citation(mark) for row in self._rows(mark)]
        stops = [_prevents(mark) for mark in marks] + [_stops(statement) for statement in body]
        reason = "" if collected else NOT_COLLECTED
        return _Marks(tuple(rows), reason or next(filter(None, stops), ""))

    def _flat(self, expression: ast.expr) -> Iterator[ast.expr]:
        """Yield single expressions of a list, a tuple, a starred one or a module's constant."""
        if isinstance(expression, ast.Name) and expression.id in self.constants:
            yield from self._flat(self.constants[expression.id])
        elif isinstance(expression, ast.List | ast.Tuple):
            for element in expression.elts:
                yield from self._flat(element)
        elif isinstance(expression, ast.Starred):
            yield from self._flat(expression.value)
        else:
            yield expression

    def _cases(self, decorators: Sequence[ast.expr]) -> Iterator[list[ast.expr]]:
        """Yield the marks of every `pytest.param` in the tables of a function."""
        tables = [mark for mark in decorators if _mark_name(mark) == "parametrize"]
        lines = [
            line
            for table in tables
            if isinstance(table, ast.Call)
            for argument in (*table.args, *(keyword.value for keyword in table.keywords))
            for line in self._flat(argument)
        ]
        for call in (node for line in lines for node in ast.walk(line) if isinstance(node, ast.Call)):
            if _dotted(call.func) in {"pytest.param", "param"}:
                yield [keyword.value for keyword in call.keywords if keyword.arg == "marks"]

    def _rows(self, call: ast.Call) -> Iterator[str]:
        self.read.add(id(call))
        for argument in call.args:
            if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                raise CitationError(f"{self.name}:{argument.lineno}: write each row out, like 'Z0-9'")
            yield argument.value


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _mark_name(node: ast.AST) -> str:
    """Return `skip` for `pytest.mark.skip` and `pytest.mark.skip(...)`; empty for what is no mark."""
    dotted = _dotted(node.func if isinstance(node, ast.Call) else node)
    home, _, name = dotted.rpartition(".")
    return name if home in {"pytest.mark", "mark"} else ""


def _is_citation(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and _mark_name(node) == "requirement"


def _prevents(mark: ast.expr) -> str:
    """Return why a mark keeps its test from passing on CI, whatever the machine; empty when it does not."""
    name = _mark_name(mark)
    if name == "slow":
        return "slow, so no part of what CI runs"
    if name not in {"skip", "skipif", "xfail"}:
        return ""
    condition = None
    if isinstance(mark, ast.Call) and name != "skip":
        given = [*mark.args, *(keyword.value for keyword in mark.keywords if keyword.arg == "condition")]
        condition = given[0] if given else None
    if condition is not None and not (isinstance(condition, ast.Constant) and condition.value):
        return ""
    return "an expected failure" if name == "xfail" else "skipped"


def _stops(statement: ast.stmt) -> str:
    """Return what `pytest.skip()` or `pytest.xfail()` as a statement of its own does to the test."""
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return ""
    called = _dotted(statement.value.func)
    return {"pytest.skip": "skipped", "pytest.xfail": "an expected failure"}.get(called, "")


def _is_test_class(node: ast.ClassDef) -> bool:
    made = any(isinstance(part, ast.FunctionDef) and part.name == "__init__" for part in node.body)
    return node.name.startswith("Test") and not made


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _scenario_citations(path: Path, root: Path, running: Sequence[_TestModule]) -> Iterator[Citation]:
    """Yield what a scenario cites; `running` are the test modules that run in a world."""
    name = path.relative_to(root).as_posix()
    if path.suffix in {".yaml", ".yml"}:
        rows = _yaml_rows(path, name)
    elif path.suffix == ".py":
        rows = _scripted_rows(path, name)
    else:
        return
    worlds = {module.world for module in running if module.names(path)} if rows else set()
    for row in rows:
        for world in worlds or {""}:
            yield Citation(row=row, path=name, where="", world=world, not_run="" if world else NOT_NAMED)


def _yaml_rows(path: Path, name: str) -> list[str]:
    try:
        document = YAML(typ="safe").load(path)
    except YAMLError as error:
        raise CitationError(f"{name}: {error}") from error
    content = document if isinstance(document, dict) else {}
    return _texts(content.get("requirements", []), f"{name}: requirements")


def _scripted_rows(path: Path, name: str) -> list[str]:
    found: object = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "REQUIREMENTS" for target in targets):
            assert isinstance(node, ast.Assign)
            found = _literal(node.value)
    return _texts(found, f"{name}: REQUIREMENTS")


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _texts(value: object, what: str) -> list[str]:
    if isinstance(value, list | tuple) and all(isinstance(element, str) for element in value):
        return list(value)
    raise CitationError(f"{what} is a list of strings, written out")
