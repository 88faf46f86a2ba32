"""Which programs a run has: from the scenario, from the command line, and whether this machine has them."""

import pickle

import pytest

from lab.cli.main import run_command_line
from lab.cli.parameters import parse_programs
from lab.errors import HostNotReady, UsageError
from lab.run.plan import distinct_networks, plan_run
from lab.run.program_choice import check_programs, with_programs
from lab.run.replay_line import replay_line
from lab.spec.call_partners import call_problem
from lab.spec.find import load_topology
from lab.spec.program import Program, program_of_data
from lab.spec.program_words import parse_program

SCENARIO = """\
callpath: 1
topology: two_homes
parameters: {alice_nat: none, bob_nat: none}
calls: {from: alice, to: bob}
programs:
  endpoint: {command: [./client.sh, -v], options: {codec: opus}, ready_within: 5s}
  bob: plain-udp
"""


@pytest.fixture
def scenario(tmp_path, monkeypatch):
    """A scenario with programs, and the program that it names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(SCENARIO)
    (tmp_path / "client.sh").write_text("#!/bin/sh\n")
    (tmp_path / "client.sh").chmod(0o755)
    return "./mine.yaml"


def plan(scenario, *texts, world="emu"):
    return plan_run(scenario, seed=1, world=world, programs=parse_programs(texts))


def check(plan):
    return check_programs(distinct_networks(plan.trials))


def test_a_nodes_own_program_comes_before_that_of_its_role_and_the_command_line_before_both(scenario):
    trial = plan(scenario).trials[0]
    network = with_programs(load_topology(trial.topology, trial.parameters), trial.programs)
    assert network.nodes["alice"].program.command == ("./client.sh", "-v")
    assert network.nodes["alice"].program.options == {"codec": "opus"}
    assert network.nodes["bob"].program.adapter == "plain-udp"
    assert network.nodes["relay"].program is None
    trial = plan(scenario, "alice=lab", "bob=./other -x 'a b'").trials[0]
    network = with_programs(load_topology(trial.topology, trial.parameters), trial.programs)
    assert network.nodes["alice"].program is None
    assert network.nodes["bob"].program.command == ("./other", "-x", "a b")


def test_the_programs_do_not_say_which_trial_it_is_so_that_stacks_can_be_compared(scenario):
    (one,), (other,) = plan(scenario).trials, plan(scenario, "endpoint=lab", "bob=lab").trials
    assert one.key == other.key
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - our own
    assert "--program" not in replay_line(one)
    assert "--program bob=lab" in replay_line(other)


def test_options_of_an_adapter_are_typed_in_braces(scenario):
    program = (
        plan(scenario, "endpoint=chromium{trickle: false, flags: --verbose}").trials[0].programs["endpoint"]
    )
    assert (program.adapter, program.options) == ("chromium", {"trickle": False, "flags": "--verbose"})
    assert program.typed == "chromium{trickle: false, flags: --verbose}"


def test_a_program_is_kept_as_json_and_read_back(scenario):
    for program in (*plan(scenario, "alice=./x -v").trials[0].programs.values(), Program(image="sip:1")):
        assert program_of_data(program.to_data()) == program


def test_a_command_is_looked_for_where_the_scenario_is(scenario, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    assert check(plan(str(tmp_path / "mine.yaml"))) == {}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["alcie=plain-udp"], "no host or role 'alcie' in two_homes\n  did you mean \"alice\"?"),
        (["alice=plain-upd"], "no adapter 'plain-upd'\n  did you mean \"plain-udp\"?; a command has a slash"),
        (["relay=plain-udp"], "relay: plain-udp cannot be a node with role 'relay'\n  expected endpoint"),
        (["alice=chromium{trikle: false}"], "chromium has no option 'trikle'\n  did you mean \"trickle\"?"),
        (
            ["alice=chromium{trickle: never}"],
            "trickle is 'never'\n  expected whether candidates are sent one by",
        ),
        (["alice=chromium{trickle: }, x}"], "1:"),
        (["alice=chromum{trickle: false}"], "no adapter 'chromum'\n  did you mean \"chromium\"?"),
        (["alice"], "--program alice: not a node and its program\n  expected NODE=ADAPTER or NODE=COMMAND"),
        (["alice=./x 'y"], "not the words of a shell: No closing quotation"),
        (["alice=lab", "alice=plain-udp"], "a second program for 'alice'"),
    ],
)
def test_what_is_no_program_of_the_network_is_refused_with_what_was_meant(scenario, texts, words):
    with pytest.raises(UsageError) as refused:
        check(plan(scenario, *texts))
    assert words in str(refused.value)


def test_virtual_time_refuses_each_program_with_the_remedy(scenario, capsys):
    assert run_command_line(["run", scenario]) == 2
    told = capsys.readouterr().err
    assert "alice: client.sh is a program of the kernel's sockets and clock: it cannot run in virtual" in told
    assert "run it with --world emu, or with the lab's own program: --program bob=lab" in told
    assert run_command_line(["run", scenario, "--program", "endpoint=lab"]) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("alice=./nowhere -v", "alice: no program './nowhere' in any directory of PATH"),
        ("alice=nowhere -v", "alice: no program 'nowhere' in any directory of PATH"),
        ("alice=./mine.yaml", "the file must be executable"),
    ],
)
def test_a_program_that_is_not_installed_is_the_machine_not_being_ready(scenario, text, words):
    with pytest.raises(HostNotReady, match="no program") as refused:
        check(plan(scenario, text))
    assert refused.value.exit_code == 4
    assert words.replace("in any directory of PATH", "") in str(refused.value)


def test_an_image_without_a_docker_engine_is_the_machine_not_being_ready(scenario, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    (tmp_path / "mine.yaml").write_text(
        SCENARIO.replace("bob: plain-udp", "bob: {image: sipp, command: [x]}")
    )
    with pytest.raises(HostNotReady, match=r"no /nowhere\.sock|takes root"):
        check(plan(scenario))


def test_files_that_an_adapter_is_given_are_found_from_the_scenarios_file(scenario, tmp_path, monkeypatch):
    (tmp_path / "sip").mkdir()
    (tmp_path / "sip" / "mine.xml").write_text("<scenario/>")
    text = SCENARIO.replace("bob: plain-udp", "bob: {adapter: sipp, options: {callee_scenario: FILE}}")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("FILE", "sip/mine.xml"))
    monkeypatch.chdir("/")
    (trial,) = plan_run(str(path), seed=1, world="emu", nat_plane="nft").trials
    assert trial.programs["bob"].options == {"callee_scenario": str(tmp_path / "sip" / "mine.xml")}
    monkeypatch.chdir(tmp_path / "sip")
    _, typed = parse_program("bob=sipp{callee_scenario: mine.xml}")
    assert typed.options == trial.programs["bob"].options

    path.write_text(text.replace("FILE", "sip/yours.xml"))
    with pytest.raises(UsageError, match=r"mine\.yaml:\d+:\d+: callee_scenario is '.*/sip/yours\.xml'"):
        plan_run(str(path), seed=1, world="emu", nat_plane="nft")
    with pytest.raises(UsageError, match="a file"):
        parse_program("bob=sipp{callee_scenario: yours.xml}")


def test_a_scripted_scenario_has_programs_in_the_same_words(scenario, tmp_path, capsys):
    script = tmp_path / "mine.py"
    script.write_text(
        'TOPOLOGY = "two_homes"\nPARAMETERS = {"alice_nat": "none", "bob_nat": "none"}\n'
        'CLIENT = {"command": ["./client.sh", "-v"], "ready_within": "5s"}\n'
        'PROGRAMS = {"endpoint": CLIENT, "bob": "plain-udp"}\n'
        'async def scenario(lab):\n    await lab.call("alice", "bob")\n'
    )
    (one,), (other,) = plan("./mine.py").trials, plan(scenario).trials
    assert one.programs["bob"] == other.programs["bob"]
    assert one.programs["endpoint"] == Program(
        command=("./client.sh", "-v"), directory=str(tmp_path), ready_within=5.0
    )
    assert plan("./mine.py", "bob=lab").trials[0].programs["bob"].is_the_labs
    assert run_command_line(["run", "./mine.py"]) == 2
    assert "cannot run in virtual time" in capsys.readouterr().err
    assert run_command_line(["run", "./mine.py", "--program", "endpoint=lab"]) == 0
    script.write_text(script.read_text().replace('"ready_within"', '"ready_whithin"'))
    assert run_command_line(["check", "./mine.py"]) == 2
    told = capsys.readouterr().err
    assert "mine.py: PROGRAMS: endpoint: unknown key 'ready_whithin'" in told
    assert 'did you mean "ready_within"' in told


def test_what_stands_in_braces_alone_is_what_a_scenario_could_say():
    whose, typed = parse_program("alice={image: mine, memory: 64MiB, command: [./x]}")
    assert (whose, typed.image, typed.memory, typed.command) == ("alice", "mine", 64 << 20, ("./x",))
    with pytest.raises(UsageError, match="one of adapter, command and image"):
        parse_program("alice={options: {a: 1}}")
    with pytest.raises(UsageError, match="did you mean"):
        parse_program("alice={imge: mine}")


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["alice=lab"], "alice (the lab's own endpoint) speaks ICE alone"),
        (["bob=lab"], "alice (client.sh) speaks what its author has made it speak and bob"),
        (["alice=baresip", "bob=chromium"], "alice (baresip) speaks SIP and bob (chromium) speaks session"),
    ],
)
def test_a_planned_call_between_programs_that_do_not_speak_alike_is_refused(scenario, texts, words):
    planned = plan(scenario, *texts)
    with pytest.raises(UsageError) as refused:
        check_programs(distinct_networks(planned.trials), planned.calls)
    assert "alice calls bob: " in str(refused.value)
    assert words in str(refused.value)


def test_programs_that_may_speak_alike_are_left_to_try(scenario):
    for texts in ([], ["alice=lab", "bob=lab"], ["alice=chromium", "bob=node-datachannel"]):
        planned = plan(scenario, *texts)
        network = with_programs(load_topology("two_homes", {}), planned.trials[0].programs)
        assert [call_problem(network, *call) for call in planned.calls] == [None]
