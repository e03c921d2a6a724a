"""Renewed certificates reach the edge and the pods, without a restart."""

from __future__ import annotations

from decco.desired.secrets import CA_CRL
from decco.objects import PODS, SECRETS, Key, Obj
from decco.verify import objects
from decco.verify.edge import Refused, Request
from decco.verify.groups.routing import ANSWER_SECONDS, expect
from decco.verify.objects import PRIVATE
from decco.verify.outcome import Failed, eventually
from decco.verify.pki import Leaf
from decco.verify.probe import Probe
from decco.verify.world import World

HASTENED = "verify.decco.platform9.com/hastened"
POD_SECONDS = 150.0
"""The kubelet brings a changed Secret to a pod within some 90 s."""


async def _renew(world: World, kind: str, leaf: Leaf, **more: bytes) -> None:
    key = Key(world.names.controller, world.names.secret(f"c-{kind}"))
    await world.client.patch(SECRETS, key, {"data": objects.encoded({**leaf.data, **more})})


async def _copied(world: World, leaf: Leaf) -> None:
    name = world.names.secret("c-tcp")
    copy = await world.get(SECRETS, name, "c")
    if objects.decoded(copy).get("tls.crt") != leaf.data["tls.crt"]:
        raise Failed(f"the copy of Secret {name} is still the one from before")


async def _hasten(world: World) -> None:
    """The kubelet brings changed Secrets when it looks at a pod: every 90 s at most, and when the pod's annotations
    change. How often it looks is no promise of decco.
    """
    for pod in await world.pods("c", "web"):
        key = Key(world.names.space("c"), pod["metadata"]["name"])
        await world.client.patch(PODS, key, {"metadata": {"annotations": {HASTENED: world.names.run}}})


async def _shown(world: World, server: str, leaf: Leaf) -> None:
    try:
        found = await world.certificate(server)
    except Refused as error:
        raise Failed(f"{server} does not answer: {error}") from error
    if found != leaf.digest:
        raise Failed(f"{server} still presents the certificate from before")


async def _http(world: World) -> None:
    fqdn = world.names.fqdn("c")
    leaf = world.material.authorities["c"].leaf(fqdn)
    world.material.web["c"] = leaf
    await _renew(world, "http", leaf)
    await eventually(lambda: _shown(world, fqdn, leaf), ANSWER_SECONDS)


async def _tcp(world: World) -> None:
    name = world.names.host("c", "tcp")
    leaf = world.material.authorities["c"].leaf(f"*.{world.names.fqdn('c')}")
    before = _identity(await world.pods("c", "web"))
    world.material.tcp["c"] = leaf
    revoked = world.material.authorities["c"].revoked(world.material.clients["revoked"].serial)
    await _renew(world, "tcp", leaf, **{CA_CRL: revoked})
    await eventually(lambda: _copied(world, leaf), ANSWER_SECONDS)
    await _hasten(world)
    await eventually(lambda: _shown(world, name, leaf), POD_SECONDS)
    if _identity(await world.pods("c", "web")) != before:
        raise Failed("the pod or one of its containers was restarted", "verify-restarted")


def _identity(pods: list[Obj]) -> list[tuple[str, int]]:
    """UID and restarts of each pod."""
    return sorted(
        (
            pod["metadata"]["uid"],
            sum(
                each.get("restartCount", 0)
                for kind in ("containerStatuses", "initContainerStatuses")
                for each in pod["status"].get(kind) or ()
            ),
        )
        for pod in pods
    )


async def _not_revoked(world: World) -> None:
    request = Request(world.names.host("c", "private"), "/who")
    await eventually(lambda: expect(world, request, f"c/web {PRIVATE}", "revoked"), ANSWER_SECONDS)


async def _revoked(world: World) -> None:
    """The list of the revoked came with the renewed certificate."""
    try:
        answer = await world.request(Request(world.names.host("c", "private"), "/who"), "revoked")
    except Refused:
        return
    raise Failed(f"the endpoint answers {answer.status} to a client whose certificate is in {CA_CRL}")


async def _verifies_still(world: World) -> None:
    """After the renewal, clients of the authority are admitted and others are not."""
    request = Request(world.names.host("c", "private"), "/who")
    await eventually(lambda: expect(world, request, f"c/web {PRIVATE}", "other-space"), ANSWER_SECONDS)
    try:
        await world.request(request, "stranger")
    except Refused:
        return
    raise Failed("a client of a strange authority is admitted after the renewal", "verify-client-admitted")


NOT_REVOKED = "renewal/not-revoked"
PROBES = (
    Probe(
        NOT_REVOKED,
        "a client is admitted before its certificate is revoked",
        "verify-client-refused",
        _not_revoked,
        after=("routing/tcp-open",),
    ),
    Probe(
        "renewal/http",
        "the edge presents a renewed certificate",
        "verify-renewal",
        _http,
        after=("routing/http-open",),
        behind=("routing/http-second-app", "setup/secrets-c"),
    ),
    Probe(
        "renewal/tcp",
        "a pod presents a renewed certificate, without a restart",
        "verify-renewal",
        _tcp,
        after=("routing/tcp-open",),
        behind=("setup/secrets-c", NOT_REVOKED),
        seconds=POD_SECONDS + 20,
    ),
    Probe(
        "renewal/verification",
        "clients are verified after a renewal as before",
        "verify-renewal",
        _verifies_still,
        after=("renewal/tcp",),
    ),
    Probe(
        "renewal/revoked",
        "a client whose certificate was revoked meanwhile is refused, without a restart",
        "verify-client-admitted",
        _revoked,
        after=(NOT_REVOKED, "renewal/verification"),
    ),
)
