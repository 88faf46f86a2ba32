"""Who starts first? The same calls with the caller's checks up to half a second before or after the callee's.

An ICE agent that takes the first pair to succeed, as aioice does, may settle on the relay although a direct
path exists: a check that a filter dropped is sent again only after 500 ms, and by then the relay has won.
"""

from lab.handle import Lab

PAIRS = [
    f"{mapping}-{filtering}" for mapping in ("eim", "adm", "apdm") for filtering in ("eif", "adf", "apdf")
]

TOPOLOGY = "two_homes"
# No sum of these is a multiple of 20 ms, the time between two checks of aioice: else one often goes out at
# the very moment at which another comes in, and what is selected hangs on less than a nanosecond.
PARAMETERS = {"alice_delay": "10.7ms", "bob_delay": "13.1ms"}
VARY = {
    "start_offset": ["-500ms", "-200ms", "-100ms", "0ms", "100ms", "200ms", "300ms", "400ms", "500ms"],
    "alice_nat": PAIRS,
    "bob_nat": PAIRS,
}

ANSWER_TRAVELS = 33.8
"""Milliseconds, one way between the homes by the rendezvous: the callee starts so much earlier by itself."""


async def scenario(lab: Lab) -> None:
    """Alice calls Bob; her checks start ``start_offset`` after his."""
    offset = int(str(lab.parameters["start_offset"]).removesuffix("ms"))
    await lab.call("alice", "bob", start_offset=f"{offset - ANSWER_TRAVELS}ms")
