"""Where a box of netfilter answers otherwise than the pure engine: the committed list, as rules.

A test demands that nothing else differs. docs/nat-planes.md says the same in words.
"""

from __future__ import annotations

from collections.abc import Sequence

from packet_script import In, Seen, Step

from nat_models.separate_flows import PORT_CLASSES


def with_drawn_ports_hidden(script: Sequence[Step], seen: Sequence[Seen]) -> list[Seen]:
    """Return what was seen, with a remote's port that was drawn as the negative beginning of its class.

    Which port of its class is drawn is chance: seeded in the engine, the kernel's own in netfilter.
    """
    return [
        (one[0], (one[1][0], -_class_of(one[1][1])))
        if one is not None and isinstance(step, In) and one[1][1] != step.remote_port
        else one
        for step, one in zip(script, seen, strict=True)
    ]


def _class_of(port: int) -> int:
    return next((first for first, last in PORT_CLASSES if first <= port <= last), 0)
