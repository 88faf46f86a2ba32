"""A command to a program that has ended: what is recorded in its place, the same in both worlds."""

from __future__ import annotations

from collections.abc import Callable

from lab.spec.command import Command, Dial
from lab.spec.event import EventType


def refuse(emit: Callable[..., None], node: str, command: Command) -> None:
    """Record that a program did not hear a command; a call that it was to make is one that failed.

    Args:
        emit: records an event, with ``node=`` beside the arguments of a role's own ``emit``.
        node: whose program has ended.
        command: what it was told.
    """
    call = ""
    if isinstance(command, Dial):
        call = command.call
        emit(EventType.CALL_STARTED, node=node, call=call, caller=node, callee=command.to)
    emit(EventType.ROLE_FAILED, node=node, call=call, error=f"{command.command}: the program has ended")
