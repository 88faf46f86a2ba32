"""Whether two worlds agree, in words: a line a cell that differs, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lab.measure.agreement import Agreement, CellAgreement, Disagreement, VerdictFlip
from lab.measure.comparison.outcomes import Counts
from lab.measure.verdict import Outcome
from lab.report.comparison_text import cell_text, counted
from lab.report.run_text import repeated_words
from lab.spec.roles import COTURN

_PLACES: Final = {"world", "nat_plane", "relay", COTURN}
"""Settings that differ since the worlds do."""


def places_text(agreement: Agreement, virtual_time: Path, kernel: Path) -> str:
    """Return where both runs are kept, with what carried out NAT boxes and relays."""
    plane = f"   NAT plane {agreement.nat_plane}" if agreement.nat_plane else ""
    lines = [f"sim     {virtual_time}/", f"kernel  {kernel}/{plane}"]
    if agreement.coturn:
        lines[0] += "   the lab's own relay, as always in virtual time"
        lines[1] += f"   relay coturn {agreement.coturn}"
    lines += [f"        {repeated_words(agreement.repeated)}"] if agreement.repeated else []
    return "\n".join(lines) + "\n"


def agreement_text(agreement: Agreement, *, times: bool = False) -> str:
    """Return a paragraph a subject; with ``times`` every cell's set-up times as well."""
    paragraphs = [
        _settings(agreement),
        [line for cell in agreement.cells for line in _cell(cell)],
        [_verdict(flip) for flip in agreement.flips],
        list(_one_sided(agreement)),
        list(_times(agreement)) if times else [],
        list(_summary(agreement)),
    ]
    return "\n\n".join("\n".join(lines) for lines in paragraphs if lines)


def _settings(agreement: Agreement) -> list[str]:
    settings = [one for one in agreement.comparison.settings if one.name not in _PLACES]
    lines = [f"  {one.name}: {one.before} → {one.after}" for one in settings]
    return ["run with other settings on the kernel:", *lines] if lines else []


def _cell(cell: CellAgreement) -> Iterator[str]:
    found = [_disagreement(one) for one in cell.disagreements] + ([cell.uncounted] if cell.uncounted else [])
    if found:
        yield f"{cell_text(cell.cell)}  {'; '.join(found)}"


def _disagreement(found: Disagreement) -> str:
    change = f"{found.about} {_counts(found.virtual_time)} → {_counts(found.kernel)}"
    if found.explained_by:
        return f"{change} (explained: {found.explained_by})"
    return f"{change} ({found.doubt})" if found.doubt else change


def _counts(counts: Counts) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "no calls"


def _verdict(found: VerdictFlip) -> str:
    flip = found.flip
    why = f" ({found.why})" if found.why else ""
    return f"{flip.expectation}  [{cell_text(flip.cell)}]  {flip.before} → {flip.after}{why}"


def _one_sided(agreement: Agreement) -> Iterator[str]:
    comparison = agreement.comparison
    for world, cells, judged in (
        ("virtual time", comparison.gone, comparison.verdicts_gone),
        ("the kernel", comparison.new, comparison.verdicts_new),
    ):
        yield from (f"{cell_text(cell)}  only in {world}" for cell in cells)
        yield from (f"{one.expectation}  [{cell_text(one.cell)}]  judged only in {world}" for one in judged)


def _times(agreement: Agreement) -> Iterator[str]:
    yield "set-up times in ms, virtual time and kernel:"
    yield f"  {'p50':>13}  {'p95':>13}  {'n':>7}"
    for cell in agreement.cells:
        for one in cell.times:
            sim, kernel = one.virtual_time, one.kernel
            values = f"{_ms(sim.p50, kernel.p50)}  {_ms(sim.p95, kernel.p95)}  {sim.n:>3} {kernel.n:>3}"
            yield f"  {values}  {cell_text(cell.cell)}  ({one.between})"


def _ms(virtual_time: float, kernel: float) -> str:
    return f"{virtual_time * 1e3:>6.0f} {kernel * 1e3:>6.0f}"


def _summary(agreement: Agreement) -> Iterator[str]:
    cells = agreement.cells
    failed, doubtful = (
        sum(cell.outcome is outcome for cell in cells) for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE)
    )
    differing = sum(bool(cell.disagreements) for cell in cells)
    if not differing and not doubtful:
        number = "the only cell agrees" if len(cells) == 1 else f"all {counted(len(cells), 'cell')} agree"
        yield f"{number}: possible, validated and selected classes"
    else:
        parts = {"disagree": failed, "explained": len(agreement.explained), "cannot be told": doubtful}
        told = ", ".join(f"{count} {word}" for word, count in parts.items() if count)
        yield f"{len(cells) - failed - doubtful} of {counted(len(cells), 'cell')} agree; {told}"
    yield from _time_summary(agreement)


def _time_summary(agreement: Agreement) -> Iterator[str]:
    if (medians := agreement.medians) is None:
        return
    later = sorted(one.later * 1e3 for one in agreement.times)
    spread = f"{later[0]:+.0f}" if len(later) == 1 else f"{later[0]:+.0f} to {later[-1]:+.0f}"
    sim, kernel = (value * 1e3 for value in medians)
    words = f"set-up p50 sim {sim:.0f} ms, kernel {kernel:.0f} ms"
    yield f"{words}; cell by cell {spread} ms (measured, not judged)"
