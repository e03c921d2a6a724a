"""The Lease of one candidate: acquire, renew, watch while another holds it, release.

An object of ``coordination.k8s.io/v1``, with client-go's meaning of its fields
(https://kubernetes.io/docs/concepts/architecture/leases/). Every write carries the resourceVersion that it was derived
from, so of two candidates one is refused.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Final

from decco.frozen import frozen
from decco.kube.client import Client
from decco.kube.clock import boot_time as now
from decco.kube.errors import AlreadyExists, Conflict, Forbidden, KubeError, NotFound
from decco.kube.watch import event_of
from decco.log import get_logger
from decco.objects import LEASES, Key, Obj

log = get_logger(__name__)

RELEASE_SECONDS: Final = 0.75
"""Time limit of releasing the Lease: the release only shortens the others' wait, and must not delay the end of the
process."""
WATCH_SECONDS: Final = 600
"""How long one watch of the Lease lasts."""


@frozen
class Times:
    """Seconds; the defaults are client-go's."""

    lease: float = 15.0
    """Others may take over when they have seen no renewal for so long."""
    renew: float = 10.0
    """The holder stops working when it has not managed to renew for so long."""
    retry: float = 2.0
    """Between two tries to renew, and (with jitter) to acquire."""
    dead: float = 60.0
    """A process whose event loop sends no heartbeat for so long no longer leads."""

    def __post_init__(self) -> None:
        if not self.lease > self.renew > self.retry > 0:
            raise ValueError("the times of a lease must be in this order: lease > renew > retry > 0")

    @property
    def call(self) -> float:
        """Limit of one request, so that a hanging one leaves time for another try."""
        return max(self.retry, self.renew / 2)

    @property
    def abort(self) -> float:
        """When work that does not stop ends the process, a little before the fence's alarm would: with a log line."""
        return self.lease - min(0.5, (self.lease - self.renew) / 5)


class Outcome(Enum):
    """The result of one try to acquire or renew."""

    HELD = auto()
    TAKEN = auto()
    UNKNOWN = auto()


class Lease:
    """Not for two tasks at once."""

    def __init__(self, client: Client, key: Key, identity: str, times: Times) -> None:
        self._client = client
        self._key = key
        self._identity = identity
        self._times = times
        self._written: Obj | None = None
        """The Lease as last written by us; None when others may have written since."""
        self._maybe_ours = False
        """Whether it may name us as its holder: we have written so, or tried to."""
        self._observed = ""
        """The resourceVersion that we saw last."""
        self._free_at = 0.0
        """When the lease of another is over, unless it changes before."""
        self._logged = ""

    async def acquire_or_renew(self, seconds: float) -> Outcome:
        """Acquire or renew, within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                try:
                    outcome = await self._write()
                except (Conflict, AlreadyExists):  # written by another, or by us in a request whose answer was lost
                    self._written = None
                    outcome = await self._write()
        except (KubeError, TimeoutError) as error:
            self._written = None
            self._log_once("lease not written", error)
            return Outcome.UNKNOWN
        if outcome is Outcome.HELD:
            self._logged = ""
        else:
            self._maybe_ours = False
        return outcome

    async def until_free(self) -> None:
        """Returns when the Lease should be tried again: it was released or has expired, or its watch has ended."""
        opened = now()
        limit = asyncio.timeout(self._free_at - opened)
        try:
            async with limit, aclosing(self._changes()) as lines:
                async for line in lines:
                    if not self._still_taken(line):
                        return
                    limit.reschedule(asyncio.get_running_loop().time() + self._free_at - now())
        except TimeoutError:
            return
        except KubeError as error:
            self._log_once("lease cannot be watched, it is polled", error)
        if now() - opened < self._times.retry:
            await self.pause()

    def _changes(self) -> AsyncGenerator[bytes, None]:
        return self._client.watch_lines(
            LEASES,
            namespace=self._key.namespace,
            fields=f"metadata.name={self._key.name}",
            resource_version=self._observed,
            timeout_seconds=WATCH_SECONDS,
            idle_seconds=2 * WATCH_SECONDS,  # the Lease is over long before
        )

    def _still_taken(self, line: bytes) -> bool:
        """Whether the Lease still has another holder after this event of its watch."""
        kind, lease, _ = event_of(LEASES, line)
        return kind == "BOOKMARK" or (kind != "DELETED" and self._taken(lease))

    async def pause(self) -> None:
        """Wait before the next try; candidates that began together do not stay together."""
        await asyncio.sleep(self._times.retry * random.uniform(1.0, 1.2))  # noqa: S311 - jitter, no secret

    def _log_once(self, what: str, error: Exception) -> None:
        """Logs an error once as a warning and its repetitions at debug: the API server may be unreachable for long."""
        text = str(error) or "time limit"
        if isinstance(error, NotFound):
            text += "; create the namespace of the Lease"
        elif isinstance(error, Forbidden):
            text += "; grant get, watch, update and create of leases there"
        method = log.debug if self._logged == text else log.warning
        self._logged = text
        method(what, lease=str(self._key), error=text)

    async def _write(self) -> Outcome:
        if self._written is None:
            try:
                found = await self._client.get(LEASES, self._key)
            except NotFound:
                self._maybe_ours = True
                self._written = await self._client.create(LEASES, self._desired({"metadata": self._key._asdict()}))
                return Outcome.HELD
            if self._taken(found):
                return Outcome.TAKEN
            self._written = found
        self._maybe_ours = True
        before, self._written = self._written, None  # unknown until the answer arrives
        self._written = await self._client.replace(LEASES, self._desired(before))
        return Outcome.HELD

    def _taken(self, lease: Obj) -> bool:
        """Whether another holds it, as far as known here."""
        version = lease["metadata"]["resourceVersion"]
        spec = lease.get("spec") or {}
        if version != self._observed:
            self._observed = version
            self._free_at = now() + float(spec.get("leaseDurationSeconds") or self._times.lease)
        holder = spec.get("holderIdentity")
        if not holder or (holder == self._identity and self._maybe_ours):
            return False
        # Another's, or our own of a former session: after a restore of etcd the Lease may name a former holder, and the
        # last holder notices that only at its next renewal.
        return now() < self._free_at

    def _desired(self, lease: Obj) -> Obj:
        """The Lease with us as its holder."""
        spec = dict(lease.get("spec") or {})
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if spec.get("holderIdentity") != self._identity:
            transitions = spec.get("leaseTransitions")
            spec["leaseTransitions"] = 0 if transitions is None else transitions + 1
            spec["acquireTime"] = moment
        spec |= {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, math.ceil(self._times.lease)),
            "renewTime": moment,
        }
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": lease["metadata"], "spec": spec}

    async def release(self) -> None:
        """Release it if it is ours; if that fails, others wait until it expires."""
        if not self._maybe_ours:
            return
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                lease = self._written or await self._client.get(LEASES, self._key)
                if lease["spec"].get("holderIdentity") != self._identity:
                    return
                spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                await self._client.replace(LEASES, {**lease, "spec": spec})
                log.info("lease released", lease=str(self._key))
        except (KubeError, TimeoutError) as error:
            log.warning("lease not released", lease=str(self._key), error=str(error) or "time limit")
