"""Certificates from an issuer, where there is cert-manager.

The issuer is the run's own, of the kind CA: one that asks a public authority would spend its limits on names that exist
for minutes. So this tries decco, cert-manager and the edge; of the issuer of the settings the condition is read.
"""

from __future__ import annotations

from decco.api.conditions import condition_of
from decco.api.types import IssuerRef
from decco.desired.issued import HTTP
from decco.desired.issuing import issuer_resource
from decco.kube.errors import NotFound, NotServed
from decco.objects import CERTIFICATES, NAMESPACES, SECRETS, SPACES, Key
from decco.settings import RoutingBackend
from decco.verify import objects
from decco.verify.edge import Refused
from decco.verify.groups.routing import ANSWER_SECONDS, EDGE
from decco.verify.groups.setup import CONTROLLER
from decco.verify.names import ISSUED
from decco.verify.outcome import Failed, NotTested, eventually
from decco.verify.pki import Authority, digest_of_pem
from decco.verify.probe import Probe
from decco.verify.world import World

ISSUER = "verify"
SECONDS = 60.0


async def _default(world: World) -> None:
    settings = world.settings.certificates
    if settings.issuer_name is None:
        raise NotTested("the setting certificates.issuerName names no issuer")
    ref = IssuerRef(name=settings.issuer_name, kind=settings.issuer_kind, group=settings.issuer_group)
    kind = issuer_resource(ref)
    if kind is None or kind.kind == "Issuer":
        raise NotTested(
            f"the issuer {ref.name} of the settings is one in each Space's namespace, or of an unknown kind"
        )
    found = await world.find(kind, Key("", ref.name))
    if found is None:
        raise Failed(f"there is no {ref.kind} {ref.name}, which the setting certificates.issuerName names")
    ready = condition_of(found, "Ready")
    if ready.get("status") != "True":
        raise Failed(f"{ref.kind} {ref.name} is not ready: {ready.get('reason')}: {ready.get('message')}")


async def _issued(world: World) -> None:
    names, kind = world.names, issuer_resource(IssuerRef(name=ISSUER))
    assert kind is not None
    try:
        await world.listed(CERTIFICATES, names.controller)
    except (NotServed, NotFound) as error:
        raise NotTested(f"there is no cert-manager: the cluster does not serve {CERTIFICATES.group}") from error
    made = objects.space(names, ISSUED)
    made["spec"]["certificates"] = {"issuerRef": {"name": ISSUER}}
    await world.client.create(SPACES, made)
    meta = {"name": ISSUER, "namespace": names.space(ISSUED), "labels": names.labels}
    authority = Authority("decco verify, issuer")
    data = objects.encoded({"tls.crt": authority.cert, "tls.key": authority.key})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "kubernetes.io/tls", "data": data}
    issuer = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}
    await eventually(lambda: world.client.get(NAMESPACES, Key("", names.space(ISSUED))), SECONDS)
    await world.client.create(SECRETS, secret)
    await world.client.create(kind, {**issuer, "spec": {"ca": {"secretName": ISSUER}}})

    async def used() -> None:
        condition = condition_of(await world.get(SPACES, names.space(ISSUED)), "CertificatesReady")
        if condition.get("status") != "True":
            raise Failed(f"CertificatesReady: {condition.get('reason')}: {condition.get('message')}")

    await eventually(used, world.patience, stretched=False)


async def _shown(world: World) -> None:
    """The edge presents it, once it has the listener; an Ingress controller serves names of Apps only."""
    if world.settings.routing.backend is not RoutingBackend.GATEWAY:
        raise NotTested("an Ingress controller serves the FQDN of a Space with an App only")
    copy = await world.get(SECRETS, HTTP, ISSUED)
    expected, fqdn = digest_of_pem(objects.decoded(copy)["tls.crt"]), world.names.fqdn(ISSUED)

    async def shown() -> None:
        try:
            found = await world.certificate(fqdn)
        except Refused as error:
            raise Failed(f"{fqdn} does not answer: {error}") from error
        if found != expected:
            raise Failed(f"{fqdn} presents a certificate that is not the one of Secret {HTTP}")

    await eventually(shown, ANSWER_SECONDS)


OWN = "certificates/issued"
PROBES = (
    Probe(
        "certificates/default-issuer",
        "the issuer of the settings is ready",
        "verify-issuer",
        _default,
        after=(CONTROLLER,),
    ),
    Probe(
        OWN,
        "a Space gets its certificate from an issuer of cert-manager",
        "verify-issuer",
        _issued,
        after=(CONTROLLER,),
        seconds=300.0,
    ),
    Probe(
        "certificates/shown", "the edge presents a certificate that was issued", "verify-issuer", _shown, (OWN, EDGE)
    ),
)
