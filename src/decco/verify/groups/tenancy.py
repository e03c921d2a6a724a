"""What a tenant may not do: each row is a request of a user without any permission of decco's, as a dry run."""

from __future__ import annotations

import asyncio

from decco.kube.errors import ApiError, Forbidden, Invalid, NotFound
from decco.objects import API_VERSION, APPS, SPACES, Key, Obj
from decco.verify.groups.setup import space
from decco.verify.groups.writes import WRITES, Write
from decco.verify.objects import POLICY_BINDINGS
from decco.verify.outcome import Failed, NotTested
from decco.verify.probe import Check, Probe
from decco.verify.world import NO_ACCOUNT, World
from decco.views.findings import permission_lacking

ROLE_SECONDS = 10.0
"""The API server takes a moment to know a new role."""
POLICIES = "decco.platform9.com"


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
            if permission_lacking(error) is None and NO_ACCOUNT not in error.message:
                return error
            if loop.time() > deadline:
                raise NotTested(f"the request is not allowed to the tenant: {error.message}") from error
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
            after=("setup/app-a-web",) if each.change else tuple(map(space, each.spaces)),
        )
        for each in WRITES
    ),
    *(
        Probe(f"admission/{name}", text, "verify-admission", _invalid(spec), after=(space("a"),))
        for name, text, spec in INVALID
    ),
    Probe("admission/domain", "a change of domainName is refused", "verify-admission", _immutable, after=(space("a"),)),
)
