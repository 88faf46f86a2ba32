"""What a finished run came to, read back: its result with the verdicts, and its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lab.errors import Problem, UsageError
from lab.measure.evidence import Evidence
from lab.measure.verdict import Outcome, Verdict
from lab.results.document import check_schema, read_document, resume_line
from lab.results.kinds import (
    BOUNDS,
    LISTS_BY_NAME,
    NUMBER,
    OBJECT,
    OBJECTS,
    TEXT,
    TEXTS,
    TRUTH,
    WHOLE,
    misfits,
    one_of,
)
from lab.results.run_directory import RESULT_SCHEMA
from lab.spec.comparison import Comparator
from lab.spec.expectation import Severity
from lab.spec.metric_catalogue import CATALOGUE, Statistic

TABLE: Final = "trials.parquet"
_RESULT_KINDS: Final = {
    "ok": TRUTH,
    "reason": TEXT.or_absent(),
    "ended": TEXT.or_absent(),
    "outcome": one_of(Outcome),
    "trials": WHOLE,
    "done": WHOLE,
    "invalid": TEXTS,
    "repeated": TEXTS.or_absent(),
    "verdicts": OBJECTS,
    "events_sha256": OBJECT.or_absent(),
}
_VERDICT_KINDS: Final = {
    "metric": one_of(CATALOGUE),
    "statistic": one_of(Statistic),
    "comparator": one_of(Comparator),
    "threshold": NUMBER,
    "threshold_text": TEXT,
    "when": LISTS_BY_NAME,
    "asked_confidence": NUMBER.or_null(),
    "severity": one_of(Severity),
    "why": TEXT,
    "cell": OBJECT,
    "outcome": one_of(Outcome),
    "value": NUMBER.or_null(),
    "interval": BOUNDS.or_null(),
    "confidence": NUMBER,
    "n": WHOLE,
    "invalid": WHOLE,
    "reason": TEXT,
    "evidence": OBJECT.or_null().or_absent(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvidence:
    """What a verdict that is no pass rests on: the keys of its worst trials, the worst first.

    ``replay`` is a command that runs the first of them again; empty if there is none. ``whole`` is all that
    is kept of it; None where the verdict passes.
    """

    worst: Sequence[str] = ()
    replay: str = ""
    whole: Evidence | None = None


@dataclass(frozen=True, kw_only=True)
class StoredResult:
    """The content of ``result.json``: ``trials`` were planned and ``done`` of them run.

    ``invalid`` has a line a trial that must not be judged: which, and why; ``repeated`` one for each that the
    machine had stalled and that was run again. ``reason`` says why the run was cut short, or why nobody can
    say what it shows whatever its verdicts are; empty if neither is so. ``ended`` is when, in UTC (ISO 8601).
    ``evidence`` is that of each verdict, in their order.
    ``events_sha256`` has the hash of each trial's events by its key, as they were joined: empty before that,
    and in results of before there were such hashes.
    """

    ok: bool
    reason: str
    ended: str
    outcome: Outcome
    trials: int
    done: int
    invalid: Sequence[str]
    verdicts: Sequence[Verdict]
    evidence: Sequence[StoredEvidence] = ()
    events_sha256: Mapping[str, str] = field(default_factory=dict)
    repeated: Sequence[str] = ()

    def evidence_of(self, verdict: Verdict) -> Evidence | None:
        """Return all that is kept of what one of these verdicts rests on; None where it passes."""
        kept = zip(self.verdicts, self.evidence, strict=True)
        return next((one.whole for other, one in kept if other is verdict), None)


def read_result(path: Path) -> StoredResult:
    """Read a run directory's ``result.json``.

    Raises:
        UsageError: there is none, it is damaged, or of another version.
    """
    file = path / "result.json"
    try:
        document = read_document(file)
    except FileNotFoundError:
        raise _unfinished(file) from None
    check_schema("result", document, RESULT_SCHEMA, str(file))
    line = f"{resume_line(path)} writes it anew"
    if problems := misfits(document, _RESULT_KINDS, str(file), remedy=line):
        raise UsageError(*problems)
    records = document["verdicts"]
    read = [_verdict(record, position, str(file), line) for position, record in enumerate(records)]
    return StoredResult(
        ok=document["ok"],
        reason=document.get("reason", ""),
        ended=document.get("ended", ""),
        outcome=Outcome(document["outcome"]),
        trials=document["trials"],
        done=document["done"],
        invalid=document["invalid"],
        verdicts=[verdict for verdict, _ in read],
        evidence=[evidence for _, evidence in read],
        events_sha256=document.get("events_sha256", {}),
        repeated=document.get("repeated", []),
    )


def _verdict(
    record: Mapping[str, Any], position: int, where: str, remedy: str
) -> tuple[Verdict, StoredEvidence]:
    """Return a verdict with its evidence.

    Raises:
        UsageError: the record, which is at this position in the file, is none.
    """
    name = f"verdicts[{position}]"
    if problems := misfits(record, _VERDICT_KINDS, where, within=f"{name}.", remedy=remedy):
        raise UsageError(*problems)
    part = name
    try:
        verdict = Verdict.from_data(record)
        part = f"{name}.evidence"
        return verdict, _evidence(verdict, record.get("evidence"))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        found = f'damaged: "{part}" holds what callpath does not write there'
        raise UsageError(Problem(where, found, suggestion=remedy)) from None


def _evidence(verdict: Verdict, record: Mapping[str, Any] | None) -> StoredEvidence:
    if record is None:
        return StoredEvidence()
    whole = Evidence.from_data(verdict, record)
    return StoredEvidence(worst=[trial.key for trial in whole.worst], replay=whole.replay, whole=whole)


def _unfinished(file: Path) -> UsageError:
    cut_short = (file.parent / "trials").exists()
    ended = "the run ended before it was finished" if cut_short else "it is gone since the run was finished"
    found = f"no such file: {ended}"
    return UsageError(Problem(str(file), found, suggestion=resume_line(file.parent)))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a run directory's ``trials.parquet``, without what is empty in a row.

    Raises:
        UsageError: there is none, or it is damaged.
    """
    rows = _read_table(path).to_pylist()
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def read_trials_of_rows(path: Path) -> set[str]:
    """Return the keys of the trials that a run directory's ``trials.parquet`` has rows of.

    Raises:
        UsageError: there is none, or it is damaged.
    """
    table = _read_table(path)
    if "trial" not in table.column_names or "invalid" not in table.column_names:
        found = "damaged: no trial, or no invalid, in every row"
        raise UsageError(Problem(str(path / TABLE), found, suggestion=resume_line(path)))
    return set(map(str, table.column("trial").unique().to_pylist()))


def _read_table(path: Path) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - a tenth of a second that other commands should not pay
    import pyarrow.parquet as pq  # noqa: PLC0415

    file = path / TABLE
    if not file.is_file():
        raise _unfinished(file)
    try:
        return pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(Problem(str(file), f"damaged: {error}", suggestion=resume_line(path))) from None
