"""DNS: what the server answers, what the resolver reads, and that neither trusts bytes."""

import random
from collections import Counter

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import UsageError, WireFormatError
from lab.protocols.dns import (
    DnsAnswer,
    DnsQuery,
    RecordType,
    ResponseCode,
    SrvRecord,
    build_query,
    order_services,
    parse_answer_untrusted,
)
from lab.protocols.dns_zone import DnsZone

PRIMARY = SrvRecord(10, 60, 5060, "sip1.example.com")
SECONDARY = SrvRecord(20, 0, 5061, "sip2.example.com")
ZONE = DnsZone(
    {
        "turn.example.com": ["198.51.100.7", "198.51.100.8", "2001:db8::7"],
        "sip1.example.com": ["192.0.2.1"],
        "sip2.example.com": ["192.0.2.2", "2001:db8::2"],
        "deep.down.example.com": ["192.0.2.3"],
    },
    {"_sip._udp.example.com": [PRIMARY, SECONDARY]},
    origin="example.com",
)
NOERROR = ResponseCode.NOERROR


def ask(name: str, kind: RecordType, zone: DnsZone = ZONE, *, over_udp: bool = True) -> DnsAnswer:
    query = DnsQuery(name, kind, 4711)
    answer = zone.answer_untrusted(build_query(query), over_udp=over_udp)
    assert answer is not None
    return parse_answer_untrusted(answer, query)


def raw(name: str, kind: str, zone: DnsZone = ZONE, **options) -> dns.message.Message:
    query = dns.message.make_query(name, kind, id=1, **options)
    return dns.message.from_wire(zone.answer_untrusted(query.to_wire()))


class TestAnswers:
    def test_addresses_come_by_family_in_the_order_given(self):
        assert ask("turn.example.com", RecordType.A) == DnsAnswer(
            NOERROR, addresses=("198.51.100.7", "198.51.100.8")
        )
        assert ask("turn.example.com", RecordType.AAAA) == DnsAnswer(NOERROR, addresses=("2001:db8::7",))

    def test_the_order_is_the_same_every_time(self):
        """The bytes are part of a run: nothing may shuffle them."""
        zone = DnsZone({"many.example.com": [f"192.0.2.{number}" for number in range(30)]})
        query = build_query(DnsQuery("many.example.com", RecordType.A, 1))
        state = random.getstate()
        assert len({zone.answer_untrusted(query) for _ in range(20)}) == 1
        assert random.getstate() == state

    def test_names_are_compared_without_case_and_the_question_comes_back_as_asked(self):
        assert ask("TURN.Example.COM", RecordType.A).addresses
        assert raw("TURN.Example.COM", "A").question[0].name.to_text() == "TURN.Example.COM."

    def test_services_come_with_the_addresses_of_their_targets(self):
        assert ask("_sip._udp.example.com", RecordType.SRV).services == (PRIMARY, SECONDARY)
        additional = [
            (entry.name.to_text(omit_final_dot=True), entry[0].address)
            for entry in raw("_sip._udp.example.com", "SRV").additional
        ]
        assert additional == [
            ("sip1.example.com", "192.0.2.1"),
            ("sip2.example.com", "192.0.2.2"),
            ("sip2.example.com", "2001:db8::2"),
        ]

    def test_any_asks_for_everything(self):
        assert [entry.rdtype.name for entry in raw("sip2.example.com", "ANY").answer] == ["A", "AAAA"]

    def test_answers_are_authoritative_and_recursion_is_not_offered(self):
        flags = raw("turn.example.com", "A").flags
        assert flags & dns.flags.AA
        assert flags & dns.flags.RD
        assert not flags & dns.flags.RA


class TestNegativeAnswers:
    def test_a_name_that_does_not_exist_is_nxdomain_with_soa(self):
        assert ask("nobody.example.com", RecordType.A) == DnsAnswer(ResponseCode.NXDOMAIN)
        [soa] = raw("nobody.example.com", "A").authority
        assert (soa.rdtype.name, soa[0].minimum) == ("SOA", soa.ttl)

    @pytest.mark.parametrize(
        "name", ["sip1.example.com", "down.example.com", "_udp.example.com", "example.com"]
    )
    def test_a_name_that_exists_without_such_a_record_is_an_empty_answer_with_soa(self, name):
        """Also one that exists because something below it does (RFC 4592 §2.2.2)."""
        assert ask(name, RecordType.AAAA) == DnsAnswer(NOERROR)
        assert [entry.rdtype.name for entry in raw(name, "AAAA").authority] == ["SOA"]

    def test_a_name_outside_the_zone_is_refused(self):
        assert raw("example.org", "A").rcode() == dns.rcode.REFUSED
        assert ask("example.org", RecordType.A).code is ResponseCode.FAILURE

    def test_without_an_origin_the_server_knows_what_exists_everywhere(self):
        zone = DnsZone({"a.example": ["192.0.2.1"], "b.test": ["192.0.2.2"]})
        assert ask("b.test", RecordType.A, zone).addresses == ("192.0.2.2",)
        assert ask("c.test", RecordType.A, zone).code is ResponseCode.NXDOMAIN

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda query: query.set_opcode(dns.opcode.NOTIFY), dns.rcode.NOTIMP),
            (lambda query: query.question.clear(), dns.rcode.FORMERR),
            (lambda query: query.question.append(query.question[0]), dns.rcode.FORMERR),
            (lambda query: query.use_edns(1), dns.rcode.BADVERS),
        ],
    )
    def test_what_is_no_plain_question_is_refused_by_code(self, change, code):
        query = dns.message.make_query("turn.example.com", "A", id=1)
        change(query)
        assert dns.message.from_wire(ZONE.answer_untrusted(query.to_wire())).rcode() == code

    def test_another_class_than_internet_is_refused(self):
        assert raw("turn.example.com", "A", rdclass="CH").rcode() == dns.rcode.REFUSED

    def test_an_answer_is_not_answered(self):
        """Two servers would talk to each other forever."""
        answer = ZONE.answer_untrusted(build_query(DnsQuery("turn.example.com", RecordType.A, 1)))
        assert ZONE.answer_untrusted(answer) is None


class TestLongAnswers:
    ZONE = DnsZone({"many.example.com": [f"2001:db8::{number:x}" for number in range(100)]})

    @pytest.mark.parametrize(("options", "room"), [({"use_edns": False}, 512), ({"payload": 4096}, 1232)])
    def test_over_udp_it_is_cut_and_marked(self, options, room):
        query = dns.message.make_query("many.example.com", "AAAA", id=1, **options)
        data = self.ZONE.answer_untrusted(query.to_wire())
        answer = dns.message.from_wire(data)
        assert len(data) <= room
        assert answer.flags & dns.flags.TC

    def test_over_tcp_it_is_whole(self):
        answer = ask("many.example.com", RecordType.AAAA, self.ZONE, over_udp=False)
        assert len(answer.addresses) == 100
        assert not answer.truncated

    def test_the_resolver_sees_the_mark(self):
        assert ask("many.example.com", RecordType.AAAA, self.ZONE).truncated


class TestZoneData:
    def test_every_problem_is_reported(self):
        with pytest.raises(UsageError) as caught:
            DnsZone(
                {"a.example.com": ["not-an-address", "192.0.2.1"], "x" * 64 + ".com": ["192.0.2.1"]},
                {
                    "_sip._udp.example.com": [SrvRecord(10, 60, 70_000, "b.example.com")],
                    "_sip._udp.elsewhere.org": [PRIMARY],
                },
                origin="example.com",
            )
        text = str(caught.value)
        assert len(caught.value.problems) == 4
        for part in (
            "'not-an-address' is not an IP address",
            "is not a DNS name",
            "70000",
            "outside the zone",
        ):
            assert part in text

    def test_an_address_given_twice_is_answered_once(self):
        zone = DnsZone({"a.test": ["192.0.2.1", "192.0.2.1"]})
        assert ask("a.test", RecordType.A, zone).addresses == ("192.0.2.1",)

    def test_a_service_reads_as_in_a_zone_file(self):
        assert SrvRecord.from_text(" 10 60 5060  sip1.example.com") == PRIMARY

    @pytest.mark.parametrize(
        "text", ["", "10 60 5060", "10 60 5060 a b", "10 60 65536 a", "-1 60 1 a", "x 60 1 a", "² 60 1 a"]
    )
    def test_what_is_no_service_is_refused(self, text):
        with pytest.raises(UsageError, match="is no SRV record"):
            SrvRecord.from_text(text, "zone1")


class TestReading:
    QUERY = DnsQuery("turn.example.com", RecordType.A, 4711)

    @pytest.mark.parametrize(
        "other",
        [
            DnsQuery("turn.example.com", RecordType.A, 4712),
            DnsQuery("turn.example.com", RecordType.AAAA, 4711),
            DnsQuery("sip1.example.com", RecordType.A, 4711),
        ],
    )
    def test_an_answer_to_another_query_is_refused(self, other):
        """The identifier and the whole question have to match (RFC 5452 §9.1)."""
        answer = ZONE.answer_untrusted(build_query(other))
        with pytest.raises(WireFormatError, match="not the answer"):
            parse_answer_untrusted(answer, self.QUERY)

    def test_a_query_is_not_an_answer(self):
        with pytest.raises(WireFormatError):
            parse_answer_untrusted(build_query(self.QUERY), self.QUERY)

    def answer_with(self, *records: str) -> DnsAnswer:
        message = dns.message.make_response(dns.message.from_wire(build_query(self.QUERY)))
        for record in records:
            name, kind, data = record.split()
            message.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", kind, data))
        return parse_answer_untrusted(message.to_wire(), self.QUERY)

    def test_aliases_are_followed(self):
        answer = self.answer_with(
            "turn.example.com CNAME a.example.net.", "a.example.net CNAME b.example.net.",
            "b.example.net A 192.0.2.9",
        )  # fmt: skip
        assert answer.addresses == ("192.0.2.9",)

    def test_aliases_in_a_circle_lead_nowhere(self):
        answer = self.answer_with(
            "turn.example.com CNAME a.example.net.", "a.example.net CNAME turn.example.com."
        )
        assert answer == DnsAnswer(NOERROR)

    def test_records_of_other_names_are_not_taken(self):
        assert self.answer_with("evil.example.com A 192.0.2.66").addresses == ()

    @pytest.mark.parametrize("name", ["a..b", "x" * 64, "x." * 200])
    def test_a_name_that_is_none_cannot_be_asked_for(self, name):
        with pytest.raises(UsageError, match="is not a DNS name"):
            build_query(DnsQuery(name, RecordType.A, 1))


VALID = [
    build_query(DnsQuery("turn.example.com", RecordType.A, 4711)),
    build_query(DnsQuery("_sip._udp.example.com", RecordType.SRV, 4711)),
    ZONE.answer_untrusted(build_query(DnsQuery("turn.example.com", RecordType.A, 4711))),
    ZONE.answer_untrusted(build_query(DnsQuery("_sip._udp.example.com", RecordType.SRV, 4711))),
]


@st.composite
def spoilt(draw) -> bytes:
    """Return a valid message with some bytes changed, cut or added."""
    data = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))] + draw(st.binary(max_size=8)))


class TestWhateverTheBytes:
    @given(st.binary(max_size=300) | spoilt())
    def test_the_server_answers_or_says_wire_format_error(self, data):
        try:
            answer = ZONE.answer_untrusted(data)
        except WireFormatError:
            return
        assert answer is None or answer[:2] == data[:2]

    @given(st.binary(max_size=300) | spoilt(), st.sampled_from(RecordType))
    def test_the_resolver_reads_or_says_wire_format_error(self, data, kind):
        for name in ("turn.example.com", "_sip._udp.example.com"):
            try:
                answer = parse_answer_untrusted(data, DnsQuery(name, kind, 4711))
            except WireFormatError:
                continue
            assert isinstance(answer, DnsAnswer)


class TestServiceOrder:
    def test_lower_priority_goes_first(self):
        records = [SrvRecord(20, 100, 1, "c"), SrvRecord(10, 0, 1, "a"), SrvRecord(15, 1, 1, "b")]
        assert [record.target for record in order_services(records, random.Random(1))] == ["a", "b", "c"]

    @given(
        st.lists(
            st.builds(SrvRecord, st.integers(0, 3), st.integers(0, 65_535), st.just(1), st.text(max_size=3))
        ),
        st.integers(),
    )
    def test_nobody_is_lost_and_priorities_never_fall(self, records, seed):
        ordered = order_services(records, random.Random(seed))
        assert Counter(ordered) == Counter(records)
        priorities = [record.priority for record in ordered]
        assert priorities == sorted(priorities)

    def test_among_equals_the_chance_to_be_first_is_the_weight(self):
        records = [SrvRecord(10, weight, 1, str(weight)) for weight in (60, 30, 10, 0)]
        lots = random.Random(7)
        first = Counter(order_services(records, lots)[0].weight for _ in range(10_000))
        # Five standard errors. The draw includes both ends: of its 101 values, weight 0 has one.
        for weight, expected in ((60, 60 / 101), (30, 30 / 101), (10, 10 / 101), (0, 1 / 101)):
            error = (expected * (1 - expected) / 10_000) ** 0.5
            assert abs(first[weight] / 10_000 - expected) < 5 * error
