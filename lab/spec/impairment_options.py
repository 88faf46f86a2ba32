"""What users write about a link (``{"delay": "20ms", "loss": "1%"}``) to impairments, and back to words.

An option that is unknown, out of range or without effect is refused: with it ignored, another network than
the one described would be measured. All problems of one link are reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from lab.errors import Problem, UsageError, did_you_mean
from lab.spec.impairment import PERFECT, GilbertElliott, Impairment, JitterOrder
from lab.units import format_duration, parse_duration, parse_percent, parse_rate, parse_size

Parser = Callable[[object, str], object]

DIRECTIONS: Final = ("forward", "backward")

LONGEST_DELAY: Final = 3600.0  # seconds
HIGHEST_RATE: Final = 1e12  # bits a second
LARGEST_QUEUE: Final = 1 << 30  # bytes
LARGEST_BLOCK: Final = 1_000_000  # packets
MTU_RANGE: Final = (576, 65_535)
"""Bytes: what every IPv4 host must take (RFC 791 §3.1), and what the length field of a packet can say."""

_EXACT_LOSS: Final = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*")


def parse_impairment(options: Mapping[str, object], where: str) -> tuple[Impairment, Impairment]:
    """Return what packets meet forward and backward.

    ``options`` hold for both directions; under ``"forward"`` and ``"backward"`` stand those of one direction,
    which win over the common ones. The options: ``delay``, ``jitter``, ``reorder_gap`` (durations),
    ``jitter_order`` (``keep`` or ``free``), ``loss``, ``duplicate``, ``reorder`` (percentages),
    ``loss_burst`` (a mapping of percentages a packet: ``good_to_bad``, ``bad_to_good``, and if wanted
    ``loss_good``, ``loss_bad``), ``loss_exactly`` (``"1/10"``: one of every ten), ``rate``, ``queue`` and
    ``mtu`` (sizes). ``where`` names the link in what is reported.

    Raises:
        UsageError: with every problem found.
    """
    return _Reader(where).read(options)


class _Reader:
    """Reads the options of one link and collects what is wrong with them."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.problems: list[Problem] = []

    def read(self, options: object) -> tuple[Impairment, Impairment]:
        common = self._fields(options, "", allowed=(*PARSERS, *DIRECTIONS))
        given = options if isinstance(options, Mapping) else {}
        own = {
            name: self._fields(given[name], f"{name}.", allowed=tuple(PARSERS)) if name in given else {}
            for name in DIRECTIONS
        }
        merged = {name: common | own[name] for name in DIRECTIONS}
        for name in DIRECTIONS:
            self._check_together(merged[name], f"{name}." if own[name] else "")
            self._check_effect(own[name], [merged[name]], f"{name}.")
        self._check_effect(common, list(merged.values()), "")
        if self.problems:
            raise UsageError(*dict.fromkeys(self.problems))
        return _impairment(merged["forward"]), _impairment(merged["backward"])

    def _place(self, name: str) -> str:
        return f"{self.where}: {name}" if self.where and name else self.where or name

    def _wrong(self, name: str, found: str, expected: str = "", suggestion: str = "") -> None:
        self.problems.append(Problem(self._place(name), found, expected, suggestion))

    def _fields(self, options: object, prefix: str, allowed: tuple[str, ...]) -> dict[str, object]:
        """Return option → parsed value of one mapping, those that are right."""
        if not isinstance(options, Mapping):
            self._wrong(
                prefix.rstrip("."), f"{options!r} is not a mapping", 'options such as {"delay": "20ms"}'
            )
            return {}
        fields: dict[str, object] = {}
        for name, text in options.items():
            if name not in allowed:
                self._wrong(
                    prefix.rstrip("."), f"unknown option {name!r}", "", did_you_mean(str(name), allowed)
                )
            elif name not in DIRECTIONS:
                try:
                    fields[name] = PARSERS[name](text, self._place(prefix + name))
                except UsageError as error:
                    self.problems += error.problems
        return fields

    def _check_together(self, fields: Mapping[str, object], prefix: str) -> None:
        """Check what holds between the options of one direction."""
        built = _impairment(fields)
        if built.jitter > built.delay:
            found = (
                f"{format_duration(built.jitter)} is more than the delay of {format_duration(built.delay)}"
            )
            self._wrong(
                prefix + "jitter",
                found,
                "a jitter of at most the delay",
                "no packet arrives before it was sent",
            )
        if built.loss_block and (built.loss or built.loss_burst):
            other = "loss" if built.loss else "loss_burst"
            self._wrong(
                prefix + "loss_exactly", f"together with {other} the count is not exact", "one of them alone"
            )

    def _check_effect(
        self, given: Mapping[str, object], directions: list[dict[str, object]], prefix: str
    ) -> None:
        """Refuse options of one mapping that do nothing in any of the directions they are for."""
        for name, partner in NEEDS.items():
            if name in given and not any(fields.get(partner) for fields in directions):
                suggestion = f"give {partner} as well"
                self._wrong(prefix + name, f"does nothing without {partner}", "", suggestion)


def _impairment(fields: Mapping[str, object]) -> Impairment:
    renamed = {FIELDS.get(name, name): value for name, value in fields.items()}
    return Impairment(**renamed)  # type: ignore[arg-type]  # each parser returns what its field takes


# One option each. What a parser returns is the value of the field of that name, but for FIELDS.


def _delay(text: object, where: str) -> float:
    seconds = parse_duration(text, where)
    if seconds > LONGEST_DELAY:
        raise UsageError(Problem(where, f"{text!r} is too long", f"at most {format_duration(LONGEST_DELAY)}"))
    return seconds


def _order(text: object, where: str) -> JitterOrder:
    known = [order.value for order in JitterOrder]
    if text not in known:
        raise UsageError(
            Problem(where, f"{text!r} is no order", " or ".join(known), did_you_mean(str(text), known))
        )
    return JitterOrder(text)


def _burst(options: object, where: str) -> GilbertElliott:
    if not isinstance(options, Mapping):
        raise UsageError(Problem(where, f"{options!r} is not a mapping", f"options such as {_BURST_EXAMPLE}"))
    problems: list[Problem] = []
    shares: dict[str, float] = {}
    for name, text in options.items():
        if name not in _BURST_OPTIONS:
            problems.append(
                Problem(where, f"unknown option {name!r}", "", did_you_mean(str(name), _BURST_OPTIONS))
            )
            continue
        try:
            shares[name] = parse_percent(text, f"{where}.{name}")
        except UsageError as error:
            problems += error.problems
    missing = [name for name in ("good_to_bad", "bad_to_good") if name not in options]
    if missing:
        problems.append(
            Problem(where, f"{' and '.join(missing)} missing", f"options such as {_BURST_EXAMPLE}")
        )
    if shares.get("bad_to_good") == 0:
        found = "with a bad_to_good of 0% a burst never ends"
        problems.append(
            Problem(where, found, "more than 0%", "for a link that loses everything use loss: 100%")
        )
    if problems:
        raise UsageError(*problems)
    return GilbertElliott(**shares)


def _exact(text: object, where: str) -> tuple[int, int]:
    match = _EXACT_LOSS.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise UsageError(
            Problem(where, f"{text!r} is not a count of a block", 'such as "1/10": one of every ten')
        )
    lost, block = map(int, match.groups())
    if not lost <= block <= LARGEST_BLOCK or not block:
        expected = f"0 to the whole of a block of 1 to {LARGEST_BLOCK} packets"
        raise UsageError(Problem(where, f"{text!r} is out of range", expected))
    return lost, block


def _rate(text: object, where: str) -> float:
    rate = parse_rate(text, where)
    if not 1 <= rate <= HIGHEST_RATE:
        raise UsageError(Problem(where, f"{text!r} is out of range", "1bit/s to 1000Gbit/s"))
    return rate


def _queue(text: object, where: str) -> int:
    size = parse_size(text, where)
    if size > LARGEST_QUEUE:
        raise UsageError(Problem(where, f"{text!r} is too large", "at most 1024MiB"))
    return size


def _mtu(text: object, where: str) -> int:
    size = parse_size(text, where)
    low, high = MTU_RANGE
    if not low <= size <= high:
        raise UsageError(Problem(where, f"{text!r} is out of range", f"{low}B to {high}B"))
    return size


PARSERS: Final[Mapping[str, Parser]] = {
    "delay": _delay,
    "jitter": _delay,
    "jitter_order": _order,
    "loss": parse_percent,
    "loss_burst": _burst,
    "loss_exactly": _exact,
    "duplicate": parse_percent,
    "reorder": parse_percent,
    "reorder_gap": _delay,
    "rate": _rate,
    "queue": _queue,
    "mtu": _mtu,
}
FIELDS: Final = {"loss_exactly": "loss_block"}
NEEDS: Final = {"queue": "rate", "reorder_gap": "reorder", "reorder": "delay"}
"""Options that do nothing without another."""
_BURST_OPTIONS: Final = ("good_to_bad", "bad_to_good", "loss_good", "loss_bad")
_BURST_EXAMPLE: Final = '{"good_to_bad": "1%", "bad_to_good": "25%"}'


def describe_impairment(impairment: Impairment) -> str:
    """Return one line for people: ``delay 20 ms ± 5 ms, loss 1%, rate 2 Mbit/s (queue 64 KiB)``."""
    parts = [*_describe_flight(impairment), *_describe_losses(impairment)]
    if impairment.duplicate:
        parts.append(f"duplicate {_percent(impairment.duplicate)}")
    if impairment.reorder:
        gap = f" (up to {format_duration(impairment.reorder_gap)} early)" if impairment.reorder_gap else ""
        parts.append(f"reorder {_percent(impairment.reorder)}{gap}")
    if impairment.rate:
        parts.append(f"rate {_scaled(impairment.rate, _RATES)} (queue {_scaled(impairment.queue, _SIZES)})")
    if impairment.mtu != PERFECT.mtu:
        parts.append(f"MTU {impairment.mtu} B")
    return ", ".join(parts) or "perfect"


_RATES: Final = {"Gbit/s": 1e9, "Mbit/s": 1e6, "kbit/s": 1e3, "bit/s": 1.0}
_SIZES: Final = {"MiB": 1_048_576.0, "KiB": 1024.0, "B": 1.0}


def _describe_flight(impairment: Impairment) -> list[str]:
    if not impairment.delay:
        return []
    spread = ""
    if impairment.jitter:
        free = ", any order" if impairment.jitter_order is JitterOrder.FREE else ""
        spread = f" ± {format_duration(impairment.jitter)}{free}"
    return [f"delay {format_duration(impairment.delay)}{spread}"]


def _describe_losses(impairment: Impairment) -> list[str]:
    parts = [f"loss {_percent(impairment.loss)}"] if impairment.loss else []
    if impairment.loss_burst:
        chain = impairment.loss_burst
        enter, leave = chain.good_to_bad, chain.bad_to_good
        mean = (enter * chain.loss_bad + leave * chain.loss_good) / (enter + leave)
        parts.append(f"burst loss {_percent(mean)} in bursts of {1 / leave:.3g}")
    if impairment.loss_block:
        lost, block = impairment.loss_block
        parts.append(f"loss of exactly {lost} in {block}")
    return parts


def _percent(share: float) -> str:
    return f"{share * 100:.4g}%"


def _scaled(value: float, units: Mapping[str, float]) -> str:
    """Return the value in the largest unit of which it is at least one."""
    unit = next((unit for unit, size in units.items() if value >= size), list(units)[-1])
    return f"{value / units[unit]:.6g} {unit}"
