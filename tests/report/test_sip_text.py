"""The line that says what became of SIP calls."""

from collections import Counter

from lab.measure.calls import CallRecord, Side
from lab.report.sip_text import sip_text, sip_words
from lab.results.table import rows_of
from lab.spec.event import PathClass
from lab.spec.trial import Trial

TRIAL = Trial(scenario="load.yaml", topology="sip_homes")


def load(times, completed=2000, **failed):
    side = Side("alice", sip_completed=completed, sip_failed=Counter(failed), sip_setup_times=times)
    return CallRecord(
        call="load", caller=side, callee=None, path=PathClass.NONE, setup_time=None, signalling_only=True
    )


def rows(*calls, invalid=""):
    return rows_of(TRIAL, calls, invalid)


def test_one_load_is_told_with_its_percentiles_and_has_neither_path_nor_setup_time():
    of_load = rows(load([(0.021, 1900), (0.024, 100)]))
    assert sip_text(of_load) == "SIP calls: 2000 completed, 0 failed; INVITE to 200: p50 21 ms, p95 21 ms"
    assert not {"path", "connected", "setup_time"} & of_load[0].keys()


def test_of_several_loads_calls_are_added_and_percentiles_are_a_range():
    told = sip_text([*rows(load([(0.02, 9)], 9)), *rows(load([(0.03, 7)], 7, MaxUDPRetrans=2))])
    expected = "SIP calls: 16 completed, 2 failed (MaxUDPRetrans 2); INVITE to 200: p50 20 ms to 30 ms"
    assert told == f"{expected}, p95 20 ms to 30 ms"


def test_nothing_is_told_of_invalid_trials_or_where_there_was_no_sip():
    assert sip_text(rows(load([(0.02, 9)], 9), invalid="the machine stalled")) == ""
    assert sip_text([{"trial": "t", "invalid": "", "path": "relay", "call": "call-1"}]) == ""


def test_a_load_that_nobody_answered_has_no_time():
    assert sip_text(rows(load([], 0, MaxUDPRetrans=5))) == (
        "SIP calls: 0 completed, 5 failed (MaxUDPRetrans 5)"
    )
    assert sip_words(0, {"MaxUDPRetrans": 5}, None) == "0 completed, 5 failed (MaxUDPRetrans 5)"
