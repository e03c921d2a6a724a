"""Secrets: which Spaces may have a copy, and the message if one is not usable. Their content: ``secret_content.py``."""

from __future__ import annotations

from datetime import datetime

from decco.api.types import SpaceSpec
from decco.desired import reasons
from decco.desired.consent import parse_share_with
from decco.desired.http_names import further_names
from decco.desired.model import Problem, SecretSource, SecretState, SecretView, SpaceFacts, SpaceInputs
from decco.desired.routing.edge import edge_keys
from decco.desired.secret_use import ANY_CONTENT, NO_USE, SERVER, Use, defects
from decco.objects import (
    ANNOTATION_REPLACE_AT_ONCE,
    ANNOTATION_SHARE_WITH,
    LABEL_SHARE,
    Obj,
    annotations_of,
    labels_of,
)
from decco.settings import Settings

TLS_CRT, TLS_KEY, CA_CRT, CA_CRL = "tls.crt", "tls.key", "ca.crt", "ca.crl"

_NEVER_COPIED = {
    "kubernetes.io/service-account-token": "a token of one service account, which Kubernetes accepts nowhere else",
    "bootstrap.kubernetes.io/token": "a token that lets a node join the cluster",
    "helm.sh/release.v1": "the record of a Helm release with all its values",
}
"""By type: what they are. None of them can be meant, and the first two are powers over the cluster."""


def source_from(obj: Obj) -> SecretSource:
    """A Secret of decco's own namespace. Without the label share=true it is not shared."""
    shared = labels_of(obj).get(LABEL_SHARE) == "true"
    return SecretSource(
        name=obj["metadata"]["name"],
        type=obj.get("type") or "Opaque",
        data=obj.get("data") or {},
        shared_with=parse_share_with(annotations_of(obj).get(ANNOTATION_SHARE_WITH)) if shared else frozenset(),
        created=obj["metadata"].get("creationTimestamp", ""),
        replace_at_once=annotations_of(obj).get(ANNOTATION_REPLACE_AT_ONCE) == "true",
    )


def certificates_of(spec: SpaceSpec) -> frozenset[str]:
    """The Secrets that a Space names as certificates."""
    further = (each.cert_secret_name for each in spec.http_hostnames)
    return frozenset(filter(None, (spec.http_cert_secret_name, spec.tcp_cert_and_ca_secret_name, *further)))


def named_by_space(spec: SpaceSpec) -> frozenset[str]:
    return certificates_of(spec) | frozenset(spec.secrets)


def refusal_of(secret_type: str) -> Problem | None:
    """Why decco copies no Secret of this type, whoever shares it; None for all others."""
    what = _NEVER_COPIED.get(secret_type)
    if what is None:
        return None
    message = (
        f"it is of type {secret_type}, {what}, so decco does not copy it; create "
        "a Secret of another type with what the Space needs of it"
    )
    return Problem(reasons.SECRET_REFUSED, message)


def http_use(space: SpaceFacts, name: str, settings: Settings, gateway_controller: str | None) -> Use:
    """Of a Secret with which the edge, and with encryptHttp each pod, serves HTTPS; NO_USE for another Secret."""
    names = {further for further, secret in further_names(space).items() if secret == name}
    if name == space.spec.http_cert_secret_name:
        names.add(space.fqdn)
    if not names:
        return NO_USE
    return Use(frozenset(names), frozenset({SERVER}), edge_keys(settings.routing, gateway_controller))


def space_use(inputs: SpaceInputs, name: str) -> Use:
    """How a Space itself uses a Secret that it needs; its Apps report the rest."""
    others = (*inputs.space.spec.secrets, *inputs.settings.sidecar.image_pull_secrets)
    if name in others and name not in certificates_of(inputs.space.spec):
        return ANY_CONTENT
    use = Use(verifies=True) if name == inputs.space.spec.tcp_cert_and_ca_secret_name else NO_USE
    return use | http_use(inputs.space, name, inputs.settings, inputs.gateway_controller)


def problem_of(
    view: SecretView,
    *,
    space: str,
    fqdn: str,
    controller_namespace: str,
    now: datetime,
    local: bool = False,
    use: Use = NO_USE,
) -> Problem | None:
    """Why a referenced Secret is not usable now for this use, or None.

    ``local``: whether a Secret of the Space's namespace is accepted too, which is so for those that an App names.
    """
    name, source = view.name, f"{controller_namespace}/{view.name}"
    pending = Problem(reasons.SECRET_PENDING, f"Secret {name} is being copied into the Space's namespace")
    match view.state:
        case SecretState.MISSING:
            # The same for one that exists and is not shared with this Space: its tenants may not learn of it.
            here = f", and there is none in namespace {space}" if local else ""
            message = (
                f"no Secret {source} is shared with this Space{here}; create it with the label {LABEL_SHARE}=true and "
                f"{fqdn} in the annotation {ANNOTATION_SHARE_WITH}, or name another"
            )
            return Problem(reasons.SECRET_MISSING, message)
        case SecretState.ISSUING:
            message = f"Certificate {space}/{name} is not issued yet; see the condition CertificatesReady of the Space"
            return Problem(reasons.CERTIFICATE_ISSUING, message)
        case SecretState.DELETED:
            message = (
                f"Secret {source} was deleted; its copy in namespace {space} is removed in a moment unless the Secret "
                "is created again"
            )
            return Problem(reasons.SECRET_DELETED, message)
        case SecretState.TAKEN:
            message = (
                f"Secret {space}/{name} exists and is not decco's copy of {source}, which cannot be written; delete "
                "it, or rename one of the two"
            )
            return Problem(reasons.CONFLICT, message)
    for facts in (view.source, view.facts):
        found = defects(facts, use, now) if facts is not None else {}
        if found:
            problem = reasons.combine(found.values())
            assert problem is not None
            kept = "; its last good copy stays in use" if facts is view.source else ""
            return Problem(problem.reason, f"Secret {name}: {problem.message}{kept}")
    return pending if view.facts is None or view.state is SecretState.PENDING else None
