"""An explanation as a person reads it: the answer first, then what it stands on."""

import re

from lab.measure.explanation import explain_call
from lab.report.explanation_text import explanation_text
from lab.run.plan import plan_run
from lab.run.replay import trace_trial


def text_of(replay) -> str:
    (record,) = replay.result.calls
    return explanation_text(explain_call(record, replay.events, replay.trace))


def test_a_needed_relay_is_explained_by_the_boxes_and_by_the_packets_they_dropped(relayed_call):
    text = text_of(relayed_call)
    sections = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert sections == [
        "call-1: alice calls bob",
        "selected",
        "possible",
        "validated",
        "connectivity checks that were dropped",
    ]
    assert "  no direct path, a relay carries the call: alice's NAT (symmetric)" in text
    assert re.search(
        r"^  bob-nat dropped 1 check of alice from (203\.0\.113\.10:\d+): "
        r"filter: \1 never sent to by this mapping \(#\d+, at 0\.\d{3} s\)$",
        text,
        re.MULTILINE,
    )
    assert re.search(r"^  alice at 0\.\d{3} s: from relay \S+ to srflx \S+$", text, re.MULTILINE)


def test_a_relay_that_came_first_is_explained_by_when_each_pair_succeeded(hasty_call):
    text = text_of(hasty_call)
    why = text.partition("why a relay, although a direct path was possible\n")[2]
    assert re.search(r"^  bob: the first pair to succeed, at 0\.\d{3} s, was from relay", why, re.MULTILINE)
    assert re.search(r"tried since 0\.\d{3} s without an answer by then: from host \S+ to srflx", why)


def test_a_direct_call_needs_no_why(direct_call):
    text = text_of(direct_call)
    assert "a direct path is possible" in text
    assert "why a relay" not in text


def test_a_call_without_a_path_says_so_and_why(tmp_path):
    scenario = tmp_path / "silent.py"
    scenario.write_text(
        'TOPOLOGY = "two_homes"\n\n'
        "async def scenario(lab):\n"
        '    lab.impair("relay", loss="100%")\n'
        '    await lab.call("bob", "alice")\n'
    )
    text = text_of(trace_trial(plan_run(str(scenario), seed=1, repeat=1).trials[0]))
    assert "\n  no path\n" in text
    assert "gave up: " in text
    assert "stands for" not in text, "each host is called by its own name, whoever called"
    assert "no check succeeded" in text
