"""Certificates of a Space from cert-manager, for the names for which no Secret is supplied.

The Certificates are in the Space's namespace, and so are the Secrets that cert-manager writes, under the same names. In
the facts of a Space these Secrets take the place of those that its spec does not name, so that listeners, routes and
sidecars treat both alike. A Secret of this name is never copied from decco's namespace.

What was used before stays in use until the issued Secret exists: see ``with_former``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from decco.api.formats import MAX_DNS_NAME
from decco.api.types import IssuerRef, SpaceSpec
from decco.desired import names, reasons
from decco.desired.issuing import Cause
from decco.desired.model import Child, Problem, SpaceFacts, SpaceInputs
from decco.frozen import frozen
from decco.hostnames import canonical, in_zone
from decco.objects import CERTIFICATES, Obj
from decco.settings import Settings
from decco.text import one_line

HTTP, TCP = "decco-issued-http", "decco-issued-tcp"


def with_issuer(space: SpaceFacts, settings: Settings) -> SpaceFacts:
    """The Space with an issued Secret wherever its spec names none, if it has an issuer."""
    issuer = _issuer(space.spec, settings)
    if issuer is None:
        return space
    spec, issued = space.spec, dict[str, tuple[str, ...]]()
    update: dict[str, object] = {}
    if spec.http_cert_secret_name is None:
        update["http_cert_secret_name"] = HTTP
        issued[HTTP] = (space.fqdn,)
    if spec.tcp_cert_and_ca_secret_name is None:
        tcp = _tcp_names(space)
        if tcp:
            update["tcp_cert_and_ca_secret_name"] = TCP
            issued[TCP] = tcp
    further = []
    for each in spec.http_hostnames:
        name = canonical(each.name)
        if each.cert_secret_name is None and not in_zone(name, space.fqdn):
            secret = f"{HTTP}-{names.edge_digest(name)}"
            issued[secret] = (name,)
            each = each.model_copy(update={"cert_secret_name": secret})
        further.append(each)
    update["http_hostnames"] = tuple(further)
    return replace(space, spec=spec.model_copy(update=update), issuer=issuer, issued=issued)


def _issuer(spec: SpaceSpec, settings: Settings) -> IssuerRef | None:
    if spec.certificates is not None:
        return spec.certificates.issuer_ref
    default = settings.certificates
    if default.issuer_name is None:
        return None
    return IssuerRef(name=default.issuer_name, kind=default.issuer_kind, group=default.issuer_group)


def _tcp_names(space: SpaceFacts) -> tuple[str, ...]:
    wildcard = f"*.{space.fqdn}"
    below = [wildcard] if len(wildcard) <= MAX_DNS_NAME else []
    further = sorted({canonical(name) for name in space.spec.hostnames})
    return (*below, *(name for name in further if not in_zone(name, space.fqdn)))


def with_former(space: SpaceFacts, former: Mapping[str, str]) -> SpaceFacts:
    """The Space with other Secrets in the place of issued ones: ``former`` has, for an issued Secret that does not
    exist, the one that is in use.
    """
    if not former:
        return space
    spec = space.spec

    def now(secret: str | None) -> str | None:
        return former.get(secret, secret) if secret is not None else None

    further = tuple(
        each.model_copy(update={"cert_secret_name": now(each.cert_secret_name)}) for each in spec.http_hostnames
    )
    update = {
        "http_cert_secret_name": now(spec.http_cert_secret_name),
        "tcp_cert_and_ca_secret_name": now(spec.tcp_cert_and_ca_secret_name),
        "http_hostnames": further,
    }
    return replace(space, spec=spec.model_copy(update=update))


# -- children ----------------------------------------------------------------------------------------------------------


def issued_children(inputs: SpaceInputs) -> list[Child]:
    """The Certificates for names that the Space holds."""
    space = inputs.space
    if space.issuer is None:
        return []
    children: list[Child] = []
    kind = inputs.served.get(CERTIFICATES)
    for name in sorted(inputs.issued) if kind is not None else ():
        held = [each for each in space.issued[name] if _holds(inputs, each)]
        if kind is not None and held:
            spec = _certificate(space.issuer, name, held)
            children.append(names.child(kind, names.space_meta(space, name), spec=spec))
    return children


def _holds(inputs: SpaceInputs, name: str) -> bool:
    fqdn = inputs.space.fqdn
    return inputs.claims.holds(fqdn if in_zone(name.removeprefix("*."), fqdn) else name)


def _certificate(issuer: IssuerRef, name: str, dns_names: list[str]) -> Obj:
    usages = ["digital signature", "server auth"]
    return {
        "secretName": name,
        "dnsNames": dns_names,
        "issuerRef": {"name": issuer.name, "kind": issuer.kind, "group": issuer.group},
        # Every edge serves this kind of key, see edge_keys.py.
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "usages": [*usages, "client auth"] if name == TCP else usages,
    }


# -- state -------------------------------------------------------------------------------------------------------------


@frozen
class CertificateView:
    """What cert-manager reports of a Certificate."""

    revision: int
    """Counts the certificates that were issued; 0 before the first."""
    ready: bool
    failure: str = ""
    """Why the last attempt failed; "" if it did not."""
    waits: str = ""
    """What it is waiting for, as it reports it."""


def certificate_view(obj: Obj) -> CertificateView:
    status = obj.get("status") or {}
    found = {str(each.get("type")): each for each in status.get("conditions") or ()}
    ready, issuing = found.get("Ready") or {}, found.get("Issuing") or {}
    failed = issuing.get("status") == "False" and issuing.get("reason") not in (None, "Issued")
    revision = status.get("revision")
    return CertificateView(
        revision=revision if isinstance(revision, int) else 0,
        ready=ready.get("status") == "True",
        failure=one_line(issuing.get("message")) if failed else "",
        waits=one_line((issuing if issuing.get("status") == "True" else ready).get("message")),
    )


def issuing_problem(
    space: SpaceFacts, name: str, view: CertificateView | None, cause: Cause, *, served: bool
) -> Problem:
    """Why a certificate that is to be issued does not exist. ``cause`` is what other objects of cert-manager report."""
    assert space.issuer is not None
    issuer = f"{space.issuer.kind} {space.issuer.name}"
    if not served:
        message = (
            f"the certificate {name} is to be issued by {issuer}, and the cluster does not serve Certificate of "
            f"{CERTIFICATES.group}; install cert-manager, or name a Secret with the certificate in the Space"
        )
        return Problem(reasons.CERT_MANAGER_MISSING, message)
    what = f"Certificate {space.name}/{name} for {', '.join(space.issued[name][:3])}"
    failure = cause.text if cause.lasts else view.failure if view is not None else ""
    if failure:
        message = (
            f"{what} is not issued by {issuer}: {failure}; see its status, correct the issuer, or name a Secret "
            "with the certificate in the Space"
        )
        return Problem(reasons.CERTIFICATE_NOT_ISSUED, message)
    waits = cause.text or (view.waits if view is not None else "")
    return Problem(reasons.CERTIFICATE_ISSUING, f"{what} is being issued by {issuer}{waits and ': '}{waits}")
