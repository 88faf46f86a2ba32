"""Which trial of a stored run a user means: a key, a cell, a call."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from lab.errors import Problem, UsageError, did_you_mean
from lab.results.stored_run import StoredRun, StoredTrial
from lab.spec.assignment import format_value, split_values
from lab.spec.event import JsonValue

_KEY: Final = re.compile(r"[0-9a-f]{2,12}")


def choose_trial(run: StoredRun, text: str) -> tuple[StoredTrial, str]:
    """Return (trial, name of a call in it or ``""``) that a text means.

    Args:
        run: the run.
        text: how a trial's key begins, a cell (its first repetition), either followed by ``/CALL``, the name
            of a call alone, or nothing: the trial that tells most.

    Raises:
        UsageError: nothing fits, or more than one trial; says what would.
    """
    place, _, call = text.rpartition("/")
    if place:
        trial = _trial(run, place)
        _check_call(run, trial, call)
        return trial, call
    if not text:
        return run.most_telling_trial(), ""
    if "=" in text or any(trial.key.startswith(text) for trial in run.trials if _KEY.fullmatch(text)):
        return _trial(run, text), ""
    trial = run.most_telling_trial()
    _check_call(run, trial, text)
    return trial, text


def _check_call(run: StoredRun, trial: StoredTrial, call: str) -> None:
    names = [record.call for record in run.calls_in(trial)]
    if call not in names:
        cells = sorted({f"{name}=..." for name in trial.cell})
        raise UsageError(
            Problem(
                call,
                f"no trial has a key that begins so, and trial {trial.key} has no such call",
                f"a trial's key, a cell ({','.join(cells)}) or a call",
                did_you_mean(call, names),
            )
        )


def _trial(run: StoredRun, text: str) -> StoredTrial:
    if "=" in text:
        return choose_cell(run, text)
    fitting = [trial for trial in run.trials if trial.key.startswith(text)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        keys = [trial.key for trial in run.trials]
        raise UsageError(
            Problem(text, "no trial has a key that begins so", f"one such as {', '.join(keys[:3])}")
        )
    raise UsageError(Problem(text, f"{len(fitting)} trials have keys that begin so", "more of the key"))


def choose_cell(run: StoredRun, text: str) -> StoredTrial:
    """Return the first repetition of the cell that ``NAME=VALUE,NAME=VALUE`` means; one name may do.

    Raises:
        UsageError: an unknown name or value, or several cells fit; all problems at once.
    """
    wanted = _assignments(text)
    values = _values(run)
    problems = [problem for name, value in wanted.items() if (problem := _unknown(name, value, values))]
    if problems:
        raise UsageError(*problems)
    fitting = [trial for trial in run.trials if all(_is(trial.cell.get(n), v) for n, v in wanted.items())]
    cells = list(dict.fromkeys(trial.cell_text for trial in fitting))
    if not cells:
        raise UsageError(Problem(text, "no trial has this combination of values"))
    if len(cells) > 1:
        missing = [name for name in values if name not in wanted and len(values[name]) > 1]
        more = f"add {missing[0]}=, one of {', '.join(values[missing[0]])}" if missing else ""
        raise UsageError(
            Problem(
                text, f"{len(cells)} cells fit", "values that name one cell", more or f"such as {cells[0]}"
            )
        )
    return min(fitting, key=lambda trial: trial.repeat)


def _assignments(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in split_values(text)]
    wrong = [
        Problem(f"{name}{equals}{value}", "not NAME=VALUE", "a cell such as alice_nat=symmetric,bob_nat=cgn")
        for name, equals, value in pairs
        if not (name.strip() and equals and value.strip())
    ]
    if wrong:
        raise UsageError(*wrong)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _values(run: StoredRun) -> Mapping[str, Sequence[str]]:
    found: dict[str, dict[str, None]] = {}
    for trial in run.trials:
        for name, value in trial.cell.items():
            found.setdefault(name, {})[format_value(value)] = None
    return {name: list(values) for name, values in found.items()}


def _unknown(name: str, value: str, values: Mapping[str, Sequence[str]]) -> Problem | None:
    if name not in values:
        return Problem(f"{name}={value}", f"no parameter {name!r}", suggestion=did_you_mean(name, values))
    if not any(_is(known, value) for known in values[name]):
        return Problem(
            f"{name}={value}", f"{name} never is {value!r}", suggestion=did_you_mean(value, values[name])
        )
    return None


def _is(value: JsonValue, text: str) -> bool:
    return text in {value if isinstance(value, str) else None, format_value(value)}
