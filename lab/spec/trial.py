"""A trial.

One run of a scenario on one network with one set of parameters. Frozen, picklable, keyed by content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from lab.spec.event import JsonValue

DEFAULT_DEADLINE: Final = 600.0
DEFAULT_EVENT_BUDGET: Final = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What to run. Everything that decides the outcome is in here; nothing else may.

    ``scenario`` is the file's path, ``topology`` a name or path, ``parameters`` those of the topology,
    ``settings`` those of the scenario that vary, ``repeat`` the number of this repetition from 0.
    ``deadline`` in virtual seconds.
    """

    scenario: str
    topology: str
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    repeat: int = 0
    run_seed: int = 0
    deadline: float = DEFAULT_DEADLINE
    event_budget: int = DEFAULT_EVENT_BUDGET
    capture: bool = False

    @cached_property
    def key(self) -> str:
        """Twelve hexadecimal digits: a hash of what is resolved, never of the position in a plan.

        The run seed, the budgets and the capture are left out: they do not say *which* trial it is.
        """
        identity = json.dumps(
            [self.scenario_name, self.topology, dict(self.parameters), dict(self.settings), self.repeat],
            sort_keys=True,
            separators=(",", ":"),
        )
        return hashlib.sha256(identity.encode()).hexdigest()[:12]

    @property
    def scenario_name(self) -> str:
        """The file's name without directory and ending: a scenario is the same wherever it lies."""
        return self.scenario.rpartition("/")[2].rpartition(".")[0]

    @property
    def cell(self) -> Mapping[str, JsonValue]:
        """What varies from trial to trial, without the repetition."""
        return {**self.parameters, **self.settings}
