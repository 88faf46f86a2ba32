"""Rule sets as text: chains and sets with a word on why each is there, in an order that never changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A chain: ``rules`` one a line, ``hook`` where the kernel enters it (empty: entered by others only)."""

    name: str
    rules: Sequence[str]
    hook: str = ""
    why: str = ""

    def lines(self) -> Iterable[str]:
        """Yield the chain's lines."""
        if self.why:
            yield f"# {self.why}"
        yield f"chain {self.name} {{"
        if self.hook:
            yield f"    {self.hook}"
        yield from (f"    {rule}" for rule in self.rules)
        yield "}"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A set or map that packets fill, its elements gone ``seconds`` after their last update (0: never)."""

    name: str
    key: str
    value: str = ""
    seconds: float = 0.0

    def line(self) -> str:
        """Return the declaration."""
        kind, type_ = ("map", f"{self.key} : {self.value}") if self.value else ("set", self.key)
        return (
            f"{kind} {self.name} {{ type {type_}; flags dynamic,timeout; size 65536; "
            f"timeout {nft_time(self.seconds)}; }}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of one family. Loading it replaces the one before it, in one step.

    ``objects`` are declarations other than sets, as nft writes them.
    """

    family: str
    states: Sequence[State]
    chains: Sequence[Chain]
    objects: Sequence[str] = ()
    name: str = "callpath"

    def text(self) -> str:
        """Return the table as ``nft -f`` reads it."""
        lines = [f"table {self.family} {self.name}", f"delete table {self.family} {self.name}"]
        lines.append(f"table {self.family} {self.name} {{")
        lines += [f"    {line}" for line in (*self.objects, *(state.line() for state in self.states))]
        for chain in self.chains:
            lines += ["", *(f"    {line}" for line in chain.lines())]
        return "\n".join([*lines, "}", ""])


def nft_time(seconds: float) -> str:
    """Return a time as nft writes it (``5d``, ``2h4m``, ``1s500ms``); never 0, which would be for ever."""
    left = max(1, round(seconds * 1000))
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def one_of(values: Sequence[str]) -> str:
    """Return a match for one or several values: ``"in"``, ``{ 1, 2 }``."""
    return values[0] if len(values) == 1 else "{ " + ", ".join(values) + " }"


def devices(names: Sequence[str]) -> str:
    """Return a match for network devices."""
    return one_of([f'"{name}"' for name in names])
