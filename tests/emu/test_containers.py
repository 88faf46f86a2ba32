"""Containers as hosts: images of anybody, with nothing of the lab inside, on the lab's network."""

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from plain_topologies import homes_network, public_network

import lab as package
from lab.emu.containers.engine import HOST_VARIABLE, Engine
from lab.emu.containers.labels import MAKER, RUN, abandoned, containers_of_runs
from lab.emu.containers.private_engine import PrivateEngine
from lab.emu.installed import require_installed
from lab.emu.lab import emulate
from lab.emu.outer.maker import maker_number
from lab.errors import HostNotReady, UsageError
from lab.measure.calls import calls_of
from lab.measure.metrics import measure
from lab.run.program_choice import with_programs
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.event import EventType, PathClass
from lab.spec.expectation import Request
from lab.spec.program import Program

ROOT = Path(__file__).parents[2]
ADAPTERS = ROOT / "lab" / "adapters"
SETTINGS = {"run_seed": 1, "trial_key": "t", "deadline": 90.0}
COTURN = ("turnserver", "-n", "--no-cli", "--no-tls", "--no-dtls", "--log-file=stdout", "--pidfile=/tmp/pid",
          "--lt-cred-mech", "--user=callpath:callpath-password", "--realm=callpath.test")  # fmt: skip

pytestmark = [
    pytest.mark.engine,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack", "mmdebstrap"),
    pytest.mark.usefixtures("untouched_machine", "no_containers_left"),
]


@pytest.fixture(scope="module")
def engine():
    with Engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def debian():
    """Return the name of an image that is Debian with a few packages: Python and coturn, and nothing else."""
    return base_image()


def base_image():
    command = [sys.executable, str(ROOT / "tools" / "images.py"), "base"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def no_containers_left(engine):
    yield
    own = [c for c in containers_of_runs(engine) if maker_number(c["Labels"][MAKER]) == os.getpid()]
    assert own == []


def play(network, programs, scenario):
    return emulate(with_programs(network, programs), scenario, {}, **SETTINGS)


def events(played, type_, node=None):
    return [e for e in played.events if e.type is type_ and node in {None, e.node}]


def outages(played, within=None):
    """Return what was measured of the first call's two directions, from the first fault on or in all."""
    request = Request("media.outage", within)
    return [s.value for s in measure(played.events, [request])[request] if s.call == "call-1"]


def test_two_symmetric_boxes_leave_an_image_that_is_just_coturn_and_feel_its_pause_and_its_death(debian):
    """The relay keeps its network while its container is paused, killed and started anew."""

    async def scenario(lab):
        calling = asyncio.ensure_future(lab.call("alice", "bob", media=MediaPlan(packets=400, interval=0.02)))
        while not any(e.type is EventType.MEDIA_RECEIVED for e in lab.events):
            await lab.sleep("50ms")
        await lab.sleep("500ms")
        lab.pause("relay")
        await lab.sleep("1500ms")
        lab.resume("relay")
        await lab.sleep("700ms")
        lab.kill("relay")
        await calling
        lab.restart("relay")
        await lab.sleep("2s")
        again = await lab.call("alice", "bob", policy=CandidatePolicy(candidates="relay-only"))
        assert again.connected

    relay = Program(image=debian, command=COTURN)
    played = play(homes_network("symmetric", "symmetric"), {"relay": relay}, scenario)
    first, second = calls_of(played.events)
    assert (first.path, second.path) == (PathClass.RELAY, PathClass.RELAY)
    (paused,), (killed,) = events(played, EventType.ROLE_PAUSED), events(played, EventType.ROLE_KILLED)
    at_the_pause = outages(played, within=killed.time - paused.time - 0.3)
    assert all(0.75 < outage < 2.2 for outage in at_the_pause), (
        "at least half of the pause, for the engine takes a while to pause and to resume"
    )
    last_sent = max(e.time for e in events(played, EventType.MEDIA_SENT) if e.call == "call-1")
    at_its_death = outages(played)
    assert all(last_sent - killed.time - 2.5 < outage for outage in at_its_death)
    assert min(at_its_death) > max(at_the_pause), "nothing comes any more"
    assert events(played, EventType.ROLE_FAILED) == []
    assert "relay 192.0.2.10 initialization done" in played.outputs["relay"]


def test_an_image_that_speaks_the_contract_calls_the_labs_own_namespace(debian, engine):
    """Of the two endpoints one is a container, the other is a process."""
    image = build(
        engine, debian, {f"/app/lab/adapters/{p.name}": p.read_bytes() for p in ADAPTERS.glob("*.py")}
    )
    plain = Program(image=image, command=("python3", "-m", "lab.adapters.plain_udp"))

    async def scenario(lab):
        await lab.call("alice", "bob", timeout="10s")
        await lab.hang_up("call-1")

    programs = {"alice": plain, "bob": Program(adapter="plain-udp")}
    (call,) = calls_of(play(public_network(), programs, scenario).events)
    assert call.path is PathClass.HOST
    assert (call.caller.received, call.callee.received) == (5, 5)


def build(engine, base, files):
    """Return the name of an image that is another and files, with /app as its directory."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, content in {
            "/Dockerfile": f"FROM {base}\nCOPY app /app\nWORKDIR /app\n".encode(),
            **files,
        }.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    name = "callpath/test-of-contract:latest"
    context = io.BytesIO(packed.getvalue())
    steps = list(
        engine.client.build(
            fileobj=context, custom_context=True, tag=name, network_mode="none", decode=True, rm=True
        )
    )
    assert not [step for step in steps if "error" in step], steps
    return name


@pytest.mark.parametrize(
    ("command", "limits", "said"),
    [
        (("sh", "-c", "echo no such realm; exit 3"), {},
         r"ended with exit status 3; it said last\n  no such realm"),
        (("sleep", "60"), {"ready_within": 0.5}, r"has not answered in 0.5 s on udp 192\.0\.2\.10:3478"),
        (("python3", "-c", "x = 'x' * 10**9"), {"memory": 32 << 20},
         r"was ended by SIGKILL; it said last\n  out of memory: its limit is 32 MiB"),
        (("no-such-program",), {}, r'exec: "no-such-program": executable file not found in \$PATH'),
    ],
    ids=["exits", "is silent", "needs more memory", "is not there"],
)  # fmt: skip
def test_a_relay_that_does_not_serve_ends_the_run_with_what_it_said(debian, command, limits, said):
    programs = {"relay": Program(image=debian, command=command, **limits)}
    with pytest.raises(HostNotReady, match=said):
        play(public_network(), programs, nothing)


async def nothing(lab):
    await lab.sleep("1ms")


def test_a_container_that_dies_later_is_an_event_with_its_exit_status_and_last_words(debian):
    serve = (
        "import subprocess, sys, time\nserver = subprocess.Popen(sys.argv[1:])\ntime.sleep(3)\n"
        "print('enough')\nsys.exit(9)"
    )

    async def scenario(lab):
        while not any(e.type is EventType.ROLE_FAILED for e in lab.events):
            await lab.sleep("100ms")

    relay = Program(image=debian, command=("python3", "-u", "-c", serve, *COTURN))
    (failed,) = events(play(public_network(), {"relay": relay}, scenario), EventType.ROLE_FAILED)
    assert failed.node == "relay"
    assert re.search(r"ended with exit status 9; it said last\n(.*\n)*  enough", failed.data["error"])


def test_a_container_can_neither_change_its_network_nor_leave_it(debian):
    probe = (  # one stream, and few lines: the last ones are told
        "exec 2>&1; ip -br link; ip link set lo down; ip route add default dev lo;"
        " python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)' 2>&1 | tail -n 1;"
        " exit 5"
    )
    with pytest.raises(HostNotReady) as refused:
        play(public_network(), {"relay": Program(image=debian, command=("sh", "-c", probe))}, nothing)
    assert str(refused.value).count("Operation not permitted") == 3
    assert "relay-eth0" in str(refused.value)


def test_an_image_that_is_not_there_is_told_before_anything_is_built():
    with pytest.raises(UsageError, match="image no/such:1 is not known to the Docker engine"):
        require_installed("relay", Program(image="no/such:1"))


SCENARIO = """\
callpath: 1
topology: two_homes
parameters: {{alice_nat: symmetric, bob_nat: symmetric}}
calls: {{from: alice, to: bob, hold: {hold}}}
programs:
  relay: {{image: "{image}", command: [{command}], memory: 64MiB, cpus: 0.5}}
expect:
  - {{metric: relay.share, rate: "== 100%"}}
worlds: [emu]
worlds_reason: an image is a program of the kernel's
"""


def write_scenario(directory, image, hold="0s"):
    command = ", ".join(f'"{word}"' for word in COTURN)
    (directory / "relayed.yaml").write_text(SCENARIO.format(image=image, command=command, hold=hold))


def callpath(directory, *words, **environment):
    environment = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1]), **environment}
    command = [sys.executable, "-m", "lab.cli", *words]
    return subprocess.Popen(
        command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture
def lone_engine(monkeypatch):
    """Start an engine that no other test uses: a run removes what any killed run has left."""
    with PrivateEngine() as private:
        monkeypatch.setenv(HOST_VARIABLE, private.url)
        with Engine() as engine:
            yield engine


@pytest.mark.system("dockerd")
def test_one_line_of_a_scenario_replaces_the_relay_and_a_killed_run_is_cleaned_up_by_the_next(
    lone_engine, tmp_path
):
    engine, debian = lone_engine, base_image()
    write_scenario(tmp_path, debian, hold="60s")
    killed = callpath(tmp_path, "run", "relayed.yaml", "--world", "emu")
    end = time.monotonic() + 60
    while len(engine.client.containers(filters={"label": RUN})) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    left = {container["Id"] for container in engine.client.containers(all=True, filters={"label": RUN})}
    assert len(left) == 2
    assert set(abandoned(engine)) == left
    cleaned, _ = (clean := callpath(tmp_path, "clean", "--dry-run")).communicate()
    assert clean.returncode == 0
    assert "would remove: 2 containers of run" in cleaned
    write_scenario(tmp_path, debian)
    run = callpath(tmp_path, "run", "relayed.yaml", "--world", "emu")
    said, _ = run.communicate()
    assert run.returncode == 0, said
    (log,) = tmp_path.glob("results/*/logs/*relay*")
    assert "SQLite" in log.read_text()


@pytest.fixture(scope="module")
def images(debian):
    """Build the images of the lab's own parts; return their names."""
    command = [sys.executable, str(ROOT / "tools" / "images.py"), "all"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_labs_own_programs_in_its_images_take_the_same_paths(images, tmp_path):
    """A hole is punched, a relay is reached over UDP, and over TLS with the run's own authority."""
    write_scenario(tmp_path, images[0])
    words = ["run", "nat_matrix", "--world", "emu", "--hosts", "docker", "--repeat", "1", "--jobs", "1"]
    boxes = ["--set", "alice_nat=port-restricted,symmetric", "--set", "bob_nat=port-restricted"]
    run = callpath(tmp_path, *words, *boxes)
    said, _ = run.communicate()
    assert run.returncode == 0, said
    assert re.search(r"port-restricted +[○◐] .*\n.*symmetric +▲", said)
    (manifest,) = tmp_path.glob("results/*/manifest.json")
    assert images[1] in manifest.read_text()


def test_the_labs_own_relay_in_a_container_serves_tls_with_the_authority_of_the_run(images):
    network = homes_network("udp-blocked", "port-restricted")
    own = {
        name: Program(image=image, runs_roles=True)
        for name, image in zip(("rendezvous", "endpoint", "relay"), images, strict=False)
    }

    async def scenario(lab):
        policy = CandidatePolicy(turn_transports=("tls",))
        await lab.call("alice", "bob", policy=policy)

    (call,) = calls_of(play(network, own, scenario).events)
    assert call.path is PathClass.RELAY


def test_containers_in_virtual_time_are_refused(tmp_path):
    run = callpath(tmp_path, "run", "nat_matrix", "--hosts", "docker")
    said, _ = run.communicate()
    assert run.returncode == 2
    assert "--hosts docker: containers are hosts of the kernel world" in said


def test_hosts_in_containers_without_an_engine_end_the_run_before_it_begins(tmp_path):
    words = ["run", "nat_matrix", "--world", "emu", "--hosts", "docker", "--set", "alice_nat=none"]
    run = callpath(tmp_path, *words, "--set", "bob_nat=none", DOCKER_HOST="unix:///nowhere.sock")
    said, _ = run.communicate()
    assert run.returncode == 4
    assert "no Docker engine: there is no /nowhere.sock" in said
    assert "callpath engine" in said
