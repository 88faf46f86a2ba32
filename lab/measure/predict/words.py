"""A prediction in words: what works, and for what does not, which box stands in the way."""

from __future__ import annotations

from collections.abc import Iterable

from lab.measure.predict.network import CandidateType, Pair
from lab.measure.predict.prediction import Prediction, Reach

_ORDER = list(CandidateType)


def sorted_pairs(pairs: Iterable[Pair]) -> list[Pair]:
    """Return pairs with the best first, by the worse of their two types."""
    return sorted(pairs, key=lambda pair: (max(map(_rank, pair)), *map(_rank, pair)))


def _rank(type_: CandidateType) -> int:
    return _ORDER.index(type_)


def pair_words(pair: Pair) -> str:
    """Return ``srflx–prflx``: alice's type, then bob's."""
    return f"{pair[0]}–{pair[1]}"


def why_not_direct(prediction: Prediction) -> str:
    """Return the reason why no direct path exists, empty if one does.

    Of the reasons of all direct pairs the one that tells most is a fresh port that the other's known port
    refuses.
    """
    if prediction.reach is Reach.DIRECT:
        return ""
    direct = [pair for pair in sorted_pairs(prediction.blocked) if CandidateType.RELAYED not in pair]
    if not direct:
        return "they have no address of one family"
    mixed = [pair for pair in direct if pair.count(CandidateType.PEER_REFLEXIVE) == 1]
    return prediction.blocked[(mixed or direct)[0]]


def explain(prediction: Prediction) -> str:
    """Return what is possible and what is not, a headline and one line a pair of types."""
    lines = [_headline(prediction)]
    for pair in sorted_pairs(prediction.possible):
        first = prediction.needs_first.get(pair)
        order = f" (only where {first}'s packets arrive before the other side has sent any)" if first else ""
        lines.append(f"  {pair_words(pair)}: possible{order}")
    lines += [
        f"  {pair_words(pair)}: {prediction.blocked[pair]}" for pair in sorted_pairs(prediction.blocked)
    ]
    return "\n".join(lines)


def _headline(prediction: Prediction) -> str:
    if prediction.reach is Reach.DIRECT:
        return "a direct path is possible"
    why = why_not_direct(prediction)
    if prediction.reach is Reach.RELAY:
        return f"no direct path, a relay carries the call: {why}"
    return f"no path at all: {why}"
