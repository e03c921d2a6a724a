"""Permission to read and write the Secrets of a Space's namespace, and of no other.

The controller has no such permission in all namespaces: it binds itself to the ClusterRole ``decco-controller-secrets``
in the namespace of each Space that uses Secrets. The binding is made in a namespace that decco has just created, and
where a request is forbidden. So a settled Space costs no request for it, and a deleted binding comes back. A user with
wide permissions of its own, such as a developer's kubeconfig, needs none and gets none.

RBAC is effective a moment after it is written, each API server has its own cache of it: until then a request is
repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from decco.desired.model import SpaceFacts
from decco.desired.space import secrets_binding
from decco.kube.bounded_map import BoundedMap
from decco.kube.client import Client, ListPage
from decco.kube.diff import to_wire
from decco.kube.errors import AlreadyExists, Forbidden, KubeError, NotFound, NotServed, may_have_happened
from decco.objects import MANAGED_SELECTOR, OWN_ACCESS_REVIEWS, ROLE_BINDINGS, SECRETS, SELF_REVIEWS, Key, Obj, Resource
from decco.reconcilers.caches import Caches
from decco.reconcilers.outcomes import REQUEUE_SECONDS, is_by_policy

T = TypeVar("T")

PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between the attempts after the binding was written: 3.2 s in all."""
_NO_ANSWER = (Forbidden, NotFound, NotServed)


class SecretAccess:
    """The client, which obtains the permission for requests about Secrets where it is lacking."""

    def __init__(self, client: Client, caches: Caches, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._caches = caches
        self._clock = clock
        self._user = ""
        self._is_wide: bool | None = None
        self._bound: BoundedMap[str, float] = BoundedMap()
        """UID of a Space -> when its binding was written."""
        self._useless: BoundedMap[str, float] = BoundedMap()
        """UID of a Space -> when requests were still forbidden at the end of all attempts."""
        self._unbound: BoundedMap[str, Forbidden] = BoundedMap()
        """UID of a Space -> why its binding was refused: the cause of the other refusals."""
        self.unconfirmed: set[str] = set()
        """Namespaces in which a write of a Secret has got no answer: whether it was carried out is not known."""

    async def bind(self, space: SpaceFacts) -> None:
        """Makes the binding in a new namespace, if this user needs one, and waits until it is effective. Raises
        KubeError.
        """
        if await self._may_list_all():
            return
        await self._write_binding(space)
        for pause in PAUSES:
            if await self._may_list(space.name) is not False:
                return
            await asyncio.sleep(pause)

    async def _may_list_all(self) -> bool:
        if self._is_wide is None:
            self._is_wide = await self._may_list("")
        return bool(self._is_wide)

    async def _may_list(self, namespace: str) -> bool | None:
        """None if the cluster does not answer such questions. Asked so that no request is refused without need: people
        read the audit log of a cluster.
        """
        attributes = {"verb": "list", "resource": SECRETS.plural, "namespace": namespace}
        try:
            answer = await self._client.create_review(OWN_ACCESS_REVIEWS, {"spec": {"resourceAttributes": attributes}})
        except _NO_ANSWER:
            return None
        return bool((answer.get("status") or {}).get("allowed"))

    async def copies(self, space: str, *, bind: bool) -> list[Obj]:
        """decco's copies in the Space's namespace. Without ``bind`` the permission is not obtained, and where the
        cluster says that it is lacking there are none. Raises KubeError.
        """
        if not bind and not await self._may_list_all() and await self._may_list(space) is False:
            return []
        pages = self.list_pages if bind else self._client.list_pages
        try:
            listed = pages(SECRETS, namespace=space, labels=MANAGED_SELECTOR)
            return [obj async for page in listed for obj in page.items]
        except Forbidden:
            if bind or await self._may_list(space) is not False:
                raise
            return []

    async def get(self, resource: Resource, key: Key) -> Obj:
        return await self._allowed(resource, key.namespace, lambda: self._client.get(resource, key))

    async def list_pages(
        self, resource: Resource, *, namespace: str = "", labels: str = "", fields: str = "", limit: int = 500
    ) -> AsyncGenerator[ListPage, None]:
        async def pages() -> list[ListPage]:
            listed = self._client.list_pages(resource, namespace=namespace, labels=labels, fields=fields, limit=limit)
            return [page async for page in listed]

        for page in await self._allowed(resource, namespace, pages):
            yield page

    async def create(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj:
        namespace = obj["metadata"].get("namespace", "")
        return await self._change(resource, namespace, lambda: self._client.create(resource, obj, strict=strict))

    async def check(self, resource: Resource, obj: Obj) -> None:
        namespace = obj["metadata"].get("namespace", "")
        await self._allowed(resource, namespace, lambda: self._client.check(resource, obj))

    async def preview(self, resource: Resource, obj: Obj) -> Obj:
        namespace = obj["metadata"].get("namespace", "")
        return await self._allowed(resource, namespace, lambda: self._client.preview(resource, obj))

    async def replace(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj:
        namespace = obj["metadata"].get("namespace", "")
        return await self._change(resource, namespace, lambda: self._client.replace(resource, obj, strict=strict))

    async def delete(self, resource: Resource, key: Key, *, uid: str, propagation: str = "Background") -> None:
        delete = self._client.delete
        await self._change(resource, key.namespace, lambda: delete(resource, key, uid=uid, propagation=propagation))

    async def _change(self, resource: Resource, namespace: str, request: Callable[[], Awaitable[T]]) -> T:
        try:
            return await self._allowed(resource, namespace, request)
        except KubeError as error:
            if resource == SECRETS and may_have_happened(error):
                self.unconfirmed.add(namespace)
            raise

    async def _allowed(self, resource: Resource, namespace: str, request: Callable[[], Awaitable[T]]) -> T:
        """The answer to a request; one about Secrets is repeated after the binding was written if it is forbidden."""
        if resource != SECRETS:
            return await request()
        try:
            return await request()
        except Forbidden as error:
            found = self._caches.space(namespace)
            if found is None or not _lacks_permission(error):
                raise
            refusal, space = error, found[1]
            if self._is_recent(self._useless, space.uid):
                raise self._unbound.get(space.uid, refusal) from None
        if not self._is_recent(self._bound, space.uid):
            try:
                await self._write_binding(space)
            except NotFound:
                self._useless[space.uid] = self._clock()
                raise refusal from None
            except Forbidden as error:
                self._useless[space.uid] = self._clock()
                self._unbound[space.uid] = error
                raise
        for pause in PAUSES:
            await asyncio.sleep(pause)
            try:
                return await request()
            except Forbidden as error:
                refusal = error
        self._useless[space.uid] = self._clock()
        self._bound.pop(space.uid, None)
        raise refusal

    def _is_recent(self, times: BoundedMap[str, float], uid: str) -> bool:
        return uid in times and self._clock() - times[uid] < REQUEUE_SECONDS / 2

    async def _write_binding(self, space: SpaceFacts) -> None:
        if not self._user:
            # Without an answer the question is repeated for the next binding: an API server that has just started
            # refuses everything.
            try:
                answer = await self._client.create_review(SELF_REVIEWS, {})
            except _NO_ANSWER:
                return
            self._user = str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "")
        if not self._user:
            return
        with contextlib.suppress(AlreadyExists):  # of an earlier start, or about to be effective
            await self._client.create(ROLE_BINDINGS, to_wire(secrets_binding(space, self._user).obj))
        self._bound[space.uid] = self._clock()
        self._unbound.pop(space.uid, None)


def _lacks_permission(error: Forbidden) -> bool:
    """Whether RBAC refused, not a quota, a policy, or the deletion of the namespace."""
    return not (error.namespace_terminating or error.quota_exceeded or is_by_policy(error))
