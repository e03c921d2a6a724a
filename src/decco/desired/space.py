"""The children of a Space, in the order of writing: namespace, limits, copies of Secrets, NetworkPolicy, listeners.

Apps are reconciled once the policy exists. So the objects that Apps need come before the policy, and the objects that
make something reachable after it. The policies of a mesh come before the NetworkPolicy, which permits its probes.
"""

from __future__ import annotations

from decco.api.egress import EgressPolicy
from decco.api.reserved_names import is_reserved
from decco.desired import names, reasons
from decco.desired.grants import transfers_text
from decco.desired.http_names import names_with_record
from decco.desired.isolation import isolation_level, sandboxes_text
from decco.desired.issued import issued_children
from decco.desired.mesh.meshes import meshes
from decco.desired.mesh_state import MeshPhase
from decco.desired.model import Child, Problem, SecretCopy, SpaceFacts, SpaceInputs
from decco.desired.network import space_policy
from decco.desired.routing import space_routing
from decco.desired.solvers import solver_policy
from decco.objects import (
    ANNOTATION_CA_CHANGED,
    ANNOTATION_EGRESS_POLICY,
    ANNOTATION_FQDN,
    ANNOTATION_HOSTNAMES,
    ANNOTATION_MESH,
    ANNOTATION_RESTORED,
    ANNOTATION_SANDBOXES,
    ANNOTATION_TRANSFERRED,
    LABEL_ISOLATION,
    LABEL_PROJECT,
    LIMIT_RANGES,
    NAMESPACES,
    RESOURCE_QUOTAS,
    ROLE_BINDINGS,
    SECRETS,
)
from decco.settings import Settings

LABEL_POD_SECURITY = "pod-security.kubernetes.io/enforce"
LABEL_POD_SECURITY_VERSION = "pod-security.kubernetes.io/enforce-version"


def space_children(inputs: SpaceInputs) -> list[Child]:
    """All objects that must exist for a Space, in the order of writing."""
    space, mesh = inputs.space, meshes()[inputs.mesh.name] if inputs.mesh.name else None
    # Quota and limits as in the spec; the API server validates them.
    limits = ((RESOURCE_QUOTAS, space.spec.resource_quota), (LIMIT_RANGES, space.spec.limit_range))
    return [
        namespace_child(inputs),
        *(names.child(kind, names.space_meta(space), spec=spec) for kind, spec in limits if spec is not None),
        *(copy_child(space, inputs.settings.namespace, copy) for _, copy in sorted(inputs.copies.items())),
        *(mesh.space(inputs) if mesh is not None else ()),
        space_policy(space, inputs.namespace_uid, inputs.egress, inputs.settings, inputs.mesh),
        *solver_policy(space, inputs.settings.edge, mesh.tunnel_port if mesh is not None else None),
        *issued_children(inputs),
        *space_routing(inputs),
    ]


def namespace_child(inputs: SpaceInputs) -> Child:
    """The Space's namespace, with the record of its grants."""
    space = inputs.space
    labels = {
        LABEL_PROJECT: space.spec.project,
        LABEL_POD_SECURITY: space.spec.pod_security.value,
        # Set, so that the namespace cannot have an older and weaker version. The modes warn and audit refuse nothing;
        # they are left to the cluster's operators.
        LABEL_POD_SECURITY_VERSION: "latest",
        **_mesh_labels(inputs),
    }
    # Policies against the use of other tenants' host names read this annotation, so it has only what the Space owns.
    annotations = {
        ANNOTATION_FQDN: space.fqdn if inputs.claims.owns(space.fqdn) else None,
        ANNOTATION_HOSTNAMES: inputs.record or None,
        ANNOTATION_TRANSFERRED: transfers_text(inputs.transferred) or None,
    }
    declared = space.spec.egress_policy is EgressPolicy.DECLARED
    annotations |= _noted(inputs, ANNOTATION_EGRESS_POLICY, EgressPolicy.DECLARED.value if declared else None)
    annotations |= _noted(inputs, ANNOTATION_SANDBOXES, sandboxes_text(space.spec, inputs.settings))
    labels |= _noted(inputs, LABEL_ISOLATION, isolation_level(space.spec))
    record = inputs.mesh_record.text if inputs.mesh_record is not None else None
    annotations |= _noted(inputs, ANNOTATION_MESH, record)
    annotations |= _noted(inputs, ANNOTATION_RESTORED, inputs.restored or None)
    meta = names.child_meta(
        space.name, uid=space.uid, space=space.name, namespaced=False, labels=labels, annotations=annotations
    )
    return names.child(NAMESPACES, meta)


def _mesh_labels(inputs: SpaceInputs) -> dict[str, str | None]:
    """The labels of all meshes. That of a mesh whose kinds are not served has no effect, and stays as it is."""
    record, wanted = inputs.mesh_record, inputs.space.spec.mesh.value
    inside = record.mesh if record is not None else wanted
    if record is not None and record.phase is MeshPhase.PREPARED:
        inside = ""
    return {mesh.label[0]: mesh.label[1] if name == inside else None for name, mesh in meshes().items()}


NOTES = frozenset(
    {ANNOTATION_EGRESS_POLICY, ANNOTATION_MESH, ANNOTATION_RESTORED, ANNOTATION_SANDBOXES, LABEL_ISOLATION}
)
"""Labels and annotations of namespaces for ``SpaceInputs.noted``."""


def _noted(inputs: SpaceInputs, key: str, value: str | None) -> dict[str, str | None]:
    """A label or annotation that is absent from most namespaces."""
    return {key: value} if value is not None or key in inputs.noted else {}


def copy_child(space: SpaceFacts, controller_namespace: str, copy: SecretCopy) -> Child:
    """The copy of a Secret of the controller's namespace, in the Space's namespace."""
    annotations = {names.ANNOTATION_COPIED_FROM: f"{controller_namespace}/{copy.name}"}
    if copy.ca_changed:
        annotations[ANNOTATION_CA_CHANGED] = copy.ca_changed
    meta = names.space_meta(space, copy.name, annotations)
    return names.child(SECRETS, meta, type=copy.type, data=dict(copy.data))


SECRETS_ROLE = "decco-controller-secrets"
"""The ClusterRole that lets the controller read and write Secrets where it is bound, and the name of the binding."""
_SERVICE_ACCOUNT = "system:serviceaccount:"


def secrets_binding(space: SpaceFacts, user: str) -> Child:
    """Lets decco, which is ``user``, read and write the Secrets of the Space's namespace."""
    group = ROLE_BINDINGS.group
    subject = {"kind": "User", "name": user, "apiGroup": group}
    if user.startswith(_SERVICE_ACCOUNT):
        namespace, _, name = user.removeprefix(_SERVICE_ACCOUNT).partition(":")
        subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return names.child(
        ROLE_BINDINGS,
        names.space_meta(space, SECRETS_ROLE),
        roleRef={"apiGroup": group, "kind": "ClusterRole", "name": SECRETS_ROLE},
        subjects=[subject],
    )


def space_names(inputs: SpaceInputs) -> tuple[str, ...]:
    """The desired DNS names."""
    return names_with_record(inputs.space, inputs.claims)


def reserved_name(space: str, settings: Settings) -> Problem | None:
    """Why a Space should not have this name, or None; an existing namespace stays.

    Admission refuses most of these names at creation. It cannot read the settings, and some Spaces are older than its
    rule.
    """
    taken = {
        "namespace, decco's own": settings.namespace,
        "edge.namespace": settings.edge.namespace,
        "edge.service": (settings.edge.service or "").partition("/")[0],
        "routing.parentGateway": (settings.routing.parent_gateway or "").partition("/")[0],
    }
    owner = next((setting for setting, name in taken.items() if name == space), None)
    if owner is not None:
        why = f"is the namespace of the setting {owner}"
    elif is_reserved(space):
        why = "is a top-level domain, a word of cluster DNS, or a system namespace's name"
    else:
        return None
    message = f"the name {space} {why}: a Space of this name gets no namespace; create it under another name"
    return Problem(reasons.NAME_RESERVED, message)
