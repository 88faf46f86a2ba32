"""The parts of the baresip adapter that need no baresip: frames, messages, the log, the state of a phone."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.adapters.baresip import log
from lab.adapters.baresip.control import Answer, Happening, command, parse_control_untrusted
from lab.adapters.baresip.files import account_line, configuration_text
from lab.adapters.baresip.netstring import LONGEST, ControlError, NetstringReader, encode_netstring
from lab.adapters.baresip.phone import LAST_FIGURES_SECONDS, NAMELESS_SECONDS, Phone, RegistrationError

LOGS = Path(__file__).parent / "baresip_logs"


class TestNetstrings:
    @given(payloads=st.lists(st.binary(max_size=300)), cuts=st.lists(st.integers(1, 40)))
    def test_payloads_come_whole_however_the_bytes_are_cut(self, payloads, cuts):
        data, reader, read = b"".join(map(encode_netstring, payloads)), NetstringReader(), []
        for cut in [*cuts, len(data)]:
            read += reader.feed_untrusted(data[:cut])
            data = data[cut:]
        assert read == payloads

    @given(st.binary())
    def test_any_bytes_are_payloads_or_refused(self, data):
        with contextlib.suppress(ControlError):
            NetstringReader().feed_untrusted(data)

    @pytest.mark.parametrize("data", [b"x", b":,", b"3:abcd", b"-1:,", b"99999999", b"9999999:", b"\xb2:ab,"])
    def test_what_is_no_netstring_is_refused(self, data):
        with pytest.raises(ControlError):
            NetstringReader().feed_untrusted(data)

    def test_the_longest_is_taken_and_a_longer_one_refused(self):
        assert len(NetstringReader().feed_untrusted(encode_netstring(bytes(LONGEST)))[0]) == LONGEST
        with pytest.raises(ControlError, match=f"at most {LONGEST}"):
            NetstringReader().feed_untrusted(b"%d:" % (LONGEST + 1))


class TestControl:
    def test_an_event_has_what_baresip_says_of_it(self):
        payload = (
            b'{"event":true,"type":"CALL_CLOSED","class":"call","accountaor":"sip:alice@198.18.0.10",'
            b'"direction":"outgoing","peeruri":"sip:bob@198.18.0.10","id":"dc37","param":"486 Busy Here"}'
        )
        event = parse_control_untrusted(payload)
        assert event == Happening("CALL_CLOSED", "outgoing", "sip:bob@198.18.0.10", "dc37", "486 Busy Here")
        assert event.peer_user == "bob"

    def test_an_answer_says_to_which_command(self):
        payload = b'{"response":true,"ok":false,"data":"command not found (dail)\\n","token":"call-1"}'
        answer = parse_control_untrusted(payload)
        assert answer == Answer(done=False, text="command not found (dail)\n", tag="call-1")

    def test_a_command_is_json_in_a_netstring(self):
        (payload,) = NetstringReader().feed_untrusted(command("dial", "sip:b@h", "call-1"))
        assert json.loads(payload) == {"command": "dial", "params": "sip:b@h", "token": "call-1"}

    @given(
        st.binary()
        | st.recursive(st.none() | st.text() | st.booleans(), st.lists).map(json.dumps).map(str.encode)
    )
    def test_any_bytes_are_a_message_or_refused(self, payload):
        with contextlib.suppress(ControlError):
            parse_control_untrusted(payload)

    @given(
        st.dictionaries(
            st.sampled_from(["event", "response", "type", "id", "ok"]),
            st.booleans() | st.text() | st.integers(),
        )
    )
    def test_any_object_is_a_message_or_refused(self, record):
        with contextlib.suppress(ControlError):
            parse_control_untrusted(json.dumps(record).encode())


def facts_of(name):
    reader = log.LogReader()
    lines = (LOGS / f"{name}.txt").read_text().splitlines()
    return [fact for line in lines if (fact := reader.line(line)) is not None]


class TestLog:
    """Logs that baresip 1.0.0 wrote behind NATs of the lab's."""

    @pytest.mark.parametrize(("name", "controlling"), [("direct_caller", True), ("direct_callee", False)])
    def test_a_call_between_port_restricted_boxes_goes_from_box_to_box(self, name, controlling):
        facts = facts_of(name)
        (concluded,) = [fact for fact in facts if isinstance(fact, log.Concluded)]
        assert concluded.controlling is controlling
        assert {own.type for own in concluded.candidates} == {"host", "srflx", "relay"}
        assert [candidate.type for candidate in concluded.selected] == ["srflx", "srflx"]
        assert {own.address.partition(":")[0] for own in concluded.selected} == {
            "203.0.113.10",
            "198.51.100.10",
        }
        assert log.Gathered() in facts
        assert log.Connected() in facts

    def test_the_table_at_the_end_has_the_packets_of_both_directions(self):
        rows = [fact for fact in facts_of("direct_caller") if isinstance(fact, log.Table)]
        assert rows == [log.Table("packets", 176, 286)]
        assert log.LogReader().line("lost:                 3            0") == log.Table("lost", 3, 0)

    def test_checks_without_a_valid_pair_are_concluded_without_one(self):
        facts = facts_of("failed_caller")
        (concluded,) = [fact for fact in facts if isinstance(fact, log.Concluded)]
        assert concluded.selected is None
        assert concluded.valid == ()
        assert log.Connected() not in facts

    @given(st.lists(st.text()))
    def test_any_lines_can_be_read(self, lines):
        reader = log.LogReader()
        for line in lines:
            reader.line(line)


class HeardLab:
    """The lab as a phone sees it; keeps what it is told."""

    node = "alice"

    def __init__(self):
        self.time, self.reports, self.is_ready = 0.0, [], False

    def now(self):
        return self.time

    def ready(self):
        self.is_ready = True

    def report(self, kind, call="", *, at=None, **data):
        self.reports.append((kind, call, self.time if at is None else at, data))

    def log(self, text):
        pass

    def of(self, kind):
        return [(call, at, data) for k, call, at, data in self.reports if k == kind]


@pytest.fixture
def lab():
    return HeardLab()


@pytest.fixture
def commands():
    return []


@pytest.fixture
def phone(lab, commands):
    return Phone(lab, lambda *words: commands.append(words), "192.0.2.5")


def dial(call="call-1", candidates="all"):
    return {"command": "dial", "call": call, "to": "bob", "policy": {"candidates": candidates}}


def play_log(phone, name):
    for line in (LOGS / f"{name}.txt").read_text().splitlines():
        phone.line(line)


class TestPhone:
    def test_it_is_ready_when_it_is_registered(self, phone, lab):
        assert not lab.is_ready
        lab.time = 0.25
        phone.happened(Happening("REGISTER_OK"))
        assert lab.is_ready
        assert lab.of("sip.registered") == [("", 0.25, {"registrar": "192.0.2.5", "seconds": 0.25})]

    def test_a_first_registration_that_is_refused_ends_it_with_the_registrars_words(self, phone):
        with pytest.raises(RegistrationError, match=r"alice is not registered at 192.0.2.5: 403 Forbidden"):
            phone.happened(Happening("REGISTER_FAIL", text="403 Forbidden"))

    def test_a_later_one_is_told_and_so_is_the_next_that_succeeds(self, phone, lab):
        for event in ("REGISTER_OK", "REGISTER_OK", "REGISTER_FAIL", "REGISTER_FAIL", "REGISTER_OK"):
            phone.happened(Happening(event))
        assert len(lab.of("sip.registered")) == 2
        assert len(lab.of("program.reported")) == 1

    def test_a_call_that_is_made_tells_its_answer_its_path_and_its_media(self, phone, lab, commands):
        phone.told(dial())
        assert commands == [("dial", "sip:bob@192.0.2.5", "call-1")]
        lab.time = 1.0
        phone.happened(Happening("CALL_ESTABLISHED", "outgoing", "sip:bob@192.0.2.5", "id-1"))
        play_log(phone, "direct_caller")
        assert lab.of("sip.answered") == [("call-1", 1.0, {"seconds": 1.0})]
        ((_, _, selected),) = lab.of("ice.selected")
        assert (selected["local"]["type"], selected["remote"]["type"]) == ("srflx", "srflx")
        assert len(lab.of("ice.connected")) == 1
        lab.time = 9.0
        phone.told({"command": "hang-up", "call": "call-1"})
        assert commands[-1][0] == "hangup"
        phone.happened(Happening("CALL_CLOSED", "outgoing", "", "id-1", "Connection reset by user"))
        phone.line("lost:                 3            0")
        phone.time_passed()
        figures = [(d["direction"], d["packets"], d["lost"]) for _, _, d in lab.of("media.rtp")]
        assert figures == [("sent", 176, 3), ("received", 286, 0)]
        assert lab.of("sip.completed") == [("call-1", 9.0, {})]
        assert lab.of("call.ended") == [("call-1", 9.0, {"reason": "hung up"})]

    def test_media_that_goes_elsewhere_than_ice_has_selected_is_told(self, phone, lab):
        phone.told(dial())
        play_log(phone, "direct_caller")
        relayed = next(c for c in phone._call.remote if c.type == "relay")
        phone.line(f"stream: audio: starting RTCP with remote {relayed.address}")
        remotes = [data["remote"]["type"] for _, _, data in lab.of("ice.selected")]
        assert remotes == ["srflx", "relay"]

    @pytest.mark.parametrize(
        ("media_nat", "address", "types"),
        [
            ("none", "192.168.2.10:2000", ("host", "host")),
            ("none", "198.51.100.10:2000", ("host", "srflx")),
            ("turn", "198.51.100.10:2000", ("relay", "srflx")),
        ],
    )
    def test_without_ice_a_call_is_connected_when_media_comes(self, lab, media_nat, address, types):
        phone = Phone(lab, lambda *_: None, "192.0.2.5", media_nat=media_nat, hosts=["192.168.2.10"])
        phone.told(dial())
        phone.line(f"stream: incoming rtp for 'audio' established, receiving from {address}")
        ((_, _, selected),) = lab.of("ice.selected")
        assert (selected["local"]["type"], selected["remote"]["type"]) == types
        assert len(lab.of("ice.connected")) == 1

    def test_the_end_waits_a_while_for_the_media_figures_and_comes_without_them(self, phone, lab):
        phone.told(dial())
        phone.happened(Happening("CALL_ESTABLISHED", "outgoing", "sip:bob@192.0.2.5", "id-1"))
        phone.happened(Happening("CALL_CLOSED", "outgoing", "", "id-1", "Connection reset by user"))
        phone.time_passed()
        assert lab.of("call.ended") == []
        phone.happened(Happening("REGISTER_OK"))
        assert phone.wait() == LAST_FIGURES_SECONDS
        lab.time += LAST_FIGURES_SECONDS
        phone.time_passed()
        assert len(lab.of("call.ended")) == 1

    def test_a_call_that_is_refused_fails_with_the_status(self, phone, lab):
        phone.told(dial())
        phone.happened(Happening("CALL_CLOSED", "outgoing", "", "id-1", "404 Not Found"))
        assert lab.of("sip.failed") == [("call-1", 0.0, {"reason": "404 Not Found"})]
        assert lab.of("call.ended") == [("call-1", 0.0, {"reason": "404 Not Found"})]

    def test_who_called_hangs_up_where_there_is_no_path(self, phone, lab, commands):
        phone.told(dial())
        play_log(phone, "failed_caller")
        assert lab.of("ice.failed") == [("call-1", 0.0, {"reason": "no pair of candidates worked"})]
        assert commands[-1] == ("hangup", "", "call-1")

    def test_who_is_called_takes_the_call_it_was_told_of_by_its_caller(self, phone, lab):
        for name, caller in (("call-1", "carol"), ("call-2", "bob")):
            phone.told({"command": "answer", "call": name, "caller": caller})
        phone.happened(Happening("CALL_REMOTE_SDP", "incoming", "sip:bob@192.0.2.5", "id-7", "offer"))
        assert lab.of("call.started") == [("call-2", 0.0, {"caller": "bob", "callee": "alice"})]
        phone.happened(
            Happening("CALL_CLOSED", "incoming", "sip:bob@192.0.2.5", "id-7", "Connection reset by peer")
        )
        assert lab.of("sip.completed") == lab.of("sip.failed") == []
        assert lab.of("call.ended") == [("call-2", 0.0, {"reason": "hung up"})]

    def test_a_call_may_come_before_the_lab_has_said_so(self, phone, lab):
        phone.happened(Happening("REGISTER_OK"))
        phone.happened(Happening("CALL_REMOTE_SDP", "incoming", "sip:bob@192.0.2.5", "id-7", "offer"))
        phone.happened(Happening("CALL_ESTABLISHED", "incoming", "sip:bob@192.0.2.5", "id-7"))
        play_log(phone, "direct_callee")
        assert lab.of("call.started") == []
        phone.told({"command": "answer", "call": "call-1", "caller": "carol"})
        phone.told({"command": "answer", "call": "call-2", "caller": "bob"})
        assert lab.of("call.started") == [("call-2", 0.0, {"caller": "bob", "callee": "alice"})]
        assert [call for call, _, _ in lab.of("ice.connected")] == ["call-2"]

    def test_a_call_of_which_the_lab_knows_nothing_has_a_name_of_its_own_after_a_while(self, phone, lab):
        phone.happened(Happening("REGISTER_OK"))
        phone.happened(Happening("CALL_REMOTE_SDP", "incoming", "sip:bob@192.0.2.5", "id-7", "offer"))
        assert phone.wait() == NAMELESS_SECONDS
        lab.time = NAMELESS_SECONDS
        phone.time_passed()
        assert [call for call, _, _ in lab.of("call.started")] == ["bob-id-7"]

    def test_a_call_that_comes_in_began_when_it_was_heard_of(self, phone, lab):
        """The log and the control channel are two; what the one tells before the other is not lost."""
        phone.told({"command": "answer", "call": "call-1", "caller": "bob"})
        lab.time = 1.0
        play_log(phone, "direct_callee")
        assert lab.reports == []
        lab.time = 1.5
        phone.happened(Happening("CALL_REMOTE_SDP", "incoming", "sip:bob@192.0.2.5", "id-7", "offer"))
        assert lab.of("call.started") == [("call-1", 1.0, {"caller": "bob", "callee": "alice"})]
        assert [at for _, at, _ in lab.of("ice.connected")] == [1.0]

    def test_a_call_can_be_made_at_once_after_another_has_ended(self, phone, lab, commands):
        phone.told(dial("call-1"))
        play_log(phone, "direct_caller")
        phone.happened(Happening("CALL_CLOSED", "outgoing", "", "id-1", "Connection reset by peer"))
        phone.told(dial("call-2"))
        assert [call for call, _, _ in lab.of("call.ended")] == ["call-1"]
        assert commands[-1] == ("dial", "sip:bob@192.0.2.5", "call-2")

    def test_a_second_call_at_a_time_is_refused_in_words(self, phone, lab):
        phone.told(dial("call-1"))
        phone.told(dial("call-2"))
        assert lab.of("call.ended") == [("call-2", 0.0, {"reason": "baresip is in another call, call-1"})]

    def test_a_policy_that_baresip_has_not_is_refused_in_words(self, phone, lab, commands):
        phone.told(dial(candidates="relay-only"))
        ((_, _, data),) = lab.of("call.ended")
        assert "media_nat" in data["reason"]
        assert commands == []

    def test_a_command_that_baresip_refuses_ends_its_call(self, phone, lab):
        phone.told(dial())
        phone.answered(Answer(done=False, text="no such peer\n", tag="call-1"))
        assert lab.of("call.ended") == [("call-1", 0.0, {"reason": "no such peer"})]


class TestFiles:
    def test_an_account_names_the_server_with_its_credentials(self):
        server = {"kind": "turn", "host": "192.0.2.10", "port": 3478, "username": "u", "password": "p"}
        assert account_line("alice", "192.0.2.5", "ice", server).endswith(
            ";medianat=ice;stunserver=turn:192.0.2.10:3478;stunuser=u;stunpass=p"
        )

    @pytest.mark.parametrize("server", [None, {"kind": "turn"}])
    def test_without_a_way_through_nats_it_names_none(self, server):
        assert "medianat" not in account_line("alice", "2001:db8::5", "none" if server else "ice", server)

    def test_an_ipv6_address_has_brackets(self, tmp_path):
        assert "sip_listen [2001:db8::1]:5060\n" in configuration_text("2001:db8::1", tmp_path)
        assert account_line("alice", "2001:db8::5", "none", None).startswith("<sip:alice@[2001:db8::5]>")
