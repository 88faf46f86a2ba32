"""A network that stays open: built, then acted on step by step from ordinary, blocking code.

A scenario is a coroutine that the lab runs from beginning to end. Here it is the other way round: a test, a
terminal or a program in another language keeps a network and does one thing after another to it. Whatever it
does goes through the same :class:`~lab.handle.Lab`, run where that lives:

=============  ==========================================================================================
world          what an action does
=============  ==========================================================================================
virtual time   drives the network's own loop until the action is done; between two actions time stands still
kernel         is carried out by a loop in a thread; time goes on between two actions
=============  ==========================================================================================

Every action is bounded: by its own ``timeout``, or because it is over at once.
"""

from lab.live.handle import LiveHost, LiveLab, open_lab
from lab.live.spec import LabSpec

__all__ = ["LabSpec", "LiveHost", "LiveLab", "open_lab"]
