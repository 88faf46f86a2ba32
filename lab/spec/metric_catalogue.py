"""What can be measured: every metric with its unit, its statistics, its definition and its source.

Declarations alone: :mod:`lab.measure.metrics` computes each from events, and ``docs/metrics.md`` is written
from here.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


class Statistic(enum.StrEnum):
    """What is made of many samples. Percentiles are by nearest rank (see :mod:`lab.measure.statistics`)."""

    RATE = "rate"
    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    P50 = "p50"
    P90 = "p90"
    P95 = "p95"
    P99 = "p99"
    MAX = "max"

    @property
    def percentile(self) -> int | None:
        """The percentile it is, in 1..99; None for the others."""
        return int(self.value[1:]) if self.value[0] == "p" else None


_DISTRIBUTION: Final = (
    Statistic.MEAN,
    Statistic.MIN,
    Statistic.P50,
    Statistic.P90,
    Statistic.P95,
    Statistic.P99,
    Statistic.MAX,
)


class MetricKind(enum.Enum):
    """What a sample is: its unit, and the statistics that make sense of many."""

    SHARE = "share of calls"
    DURATION = "duration"
    RATIO = "ratio"
    COUNT = "count"

    @property
    def unit(self) -> str:
        """The unit that a threshold is written in; empty where numbers stand bare."""
        return {MetricKind.DURATION: "s", MetricKind.COUNT: ""}.get(self, "%")

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        """The statistics of this kind.

        ``count`` is how many calls of a share it was true of, and how many samples there are of the others.
        """
        if self is MetricKind.SHARE:
            return (Statistic.RATE, Statistic.COUNT)
        if self is MetricKind.COUNT:
            return (Statistic.SUM, *_DISTRIBUTION)
        return (*_DISTRIBUTION, Statistic.COUNT)


class Origin(enum.Enum):
    """What ``within`` counts from."""

    CALL = "the start of the call"
    FAULT = "the first thing done to a link, a NAT box, a program or an endpoint's place after the call began"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. ``samples`` says what one sample is; ``origin`` is None where ``within`` makes no sense."""

    name: str
    kind: MetricKind
    samples: str
    definition: str
    source: str
    origin: Origin | None = None

    @property
    def unit(self) -> str:
        """The unit of a threshold on a statistic other than ``count``."""
        return self.kind.unit

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        """The statistics an expectation may name."""
        return self.kind.statistics


_CONNECTED: Final = "each connected call"
_EACH_CALL: Final = "each call"
_DIRECTION: Final = "each direction of a connected call in which media was sent"
_TRIAL: Final = "each trial"
_ICE: Final = "RFC 8445"


def _path(name: str, definition: str) -> Metric:
    return Metric(
        name=name,
        kind=MetricKind.SHARE,
        samples=_CONNECTED,
        definition=definition,
        source=f"{_ICE} §5.1.1, §8.1.1",
        origin=Origin.CALL,
    )


def _per_trial(name: str, definition: str, source: str) -> Metric:
    return Metric(name=name, kind=MetricKind.COUNT, samples=_TRIAL, definition=definition, source=source)


_ALL: Final = (
    Metric(
        name="ice.connected",
        kind=MetricKind.SHARE,
        samples=_EACH_CALL,
        definition="Whether both sides selected a candidate pair.",
        source=f"{_ICE} §8.1",
        origin=Origin.CALL,
    ),
    Metric(
        name="ice.setup_time",
        kind=MetricKind.DURATION,
        samples=_CONNECTED,
        definition="From dialling to the moment the later side had its selected pair.",
        source=f"{_ICE} §8.1; what post-dial delay is to a caller",
        origin=Origin.CALL,
    ),
    Metric(
        name="ice.gathering_time",
        kind=MetricKind.DURATION,
        samples="each side of a call that finished gathering",
        definition="How long gathering took, all transports to the TURN server that were tried added up.",
        source=f"{_ICE} §5.1.1",
        origin=Origin.CALL,
    ),
    Metric(
        name="ice.checking_time",
        kind=MetricKind.DURATION,
        samples="each side of a call that selected a pair",
        definition="From the moment a side began its checks to its selected pair.",
        source=f"{_ICE} §6.1.4",
        origin=Origin.CALL,
    ),
    _path("path.host", "Whether media goes between host addresses, as on one LAN or where there is no NAT."),
    _path(
        "path.peer_reflexive",
        "Whether media goes directly, and one side knows the other's address only from a connectivity check.",
    ),
    _path(
        "path.server_reflexive",
        "Whether media goes directly, through a NAT, between addresses that a STUN server told.",
    ),
    _path("path.direct", "Whether media goes without a relay: host, peer-reflexive or server-reflexive."),
    _path("relay.share", "Whether media goes by a relay."),
    Metric(
        name="direct.validated",
        kind=MetricKind.SHARE,
        samples="each call of which a side told its checks' outcome",
        definition="Whether a check succeeded on a pair without a relayed candidate, selected or not.",
        source=f"{_ICE} §7.2.5.3",
        origin=Origin.CALL,
    ),
    Metric(
        name="direct.possible",
        kind=MetricKind.SHARE,
        samples=_EACH_CALL,
        definition="Whether the NATs' properties leave a path without a relay: predicted, not measured.",
        source="RFC 4787 §4, §5; docs/paths.md",
    ),
    Metric(
        name="direct.missed",
        kind=MetricKind.SHARE,
        samples=_CONNECTED,
        definition="Whether the relay was selected although a path without it is possible.",
        source=f"{_ICE} §8.1.1; docs/paths.md",
        origin=Origin.CALL,
    ),
    Metric(
        name="media.both_ways",
        kind=MetricKind.SHARE,
        samples="each connected call in which both sides sent media",
        definition="Whether each side received media of the other.",
        source="RFC 3550 §6.4",
        origin=Origin.CALL,
    ),
    Metric(
        name="media.delay",
        kind=MetricKind.DURATION,
        samples="each media packet that arrived",
        definition=(
            "One way, from program to program: media that comes before its receiver has a pair waits for it."
        ),
        source="RFC 7679 §3",
        origin=Origin.FAULT,
    ),
    Metric(
        name="media.loss",
        kind=MetricKind.RATIO,
        samples=_DIRECTION,
        definition="Media packets sent that never arrived, of those sent; duplicates count once.",
        source="RFC 7680 §2, RFC 3550 §6.4.1",
        origin=Origin.FAULT,
    ),
    Metric(
        name="media.gap",
        kind=MetricKind.DURATION,
        samples=_DIRECTION,
        definition=(
            "The longest silence that lost packets made: from the arrival before a run of losses to the "
            "arrival after it; where nothing arrived before or after, from the first or to the last packet "
            "sent. 0 where nothing was lost."
        ),
        source="RFC 3611 §4.7.2, where a run of losses is part of a burst",
        origin=Origin.FAULT,
    ),
    Metric(
        name="media.outage",
        kind=MetricKind.DURATION,
        samples=_DIRECTION,
        definition=(
            "The longest that media was waited for, whether it was lost or came late: from one arrival, or "
            "from the next packet's being sent if that was later, to the next arrival; where nothing arrived "
            "after, to the last packet sent. The sender's own pauses do not count."
        ),
        source="RFC 6201, the time-stamp method, at the receiver",
        origin=Origin.FAULT,
    ),
    Metric(
        name="rtp.loss",
        kind=MetricKind.RATIO,
        samples="each stream of RTP of which a program told what it received",
        definition="Packets of RTP that never arrived, of those expected, by the receiver's own count.",
        source="RFC 3550 §6.4.1; the event media.rtp of external programs",
    ),
    Metric(
        name="consent.lost",
        kind=MetricKind.SHARE,
        samples=_CONNECTED,
        definition="Whether a side's consent to send expired before anybody hung up.",
        source="RFC 7675 §5.1",
        origin=Origin.FAULT,
    ),
    Metric(
        name="consent.detection_time",
        kind=MetricKind.DURATION,
        samples="each call that lost consent after a fault",
        definition="From the fault to the first side whose consent expired.",
        source="RFC 7675 §5.1",
        origin=Origin.FAULT,
    ),
    Metric(
        name="calls.lost",
        kind=MetricKind.SHARE,
        samples=_CONNECTED,
        definition="Whether it ended without hanging up: consent expired, or a side's program ended.",
        source="RFC 7675 §5.1",
        origin=Origin.FAULT,
    ),
    Metric(
        name="turn.round_trip",
        kind=MetricKind.DURATION,
        samples="each side of a call that a TURN server answered while it gathered",
        definition="How far away the TURN server is: from the first request sent just once to the answer.",
        source="RFC 8656 §7.1, RFC 8489 §6.2.1",
        origin=Origin.CALL,
    ),
    Metric(
        name="sip.setup_time",
        kind=MetricKind.DURATION,
        samples="each SIP call that was answered",
        definition="From INVITE to its 200, at the caller; SIPp measures it in whole milliseconds.",
        source="RFC 3261 §13.2.2.4",
    ),
    Metric(
        name="sip.registration_time",
        kind=MetricKind.DURATION,
        samples="each SIP phone that registered, and each time that it did so again after a failure",
        definition="From its first REGISTER to the 200.",
        source="RFC 6076 §4.1",
    ),
    _per_trial("sip.calls", "SIP calls that were completed or failed.", "RFC 6076 §4.7"),
    _per_trial(
        "sip.failed",
        "SIP calls that were refused, timed out, or met a message that was not to come.",
        "RFC 6076 §4.8",
    ),
    _per_trial("turn.allocations", "Allocations that the relays made.", "RFC 8656 §7.2"),
    _per_trial(
        "turn.refusals",
        "Requests that the relays answered with an error, other than the challenge to a first request.",
        "RFC 8656 §7.2, RFC 8489 §9.2.4",
    ),
    _per_trial(
        "turn.expiries", "Allocations, permissions and channels that ran out.", "RFC 8656 §3.2, §9, §12"
    ),
    _per_trial("nat.mappings", "Mappings that NAT boxes created.", "RFC 4787 §4.1"),
    _per_trial("packets.dropped", "Packets dropped anywhere, for whatever reason.", "RFC 7680 §2"),
    _per_trial(
        "ice.candidate_errors",
        "Servers that gave an endpoint no candidate when asked.",
        "W3C WebRTC §4.8.2, error 701",
    ),
    _per_trial(
        "roles.failed", "Programs, or steps of programs, that ended by an error.", "the event role.failed"
    ),
)

CATALOGUE: Final[Mapping[str, Metric]] = {metric.name: metric for metric in _ALL}
"""Every metric by name, in the order of the reference page."""
