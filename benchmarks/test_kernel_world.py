"""The kernel world: bring-up against plain Mininet, programs started, how late its links are."""

import asyncio
import json
import statistics
import time
from pathlib import Path

import pytest
from plain_topologies import pair

from lab.emu.certify import certify_on_kernel
from lab.emu.lab import emulate
from lab.emu.messages import AgentConnection, encode_network
from lab.emu.outer import OuterNamespace
from lab.emu.run_clock import monotonic_now
from lab.run.collector import collect_rows
from lab.run.plan import plan_run
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.event import EventType
from lab.spec.find import load_topology
from nat_models import load_preset


@pytest.mark.parametrize("hosts", [10, 50])
def test_bring_up_of_a_node_against_plain_mininet(benchmark, monkeypatch, hosts):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    with OuterNamespace("kernel_bring_up") as outer, outer.channel.makefile("rw") as lines:

        def measure():
            lines.write(f"{hosts}\n")
            lines.flush()
            return json.loads(lines.readline())

        measured = benchmark.pedantic(measure, rounds=3, warmup_rounds=1)
    for who, (up, down) in measured.items():
        print(f"{who}: {up / hosts * 1e3:.1f} ms a node up, {down / hosts * 1e3:.1f} ms a node down")
        benchmark.extra_info[f"{who}_up_ms_a_node"] = round(up / hosts * 1e3, 2)
    assert measured["lab"][0] < measured["mininet"][0]


def test_namespace_network_and_programs_of_two_homes(benchmark):
    async def start():
        begun = time.perf_counter()
        with OuterNamespace("lab.emu.agent") as outer:
            agent = AgentConnection(outer)
            await agent.open()
            network = encode_network(load_topology("two_homes", {}))
            await agent.ask("build", network=network, nat_plane="nft")
            built = time.perf_counter()
            await agent.ask("start-roles", trial="t", seed=1, origin=monotonic_now())
            ready = time.perf_counter()
            await agent.close()
        return built - begun, ready - built, time.perf_counter() - ready

    parts = benchmark.pedantic(lambda: asyncio.run(start()), rounds=5, warmup_rounds=1)
    names = ("built", "programs ready", "ended")
    print(", ".join(f"{name} after {part:.2f} s" for name, part in zip(names, parts, strict=True)))


def test_certification_of_a_box(benchmark):
    boxes = [(load_preset("port-restricted"), 1)]
    (certificate,) = benchmark.pedantic(lambda: certify_on_kernel(boxes, nat_plane="nft"), rounds=3)
    assert certificate.problems == ()


def test_how_late_a_link_of_20_ms_is(benchmark):
    """Between two programs: their own wake-ups are in it."""

    async def talk(lab):
        policy = CandidatePolicy(candidates="no-relay")
        await lab.call("alice", "bob", policy=policy, media=MediaPlan(packets=1000, interval=0.005))

    network = pair(alice={"delay": "20ms"})
    emulated = benchmark.pedantic(
        lambda: emulate(network, talk, {}, run_seed=1, trial_key="b", deadline=60.0), rounds=1
    )
    delays = [e.data["delay"] * 1e3 for e in emulated.events if e.type is EventType.MEDIA_RECEIVED]
    cuts = statistics.quantiles(delays, n=100)
    print(f"p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms, most {max(delays):.2f} ms of {len(delays)}")
    benchmark.extra_info.update(p50=round(cuts[49], 3), p99=round(cuts[98], 3))


def test_how_exact_loss_and_rate_are(benchmark):
    """Of a link that loses one packet in ten, and of one of 1 Mbit/s that is handed twice as much."""

    def talk(packets, interval, size):
        async def scenario(lab):
            media = MediaPlan(packets=packets, interval=interval, size=size)
            await lab.call("alice", "bob", policy=CandidatePolicy(candidates="no-relay"), media=media)

        return scenario

    def measure():
        settings = {"run_seed": 1, "trial_key": "b", "deadline": 120.0}
        losing = pair(alice={"delay": "1ms", "loss": "10%"})
        lost = emulate(losing, talk(5000, 0.002, 172), {}, **settings).events
        narrow = pair(alice={"rate": "1Mbit/s", "queue": "20kB"})
        slow = emulate(narrow, talk(1000, 0.004, 972), {}, **settings).events
        return lost, slow

    lost, slow = benchmark.pedantic(measure, rounds=1)
    sent = len([e for e in lost if e.type is EventType.MEDIA_SENT])
    heard = len([e for e in lost if e.type is EventType.MEDIA_RECEIVED])
    arrivals = [e.time for e in slow if e.type is EventType.MEDIA_RECEIVED and e.node == "bob"]
    settled = arrivals[len(arrivals) // 4 :]  # the queue has filled by then
    rate = (len(settled) - 1) * (972 + 28) * 8 / (settled[-1] - settled[0])
    print(f"loss {1 - heard / sent:.2%} of {sent} packets, rate {rate / 1e6:.4f} Mbit/s over {len(settled)}")
    benchmark.extra_info.update(loss=round(1 - heard / sent, 4), rate=round(rate))


EVERY_RULE = [
    "eim-eif",
    "eim-adf",
    "eim-apdf",
    "adm-eif",
    "adm-adf",
    "adm-apdf",
    "apdm-eif",
    "apdm-adf",
    "apdm-apdf",
]


def test_the_matrix_of_81_pairs(benchmark):
    """Every mapping and filtering rule on both sides: a call each on the kernel, and in virtual time."""
    pairs = {"alice_nat": EVERY_RULE, "bob_nat": EVERY_RULE}
    plans = [
        plan_run("nat_matrix", seed=1, repeat=1, overrides=pairs, world=world, nat_plane=plane)
        for world, plane in (("sim", ""), ("emu", "nft"))
    ]

    def timed(plan):
        begun = time.perf_counter()
        return collect_rows(plan, jobs=2), time.perf_counter() - begun

    rows, seconds = zip(*benchmark.pedantic(lambda: [timed(plan) for plan in plans], rounds=1), strict=True)
    valid = [row for row in rows[1] if not row["invalid"]]
    print(
        f"81 pairs: {seconds[0]:.1f} s in virtual time, {seconds[1]:.0f} s on the kernel; {len(valid)} valid"
    )
    benchmark.extra_info.update(sim_seconds=round(seconds[0], 2), kernel_seconds=round(seconds[1], 1))
    assert all(row["connected"] for row in valid)
