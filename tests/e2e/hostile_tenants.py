"""A Space that is attacked, and tenants who attack it with what their roles allow."""

from __future__ import annotations

import json

from tests.e2e.world import Obj, Tenant, World

USER = "mallory"
"""Of all hostile tenants."""


EDITED = "more"
"""The endpoint of a site whose path is edited, and its route."""


def steady(world: World, name: str) -> Tenant:
    """Who is attacked: a Space of a project, with a site and a TCP endpoint."""
    tenant = world.tenant(name, project=name)
    tenant.run(
        site(tenant, "/more"),
        tenant.app("talk", ["echo:9000"], endpoints=[{"name": "talk", "port": 9000}]),
    )
    tenant.settled("/site")
    tenant.listening("talk")
    return tenant


def site(tenant: Tenant, path: str) -> Obj:
    """Two endpoints; the path of one of them is edited."""
    listen = {"site": (8080, "/site"), EDITED: (8081, path)}
    endpoints = [{"name": name, "port": port, "httpPath": path} for name, (port, path) in listen.items()]
    return tenant.app("site", [f"http:{port}" for port, _ in listen.values()], endpoints=endpoints)


def hostile(world: World, name: str) -> Tenant:
    """A Space with Pod Security level baseline, and decco-tenant-edit and edit in it for one user."""
    tenant = world.tenant(name, podSecurity="baseline")
    for role in ("decco-tenant-edit", "edit"):
        binding = ["create", "rolebinding", f"{USER}-{role}", f"--clusterrole={role}", f"--user={USER}"]
        world.kubectl(*binding, f"--namespace={name}")
    return tenant


def apply(world: World, *items: Obj) -> None:
    """As the tenant, so what is applied is admissible; without the schema, which kubectl would fetch each time."""
    whole = {"apiVersion": "v1", "kind": "List", "items": list(items)}
    world.kubectl("apply", "--server-side", "--validate=false", f"--as={USER}", "-f", "-", input=json.dumps(whole))
