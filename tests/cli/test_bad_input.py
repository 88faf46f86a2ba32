"""Bad input gets one screen: the place, what was found and expected, what to try. Nothing is left."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOPOLOGY = """\
from mininet.topo import Topo


class Mine(Topo):
    def build(self, delay="10ms", nat="symmetric"):
        self.addHost("alice", role="endpoint")
        self.addHost("bob", role="endpoint")
        self.addHost("box", role="nat", nat=nat, uplink="internet")
        self.addHost("internet", role="router")
        self.addHost("rendezvous", role="rendezvous")
        self.addLink("alice", "box", label="home", LINK1)
        self.addLink("box", "internet", label="access", LINK2)
        self.addLink("bob", "internet", label="bob")
        self.addLink("rendezvous", "internet", label="rendezvous")
        EXTRA


topos = {"mine": Mine}
"""


def write_topology(folder, *, link1="", link2="", extra="pass"):
    text = TOPOLOGY.replace("LINK1", link1).replace("LINK2", link2).replace("EXTRA", extra)
    (folder / "topologies").mkdir(exist_ok=True)
    (folder / "topologies" / "mine.py").write_text(text)


def assert_one_screen(done, code):
    assert done.code == code, done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) < 24


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["run", "nat_matirx"],
            r"""
callpath: no scenario 'nat_matirx'
  expected a name that `callpath ls` lists, or a path ending in .yaml or .py
  did you mean "nat_matrix"\?
""",
        ),
        (
            ["run", "nat_matrix", "--set", "alice_nat=symetric"],
            r"""
callpath: \S*two_homes.py:\d+: NAT 'alice-nat': no NAT preset 'symetric'
  expected the name of a preset
  did you mean "symmetric"\?
""",
        ),
        (
            ["run", "nat_matrix", "--set", "alice_nta=symmetric", "--set", "bob_nta=none"],
            r"""
callpath: --set alice_nta: no parameter 'alice_nta'
  did you mean "alice_nat"\?
--set bob_nta: no parameter 'bob_nta'
  did you mean "bob_nat"\?
""",
        ),
        (
            ["show", "two_hoems"],
            r"""
callpath: no topology 'two_hoems'
  expected a file in \S+, or a path ending in .py
  did you mean "two_homes"\?
""",
        ),
        (
            ["show", "two_homes", "--set", "alice_delay=10"],
            r"""
callpath: topology two_homes: parameter alice_delay=10
  expected text, such as '10ms'
""",
        ),
        (
            ["show", "two_homes", "--set", 'alice_delay="10"'],
            r"""
callpath: \S*two_homes.py:\d+: link 'alice-access': delay: '10' has no unit
  expected a duration in one of us, µs, ms, s, min, h
  write for example 10ms
""",
        ),
        (
            ["show", "two_homes", "--set", "alice_loss=120%"],
            r"""
callpath: \S*two_homes.py:\d+: link 'alice-access': loss: '120%' is more than 100%
  expected 0% to 100%
""",
        ),
        (
            ["show", "two_homes", "--set", "alice_nat=symmetric{filter_scop: per-mapping}"],
            r"""
callpath: \S*two_homes.py:\d+: NAT 'alice-nat': symmetric: filter_scop: unknown axis 'filter_scop'
  did you mean "filter_scope"\?
""",
        ),
        (
            [
                "run",
                "nat_matrix",
                "--set",
                "alice_nat=cgn,cgn",
                "--set",
                "bob_nat=cgn",
                "--set",
                "bob_nat=none",
            ],
            r"""
callpath: --set alice_nat=cgn,cgn: the same twice
  expected each name and each value once
--set bob_nat=none: the same twice
  expected each name and each value once
""",
        ),
        (["show", "two_homes", "--set", "alice_nat"], r"\ncallpath: --set alice_nat: not an assignment\n.*"),
        (
            ["run", "nat_matrix", "--seed", "x"],
            r"\nUsage: .*'--seed' \(env var: 'CALLPATH_SEED'\): 'x' is not a valid integer.\n",
        ),
        (
            ["run", "nat_matrix", "--repeat", "0"],
            r"\nUsage: .*'--repeat' \(env var: 'CALLPATH_REPEAT'\): 0 is not in the range x>=1.\n",
        ),
        (["rnu", "nat_matrix"], r'\nUsage: .*no command \'rnu\'; did you mean "run"\?\n'),
        (["predict", "symmetric"], r"\nUsage: .*two NATs, one of each side, or none; got 1: symmetric\n"),
        (["predict", "none", "full-cone+cng"], r'\n.*no NAT preset \'cng\'\n.*\n  did you mean "cgn"\?\n'),
        (
            ["predict", "--topology", "two_homes", "--relay", "none"],
            r"\nUsage: .*--relay cannot be given with --topology\n",
        ),
        (
            ["predict", "--topology", "two_homes", "none", "cgn"],
            r"\nUsage: .*NATs by name cannot be given with --topology\n",
        ),
        (["predict", "--set", "alice_nat=none"], r"\nUsage: .*--set needs --topology\n"),
        (
            ["predict", "--topology", "two_homes", "--between", "alice", "bbo"],
            r'\ncallpath: no host \'bbo\' in two_homes; did you mean "bob"\?\n',
        ),
    ],
)
def test_the_message_names_the_place_and_a_remedy(callpath, tmp_path, arguments, expected):
    done = callpath(*arguments)
    assert_one_screen(done, 2)
    assert re.fullmatch(expected, "\n" + done.err, re.DOTALL), done.err
    assert list(tmp_path.iterdir()) == [], "something was half written"


def test_all_problems_of_a_topology_are_told_at_once_each_with_its_line(callpath, tmp_path):
    write_topology(tmp_path, link1='impair={"dealy": delay}', link2='impair={"delay": 5, "loss": "120%"}')
    done = callpath("show", "mine")
    assert_one_screen(done, 2)
    for expected in (
        "topologies/mine.py:11: link 'home': unknown option 'dealy'\n  did you mean \"delay\"?",
        "topologies/mine.py:12: link 'access': delay: 5 is not a duration",
        "units are mandatory: write for example 20ms",
        "topologies/mine.py:12: link 'access': loss: '120%' is more than 100%",
    ):
        assert expected in done.err


def test_a_topology_that_does_not_build_is_told_by_its_own_line(callpath, tmp_path):
    write_topology(tmp_path, extra="1 / 0")
    done = callpath("show", "mine")
    assert_one_screen(done, 2)
    assert "topologies/mine.py:15: ZeroDivisionError: division by zero" in done.err


def test_an_unreachable_node_is_named(callpath, tmp_path):
    write_topology(tmp_path, extra='self.addHost("island", role="endpoint")')
    done = callpath("show", "mine")
    assert_one_screen(done, 2)
    assert "island" in done.err


def test_a_scenario_with_a_misspelt_setting_is_refused_not_run_with_the_default(callpath, tmp_path):
    scenario = tmp_path / "mine.py"
    scenario.write_text('TOPOLOGY = "two_homes"\nREPAET = 3\n\nasync def scenario(lab):\n    pass\n')
    done = callpath("run", scenario)
    assert_one_screen(done, 2)
    assert 'mine.py: unknown setting REPAET\n  did you mean "REPEAT"?' in done.err


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('VARY = {"alice_natt": ["none"]}', "no parameter 'alice_natt'\n  did you mean \"alice_nat\"?"),
        (
            'PARAMETERS = {"relay_dealy": "5ms"}',
            "no parameter 'relay_dealy'\n  did you mean \"relay_delay\"?",
        ),
        (
            'VARY = {"alice_nat": "symmetric"}',
            "VARY: {'alice_nat': 'symmetric'}\n  expected lists of different values by name",
        ),
        ('VARY = {"alice_nat": ["cgn", "cgn"]}', "expected lists of different values by name"),
        ("VARY = 3", "VARY: 3\n  expected lists of different values by name"),
        ('REPEAT = "three"', "REPEAT: 'three'\n  expected a whole number"),
        ("EVENT_BUDGET = 1.5", "EVENT_BUDGET: 1.5\n  expected a whole number"),
        ("DEADLINE = 5", "DEADLINE: 5\n  expected a duration with its unit"),
        ('MATRIX = "alice_nat"', "MATRIX: 'alice_nat'\n  expected the parameters of rows and of columns"),
        (
            'VARY = {"alice_nat": ["none"]}\nMATRIX = ("alice_nat", "alice_net")',
            "MATRIX: no parameter 'alice_net' varies\n  did you mean \"alice_nat\"?",
        ),
        ("def scenario(lab): pass", "scenario is no coroutine function\n  expected async def scenario(lab)"),
        ("REPEAT = 2_000_000", "are 2000000 trials\n  expected at most 100000 a run"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_before_anything_runs(
    callpath, tmp_path, settings, expected
):
    text = f'TOPOLOGY = "two_homes"\n\nasync def scenario(lab):\n    pass\n\n{settings}\n'
    (tmp_path / "mine.py").write_text(text)
    done = callpath("run", "./mine.py")
    assert_one_screen(done, 2)
    assert "callpath: mine.py: " in done.err
    assert expected in done.err
    assert not (tmp_path / "results").exists()


def test_a_scenario_may_vary_what_no_topology_knows_and_read_it_itself(callpath, tmp_path):
    text = """
TOPOLOGY = "two_homes"
PARAMETERS = {"pause": "1s"}
VARY = {"bob_delay_of_mine": ["1ms", "2ms"]}

async def scenario(lab):
    assert lab.parameters["bob_delay_of_mine"] in {"1ms", "2ms"}
    assert lab.parameters["pause"] == "3s"
    await lab.call("alice", "bob")
"""
    (tmp_path / "mine.py").write_text(text)
    assert callpath("run", "./mine.py", "--set", "pause=3s").code == 0


@pytest.mark.parametrize(
    "content",
    [b"TOPOLOGY = 1\x00", b"\xff\xfe\x00", b"\x7fELF\x02\x01\x01\x00\x00"],
    ids=["NUL", "UTF-16", "ELF"],
)
@pytest.mark.parametrize("command", ["run", "show"])
def test_a_file_that_is_no_text_is_told_by_its_name_alone(callpath, tmp_path, command, content):
    (tmp_path / "mine.py").write_bytes(content)
    done = callpath(command, "./mine.py")
    assert_one_screen(done, 2)
    assert "callpath: mine.py" in done.err
    assert "None" not in done.err


@pytest.mark.parametrize("place", ["    raise SystemExit(7)", "    pass\nraise SystemExit(7)"])
def test_a_scenario_that_exits_does_not_choose_the_exit_code(callpath, tmp_path, place):
    (tmp_path / "mine.py").write_text(f'TOPOLOGY = "two_homes"\nasync def scenario(lab):\n{place}\n')
    done = callpath("run", "./mine.py")
    assert done.code == 2
    assert "SystemExit: 7" in done.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TOPOLOGY = 'two_homes'\n", "no scenario"),
        ("async def scenario(lab):\n    pass\n", "no TOPOLOGY"),
        ("TOPOLOGY = 'two_homes'\nx = 1 +\n", "mine.py:2: invalid syntax"),
        ("import nonexistent_module\n", "mine.py:1: ModuleNotFoundError"),
    ],
)
def test_a_scenario_that_does_not_load_is_told_by_its_own_line(callpath, tmp_path, text, expected):
    (tmp_path / "mine.py").write_text(text)
    done = callpath("run", "./mine.py")
    assert_one_screen(done, 2)
    assert expected in done.err


def test_what_a_scenario_raises_is_told_by_its_own_line(callpath, tmp_path):
    text = 'TOPOLOGY = "two_homes"\n\nasync def scenario(lab):\n    await lab.call("alice", "bbo")\n'
    (tmp_path / "mine.py").write_text(text)
    done = callpath("run", "./mine.py")
    assert done.code == 2
    assert "no endpoint 'bbo' in two_homes\n  did you mean \"bob\"?" in done.err
    assert "Traceback" not in done.err


def test_a_results_directory_that_cannot_be_written_is_the_hosts_fault(callpath, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = callpath("run", "nat_matrix", "--results", tmp_path / "file" / "results")
    assert_one_screen(done, 4)
    assert "results cannot be written there" in done.err
    assert "--results DIR" in done.err


def test_a_full_disk_is_the_hosts_fault_names_the_file_and_leaves_no_half_of_it(
    callpath, monkeypatch, tmp_path
):
    def full(_descriptor):
        if len(list(tmp_path.rglob("*.jsonl"))) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    done = callpath("run", "nat_matrix", "--set", "alice_nat=none", "--set", "bob_nat=none", "--jobs", "1")
    assert_one_screen(done, 4)
    assert re.search(
        r"callpath: results/\S+/trials/000002-\w+.jsonl: cannot be written \(No space left", done.err
    )
    assert len(list(tmp_path.rglob("*.jsonl"))) == 2, "what was written before is kept"
    assert list(tmp_path.rglob("*.partial")) == []


def start(*arguments, **streams):
    return subprocess.Popen(
        [sys.executable, "-m", "lab.cli", *arguments], stderr=subprocess.PIPE, text=True, **streams
    )


def test_an_output_that_cannot_be_written_is_the_hosts_fault():
    with Path("/dev/full").open("w") as full:
        started = start("predict", "none", "cgn", stdout=full)
        _, err = started.communicate(timeout=60)
    assert started.returncode == 4
    assert err == "callpath: No space left on device\n"


def test_a_reader_that_leaves_early_costs_no_picture_and_shows_no_traceback(tmp_path):
    arguments = ("run", "nat_matrix", "--set", "alice_nat=none", "--set", "bob_nat=none")
    started = start(*arguments, stdout=subprocess.PIPE, cwd=tmp_path)
    started.stdout.close()
    assert "Traceback" not in started.stderr.read()
    started.stderr.close()
    started.wait(timeout=60)
    (run,) = (tmp_path / "results").iterdir()
    assert {"paths.svg", "setup_time.png", "events.jsonl"} <= {file.name for file in run.iterdir()}


def test_a_process_that_is_killed_is_the_hosts_fault(callpath, tmp_path):
    kill = "    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    text = f'TOPOLOGY = "two_homes"\nREPEAT = 20\n\nasync def scenario(lab):\n{kill}'
    (tmp_path / "mine.py").write_text(text)
    done = callpath("run", "./mine.py", "--jobs", "2")
    assert_one_screen(done, 4)
    assert "a process that ran trials was killed" in done.err


def test_an_internal_error_has_its_own_exit_code_and_says_how_to_report_it(callpath, monkeypatch):
    monkeypatch.setattr("lab.run.plan.plan_run", lambda *_, **__: 1 / 0)
    done = callpath("run", "nat_matrix")
    assert_one_screen(done, 70)
    assert "internal error: ZeroDivisionError" in done.err
    assert "CALLPATH_TRACEBACK=1" in done.err


def test_a_mistake_made_a_thousand_times_fills_one_screen_at_most(callpath, tmp_path):
    """A loop in a topology repeats itself: the first problems are shown, and how many more."""
    topology = tmp_path / "many.py"
    topology.write_text(
        "from mininet.topo import Topo\n"
        "class Many(Topo):\n"
        "    def build(self):\n"
        "        for number in range(1000):\n"
        '            self.addHost(f"h{number}")\n'
        'topos = {"many": Many}\n'
    )
    done = callpath("show", topology)
    assert done.code == 2
    assert 1 < done.err.count("has no role") <= 40
    assert len(done.err.splitlines()) <= 41
    assert re.search(r"\.\.\. and 9\d\d more", done.err)


VARYING = "callpath: 1\ntopology: two_homes\ncalls: {from: alice, to: bob}\n"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "mine.yaml",
            VARYING + "vary: {alice_nat: []}\nrepeat: 0\n",
            """\
callpath: mine.yaml:4:8: 'alice_nat' has no value: no trial is left
    4 | vary: {alice_nat: []}
      |        ^^^^^^^^^
  expected a list of at least one
mine.yaml:5:1: repeat is 0: no trial is left
    5 | repeat: 0
      | ^^^^^^
  expected 1 or more
""",
        ),
        (
            "mine.py",
            'TOPOLOGY = "two_homes"\nVARY = {"alice_nat": []}\nasync def scenario(lab): pass\n',
            """\
callpath: mine.py: VARY: 'alice_nat' has no value: no trial is left
  expected a list of at least one
""",
        ),
        (
            "mine.py",
            'TOPOLOGY = "two_homes"\nREPEAT = 0\nasync def scenario(lab): pass\n',
            "callpath: mine.py: REPEAT: repeat is 0: no trial is left\n  expected 1 or more\n",
        ),
    ],
)
def test_a_scenario_without_a_trial_says_which_key_leaves_none(callpath, tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    for command in ("run", "check"):
        done = callpath(command, f"./{name}")
        assert_one_screen(done, 5)
        assert done.err == expected


def test_an_empty_list_may_be_overridden(callpath, tmp_path):
    (tmp_path / "mine.yaml").write_text(VARYING + "vary: {alice_nat: []}\n")
    assert callpath("check", "./mine.yaml", "--set", "alice_nat=none").code == 0


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("folder.yaml", "'./folder.yaml' is a directory"),
        ("pipe.yaml", "'./pipe.yaml' is a named pipe"),
        ("loop.yaml", "'./loop.yaml' cannot be read: Too many levels of symbolic links"),
        ("dangling.py", "'./dangling.py' is a symbolic link to nothing"),
        ("folder", "'./folder' is a directory"),
        ("absent.yaml", "no scenario file './absent.yaml'"),
        ("absent", "'./absent' is no scenario file"),
    ],
)
def test_what_stands_in_place_of_a_scenario_is_named(callpath, tmp_path, path, expected):
    for folder in ("folder", "folder.yaml"):
        (tmp_path / folder).mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "dangling.py").symlink_to("nowhere.py")
    for command in ("run", "check"):
        done = callpath(command, f"./{path}")
        assert_one_screen(done, 2)
        assert done.err.startswith(f"callpath: {expected}\n  expected a scenario's file, ending in .")


def test_known_parameters_are_listed_once_each(callpath):
    """The scenario varies what the topology has: both know the name."""
    done = callpath("run", "nat_matrix", "--set", "nope=1")
    assert_one_screen(done, 2)
    known = re.search(r"known: (.+)", done.err)[1].split(", ")
    assert "alice_nat" in known
    assert known == sorted(set(known))


@pytest.mark.parametrize(("command", "file"), [("report", "x.html"), ("replay", "x.pcapng")])
def test_an_output_elsewhere_that_cannot_be_written_claims_nothing_of_a_run(
    callpath, tmp_path, command, file
):
    (tmp_path / "plain").write_text("a file where a directory is meant")
    callpath("run", "nat_matrix", "--set", "alice_nat=none", "--set", "bob_nat=none", "--repeat", "1")
    trial = ["alice_nat=none"] if command == "replay" else []
    for place, because in (("absent", "No such file or directory"), ("plain", "Not a directory")):
        done = callpath(command, "latest", *trial, "-o", f"{place}/{file}")
        assert done.code == 4
        assert f"callpath: {place}/{file}: cannot be written ({because}" in done.err
        assert "is kept" not in done.err
