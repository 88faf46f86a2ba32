"""A trial leaves nothing behind: thousands in one process need no more memory than one."""

import gc
import pickle

from lab.run.collector import Collector
from lab.run.plan import plan_run
from lab.run.trial import run_trial
from lab.sim.clock import VirtualLoop
from lab.sim.network import SimNetwork


def networks_and_clocks():
    return {id(one): type(one) for one in gc.get_objects() if isinstance(one, VirtualLoop | SimNetwork)}


def test_neither_network_nor_clock_outlive_their_trial():
    gc.collect()
    before = networks_and_clocks()  # of other tests, which may have kept some
    for trial in plan_run("nat_matrix", seed=1, repeat=1).trials[::33]:
        run_trial(trial)
    gc.collect()
    assert {number: type_ for number, type_ in networks_and_clocks().items() if number not in before} == {}


def test_of_a_trial_that_is_done_a_row_a_call_and_the_samples_are_kept_and_no_events():
    plan = plan_run("nat_matrix", seed=1, repeat=1)
    collector = Collector(plan)
    sizes, requests = [], tuple(expectation.request for expectation in plan.expectations)
    for position, trial in enumerate(plan.trials[:5]):
        result = run_trial(trial, requests=requests)
        collector.add(position, result)
        sizes.append(len(pickle.dumps((collector.rows, dict(collector.samples)))))
        assert len(result.events) > 10_000
    assert sizes[-1] - sizes[0] < 4 * 1_500, "bytes of four trials"
