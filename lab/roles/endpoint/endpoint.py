"""The endpoint role: registers with the rendezvous, makes and takes calls as commanded."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from lab.errors import WireFormatError
from lab.protocols.signalling import (
    MAX_LINE_BYTES,
    IceDescription,
    Signal,
    encode_signal,
    parse_signal_untrusted,
)
from lab.roles.context import RoleContext
from lab.roles.endpoint.config import EndpointConfig
from lab.roles.endpoint.ice_call import IceCall
from lab.spec.command import Answer, Command, Dial, HangUp, MediaPlan, SendMedia, decode_command
from lab.spec.event import EventType


class Endpoint:
    """One user's device. ``ready`` is set once its name is registered."""

    def __init__(self, config: EndpointConfig, context: RoleContext) -> None:
        self._config = config
        self._context = context
        self._calls: dict[str, IceCall] = {}
        self._answers: dict[str, asyncio.Future[IceDescription]] = {}
        self._prepared: dict[str, Answer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._writer: asyncio.StreamWriter | None = None
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Register and serve until cancelled or the rendezvous is gone.

        Raises:
            OSError: the rendezvous cannot be reached.
        """
        reader, self._writer = await asyncio.open_connection(*self._config.rendezvous, limit=MAX_LINE_BYTES)
        try:
            self._send(Signal(kind="register", sender=self._config.name))
            self.ready.set()
            while line := await reader.readline():
                self._hear(line)
        finally:
            self._writer.close()

    def _hear(self, line: bytes) -> None:
        try:
            self._received(parse_signal_untrusted(line))
        except WireFormatError as error:
            self._context.emit(EventType.ROLE_FAILED, error=str(error))

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
        answered = self._answers[command.call] = asyncio.get_running_loop().create_future()
        self._send(
            Signal(
                kind="offer", sender=self._config.name, to=command.to, call=call.name, ice=await call.gather()
            )
        )
        remote = await answered
        await self._establish(call, remote, command.check_delay, command.media)

    async def _answer(self, offer: Signal, remote: IceDescription) -> None:
        settings = self._prepared.pop(offer.call, Answer(call=offer.call))
        self._context.emit(
            EventType.CALL_STARTED, call=offer.call, caller=offer.sender, callee=self._config.name
        )
        call = self._new_call(offer.call, settings, controlling=False)
        self._send(
            Signal(
                kind="answer",
                sender=self._config.name,
                to=offer.sender,
                call=call.name,
                ice=await call.gather(),
            )
        )
        await self._establish(call, remote, settings.check_delay, settings.media)

    def _new_call(self, name: str, settings: Dial | Answer, *, controlling: bool) -> IceCall:
        call = self._calls[name] = IceCall(
            name, controlling=controlling, config=self._config, policy=settings.policy, context=self._context
        )
        return call

    async def _establish(self, call: IceCall, remote: IceDescription, delay: float, media: MediaPlan) -> None:
        if await call.connect(remote, delay):
            await call.send_media(media)

    async def _hang_up(self, name: str) -> None:
        call = self._calls.pop(name, None)
        if call is not None:
            await call.close()
            self._context.emit(EventType.CALL_ENDED, call=name, reason="hung up")

    # Signalling

    def _send(self, signal: Signal) -> None:
        assert self._writer is not None, "run() connects first"
        if signal.call:
            self._context.emit(EventType.SIGNAL_SENT, call=signal.call, kind=signal.kind, to=signal.to)
        self._writer.write(encode_signal(signal))

    def _received(self, signal: Signal) -> None:
        self._context.emit(
            EventType.SIGNAL_RECEIVED, call=signal.call, kind=signal.kind, sender=signal.sender
        )
        answered = self._answers.get(signal.call)
        if signal.kind == "offer" and signal.ice is not None:
            self._spawn(self._answer(signal, signal.ice))
        elif (
            signal.kind == "answer"
            and signal.ice is not None
            and answered is not None
            and not answered.done()
        ):
            answered.set_result(signal.ice)
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
