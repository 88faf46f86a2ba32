"""An interrupt within a step that is to be whole comes when the step is done."""

import signal

import pytest

from lab.cli.interrupts import Interrupts


def test_a_step_is_finished_first_and_the_interrupt_comes_after_it():
    interrupts, done = Interrupts(), []

    def step():
        with interrupts.after_this_step():
            signal.raise_signal(signal.SIGINT)
            done.append("the rest of the step")

    with interrupts.handled(), pytest.raises(KeyboardInterrupt):
        step()
    assert done == ["the rest of the step"]


def test_between_steps_an_interrupt_comes_at_once():
    interrupts, done = Interrupts(), []
    with interrupts.handled():
        with interrupts.after_this_step():
            done.append("step")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert done == ["step"]


def test_the_handler_before_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts().handled():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
