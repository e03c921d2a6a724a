"""Implementation of ``decco explain``: compares the cluster, the desired state and DNS."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from dns.asyncresolver import Resolver

from decco.cli import arguments as flags
from decco.cli import output
from decco.kube.client import Client
from decco.kube.errors import Forbidden
from decco.objects import Key, Resource
from decco.settings import Settings
from decco.views import lookup
from decco.views import snapshot as snapshots
from decco.views.explanation.explain import explain, hostnames_of
from decco.views.explanation.statements import State, World
from decco.views.simulation import simulate
from decco.views.snapshot import Snapshot
from decco.views.targets import Target, namespaces_of, resolve

ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")


def run(arguments: argparse.Namespace) -> int:
    asked = None if arguments.no_lookup else lookup.resolver(arguments.resolver)
    return asyncio.run(_run(arguments, flags.settings_of(arguments), asked))


async def _run(arguments: argparse.Namespace, settings: Settings, asked: Resolver | None) -> int:
    async with flags.cluster(settings) as client:
        settings, remarks = await flags.running_settings(client, settings, arguments)
        namespaces = namespaces_of([arguments.target], arguments.namespace)
        snapshot = await snapshots.from_cluster(client, settings, namespaces)
        target = resolve(arguments.target, snapshot, arguments.namespace)
        namespace = _namespace_of(snapshot, target)
        if namespace is not None and namespace not in namespaces:
            snapshot = await snapshots.from_cluster(client, settings, {namespace})
        now = datetime.now(UTC)
        result = await simulate(
            snapshot,
            now,
            client=client,
            wanted=lambda kind, key: namespace in (key.namespace, key.name if kind == "Space" else ""),
        )
        backends = await _backends(client, namespace) if namespace is not None else None
    answers = await lookup.look_up(asked, hostnames_of(snapshot, result, target)) if asked is not None else {}
    statements = explain(World(snapshot, result, now, backends, answers), target)
    if arguments.output == "table":
        style = output.style_of(arguments.color)
        output.write(style.head(output.clean(target)) + "\n")
        rows = [(each.state.value, each.about, each.text) for each in statements]
        output.write(output.table(("STATE", "ABOUT", "WHAT"), rows, style, state=0))
    else:
        listed = [{"state": each.state.value, "about": each.about, "text": each.text} for each in statements]
        output.write_data({"target": str(target), "statements": listed, "gaps": snapshot.gaps}, arguments.output)
    output.report(arguments.program, [*remarks, *snapshot.gaps])
    return 1 if any(each.state is State.FAILURE for each in statements) else 0


def _namespace_of(snapshot: Snapshot, target: Target) -> str | None:
    """The namespace of the target, if any."""
    if target.app is not None:
        return target.app.namespace
    return target.space or snapshot.caches.claims.owner_of(target.hostname or "")


async def _backends(client: Client, namespace: str) -> Mapping[Key, tuple[int, int]] | None:
    """Service -> numbers of its ready and of all endpoints; None if the user may not read them."""
    found: dict[Key, tuple[int, int]] = {}
    try:
        async for page in client.list_pages(ENDPOINT_SLICES, namespace=namespace):
            for obj in page.items:
                service = (obj["metadata"].get("labels") or {}).get("kubernetes.io/service-name")
                ready, known = found.get(Key(namespace, str(service)), (0, 0))
                endpoints = obj.get("endpoints") or ()
                # Unknown counts as ready (EndpointConditions of discovery.k8s.io/v1).
                fit = [each for each in endpoints if (each.get("conditions") or {}).get("ready") is not False]
                found[Key(namespace, str(service))] = (ready + len(fit), known + len(endpoints))
    except Forbidden:
        return None
    return found
