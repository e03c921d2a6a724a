"""What the probes share: the cluster, the names and certificates of the run, and what several of them wait for."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from decco.api.conditions import condition_of, has_status
from decco.desired.reasons import ROUTE_NOT_SUPPORTED
from decco.kube.client import Client
from decco.kube.errors import Forbidden, NotFound
from decco.messages import Category, messages
from decco.objects import APPS, LABEL_APP, PODS, SPACES, Key, Obj, Resource
from decco.settings import Settings
from decco.verify import edge
from decco.verify import pods as pods_
from decco.verify.edge import Answer, Request
from decco.verify.material import Material
from decco.verify.names import Names
from decco.verify.objects import bare_pod
from decco.verify.outcome import Failed, NotTested, eventually

T = TypeVar("T")
NO_ACCOUNT = "error looking up service account"
"""In the refusal of a pod while its namespace is new."""


def is_unkept(condition: Obj) -> bool:
    """Whether a condition says that the edge has no such thing, and serves the rest."""
    return condition.get("type") == "RoutesReady" and condition.get("reason") == ROUTE_NOT_SUPPORTED


@dataclass
class World:
    """``edge_addresses``: where clients connect, if the user knows better than the Spaces' status; ``patience`` in
    seconds, for what includes the start of a pod.
    """

    client: Client
    tenant: Client
    settings: Settings
    names: Names
    material: Material
    image: str
    patience: float
    edge_addresses: tuple[str, ...] = ()
    _once: dict[Hashable, asyncio.Task[Any]] = field(default_factory=dict)

    @property
    def user(self) -> int | None:
        """UID of the pods; None where the cluster chooses it, as it then does for the sidecar."""
        return pods_.USER if self.settings.sidecar.run_as_user is not None else None

    async def once(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """The result of ``make``, which runs once for all that need it."""
        if key not in self._once:
            self._once[key] = asyncio.ensure_future(make())
        return cast("T", await asyncio.shield(self._once[key]))

    async def close(self) -> None:
        """Ends what is still under way."""
        tasks = list(self._once.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def may_lack(self) -> frozenset[Key]:
        """Spaces and Apps with fields that not every edge has."""
        e, f = self.names.space("e"), self.names.space("f")
        return frozenset({Key("", f), *(Key(e, app) for app in ("timed", "share")), Key(f, "limited")})

    # The cluster

    async def get(self, resource: Resource, name: str, space: str = "") -> Obj:
        """An object of a Space's namespace, or without a namespace. Raises NotFound."""
        return await self.client.get(resource, Key(self.names.space(space) if space else "", name))

    async def find(self, resource: Resource, key: Key) -> Obj | None:
        try:
            return await self.client.get(resource, key)
        except NotFound:
            return None

    async def listed(self, resource: Resource, namespace: str, labels: str = "") -> list[Obj]:
        pages = self.client.list_pages(resource, namespace=namespace, labels=labels)
        return [item async for page in pages for item in page.items]

    async def ready(self, resource: Resource, key: Key) -> Obj:
        """The object if it is Ready in its present generation, or lacks only what not every edge has and it may lack.
        Raises Failed with its first cause.
        """
        obj = await self.client.get(resource, key)
        conditions = (obj.get("status") or {}).get("conditions") or []
        seen = (obj.get("status") or {}).get("observedGeneration") == obj["metadata"].get("generation")
        if not conditions or not seen:
            raise Failed("the controller has not reported on it: is it running?", "verify-not-reconciled")
        if has_status(obj, "Ready"):
            return obj
        wrong = [each for each in conditions if each["status"] != "True" and each["type"] != "Ready"]
        if key in self.may_lack and wrong and all(map(is_unkept, wrong)):
            return obj
        text = "; ".join(f"{each['type']}: {each['reason']}: {each['message']}" for each in wrong)
        reason = condition_of(obj, "Ready").get("reason", "")
        raise Failed(text or "not Ready", reason if reason in messages(Category.CONDITION) else "")

    async def unkept(self, resource: Resource, key: Key) -> str:
        """What its edge does not keep of an object, in the words of its condition; "" if it keeps all."""
        found = condition_of(await self.client.get(resource, key), "RoutesReady")
        return str(found.get("message")) if is_unkept(found) else ""

    async def space_ready(self, space: str) -> Obj:
        return await self.ready(SPACES, Key("", self.names.space(space)))

    async def app_ready(self, space: str, app: str) -> Obj:
        try:
            return await self.ready(APPS, Key(self.names.space(space), app))
        except Failed as error:
            why = [pods_.waiting(pod) for pod in await self.pods(space, app)]
            said = next(filter(None, why), "")
            raise Failed(f"{error}; pod: {said}" if said else str(error), error.message) from error

    async def pods(self, space: str, app: str) -> list[Obj]:
        """Pods of an App that are not ending."""
        found = await self.listed(PODS, self.names.space(space), f"{LABEL_APP}={app}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    # The edge

    async def addresses(self, space: str = "a") -> tuple[str, ...]:
        """Where clients of a Space connect. Raises NotTested if nobody knows."""
        if self.edge_addresses:
            return self.edge_addresses
        found = (await self.get(SPACES, self.names.space(space))).get("status", {}).get("addresses") or ()
        if not found:
            raise NotTested("the edge has no address in the status of a Space; --edge gives one")
        return tuple(found)

    async def address(self, server: str) -> str:
        """Where a client of this server name connects; that of Space a for names of no Space."""
        space = self.names.space_of(server)
        return await self.once(("address", space), lambda: self._address(space))

    async def _address(self, space: str) -> str:
        return (await self.addresses(space))[0]

    def trust(self, client: str = "") -> ssl.SSLContext:
        """The context of a client with one of the certificates of ``material.clients``, or without."""
        return self.material.contexts[client]

    async def request(self, request: Request, client: str = "") -> Answer:
        """One request over TLS to the first address of the edge. Raises Refused."""
        return await edge.send(await self.address(request.server), request, self.trust(client))

    async def certificate(self, server: str) -> str:
        """The digest of the certificate that the edge presents to this server name. Raises Refused."""
        return await edge.certificate(await self.address(server), server, self.trust())

    async def request_plain(self, request: Request) -> Answer:
        """The same in plain text, to port 80."""
        return await edge.send(await self.address(request.server), request, None)

    # Clients in pods

    async def run_client(self, namespace: str, name: str, targets: list[pods_.PortCheck]) -> dict[str, bool]:
        """The results of a pod that tries these targets. Raises Failed if it did not run to its end."""
        spec = pods_.client(self.image, targets, self.user)
        await self.create_pod(bare_pod(self.names, namespace, name, spec))
        return await self.client_results(namespace, lambda pod: pod["metadata"]["name"] == name)

    async def create_pod(self, pod: Obj) -> None:
        """Waits for the ServiceAccount without which no pod is accepted: it follows its namespace after a moment."""

        async def create() -> None:
            try:
                await self.client.create(PODS, pod)
            except Forbidden as error:
                if NO_ACCOUNT not in error.message:
                    raise
                raise Failed(error.message, "verify-pod") from error

        await eventually(create, 20)

    async def client_results(self, namespace: str, chosen: Callable[[Obj], bool]) -> dict[str, bool]:
        deadline = asyncio.get_running_loop().time() + self.patience + 30
        said = ""
        while asyncio.get_running_loop().time() < deadline:
            for pod in filter(chosen, await self.listed(PODS, namespace)):
                if (found := pods_.results(pod)) is not None:
                    return found
                said = pods_.waiting(pod)
            await asyncio.sleep(0.5)
        raise Failed(f"the client's pod in {namespace} did not finish{': ' if said else ''}{said}", "verify-pod")
