"""Every kind that decco writes, and its unmanaged fields."""

from __future__ import annotations

from decco.desired.model import Served
from decco.desired.ownership import is_marked_namespace, owner_of_child, owner_of_copy, owner_of_namespace
from decco.desired.runs import job_view
from decco.kube.entry import Shape
from decco.objects import (
    ANNOTATION_INITIAL_REPLICAS,
    ANNOTATION_RUN,
    CONFIGMAPS,
    DEPLOYMENTS,
    INGRESSES,
    JOBS,
    LIMIT_RANGES,
    NAMESPACES,
    NETWORK_POLICIES,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    Resource,
)
from decco.reconcilers.facts import secret_facts

_REPLICAS = ("spec", "replicas")
# `kubectl rollout restart` writes here, and so do backup and mesh tools; decco writes nothing here.
_POD_ANNOTATIONS = ("spec", "template", "metadata", "annotations")

CHILDREN: dict[Resource, Shape] = {
    # The API server itself maintains spec.finalizers of a namespace.
    NAMESPACES: Shape(unmanaged=(("spec",),), labelled_owner=owner_of_namespace, marked=is_marked_namespace),
    SECRETS: Shape(facts=secret_facts, replace_if=(("type",),), labelled_owner=owner_of_copy, recreate=True),
    CONFIGMAPS: Shape(labelled_owner=owner_of_child, recreate=True),
    # The cluster's networking allocates and may extend these after creation (a second IP family, for example).
    SERVICES: Shape(
        unmanaged=(
            ("spec", "clusterIP"),
            ("spec", "clusterIPs"),
            ("spec", "ipFamilies"),
            ("spec", "ipFamilyPolicy"),
        ),
        labelled_owner=owner_of_child,
    ),
    RESOURCE_QUOTAS: Shape(labelled_owner=owner_of_child, recreate=True),
    LIMIT_RANGES: Shape(labelled_owner=owner_of_child, recreate=True),
    NETWORK_POLICIES: Shape(labelled_owner=owner_of_child),
    DEPLOYMENTS: Shape(
        unmanaged=(_REPLICAS, _POD_ANNOTATIONS),
        unmanaged_while=((_REPLICAS, ANNOTATION_INITIAL_REPLICAS),),
        # Its replacement must not run beside its last pods.
        foreground=True,
        labelled_owner=owner_of_child,
        kept_while_deleting=False,  # its controller no longer rolls out changes
    ),
    JOBS: Shape(
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
    INGRESSES: Shape(labelled_owner=owner_of_child),
}


def routing_kinds(served: Served) -> frozenset[Resource]:
    """The kinds that carry traffic from the edge to the Spaces, of all backends."""
    return frozenset({INGRESSES, *optional_children(served)})


def optional_children(served: Served) -> dict[Resource, Shape]:
    """The kinds of other projects (Gateway API, Traefik) that this cluster serves."""
    kinds = (
        served.gateway,
        served.listener_set,
        served.http_route,
        served.tls_route,
        served.backend_tls_policy,
        served.ingress_route_tcp,
        served.middleware,
        served.servers_transport,
        served.tls_option,
    )
    return {kind: Shape(labelled_owner=owner_of_child) for kind in kinds if kind is not None}
