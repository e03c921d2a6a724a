"""Reads why certificates are not issued, from cert-manager's objects, while they are not.

Nothing follows these objects: a certificate is issued once, in seconds or minutes, and their kinds are as numerous as
Secrets. So they are requested while a Space lacks an issued certificate: when its Certificate changes, and then in
growing pauses, up to ten minutes for an issuer that stays broken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from typing import Protocol

from decco.desired.issued import CertificateView
from decco.desired.issuing import (
    CHALLENGES,
    REQUESTS,
    UNKNOWN,
    Cause,
    cause_at_challenges,
    cause_at_issuer,
    cause_at_requests,
    issuer_resource,
)
from decco.desired.model import SpaceFacts
from decco.frozen import frozen
from decco.kube.client import ListPage
from decco.kube.errors import Forbidden, NotFound, NotServed
from decco.objects import Key, Obj, Resource
from decco.text import one_line

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 600.0
GROWTH = 1.5

CauseOf = Callable[[str], Cause]
"""The name of a Certificate -> what one place says of it."""


class Reader(Protocol):
    """The part of the client that is needed here."""

    async def get(self, resource: Resource, key: Key) -> Obj: ...
    def list_pages(self, resource: Resource, *, namespace: str = ..., limit: int = ...) -> AsyncIterator[ListPage]: ...


@frozen
class _Answer:
    cause: Cause
    view: CertificateView
    due: float
    pause: float


class Causes:
    """By Space and Certificate; ``clock`` in seconds, monotonic. Without ``reader`` no cause is known."""

    def __init__(self, reader: Reader | None, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._answers: dict[str, dict[str, _Answer]] = {}

    async def read(self, space: SpaceFacts, views: dict[str, CertificateView | None]) -> dict[str, Cause]:
        """Of the Certificates that are not issued: ``views`` has all of them, None for one that is not written yet.
        Raises KubeError.
        """
        # What is not there any more has no next request either, which would be due at once, again and again.
        known = {name: each for name, each in self._answers.pop(space.name, {}).items() if views.get(name) is not None}
        if self._reader is None or space.issuer is None:
            return {}
        now, due = self._clock(), dict[str, tuple[CertificateView, float]]()
        for name, view in views.items():
            answer = known.get(name)
            if view is None:
                continue
            if answer is None or answer.view != view:
                due[name] = view, FIRST_SECONDS
            elif answer.due <= now:
                due[name] = view, min(LONGEST_SECONDS, answer.pause * GROWTH)
        causes = await _causes(self._reader, space, due)
        for name, (view, pause) in due.items():
            known[name] = _Answer(causes[name], view, now + pause, pause)
        if known:
            self._answers[space.name] = known
        return {name: answer.cause for name, answer in known.items()}

    def forget(self, space: str) -> None:
        self._answers.pop(space, None)

    def requeue_after(self, space: SpaceFacts) -> float | None:
        """Seconds until the next request; None while all certificates of the Space are issued."""
        due = [answer.due for answer in self._answers.get(space.name, {}).values()]
        return max(0.0, min(due) - self._clock()) if due else None


async def _causes(reader: Reader, space: SpaceFacts, names: Collection[str]) -> dict[str, Cause]:
    """Of these Certificates, each the first cause that is found; without permission for one of the places, what the
    others have. A place is requested once for all of them, and only for those that have no cause yet.
    """
    found: dict[str, Cause] = {}
    refused = []
    for place in (_at_issuer, _at_challenges, _at_requests):
        left = [name for name in names if name not in found]
        if not left:
            break
        try:
            cause_of = await place(reader, space)
        except Forbidden as error:
            refused.append(one_line(error.message))
            continue
        found |= {name: cause for name in left if (cause := cause_of(name)).text}
    unknown = UNKNOWN
    if refused:
        unknown = Cause(f"the cause is not readable: {'; '.join(refused)}; see the role decco-controller-certificates")
    return {name: found.get(name, unknown) for name in names}


async def _at_issuer(reader: Reader, space: SpaceFacts) -> CauseOf:
    assert space.issuer is not None
    resource, cause = issuer_resource(space.issuer), UNKNOWN
    if resource is not None:
        key = Key(space.name if resource.namespaced else "", space.issuer.name)
        try:
            cause = cause_at_issuer(space.issuer, await reader.get(resource, key))
        except NotFound:
            cause = cause_at_issuer(space.issuer, None)
        except NotServed:  # cert-manager is being installed
            pass
    return lambda _name: cause


async def _at_challenges(reader: Reader, space: SpaceFacts) -> CauseOf:
    challenges = await _listed(reader, CHALLENGES, space.name)
    return lambda name: cause_at_challenges(challenges, space.issued[name])


async def _at_requests(reader: Reader, space: SpaceFacts) -> CauseOf:
    requests = await _listed(reader, REQUESTS, space.name)
    return lambda name: cause_at_requests(requests, name)


async def _listed(reader: Reader, resource: Resource, namespace: str) -> list[Obj]:
    try:
        return [obj async for page in reader.list_pages(resource, namespace=namespace) for obj in page.items]
    except NotServed:  # without ACME there are no challenges
        return []
