"""The children of a Space, in the order of writing: namespace, limits, copies of Secrets, NetworkPolicy, listeners.

Apps are reconciled once the policy exists. So the objects that Apps need come before the policy, and the objects that
make something reachable after it. The policies of a mesh (PeerAuthentication, AuthorizationPolicy) will be added here.
"""

from __future__ import annotations

from decco.api.types import Mesh
from decco.desired import names
from decco.desired.model import Child, SecretCopy, SpaceFacts, SpaceInputs
from decco.desired.network import space_policy
from decco.desired.routing import space_routing
from decco.objects import (
    ANNOTATION_CA_CHANGED,
    ANNOTATION_FQDN,
    LABEL_PROJECT,
    LIMIT_RANGES,
    NAMESPACES,
    RESOURCE_QUOTAS,
    SECRETS,
)

LABEL_POD_SECURITY = "pod-security.kubernetes.io/enforce"
LABEL_POD_SECURITY_VERSION = "pod-security.kubernetes.io/enforce-version"
LABEL_ISTIO_MODE = "istio.io/dataplane-mode"


def space_children(inputs: SpaceInputs) -> list[Child]:
    """All objects that must exist for a Space, in the order of writing."""
    space = inputs.space
    return [
        _namespace(inputs),
        *_limits(space),
        *(copy_child(space, inputs.settings.namespace, copy) for _, copy in sorted(inputs.copies.items())),
        space_policy(space, inputs.namespace_uid),
        *space_routing(inputs),
    ]


def _namespace(inputs: SpaceInputs) -> Child:
    space = inputs.space
    labels = {
        LABEL_PROJECT: space.spec.project,
        LABEL_POD_SECURITY: space.spec.pod_security.value,
        # Set, so that the namespace cannot have an older and weaker version. The modes warn and audit refuse nothing;
        # they are left to the cluster's operators.
        LABEL_POD_SECURITY_VERSION: "latest",
        LABEL_ISTIO_MODE: "ambient" if space.spec.mesh is Mesh.ISTIO else None,
    }
    # Policies against the use of other tenants' host names read this annotation, so it has only what the Space owns.
    annotations = {ANNOTATION_FQDN: space.fqdn if inputs.claims.holds(space.fqdn) else None}
    meta = names.child_meta(
        space.name, uid=space.uid, space=space.name, namespaced=False, labels=labels, annotations=annotations
    )
    return names.child(NAMESPACES, meta)


def _limits(space: SpaceFacts) -> list[Child]:
    """Quota and limits as in the spec; the API server validates them."""
    wanted = ((RESOURCE_QUOTAS, space.spec.resource_quota), (LIMIT_RANGES, space.spec.limit_range))
    return [
        names.child(resource, names.child_meta(names.SPACE_OBJECT, uid=space.uid, space=space.name), spec=spec)
        for resource, spec in wanted
        if spec is not None
    ]


def copy_child(space: SpaceFacts, controller_namespace: str, copy: SecretCopy) -> Child:
    """The copy of a Secret of the controller's namespace, in the Space's namespace."""
    annotations = {names.ANNOTATION_COPIED_FROM: f"{controller_namespace}/{copy.name}"}
    if copy.ca_changed:
        annotations[ANNOTATION_CA_CHANGED] = copy.ca_changed
    meta = names.child_meta(copy.name, uid=space.uid, space=space.name, annotations=annotations)
    return names.child(SECRETS, meta, type=copy.type, data=dict(copy.data))
