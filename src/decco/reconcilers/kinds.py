"""Every kind that decco watches, declared once.

Discovery, caches, event handlers, permissions (``decco doctor``, manifests/rbac) and simulations read this table. A new
watched kind is a line here and a handler in ``handlers/``; a kind of a routing dialect is declared in the dialect
(``Dialect.kinds``), because all of them are alike.
"""

from __future__ import annotations

from collections.abc import Callable

from decco.desired.model import Served
from decco.desired.ownership import is_marked_namespace, owner_of_child, owner_of_copy, owner_of_namespace
from decco.desired.routing.dialects import dialects
from decco.desired.runs import job_view
from decco.kube.entry import Shape
from decco.kube.watch import WatchSpec
from decco.objects import (
    ANNOTATION_INITIAL_REPLICAS,
    ANNOTATION_RUN,
    APPS,
    BACKEND_TLS_POLICIES,
    CONFIGMAPS,
    DEPLOYMENTS,
    GATEWAY_CLASSES,
    GATEWAYS,
    HTTP_ROUTES,
    INGRESSES,
    JOBS,
    LABEL_SHARE,
    LIMIT_RANGES,
    LISTENER_SETS,
    MANAGED_SELECTOR,
    NAMESPACES,
    NETWORK_POLICIES,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    SPACES,
    TLS_ROUTES,
    Resource,
)
from decco.reconcilers.caches import Handler, Kind, Role
from decco.reconcilers.facts import app_facts, secret_facts, shared_secret, space_facts
from decco.reconcilers.handlers.app import app_changed
from decco.reconcilers.handlers.child import child_changed
from decco.reconcilers.handlers.gateway import class_changed, edge_changed, own_gateway_changed
from decco.reconcilers.handlers.job import job_changed
from decco.reconcilers.handlers.namespace import isolation_changed
from decco.reconcilers.handlers.secret import copy_changed, source_changed
from decco.reconcilers.handlers.space import space_changed
from decco.settings import RoutingBackend, RoutingSettings, Settings

_PLAIN = Shape(labelled_owner=owner_of_child)
_RECREATED = Shape(labelled_owner=owner_of_child, recreate=True)
_REPLICAS = ("spec", "replicas")
# `kubectl rollout restart` writes here, and so do backup and mesh tools; decco writes nothing here.
_POD_ANNOTATIONS = ("spec", "template", "metadata", "annotations")


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


def _one(kind: Resource, reference: str | None) -> WatchSpec | None:
    if not reference:
        return None
    namespace, _, name = reference.partition("/")
    return WatchSpec(kind, namespace=namespace, fields=f"metadata.name={name}")


# -- which settings need a kind ---------------------------------------------------------------------------------------


def _by_gateway(routing: RoutingSettings) -> bool:
    return routing.backend is RoutingBackend.GATEWAY


def _by_parent_gateway(routing: RoutingSettings) -> bool:
    return _by_gateway(routing) and routing.parent_gateway is not None


def _by_ingress(routing: RoutingSettings) -> bool:
    return routing.backend is RoutingBackend.INGRESS


def _by_dialect(name: str) -> Callable[[RoutingSettings], bool]:
    return lambda routing: _by_ingress(routing) and routing.ingress_dialect == name


# -- the kinds --------------------------------------------------------------------------------------------------------


def child(resource: Resource, shape: Shape = _PLAIN, *more: Handler) -> Kind:
    """A kind that every Kubernetes has and that decco writes."""
    return Kind(resource=resource, shape=shape, select=_written_by_decco, handlers=(child_changed, *more))


def route(
    resource: Resource, needed: Callable[[RoutingSettings], bool], *more: Handler, versions: tuple[str, ...] = ()
) -> Kind:
    """A kind of another project that carries traffic; ``versions`` are accepted besides the resource's own."""
    return Kind(
        resource=resource,
        shape=_PLAIN,
        select=_written_by_decco,
        handlers=(child_changed, *more),
        versions=(resource.version, *versions),
        needed=needed,
        routes=True,
    )


KINDS: tuple[Kind, ...] = (
    Kind(
        resource=SPACES,
        role=Role.OWNER,
        shape=Shape(facts=space_facts, digests=False),
        select=_all,
        handlers=(space_changed,),
    ),
    Kind(
        resource=APPS,
        role=Role.OWNER,
        shape=Shape(facts=app_facts, digests=False),
        select=_all,
        handlers=(app_changed,),
    ),
    Kind(
        resource=SECRETS,
        role=Role.SHARED,
        shape=Shape(facts=shared_secret, digests=False),
        select=_shared,
        handlers=(source_changed,),
    ),
    child(
        NAMESPACES,
        # The API server itself maintains spec.finalizers of a namespace.
        Shape(unmanaged=(("spec",),), labelled_owner=owner_of_namespace, marked=is_marked_namespace),
        isolation_changed,
    ),
    child(
        SECRETS,
        Shape(facts=secret_facts, replace_if=(("type",),), labelled_owner=owner_of_copy, recreate=True),
        copy_changed,
    ),
    child(CONFIGMAPS, _RECREATED),
    child(
        SERVICES,
        # The cluster's networking allocates and may extend these after creation (a second IP family, for example).
        Shape(
            unmanaged=(
                ("spec", "clusterIP"),
                ("spec", "clusterIPs"),
                ("spec", "ipFamilies"),
                ("spec", "ipFamilyPolicy"),
            ),
            labelled_owner=owner_of_child,
        ),
    ),
    child(RESOURCE_QUOTAS, _RECREATED),
    child(LIMIT_RANGES, _RECREATED),
    child(NETWORK_POLICIES, _PLAIN, isolation_changed),
    child(
        DEPLOYMENTS,
        Shape(
            unmanaged=(_REPLICAS, _POD_ANNOTATIONS),
            unmanaged_while=((_REPLICAS, ANNOTATION_INITIAL_REPLICAS),),
            foreground=True,  # its replacement must not run beside its last pods
            labelled_owner=owner_of_child,
            kept_while_deleting=False,  # its controller no longer rolls out changes
        ),
    ),
    child(
        JOBS,
        Shape(
            # A Job's template cannot be changed in place: another run of the user's pod is another Job.
            mutable=(
                ("spec", "backoffLimit"),
                ("spec", "parallelism"),
                ("spec", "suspend"),
                ("spec", "activeDeadlineSeconds"),
                ("spec", "ttlSecondsAfterFinished"),
            ),
            # A cluster's policy may limit Jobs, or have them cleaned up; decco writes none of these today.
            admitted=(
                ("spec", "parallelism"),
                ("spec", "activeDeadlineSeconds"),
                ("spec", "ttlSecondsAfterFinished"),
            ),
            replace_if=(("metadata", "annotations", ANNOTATION_RUN),),
            foreground=True,
            facts=job_view,
            labelled_owner=owner_of_child,
            kept_while_deleting=False,
        ),
        job_changed,
    ),
    Kind(
        resource=INGRESSES,
        shape=_PLAIN,
        select=_written_by_decco,
        handlers=(child_changed,),
        needed=_by_ingress,
        routes=True,
    ),
    route(GATEWAYS, _by_gateway, own_gateway_changed, versions=("v1beta1",)),
    route(LISTENER_SETS, _by_parent_gateway),
    route(HTTP_ROUTES, _by_gateway, versions=("v1beta1",)),
    route(TLS_ROUTES, _by_gateway, versions=("v1alpha3", "v1alpha2")),
    route(BACKEND_TLS_POLICIES, _by_gateway, versions=("v1alpha3",)),
    *(route(kind, _by_dialect(name)) for name, dialect in dialects().items() for kind in dialect.kinds),
    Kind(
        resource=GATEWAYS,
        role=Role.EDGE,
        shape=Shape(facts=lambda obj: obj["spec"].get("gatewayClassName"), digests=False),
        select=_parent_gateway,
        handlers=(edge_changed, class_changed),
        versions=("v1", "v1beta1"),
        needed=_by_gateway,
    ),
    Kind(
        resource=GATEWAY_CLASSES,
        role=Role.EDGE,
        shape=Shape(facts=lambda obj: obj["spec"].get("controllerName"), digests=False),
        select=_all_by_gateway,
        handlers=(class_changed,),
        versions=("v1", "v1beta1"),
        needed=_by_gateway,
    ),
    Kind(
        resource=SERVICES,
        role=Role.EDGE,
        shape=Shape(digests=False),
        select=_edge_service,
        handlers=(edge_changed,),
    ),
)

ALL_SERVED: Served = {kind.resource: kind.resource for kind in KINDS if kind.versions}
"""What is assumed without a cluster: the Gateway API v1.5 and Traefik 3."""


def children(served: Served) -> dict[Resource, Shape]:
    """The kinds that decco writes in a cluster that serves these."""
    return {
        resource: kind.shape
        for kind in KINDS
        if kind.role is Role.CHILD and (resource := kind.in_version(served)) is not None
    }
