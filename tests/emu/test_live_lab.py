"""A lab that stays open on the kernel: the user's own programs on its hosts, faults, and its end."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lab.errors import HostNotReady, ProgramFailed, TrialInvalid, UsageError
from lab.live import LabSpec, open_lab
from lab.live.evidence import write_evidence

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack"),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_client"


@pytest.fixture(scope="module")
def homes():
    with open_lab(LabSpec(topology="two_homes", world="emu", parameters={"alice_nat": "full-cone"})) as lab:
        yield lab


def test_a_call_is_made_and_its_path_told(homes):
    record = homes.call("alice", "bob", name="visit")
    assert record.path.is_direct
    assert homes.path("visit") == record.path
    homes.hang_up("visit")


def test_a_program_runs_in_its_hosts_network_and_sees_its_names(homes):
    alice, relay = homes.host("alice"), homes.host("relay")
    assert alice.address in alice.run(["ip", "-br", "addr"]).output
    assert alice.run(["getent", "hosts", "relay.test"]).output.split()[0] == relay.address


def test_output_status_and_directory_of_a_program_are_its_own(homes, tmp_path):
    script = 'pwd; echo "$WORD" >&2; exit 3'
    finished = homes.host("bob").run(
        ["sh", "-c", script], directory=tmp_path, environment={"WORD": "heard"}, check=False
    )
    assert (finished.exit_code, finished.output) == (3, f"{tmp_path}\nheard\n")


def test_a_program_is_waited_for_signalled_and_stopped_with_all_it_started(homes):
    process = homes.host("bob").start(["sh", "-c", "sleep 1000 & echo $!; wait"])
    child = process.wait_for_output("\n").strip()
    assert process.is_running
    assert process.stop().exit_code == -signal.SIGTERM
    # As in the lab's own process table, which this process does not have.
    assert homes.host("bob").run(["sh", "-c", f"kill -0 {child}"], check=False).exit_code != 0


def test_a_program_that_goes_on_is_stopped_at_its_time_limit_with_what_it_printed(homes):
    with pytest.raises(ProgramFailed, match=r"has not ended after 200ms\nit printed\nfirst words"):
        homes.host("bob").run(["sh", "-c", "echo first words; exec sleep 1000"], timeout="200ms")


def test_a_text_that_is_never_printed_is_not_waited_for_for_ever(homes):
    process = homes.host("bob").start(["sh", "-c", "echo other; exec sleep 1000"])
    with pytest.raises(ProgramFailed, match="has not printed 'ready' after 100ms"):
        process.wait_for_output("ready", "100ms")
    process.stop()
    with pytest.raises(ProgramFailed, match=r"ended with -15 and did not print 'ready'"):
        process.wait_for_output("ready")


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda lab: lab.host("bob").run(["no-such-program"]), UsageError, "no-such-program: no such"),
        (lambda lab: lab.host("bob").run(["ip"], directory="/no/such"), UsageError, "/no/such: No such file"),
        (lambda lab: lab.host("bob").run(["false"]), ProgramFailed, "false on bob: ended with 1"),
        (lambda lab: lab.host("bob").start_async(test_a_call_is_made_and_its_path_told), UsageError,
         "the kernel world runs programs"),
        (lambda lab: lab.cut("alice-acces"), UsageError, 'did you mean "alice-access"'),
        (lambda lab: lab.impair("alice-home", delay="20ms"), UsageError, "built as a plain wire"),
        (lambda lab: lab.drop("alice-home", nth=1), UsageError, "built as a plain wire"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_and_the_lab_goes_on(homes, act, error, message):
    with pytest.raises(error, match=message):
        act(homes)
    assert homes.host("bob").run(["true"]).exit_code == 0


def test_faults_are_done_when_the_call_returns(homes):
    reach = ["sh", "-c", f"exec 3<>/dev/tcp/{homes.host('rendezvous').address}/443"]
    reach[0] = "bash"
    homes.cut("alice-access")
    with pytest.raises(ProgramFailed):
        homes.host("alice").run(reach, timeout="500ms")
    homes.heal("alice-access")
    assert homes.host("alice").run(reach).exit_code == 0
    homes.reboot_nat("alice-nat")
    assert homes.events_of("nat.rebooted", "alice-nat")


@pytest.mark.system("tshark")
def test_a_capture_may_be_asked_for_again_and_has_what_befell_its_packets(homes, tmp_path):
    first = homes.capture()
    homes.cut("alice-access")
    homes.host("alice").run(["bash", "-c", "echo > /dev/udp/198.18.0.10/9"])
    assert homes.wait_until(lambda: b"is cut" in homes.capture(["alice-nat", "internet"]))
    homes.heal("alice-access")
    (tmp_path / "x.pcapng").write_bytes(homes.capture())
    assert len((tmp_path / "x.pcapng").read_bytes()) > len(first)
    read = [
        "tshark",
        "-r",
        tmp_path / "x.pcapng",
        "-Y",
        "udp.port == 9",
        "-T",
        "fields",
        "-e",
        "frame.interface_name",
    ]
    names = subprocess.run(read, capture_output=True, text=True, check=True).stdout.split()
    assert {"alice:alice-home", "alice-nat:alice-home"} <= {*names}


def test_time_goes_on_between_two_actions(homes):
    before = homes.now
    time.sleep(0.05)
    assert homes.now > before + 0.04
    assert homes.wait_until(lambda: homes.now > before + 0.2, "10s")


def test_actions_of_several_threads_go_on_side_by_side(homes):
    began = time.monotonic()
    threads = [threading.Thread(target=homes.sleep, args=["1s"]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 6


def test_programs_of_the_users_are_endpoints_in_the_words_of_a_scenario():
    plain = {"command": [sys.executable, "-m", "lab.adapters.plain_udp"], "ready_within": "30s"}
    spec = LabSpec(topology="one_lan", world="emu", programs={"endpoint": "plain-udp", "bob": plain})
    with open_lab(spec) as lab:
        assert lab.call("alice", "bob").path == "host"
        assert {name: lab.network.nodes[name].program_name for name in ("alice", "bob", "relay")} == {
            "alice": "plain-udp", "bob": Path(sys.executable).name, "relay": "relay",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("programs", "error", "message"),
    [
        ({"alice": ["./nowhere"]}, UsageError, "programs: alice: "),
        ({"alice": {"command": ["./nowhere"]}}, HostNotReady, "alice: no program './nowhere'"),
        ({"alcie": "plain-udp"}, UsageError, 'programs: alcie: no host or role .*\n.*did you mean "alice"'),
        ({"relay": "plain-udp"}, UsageError, "relay: plain-udp cannot be a node with role 'relay'"),
        (
            {"alice": {"command": ["sh", "-c", "echo it broke >&2; exit 3"]}},
            HostNotReady,
            "(?s)alice: sh ended with exit status 3 before it was ready.*it broke",
        ),
    ],
)
def test_a_program_that_cannot_be_an_endpoint_is_told(programs, error, message):
    with pytest.raises(error, match=message):
        open_lab(LabSpec(topology="one_lan", world="emu", programs=programs))


def test_evidence_has_what_programs_printed(homes, tmp_path):
    homes.host("bob").run(["echo", "kept"])
    evidence = write_evidence(homes, tmp_path)
    assert "capture.pcapng" in evidence.files
    (name,) = [name for name in evidence.files if name.endswith("bob-echo.log")][-1:]
    assert (tmp_path / name).read_text() == "kept\n"


def test_the_end_takes_every_process_along():
    lab = open_lab(LabSpec(topology="one_lan", world="emu"))
    process = lab.host("alice").start(["sh", "-c", "echo up; exec sleep 1000"])
    process.wait_for_output("up")
    first = lab.world.pid
    assert first
    lab.close()
    assert not Path(f"/proc/{first}").exists()
    with pytest.raises(TrialInvalid, match="the lab is closed"):
        lab.sleep("1s")
    with pytest.raises(TrialInvalid, match="the lab is closed"):
        process.wait("5s")
    lab.close()


def test_a_namespace_that_is_killed_is_told_and_not_waited_for():
    with open_lab(LabSpec(topology="one_lan", world="emu")) as lab:
        os.kill(lab.world.pid, signal.SIGKILL)
        with pytest.raises(HostNotReady, match=r"namespace .* ended"):
            lab.host("alice").run(["true"], timeout="10s")


def test_a_deadline_ends_what_would_go_on():
    with open_lab(LabSpec(topology="one_lan", world="emu", deadline=5.0)) as lab:
        with pytest.raises(TrialInvalid, match="deadline of 5 s"):
            lab.sleep("1h")
        with pytest.raises(TrialInvalid, match="deadline of 5 s"):
            lab.sleep("1ms")


def test_the_sample_project_on_this_kernel(tmp_path):
    """Its client passes; with a keepalive rarer than the box remembers it does not, and output is kept."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("CALLPATH", "PYTEST"))}

    def run(environment):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-p"]
        command += ["no:benchmark", f"--callpath-artifacts={tmp_path}", "tests/test_on_linux.py"]
        return subprocess.run(
            command, cwd=EXAMPLE, env=environment, capture_output=True, text=True, check=False
        )

    done = run(plain)
    assert done.returncode == 0, done.stdout + done.stderr
    done = run(plain | {"SAMPLE_KEEPALIVE": "30"})
    assert done.returncode == 1, done.stdout + done.stderr
    assert "has not printed 'rung' after 6s" in done.stdout
    kept = re.search(r"^kept in  (\S+)/$", done.stdout, re.MULTILINE)
    assert kept is not None, done.stdout
    assert "ready\n" in [path.read_text() for path in Path(kept[1]).glob("output-*-server-*.log")]
