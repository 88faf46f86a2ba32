"""A run directory as text: what ran, when, what is missing, what it came to, where the files are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from lab.measure.verdict_text import format_verdicts
from lab.report.evidence_text import told_once
from lab.report.matrix_text import matrix_of_rows
from lab.results.document import resume_line
from lab.results.summary import RunSummary

MOST_VERDICTS: Final = 12
MOST_INVALID: Final = 10

_WORDS: Final = {
    "baseline.json": "what later runs are compared with",
    "events.jsonl": "every event of every trial",
    "inputs/": "the scenario's and the topology's file",
    "junit.xml": "the verdicts for CI",
    "ladders/": "what the packets of failing trials did",
    "manifest.json": "what was run",
    "pcap/": "captures",
    "report.html": "the report",
    "result.json": "what it came to",
    "trials.parquet": "a row a call",
    "trials/": "the events of finished trials",
}


def run_text(summary: RunSummary) -> str:
    """Return a run in words; its matrix, and the verdicts that do not pass, below."""
    parts = ["\n".join(_head(summary))]
    if summary.matrix is not None and summary.rows:
        parts.append(matrix_of_rows(summary.rows, *summary.matrix))
    if summary.result is not None:
        parts += [f"invalid trial {line}" for line in summary.result.invalid[:MOST_INVALID]]
        parts += [repeated_words(summary.result.repeated)] if summary.result.repeated else []
        more = told_once(summary.result.evidence_of)
        if verdicts := format_verdicts(summary.result.verdicts, most=MOST_VERDICTS, more=more):
            parts.append(verdicts.strip("\n"))
    parts.append("\n".join(_files(summary)))
    if not summary.is_finished and summary.writer is None:
        parts.append(f"{resume_line(summary.run.path)} finishes it")
    return "\n\n".join(parts)


def repeated_words(repeated: Sequence[str]) -> str:
    """Return in words that trials were run again, and why the first of them was."""
    count = "1 trial was" if len(repeated) == 1 else f"{len(repeated)} trials were"
    return f"{count} run again, for the machine had stalled: {repeated[0]}"


def _head(summary: RunSummary) -> list[str]:
    run, manifest, result = summary.run, summary.run.manifest, summary.result
    started = _time(str(manifest.get("started", "")))
    ended = f", ended {_time(result.ended)}" if result is not None and summary.is_finished else ""
    where = f" on {manifest['topology']}" if manifest.get("topology") else ""
    lines = [
        f"{run.name}: {run.scenario}{where}",
        f"  run      {run.path}/",
        f"  started  {started}{ended}",
        f"  with     callpath {manifest.get('callpath')}, world {manifest.get('world')}, seed {run.seed}"
        + "".join(f", {name} {version}" for name, version in manifest.get("programs", {}).items()),
        f"  trials   {_trials(summary)}",
        f"  state    {summary.state}",
    ]
    if result is not None:
        # Of a run that is not finished the verdicts are on the trials so far.
        so_far = "" if summary.is_finished else f", of {result.done} trials"
        why = f": {result.reason}" if result.reason and summary.is_finished else ""
        lines.append(f"  outcome  {result.outcome}{so_far}{why}")
    return lines


def _trials(summary: RunSummary) -> str:
    contents, result = summary.contents, summary.result
    words = [f"{len(contents.whole)} of {contents.trials} done"]
    if contents.missing:
        words.append(f"{contents.missing} missing")
    if contents.damaged:
        words.append(f"{len(contents.damaged)} damaged")
    if result is not None and result.invalid:
        words.append(f"{len(result.invalid)} invalid")
    return ", ".join(words)


def _files(summary: RunSummary) -> list[str]:
    width = max((len(name) for name, _ in summary.files), default=0)
    return [
        f"  {name:<{width}}  {_size(size):>9}  {_WORDS.get(name, '')}".rstrip()
        for name, size in summary.files
    ]


def _size(size: int) -> str:
    if size < 1024:
        return f"{size} B"
    return f"{size / 1024:.0f} KiB" if size < 1024**2 else f"{size / 1024**2:.1f} MiB"


def _time(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return text or "nobody knows when"
