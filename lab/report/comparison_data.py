"""What changed between two runs, as JSON values: what the words say, with every number."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from lab.measure.comparison.cells import CellComparison
from lab.measure.comparison.runs import Comparison
from lab.measure.verdict import Outcome

WORDS: Final = {
    Outcome.PASS: "unchanged",
    Outcome.FAIL: "changed",
    Outcome.INCONCLUSIVE: "inconclusive",
}
"""What a comparison comes to."""


def comparison_data(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison; ``cells`` are those that changed, in doubt, or whose set-up times moved."""
    told = [cell for cell in comparison.cells if cell.is_changed or cell.is_in_doubt or cell.moved]
    return {
        "outcome": WORDS[comparison.outcome],
        "compared": len(comparison.cells),
        "changed": [dict(cell.cell) for cell in comparison.changed],
        "in_doubt": [dict(cell.cell) for cell in comparison.in_doubt],
        "only_before": [dict(cell) for cell in comparison.gone],
        "only_now": [dict(cell) for cell in comparison.new],
        "settings": [asdict(setting) for setting in comparison.settings],
        "verdicts": [asdict(flip) for flip in comparison.flips],
        "verdicts_only_before": [asdict(judged) for judged in comparison.verdicts_gone],
        "verdicts_only_now": [asdict(judged) for judged in comparison.verdicts_new],
        "confidence_of_each_interval": comparison.confidence,
        "cells": [_cell_data(cell) for cell in told],
    }


def _cell_data(cell: CellComparison) -> dict[str, Any]:
    return {
        "cell": dict(cell.cell),
        "changed": cell.is_changed,
        "exact": cell.is_exact,
        "doubt": cell.doubt,
        "differences": [asdict(difference) for difference in cell.differences],
        "setup_times": [asdict(move) for move in cell.moved],
    }
