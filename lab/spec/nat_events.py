"""What happens to the state of a NAT box, as events of a run: in whichever world the engine is the box."""

from __future__ import annotations

from typing import Final

from lab.spec.event import EventType
from nat_models.outcome import NatEventKind

NAT_EVENT_TYPES: Final = {
    NatEventKind.CREATED: EventType.NAT_MAPPING_CREATED,
    NatEventKind.EXPIRED: EventType.NAT_MAPPING_EXPIRED,
    NatEventKind.REBOOTED: EventType.NAT_REBOOTED,
    NatEventKind.FLUSHED: EventType.NAT_FLUSHED,
}
