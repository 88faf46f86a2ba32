"""Calls functions of the modules beside it inside an outer namespace: the other side of nat_agent."""

from __future__ import annotations

import pickle
from typing import Any

from lab.emu.outer import OuterNamespace


class Inside:
    """Functions of an agent, called by module and name."""

    def __init__(self, outer: OuterNamespace) -> None:
        self._stream = outer.channel.makefile("rwb")

    def __call__(self, module: str, function: str, *arguments: object, **named: object) -> Any:
        data = pickle.dumps((module, function, arguments, named))
        self._stream.write(len(data).to_bytes(4) + data)
        self._stream.flush()
        head = self._stream.read(4)
        assert head, "the agent has ended"
        answer = self._stream.read(int.from_bytes(head))
        returned, result = pickle.loads(answer)  # noqa: S301 - of our own process
        assert returned, result
        return result
