"""Kamailio as the SIP proxy of a network: configured, asked whether it answers, its end noticed."""

import asyncio
import functools
import os
import re
import shutil
import signal
import subprocess
from dataclasses import replace

import pytest
from mininet.topo import Topo
from own_processes import our_processes

from lab.emu.lab import emulate
from lab.emu.programs.program_ends import LAST_LINES
from lab.emu.servers.kamailio import Kamailio, configuration_text, kamailio_version
from lab.emu.servers.listener import Listener
from lab.errors import HostNotReady, UsageError
from lab.roles.catalogue import make_role
from lab.roles.real_context import RealRoleContext
from lab.spec.event import EventType
from lab.spec.network import Interface
from lab.spec.plan import plan_network
from lab.spec.roles import addresses_of

SETTINGS = {"run_seed": 1, "trial_key": "t", "deadline": 90.0}

in_a_namespace = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack", "kamailio"),
    pytest.mark.usefixtures("untouched_machine"),
]


def mark_all(*marks):
    """Return a decorator that puts every one of these marks on a test."""
    return lambda test: functools.reduce(lambda marked, mark: mark(marked), marks, test)


class OneProxy(Topo):
    """A proxy, and somebody who can ask it."""

    def build(self, ipv6: bool = False) -> None:
        self.addHost("internet", role="router")
        for name, role in (("phone", "host"), ("registrar", "sip_proxy")):
            self.addHost(name, role=role)
            self.addLink(name, "internet", label=name, ipv6=ipv6)


def proxy_network(**options):
    return plan_network(OneProxy(**options), "one proxy")


def our_kamailios():
    """Return the processes that run Kamailio below this one."""
    return our_processes("kamailio")


@pytest.mark.real_time
@pytest.mark.system("kamailio")
def test_kamailio_itself_accepts_the_configuration_for_two_families_and_a_name(tmp_path):
    listeners = [Listener(t, a, 5060) for t in ("udp", "tcp") for a in ("127.0.0.1", "::1")]
    written = tmp_path / "kamailio.cfg"
    written.write_text(configuration_text(listeners, ["registrar.test"]))
    done = subprocess.run(["kamailio", "-c", "-f", str(written)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "config file ok" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def played():
    """One run: a healthy start, the death of its first process, a start anew, then another on its port."""

    async def scenario(lab):
        seen["first"] = our_kamailios()
        os.kill(min(seen["first"]), signal.SIGKILL)
        await lab.sleep("500ms")
        seen["after its death"] = our_kamailios()
        lab.restart("registrar")
        await _until(lambda: len(our_kamailios()) == len(seen["first"]))
        seen["again"] = our_kamailios()
        lab.kill("registrar")
        await _until(lambda: not our_kamailios())
        address = addresses_of(lab.network.nodes["registrar"])[0]
        taken = OTHER_PROGRAM.format(address=address)
        await lab._agent.ask("run", node="registrar", command=["sh", "-c", taken])
        lab.restart("registrar")
        await lab.sleep("60s")

    seen, told = {}, []
    network = proxy_network(ipv6=True)
    with pytest.raises(HostNotReady) as refused:
        emulate(network, _heard(scenario, told), {}, **SETTINGS)
    return seen, told, str(refused.value)


OTHER_PROGRAM = """\
python3 -c 'import socket, time
s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("{address}", 5060)); time.sleep(60)' >/dev/null 2>&1 &
sleep 1
"""


def _heard(scenario, told):
    """Return a scenario of which the events are kept although its run ends by an error."""

    async def heard(lab):
        try:
            await scenario(lab)
        finally:
            told.extend(lab.events)

    return heard


async def _until(condition):
    """Wait for something to come true, as long as a busy machine may need."""
    for _ in range(600):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to it in 30 s")


@mark_all(*in_a_namespace)
def test_a_trial_begins_when_kamailio_has_answered_and_nothing_of_it_is_left_afterwards(played):
    seen, _, _ = played
    assert len(seen["first"]) > 1
    assert our_kamailios() == set()


@mark_all(*in_a_namespace)
def test_kamailios_death_is_an_event_with_its_last_words_and_no_process_of_it_serves_on(played):
    seen, told, _ = played
    failed = next(e for e in told if e.type is EventType.ROLE_FAILED)
    assert (failed.node, failed.data["program"]) == ("registrar", "sip_proxy")
    assert "Kamailio was ended by SIGKILL" in failed.data["error"]
    assert len(failed.data["error"].splitlines()) <= LAST_LINES + 1
    assert seen["after its death"] == set()


@mark_all(*in_a_namespace)
def test_kamailio_is_started_anew_as_any_program_is(played):
    seen, _, _ = played
    assert seen["again"].isdisjoint(seen["first"])


@mark_all(*in_a_namespace)
def test_a_port_that_is_taken_ends_the_run_with_what_kamailio_says_of_it(played):
    _, _, refused = played
    assert "Kamailio ended with exit status 255; it said last" in refused
    assert "Address already in use" in refused


@mark_all(*in_a_namespace)
def test_a_configuration_that_kamailio_refuses_ends_the_run_with_the_line_at_fault(tmp_path, monkeypatch):
    wrapper = tmp_path / "kamailio"
    wrapper.write_text(
        f'#!/bin/sh\nsed -i s/request_route/requst_route/ "$4"\nexec {shutil.which("kamailio")} "$@"\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(HostNotReady, match=r"Kamailio ended with exit status 255; it said last") as refused:
        emulate(proxy_network(), _nothing, {}, **SETTINGS)
    assert re.search(r"parse error in config file /run/.*, line \d+", str(refused.value))


async def _nothing(_lab):
    pass


def test_a_proxy_that_never_answers_is_told_with_the_places_where_it_is_silent(tmp_path, monkeypatch):
    stand_in = tmp_path / "kamailio"
    stand_in.write_text("#!/bin/sh\nexec sleep 60\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("lab.emu.servers.server_program.START_SECONDS", 0.3)
    monkeypatch.setattr("lab.emu.servers.kamailio._FILES", tmp_path / "files")
    nobody = Interface(node="registrar", link="lo", addresses=("127.98.76.54/8",))
    node = replace(proxy_network().nodes["registrar"], interfaces=(nobody,))
    with pytest.raises(HostNotReady, match=r"has not answered in 0.3 s on udp 127.98.76.54:5060, tcp 127"):
        asyncio.run(Kamailio(node, proxy_network()).run())


def test_virtual_time_has_no_proxy():
    network = proxy_network()
    context = RealRoleContext("registrar", ["192.0.2.1"])
    with pytest.raises(UsageError, match="--world emu"):
        make_role(network.nodes["registrar"], network, context)


def test_without_kamailio_the_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostNotReady, match="apt-get install kamailio"):
        kamailio_version()
