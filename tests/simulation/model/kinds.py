"""The kinds that the model serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]

_GATEWAY = "gateway.networking.k8s.io"
ENVOY_GATEWAY, CERT_MANAGER, ISTIO = "gateway.envoyproxy.io", "cert-manager.io", "security.istio.io"


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """``status``: whether there is a status subresource; ``generation``: whether the server counts generations;
    ``answers``: objects are answered and not stored. Each kind is one object.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    status: bool = False
    generation: bool = False
    answers: bool = False

    def __hash__(self) -> int:
        return hash(self.plural)  # not its address, so that the order of sets does not differ from run to run

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def conditional(self) -> bool:
        """Whether an update needs a resourceVersion: of custom resources."""
        return self.group in ("decco.platform9.com", _GATEWAY, ENVOY_GATEWAY, CERT_MANAGER, ISTIO)

    @property
    def resource(self) -> str:
        """As messages of the API server name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


KINDS = (
    Kind("decco.platform9.com", "v1beta2", "spaces", "Space", namespaced=False, status=True, generation=True),
    Kind("decco.platform9.com", "v1beta2", "apps", "App", status=True, generation=True),
    Kind("", "v1", "namespaces", "Namespace", namespaced=False, status=True),
    Kind("", "v1", "secrets", "Secret"),
    Kind("", "v1", "configmaps", "ConfigMap"),
    Kind("", "v1", "services", "Service", status=True),
    Kind("", "v1", "resourcequotas", "ResourceQuota", status=True),
    Kind("", "v1", "limitranges", "LimitRange"),
    Kind("apps", "v1", "deployments", "Deployment", status=True, generation=True),
    Kind("apps", "v1", "statefulsets", "StatefulSet", status=True, generation=True),
    Kind("batch", "v1", "jobs", "Job", status=True, generation=True),
    Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", status=True, generation=True),
    Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", generation=True),
    Kind("networking.k8s.io", "v1", "ingresses", "Ingress", status=True, generation=True),
    Kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    Kind("coordination.k8s.io", "v1", "leases", "Lease"),
    Kind("events.k8s.io", "v1", "events", "Event"),
    Kind("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False, answers=True),
    Kind(
        "authorization.k8s.io",
        "v1",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        namespaced=False,
        answers=True,
    ),
    Kind(_GATEWAY, "v1", "gatewayclasses", "GatewayClass", namespaced=False, status=True, generation=True),
    Kind(_GATEWAY, "v1", "gateways", "Gateway", status=True, generation=True),
    Kind(_GATEWAY, "v1", "listenersets", "ListenerSet", status=True, generation=True),
    Kind(_GATEWAY, "v1", "httproutes", "HTTPRoute", status=True, generation=True),
    Kind(_GATEWAY, "v1", "tlsroutes", "TLSRoute", status=True, generation=True),
    Kind(_GATEWAY, "v1", "backendtlspolicies", "BackendTLSPolicy", status=True, generation=True),
    Kind(ENVOY_GATEWAY, "v1alpha1", "securitypolicies", "SecurityPolicy", status=True, generation=True),
    Kind(ENVOY_GATEWAY, "v1alpha1", "backendtrafficpolicies", "BackendTrafficPolicy", status=True, generation=True),
    Kind(ENVOY_GATEWAY, "v1alpha1", "clienttrafficpolicies", "ClientTrafficPolicy", status=True, generation=True),
    Kind(CERT_MANAGER, "v1", "certificates", "Certificate", status=True, generation=True),
    Kind(ISTIO, "v1", "authorizationpolicies", "AuthorizationPolicy", status=True, generation=True),
    Kind(ISTIO, "v1", "peerauthentications", "PeerAuthentication", status=True, generation=True),
)

BY_PLURAL = {(kind.group, kind.plural): kind for kind in KINDS}
BY_NAME = {kind.kind: kind for kind in KINDS}
