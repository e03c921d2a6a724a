"""All names that decco gives to objects, and why they do not collide.

Names of Spaces and endpoints are DNS labels: letters, digits and hyphens, at most 63, no dots. An App's name has at
most 63 characters too, since it is the value of a label, but may have dots. From this:

* What a Space has once per kind in its namespace (NetworkPolicy, ResourceQuota, LimitRange, Gateway or ListenerSet,
  ConfigMap) is named ``decco``. An App's NetworkPolicy is ``app-<app>`` and its ConfigMap ``<app>-stunnel``, which are
  never ``decco``, and no two Apps have the same one; the other kinds of that list are not made for Apps or endpoints.
* Routes, and their policies, are named after their endpoint, which is unique in the Space. The Space's own routes and
  policies have a dot in their name (``decco.redirect``), which no endpoint has.
* Deployment, StatefulSet and Job are named after the App; three kinds, so they do not collide.
* Services are named after the endpoint, or ``<endpoint>-cleartext``, or ``<app>-pods`` for a StatefulSet. Service names
  allow no dot, so these can collide: the cleartext Service of ``a`` and the Service of an endpoint ``a-cleartext``.
  ``service_names`` and ``app_services`` return the names that an App takes; these must be unique in the Space.
* Ingress controllers join names of objects with hyphens. Where they do, decco's names have a digest of the owner's UID:
  ``edge_port_name`` and ``edge_digest``.
* Copies of Secrets keep the name of their source; a Secret of that name that is not decco's has precedence.

Names that other clients use can collide. The owner's UID distinguishes such objects: they give the reason ``Conflict``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from decco.api.object_rules import PODS_SUFFIX
from decco.api.types import AppSpec, Endpoint
from decco.api.workload_kinds import WorkloadKind
from decco.desired.model import AppInputs, Child, SpaceFacts
from decco.errors import TerminalError
from decco.hostnames import canonical
from decco.objects import APPS, FIELD_MANAGER, GROUP, LABEL_APP, LABEL_MANAGED_BY, LABEL_SPACE, SPACES, Obj, Resource

SPACE_OBJECT = "decco"
"""Name of every object that a Space has once per kind in its namespace."""
REDIRECT_ROUTE = "decco.redirect"
"""Name of the Space's route from http:// to https://."""
PROBE_ROUTE = "decco.probe"
"""Name of the Space's route that answers probes instead of an App (``answers.py``)."""
LIMITS_POLICY = "decco.limits"
"""Name of the Space's policies at the edge, see ``routing/envoy_gateway.py``."""
ANNOTATION_COPIED_FROM = f"{GROUP}/copied-from"
"""On the copy of a Secret: namespace/name of its source."""

Annotations = Mapping[str, str | None]
"""An annotation with the value None must be absent (see Child)."""

FIRST_POD_PORT = 20000
POD_PORTS = 10000
"""The sidecar listens on 20000-29999: below node ports (30000) and Linux' ephemeral ports (32768)."""


def endpoint_hostname(endpoint: str, hostname: str | None, fqdn: str) -> str:
    """The host name of a TCP endpoint: its own, or the one below the Space's FQDN."""
    return canonical(hostname) if hostname else f"{endpoint}.{fqdn}"


def app_policy(app: str) -> str:
    return f"app-{app}"


def stunnel_config(app: str) -> str:
    """The ConfigMap of an App's TLS sidecar."""
    return f"{app}-stunnel"


def cleartext_service(endpoint: str) -> str:
    """The second Service of an endpoint, straight to the container; at most 63 long if the endpoint is at most 53."""
    return f"{endpoint}-cleartext"


def service_names(endpoint: Endpoint) -> tuple[str, ...]:
    """The Services that an endpoint makes; no other endpoint of the Space may make one of the same name."""
    if endpoint.create_clear_text_service:
        return endpoint.name, cleartext_service(endpoint.name)
    return (endpoint.name,)


def pods_service(app: str) -> str:
    """The headless Service that governs an App's StatefulSet: its pods are <pod>.<this>.<namespace>.svc."""
    return app + PODS_SUFFIX


def app_services(app: str, spec: AppSpec, endpoints: Iterable[Endpoint]) -> set[str]:
    """All Services that an App makes."""
    found = {service for endpoint in endpoints for service in service_names(endpoint)}
    return found | {pods_service(app)} if spec.workload_kind is WorkloadKind.STATEFUL_SET else found


def listener_port_name(listener: str) -> str:
    """Name of a TLS listener's container port: at most 15 characters, as a port name must be.

    Services target this name and not the number, so that they fit the old and the new pods of a rollout alike.
    """
    return f"tls-{_hash(listener):016x}"[:15]


def edge_port_name(protocol: str, owner_uid: str, endpoint: str) -> str:
    """Name of a Service's port that an ingress controller makes part of a name of its own: ``<protocol>-<digest>``,
    exactly 15 characters, which a port name may have.

    See ``edge_digest``. Names whose last part has eight or more hexadecimal digits are decco's: the policy
    tenant-services refuses them to tenants.
    """
    return f"{protocol}-{edge_digest(owner_uid, endpoint)}"[:15]


def edge_digest(owner_uid: str, *parts: str) -> str:
    """Hexadecimal digits for names that ingress controllers join with the namespace by hyphens, so that
    ``<namespace>-<name>`` of Space ``a`` with ``b-c`` and of Space ``a-b`` with ``c`` would be one.

    The owner's UID is chosen by the API server and known only to those who may read the owner's namespace: nobody can
    make an object on purpose whose name has the same digest.
    """
    return hashlib.sha256("/".join((owner_uid, *parts)).encode()).hexdigest()[:16]


def pod_ports(listeners: Iterable[str], reserved: Collection[int]) -> dict[str, int]:
    """Ports for TLS listeners in a pod, by listener name (an endpoint's name), in the order given.

    A port is derived from the name alone, so adding, removing or reordering listeners does not move the others. Only if
    two names collide (each pair 1 in 10,000), or a name collides with a port in ``reserved`` (ports of the pod's own
    containers), the later one takes the next free port. Raises TerminalError if there is none.
    """
    ports: dict[str, int] = {}
    used = set(reserved)
    free = POD_PORTS - sum(FIRST_POD_PORT <= port < FIRST_POD_PORT + POD_PORTS for port in used)
    for name in dict.fromkeys(listeners):
        if len(ports) == free:
            raise TerminalError(
                f"the pod's containers leave the TLS sidecar no port from {FIRST_POD_PORT} to "
                f"{FIRST_POD_PORT + POD_PORTS - 1}; let them declare fewer ports, or split the App"
            )
        offset = _hash(name) % POD_PORTS
        while FIRST_POD_PORT + offset in used:
            offset = (offset + 1) % POD_PORTS
        ports[name] = FIRST_POD_PORT + offset
        used.add(FIRST_POD_PORT + offset)
    return ports


def _hash(text: str) -> int:
    """64 bits that are the same in every process and version; Python's own hash() is not."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def pod_selector(app: str) -> dict[str, str]:
    """The labels that select an App's pods; they never change, because a Deployment's selector cannot."""
    return {LABEL_APP: app}


def child_labels(space: str, app: str | None = None) -> dict[str, str]:
    labels = {LABEL_MANAGED_BY: FIELD_MANAGER, LABEL_SPACE: space}
    if app is not None:
        labels[LABEL_APP] = app
    return labels


def child_meta(
    name: str,
    *,
    uid: str,
    space: str,
    app: str | None = None,
    namespaced: bool = True,
    labels: Annotations | None = None,
    annotations: Annotations | None = None,
) -> Obj:
    """metadata of a child: of the App ``app`` of ``space`` if given, else of the Space itself; ``uid`` is that owner's.

    ``labels`` and ``annotations`` are added; None among their values means that the key must be absent (see Child).
    """
    meta: Obj = {"name": name}
    if namespaced:
        meta["namespace"] = space
    meta["labels"] = {**(labels or {}), **child_labels(space, app)}
    if annotations:
        meta["annotations"] = dict(annotations)
    meta["ownerReferences"] = [owner_reference(SPACES, space, uid) if app is None else owner_reference(APPS, app, uid)]
    return meta


def space_meta(space: SpaceFacts, name: str = SPACE_OBJECT, annotations: Annotations | None = None) -> Obj:
    """metadata of a child of a Space in the Space's namespace."""
    return child_meta(name, uid=space.uid, space=space.name, annotations=annotations)


def app_meta(inputs: AppInputs, name: str, annotations: Annotations | None = None) -> Obj:
    return child_meta(name, uid=inputs.uid, space=inputs.space.name, app=inputs.name, annotations=annotations)


def owner_reference(resource: Resource, name: str, uid: str) -> Obj:
    """A controller's reference; blockOwnerDeletion makes a foreground deletion of the owner wait for the child."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def child(resource: Resource, meta: Obj, **body: Any) -> Child:
    """A child with its apiVersion and kind filled in; ``body`` is what follows the metadata."""
    return Child(resource, {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, **body})
