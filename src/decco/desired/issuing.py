"""Why a certificate is not issued: cert-manager reports it at the issuer, the challenges and the request, and hardly
anything of it at the Certificate.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from decco.api.conditions import condition_of
from decco.api.types import IssuerRef
from decco.frozen import frozen
from decco.objects import Obj, Resource, annotations_of
from decco.text import one_line

CERT_MANAGER, ACME = "cert-manager.io", "acme.cert-manager.io"
REQUESTS = Resource(CERT_MANAGER, "v1", "certificaterequests", "CertificateRequest")
CHALLENGES = Resource(ACME, "v1", "challenges", "Challenge")
ISSUERS = {
    "Issuer": Resource(CERT_MANAGER, "v1", "issuers", "Issuer"),
    "ClusterIssuer": Resource(CERT_MANAGER, "v1", "clusterissuers", "ClusterIssuer", namespaced=False),
}
"""By kind; issuers of other groups report to the request."""
MOST_CHALLENGES = 2
"""Of those that fail, in one message."""
_CERTIFICATE_NAME = "cert-manager.io/certificate-name"
_FROM = re.compile(r"(?:[\d.]+|\[[\da-f:.]+\]):\d+->")
"""The client's side of a connection in an error of Go: another port at each attempt."""


@frozen
class Cause:
    """``lasts``: it does not end without a change of the issuer."""

    text: str = ""
    lasts: bool = False


UNKNOWN = Cause()


def issuer_resource(issuer: IssuerRef) -> Resource | None:
    return ISSUERS.get(issuer.kind) if issuer.group == CERT_MANAGER else None


def cause_at_issuer(issuer: IssuerRef, live: Obj | None) -> Cause:
    """``live`` is the issuer; None: there is none."""
    if live is None:
        return Cause(f"{issuer.kind} {issuer.name} does not exist", lasts=True)
    ready = condition_of(live, "Ready")
    if ready.get("status") == "False":
        return Cause(f"{issuer.kind} {issuer.name} is not ready: {_text(ready.get('message'))}", lasts=True)
    return UNKNOWN


def cause_at_challenges(challenges: Iterable[Obj], dns_names: Iterable[str]) -> Cause:
    names = {name.removeprefix("*.") for name in dns_names}
    found = set()
    for each in challenges:
        spec, status = each.get("spec") or {}, each.get("status") or {}
        if spec.get("dnsName") in names and status.get("state") != "valid" and status.get("reason"):
            found.add(f"{_text(spec.get('type'))} challenge for {spec['dnsName']}: {_text(status['reason'])}")
    return Cause("; ".join(sorted(found)[:MOST_CHALLENGES]))


def cause_at_requests(requests: Iterable[Obj], certificate: str) -> Cause:
    """What the latest request of a Certificate waits for."""
    own = [each for each in requests if annotations_of(each).get(_CERTIFICATE_NAME) == certificate]
    if not own:
        return UNKNOWN
    latest = max(own, key=lambda each: str(each["metadata"].get("creationTimestamp", "")))
    ready = condition_of(latest, "Ready")
    return Cause(_text(ready.get("message"))) if ready.get("status") == "False" else UNKNOWN


def _text(text: object) -> str:
    """On one line, and the same at each attempt that fails for the same cause."""
    return _FROM.sub("", one_line(text))
