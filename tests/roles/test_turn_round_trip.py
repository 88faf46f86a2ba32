"""How far away a TURN server is, by what aioice's client logs of its requests and their answers."""

import aioice.turn
import pytest

from lab.errors import HostNotReady
from lab.roles.endpoint.aioice_events import RoundTrip, timing_turn


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_the_first_answered_request_tells(clock):
    trip = RoundTrip(clock)
    trip.asked(b"one")
    clock.now = 0.03
    trip.answered(b"one")
    trip.asked(b"two")
    clock.now = 9.0
    trip.answered(b"two")
    assert trip.seconds == 0.03


def test_a_request_that_was_repeated_tells_nothing_and_the_next_one_does(clock):
    trip = RoundTrip(clock)
    trip.asked(b"one")
    clock.now = 0.5
    trip.asked(b"one")
    clock.now = 0.53
    trip.answered(b"one")
    assert trip.seconds is None
    trip.asked(b"two")
    clock.now = 0.57
    trip.answered(b"two")
    assert trip.seconds == pytest.approx(0.04)


def test_an_answer_to_nothing_that_was_asked_tells_nothing(clock):
    trip = RoundTrip(clock)
    trip.answered(b"stray")
    assert trip.seconds is None


def test_without_the_logger_it_is_told_what_to_install(clock, monkeypatch):
    monkeypatch.setattr(aioice.turn, "logger", None)
    with pytest.raises(HostNotReady, match="pyproject pins"), timing_turn(RoundTrip(clock)):
        pytest.fail("timed nothing")
