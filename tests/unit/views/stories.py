"""Files with Spaces and Apps, and the results, for the tests of the views."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import yaml

from decco.objects import Obj
from decco.settings import Settings
from decco.views import documents
from decco.views.documents import Document
from decco.views.simulation import SimulationResult, simulate
from decco.views.snapshot import Snapshot, from_documents
from tests.unit.reconcilers.world import tls_data

NOW = datetime(2026, 6, 1, tzinfo=UTC)
API = "decco.platform9.com/v1beta2"


def space(name: str = "acme", **spec: Any) -> Obj:
    return {
        "apiVersion": API,
        "kind": "Space",
        "metadata": {"name": name},
        "spec": {"domainName": "example.net", **spec},
    }


def app(name: str = "web", namespace: str = "acme", *endpoints: Obj, **spec: Any) -> Obj:
    pod = {"containers": [{"name": "main", "image": "registry.example/app:1", "ports": [{"containerPort": 8080}]}]}
    listed = [{"port": 8000 + number, **endpoint} for number, endpoint in enumerate(endpoints)]
    spec = {"pod": pod, "endpoints": listed, **spec}
    return {"apiVersion": API, "kind": "App", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def secret(name: str, *hosts: str, namespace: str = "decco", share: str | None = "*", **more: Any) -> Obj:
    meta: Obj = {"name": name, "namespace": namespace}
    if share is not None:
        meta["labels"] = {"decco.platform9.com/share": "true"}
        meta["annotations"] = {"decco.platform9.com/share-with": share}
    content = {"type": "kubernetes.io/tls", "data": tls_data(*hosts), **more}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, **content}


def files(objects: Iterable[Obj]) -> list[Document]:
    return documents.read(["-"], io.StringIO(yaml.safe_dump_all(list(objects))))


def simulated(*objects: Obj, namespace: str | None = None, **settings: Any) -> tuple[Snapshot, SimulationResult]:
    """The play of these objects, without a cluster."""
    snapshot = from_documents(files(objects), Settings.model_validate(settings), namespace)
    return snapshot, asyncio.run(simulate(snapshot, NOW))
