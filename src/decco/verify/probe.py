"""One promise as data, and what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from decco.frozen import frozen
from decco.messages import Category, Message, messages
from decco.verify.outcome import Outcome
from decco.verify.world import World

Check = Callable[[World], Awaitable[None]]


@frozen
class Probe:
    """``name`` is <group>/<promise>, ``text`` the promise, ``message`` the finding if it is broken. ``after`` names
    probes that must have passed before, ``behind`` those that must have ended; ``seconds`` is the limit.
    """

    name: str
    text: str
    message: str
    check: Check
    after: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    seconds: float = 40.0

    @property
    def group(self) -> str:
        return self.name.partition("/")[0]

    @property
    def code(self) -> str:
        return messages(Category.FINDING)[self.message].code


@frozen
class Result:
    """``text`` is what was found, or why it was not tried; ``message`` "" stands for the probe's own."""

    probe: Probe
    outcome: Outcome
    text: str = ""
    seconds: float = 0.0
    message: str = ""

    @property
    def entry(self) -> Message:
        name = self.message or self.probe.message
        return messages(Category.FINDING).get(name) or messages(Category.CONDITION)[name]

    @property
    def code(self) -> str:
        """Of what is wrong; "" if nothing is."""
        return self.entry.code if self.outcome is Outcome.FAILED else ""

    @property
    def hint(self) -> str:
        """What to do; a reason that only waits for something has none, so that of the probe follows."""
        own = messages(Category.FINDING)[self.probe.message].action
        return (self.entry.action or own) if self.outcome is Outcome.FAILED else ""
