"""Every kind that decco watches, declared once.

Discovery, caches, event handlers, permissions (``decco doctor``, manifests/rbac) and simulations read this table. A new
watched kind is a line here and a handler in ``handlers/``; a kind of a routing dialect is declared in the dialect
(``Dialect.kinds``), because all of them are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from decco import objects
from decco.desired.issued import certificate_view, with_issuer
from decco.desired.job import ADMITTED
from decco.desired.mesh.meshes import mesh_kinds
from decco.desired.model import Served
from decco.desired.outgoing import phase_of
from decco.desired.ownership import is_child, is_marked_namespace, owner_of_child, owner_of_copy, owner_of_namespace
from decco.desired.replicas import LiveReplicas
from decco.desired.routing.dialects import dialects
from decco.desired.routing.envoy_gateway import POLICIES, targeted_gateways
from decco.desired.runs import job_view
from decco.kube.entry import Shape
from decco.kube.watch import WatchSpec
from decco.objects import (
    ANNOTATION_FORMER_REPLICAS,
    ANNOTATION_INITIAL_REPLICAS,
    ANNOTATION_JOB_FIELDS,
    ANNOTATION_POD_ANNOTATIONS,
    ANNOTATION_REPLICAS,
    ANNOTATION_RUN,
    ANNOTATION_SUSPEND,
    LABEL_MONITORING,
    LABEL_SHARE,
    MANAGED_SELECTOR,
    Obj,
    Resource,
)
from decco.reconcilers.caches import Handler, Kind, Role, Select
from decco.reconcilers.facts import (
    app_facts,
    mesh_membership,
    namespace_record,
    secret_facts,
    shared_secret,
    space_facts,
)
from decco.reconcilers.handlers.app import app_changed
from decco.reconcilers.handlers.canary import canary_part_changed, canary_pods_changed, shared_route_changed
from decco.reconcilers.handlers.certificate import certificate_changed
from decco.reconcilers.handlers.child import child_changed
from decco.reconcilers.handlers.gateway import (
    class_changed,
    edge_changed,
    gateway_policy_changed,
    own_gateway_changed,
    own_route_changed,
)
from decco.reconcilers.handlers.job import job_changed
from decco.reconcilers.handlers.mesh import client_changed, member_changed, policy_changed, project_changed
from decco.reconcilers.handlers.namespace import grants_changed, isolation_changed
from decco.reconcilers.handlers.secret import copy_changed, source_changed
from decco.reconcilers.handlers.space import space_changed
from decco.settings import RoutingBackend, RoutingSettings, Settings

MOST_OF_AN_OWNER = 1280 * 1024
"""Bytes of a Space or App as JSON, with its annotations and without its status. etcd takes 1.5 MiB, and a Deployment
made of a larger App would not fit there: so it is not even parsed."""
MOST_OF_A_CHILD = 768 * 1024
"""Bytes of a child but a workload: more than decco writes, also into the copy of a Secret while two authorities count
(``secret_content.MOST_OF_A_SECRET``)."""

Needed = Callable[[RoutingSettings], bool]


# -- which objects of a kind are watched ------------------------------------------------------------------------------


def _all(kind: Resource, _settings: Settings) -> WatchSpec:
    return WatchSpec(kind)


def _written_by_decco(kind: Resource, _settings: Settings) -> WatchSpec:
    return WatchSpec(kind, labels=MANAGED_SELECTOR)


def _shared(kind: Resource, settings: Settings) -> WatchSpec:
    return WatchSpec(kind, namespace=settings.namespace, labels=f"{LABEL_SHARE}=true")


def _all_by_gateway(kind: Resource, settings: Settings) -> WatchSpec | None:
    return WatchSpec(kind) if _by_gateway(settings.routing) else None


def _parent_gateway(kind: Resource, settings: Settings) -> WatchSpec | None:
    return _one(kind, settings.routing.parent_gateway) if _by_gateway(settings.routing) else None


def _edge_service(kind: Resource, settings: Settings) -> WatchSpec | None:
    return _one(kind, settings.edge.service)


def _edge_namespace(kind: Resource, settings: Settings) -> WatchSpec | None:
    name = settings.edge.namespace
    return WatchSpec(kind, fields=f"metadata.name={name}") if name is not None else None


def _monitoring(kind: Resource, _settings: Settings) -> WatchSpec:
    return WatchSpec(kind, labels=f"{LABEL_MONITORING}=true")


def _of_parent_gateway(kind: Resource, settings: Settings) -> WatchSpec | None:
    parent = settings.routing.parent_gateway if _by_gateway(settings.routing) else None
    return WatchSpec(kind, namespace=parent.partition("/")[0]) if parent else None


def _one(kind: Resource, reference: str | None) -> WatchSpec | None:
    namespace, _, name = (reference or "").partition("/")
    return WatchSpec(kind, namespace=namespace, fields=f"metadata.name={name}") if reference else None


# -- which settings need a kind ---------------------------------------------------------------------------------------


def _by_gateway(routing: RoutingSettings) -> bool:
    return routing.backend is RoutingBackend.GATEWAY


def _by_parent_gateway(routing: RoutingSettings) -> bool:
    return _by_gateway(routing) and routing.parent_gateway is not None


def _by_ingress(routing: RoutingSettings) -> bool:
    return routing.backend is RoutingBackend.INGRESS


def _where_served(_routing: RoutingSettings) -> bool:
    return True


def _by_dialect(name: str) -> Needed:
    return lambda routing: _by_ingress(routing) and routing.ingress_dialect == name


# -- the kinds --------------------------------------------------------------------------------------------------------


def read(
    resource: Resource,
    role: Role,
    select: Select,
    *handlers: Handler,
    facts: Callable[[Obj], Any] | None = None,
    completed: Callable[[Any, Settings], Any] | None = None,
    needed: Needed | None = None,
    versions: tuple[str, ...] = (),
    searched: bool = True,
    beside: tuple[Resource, ...] = (),
) -> Kind:
    """A kind that decco reads and does not write, except the status of its own kinds."""
    most = MOST_OF_AN_OWNER if role is Role.OWNER else 0
    shape = Shape(facts=facts, digests=False, most_bytes=most)
    found = Kind(resource, role, shape, select, handlers, versions, completed, searched=searched, needed=needed)
    return replace(found, beside=beside) if beside else found


def child(
    resource: Resource,
    *handlers: Handler,
    shape: Shape | None = None,
    needed: Needed | None = None,
    versions: tuple[str, ...] = (),
    searched: bool = True,
    is_mesh_policy: bool = False,
) -> Kind:
    shape = shape or Shape(labelled_owner=owner_of_child)
    shape = replace(
        shape, short_repair_backoff=is_mesh_policy or resource in (objects.NAMESPACES, objects.NETWORK_POLICIES)
    )
    if resource.namespaced:
        # A workload is as large as its App.
        shape = replace(shape, kept=is_child, most_bytes=0 if resource in objects.WORKLOADS else MOST_OF_A_CHILD)
    handlers = (child_changed, *handlers)
    return Kind(
        resource,
        Role.CHILD,
        shape,
        _written_by_decco,
        handlers,
        versions,
        searched=searched,
        needed=needed,
        is_mesh_policy=is_mesh_policy,
    )


def _spec(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple(("spec", name) for name in names)


_REPLICAS = ("spec", "replicas")
# `kubectl rollout restart` writes here, and so do backup and mesh tools; decco writes nothing here.
_POD_ANNOTATIONS = ("spec", "template", "metadata", "annotations")
_SCALED = Shape(
    facts=LiveReplicas.of,
    unmanaged=(_REPLICAS, _POD_ANNOTATIONS),
    unmanaged_while=((_REPLICAS, ANNOTATION_INITIAL_REPLICAS), (_REPLICAS, ANNOTATION_FORMER_REPLICAS)),
    managed_while=((_REPLICAS, ANNOTATION_REPLICAS),),
    listed=((_POD_ANNOTATIONS, ANNOTATION_POD_ANNOTATIONS),),
    withdrawn=(ANNOTATION_POD_ANNOTATIONS, ANNOTATION_FORMER_REPLICAS),
    foreground=True,  # its replacement must not run beside its last pods
    labelled_owner=owner_of_child,
    kept_while_deleting=False,  # its controller no longer rolls out changes
)
_RECREATED = Shape(labelled_owner=owner_of_child, recreate=True)
_INGRESS = Shape(
    withdrawn=tuple(f"{dialect.prefix}/{name}" for dialect in dialects().values() for name in dialect.optional),
    labelled_owner=owner_of_child,
)

KINDS: tuple[Kind, ...] = (
    read(objects.SPACES, Role.OWNER, _all, project_changed, space_changed, facts=space_facts, completed=with_issuer),
    read(objects.APPS, Role.OWNER, _all, app_changed, facts=app_facts),
    read(objects.SECRETS, Role.SHARED, _shared, source_changed, facts=shared_secret),
    child(
        objects.NAMESPACES,
        isolation_changed,
        grants_changed,
        member_changed,
        shape=Shape(
            facts=namespace_record,
            unmanaged=(("spec",),),  # the API server itself maintains spec.finalizers of a namespace
            labelled_owner=owner_of_namespace,
            marked=is_marked_namespace,
        ),
    ),
    child(
        objects.SECRETS,
        copy_changed,
        # Read by ``copies.py``: a watch would need the permission to read the Secrets of all namespaces.
        shape=Shape(
            facts=secret_facts, replace_if=(("type",),), labelled_owner=owner_of_copy, recreate=True, watched=False
        ),
    ),
    child(objects.CONFIGMAPS, shape=_RECREATED),
    child(
        objects.SERVICES,
        canary_part_changed,
        # The cluster's networking allocates and may extend these after creation (a second IP family, for example).
        shape=Shape(
            unmanaged=_spec("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"),
            # An endpoint may get the name that the headless Service of a StatefulSet had, or the other way round.
            replace_if=_spec("clusterIP"),
            replace_if_left=((("spec", "clusterIP"), "None"),),
            labelled_owner=owner_of_child,
        ),
    ),
    child(objects.RESOURCE_QUOTAS, shape=_RECREATED),
    child(objects.LIMIT_RANGES, shape=_RECREATED),
    child(
        objects.NETWORK_POLICIES,
        isolation_changed,
        policy_changed,
        shape=Shape(facts=phase_of, labelled_owner=owner_of_child),
    ),
    child(objects.DISRUPTION_BUDGETS, shape=_RECREATED),
    child(objects.DEPLOYMENTS, canary_pods_changed, shape=_SCALED),
    child(objects.STATEFUL_SETS, canary_pods_changed, shape=_SCALED),
    child(
        objects.JOBS,
        job_changed,
        shape=Shape(
            # A Job's template cannot be changed in place: another run of the user's pod is another Job.
            # Other fields of an App's ``job`` are those of its next run, as Kubernetes refuses their change.
            mutable=_spec("backoffLimit", "maxFailedIndexes", "suspend", *ADMITTED),
            # A cluster's policy may limit Jobs, or have them cleaned up.
            admitted=_spec(*ADMITTED),
            listed=((("spec",), ANNOTATION_JOB_FIELDS),),
            # Without it and without completions, a write would set completions, which cannot change.
            cleared=((("spec", "parallelism"), 1),),
            withdrawn=(ANNOTATION_JOB_FIELDS, ANNOTATION_POD_ANNOTATIONS, ANNOTATION_SUSPEND),
            replace_if=(("metadata", "annotations", ANNOTATION_RUN),),
            foreground=True,
            facts=job_view,
            labelled_owner=owner_of_child,
            kept_while_deleting=False,
        ),
    ),
    child(objects.INGRESSES, shared_route_changed, shape=_INGRESS, needed=_by_ingress),
    child(objects.GATEWAYS, own_gateway_changed, needed=_by_gateway, versions=("v1", "v1beta1")),
    child(objects.LISTENER_SETS, own_gateway_changed, needed=_by_parent_gateway, versions=("v1",)),
    child(objects.HTTP_ROUTES, own_route_changed, shared_route_changed, needed=_by_gateway, versions=("v1", "v1beta1")),
    child(objects.TLS_ROUTES, needed=_by_gateway, versions=("v1", "v1alpha3", "v1alpha2")),
    child(objects.BACKEND_TLS_POLICIES, canary_part_changed, needed=_by_gateway, versions=("v1", "v1alpha3")),
    child(
        objects.CERTIFICATES,
        certificate_changed,
        shape=Shape(facts=certificate_view, labelled_owner=owner_of_child),
        needed=_where_served,
        versions=("v1",),
        searched=False,
    ),
    *(
        child(kind, policy_changed, needed=_where_served, versions=(kind.version,), searched=False, is_mesh_policy=True)
        for kind in mesh_kinds()
    ),
    *(
        read(objects.NAMESPACES, role, select, client_changed, facts=mesh_membership, beside=mesh_kinds())
        for role, select in ((Role.EDGE, _edge_namespace), (Role.CLIENT, _monitoring))
    ),
    *(child(kind, needed=_by_gateway, versions=("v1alpha1",), searched=False) for kind in POLICIES),
    *(
        read(
            kind,
            Role.EDGE,
            _of_parent_gateway,
            gateway_policy_changed,
            facts=targeted_gateways,
            needed=_by_parent_gateway,
            versions=("v1alpha1",),
            searched=False,
        )
        for kind in POLICIES
    ),
    *(
        child(kind, needed=_by_dialect(name), versions=(kind.version,))
        for name, dialect in dialects().items()
        for kind in dialect.kinds
    ),
    read(
        objects.GATEWAYS,
        Role.EDGE,
        _parent_gateway,
        edge_changed,
        class_changed,
        facts=lambda gateway: gateway["spec"].get("gatewayClassName"),
        needed=_by_gateway,
        versions=("v1", "v1beta1"),
    ),
    read(
        objects.GATEWAY_CLASSES,
        Role.EDGE,
        _all_by_gateway,
        class_changed,
        facts=lambda gateway_class: gateway_class["spec"].get("controllerName"),
        needed=_by_gateway,
        versions=("v1", "v1beta1"),
    ),
    read(objects.SERVICES, Role.EDGE, _edge_service, edge_changed),
)

ALL_SERVED: Served = {kind.resource: kind.resource for kind in KINDS if kind.versions}
"""What is assumed without a cluster: the Gateway API v1.5 and Traefik 3."""


def children(served: Served, kinds: Iterable[Kind] = KINDS) -> dict[Resource, Shape]:
    """The kinds that decco writes in a cluster that serves these."""
    written = [kind for kind in kinds if kind.role is Role.CHILD]
    return {resource: kind.shape for kind in written if (resource := kind.in_version(served)) is not None}
