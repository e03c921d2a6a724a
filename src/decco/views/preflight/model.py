"""The input of the checks, and the kinds that only they read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from decco.desired.model import Served, SpaceFacts
from decco.kube.client import Client
from decco.kube.errors import NotFound, NotServed
from decco.objects import Key, Obj, Resource
from decco.reconcilers.facts import space_facts
from decco.settings import Settings
from decco.views.running import Running


@dataclass(frozen=True, slots=True)
class ClusterContext:
    client: Client
    settings: Settings
    running: Running
    served: Served
    now: datetime
    service_account: str
    """The service account of the controller, in the controller namespace."""

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


async def understood(spaces: AsyncIterator[Obj]) -> AsyncIterator[SpaceFacts]:
    """But for those that this version does not understand: the check ``objects`` reports them as not Ready."""
    async for obj in spaces:
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
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False)
