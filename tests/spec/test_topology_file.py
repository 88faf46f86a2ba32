"""Finding a topology, loading its file, and setting its parameters."""

import errno
import json
import os
import textwrap
from pathlib import Path

import pytest

import lab
from lab.errors import UsageError
from lab.spec.find import (
    TOPOLOGIES,
    content_directories,
    content_names,
    find_content,
    load_topology,
    open_topology,
)
from lab.spec.network import Network

LAN = """\
from mininet.topo import Topo

class Lan(Topo):
    \"\"\"A few hosts on a switch.\"\"\"

    def build(self, hosts=1, prefix="10.0.0.0/24", lossy=False, share=0.5, role=None):
        \"\"\"Build it.\"\"\"
        if hosts > 9:
            raise ValueError(f"hosts={hosts}: at most 9")
        self.addSwitch("lan", dpid="1", subnet=prefix)
        for number in range(hosts):
            self.addHost(f"h{number}", role=role or "host")
            self.addLink(f"h{number}", "lan", impair={"loss": "1%"} if lossy else {})
"""


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """A working directory with ``topologies/lan.py`` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "topologies").mkdir()
    (tmp_path / "topologies" / "lan.py").write_text(LAN)
    return tmp_path


def write(directory: Path, text: str, name: str = "net.py") -> str:
    (directory / name).write_text(textwrap.dedent(text))
    return f"./{name}"


def refusal(name: str, **parameters: object) -> str:
    with pytest.raises(UsageError) as caught:
        load_topology(name, parameters)
    assert caught.value.__cause__ is None
    return str(caught.value)


# Finding


def test_a_name_is_found_in_the_working_directory_and_among_those_shipped(directory):
    assert load_topology("lan", {}).name == "lan"
    assert load_topology("two_homes", {}).name == "two_homes"
    assert {"lan", "two_homes"} <= content_names(TOPOLOGIES, ".py").keys()


def test_the_users_own_topology_wins_over_a_shipped_one(directory):
    (directory / "topologies" / "two_homes.py").write_text(LAN)
    assert list(load_topology("two_homes", {}).nodes) == ["lan", "h0"]


def test_a_path_is_taken_as_it_is(directory):
    assert open_topology("topologies/lan.py").path == directory / "topologies" / "lan.py"
    assert open_topology(str(directory / "topologies" / "lan.py")).name == "lan"


def test_installed_content_is_package_data(directory, monkeypatch):
    """In a wheel the topologies lie in ``lab/_content``; a checkout's lie at its top."""
    package = directory / "site-packages" / "lab"
    content = package / "_content" / TOPOLOGIES
    content.mkdir(parents=True)
    monkeypatch.setattr(lab, "__file__", str(package / "__init__.py"))
    assert content_directories(TOPOLOGIES) == [directory / TOPOLOGIES, content]


def test_in_a_checkout_the_two_directories_are_one(monkeypatch):
    monkeypatch.chdir(Path(lab.__file__).parents[1])
    assert len(content_directories(TOPOLOGIES)) == 1


def test_a_misspelt_name_is_told_the_nearest(directory):
    assert refusal("two_hoems").splitlines()[::2] == [
        "no topology 'two_hoems'",
        '  did you mean "two_homes"?',
    ]


def test_a_file_that_does_not_exist_is_refused(directory):
    assert refusal("nets/lan.py") == (
        "no topology file 'nets/lan.py'\n  expected a topology's file, ending in .py"
    )


def test_other_content_is_found_the_same_way(directory):
    (directory / "scenarios").mkdir()
    (directory / "scenarios" / "mine.py").write_text("")
    assert find_content("scenarios", "mine", ".py") == directory / "scenarios" / "mine.py"
    with pytest.raises(UsageError, match="no scenario 'mien'"):
        find_content("scenarios", "mien", ".py")


def test_files_that_begin_with_an_underscore_are_no_content(directory):
    (directory / "topologies" / "_helpers.py").write_text("")
    assert "_helpers" not in content_names(TOPOLOGIES, ".py")


# Choosing what a file holds


def test_the_names_of_mininets_topos_choose(directory):
    path = write(directory, LAN + 'class Other(Lan): pass\ntopos = {"lan": Lan, "other": Other}\n')
    assert open_topology(f"{path}:other").name == "other"
    assert open_topology(f"{path}:Other").name == "Other"
    assert refusal(path) == ("net.py: several topologies in this file: lan, other\n  name one: net.py:lan")
    assert refusal(f"{path}:othre") == "net.py: no topology 'othre' in this file\n  did you mean \"other\"?"


def test_what_has_the_files_own_name_needs_no_choice(directory):
    path = write(directory, LAN + 'class Other(Lan): pass\ntopos = {"other": Other, "net": Lan}\n')
    assert open_topology(path).name == "net"


def test_imported_classes_are_not_the_files_own(directory):
    path = write(directory, "from mininet.topo import SingleSwitchTopo")
    assert refusal(path) == "net.py: no topology in this file\n  expected a subclass of mininet.topo.Topo"


def test_a_factory_may_stand_in_topos_as_mininet_allows(directory):
    path = write(directory, LAN + 'topos = {"pair": lambda: Lan(hosts=2)}\n')
    assert list(load_topology(path, {}).nodes) == ["lan", "h0", "h1"]


def test_topos_that_is_no_dictionary_is_refused(directory):
    assert refusal(write(directory, LAN + "topos = [Lan]\n")).startswith("net.py: topos is no dictionary")


def test_a_factory_has_to_make_a_topology(directory):
    path = write(directory, 'topos = {"net": dict}')
    assert refusal(path) == "net.py: 'net' makes a dict, not a Topo"
    path = write(directory, LAN + 'topos = {"net": Lan()}')
    assert refusal(path).startswith("net.py: topos has a Lan for 'net'\n")


def test_a_topology_that_overrides_the_constructor_works_as_well(directory):
    path = write(
        directory,
        """\
        from mininet.topo import Topo

        class Old(Topo):
            def __init__(self, hosts=2):
                Topo.__init__(self)
                self.addSwitch("s1")
                for number in range(hosts):
                    self.addHost(f"h{number}", role="host")
                    self.addLink(f"h{number}", "s1")
        """,
    )
    assert open_topology(path).parameters == {"hosts": 2}
    assert len(load_topology(path, {"hosts": 3}).nodes) == 4


# Loading


def test_code_that_raises_is_told_with_its_line_and_without_a_traceback(directory):
    path = write(directory, "from mininet.topo import Topo\n\n1 / 0\n")
    assert refusal(path) == "net.py:3: ZeroDivisionError: division by zero"


def test_a_line_deep_in_a_helper_of_the_file_is_the_one_told(directory):
    path = write(
        directory,
        """\
        from mininet.topo import Topo

        def prefix(number):
            return {}[number]

        class Net(Topo):
            def build(self):
                self.addSwitch("s1", subnet=prefix(1))
        """,
    )
    assert refusal(path) == "net.py:4: KeyError: 1"


def test_a_file_that_is_no_python_is_told_with_its_line(directory):
    assert refusal(write(directory, "from mininet.topo import Topo\nclass Net(Topo:\n")).startswith(
        "net.py:2: "
    )
    assert refusal(write(directory, "\0")).startswith("net.py")


def test_a_file_that_imports_what_is_not_there_is_told(directory):
    assert refusal(write(directory, "import no_such_module")) == (
        "net.py:1: ModuleNotFoundError: No module named 'no_such_module'"
    )


def test_a_file_that_exits_is_told(directory):
    assert refusal(write(directory, "raise SystemExit(3)")) == "net.py:1: SystemExit: 3"


def test_loading_leaves_nothing_behind(directory):
    load_topology("lan", {})
    assert [str(path.relative_to(directory)) for path in sorted(directory.rglob("*"))] == [
        "topologies",
        "topologies/lan.py",
    ]


def test_a_file_that_changed_is_loaded_again(directory):
    path = directory / "topologies" / "lan.py"
    assert len(load_topology("lan", {}).nodes) == 2
    path.write_text(LAN.replace("hosts=1", "hosts=4"))
    os.utime(path, ns=(1, 1))
    assert len(load_topology("lan", {}).nodes) == 5


def test_a_file_that_cannot_be_read_is_told(directory, monkeypatch):
    def refuse(self):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root, as which tests may run, reads everything
    assert refusal("lan") == "topologies/lan.py: cannot be read: Permission denied"


# Parameters


def plan(**parameters: object) -> Network:
    return load_topology("lan", parameters)


def test_parameters_are_those_of_build_with_their_defaults(directory):
    topology = open_topology("lan")
    assert topology.parameters == {
        "hosts": 1,
        "prefix": "10.0.0.0/24",
        "lossy": False,
        "share": 0.5,
        "role": None,
    }
    assert topology.description == "A few hosts on a switch.\n\nBuild it."


def test_parameters_change_the_network(directory):
    assert len(plan(hosts=3).nodes) == 4
    assert plan(lossy=True).links["h0--lan"].forward.loss == 0.01
    assert plan(prefix="10.9.0.0/16").nodes["h0"].interfaces[0].addresses == ("10.9.0.10/16",)


def test_an_unknown_parameter_is_told_the_nearest(directory):
    assert refusal("lan", hots=3) == "topology lan: unknown parameter 'hots'\n  did you mean \"hosts\"?"


def test_a_topology_without_parameters_says_so(directory):
    path = write(directory, "from mininet.topo import Topo\nclass Net(Topo):\n    pass\n")
    assert refusal(path, x=1) == "topology net: unknown parameter 'x'\n  it takes no parameters"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("hosts", "3", "a whole number, such as 1"),
        ("hosts", True, "a whole number, such as 1"),
        ("hosts", 2.0, "a whole number, such as 1"),
        ("prefix", 10, "text, such as '10.0.0.0/24'"),
        ("prefix", None, "text, such as '10.0.0.0/24'"),
        ("lossy", "yes", "true or false, such as False"),
        ("lossy", 1, "true or false, such as False"),
        ("share", "half", "a number, such as 0.5"),
        ("share", True, "a number, such as 0.5"),
    ],
)
def test_a_parameter_of_a_wrong_type_is_refused(directory, name, value, expected):
    assert refusal("lan", **{name: value}) == (
        f"topology lan: parameter {name}={value!r}\n  expected {expected}"
    )


def test_a_whole_number_is_a_number_and_without_a_default_type_everything_goes(directory):
    assert plan(share=1) == plan(role="host")


def test_equal_values_of_different_types_are_told_apart(directory):
    """True == 1 in Python; what was planned for one must not answer for the other."""
    plan(lossy=True)
    assert "lossy=1" in refusal("lan", lossy=1)


def test_all_wrong_parameters_are_told_at_once(directory):
    assert [line for line in refusal("lan", hots=3, prefix=10).splitlines() if line[0] != " "] == [
        "topology lan: unknown parameter 'hots'",
        "topology lan: parameter prefix=10",
    ]


def test_a_parameter_without_a_default_has_to_be_given(directory):
    path = write(directory, LAN.replace("hosts=1", "hosts"))
    assert refusal(path) == "topology net: parameter 'hosts' has no default and was not given"
    assert len(load_topology(path, {"hosts": 2}).nodes) == 3


def test_a_topology_refuses_a_value_by_raising_value_error(directory):
    assert refusal("lan", hosts=10) == "topologies/lan.py:9: hosts=10: at most 9"


def test_a_value_that_names_nothing_is_told_at_the_line_that_uses_it(directory):
    assert refusal("lan", role="hots").splitlines() == [
        "topologies/lan.py:12: node 'h0': unknown role 'hots'",
        '  did you mean "host"?',
    ]


def test_parameters_may_be_lists(directory):
    path = write(
        directory,
        """\
        from mininet.topo import Topo

        class Net(Topo):
            def build(self, names=None):
                self.addSwitch("s1")
                for name in names or ["alice"]:
                    self.addHost(name, role="host")
                    self.addLink(name, "s1")
        """,
    )
    assert list(load_topology(path, json.loads('{"names": ["bob", "carol"]}')).nodes) == [
        "s1",
        "bob",
        "carol",
    ]
