"""One probe of any target: of a record, or of a server name at an address; short or whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from decco.probe.attempt import ANSWERED, attempt
from decco.probe.gathered import Gathered
from decco.probe.hello import Hellos
from decco.probe.model import CONNECT_SECONDS, AnyTarget, Observation, Record, Target
from decco.probe.tls import client_context

if TYPE_CHECKING:
    from decco.probe.records import RecordProbe


class Attempts:
    """What the probes of one process share."""

    def __init__(self) -> None:
        self._context = client_context()
        self._gathered = Gathered()
        self._hellos = Hellos(self._gathered)
        self._records: RecordProbe | None = None
        self._only_whole: set[tuple[str, str]] = set()
        """Servers that answer whole probes only: those without TLS 1.2."""

    async def __call__(self, target: AnyTarget, short: bool) -> Observation:
        if isinstance(target, Record):
            if self._records is None:
                from decco.probe.records import RecordProbe  # late: it imports dnspython

                self._records = RecordProbe(self._gathered)
            return await self._records(target, short=short)
        server = target.address, target.server_name
        if not short or server in self._only_whole or not _has_short(target):
            return await attempt(self._context, target)
        if await self._hellos.as_expected(target, CONNECT_SECONDS):
            return ANSWERED
        observation = await attempt(self._context, target)
        if observation.ok:
            self._only_whole.add(server)
        return observation


def _has_short(target: Target) -> bool:
    """Whether the certificate is what a short probe compares; the request of probePath is all of its target."""
    return bool(target.chain) and target.probe_path is None
