"""Every kind of NAT calls every other, in one trial: what an ICE stack makes of each pair.

With `--world emu --program endpoint=chromium` the stack is a browser's; docs/ice-stacks.md has what came of
it. The programs are started once for all calls. Both sides begin their checks at the same moment: the callee
waits as long as its answer travels. A call is held for three seconds: libjuice looks for a better path two
seconds after it has one.
"""

import asyncio

from lab.handle import Lab

TOPOLOGY = "every_nat"
PARAMETERS = {"at_once": 2}
DEADLINE = "2h"


async def scenario(lab: Lab) -> None:
    """Let each of a1, a2 ... call each of b1, b2 ..., a few at once, nobody in two calls at a time."""
    count = sum(name.startswith("a") for name in lab.network.by_role["endpoint"])
    free = asyncio.Semaphore(int(str(lab.parameters["at_once"])))

    async def call(caller: str, callee: str) -> None:
        name = f"{caller}-{callee}"
        async with free:
            await lab.call(caller, callee, name=name, start_offset="-30ms", timeout="25s", hold="3s")
            await lab.hang_up(name)

    for shift in range(count):
        pairs = [(f"a{i + 1}", f"b{(i + shift) % count + 1}") for i in range(count)]
        await asyncio.gather(*(call(caller, callee) for caller, callee in pairs))
