"""Alice calls Bob; her checks begin ``start_offset`` seconds after his."""

TOPOLOGY = "two_homes"
VARY = {"alice_nat": ["symmetric", "full-cone"], "bob_nat": ["port-restricted"], "start_offset": [0.0]}
ANSWER_TRAVELS = 0.030


async def scenario(lab):
    await lab.call("alice", "bob", start_offset=f"{lab.parameters['start_offset'] - ANSWER_TRAVELS}s")
