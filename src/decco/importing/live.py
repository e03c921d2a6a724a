"""Reads from a cluster what an import of a namespace can convert. It writes nothing, and reads no Secrets."""

from __future__ import annotations

from decco.errors import ConfigError
from decco.importing.fields import Source
from decco.kube.client import Client
from decco.kube.errors import Forbidden, NotFound, NotServed
from decco.objects import (
    AUTOSCALERS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    INGRESSES,
    JOBS,
    SERVICES,
    STATEFUL_SETS,
    Key,
    Obj,
    Resource,
)

_READ = (
    *(DEPLOYMENTS, STATEFUL_SETS, JOBS, SERVICES, INGRESSES, DISRUPTION_BUDGETS),
    AUTOSCALERS,
    Resource("apps", "v1", "daemonsets", "DaemonSet"),
    Resource("batch", "v1", "cronjobs", "CronJob"),
)


async def read_namespace(client: Client, namespace: str) -> list[tuple[Source, Obj]]:
    """Raises ConfigError if a kind may not be read, or if there is nothing."""
    found = []
    for resource in _READ:
        try:
            pages = client.list_pages(resource, namespace=namespace)
            objects = [obj async for page in pages for obj in page.items]
        except Forbidden as error:
            raise ConfigError(
                f"you may not list {resource.plural} in namespace {namespace}: have somebody bind the ClusterRole "
                f"view to "
                "you there, or convert what `kubectl get -o yaml` prints"
            ) from error
        except (NotFound, NotServed):
            continue
        found += [
            (Source("cluster", 0, resource.kind, Key(namespace, obj["metadata"]["name"])), obj) for obj in objects
        ]
    if not found:
        kinds = ", ".join(resource.kind for resource in _READ[:-1])
        raise ConfigError(
            f"namespace {namespace} has no {kinds} or {_READ[-1].kind}, or does not exist: check its name"
        )
    return found
