"""The tables of docs/paths.md: which cells of mapping × filtering go direct, and what relaxing does to them.

The page is prose with tables between marks; :func:`filled` writes the tables anew and leaves the prose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from itertools import product
from typing import Final

from lab.measure.predict import CandidateType, Pair, PeerNetwork, Prediction, predict, sorted_pairs
from nat_models import model_for
from nat_models.model import Filtering, FilterScope, ReplyReuse
from nat_models.model import Mapping as NatMapping
from nat_models.values import SHORT_FILTERING, SHORT_MAPPING

Kind = tuple[NatMapping, Filtering]
Setting = tuple[FilterScope, ReplyReuse]

KINDS: Final[Sequence[Kind]] = tuple(product(NatMapping, Filtering))
SETTINGS: Final[Sequence[Setting]] = tuple(product(FilterScope, ReplyReuse))

_SHORT_MAPPING: Final = {mapping: word for word, mapping in SHORT_MAPPING.items()}
_SHORT_FILTERING: Final = {filtering: word for word, filtering in SHORT_FILTERING.items()}
_LETTERS: Final = {
    CandidateType.HOST: "H",
    CandidateType.SERVER_REFLEXIVE: "S",
    CandidateType.PEER_REFLEXIVE: "P",
    CandidateType.RELAYED: "R",
}


def kind_words(kind: Kind) -> str:
    """Return ``adm-eif``: mapping, then filtering."""
    mapping, filtering = kind
    return f"{_SHORT_MAPPING[mapping]}-{_SHORT_FILTERING[filtering]}"


@cache
def between(alice: Kind, bob: Kind, setting: Setting) -> Prediction:
    """Return what is possible between two boxes of one setting, without a relay."""
    scope, reuse = setting
    a, b = (model_for(*kind, filter_scope=scope, reply_reuse=reuse) for kind in (alice, bob))
    return predict(PeerNetwork(layers=(a,)), PeerNetwork(layers=(b,)))


def direct_pairs(alice: Kind, bob: Kind, setting: Setting, *, at_once: bool = False) -> frozenset[Pair]:
    """Return the possible pairs; with ``at_once`` those that need neither side to be first."""
    prediction = between(alice, bob, setting)
    return prediction.direct - (prediction.needs_first.keys() if at_once else frozenset())


def counts_table() -> str:
    """How many of the 81 cells can go direct, by setting, in any order and where both send at once."""
    rows = []
    for setting in SETTINGS:
        cells = [
            sum(bool(direct_pairs(a, b, setting, at_once=at_once)) for a, b in product(KINDS, KINDS))
            for at_once in (False, True)
        ]
        rows.append([*(value.value for value in setting), *map(str, cells)])
    return _table(["filter scope", "reply reuse", "in some order", "both send at once"], rows, numbers=2)


def cells_table(setting: Setting) -> str:
    """The 9 × 9 matrix of possible pairs of one setting."""
    rows = [[f"**{kind_words(a)}**", *(_cell(a, b, setting) for b in KINDS)] for a in KINDS]
    return _table(["", *map(kind_words, KINDS)], rows)


def _cell(alice: Kind, bob: Kind, setting: Setting) -> str:
    prediction = between(alice, bob, setting)
    words = [
        "".join(_LETTERS[type_] for type_ in pair) + ("*" if pair in prediction.needs_first else "")
        for pair in sorted_pairs(prediction.direct)
    ]
    return " ".join(words) or "–"


def relaxations_that_cost(setting: Setting, *, at_once: bool = False) -> Iterable[tuple[Kind, Kind, Kind]]:
    """Yield (box, the same box relaxed, other side) where the relaxed box loses the direct path."""
    for kind, other in product(KINDS, KINDS):
        if not direct_pairs(kind, other, setting, at_once=at_once):
            continue
        for relaxed in KINDS:
            if _is_relaxed(kind, relaxed) and not direct_pairs(relaxed, other, setting, at_once=at_once):
                yield kind, relaxed, other


def _is_relaxed(kind: Kind, relaxed: Kind) -> bool:
    mappings, filterings = list(NatMapping), list(Filtering)
    looser_mapping = mappings.index(relaxed[0]) <= mappings.index(kind[0])
    return kind != relaxed and looser_mapping and filterings.index(relaxed[1]) <= filterings.index(kind[1])


def exceptions_table() -> str:
    """Every relaxation that costs the direct path, by setting."""
    rows = []
    for setting in SETTINGS:
        in_any_order = set(relaxations_that_cost(setting))
        for entry in relaxations_that_cost(setting, at_once=True):
            when = "in every order" if entry in in_any_order else "both send at once"
            kind, relaxed, other = map(kind_words, entry)
            rows.append([setting[0].value, setting[1].value, other, kind, relaxed, when])
    return _table(["filter scope", "reply reuse", "other side", "direct with", "not with", "when"], rows)


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "counts": counts_table,
    "exceptions": exceptions_table,
    **{f"{scope.value} {reuse.value}": partial(cells_table, (scope, reuse)) for scope, reuse in SETTINGS},
}

_PLACE: Final = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def filled(page: str) -> str:
    """Return the page with every table between its marks written anew."""
    return _PLACE.sub(lambda place: f"{place[1]}\n{TABLES[place[2]]()}\n\n{place[3]}", page)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0) -> str:
    rule = ["---"] * (len(header) - numbers) + ["---:"] * numbers
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))
