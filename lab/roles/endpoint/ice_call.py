"""One call's ICE, by aioice: gather, check, send and receive, until consent is lost or somebody hangs up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aioice
from aioice.candidate import Candidate
from aioice.ice import TransportPolicy

from lab.errors import WireFormatError
from lab.protocols.signalling import IceDescription
from lab.roles.endpoint.aioice_events import CandidatePair, RoundTrip, observe_checks, timing_turn
from lab.roles.endpoint.config import EndpointConfig
from lab.roles.endpoint.media import encode_media, parse_media_untrusted
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.event import EventType, JsonValue
from nat_models.packet import TransportAddress, format_address

if TYPE_CHECKING:
    from lab.roles.context import RoleContext

SERVER_UNREACHABLE: Final = 701
_SHOWN_STATES = frozenset({"IN_PROGRESS", "SUCCEEDED", "FAILED"})


class IceCall:
    """One side of one call. Every step is an event; times are seconds since the side learned of the call."""

    def __init__(
        self,
        name: str,
        *,
        controlling: bool,
        config: EndpointConfig,
        policy: CandidatePolicy,
        context: RoleContext,
    ) -> None:
        self.name = name
        self._controlling = controlling
        self._config = config
        self._policy = policy
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._connection: aioice.Connection | None = None
        self._connected_at = 0.0
        self._planned: float | None = None
        self._has_check_list = False
        self._validated: dict[tuple[str, str], None] = {}
        self._next_sequence = 0
        self._receiving: asyncio.Task[None] | None = None
        self._is_closing = False

    def _emit(self, type_: EventType, **data: JsonValue) -> None:
        self._context.emit(type_, call=self.name, **data)  # type: ignore[arg-type]  # data has no reserved key

    # Gathering

    async def gather(self) -> IceDescription:
        """Gather candidates (RFC 8445 §5.1.1) and return what to tell the peer.

        Where the policy wants a relay, its transports are tried in order until one gives an allocation.
        """
        transports = self._transports()
        stun = self._config.stun
        for number, transport in enumerate(transports):
            connection = self._new_connection(transport, stun)
            await self._gather_once(connection, transport, stun is not None)
            types = {candidate.type for candidate in connection.local_candidates}
            if transport == "" or "relay" in types or number + 1 == len(transports):
                break
            if "srflx" not in types:
                stun = None  # it did not answer; asking again would cost aioice's five seconds again
            await connection.close()
        self._connection = connection
        observe_checks(connection, self)
        return IceDescription(
            username_fragment=connection.local_username,
            password=connection.local_password,
            candidates=tuple(candidate.to_sdp() for candidate in connection.local_candidates),
        )

    def _transports(self) -> list[str]:
        turn = self._config.turn
        if turn is None or self._policy.candidates == "no-relay":
            return [""]
        return [t for t in self._policy.turn_transports if t in turn.addresses] or [""]

    def _new_connection(self, transport: str, stun: TransportAddress | None) -> aioice.Connection:
        turn = self._config.turn if transport else None
        relay_only = self._policy.candidates == "relay-only"
        return aioice.Connection(
            ice_controlling=self._controlling,
            stun_server=stun,
            turn_server=turn.addresses[transport] if turn else None,
            turn_username=turn.username if turn else None,
            turn_password=turn.password if turn else None,
            turn_transport="udp" if transport == "udp" else "tcp",
            turn_ssl=transport == "tls",
            use_ipv6=self._policy.ipv6,
            transport_policy=TransportPolicy.RELAY if relay_only else TransportPolicy.ALL,
        )

    async def _gather_once(self, connection: aioice.Connection, transport: str, stun: bool) -> None:
        started = self._loop.time()
        self._emit(
            EventType.ICE_GATHERING,
            policy=self._policy.candidates,
            stun=stun,
            turn=bool(transport),
            transport=transport,
        )
        round_trip = RoundTrip(self._loop.time)
        with timing_turn(round_trip):
            await connection.gather_candidates()
        for candidate in connection.local_candidates:
            self._emit(
                EventType.ICE_CANDIDATE, side="local", **_describe(candidate), priority=candidate.priority
            )
        self._report_silent_servers(connection)
        types: list[JsonValue] = [*sorted({c.type for c in connection.local_candidates})]
        self._emit(
            EventType.ICE_GATHERED,
            candidates=len(connection.local_candidates),
            types=types,
            seconds=_elapsed(self._loop, started),
            turn_round_trip=None if round_trip.seconds is None else round(round_trip.seconds, 9),
        )

    def _report_silent_servers(self, connection: aioice.Connection) -> None:
        """Report servers that gave no candidate, by the code that browsers use (W3C WebRTC §4.8.2)."""
        types = {candidate.type for candidate in connection.local_candidates}
        for scheme, server, wanted in (
            ("stun", connection.stun_server, "srflx"),
            ("turn", connection.turn_server, "relay"),
        ):
            asked = server is not None and (scheme == "turn" or "host" in types)
            if asked and wanted not in types:
                assert server is not None
                url = f"{scheme}:{format_address(server)}"
                self._emit(EventType.ICE_CANDIDATE_ERROR, code=SERVER_UNREACHABLE, url=url)

    # Checking

    async def connect(self, remote: IceDescription, delay: float, planned: float | None = None) -> bool:
        """Run the checks against the peer's candidates, ``delay`` seconds from now.

        Where a moment is ``planned`` (the loop's time), they begin then, and tell how late they were. Return
        whether a pair was selected.
        """
        connection = self._connection
        assert connection is not None, "gather() comes first"
        connection.remote_username, connection.remote_password = remote.username_fragment, remote.password
        for text in remote.candidates:
            await connection.add_remote_candidate(Candidate.from_sdp(text))
        await connection.add_remote_candidate(None)
        self._planned = planned
        if planned is not None:
            delay = max(0.0, planned - self._loop.time())
        if delay:
            await asyncio.sleep(delay)
        try:
            await connection.connect()
        except (ConnectionError, OSError) as error:
            self._report_checking()
            self._report_validated()
            self._emit(EventType.ICE_FAILED, reason=str(error))
            return False
        self._report_validated()
        self._report_selected(connection)
        self._receiving = self._loop.create_task(self._receive(connection))
        return True

    def _report_checking(self) -> None:
        """Record the check list as it was formed (RFC 8445 §6.1.2), before the first check of it; once."""
        if self._has_check_list:
            return
        self._has_check_list = True
        pairs = len(self._connection._check_list)  # type: ignore[union-attr]  # noqa: SLF001 - told nowhere else
        late = {} if self._planned is None else {"late": _elapsed(self._loop, self._planned)}
        self._emit(EventType.ICE_CHECKING, controlling=self._controlling, pairs=pairs, **late)

    def check_changed(self, pair: CandidatePair, before: str, after: str) -> None:
        """Record a check's progress (called by the log tap)."""
        self._report_checking()  # aioice unfreezes the first pairs when it has formed the list
        if after == "SUCCEEDED":
            self._validated[pair.local_candidate.type, self._type_of(pair.remote_candidate)] = None
        if after in _SHOWN_STATES:
            local, remote = _describe(pair.local_candidate), self._describe_remote(pair.remote_candidate)
            self._emit(EventType.ICE_CHECK, local=local, remote=remote, before=before, after=after)

    def _type_of(self, remote: Candidate) -> str:
        """Return a remote candidate's type; a relay's is known by its IP, whatever port it is seen under."""
        if remote.type != "prflx" or self._connection is None:
            return str(remote.type)
        known = self._connection.remote_candidates
        at_a_relay = any(other.type == "relay" and other.host == remote.host for other in known)
        return "relay" if at_a_relay else "prflx"

    def _describe_remote(self, remote: Candidate) -> dict[str, JsonValue]:
        return {**_describe(remote), "type": self._type_of(remote)}

    def nominating(self, pair: CandidatePair) -> None:
        """Record a nomination (called by the log tap)."""
        local, remote = _describe(pair.local_candidate), self._describe_remote(pair.remote_candidate)
        self._emit(EventType.ICE_NOMINATED, local=local, remote=remote)

    def unresolved(self, name: str) -> None:
        """Record a candidate of the peer's that is left out (called by the log tap)."""
        problem = "its name was not resolved: nobody answers multicast DNS"
        self._emit(EventType.ICE_CANDIDATE, side="remote", address=name, problem=problem)

    def _report_validated(self) -> None:
        pairs: list[JsonValue] = [[local, remote] for local, remote in sorted(self._validated)]
        self._emit(EventType.ICE_VALIDATED, pairs=pairs)

    def _report_selected(self, connection: aioice.Connection) -> None:
        self._connected_at = self._loop.time()
        pair = connection._nominated[1]  # noqa: SLF001 - aioice tells the outcome nowhere else
        self._emit(
            EventType.ICE_SELECTED,
            local=_describe(pair.local_candidate),
            remote=self._describe_remote(pair.remote_candidate),
        )
        self._emit(EventType.ICE_CONNECTED, seconds=_elapsed(self._loop, self._began))

    # Media and consent

    async def send_media(self, plan: MediaPlan) -> None:
        """Send ``plan.packets`` datagrams; stops early when the connection is gone."""
        connection = self._connection
        assert connection is not None, "connect() comes first"
        for _ in range(plan.packets):
            sequence, self._next_sequence = self._next_sequence, self._next_sequence + 1
            try:
                await connection.send(encode_media(sequence, self._loop.time(), plan.size))
            except ConnectionError:
                return
            self._emit(EventType.MEDIA_SENT, sequence=sequence, bytes=plan.size)
            await asyncio.sleep(plan.interval)

    async def _receive(self, connection: aioice.Connection) -> None:
        while True:
            try:
                data = await connection.recv()
                packet = parse_media_untrusted(data)
            except ConnectionError:
                return
            except WireFormatError:
                continue
            delay = _elapsed(self._loop, packet.sent)
            self._emit(EventType.MEDIA_RECEIVED, sequence=packet.sequence, bytes=len(data), delay=delay)

    def consent_expired(self) -> None:
        """Record that consent is lost (called by the log tap).

        aioice tells its user when it has closed the connection as well: with a relay that is gone that takes
        40 s more, in which the allocation's end is asked for in vain.
        """
        if not self._is_closing:
            self._emit(EventType.ICE_CONSENT_LOST, since_connected=_elapsed(self._loop, self._connected_at))

    async def close(self) -> None:
        """Free the sockets and the allocation; losing consent afterwards is no event."""
        self._is_closing = True
        if self._receiving is not None:
            self._receiving.cancel()
        if self._connection is not None:
            await self._connection.close()


def _describe(candidate: Candidate) -> dict[str, JsonValue]:
    return {"type": candidate.type, "address": f"{candidate.host}:{candidate.port}"}


def _elapsed(loop: asyncio.AbstractEventLoop, since: float) -> float:
    """Return the seconds since then, without the noise of binary fractions below a nanosecond."""
    return round(loop.time() - since, 9)
