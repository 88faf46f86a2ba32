"""The events of one trial are found among those of all, whatever they say, whatever is left of the file."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import UsageError
from lab.results.stored_events import EventsPlace, find_in_joined
from lab.spec.event import Event, EventType

KEYS = st.lists(st.text("0123456789abcdef", min_size=12, max_size=12), unique=True, min_size=1, max_size=5)


@st.composite
def trials(draw) -> dict[str, str]:
    """Return the events of some trials by key; what they say may look like the key of another one."""
    keys = draw(KEYS)
    nasty = st.one_of(st.text(max_size=20), st.sampled_from([f'"trial":"{key}"' for key in keys]))
    found = {}
    for key in keys:
        said = draw(st.lists(nasty, max_size=3))
        events = [Event(time=0.5, type=EventType.PACKET_DROPPED, data={"reason": text}) for text in said]
        events.append(Event(time=1.0, type=EventType.TRIAL_ENDED, data={"reason": draw(nasty)}))
        found[key] = "".join(event.to_json(key) + "\n" for event in events)
    return found


@settings(deadline=None)
@given(events=trials())
def test_each_trial_is_found_whole(tmp_path_factory, events):
    path = tmp_path_factory.getbasetemp() / "joined.jsonl"
    path.write_bytes("".join(events.values()).encode())
    places = find_in_joined(path, events)
    assert {key: place.read() for key, place in places.items()} == events
    for key, place in places.items():
        assert place.is_whole()
        copy = io.BytesIO()
        place.copy_to(copy)
        assert copy.getvalue().decode() == events[key]


@settings(deadline=None)
@given(events=trials(), data=st.data())
def test_of_a_file_that_was_cut_those_trials_are_whole_that_ended_before_the_cut(
    tmp_path_factory, events, data
):
    whole = "".join(events.values()).encode()
    kept = data.draw(st.integers(0, len(whole)))
    path = tmp_path_factory.getbasetemp() / "cut.jsonl"
    path.write_bytes(whole[:kept])
    places = {key: place for key, place in find_in_joined(path, events).items() if place.is_whole()}
    ended, position = [], 0
    for key, text in events.items():
        position += len(text.encode())
        if position <= kept:
            ended.append(key)
    assert list(places) == ended
    assert [place.read() for place in places.values()] == [events[key] for key in ended]


def test_a_shard_is_whole_once_its_last_line_says_that_the_trial_ended(tmp_path):
    shard = EventsPlace(tmp_path / "shard.jsonl")
    end = Event(time=1.0, type=EventType.TRIAL_ENDED, data={"reason": "x" * 3000}).to_json("0" * 12)
    other = Event(time=1.0, type=EventType.COMMAND, data={"said": '"type":"trial.ended"'}).to_json("0" * 12)
    for text, whole in {
        "": False,
        end: False,
        f"{end}\n": True,
        f"{end}\n{other}\n": False,
        f"{other}\n" * 100 + f"{end}\n": True,
        f"{other}\n" * 100: False,
    }.items():
        shard.path.write_text(text)
        assert shard.is_whole() is whole, text[-80:]


def test_what_cannot_be_read_is_told_with_its_file(tmp_path):
    missing = EventsPlace(tmp_path / "missing.jsonl")
    assert not missing.is_whole()
    with pytest.raises(UsageError, match=r"missing\.jsonl: cannot be read"):
        missing.read()
    (tmp_path / "not-text.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"not-text\.jsonl: cannot be read"):
        EventsPlace(tmp_path / "not-text.jsonl").read()
    with pytest.raises(UsageError, match=r"missing\.jsonl: cannot be read"):
        find_in_joined(tmp_path / "missing.jsonl", ["0" * 12])


def test_a_line_holds_its_trial_as_it_is_looked_for():
    line = Event(time=1.0, type=EventType.TRIAL_STARTED).to_json("0123456789ab")
    assert '"trial":"0123456789ab"' in line
    assert json.loads(line)["trial"] == "0123456789ab"
