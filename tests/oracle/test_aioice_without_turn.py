"""aioice beside the oracle: without TURN it connects where a direct path is possible, but for four cells.

Those four need one side's packets to arrive before the other has sent any. With both sides starting together
they do not; given that start, aioice connects there too. So every difference is the order of events.
"""

from itertools import product

import pytest

from lab.measure.calls import calls_of
from lab.measure.predict import Reach
from lab.measure.predict.from_network import predict_call
from lab.sim.lab import simulate
from lab.spec.command import CandidatePolicy
from lab.spec.find import load_topology
from nat_models.model import FilterScope, ReplyReuse

PAIRS = [
    f"{mapping}-{filtering}" for mapping in ("eim", "adm", "apdm") for filtering in ("eif", "adf", "apdf")
]
TOGETHER = -0.03
"""The callee waits until the answer has arrived."""

ORDER_MATTERS = {
    ("eim-apdf", "adm-eif"),
    ("eim-apdf", "apdm-eif"),
    ("adm-eif", "eim-apdf"),
    ("apdm-eif", "eim-apdf"),
}
"""One side admits everybody but sends to each from a port of its own; the other admits only known ports.

Where the first side has sent before it hears of the other, an existing flow wins and it answers from the port
that the other does not know; where it hears first, it answers from the port that was called.
"""


def network(alice, bob, scope, reuse):
    axes = f"{{filter_scope: {scope.value}, reply_reuse: {reuse.value}}}"
    return load_topology("two_homes", {"alice_nat": alice + axes, "bob_nat": bob + axes})


EVENT_BUDGET = 8_000
"""A call takes some hundreds. Behind two boxes that admit everybody and give each destination a port of its
own, each check makes a mapping and each mapping a new peer-reflexive pair: aioice's list grows without end.
"""


def connects(spec, offset: float) -> bool:
    async def call(lab):
        policy = CandidatePolicy(candidates="no-relay")
        await lab.call("alice", "bob", policy=policy, start_offset=f"{offset}s")

    events, _ = simulate(spec, call, {}, run_seed=1, trial_key="", deadline=600, event_budget=EVENT_BUDGET)
    (record,) = calls_of(events)
    return record.connected


@pytest.mark.requirement("Z1-3", "Z4-4", "Z0-14")
@pytest.mark.parametrize("scope", FilterScope, ids=lambda scope: scope.value)
@pytest.mark.parametrize("reuse", ReplyReuse, ids=lambda reuse: reuse.value)
def test_aioice_connects_where_a_direct_path_is_possible_in_any_order(scope, reuse):
    differing = set()
    for alice, bob in product(PAIRS, PAIRS):
        spec = network(alice, bob, scope, reuse)
        possible = predict_call(spec, "alice", "bob").reach is Reach.DIRECT
        if connects(spec, TOGETHER) != possible:
            differing.add((alice, bob))
    assert differing == (ORDER_MATTERS if reuse is ReplyReuse.EXISTING_FLOW_FIRST else set())


@pytest.mark.parametrize("scope", FilterScope, ids=lambda scope: scope.value)
@pytest.mark.parametrize(("alice", "bob"), sorted(ORDER_MATTERS))
def test_started_in_the_order_that_the_prediction_names_aioice_connects_there_too(alice, bob, scope):
    spec = network(alice, bob, scope, ReplyReuse.EXISTING_FLOW_FIRST)
    prediction = predict_call(spec, "alice", "bob")
    (first,) = {prediction.needs_first[pair] for pair in prediction.direct}
    early, late = (-0.4, 0.4) if first == "alice" else (0.4, -0.4)
    assert connects(spec, TOGETHER + early)
    assert not connects(spec, TOGETHER + late)
