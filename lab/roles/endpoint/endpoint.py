"""The endpoint role: registers with the rendezvous, makes and takes calls as commanded."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from lab.protocols.signalling import IceDescription, Signal
from lab.roles.context import RoleContext
from lab.roles.endpoint.config import EndpointConfig
from lab.roles.endpoint.ice_call import IceCall
from lab.roles.endpoint.nearest import nearest
from lab.roles.registration import Registration
from lab.spec.command import Answer, Command, Dial, HangUp, SendMedia, decode_command
from lab.spec.event import EventType


class Endpoint:
    """One user's device. ``ready`` is set once the rendezvous has acknowledged its registration."""

    def __init__(self, config: EndpointConfig, context: RoleContext) -> None:
        self._config = config
        self._context = context
        self._calls: dict[str, IceCall] = {}
        self._answers: dict[str, asyncio.Future[tuple[IceDescription, float | None]]] = {}
        self._prepared: dict[str, Answer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._registration = Registration(
            config.name,
            config.rendezvous,
            context,
            self._received,
            self._choose_region if config.regions else None,
        )
        self.ready = self._registration.ready

    async def run(self) -> None:
        """Register and serve until cancelled; register again where the rendezvous was lost.

        Raises:
            OSError: at the start the rendezvous cannot be reached, or does not acknowledge the registration.
        """
        await self._registration.run()

    async def _choose_region(self) -> None:
        """Take the nearest TURN server: anew at each registration, for the endpoint may have moved."""
        regions = self._config.regions
        servers = [region.addresses["udp"] for region in regions]
        self._config = self._config.using(regions[await nearest(servers, self._context.random("regions"))])

    def handle(self, encoded: bytes) -> None:
        """Carry out one command; its progress shows in events.

        Raises:
            UsageError: not a command.
        """
        command = decode_command(encoded)
        self._context.emit(EventType.COMMAND, call=command.call, command=command.command)
        self._spawn(self._carry_out(command))

    async def _carry_out(self, command: Command) -> None:
        match command:
            case Dial():
                await self._dial(command)
            case Answer():
                self._prepared[command.call] = command
            case SendMedia() if command.call in self._calls:
                await self._calls[command.call].send_media(command.media)
            case HangUp():
                await self._hang_up(command.call)
            case _:
                self._context.emit(
                    EventType.ROLE_FAILED, call=command.call, error=f"no call {command.call!r}"
                )

    # Calls

    async def _dial(self, command: Dial) -> None:
        self._context.emit(
            EventType.CALL_STARTED, call=command.call, caller=self._config.name, callee=command.to
        )
        call = self._new_call(command.call, command, controlling=True)
        if not await self._registration.is_registered():
            del self._calls[command.call]
            reason = self._registration.why_not()
            self._context.emit(EventType.CALL_ENDED, call=command.call, reason=reason)
            return
        answered = self._answers[command.call] = asyncio.get_running_loop().create_future()
        self._registration.send(
            Signal(
                kind="offer", sender=self._config.name, to=command.to, call=call.name, ice=await call.gather()
            )
        )
        remote, sent = await answered
        travel = command.start.travel if command.start is not None else 0.0
        await self._establish(call, remote, command, None if sent is None else sent + travel)

    async def _answer(self, offer: Signal, remote: IceDescription) -> None:
        settings = self._prepared.pop(offer.call, Answer(call=offer.call))
        self._context.emit(
            EventType.CALL_STARTED, call=offer.call, caller=offer.sender, callee=self._config.name
        )
        call = self._new_call(offer.call, settings, controlling=False)
        ice = await call.gather()
        sent = asyncio.get_running_loop().time() if settings.start is not None else None
        self._registration.send(
            Signal(
                kind="answer", sender=self._config.name, to=offer.sender, call=call.name, ice=ice, sent=sent
            )
        )
        await self._establish(call, remote, settings, sent)

    def _new_call(self, name: str, settings: Dial | Answer, *, controlling: bool) -> IceCall:
        call = self._calls[name] = IceCall(
            name, controlling=controlling, config=self._config, policy=settings.policy, context=self._context
        )
        return call

    async def _establish(
        self, call: IceCall, remote: IceDescription, settings: Dial | Answer, informed: float | None
    ) -> None:
        """Check and talk; ``informed`` is when, by plan, this side knows all that it needs for that."""
        planned = None
        if settings.start is not None and informed is not None:
            planned = informed + settings.start.margin + settings.check_delay
        if await call.connect(remote, settings.check_delay, planned):
            await call.send_media(settings.media)

    async def _hang_up(self, name: str) -> None:
        call = self._calls.pop(name, None)
        if call is not None:
            await call.close()
            self._context.emit(EventType.CALL_ENDED, call=name, reason="hung up")

    # Signalling

    def _received(self, signal: Signal) -> None:
        answered = self._answers.get(signal.call)
        if signal.kind == "offer" and signal.ice is not None:
            self._spawn(self._answer(signal, signal.ice))
        elif (
            signal.kind == "answer"
            and signal.ice is not None
            and answered is not None
            and not answered.done()
        ):
            answered.set_result((signal.ice, signal.sent))
        elif signal.sdp:
            found = f"{signal.sender} sent a session description; the lab's own endpoint speaks ICE alone"
            self._context.emit(EventType.CALL_ENDED, call=signal.call, reason=found)
        elif signal.kind == "unknown":
            self._context.emit(
                EventType.CALL_ENDED, call=signal.call, reason=f"{signal.sender} is not registered"
            )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._context.emit(EventType.ROLE_FAILED, error=f"{type(error).__name__}: {error}")
