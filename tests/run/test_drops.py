"""What was lost by chance is lost again on purpose: the same run, event by event."""

import json
from pathlib import Path

import pytest

from lab.errors import UsageError
from lab.run.drops import drop_steps
from lab.run.plan import plan_run
from lab.run.trial import run_trial
from lab.spec.event import Event, EventType
from lab.spec.find import load_topology

HEAD = "callpath: 1\ntopology: two_homes\nparameters: {alice_nat: symmetric}\nexpect: []\n"
CALLS = "calls: {from: alice, to: bob, hold: 60s, media: {packets: 200}}\n"
LINKS = ("alice-access", "bob-access", "relay")


@pytest.fixture
def events_of(tmp_path, monkeypatch):
    """Run a timeline and return its events; each is the same scenario to the seeds."""
    monkeypatch.chdir(tmp_path)

    def run(timeline, directory):
        path = tmp_path / directory / "lossy.yaml"
        path.parent.mkdir()
        path.write_text(f"{HEAD}{CALLS}timeline: {json.dumps(timeline)}\n")
        (trial,) = plan_run(str(path), seed=5).trials
        result = run_trial(trial)
        assert not result.invalid
        return [Event.from_json(line)[1] for line in result.events.splitlines()]

    return run


def settings(loss):
    return [{"at": "0s", "set": {"link": link, "delay": "10ms", **loss}} for link in LINKS]


def but_for_the_wording(events):
    """Return events without what says that, and why, something is lost."""
    told = []
    for event in events:
        if event.type in {EventType.LINK_CHANGED, EventType.TRIAL_ENDED}:
            continue
        line = json.loads(event.to_json(""))
        if "index" in event.data:
            del line["data"]["reason"]
        told.append(line)
    return told


@pytest.mark.parametrize(
    "loss",
    [{"loss": "5%"}, {"loss_burst": {"good_to_bad": "2%", "bad_to_good": "30%"}}],
    ids=["5%", "bursts"],
)
def test_a_log_of_losses_replays_the_call_without_any_chance(events_of, loss):
    lossy = events_of(settings(loss), "first")
    network = load_topology("two_homes", {"alice_nat": "symmetric"})
    steps = drop_steps(lossy, network)
    lost = [e for e in lossy if str(e.data.get("reason", "")).startswith("lost on")]
    assert len(lost) > 20
    assert len({e.node for e in lost}) == len(steps) >= 4
    replayed = events_of([*settings({}), *steps], "again")
    asked = [e for e in replayed if str(e.data.get("reason", "")).startswith("dropped on request")]
    assert [(e.node, e.data["index"], e.time) for e in asked] == [
        (e.node, e.data["index"], e.time) for e in lost
    ]
    assert but_for_the_wording(replayed) == but_for_the_wording(lossy)


def test_a_run_with_other_losses_is_another_run(events_of):
    lossy = events_of(settings({"loss": "5%"}), "first")
    network = load_topology("two_homes", {"alice_nat": "symmetric"})
    fewer = drop_steps(lossy, network)[1:]
    assert but_for_the_wording(events_of([*settings({}), *fewer], "again")) != but_for_the_wording(lossy)


def test_a_cut_is_no_chance(events_of):
    timeline = [{"at": "20s", "flap": {"link": "bob-access", "down": "5s", "up": "1s"}}]
    cut = events_of(timeline, "cut")
    assert any("is cut" in str(e.data.get("reason")) for e in cut)
    assert drop_steps(cut, load_topology("two_homes", {})) == []


def test_what_a_link_doubles_or_hurries_has_an_index_too(events_of):
    """Every decision of a link that is not just "deliver" can be found and named."""
    odd = {"duplicate": "10%", "reorder": "10%"}
    events = events_of(settings(odd), "odd")
    for type_ in (EventType.PACKET_DUPLICATED, EventType.PACKET_REORDERED):
        found = [(e.node, e.data["index"]) for e in events if e.type is type_]
        assert len(found) == len(set(found)) > 20
    events = events_of(settings({}), "even")
    assert not [e for e in events if e.type in {EventType.PACKET_DUPLICATED, EventType.PACKET_REORDERED}]


def test_a_packet_that_is_past_cannot_be_lost(events_of):
    late = [{"at": "30s", "drop": {"link": "alice-access", "from": "internet", "packets": [0]}}]
    with pytest.raises(
        UsageError, match="packet 0 of alice-access from internet was sent before; the next one is"
    ):
        events_of(late, "late")


def test_the_third_binding_request_is_lost_and_no_other(events_of):
    match = {"stun_method": "binding", "stun_class": "request"}
    drop = {"link": "alice-access", "from": "alice-nat", "nth": 3, "match": match}
    events = events_of([{"at": "0s", "drop": drop}], "third")
    (lost,) = [e for e in events if str(e.data.get("reason", "")).startswith("dropped on request")]
    assert lost.node == "alice-access from alice-nat"
    (changed,) = [e for e in events if e.type is EventType.LINK_CHANGED]
    said = "drops number 3 from alice-nat of stun_method binding, stun_class request"
    assert changed.data == {"link": "alice-access", "settings": said}


def test_the_shipped_page_names_where_to_get_the_steps():
    page = Path(__file__).parents[2] / "docs" / "scenarios.md"
    assert f"`{drop_steps.__module__}.{drop_steps.__name__}`" in page.read_text(encoding="utf-8")
