"""The agenda keeps one total order, whatever is scheduled from within whatever."""

from __future__ import annotations

import heapq
from itertools import count
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from lab.sim.agenda import Agenda
from lab.sim.clock import VirtualLoop


class Step(NamedTuple):
    """What is scheduled so long after its parent, how, and what it schedules itself when it runs."""

    delay: int
    how: str
    children: list[Step]


_HOW = st.sampled_from(["post", "urgent", "timer"])
_DELAY = st.integers(0, 2)
steps = st.lists(
    st.recursive(
        st.builds(Step, _DELAY, _HOW, st.just([])),
        lambda inner: st.builds(Step, _DELAY, _HOW, st.lists(inner, max_size=4)),
        max_leaves=30,
    ),
    max_size=6,
)


def order_of_one_heap(roots: list[Step]) -> list[tuple[float, Step]]:
    """Run the steps off a heap of everything: by time, urgent ones first, then as they were scheduled."""
    heap: list[tuple[float, bool, int, Step]] = []
    serial, ran = count(), []

    def schedule(now: float, several: list[Step]) -> None:
        for step in several:
            heapq.heappush(heap, (now + step.delay, step.how != "urgent", next(serial), step))

    schedule(0.0, roots)
    while heap:
        now, _, _, step = heapq.heappop(heap)
        ran.append((now, step))
        schedule(now, step.children)
    return ran


@given(steps)
def test_the_loop_runs_everything_in_the_order_of_one_heap(roots):
    loop, ran = VirtualLoop(), []

    def schedule(several: list[Step]) -> None:
        for step in several:
            when = loop.time() + step.delay
            if step.how == "timer":
                loop.call_at(when, run, step)
            else:
                (loop.post_urgent if step.how == "urgent" else loop.post)(when, run, step)

    def run(step: Step) -> None:
        ran.append((loop.time(), step))
        schedule(step.children)

    schedule(roots)
    loop.run_forever()
    assert [(now, id(step)) for now, step in ran] == [
        (now, id(step)) for now, step in order_of_one_heap(roots)
    ]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1000)), unique_by=lambda entry: entry[1]))
def test_an_entry_put_back_goes_to_its_old_place(entries):
    """Whatever order they are put in, they come out by instant, then by order."""
    agenda = Agenda()
    for when, order in entries:
        agenda.place(float(when), (order, None, None))
    assert len(agenda) == len(entries)
    assert [(when, order) for when in sorted(agenda.at) for order, _, _ in agenda.at[when]] == sorted(entries)


def test_an_entry_put_back_into_the_instant_that_is_running_goes_before_what_is_left_of_it():
    agenda = Agenda()
    agenda.instant, agenda.current = 1.0, [(7, None, "last"), (3, None, "next")]
    agenda.place(1.0, (5, None, "between"))
    assert [argument for _, _, argument in reversed(agenda.current)] == ["next", "between", "last"]
    agenda.at[1.0] = [(8, None, "scheduled since"), (12, None, "and this")]
    agenda.place(1.0, (9, None, "put back"))
    assert [argument for _, _, argument in agenda.at[1.0]] == ["scheduled since", "put back", "and this"]


def test_timers_are_taken_out_with_their_places_and_the_rest_stays():
    loop = VirtualLoop()
    wanted = [loop.call_at(when, print) for when in (1.0, 2.0)]
    others = [loop.call_at(when, print) for when in (1.0, 3.0)]
    taken = loop._agenda.take_timers(lambda timer: any(timer is one for one in wanted))
    assert [(when, timer) for when, _, timer in taken] == [(1.0, wanted[0]), (2.0, wanted[1])]
    assert sorted(loop._agenda.instants) == [1.0, 3.0]
    assert [entry[2] for entries in loop._agenda.at.values() for entry in entries] == others
