"""Two punchers on the simulated network: what they reach is the truth that predictions are held to."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from lab.roles.catalogue import make_role
from lab.roles.endpoint.config import TurnServers
from lab.roles.puncher import ATTEMPTS, Puncher, PuncherConfig
from lab.roles.servers import PASSWORD, USERNAME
from lab.sim.clock import VirtualLoop
from lab.sim.network import SimNetwork
from lab.sim.rebind import aioice_on_simulated_hosts
from lab.spec.find import load_topology
from lab.spec.network import Network
from lab.spec.roles import STUN_PORT, TURN_TCP_PORT, TURN_TLS_PORT
from nat_models.model import NatModel

SERVERS = ("relay", "stun")


class Meeting:
    """Signalling without delay: both sides leave a round together, with each other's description."""

    def __init__(self) -> None:
        self._waiting = None

    async def exchange(self, description):
        if self._waiting is None:
            self._waiting = (description, asyncio.get_running_loop().create_future())
            return await self._waiting[1]
        (other, future), self._waiting = self._waiting, None
        future.set_result(description)
        return other


@cache
def planned(topology: str, *options: tuple[str, object]) -> Network:
    return load_topology(topology, dict(options))


def with_boxes(network: Network, boxes: Mapping[str, NatModel]) -> Network:
    """Return the network with other models in its NAT boxes, addresses and all else kept."""
    nodes = {name: replace(node, nat=boxes.get(name, node.nat)) for name, node in network.nodes.items()}
    return replace(network, nodes=nodes)


def reached_on(
    network: Network,
    *,
    turn_for: str = "",
    transports=("udp",),
    attempts=ATTEMPTS,
    seed: int = 1,
    events=None,
):
    """Return the pairs (alice's type, bob's type) that both punchers together reach.

    `turn_for` names who has a relay: "alice", "bob", "alice bob". `events` is filled with what happened.
    """
    loop = VirtualLoop(deadline=600.0, event_budget=3_000_000)
    simulated = SimNetwork(network, loop, run_seed=seed, trial_key="punch")
    with aioice_on_simulated_hosts():
        try:
            return loop.run_until_complete(_both(simulated, turn_for, transports, attempts))
        finally:
            if events is not None:
                events.extend(event.to_json("punch") for event in simulated.events)
            loop.close()


async def _both(simulated, turn_for, transports, attempts):
    network = simulated.spec
    for name in SERVERS:
        if name in network.nodes:
            host = simulated.host(name)
            role = make_role(network.nodes[name], network, host)
            host.start(role.run(), name=name)
            await role.ready.wait()
    relay = simulated.host("relay").addresses[0]
    stun = simulated.host("stun" if "stun" in network.nodes else "relay").addresses[0]
    ports = {"udp": STUN_PORT, "tcp": TURN_TCP_PORT, "tls": TURN_TLS_PORT}
    servers = TurnServers(
        addresses={t: (relay, ports[t]) for t in transports}, username=USERNAME, password=PASSWORD
    )
    meeting = Meeting()
    tasks = []
    for side in ("alice", "bob"):
        config = PuncherConfig(
            caller=side == "alice",
            stun=(stun, STUN_PORT),
            turn=servers if side in turn_for else None,
            attempts=attempts,
        )
        host = simulated.host(side)
        tasks.append(host.start(Puncher(config, host, meeting.exchange).punch(), name=side))
    alice, bob = await asyncio.gather(*tasks)
    return alice | {(mine, its) for its, mine in bob}
