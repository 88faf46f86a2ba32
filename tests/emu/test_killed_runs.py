"""A run that is killed, at whatever instant: nothing carries its name, and nothing of it was on a wire."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.emu.outer.namespace import RUN_VARIABLE
from lab.emu.settings import mac_address

MARK = "CALLPATH_TEST_OF_KILLS"
INSTANTS = 20
KINDS = ("net", "mnt", "pid")
LONGEST = 1.0
"""Seconds to wait, once so many processes run as a lot says."""

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack"),
    pytest.mark.usefixtures("untouched_machine"),
]


def carrying(name, value):
    """Return the processes with that variable in their environment."""
    mark, found = f"{name}={value}".encode(), []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in environment.read_bytes().split(b"\0"):
                found.append(int(environment.parent.name))
    return found


def wait_for_processes(mark, count):
    """Wait until so many processes carry a mark, or as long as a busy machine may need."""
    end = time.monotonic() + 10
    while len(carrying(MARK, mark)) < count and time.monotonic() < end:
        time.sleep(0.05)  # looking at every process of the machine takes as long as what is waited for


def inside(processes):
    """Return everybody who is in a namespace of these processes that this one is not in."""
    own = {namespace(os.getpid(), kind) for kind in KINDS}
    theirs = {namespace(process, kind) for process in processes for kind in KINDS} - own - {""}
    everybody = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return {process for process in everybody if theirs & {namespace(process, kind) for kind in KINDS}}


def namespace(process, kind):
    try:
        return str(Path(f"/proc/{process}/ns/{kind}").readlink())
    except OSError:
        return ""


def mounts_of_this_machine():
    return Path("/proc/self/mounts").read_text()


@contextlib.contextmanager
def sniffer():
    """Yield a function that returns the frames seen so far on every interface of this namespace."""
    if os.geteuid() != 0:
        yield list
        return
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as packets:
        packets.settimeout(0)
        frames = []

        def seen():
            with contextlib.suppress(BlockingIOError):
                while True:
                    frames.append(packets.recv(65_535))
            return frames

        yield seen


@pytest.mark.timeout(600)
def test_twenty_runs_killed_at_any_instant_leave_nothing(tmp_path):
    instants = random.Random(7)
    mounts = mounts_of_this_machine()
    command = [sys.executable, "-m", "lab.cli", "run", "nat_matrix", "--world", "emu", "--jobs", "1",
               "--set", "alice_nat=symmetric", "--set", "bob_nat=full-cone",
               "--results", str(tmp_path)]  # fmt: skip
    most = 0
    with sniffer() as frames:
        for number in range(INSTANTS):
            mark = f"{os.getpid()}-{number}"
            with subprocess.Popen(
                command, env={**os.environ, MARK: mark}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as process:
                wait_for_processes(mark, instants.randint(1, 16))
                time.sleep(instants.uniform(0.0, LONGEST))
                alive = carrying(MARK, mark)
                members, most = inside(alive), max(most, len(alive))
                process.send_signal(signal.SIGKILL)
            frames()  # before there are too many to keep
            end = time.monotonic() + 10
            # (Numbers of namespaces are used again at once, those of processes are not.)
            while carrying(MARK, mark) or any(Path(f"/proc/{process}").exists() for process in members):
                assert time.monotonic() < end, f"run {number} left {carrying(MARK, mark)}"
                time.sleep(0.02)
        lab_hardware = bytes.fromhex(mac_address(0, 0).replace(":", ""))[:3]
        assert [frame for frame in frames() if lab_hardware in {frame[:3], frame[6:9]}] == []
    assert most > 10, "at some instant a whole network was running"
    assert mounts_of_this_machine() == mounts
    assert RUN_VARIABLE not in os.environ
