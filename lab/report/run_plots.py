"""The plots of a stored run by name: those of its report, as figures."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lab.errors import Problem, UsageError, did_you_mean
from lab.report.cells import cells_of
from lab.report.html.cells import Cells
from lab.report.html.source import Source
from lab.report.plots import plot_matrix, plot_relay_shares, plot_setup_times
from lab.report.shares import Share, relay_share, relay_shares_by

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class PlotKind(enum.StrEnum):
    """What can be plotted; the names are those of the report's sections."""

    PATHS = "paths"
    SETUP_TIME = "setup-time"
    RELAY_SHARE = "relay-share"

    def file_name(self, by: str = "") -> str:
        """Return what the file of such a plot is called, without its ending."""
        return "_by_".join(filter(None, [self.value.replace("-", "_"), by]))


def plot_run(source: Source, kind: PlotKind, *, by: str = "") -> Figure:
    """Return a plot of a stored run.

    Args:
        source: the run.
        kind: what to plot.
        by: the parameter whose values are told apart; empty for path classes, or for every parameter.

    Raises:
        UsageError: the run has no such parameter, or the plot is not by one.
    """
    cells = Cells(source)
    known = list(cells.names)
    if by and by not in known:
        raise UsageError(
            Problem(f"--by {by}", "no such parameter in this run", suggestion=did_you_mean(by, known))
        )
    if kind is PlotKind.PATHS:
        if by:
            raise UsageError(Problem(f"--by {by}", "the matrix of paths has its parameters already"))
        return _paths(source, cells.axes)
    if kind is PlotKind.SETUP_TIME:
        rows = _rows_with(source, [by] if by else [])
        return plot_setup_times(rows, title=f"{source.run.name}: call set-up time", by=by)
    shares = _shares(source, [by] if by else list(cells.varying))
    return plot_relay_shares(shares, title=f"{source.run.name}: calls on the relay")


def _paths(source: Source, axes: Sequence[str]) -> Figure:
    row_name, column_name = ([""] * 2 + list(axes))[-2:]
    rows = [{"": "", **row} for row in _rows_with(source, axes)]
    cells = cells_of(rows, row_name, column_name)
    title = f"{source.run.name}: selected path"
    return plot_matrix(cells, row_title=row_name, column_title=column_name, title=title)


def _shares(source: Source, names: Sequence[str]) -> dict[str, Share]:
    """Return the share of all calls, then by each parameter; none where nothing connected."""
    whole = relay_share(source.rows)
    found = {"all calls": whole} if whole.n else {}
    for name in names:
        shares = relay_shares_by(_rows_with(source, [name]), name)
        found |= {f"{name} {value}": share for value, share in shares.items()}
    return found


def _rows_with(source: Source, names: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the rows that have these parameters: a table has no column for what is null."""
    return [row for row in source.rows if all(name in row for name in names)]
