"""JUnit XML: what CI servers read of a run."""

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.measure.metrics import Sample
from lab.measure.verdict import TrialSamples, judge_run
from lab.measure.verdict_text import format_verdict
from lab.report.junit import EVERY_TRIAL, JunitSuite, fit_for_xml, junit_xml
from lab.spec.expectation import parse_expectation

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

# The XML Schema of Jenkins' xUnit plugin (junit-10.xsd), as a table: attributes it knows, those it needs, and
# which elements may be inside.
SHAPE = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, set(), {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id",
         "package", "file", "log", "url"},
        {"name", "tests", "failures", "errors"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, {"name", "value"}, set()),
    "testcase": (
        {"name", "time", "classname", "group"}, {"name"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "skipped": ({"type", "message"}, set(), set()),
    "error": ({"type", "message"}, set(), set()),
    "failure": ({"type", "message"}, set(), set()),
    "system-out": (set(), set(), set()),
}  # fmt: skip
SECONDS = re.compile(r"\d+\.\d{3}")


def assert_shape(element):
    known, needed, inside = SHAPE[element.tag]
    assert needed <= set(element.attrib) <= known, element.attrib
    assert {child.tag for child in element} <= inside
    assert SECONDS.fullmatch(element.get("time", "0.000"))
    if inside:
        assert not (element.text or "").strip(), "only leaves hold text"
    for child in element:
        assert_shape(child)


def expecting(**record):
    return parse_expectation({"metric": "ice.connected", **record}, "expect[0]")


def trials(expectations, *cells):
    """One trial a cell: its cell, whether its call connected (None: no call), why it is invalid."""
    return [
        TrialSamples(
            cell=cell,
            invalid=invalid,
            samples={e.request: () if value is None else (Sample(value, 1, "call-1"),) for e in expectations},
        )
        for cell, value, invalid in cells
    ]


def document_of(expectations, *cells, doubts=(), name="mine", properties=None):
    verdicts = judge_run(expectations, trials(expectations, *cells))
    suite = JunitSuite(
        name=name,
        started=STARTED,
        seconds=1.25,
        properties=properties or {"seed": "1"},
        doubts=doubts,
        trials_lasted=30.0,
    )
    text = junit_xml(suite, verdicts, text=format_verdict, lasted=lambda verdict: 10.0 * verdict.n)
    root = ET.fromstring(text)  # noqa: S314 - our own document
    assert_shape(root)
    return root


def cases_of(root):
    """Return each case's name and what it has inside."""
    return {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}


A, B = {"nat": "cone"}, {"nat": "symmetric"}


def test_one_suite_a_scenario_and_one_case_an_expectation_and_cell():
    root = document_of([expecting(rate="== 100%"), expecting(rate=">= 50%")], (A, 1.0, ""), (B, 0.0, ""))
    (suite,) = root
    assert suite.get("name") == "mine"
    assert cases_of(root) == {
        EVERY_TRIAL: [],
        "ice.connected rate == 100%  [nat=cone]": [],
        "ice.connected rate == 100%  [nat=symmetric]": ["failure"],
        "ice.connected rate >= 50%  [nat=cone]": [],
        "ice.connected rate >= 50%  [nat=symmetric]": ["failure"],
    }
    assert {case.get("classname") for case in root.iter("testcase")} == {"callpath.mine"}
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "2", "0")
    assert suite.get("timestamp") == "2026-01-02T03:04:05"


def test_a_failure_has_the_words_of_the_console_and_says_in_short_what_was_found():
    expectation = expecting(rate="== 100%", why="people call each other")
    root = document_of([expectation], (B, 0.0, ""))
    (verdict,) = judge_run([expectation], trials([expectation], (B, 0.0, "")))
    (failure,) = root.iter("failure")
    assert failure.text == format_verdict(verdict)
    assert "why: people call each other" in failure.text
    assert failure.get("message").startswith("found 0 %")
    assert failure.get("type") == "ice.connected"


@pytest.mark.parametrize(
    ("severity", "value", "invalid", "inside"),
    [
        ("error", 1.0, "", []),
        ("error", 0.0, "", ["failure"]),
        ("error", None, "", ["skipped"]),
        ("error", 1.0, "deadline", ["error"]),
        ("warning", 1.0, "", []),
        ("warning", 0.0, "", ["system-out"]),
        ("warning", None, "", ["skipped"]),
        ("warning", 1.0, "deadline", ["skipped"]),
    ],
)
def test_what_each_outcome_is(severity, value, invalid, inside):
    root = document_of([expecting(rate="== 100%", severity=severity)], (A, value, invalid))
    assert cases_of(root)["ice.connected rate == 100%  [nat=cone]"] == inside
    (suite,) = root
    for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert suite.get(attribute) == str(inside.count(tag))


def test_times_are_those_of_the_trials_and_of_the_wall():
    root = document_of([expecting(rate="== 100%")], (A, 1.0, ""), (A, 1.0, ""), (B, 1.0, ""))
    times = {case.get("name"): case.get("time") for case in root.iter("testcase")}
    assert list(times.values()) == ["30.000", "20.000", "10.000"]
    assert root[0].get("time") == "1.250"


def test_a_run_with_doubts_has_an_error_even_where_nothing_is_expected():
    root = document_of([], doubts=["2 of 9 trials are invalid", "a1b2 {}: deadline"])
    (case,) = root.iter("testcase")
    (error,) = case
    assert (case.get("name"), error.get("message")) == (EVERY_TRIAL, "2 of 9 trials are invalid")
    assert error.text.endswith("a1b2 {}: deadline")


def test_cases_of_one_name_are_told_apart_in_the_order_of_the_scenario():
    twice = [expecting(rate="== 100%", why="one"), expecting(rate="== 100%", why="other")]
    root = document_of(twice, (A, 0.0, ""))
    texts = {case.get("name"): case[0].text for case in root.iter("testcase") if len(case)}
    assert list(texts) == [
        "ice.connected rate == 100%  [nat=cone]",
        "ice.connected rate == 100%  [nat=cone] (2)",
    ]
    assert ["why: one" in text for text in texts.values()] == [True, False]


def test_what_a_name_says_depends_on_the_scenario_alone():
    expectations = [expecting(rate=">= 10%", within="2s", confidence="90%", when={"nat": ["cone", "cgn"]})]
    names = [list(cases_of(document_of(expectations, (A, value, "")))) for value in (0.0, 1.0, None)]
    assert names[0] == names[1] == names[2]
    assert names[0][1] == "ice.connected rate >= 10% within 2 s with 90 % confidence  [nat=cone]"


def test_the_drawn_values_that_it_is_about_are_part_of_the_name():
    expectations = [expecting(rate=">= 10%", when={"nat": ["cone", "cgn"]})]
    samples = {expectations[0].request: (Sample(1.0, 1, "call-1"),)}
    verdicts = judge_run(expectations, [TrialSamples(cell={}, drawn={"nat": "cgn"}, samples=samples)])
    text = junit_xml(
        JunitSuite(name="mine", started=STARTED, seconds=0.0),
        verdicts,
        text=format_verdict,
        lasted=lambda _: 0.0,
    )
    assert "ice.connected rate &gt;= 10% when nat is cone or cgn" in text


# Any text


@settings(deadline=None)
@given(text=st.text())
def test_any_text_is_well_formed_and_what_xml_cannot_hold_is_told_by_its_number(text):
    cell = {"nat": text}
    root = document_of(
        [expecting(rate="== 100%")], (cell, 0.0, ""), name=text, properties={text: text}, doubts=[text]
    )
    (suite,) = root
    assert suite.get("name") == fit_for_xml(text)
    failure = next(root.iter("failure"))
    assert fit_for_xml(text) in failure.text


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\x00b", "a\\x00b"),
        ("a\r\nb", "a\\r\nb"),
        ("\ud800", "\\ud800"),
        ("\ufffe", "\\ufffe"),
        ("tab\tline\nä€😀", "tab\tline\nä€😀"),
    ],
)
def test_control_characters_are_shown(text, fit):
    assert fit_for_xml(text) == fit
