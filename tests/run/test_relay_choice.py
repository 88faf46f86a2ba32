"""`--relay`: which server the relays of a run are, and where coturn is refused."""

import pytest

from lab.cli.main import run_command_line
from lab.errors import HostNotReady, UsageError
from lab.run.plan import plan_run
from lab.run.relay_choice import check_relays, with_relays
from lab.run.trial import run_trial
from lab.spec.find import load_topology
from lab.spec.roles import COTURN
from lab.spec.trial import Trial


def trial(topology="two_homes", *, world="emu", relay=COTURN, **parameters):
    return Trial(scenario="s.py", topology=topology, parameters=parameters, world=world, relay=relay)


def test_every_relay_and_nothing_else_becomes_the_program():
    network = load_topology("two_homes", {"separate_stun": True})
    chosen = with_relays(network, COTURN)
    programs = {name: node.options.get("program") for name, node in chosen.nodes.items()}
    assert [name for name, program in programs.items() if program == COTURN] == ["relay"]
    assert with_relays(network, "") is network


def test_coturn_is_refused_in_virtual_time_with_the_reason():
    with pytest.raises(UsageError, match=r"coturn .* cannot run in virtual time(.|\n)*--world emu"):
        check_relays([trial(world="sim")])


def test_a_run_in_virtual_time_with_coturn_ends_with_2_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["run", "udp_blocked", "--relay", "coturn", "--repeat", "1"]) == 2
    assert "it cannot run in virtual time" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_trial_in_virtual_time_refuses_coturn_by_itself_too():
    planned = plan_run("udp_blocked", seed=1, repeat=1, relay=COTURN).trials[0]
    with pytest.raises(UsageError, match="it cannot run in virtual time"):
        run_trial(planned)


@pytest.mark.parametrize(
    ("option", "value"), [("permission_refresh", "rfc8656"), ("permission_key", "ip-port")]
)
def test_what_coturn_cannot_be_is_refused(option, value):
    with pytest.raises(UsageError, match=rf"coturn has no {option} '{value}'"):
        check_relays([trial(**{option: value})])


def test_a_choice_of_relay_without_a_relay_is_told(tmp_path):
    topology = tmp_path / "pair.py"
    topology.write_text(
        "from mininet.topo import Topo\n\n\nclass Pair(Topo):\n    def build(self):\n"
        '        self.addHost("one", role="host")\n        self.addHost("two", role="host")\n'
        '        self.addLink("one", "two")\n'
        '\n\ntopos = {"pair": Pair}\n'
    )
    with pytest.raises(UsageError, match="pair has no relay"):
        check_relays([trial(str(topology))])


def test_without_coturn_the_machine_is_told_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostNotReady, match=r"no program turnserver\n.*apt-get install coturn"):
        check_relays([trial()])
    assert check_relays([trial(relay="")]) == {}
    assert check_relays([trial(relay="lab")]) == {}


def test_the_program_of_a_relay_does_not_make_it_another_trial():
    assert trial(relay="").key == trial().key
