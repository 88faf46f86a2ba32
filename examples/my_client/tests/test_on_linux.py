"""The same phone as a program of its own, on network namespaces, behind Linux's netfilter."""

import os
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
KEEPALIVE = os.environ.get("SAMPLE_KEEPALIVE", "1")
"""Seconds; here the box forgets in two. Try 30."""


@pytest.mark.callpath(
    "../topologies/phone_at_home.py",
    world="emu",
    parameters={"home_nat": "port-restricted{lifetimes.udp_unreplied: 2s, lifetimes.udp: 2s}"},
)
def test_a_phone_that_was_idle_is_rung(callpath):
    server, phone = callpath.host("server"), callpath.host("phone")
    serving = [sys.executable, "-m", "my_client.server", "--ring-after", "3"]
    server.start(serving, directory=PROJECT).wait_for_output("ready")
    calling = [sys.executable, "-m", "my_client.client", server.address, "anna", "--keepalive", KEEPALIVE]
    ringing = phone.start(calling, directory=PROJECT)
    ringing.wait_for_output("rung", "6s")
