"""Secrets: which Spaces may have a copy, and the message if one is not usable. Their content: ``secret_content.py``."""

from __future__ import annotations

from datetime import datetime

from decco.api.types import SpaceSpec
from decco.desired import reasons
from decco.desired.consent import parse_share_with
from decco.desired.edge_keys import edge_keys
from decco.desired.model import Problem, SecretSource, SecretState, SecretView, SpaceFacts, SpaceInputs
from decco.desired.secret_use import NO_USE, SERVER, Use, defects
from decco.objects import (
    ANNOTATION_REPLACE_AT_ONCE,
    ANNOTATION_SHARE_WITH,
    LABEL_SHARE,
    Obj,
    annotations_of,
    labels_of,
)
from decco.settings import Settings

TLS_CRT, TLS_KEY, CA_CRT = "tls.crt", "tls.key", "ca.crt"


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


def named_by_space(spec: SpaceSpec) -> frozenset[str]:
    return frozenset(filter(None, (spec.http_cert_secret_name, spec.tcp_cert_and_ca_secret_name)))


def http_use(space: SpaceFacts, settings: Settings, gateway_controller: str | None) -> Use:
    """Of the Secret with which the edge, and with encryptHttp each pod, serves HTTPS."""
    return Use(frozenset({space.fqdn}), frozenset({SERVER}), edge_keys(settings.routing, gateway_controller))


def space_use(inputs: SpaceInputs, name: str) -> Use:
    """How a Space itself uses a Secret that it names; its Apps report the rest."""
    if name != inputs.space.spec.http_cert_secret_name:
        return NO_USE
    return http_use(inputs.space, inputs.settings, inputs.gateway_controller)


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
