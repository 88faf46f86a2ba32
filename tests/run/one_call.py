"""The smallest scenario: alice calls bob."""

TOPOLOGY = "two_homes"
VARY = {"alice_nat": ["port-restricted", "symmetric"], "bob_nat": ["restricted", "udp-blocked"]}


async def scenario(lab):
    await lab.call("alice", "bob")
