"""What varies in a run, and the cells that makes: the report's matrices, and what its links lead to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from lab.measure.verdict import Outcome, Verdict
from lab.report.cells import Cell, as_text, cell_of
from lab.report.html.source import Source

MOST_PANELS: Final = 12
"""Matrices of one run: with more, cells stand for every value of what is neither row nor column."""


MOST_WIDE: Final = 12
"""Columns of a matrix whose cells show all they know."""

MOST_CELLS: Final = 10_000
"""Cells of all matrices together; a run with more has none, for nobody could look at them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Calls whose parameters have these values; ``number`` names it in links (``#cell-7``)."""

    number: int
    values: Mapping[str, str]
    cell: Cell
    verdicts: Sequence[Verdict]

    @property
    def title(self) -> str:
        """The values as they are typed: ``alice_nat=symmetric, bob_nat=cgn``."""
        return ", ".join(f"{name}={value}" for name, value in self.values.items())

    @property
    def failed(self) -> int:
        """How many expectations it fails; warnings do not count."""
        return self._count(Outcome.FAIL)

    @property
    def doubtful(self) -> int:
        """How many verdicts on it are inconclusive; warnings do not count."""
        return self._count(Outcome.INCONCLUSIVE)

    def _count(self, outcome: Outcome) -> int:
        return sum(verdict.counts and verdict.outcome is outcome for verdict in self.verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One matrix: ``title`` says what else is the same in all of it. Groups by (row, column)."""

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    groups: Mapping[tuple[str, str], Group]


class Cells:
    """The parameters that vary in a run, by name with their values, and the groups of calls they make."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @cached_property
    def of_trial(self) -> Mapping[str, Mapping[str, str]]:
        """Every parameter of each trial, by its key, in the plan's order."""
        return {
            trial.key: {name: as_text(value) for name, value in trial.cell.items()}
            for trial in self._source.run.trials
        }

    @cached_property
    def names(self) -> Sequence[str]:
        """Every parameter of the run."""
        return list(dict.fromkeys(name for values in self.of_trial.values() for name in values))

    @cached_property
    def varying(self) -> Mapping[str, Sequence[str]]:
        """What has more than one value in the run, each with its values in the scenario's order."""
        found: dict[str, dict[str, None]] = {}
        for values in self.of_trial.values():
            for name, value in values.items():
                found.setdefault(name, {})[value] = None
        return {name: self._ordered(name, values) for name, values in found.items() if len(values) > 1}

    def _ordered(self, name: str, values: Collection[str]) -> list[str]:
        """Return values in the scenario's order: drawn ones come up in any."""
        order = [as_text(value) for value in (self._source.run.manifest.get("vary") or {}).get(name, ())]
        return [*(value for value in order if value in values), *(v for v in values if v not in order)]

    @cached_property
    def axes(self) -> Sequence[str]:
        """What makes rows and columns: as the scenario says, else the first two that vary."""
        wanted = [str(name) for name in self._source.run.manifest.get("matrix") or ()]
        if len(set(wanted)) == 2 and set(self.names).issuperset(wanted):
            return wanted
        return list(self.varying)[:2]

    @cached_property
    def groups(self) -> Sequence[Group]:
        """Every cell of the matrices."""
        return [group for panel in self.panels for group in panel.groups.values()]

    @cached_property
    def is_even(self) -> bool:
        """Whether all cells have as many calls: then it need not be said of each."""
        return len({group.cell.calls for group in self.groups}) <= 1

    @cached_property
    def is_dense(self) -> bool:
        """Whether the matrices have so many columns that a cell has room for its path alone."""
        return any(len(panel.columns) > MOST_WIDE for panel in self.panels)

    @cached_property
    def panels(self) -> Sequence[Panel]:
        """The matrices, one for each combination of what is neither row nor column, if these are few.

        None where there are too many cells.
        """
        names = [*self.axes, *(name for name in self.varying if name not in self.axes)]
        groups = self._groups(names)
        titles = dict.fromkeys(self._title(group) for group in groups)
        if len(titles) > MOST_PANELS:
            groups, titles = self._groups(self.axes), {"": None}
        if len(groups) > MOST_CELLS:
            return []
        by_title: dict[str, list[Group]] = {title: [] for title in titles}
        for group in groups:
            by_title[self._title(group)].append(group)
        return [self._panel(title, members) for title, members in by_title.items()]

    def _title(self, group: Group) -> str:
        return ", ".join(f"{name} {value}" for name, value in group.values.items() if name not in self.axes)

    def _panel(self, title: str, members: Sequence[Group]) -> Panel:
        groups = {self._position(group): group for group in members}
        rows, columns = (dict.fromkeys(position[axis] for position in groups) for axis in (0, 1))
        row_name, column_name = ["", "", *self.axes][-2:]
        return Panel(
            title=title,
            rows=self._ordered(row_name, rows),
            columns=self._ordered(column_name, columns),
            groups=groups,
        )

    def _position(self, group: Group) -> tuple[str, str]:
        """Return a group's row and column; a single axis makes columns."""
        values = [group.values[name] for name in self.axes]
        if len(values) == 2:
            return values[0], values[1]
        return "", values[0] if values else ""

    def _groups(self, names: Sequence[str]) -> list[Group]:
        """Return the groups by these parameters, in the plan's order."""
        rows: dict[str, list[Mapping[str, Any]]] = {}
        for row in self._source.rows:
            rows.setdefault(str(row["trial"]), []).append(row)
        members: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
        for key, values in self.of_trial.items():
            members.setdefault(tuple(values.get(name, "") for name in names), []).extend(rows.get(key, ()))
        verdicts = self._verdicts(names)
        return [
            Group(
                number=number,
                values=dict(zip(names, values, strict=True)),
                cell=cell_of(of_group),
                verdicts=verdicts.get(values, ()),
            )
            for number, (values, of_group) in enumerate(members.items())
        ]

    def _verdicts(self, names: Sequence[str]) -> Mapping[tuple[str, ...], Sequence[Verdict]]:
        """Return the verdicts by the values of these parameters; those on fewer are of no group alone."""
        found: dict[tuple[str, ...], list[Verdict]] = {}
        for verdict in self._source.result.verdicts:
            if all(name in verdict.cell for name in names):
                found.setdefault(tuple(as_text(verdict.cell[name]) for name in names), []).append(verdict)
        return found
