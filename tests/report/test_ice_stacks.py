"""The page on ICE stacks: what is kept comes back, and no difference from aioice goes unexplained unseen."""

from pathlib import Path

import pytest

from lab.measure.predict import Reach
from lab.report.ice_stacks import (
    UNEXPLAINED,
    StackCall,
    StackRun,
    as_json,
    differences,
    from_json,
    ice_stacks_page,
    letter,
    possible_between,
    word,
)

STORED = from_json((Path(__file__).parents[2] / "docs" / "ice-stacks.json").read_text())


def call(path, caller="host>srflx", callee="srflx>host", nats=("none", "full-cone"), changed=False):
    return StackCall(*nats, path, caller, callee, 0.5 if caller else None, changed)


def run(*calls, stack="libjuice"):
    return StackRun(stack=stack, version="1", world="emu", calls=calls)


def test_runs_come_back_as_they_were_stored():
    runs = [run(call("relay"), call("none", "", "")), run(stack="aioice")]
    assert from_json(as_json(runs)) == runs


@pytest.mark.parametrize(
    ("one", "possible", "expected"),
    [
        (call("host"), Reach.DIRECT, "H"),
        (call("peer-reflexive"), Reach.DIRECT, "P"),
        (call("relay", "relay>srflx", "srflx>relay"), Reach.RELAY, "R"),
        (call("relay", "host>relay", "prflx>host"), Reach.DIRECT, "r*"),
        (call("relay", "relay>srflx", "srflx>relay"), Reach.DIRECT, "R*"),
        (call("none", "", ""), Reach.RELAY, "-"),
    ],
)
def test_a_relay_that_was_not_needed_has_a_mark(one, possible, expected):
    assert letter(one, possible) == expected


def test_a_cell_that_came_out_in_several_ways_says_how_often_each():
    assert word([call("relay"), call("host"), call("host")], Reach.RELAY) == "H2 R1"


def test_a_difference_with_a_known_cause_has_its_words_and_one_without_says_so():
    possible = {("none", "full-cone"): Reach.DIRECT, ("none", "udp-blocked"): Reach.RELAY}
    blocked = ("none", "udp-blocked")
    aioice = run(call("server-reflexive"), call("relay", nats=blocked), stack="aioice")
    own = run(call("peer-reflexive"), call("none", "", "", nats=blocked))
    by_cell = {one.callee_nat: one.why for one in differences(own, aioice, possible)}
    assert "by another name" in by_cell["full-cone"]
    assert "TURN over UDP alone" in by_cell["udp-blocked"]
    other = run(call("host", "host>host", "host>host"), call("none", "", "", nats=blocked), stack="Chromium")
    assert {one.why for one in differences(other, aioice, possible)} == {UNEXPLAINED}
    relayed = run(call("relay", "relay>srflx", "srflx>relay"), stack="Chromium")
    (one,) = differences(relayed, aioice, {("none", "full-cone"): Reach.DIRECT})
    assert "A relay won the race" in one.why
    assert list(differences(aioice, aioice, possible)) == []


def test_the_page_explains_every_difference_that_it_shows():
    assert UNEXPLAINED not in ice_stacks_page(STORED)
    assert {(r.stack, r.world) for r in STORED} == {
        ("aioice", "sim"), ("aioice", "emu"), ("libjuice", "emu"), ("Chromium", "emu")
    }  # fmt: skip
    assert all(len({(c.caller_nat, c.callee_nat) for c in r.calls}) == 49 for r in STORED)


def test_what_was_selected_was_possible():
    """A direct path where none is possible would refute the prediction, whichever stack found it."""
    nats = list(dict.fromkeys(c.caller_nat for c in STORED[0].calls))
    possible = possible_between(nats)
    wrong = [
        (r.stack, c)
        for r in STORED
        for c in r.calls
        if c.path in {"host", "server-reflexive", "peer-reflexive"}
        and possible[c.caller_nat, c.callee_nat] is not Reach.DIRECT
    ]
    assert wrong == []
