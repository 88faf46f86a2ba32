"""Runs `callpath` in processes that a test may kill, forked from one in which everything is imported.

Reads a line of JSON a command: its arguments, and the directory to run it in. Answers with the process's id.
Each is the head of a process group of its own, with its workers.
"""

import json
import os
import signal
import sys

import lab.cli.executing
import lab.cli.finishing
import lab.cli.run
import lab.report.plots
import lab.results.manifest
import lab.results.table
import lab.run.certification
import lab.run.collector
import lab.run.plan_record
import lab.run.pool
import lab.run.selected  # noqa: F401
from lab.cli.main import run_command_line


def run(arguments: list[str], folder: str) -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(folder)
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os._exit(run_command_line(arguments))


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        arguments, folder = json.loads(line)
        process = os.fork()
        if process == 0:
            run(arguments, folder)
        print(process, flush=True)  # noqa: T201


main()
