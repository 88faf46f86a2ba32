"""Every kind of NAT calls every other: which path does the media take, and how long is the set-up?

Two homes behind one NAT each, a STUN and TURN server on the public network. Where no NAT is in the way media
goes from host to host; where both sides' NATs let a hole be punched it goes directly; where they do not, by
the relay.
"""

from lab.handle import Lab

NATS = [
    "none",
    "full-cone",
    "restricted",
    "port-restricted",
    "symmetric-address-restricted",
    "symmetric",
    "port-preserving-symmetric",
    "linux-masquerade",
    "cgn",
    "udp-blocked",
]

TOPOLOGY = "two_homes"
VARY = {"alice_nat": NATS, "bob_nat": NATS}
MATRIX = ("alice_nat", "bob_nat")
REPEAT = 3


ANSWER_TRAVELS = "30ms"
"""One way between the homes by the rendezvous: the callee waits that long, so that both start together."""


async def scenario(lab: Lab) -> None:
    """Alice calls Bob; both start their connectivity checks at the same moment.

    Started one after the other, an ICE agent that takes the first path to answer often takes the relay
    although a direct path exists: that is not the NATs' doing, and docs/start-offsets.md has it.
    """
    for access in ("alice-access", "bob-access"):
        lab.impair(access, delay="10ms", jitter="4ms")
    await lab.call("alice", "bob", start_offset=f"-{ANSWER_TRAVELS}")
