"""Open an outer namespace and lend what it lives by to a process that lives on: a way to leave something."""

import json
import subprocess
import time

from lab.emu.outer import OuterNamespace

with OuterNamespace("command_agent") as outer, outer.channel.makefile("rw") as lines:
    lines.write("setsid --fork sleep 600 </dev/null >/dev/null 2>&1; echo filled\n")
    lines.flush()
    assert lines.readline()
    lent = subprocess.Popen(["sleep", "600"], pass_fds=[outer._lifeline, outer.channel.fileno()])
    print(json.dumps({"run": outer.run, "lent": lent.pid}), flush=True)
    time.sleep(600)
