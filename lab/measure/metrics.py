"""Events to samples: every metric of the catalogue as a function of one trial's events. Pure.

:mod:`lab.spec.metric_catalogue` declares them. A sample's weight is how many happenings its event stands for
(``count``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final, NamedTuple

from lab.errors import UsageError
from lab.measure.call_trace import CallTrace, Flow, traces_of
from lab.measure.calls import CallRecord, Side
from lab.measure.predict import Reach
from lab.spec.event import Event, EventType, PathClass
from lab.spec.expectation import Request

Possible = Callable[[str, str], Reach]
"""Gives the best class of path that two hosts (caller, callee) can come to, by prediction.

It may raise UsageError where one of them is no host of the network: then there is no sample.
"""


class Sample(NamedTuple):
    """One sample.

    ``value`` in SI units, 1 or 0 for a share; ``weight`` how many it stands for; ``call`` empty if it is of a
    trial as a whole.
    """

    value: float
    weight: int = 1
    call: str = ""


@dataclass(frozen=True)
class _Trial:
    """One trial's events, with its calls read once; ``possible`` where there is a prediction.

    ``calls`` are those that have media: of one that is signalling alone nobody can say which path it took.
    """

    events: Sequence[Event]
    possible: Possible | None

    @cached_property
    def calls(self) -> list[CallTrace]:
        return [call for call in traces_of(self.events) if not call.signalling_only]


def measure(
    events: Sequence[Event], requests: Iterable[Request], possible: Possible | None = None
) -> dict[Request, tuple[Sample, ...]]:
    """Return the samples of one trial for each request.

    Args:
        events: everything that happened in the trial, in order.
        requests: metrics of the catalogue, and within how many seconds what counts has to happen.
        possible: prediction; without it ``direct.possible`` and ``direct.missed`` have no samples.

    Raises:
        KeyError: a metric that is not in the catalogue.
    """
    trial = _Trial(events, possible)
    return {request: tuple(_METRICS[request.metric](trial, request.within)) for request in requests}


_Samples = Iterator[Sample]
_Metric = Callable[[_Trial, float | None], _Samples]


# Calls, as far as they got within so many seconds of their start


def _of_calls(
    value: Callable[[CallTrace, CallRecord], float | bool | None], trial: _Trial, within: float | None
) -> _Samples:
    """Yield a sample a call; none of a call for which the value is None."""
    for call in trial.calls:
        found = value(call, call.record(within))
        if found is not None:
            yield Sample(float(found), call.weight, call.name)


def _connected(_: CallTrace, record: CallRecord) -> bool:
    return record.connected


def _setup_time(_: CallTrace, record: CallRecord) -> float | None:
    return record.setup_time


def _is_on(paths: frozenset[PathClass], _: CallTrace, record: CallRecord) -> bool | None:
    return record.path in paths if record.connected else None


def _direct_validated(_: CallTrace, record: CallRecord) -> bool | None:
    return None if record.validated is None else record.validated is Reach.DIRECT


def _media_both_ways(_: CallTrace, record: CallRecord) -> bool | None:
    if not record.connected or not all(side.has_talked for side in record.sides):
        return None
    return record.media_both_ways


def _of_sides(value: Callable[[Side], float | None], trial: _Trial, within: float | None) -> _Samples:
    """Yield a sample a side of each call; none of a side for which the value is None."""
    for call in trial.calls:
        for side in call.record(within).sides:
            found = value(side)
            if found is not None:
                yield Sample(found, call.weight, call.name)


def _gathering_time(side: Side) -> float | None:
    return side.gathered_in


def _checking_time(side: Side) -> float | None:
    return None if side.checking is None or side.connected is None else side.connected - side.checking


# Calls beside what is predicted for them


def _direct_possible(trial: _Trial, _within: float | None) -> _Samples:
    for call, can in _predicted(trial):
        yield Sample(float(can), call.weight, call.name)


def _direct_missed(trial: _Trial, within: float | None) -> _Samples:
    for call, can in _predicted(trial):
        record = call.record(within)
        if record.connected:
            yield Sample(float(can and record.path is PathClass.RELAY), call.weight, call.name)


def _predicted(trial: _Trial) -> Iterator[tuple[CallTrace, bool]]:
    """Yield the calls for which there is a prediction, each with whether it can do without a relay."""
    for call in trial.calls if trial.possible else ():
        assert trial.possible is not None
        try:
            yield call, trial.possible(call.caller, call.callee) is Reach.DIRECT
        except UsageError:
            continue  # somebody called a name that nobody has


# Established calls, throughout or within so many seconds of a fault


def _windows(trial: _Trial, within: float | None) -> Iterator[tuple[CallTrace, float, float]]:
    """Yield connected calls, each with the first and last time that counts.

    With ``within`` they are those which a fault met while they were up.
    """
    for call in trial.calls:
        connected, fault = call.connected, call.fault
        if connected is None:
            continue
        if within is None:
            yield call, 0.0, float("inf")
        elif fault is not None and connected <= fault < call.ended:
            yield call, fault, fault + within


def _happened(when: Callable[[CallTrace], float | None], trial: _Trial, within: float | None) -> _Samples:
    """Yield for each call whether something happened to it in its window."""
    for call, first, last in _windows(trial, within):
        time = when(call)
        yield Sample(float(time is not None and first <= time <= last), call.weight, call.name)


def _detection_time(trial: _Trial, within: float | None) -> _Samples:
    for call, _, last in _windows(trial, float("inf") if within is None else within):
        fault, lost = call.fault, call.consent_lost
        if fault is not None and lost is not None and fault <= lost <= last:
            yield Sample(lost - fault, call.weight, call.name)


def _of_flows(value: Callable[[Flow], float], trial: _Trial, within: float | None) -> _Samples:
    """Yield a sample a direction in which media was sent in the call's window."""
    for call, first, last in _windows(trial, within):
        for flow in call.flows():
            part = flow.between(first, last)
            if part.sent:
                yield Sample(value(part), call.weight, call.name)


def _delays(trial: _Trial, within: float | None) -> _Samples:
    """Yield the delays of arrivals, equal ones of one call as one sample of their weight."""
    for call, first, last in _windows(trial, within):
        weights: dict[float, int] = {}
        for flow in call.flows():
            for _, delay, count in flow.between(first, last).delays:
                weights[delay] = weights.get(delay, 0) + count
        for delay, weight in weights.items():
            yield Sample(delay, weight, call.name)


def _rtp_loss(trial: _Trial, _within: float | None) -> _Samples:
    """Yield the share that a receiver of RTP misses; it counts duplicates as fewer lost (RFC 3550 §6.4.1)."""
    for event in trial.events:
        lost, packets = event.data.get("lost"), event.data.get("packets")
        if event.type is not EventType.MEDIA_RTP or event.data["direction"] != "received":
            continue
        if isinstance(lost, int) and isinstance(packets, int) and packets + lost > 0:
            yield Sample(max(0, lost) / (packets + max(0, lost)), event.count, event.call)


# Whole trials


def _number_of(type_: EventType, trial: _Trial, _within: float | None) -> _Samples:
    yield Sample(float(sum(event.count for event in trial.events if event.type is type_)))


def _seconds_of(type_: EventType, trial: _Trial, _within: float | None) -> _Samples:
    """Yield the seconds that each event of a type tells of."""
    for event in trial.events:
        if event.type is type_:
            seconds = event.data["seconds"]
            assert isinstance(seconds, int | float)
            yield Sample(float(seconds), event.count, event.call)


def _sip_calls(trial: _Trial, _within: float | None) -> _Samples:
    ends = {EventType.SIP_COMPLETED, EventType.SIP_FAILED}
    yield Sample(float(sum(event.count for event in trial.events if event.type in ends)))


_DIRECT: Final = frozenset(path for path in PathClass if path.is_direct)


def _path(*paths: PathClass) -> _Metric:
    return partial(_of_calls, partial(_is_on, frozenset(paths)))


_METRICS: Final[Mapping[str, _Metric]] = {
    "ice.connected": partial(_of_calls, _connected),
    "ice.setup_time": partial(_of_calls, _setup_time),
    "ice.gathering_time": partial(_of_sides, _gathering_time),
    "ice.checking_time": partial(_of_sides, _checking_time),
    "path.host": _path(PathClass.HOST),
    "path.peer_reflexive": _path(PathClass.PEER_REFLEXIVE),
    "path.server_reflexive": _path(PathClass.SERVER_REFLEXIVE),
    "path.direct": _path(*_DIRECT),
    "relay.share": _path(PathClass.RELAY),
    "direct.validated": partial(_of_calls, _direct_validated),
    "direct.possible": _direct_possible,
    "direct.missed": _direct_missed,
    "media.both_ways": partial(_of_calls, _media_both_ways),
    "media.delay": _delays,
    "media.loss": partial(_of_flows, lambda flow: flow.loss),
    "media.gap": partial(_of_flows, lambda flow: flow.gap),
    "media.outage": partial(_of_flows, lambda flow: flow.outage),
    "rtp.loss": _rtp_loss,
    "consent.lost": partial(_happened, lambda call: call.consent_lost),
    "consent.detection_time": _detection_time,
    "calls.lost": partial(_happened, lambda call: call.lost),
    "turn.round_trip": partial(_of_sides, lambda side: side.turn_round_trip),
    "sip.setup_time": partial(_seconds_of, EventType.SIP_ANSWERED),
    "sip.registration_time": partial(_seconds_of, EventType.SIP_REGISTERED),
    "sip.calls": _sip_calls,
    "sip.failed": partial(_number_of, EventType.SIP_FAILED),
    "turn.allocations": partial(_number_of, EventType.TURN_ALLOCATED),
    "turn.refusals": partial(_number_of, EventType.TURN_REFUSED),
    "turn.expiries": partial(_number_of, EventType.TURN_EXPIRED),
    "nat.mappings": partial(_number_of, EventType.NAT_MAPPING_CREATED),
    "packets.dropped": partial(_number_of, EventType.PACKET_DROPPED),
    "ice.candidate_errors": partial(_number_of, EventType.ICE_CANDIDATE_ERROR),
    "roles.failed": partial(_number_of, EventType.ROLE_FAILED),
}
