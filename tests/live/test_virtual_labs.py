"""A lab that stays open in virtual time: time stands still between two actions, and jumps within them."""

import asyncio
import subprocess
import sys

import pytest

from lab.errors import ProgramFailed, TrialInvalid, UsageError
from lab.live import LabSpec, open_lab
from lab.live.evidence import losses_of, write_evidence
from lab.spec.command import CandidatePolicy


@pytest.fixture
def homes():
    with open_lab(LabSpec(topology="two_homes")) as lab:
        yield lab


async def echo(port: int) -> None:
    """Send every datagram back."""

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            self.transport.sendto(data, addr)

    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Echo, local_addr=("0.0.0.0", port))  # noqa: S104 - a simulated host's
    await loop.create_future()


async def ask(server: str, port: int) -> tuple[bytes, float]:
    """Return what came back for a datagram, and after how many seconds."""
    loop = asyncio.get_running_loop()
    answer = loop.create_future()

    class Ask(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            answer.set_result(data)

    transport, _ = await loop.create_datagram_endpoint(Ask, remote_addr=(server, port))
    began = loop.time()
    transport.sendto(b"who is there?")
    return await answer, loop.time() - began


def test_a_call_is_made_and_its_path_told(homes):
    record = homes.call("alice", "bob", policy=CandidatePolicy(candidates="no-relay"))
    assert record.path == homes.path() == "server-reflexive"
    homes.hang_up("call-1")
    assert [event.data["reason"] for event in homes.events_of("call.ended", node="alice")] == ["hung up"]


def test_time_stands_still_between_two_actions_and_jumps_within_one(homes):
    before = homes.now
    assert homes.now == before
    homes.sleep("10h")
    assert homes.now == before + 36_000


def test_waiting_for_a_condition_takes_as_long_as_it_does(homes):
    began = homes.now
    assert homes.wait_until(lambda: homes.events[-1].time >= 0, every="1s")
    assert not homes.wait_until(lambda: False, "3s", every="1s")
    assert homes.now == began + 3


def test_programs_of_the_users_run_on_hosts(homes):
    homes.host("rendezvous").start_async(echo, 7)
    answer, seconds = homes.host("alice").run_async(ask, homes.host("rendezvous").address, 7)
    assert answer == b"who is there?"
    assert seconds == pytest.approx(0.030)


def test_a_program_that_waits_for_ever_is_given_up_at_its_time_limit(homes):
    task = homes.host("alice").start_async(echo, 7)
    with pytest.raises(ProgramFailed, match="echo on alice has not ended after 5s"):
        task.result("5s")
    assert task.is_running
    task.stop()
    assert not task.is_running


def test_what_a_program_raises_comes_to_who_asks_for_its_result(homes):
    async def fail():
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        homes.host("alice").run_async(fail)


def test_an_error_nobody_asked_for_is_kept(homes):
    async def fail():
        raise LookupError("no such thing")

    task = homes.host("alice").start_async(fail)
    homes.sleep("1s")
    assert isinstance(task.unseen_error(), LookupError)


def test_losses_are_told_with_their_reason(homes):
    homes.host("rendezvous").start_async(echo, 7)
    homes.cut("alice-access")
    with pytest.raises(ProgramFailed):
        homes.host("alice").run_async(ask, homes.host("rendezvous").address, 7, timeout="1s")
    cut = [loss for loss in losses_of(homes.events) if "cut" in loss]
    assert any("at alice-access from alice-nat: " in loss for loss in cut)


def test_evidence_is_a_ladder_a_capture_events_and_the_network(homes, tmp_path):
    homes.call("alice", "bob")
    evidence = write_evidence(homes, tmp_path / "kept", "a test")
    assert evidence.files == ["ladder.txt", "capture.pcapng", "events.jsonl", "network.txt"]
    assert (tmp_path / "kept" / "ladder.txt").read_text().startswith("a test\n")
    assert "kept in  kept/" in evidence.text(tmp_path)


@pytest.mark.system("tshark")
def test_the_capture_is_one_that_others_read(homes, tmp_path):
    homes.call("alice", "bob")
    path = tmp_path / "x.pcapng"
    path.write_bytes(homes.world.capture())
    read = subprocess.run(["tshark", "-r", path, "-Y", "stun"], capture_output=True, text=True, check=True)
    assert "Binding Request" in read.stdout


def test_packets_are_not_kept_where_that_is_not_wanted(tmp_path):
    with open_lab(LabSpec(topology="two_homes", keeps_packets=False)) as lab:
        lab.call("alice", "bob")
        assert write_evidence(lab, tmp_path).files == ["events.jsonl", "network.txt"]


def test_labs_may_be_open_side_by_side():
    """Each has a clock of its own, and third-party code is bound to the one that is driven."""
    with open_lab(LabSpec(topology="two_homes")) as one, open_lab(LabSpec(topology="one_lan")) as other:
        assert one.call("alice", "bob").connected
        assert other.call("alice", "bob").path == "host"
        assert one.call("bob", "alice").connected
        one.sleep("1h")
        assert other.now < 60


def test_the_same_seed_gives_the_same_events():
    def events(seed):
        with open_lab(LabSpec(topology="two_homes", seed=seed)) as lab:
            lab.call("alice", "bob")
            return [event.to_json("") for event in lab.events]

    assert events(1) == events(1) != events(2)


def test_what_the_shutdown_says_is_no_part_of_the_events(homes):
    homes.call("alice", "bob")
    before = homes.events
    homes.close()
    assert homes.events == before


def test_a_closed_lab_says_so(homes):
    homes.close()
    with pytest.raises(TrialInvalid, match="the lab is closed"):
        homes.sleep("1s")
    homes.close()  # and once more does nothing


def test_nothing_is_done_beyond_the_deadline():
    with open_lab(LabSpec(topology="two_homes", deadline=30.0)) as lab:
        lab.sleep("20s")
        with pytest.raises(TrialInvalid, match="deadline of 30 s"):
            lab.sleep("20s")


def test_a_budget_of_events_ends_what_grows_without_end():
    async def spin():
        asyncio.get_running_loop().call_soon(again)
        await asyncio.get_running_loop().create_future()

    def again():
        asyncio.get_running_loop().call_soon(again)

    lab = open_lab(LabSpec(topology="two_homes", event_budget=20_000))
    with lab, pytest.raises(TrialInvalid, match="budget of 20000 events"):
        lab.host("alice").run_async(spin)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda lab: lab.cut("alice-acces"), r'no link .*\n.*did you mean "alice-access"'),
        (lambda lab: lab.host("alise"), r'no host \'alise\' in two_homes\n.*did you mean "alice"'),
        (lambda lab: lab.host("alice-nat"), "no host 'alice-nat'"),
        (lambda lab: lab.sleep(5), "5 is not a duration"),
        (lambda lab: lab.host("alice").start(["sleep", "1"]), "no program of this machine runs in virtual"),
        (lambda lab: lab.host("alice").start("sleep 1"), "'sleep 1' is no command line"),
        (lambda lab: lab.path("call-9"), "no call 'call-9'"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_lab_goes_on(homes, act, message):
    with pytest.raises(UsageError, match=message):
        act(homes)
    assert homes.call("alice", "bob").connected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"topology": "two_hoems"}, "two_homes"),
        ({"topology": "two_homes", "world": "simm"}, r"no such world: 'simm'\n.*\"sim\""),
        ({"topology": "two_homes", "parameters": {"alice_nta": "cgn"}}, "alice_nat"),
        ({"topology": "two_homes", "nat_plane": "engine"}, "carries out NAT boxes of the kernel world"),
        ({"topology": "two_homes", "relay": "coturn"}, "coturn"),
        (
            {"topology": "sip_homes", "parameters": {"sip_alg": True}},
            "SIP gateway .* --nat-plane auto or kernel",
        ),
    ],
)
def test_a_lab_that_cannot_be_is_refused(options, message):
    with pytest.raises(UsageError, match=f"(?s){message}"):
        open_lab(LabSpec(**options))


async def _inside_a_loop(lab):
    with pytest.raises(UsageError, match="cannot be driven from inside an event loop"):
        lab.sleep("1s")


def test_a_lab_is_not_driven_from_inside_a_loop(homes):
    asyncio.run(_inside_a_loop(homes))


def test_nothing_heavy_is_loaded_for_a_lab():
    program = (
        "import sys, lab.live, lab.live.evidence\n"
        "heavy = {'matplotlib', 'pandas', 'pyarrow', 'scipy', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imports {sorted(heavy)}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
