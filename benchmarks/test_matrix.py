"""The wall time of a NAT matrix, 14 × 14, one call a cell, as `callpath run` does it: one process and two."""

import pytest

from lab.run.collector import collect_rows
from lab.run.plan import plan_run

NATS = [
    "none",
    "full-cone",
    "restricted",
    "port-restricted",
    "symmetric",
    "symmetric-address-restricted",
    "port-preserving-symmetric",
    "linux-masquerade",
    "linux-masquerade-random",
    "cgn",
    "cgn-fixed",
    "rfc4787",
    "home-gateway-median",
    "udp-blocked",
]


@pytest.mark.benchmark(group="matrix: 14 x 14")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_matrix_of_fourteen_by_fourteen(benchmark, jobs):
    plan = plan_run("nat_matrix", seed=1, repeat=1, overrides={"alice_nat": NATS, "bob_nat": NATS})
    assert len(plan.trials) == 196
    rows = benchmark.pedantic(lambda: collect_rows(plan, jobs=jobs), rounds=3, warmup_rounds=1)
    assert all(row["connected"] for row in rows)
    benchmark.extra_info["trials_per_second"] = round(len(rows) / benchmark.stats.stats.min)
