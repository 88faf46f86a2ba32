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


async def scenario(lab: Lab) -> None:
    """Alice calls Bob."""
    await lab.call("alice", "bob")
