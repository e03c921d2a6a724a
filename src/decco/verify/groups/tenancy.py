"""What a tenant may not do: each row is a request of a user without any permission of decco's, as a dry run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from decco.kube.errors import ApiError, Forbidden, Invalid, NotFound
from decco.objects import (
    API_VERSION,
    APPS,
    CONFIGMAPS,
    GATEWAYS,
    HTTP_ROUTES,
    INGRESSES,
    LABEL_MANAGED_BY,
    LABEL_PROJECT,
    LABEL_SPACE,
    NAMESPACES,
    NETWORK_POLICIES,
    SECRETS,
    SERVICES,
    SPACES,
    TLS_ROUTES,
    Key,
    Obj,
    Resource,
)
from decco.verify.groups.setup import space
from decco.verify.names import Names
from decco.verify.objects import POLICY_BINDINGS
from decco.verify.outcome import Failed, NotTested
from decco.verify.probe import Check, Probe
from decco.verify.world import World
from decco.views.findings import permission_lacking

Body = Callable[[Names], Obj]
ROLE_SECONDS = 10.0
"""The API server takes a moment to know a new role."""
POLICIES = "decco.platform9.com"


@dataclass(frozen=True, slots=True)
class Write:
    """``body`` is a new object or, with ``change``, what is merged into the object of this name; ``policy`` must refuse
    it, "" if it must be allowed.
    """

    name: str
    text: str
    policy: str
    resource: Resource
    body: Body
    change: bool = False


def _named(names: Names, spec: Obj, name: str = "attempt", **meta: Obj) -> Obj:
    return {"metadata": {"name": name, "namespace": names.space("a"), **meta}, "spec": spec}


def _space(names: Names, **spec: object) -> Obj:
    return {"metadata": {"name": f"verify-{names.run}-x"}, "spec": {"domainName": names.domain, **spec}}


def _ingress(host: str, names: Names) -> Obj:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return _named(names, {"rules": [{"host": host, "http": {"paths": [path]}}]})


def _route(host: str, names: Names) -> Obj:
    rule = {"backendRefs": [{"name": "web", "port": 80}]}
    return _named(names, {"hostnames": [host], "parentRefs": [{"name": "own"}], "rules": [rule]})


def _gateway(host: str, names: Names) -> Obj:
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "hostname": host}
    return _named(names, {"gatewayClassName": "any", "listeners": [listener]})


def _service(names: Names, **spec: object) -> Obj:
    return _named(names, {"ports": [{"port": 80}], "selector": {"app": "own"}, **spec})


def _policy(names: Names, source: Obj) -> Obj:
    return _named(names, {"podSelector": {}, "ingress": [{"from": [source]}]})


def _labelled(names: Names, labels: Obj) -> Obj:
    return {"metadata": {"name": "attempt", "namespace": names.space("a"), "labels": labels}}


def _existing(name: str, patch: Obj) -> Body:
    return lambda names: {"metadata": {"name": name, "namespace": names.space("a")}, **patch}


FOREIGN = "shop.bank.test"
WRITES = (
    Write(
        "space-project",
        "a Space in a project without permission is refused",
        "space-membership",
        SPACES,
        lambda n: _space(n, project=n.project("a")),
    ),
    Write("space-domain", "a Space of a domain without permission is refused", "space-membership", SPACES, _space),
    Write(
        "space-hostnames",
        "a further host name without permission is refused",
        "space-hostnames|space-membership",
        SPACES,
        lambda n: _space(n, hostnames=[FOREIGN]),
    ),
    Write(
        "space-privileged",
        "a Space with privileged pods is refused",
        "space-privileges|space-membership",
        SPACES,
        lambda n: _space(n, podSecurity="privileged"),
    ),
    Write(
        "app-paused",
        "a tenant does not pause an App",
        "app-privileges",
        APPS,
        lambda n: {
            "metadata": {
                "name": "web",
                "namespace": n.space("a"),
                "annotations": {"decco.platform9.com/paused": "true"},
            }
        },
        change=True,
    ),
    Write(
        "ingress-foreign",
        "an Ingress with another's host name is refused",
        "tenant-hostnames",
        INGRESSES,
        lambda n: _ingress(FOREIGN, n),
    ),
    Write(
        "ingress-neighbour",
        "an Ingress with a neighbour's FQDN is refused",
        "tenant-hostnames",
        INGRESSES,
        lambda n: _ingress(n.fqdn("c"), n),
    ),
    Write(
        "ingress-own",
        "an Ingress with a name of the Space is allowed",
        "",
        INGRESSES,
        lambda n: _ingress(n.host("a", "own"), n),
    ),
    Write(
        "route-foreign",
        "an HTTPRoute with another's host name is refused",
        "tenant-hostnames",
        HTTP_ROUTES,
        lambda n: _route(FOREIGN, n),
    ),
    Write(
        "route-own",
        "an HTTPRoute with a name of the Space is allowed",
        "",
        HTTP_ROUTES,
        lambda n: _route(n.host("a", "own"), n),
    ),
    Write(
        "tls-route-foreign",
        "a TLSRoute with another's host name is refused",
        "tenant-hostnames",
        TLS_ROUTES,
        lambda n: _route(FOREIGN, n),
    ),
    Write(
        "gateway-foreign",
        "a Gateway with another's host name is refused",
        "tenant-hostnames",
        GATEWAYS,
        lambda n: _gateway(FOREIGN, n),
    ),
    Write(
        "service-node-port",
        "a Service of type NodePort is refused",
        "tenant-services",
        SERVICES,
        lambda n: _service(n, type="NodePort"),
    ),
    Write(
        "service-load-balancer",
        "a Service of type LoadBalancer is refused",
        "tenant-services",
        SERVICES,
        lambda n: _service(n, type="LoadBalancer"),
    ),
    Write(
        "service-external-ip",
        "a Service with an external IP is refused",
        "tenant-services",
        SERVICES,
        lambda n: _service(n, externalIPs=["203.0.113.7"]),
    ),
    Write("service-own", "a Service of type ClusterIP is allowed", "", SERVICES, _service),
    Write(
        "policy-open",
        "a NetworkPolicy that allows everybody is refused",
        "tenant-network",
        NETWORK_POLICIES,
        lambda n: _policy(n, {"ipBlock": {"cidr": "0.0.0.0/0"}}),
    ),
    Write(
        "policy-other-project",
        "a NetworkPolicy that allows another project is refused",
        "tenant-network",
        NETWORK_POLICIES,
        lambda n: _policy(n, {"namespaceSelector": {"matchLabels": {LABEL_PROJECT: n.project("b")}}}),
    ),
    Write(
        "policy-own",
        "a NetworkPolicy within the Space is allowed",
        "",
        NETWORK_POLICIES,
        lambda n: _policy(n, {"podSelector": {}}),
    ),
    Write(
        "forged-child",
        "an object with decco's labels is refused",
        "tenant-children",
        CONFIGMAPS,
        lambda n: _labelled(n, {LABEL_MANAGED_BY: "decco", LABEL_SPACE: n.space("a")}),
    ),
    Write("config-own", "a ConfigMap is allowed", "", CONFIGMAPS, lambda n: _labelled(n, {"app": "own"})),
    Write(
        "child-changed",
        "a child is not changed by a tenant",
        "tenant-children",
        SERVICES,
        _existing("tcp", {"spec": {"selector": {"app": "own"}}}),
        change=True,
    ),
    Write(
        "copy-changed",
        "the copy of a Secret is not changed by a tenant",
        "tenant-children",
        SECRETS,
        lambda n: {"metadata": {"name": n.secret("a-tcp"), "namespace": n.space("a")}, "data": {"tls.key": "eA=="}},
        change=True,
    ),
    Write(
        "namespace-project",
        "the project of a namespace is not changed by a tenant",
        "namespace-labels",
        NAMESPACES,
        lambda n: {"metadata": {"name": n.space("a"), "labels": {LABEL_PROJECT: n.project("b")}}},
        change=True,
    ),
    Write(
        "namespace-joins",
        "a namespace outside of all Spaces does not join a project",
        "namespace-labels",
        NAMESPACES,
        lambda n: {"metadata": {"name": n.outside, "labels": {LABEL_PROJECT: n.project("a")}}},
        change=True,
    ),
)

INVALID = (
    (
        "endpoint-names",
        "two endpoints of one name are refused",
        {"endpoints": [{"name": "x", "port": 80}, {"name": "x", "port": 81}]},
    ),
    (
        "endpoint-paths",
        "two endpoints of one path are refused",
        {"endpoints": [{"name": "x", "port": 80, "httpPath": "/x"}, {"name": "y", "port": 81, "httpPath": "/x"}]},
    ),
    ("path", "a path without a slash is refused", {"endpoints": [{"name": "x", "port": 80, "httpPath": "x"}]}),
    ("port", "a port beyond 65535 is refused", {"endpoints": [{"name": "x", "port": 70000}]}),
    (
        "both-forms",
        "the short form beside endpoints is refused",
        {"endpoints": [{"name": "x", "port": 80}], "httpUrlPath": "/x"},
    ),
    (
        "egress-targets",
        "an egress with two targets is refused",
        {"endpoints": [], "tlsEgresses": [{"localPort": 1500, "fqdn": "x.test", "endpoint": "x"}]},
    ),
)


async def _send(world: World, write: Write) -> None:
    """As the tenant; raises the API server's refusal."""
    obj = write.body(world.names)
    obj = {"apiVersion": write.resource.api_version, "kind": write.resource.kind, **obj}
    if write.change:
        key = Key(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        live = await world.client.get(write.resource, key)
        live.pop("status", None)
        obj = _merged(live, obj)
    await world.tenant.preview(write.resource, obj)


def _merged(into: Obj, patch: Obj) -> Obj:
    """A merge patch (RFC 7386) without deletions."""
    return {
        **into,
        **{
            key: _merged(into.get(key) or {}, value) if isinstance(value, dict) else value
            for key, value in patch.items()
        },
    }


async def _refusal(world: World, write: Write) -> ApiError | None:
    """The answer of the policies; waits until the tenant's role is in force."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + ROLE_SECONDS
    while True:
        try:
            await _send(world, write)
        except NotFound:
            raise
        except Forbidden as error:
            if permission_lacking(error) is None:
                return error
            if loop.time() > deadline:
                raise NotTested(f"the temporary role does not allow the request: {error.message}") from error
        except ApiError as error:
            if error.status == 409 or not isinstance(error, Invalid):
                raise
            return error
        else:
            return None
        await asyncio.sleep(0.5)


def _check(write: Write) -> Check:
    async def check(world: World) -> None:
        refusal = await _refusal(world, write)
        if not write.policy:
            if refusal is not None:
                raise Failed(f"refused: {refusal.message}", "verify-honest-refused")
            return
        names = [f"{each}.{POLICIES}" for each in write.policy.split("|")]
        if refusal is None:
            bound = [name for name in names if await world.find(POLICY_BINDINGS, Key("", name)) is not None]
            missing = f": there is no ValidatingAdmissionPolicyBinding {names[0]}" if names[0] not in bound else ""
            raise Failed(f"the API server allows it{missing}")
        if not any(name in refusal.message for name in names):
            raise NotTested(f"it is refused, but not by the policy {names[0]}: {refusal.message}")

    return check


def _invalid(spec: Obj) -> Check:
    async def check(world: World) -> None:
        pod = {"containers": [{"name": "x", "image": world.image}]}
        meta = {"name": "invalid", "namespace": world.names.space("a")}
        app = {"apiVersion": API_VERSION, "kind": APPS.kind, "metadata": meta, "spec": {"pod": pod, **spec}}
        try:
            await world.client.preview(APPS, app)
        except Invalid:
            return
        raise Failed("the API server accepts it")

    return check


async def _immutable(world: World) -> None:
    live = await world.get(SPACES, world.names.space("a"))
    live["spec"]["domainName"] = "other.test"
    try:
        await world.client.preview(SPACES, live)
    except Invalid:
        return
    raise Failed("the API server accepts it")


PROBES = (
    *(
        Probe(
            f"tenancy/{each.name}",
            each.text,
            "verify-policy" if each.policy else "verify-honest-refused",
            _check(each),
            after=("setup/app-a-web",) if each.change else (space("a"), space("b")),
        )
        for each in WRITES
    ),
    *(
        Probe(f"admission/{name}", text, "verify-admission", _invalid(spec), after=(space("a"),))
        for name, text, spec in INVALID
    ),
    Probe("admission/domain", "a change of domainName is refused", "verify-admission", _immutable, after=(space("a"),)),
)
