"""An agent for tests: runs each line it reads as a shell command and answers with status and output."""

import json
import socket
import subprocess
import sys

channel = socket.socket(fileno=int(sys.argv[-1]))
with channel.makefile("rw") as lines:
    for line in lines:
        done = subprocess.run(
            ["sh", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        lines.write(json.dumps([done.returncode, done.stdout]) + "\n")
        lines.flush()
