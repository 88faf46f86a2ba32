"""A YAML scenario does what the same calls on the handle do: each thing at its time, in the file's order."""

import asyncio
import random
from pathlib import Path

import pytest

from lab.errors import UsageError
from lab.run.plan import find_scenario, load_scenario, plan_run
from lab.run.timeline import agenda, play
from lab.run.trial import run_trial
from lab.spec.event import Event, EventType
from lab.spec.scenario_file import parse_scenario

HEAD = "callpath: 1\ntopology: two_homes\n"
CALL = "calls: {from: alice, to: bob, hold: 60s}\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a scenario into the test's own scenarios directory and return its path."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="mine.yaml"):
        path = tmp_path / "scenarios" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


def events_of(path, **settings):
    (trial,) = plan_run(path, seed=3, **settings).trials
    result = run_trial(trial)
    assert not result.invalid
    return [Event.from_json(line)[1] for line in result.events.splitlines()]


def of(events, type_, **wanted):
    return [e for e in events if e.type is type_ and all(getattr(e, k) == v for k, v in wanted.items())]


class Recorder:
    """Stands in for a network: notes what is asked of it, and when; a call takes its hold."""

    def __init__(self):
        self.asked = []

    @property
    def now(self):
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds):
        await asyncio.sleep(seconds / 1000)

    def __getattr__(self, name):
        def note(*arguments, **options):
            self.asked.append((name, *arguments, *options.values()))

        return note


def asked_of(text):
    """Return what a scenario without calls' own doings asks of the handle, in order."""
    recorder = Recorder()
    spec = parse_scenario(text.encode(), Path("x.yaml")).spec
    steps = [item for item in agenda(spec) if "call" not in item.do.__qualname__]

    async def run():
        for item in steps:
            await item.do(recorder)

    asyncio.run(run())
    return [(item.at, *asked) for item, asked in zip(steps, recorder.asked, strict=True)]


def test_each_step_is_one_request_to_the_handle():
    timeline = """timeline:
  - {at: 5s, cut: {link: alice-home}}
  - {at: 1s, set: {link: alice-home, loss: 5%}}
  - {at: 2s, reset: {link: alice-home}}
  - {at: 6s, heal: {link: alice-home}}
  - {at: 4s, reboot: {nat: alice-nat}}
"""
    assert asked_of(HEAD + CALL + timeline) == [
        (1, "impair", "alice-home", "5%"),
        (2, "reset", "alice-home"),
        (4, "reboot_nat", "alice-nat"),
        (5, "cut", "alice-home"),
        (6, "heal", "alice-home"),
    ]


def test_each_fault_of_a_program_or_a_place_is_one_request_too():
    timeline = """timeline:
  - {at: 1s, kill: {node: relay}}
  - {at: 2s, restart: {node: relay}}
  - {at: 3s, pause: {node: bob}}
  - {at: 4s, resume: {node: bob}}
  - {at: 5s, flush: {nat: bob-nat}}
  - {at: 6s, move: {endpoint: alice, to: alice-home, gap: 2s}}
  - {at: 9s, drop: {link: bob-home, from: bob, packets: [4, 2]}}
"""
    assert asked_of(HEAD + CALL + timeline) == [
        (1, "kill", "relay"),
        (2, "restart", "relay"),
        (3, "pause", "bob"),
        (4, "resume", "bob"),
        (5, "flush_nat", "bob-nat"),
        (6, "move", "alice", "alice-home", "2.0s"),
        (9, "drop", "bob-home", "bob", (4, 2)),
    ]


def test_a_flap_is_the_cuts_and_heals_it_stands_for():
    flap = "timeline: [{at: 10s, flap: {link: bob-home, down: 2s, up: 3s, times: 3}}]\n"
    assert asked_of(HEAD + CALL + flap) == [
        (10, "cut", "bob-home"),
        (12, "heal", "bob-home"),
        (15, "cut", "bob-home"),
        (17, "heal", "bob-home"),
        (20, "cut", "bob-home"),
        (22, "heal", "bob-home"),
    ]


def test_a_yaml_scenario_is_the_scripted_one_event_by_event(write):
    """Same name, same parameters, same seed: the same packets, to the end of the script."""
    script = """
TOPOLOGY = "two_homes"
PARAMETERS = {"alice_nat": "symmetric", "alice_loss": "2%"}

async def scenario(lab):
    lab.impair("alice-home", delay="5ms", jitter="2ms")
    await lab.call("alice", "bob", start_offset="-30ms", hold="20s")
    await lab.hang_up("call-1")
"""
    yaml = (
        f"{HEAD}parameters: {{alice_nat: symmetric, alice_loss: 2%}}\n"
        "calls: {from: alice, to: bob, start_offset: -30ms, hold: 20s}\n"
        "timeline: [{at: 0s, set: {link: alice-home, delay: 5ms, jitter: 2ms}}]\n"
    )
    one, other = write(script, "same.py"), write(yaml, "same.yaml")
    scripted, described = events_of(one), events_of(other)
    assert len(scripted) > 50
    # The last event counts the turns of the loop, and the timeline takes some of its own.
    assert [e.to_json("") for e in scripted[:-1]] == [e.to_json("") for e in described[:-1]]


def test_what_happens_at_one_time_happens_steps_first(write):
    """The link is cut before the call at the same moment is made: its offer does not get out."""
    timeline = "timeline:\n  - {at: 5s, cut: {link: alice-home}}\n  - {at: 8s, heal: {link: alice-home}}\n"
    events = events_of(write(f"{HEAD}calls: {{from: alice, to: bob, at: 5s, hold: 9s}}\n{timeline}"))
    assert of(events, EventType.CALL_STARTED, node="alice")[0].time == pytest.approx(5, abs=0.1)
    assert of(events, EventType.SIGNAL_RECEIVED, node="bob")[0].time > 8


def test_calls_overlap_and_each_is_hung_up_when_its_hold_is_over(write):
    first, second = "{name: a, from: alice, to: bob, hold: 30s}", "{name: b, from: bob, to: alice, at: 10s}"
    calls = f"calls: [{first}, {second}]\n"
    ended = of(events_of(write(HEAD + calls)), EventType.CALL_ENDED)
    assert [e.call for e in ended] == ["b", "b", "a", "a"]
    assert 11 < ended[0].time < 15
    assert 31 < ended[-1].time < 36


def test_the_timeline_may_hang_up_before_the_hold_is_over(write):
    path = write(f"{HEAD}{CALL}timeline: [{{at: 20s, hang_up: {{call: call-1}}}}]\n")
    ended = of(events_of(path), EventType.CALL_ENDED)
    assert [e.node for e in ended] == ["alice", "bob"]
    assert all(20 <= e.time < 21 for e in ended)


def test_media_may_be_sent_again(write):
    path = write(f"{HEAD}{CALL}timeline: [{{at: 20s, send_media: {{call: call-1, packets: 7}}}}]\n")
    sent = of(events_of(path), EventType.MEDIA_SENT, node="alice")
    assert sum(e.count for e in sent if e.time >= 20) == 7


def test_a_call_without_a_path_fails_and_the_scenario_goes_on(write):
    parameters = "parameters: {alice_nat: symmetric, bob_nat: symmetric}\n"
    call = "calls: {from: alice, to: bob, hold: 5s, policy: {candidates: no-relay}}\n"
    events = events_of(write(HEAD + parameters + call + "timeline: [{at: 3s, reboot: {nat: bob-nat}}]\n"))
    assert of(events, EventType.ICE_FAILED)
    assert of(events, EventType.NAT_REBOOTED)
    assert events[-1].data["reason"] == "scenario done"


# Plans


MIX = "population: {alice_nat: {port-restricted: 3, symmetric: 1}, bob_nat: {full-cone: 1, cgn: 1}}\n"


def drawn(path, name, **settings):
    return [trial.parameters[name] for trial in plan_run(path, **settings).trials]


def test_a_population_is_drawn_by_weight_and_by_seed(write):
    path = write(HEAD + CALL + MIX)
    draws = drawn(path, "alice_nat", seed=1, repeat=2000)
    assert 0.7 < draws.count("port-restricted") / len(draws) < 0.8
    assert draws == drawn(path, "alice_nat", seed=1, repeat=2000)
    assert draws != drawn(path, "alice_nat", seed=2, repeat=2000)


def test_a_longer_run_begins_as_a_shorter_one(write):
    path = write(HEAD + CALL + MIX)
    assert drawn(path, "alice_nat", seed=1, repeat=50) == drawn(path, "alice_nat", seed=1, repeat=90)[:50]


def test_one_more_parameter_does_not_draw_the_others_anew(write):
    path = write(HEAD + CALL + MIX)
    before = drawn(path, "alice_nat", seed=1, repeat=50)
    write(HEAD + CALL + MIX.replace("}}", "}, bob_delay: {10ms: 1, 60ms: 2}}"))
    assert drawn(path, "alice_nat", seed=1, repeat=50) == before
    assert set(drawn(path, "bob_delay", seed=1, repeat=50)) == {"10ms", "60ms"}


def test_every_cell_meets_the_same_members_of_a_population(write):
    path = write(HEAD + CALL + MIX + "vary: {relay_delay: [5ms, 50ms]}\nrepeat: 20\n")
    trials = plan_run(path, seed=1).trials
    near, far = trials[:20], trials[20:]
    assert [t.parameters["bob_nat"] for t in near] == [t.parameters["bob_nat"] for t in far]
    assert {t.parameters["relay_delay"] for t in near} == {"5ms"}


def test_what_is_set_from_outside_is_not_drawn(write):
    path = write(HEAD + CALL + MIX)
    plan = plan_run(path, seed=1, repeat=9, overrides={"alice_nat": ["none"]})
    assert {trial.parameters["alice_nat"] for trial in plan.trials} == {"none"}
    assert plan.population == ("bob_nat",)


EXPECT = """\
expect:
  - {metric: ice.connected, rate: "== 100%"}
  - {metric: path.direct, rate: "== 100%", when: {alice_nat: none}}
  - {metric: relay.share, rate: "== 100%", when: {alice_nat: udp-blocked}}
"""


def test_what_is_expected_of_cells_left_out_from_outside_is_not_judged(write):
    path = write(HEAD + CALL + "vary: {alice_nat: [none, cgn, udp-blocked]}\n" + EXPECT)
    whole = plan_run(path, seed=1)
    assert (len(whole.expectations), whole.not_judged) == (3, ())
    part = plan_run(path, seed=1, overrides={"alice_nat": ["none"]})
    assert [str(e) for e in part.expectations] == ["ice.connected rate == 100%", "path.direct rate == 100%"]
    assert [e.metric for e in part.not_judged] == ["relay.share"]
    assert part.vary == {"alice_nat": ["none"]}, "what an expectation asks for tells the cells"


def test_the_order_of_the_file_changes_no_trial(write):
    path = write(HEAD + CALL + "vary: {alice_nat: [none, cgn], bob_nat: [none, cgn]}\n")
    keys = {trial.key for trial in plan_run(path, seed=1).trials}
    write("vary: {bob_nat: [cgn, none], alice_nat: [cgn, none]}\n" + CALL + HEAD)
    shuffled = [trial.key for trial in plan_run(path, seed=random.Random(1).randrange(99)).trials]
    assert len(shuffled) == 4
    assert set(shuffled) == keys


def test_a_name_of_two_files_is_refused(write):
    write(HEAD + CALL, "twice.yaml")
    write("", "twice.py")
    files = "scenarios/twice.yaml and scenarios/twice.py"
    with pytest.raises(UsageError) as refused:
        find_scenario("twice")
    assert str(refused.value) == f"two scenarios are called 'twice': {files}\n  name one by its path"
    assert find_scenario("scenarios/twice.yaml").suffix == ".yaml"


def test_nothing_selected_has_its_own_error(write):
    for nothing in ("repeat: 0\n", "vary: {alice_nat: []}\n"):
        with pytest.raises(UsageError, match="no trial is left") as refused:
            plan_run(write(HEAD + CALL + nothing), seed=1)
        assert refused.value.exit_code == 5


def test_a_scenario_for_the_kernel_alone_is_refused_with_its_reason(write):
    path = write(HEAD + CALL + "worlds: [emu]\nworlds_reason: needs a browser\n")
    with pytest.raises(UsageError, match="runs in emu only: needs a browser"):
        plan_run(path, seed=1)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml")), ids=lambda p: p.stem
)
def test_a_shipped_scenario_says_what_it_is_why_and_what_must_hold(path):
    world = parse_scenario(path.read_bytes(), path).spec.worlds[0]
    file_plan = plan_run(str(path), seed=1, world=world)
    assert file_plan.expectations
    assert callable(load_scenario(path))
    assert file_plan.name == path.stem


def test_playing_needs_nothing_but_the_description():
    spec = parse_scenario((HEAD + CALL).encode(), Path("x.yaml")).spec
    assert asyncio.iscoroutinefunction(play(spec))
