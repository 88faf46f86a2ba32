"""The parts of the SIPp adapter that need no network: figures as SIPp 3.6.1 wrote them, and its scenarios."""

import contextlib
import io
import json
import subprocess
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.adapters.contract import Contract
from lab.adapters.sipp.__main__ import Node, SippError
from lab.adapters.sipp.scenarios import CALLEE, CALLER, REGISTRATION
from lab.adapters.sipp.statistics import (
    FigureError,
    Figures,
    parse_response_times_untrusted,
    parse_statistics_untrusted,
)

FIGURES = (Path(__file__).parent / "sipp_figures.csv").read_text()
RESPONSE_TIMES = (Path(__file__).parent / "sipp_response_times.csv").read_text()


def test_a_row_says_what_became_of_the_calls_until_then():
    rows = parse_statistics_untrusted(FIGURES)
    assert rows[-1] == Figures(created=300, current=0, completed=300, failed=0, retransmissions=0)
    assert [row.created for row in rows] == sorted(row.created for row in rows)


def test_a_row_that_is_being_written_is_left_for_later():
    rows = parse_statistics_untrusted(FIGURES)
    assert parse_statistics_untrusted(FIGURES[:-20]) == rows[:-1]
    assert parse_statistics_untrusted("") == []
    assert parse_statistics_untrusted(FIGURES[:100]) == []


def test_failed_calls_have_the_reasons_that_sipp_gives():
    head, row = FIGURES.splitlines()[:2]
    cells = dict(zip(head.split(";"), row.split(";"), strict=False))
    cells |= {"FailedCall(C)": "7", "FailedMaxUDPRetrans(C)": "4", "FailedUnexpectedMessage(C)": "3"}
    (figures,) = parse_statistics_untrusted(f"{';'.join(cells)}\n{';'.join(cells.values())}\n")
    assert (figures.failed, figures.reasons) == (7, {"MaxUDPRetrans": 4, "UnexpectedMessage": 3})


def test_response_times_are_counted_by_second_and_millisecond():
    counted = parse_response_times_untrusted(RESPONSE_TIMES)
    assert counted.total() == len(RESPONSE_TIMES.splitlines()) - 1
    assert parse_response_times_untrusted("Date_ms;response_time_ms;rtd_no\n1012.5;21;1\n") == Counter(
        {(1, 21): 1}
    )


@pytest.mark.parametrize("text", ["a;b\n1;2\n", FIGURES.replace(";300;", ";three;")])
def test_statistics_of_another_kind_are_refused(text):
    with pytest.raises(FigureError, match="no number"):
        parse_statistics_untrusted(text)


@given(st.text() | st.text().map(lambda tail: f"{FIGURES}{tail}\n"))
def test_any_text_is_statistics_or_refused(text):
    with contextlib.suppress(FigureError):
        parse_statistics_untrusted(text)


@given(st.text() | st.text().map(lambda tail: f"{RESPONSE_TIMES}{tail}\n"))
def test_any_text_is_response_times_or_refused(text):
    with contextlib.suppress(FigureError):
        parse_response_times_untrusted(text)


@pytest.mark.parametrize("text", [CALLER, CALLEE, REGISTRATION])
def test_every_message_of_a_scenario_ends_its_headers_with_an_empty_line(text):
    for message in ET.fromstring(text.encode()).iter("send"):  # noqa: S314 - as above
        lines = [line.strip() for line in message.text.strip("\n").split("\n")]
        body = "Content-Type: application/sdp" in lines
        assert "" in lines[:-1] if body else lines[-1] == ""


@pytest.mark.system("sipp")
@pytest.mark.parametrize("text", [CALLER, CALLEE, REGISTRATION])
def test_sipp_itself_reads_the_scenarios(tmp_path, text):
    scenario = tmp_path / "scenario.xml"
    scenario.write_text(text)
    words = ["sipp", "-sf", str(scenario), "-nostdin", "-m", "0", "-timeout", "1s", "127.0.0.1:9"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=30)
    assert "Unable to load or parse" not in done.stdout + done.stderr
    assert "Unsupported" not in done.stdout + done.stderr


def test_a_scenario_of_the_users_that_is_gone_is_named(tmp_path):
    setup = {
        "node": "pbx", "addresses": ["192.0.2.1"], "directory": str(tmp_path), "nodes": {},
        "options": {"callee_scenario": "/nowhere/mine.xml"}, "origin": 0.0,
    }  # fmt: skip
    said = io.StringIO()
    node = Node(Contract(io.StringIO(json.dumps({"setup": setup}) + "\n"), said))
    with pytest.raises(SippError, match=r"there is no file /nowhere/mine\.xml"):
        node.answer()
    assert said.getvalue() == ""
