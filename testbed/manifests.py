"""Installs CRDs and decco's own manifests into a control plane, and waits until the API server serves them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from testbed import assets
from testbed.api import Api, RequestFailed

MANIFESTS = Path(__file__).resolve().parent.parent / "manifests"
CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ESTABLISH_SECONDS = 30.0
POLL_SECONDS = 0.02
PARALLEL = 4
TRIES = 5
"""Of a request that an API server on a loaded machine does not complete within its own time limit."""


def read(files: Iterable[Path]) -> list[dict[str, Any]]:
    """All objects of some YAML files, in order."""
    objects: list[dict[str, Any]] = []
    for file in files:
        with file.open("rb") as stream:
            objects += [obj for obj in yaml.load_all(stream, Loader=yaml.CSafeLoader) if obj]
    return objects


def install_crds(api: Api, files: Iterable[Path]) -> list[str]:
    """Creates or replaces the CRDs among the objects of the files, waits until each is served, returns their names.

    Raises:
        RequestFailed: the server refused one, or did not accept its names in time.
    """
    crds = [obj for obj in read(files) if obj["kind"] == "CustomResourceDefinition"]
    with ThreadPoolExecutor(PARALLEL) as pool:
        names = list(pool.map(lambda crd: _put(api, crd), crds))
        list(pool.map(lambda crd: _await_served(api, crd), crds))
    return names


def install_gateway_api(api: Api) -> list[str]:
    """Installs the CRDs of the Gateway API's standard channel and returns their names."""
    return install_crds(api, assets.gateway_api_crds())


def install_cert_manager_crds(api: Api) -> list[str]:
    """Installs the CRDs of cert-manager and returns their names."""
    return install_crds(api, assets.cert_manager_crds())


def install_envoy_gateway_crds(api: Api) -> list[str]:
    """Installs the CRDs of Envoy Gateway and returns their names."""
    return install_crds(api, assets.envoy_gateway_crds())


def install_istio_crds(api: Api) -> list[str]:
    """Installs the CRDs of Istio and returns their names."""
    return install_crds(api, assets.istio_crds())


def install_decco_crds(api: Api) -> list[str]:
    """Installs decco's own CRDs as they are in manifests/crds, and returns their names (none if there are no files)."""
    return install_crds(api, sorted((MANIFESTS / "crds").glob("*.yaml")))


def decco_folders() -> list[Path]:
    """The folders of manifests beside the CRDs that a cluster needs before decco runs; only those with files."""
    return [folder for folder in (MANIFESTS / "rbac", MANIFESTS / "policies") if any(folder.glob("*.yaml"))]


def _put(api: Api, crd: dict[str, Any]) -> str:
    name: str = crd["metadata"]["name"]
    for _ in range(TRIES):
        answer = api.request("POST", CRD_PATH, crd)
        if answer.status == 409:
            headers = {"Content-Type": "application/apply-patch+yaml"}
            answer = api.request("PATCH", f"{CRD_PATH}/{name}?fieldManager=testbed&force=true", crd, headers=headers)
        if answer.status != 504:
            break
    if answer.status not in {200, 201}:
        raise RequestFailed(f"CRD {name}: {answer.status} {answer.body.decode(errors='replace')[:1000]}")
    return name


def _await_served(api: Api, crd: dict[str, Any]) -> None:
    """Waits for a list to succeed: the condition Established comes a little before the paths are there."""
    spec = crd["spec"]
    served = [version["name"] for version in spec["versions"] if version["served"]]
    paths = [f"/apis/{spec['group']}/{version}/{spec['names']['plural']}?limit=1" for version in served]
    deadline = time.monotonic() + ESTABLISH_SECONDS
    while paths:
        answer = api.request("GET", paths[-1])
        if answer.status == 200:
            paths.pop()
        elif time.monotonic() > deadline:
            raise RequestFailed(f"{paths[-1]} is not served after {ESTABLISH_SECONDS:.0f} s: {answer.status}")
        else:
            time.sleep(POLL_SECONDS)
