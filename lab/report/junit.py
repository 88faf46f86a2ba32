"""A run as JUnit XML, which every CI server reads: a test suite a scenario, a test case a verdict.

The names of suite and cases depend on nothing but the scenario, so that a server can follow a case from run
to run. What a verdict is in it:

================================  ===========================================================
pass                              passed
fail                              ``failure``
fail, of severity ``warning``     passed; the text is its ``system-out``
inconclusive                      ``skipped``; ``error`` where trials are invalid
================================  ===========================================================

``time`` of a case is how long the trials it was judged on lasted, added up, in seconds of their own clock; of
the suite it is seconds on the wall. Shape: the XML Schema of Jenkins' xUnit plugin, version 10.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree as ET

from lab.measure.verdict import Outcome, Verdict
from lab.measure.verdict_text import format_finding, format_name

_UNFIT: Final = re.compile("[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 §2.2 forbids or discourages; a carriage return, which parsers take for a line's end, too."""

EVERY_TRIAL: Final = "every trial ran and may be judged"


@dataclass(frozen=True, kw_only=True)
class JunitSuite:
    """What a suite says of its run. ``started`` is in UTC, ``seconds`` on the wall.

    ``doubts`` say why the run as a whole cannot be judged, a line each; ``trials_lasted`` is how long all
    trials lasted (seconds of their own clock).
    """

    name: str
    started: datetime
    seconds: float
    properties: Mapping[str, str] = field(default_factory=dict)
    doubts: Sequence[str] = ()
    trials_lasted: float = 0.0


def junit_xml(
    suite: JunitSuite,
    verdicts: Sequence[Verdict],
    *,
    text: Callable[[Verdict], str],
    lasted: Callable[[Verdict], float],
) -> str:
    """Return the document.

    Args:
        suite: the run.
        verdicts: of the run, in its order.
        text: gives the words for one that is no pass.
        lasted: gives how long the trials of one lasted (seconds of their own clock).
    """
    cases = [_trials_case(suite)]
    for name, verdict in zip(_names(verdicts), verdicts, strict=True):
        case = _case(suite, name, lasted(verdict))
        _add_outcome(case, verdict, text)
        cases.append(case)
    element = _suite(suite, cases)
    document = ET.Element("testsuites", _counts(cases) | {"time": _seconds(suite.seconds)})
    document.append(element)
    ET.indent(document)
    return ET.tostring(document, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def fit_for_xml(text: str) -> str:
    r"""Return a text in which what XML cannot hold is told by its number: ``\x1b``."""
    return _UNFIT.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _suite(suite: JunitSuite, cases: Sequence[ET.Element]) -> ET.Element:
    element = ET.Element(
        "testsuite",
        {
            "name": fit_for_xml(suite.name),
            **_counts(cases),
            "skipped": str(_count(cases, "skipped")),
            "time": _seconds(suite.seconds),
            "timestamp": suite.started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        },
    )
    properties = ET.SubElement(element, "properties")
    for name, value in suite.properties.items():
        ET.SubElement(properties, "property", name=fit_for_xml(name), value=fit_for_xml(value))
    element.extend(cases)
    return element


def _counts(cases: Sequence[ET.Element]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(_count(cases, "failure")),
        "errors": str(_count(cases, "error")),
    }


def _count(cases: Sequence[ET.Element], outcome: str) -> int:
    return sum(case.find(outcome) is not None for case in cases)


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"


def _case(suite: JunitSuite, name: str, lasted: float) -> ET.Element:
    classname = fit_for_xml(f"callpath.{suite.name}")
    return ET.Element("testcase", classname=classname, name=name, time=_seconds(lasted))


def _trials_case(suite: JunitSuite) -> ET.Element:
    """Return the case of the run as a whole: there is one even where nothing is expected."""
    case = _case(suite, EVERY_TRIAL, suite.trials_lasted)
    if suite.doubts:
        _add(case, "error", suite.doubts[0], "\n".join(suite.doubts), "inconclusive")
    return case


def _names(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the cases' names; the second of one name has a number, in the order of the scenario."""
    seen: dict[str, int] = {}
    names = []
    for verdict in verdicts:
        name = fit_for_xml(format_name(verdict))
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def _add_outcome(case: ET.Element, verdict: Verdict, text: Callable[[Verdict], str]) -> None:
    if verdict.outcome is Outcome.PASS:
        return
    if verdict.outcome is Outcome.FAIL and not verdict.counts:
        ET.SubElement(case, "system-out").text = fit_for_xml(text(verdict))
        return
    outcome = "failure"
    if verdict.outcome is Outcome.INCONCLUSIVE:
        outcome = "error" if verdict.invalid and verdict.counts else "skipped"
    message = verdict.reason or format_finding(verdict)
    _add(case, outcome, message, text(verdict), verdict.expectation.metric)


def _add(case: ET.Element, outcome: str, message: str, text: str, type_: str) -> None:
    element = ET.SubElement(case, outcome, message=fit_for_xml(message), type=fit_for_xml(type_))
    element.text = fit_for_xml(text)
