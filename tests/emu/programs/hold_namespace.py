"""Open an outer namespace, put a network, a rule and processes into it, say so, and wait to be killed."""

import json
import os
import sys
import time
from pathlib import Path

from lab.emu.outer import OuterNamespace

FILL = (
    "ip netns add box && ip link add w0 type veth peer name w1 netns box && ip link add lan type bridge"
    " && ip link set w0 master lan up && ip netns exec box nft add table ip t"
    " && (setsid ip netns exec box sleep 600 </dev/null >/dev/null 2>&1 &) && sleep 0.05; echo filled"
)

# A process that was forked from this one must not keep the namespace.
holding_a_fork = "--fork" in sys.argv
with OuterNamespace("command_agent") as outer, outer.channel.makefile("rw") as lines:
    lines.write(FILL + "\n")
    lines.flush()
    status, output = json.loads(lines.readline() or '[1, "the agent ended"]')
    init = outer.init_pid()
    kinds = ("net", "pid", "mnt")
    if holding_a_fork and os.fork() == 0:
        time.sleep(30)
        os._exit(0)
    print(
        json.dumps(
            {
                "run": outer.run,
                "init": init,
                "output": output.split(),
                "namespaces": [str(Path(f"/proc/{init}/ns/{kind}").readlink()) for kind in kinds],
            }
        ),
        flush=True,
    )
    time.sleep(600)
