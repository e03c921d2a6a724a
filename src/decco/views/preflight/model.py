"""The input of the checks, and the kinds that only they read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from decco.desired.model import Served, SpaceFacts
from decco.frozen import frozen
from decco.kube.client import Client
from decco.kube.errors import NotFound, NotServed
from decco.objects import SPACES, Key, Obj, Resource
from decco.reconcilers.facts import space_facts
from decco.settings import Settings
from decco.views.running import Running


@dataclass(frozen=True)
class Spaces:
    objects: tuple[Obj, ...] = ()

    @cached_property
    def understood(self) -> tuple[SpaceFacts, ...]:
        """But for those that this version does not understand: the check ``objects`` reports them as not Ready."""
        return tuple(_understood(self.objects))


@frozen
class ClusterContext:
    client: Client
    settings: Settings
    running: Running
    served: Served
    now: datetime
    service_account: str
    """The service account of the controller, in the controller namespace."""
    _listing: list[asyncio.Task[Spaces]] = field(default_factory=list)
    """The request for all Spaces, once it was made."""

    async def spaces(self) -> Spaces:
        """All Spaces, which are requested once for all checks; none if the cluster does not serve the kind, which the
        check ``crds`` reports. Raises KubeError.
        """
        if not self._listing:
            self._listing.append(asyncio.ensure_future(self._spaces()))
        return await asyncio.shield(self._listing[0])

    async def _spaces(self) -> Spaces:
        return Spaces(tuple([obj async for obj in self.objects_if_served(SPACES)]))

    async def find(self, resource: Resource, key: Key) -> Obj | None:
        """The object, or None if there is none or the cluster does not serve its kind."""
        try:
            return await self.client.get(resource, key)
        except (NotFound, NotServed):
            return None

    async def objects(self, resource: Resource, *, namespace: str = "", labels: str = "") -> AsyncIterator[Obj]:
        """All objects of a kind. Raises KubeError, NotServed too."""
        async for page in self.client.list_pages(resource, namespace=namespace, labels=labels):
            for obj in page.items:
                yield obj

    async def objects_if_served(
        self, resource: Resource, *, namespace: str = "", labels: str = ""
    ) -> AsyncIterator[Obj]:
        """The same, none if the cluster does not serve the kind."""
        try:
            async for obj in self.objects(resource, namespace=namespace, labels=labels):
                yield obj
        except (NotFound, NotServed):
            return


def _understood(spaces: Iterable[Obj]) -> Iterator[SpaceFacts]:
    for obj in spaces:
        try:
            yield space_facts(obj)
        except ValueError:
            continue


INGRESS_CLASSES = Resource("networking.k8s.io", "v1", "ingressclasses", "IngressClass", namespaced=False)
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
ADMISSION = "admissionregistration.k8s.io"
POLICIES = Resource(ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False)
BINDINGS = Resource(
    ADMISSION, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False
)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
