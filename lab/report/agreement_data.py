"""Whether two worlds agree, as JSON values: what the words say, with every number."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from lab.measure.agreement import Agreement, CellAgreement
from lab.measure.verdict import Outcome
from lab.spec.program import LAB_PROGRAM
from lab.spec.roles import COTURN

WORDS: Final = {
    Outcome.PASS: "agree",
    Outcome.FAIL: "disagree",
    Outcome.INCONCLUSIVE: "inconclusive",
}
"""What two worlds come to, or one cell of them."""


def agreement_data(agreement: Agreement) -> dict[str, Any]:
    """Return an agreement; ``cells`` are all, since each has its set-up times. Times in seconds."""
    comparison, medians = agreement.comparison, agreement.medians
    return {
        "outcome": WORDS[agreement.outcome],
        "nat_plane": agreement.nat_plane,
        "relay": {"sim": LAB_PROGRAM, "emu": f"{COTURN} {agreement.coturn}"} if agreement.coturn else None,
        "compared": len(agreement.cells),
        "repeated": [*agreement.repeated],
        "explained": len(agreement.explained),
        "setup_p50": None if medians is None else {"sim": medians[0], "emu": medians[1]},
        "only_sim": [dict(cell) for cell in comparison.gone],
        "only_emu": [dict(cell) for cell in comparison.new],
        "settings": [asdict(setting) for setting in comparison.settings],
        "verdicts": [
            {**asdict(found.flip), "outcome": WORDS[found.outcome], "why": found.why}
            for found in agreement.flips
        ],
        "verdicts_only_sim": [asdict(judged) for judged in comparison.verdicts_gone],
        "verdicts_only_emu": [asdict(judged) for judged in comparison.verdicts_new],
        "cells": [_cell_data(cell) for cell in agreement.cells],
    }


def _cell_data(cell: CellAgreement) -> dict[str, Any]:
    return {
        "cell": dict(cell.cell),
        "outcome": WORDS[cell.outcome],
        "explained": cell.is_explained,
        "uncounted": cell.uncounted,
        "disagreements": [asdict(found) for found in cell.disagreements],
        "setup_times": [asdict(times) for times in cell.times],
    }
