"""Choosing versions; whether the API server agrees is for tests/integration/test_client.py."""

from __future__ import annotations

from typing import Any

import pytest

from decco.kube.discovery import ServerVersion, priority, served, server_version
from decco.kube.errors import Garbled, NotServed
from decco.objects import Obj, Resource

GROUP = "gateway.networking.k8s.io"


class Documents:
    """Stands where the client does, with discovery documents by path."""

    def __init__(self, documents: dict[str, Obj]) -> None:
        self._documents = documents
        self.asked: list[str] = []

    async def raw(self, path: str) -> Obj:
        self.asked.append(path)
        if path not in self._documents:
            raise NotServed(404, "", "404 page not found")
        return self._documents[path]


def group(preferred: str, *versions: str) -> Obj:
    return {"versions": [{"version": v} for v in versions], "preferredVersion": {"version": preferred}}


def kinds(*names: str) -> Obj:
    entries: list[Obj] = [{"name": f"{n.lower()}s", "kind": n, "namespaced": n != "GatewayClass"} for n in names]
    return {"resources": [*entries, {"name": f"{names[0].lower()}s/status", "kind": names[0], "namespaced": True}]}


async def test_each_kind_at_the_best_version_that_has_it() -> None:
    client: Any = Documents(
        {
            f"/apis/{GROUP}": group("v1", "v1alpha3", "v1", "v1beta1", "v1alpha2"),
            f"/apis/{GROUP}/v1": kinds("HTTPRoute", "GatewayClass"),
            f"/apis/{GROUP}/v1beta1": kinds("HTTPRoute", "ReferenceGrant"),
            f"/apis/{GROUP}/v1alpha3": kinds("TLSRoute"),
            f"/apis/{GROUP}/v1alpha2": kinds("TLSRoute", "TCPRoute"),
        }
    )
    found = await served(client, GROUP)
    versions = {kind: resource.version for kind, resource in found.items()}
    assert versions == {
        "HTTPRoute": "v1",
        "GatewayClass": "v1",
        "ReferenceGrant": "v1beta1",
        "TLSRoute": "v1alpha3",
        "TCPRoute": "v1alpha2",
    }
    assert found == {
        "HTTPRoute": Resource(GROUP, "v1", "httproutes", "HTTPRoute"),
        "GatewayClass": Resource(GROUP, "v1", "gatewayclasss", "GatewayClass", namespaced=False),
        "ReferenceGrant": Resource(GROUP, "v1beta1", "referencegrants", "ReferenceGrant"),
        "TLSRoute": Resource(GROUP, "v1alpha3", "tlsroutes", "TLSRoute"),
        "TCPRoute": Resource(GROUP, "v1alpha2", "tcproutes", "TCPRoute"),
    }
    assert len(client.asked) == 5


async def test_the_preferred_version_comes_first_whatever_its_name() -> None:
    client: Any = Documents(
        {
            f"/apis/{GROUP}": group("v1beta1", "v1", "v1beta1"),
            f"/apis/{GROUP}/v1": kinds("A"),
            f"/apis/{GROUP}/v1beta1": kinds("A"),
        }
    )
    assert (await served(client, GROUP))["A"].version == "v1beta1"


async def test_a_group_that_is_not_served_has_no_kinds() -> None:
    client: Any = Documents({})
    assert await served(client, GROUP) == {}


async def test_a_version_that_goes_away_meanwhile_is_left_out() -> None:
    client: Any = Documents({f"/apis/{GROUP}": group("v2", "v1", "v2"), f"/apis/{GROUP}/v1": kinds("A")})
    assert (await served(client, GROUP))["A"].version == "v1"


@pytest.mark.parametrize("document", [{"versions": "v1"}, {"versions": ["v1"]}, {"versions": [{"version": 1}]}])
async def test_a_document_that_is_none(document: Obj) -> None:
    client: Any = Documents({f"/apis/{GROUP}": document})
    with pytest.raises(Garbled, match="no proper list of versions"):
        await served(client, GROUP)


def test_order_of_versions() -> None:
    ordered = ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo10", "v1.2"]
    shuffled = ordered[5:] + ordered[:5][::-1]
    assert sorted(shuffled, key=priority, reverse=True)[:8] == ordered[:8]


@pytest.mark.parametrize(
    ("document", "version"),
    [
        ({"major": "1", "minor": "37"}, (1, 37)),
        ({"major": "1", "minor": "34+"}, (1, 34)),
        ({"major": 1, "minor": 31}, (1, 31)),
    ],
)
async def test_server_version(document: Obj, version: tuple[int, int]) -> None:
    client: Any = Documents({"/version": document})
    assert await server_version(client) == ServerVersion(*version)


@pytest.mark.parametrize("document", [{}, {"major": "1", "minor": ""}, {"major": "x", "minor": "1"}])
async def test_a_server_without_a_version(document: Obj) -> None:
    client: Any = Documents({"/version": document})
    with pytest.raises(Garbled):
        await server_version(client)
