"""decco never accepts a certificate that the edge refuses: each shape that it accepts is served, by Envoy itself.

``E2E=full`` tries every shape of ``tls_shapes.py`` that decco accepts, else one in ten.
"""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime

import pytest

from decco.desired import pem
from decco.desired.routing.edge import edge_keys
from decco.desired.secret_content import inspect
from decco.desired.secret_use import SERVER, Use, defects
from decco.settings import RoutingSettings
from tests import tls_shapes
from tests.e2e import clients
from tests.e2e.world import SPACES, Obj, World, eventually, ready
from tests.tls_shapes import Shape

NAME = tls_shapes.HOST.partition(".")[0]
SECRET = f"{NAME}-http"
EVERY = 1 if os.environ.get("E2E") == "full" else 10
USE = Use(frozenset({tls_shapes.HOST}), frozenset({SERVER}), edge_keys(RoutingSettings()))


def accepted(shape: Shape) -> bool:
    data = {name: base64.b64encode(value).decode() for name, value in shape.data.items()}
    return not defects(inspect("kubernetes.io/tls", data), USE, datetime.now(UTC))


def secret_of(shape: Shape) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {
            "name": SECRET,
            "namespace": "decco",
            "labels": {"decco.platform9.com/share": "true"},
            "annotations": {
                "decco.platform9.com/share-with": NAME,
                "decco.platform9.com/replace-at-once": "true",  # a new authority each time
            },
        },
        "data": {name: base64.b64encode(value).decode() for name, value in shape.data.items()},
    }


@pytest.fixture(scope="module")
def good(world: World) -> Shape:
    first = next(tls_shapes.shapes())
    assert accepted(first)
    space = {"domainName": tls_shapes.HOST.partition(".")[2], "httpCertSecretName": SECRET}
    meta = {"apiVersion": "decco.platform9.com/v1beta2", "kind": "Space", "metadata": {"name": NAME}}
    world.apply(secret_of(first), {**meta, "spec": space})
    eventually(lambda: ready(world.get(SPACES, NAME)), what="Ready")
    return first


def shown(world: World, shape: Shape) -> bool:
    """Whether the edge completes a handshake with the shape's first certificate, verified by name and authority."""
    first = next(block.der for block in pem.blocks(shape.data["tls.crt"]) if block.label == "CERTIFICATE")
    with clients.tls(world.edge, tls_shapes.HOST, shape.root) as connection:
        return connection.getpeercert(binary_form=True) == first


def refused(world: World) -> bool:
    """Whether the Space says so; ``ready`` raises what it says."""
    try:
        return not ready(world.get(SPACES, NAME))
    except AssertionError as error:
        return "SecretInvalid" in str(error) or "Certificate" in str(error)


def test_the_edge_serves_what_decco_accepts(world: World, good: Shape) -> None:
    every = [shape for shape in tls_shapes.shapes() if accepted(shape)]
    refused = []
    for shape in every[::EVERY]:
        world.apply(secret_of(shape))
        try:
            eventually(lambda shape=shape: shown(world, shape), 20, shape.name)  # type: ignore[misc]
        except AssertionError as error:
            refused.append(str(error))
    assert not refused, "\n".join(refused)


def test_the_edge_continues_with_the_last_good_copy(world: World, good: Shape) -> None:
    """For a sample of what decco refuses, of each kind."""
    world.apply(secret_of(good))
    eventually(lambda: shown(world, good), what="the good one")
    bad = {"tls.crt: glued", "tls.crt: indented", "key RSA-1024", "key P-224", "key secp256k1", "leaf: other name"}
    for shape in tls_shapes.shapes():
        if shape.name in bad:
            assert not accepted(shape), shape.name
            world.apply(secret_of(shape))
            eventually(lambda: refused(world), what=f"not Ready: {shape.name}")
            assert shown(world, good), shape.name
    world.apply(secret_of(good))
    eventually(lambda: ready(world.get(SPACES, NAME)), what="Ready again")
