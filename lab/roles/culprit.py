"""Who raised an exception that nobody handled, from what asyncio's exception handler is told."""

from __future__ import annotations

from typing import Any


def culprit_of(context: dict[str, Any]) -> str:
    """Return the callback's name, or what asyncio says; no text with a memory address in it."""
    handle = context.get("handle")
    if handle is None:
        return str(context.get("message", ""))
    callback = handle._callback  # noqa: SLF001 - as above
    return str(getattr(callback, "__qualname__", type(callback).__name__))
