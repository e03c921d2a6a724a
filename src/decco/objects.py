"""Kubernetes objects as plain dicts: addresses, keys, and the fields that every object has.

decco keeps Kubernetes' own objects as the JSON they arrive as. Only its two own kinds have models (``decco.api``);
everything else is a dict, and this file contains the few definitions that all packages need for them.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, NamedTuple

from decco.frozen import frozen

Obj = dict[str, Any]
"""One Kubernetes object (or a part of one) as decoded JSON."""

GROUP = "decco.platform9.com"
VERSION = "v1beta2"
API_VERSION = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "decco"

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_SPACE = f"{GROUP}/space"
LABEL_APP = f"{GROUP}/app"
LABEL_PROJECT = f"{GROUP}/project"
LABEL_MONITORING = f"{GROUP}/monitoring"
LABEL_NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""Set on every namespace by the API server; clients cannot change it."""
LABEL_SHARE = f"{GROUP}/share"
ANNOTATION_SHARE_WITH = f"{GROUP}/share-with"
ANNOTATION_REPLACE_AT_ONCE = f"{GROUP}/replace-at-once"
"""On a shared Secret: "true" replaces its copies at once, also where the authority in ca.crt changes."""
ANNOTATION_CA_CHANGED = f"{GROUP}/ca-changed"
"""On a copy of a Secret: when its authorities changed, and until when former ones count (see desired/ca_change.py)."""
ANNOTATION_FQDN = f"{GROUP}/fqdn"
ANNOTATION_HOSTNAMES = f"{GROUP}/hostnames"
"""Of a Space's namespace: the grants of host names, see desired/claims.py."""
ANNOTATION_TRANSFER = f"{GROUP}/transfer"
"""Of a Space: "<host name>=<Space that gives it up>", separated by commas."""
ANNOTATION_TRANSFERRED = f"{GROUP}/transferred"
"""Of a Space's namespace: the entries of the Space's annotation transfer that have taken place."""
ANNOTATION_RESTORED = f"{GROUP}/restored"
ANNOTATION_MOVE = f"{GROUP}/move"
ANNOTATION_EGRESS_POLICY = f"{GROUP}/egress-policy"
"""Of a Space's namespace: "Declared" while its egress is limited; policies for tenants' objects read it."""
LABEL_ISOLATION = f"{GROUP}/isolation"
"""Of a Space's namespace: the level of its pods, unless it is Standard; the policy space-pods reads it."""
ANNOTATION_SANDBOXES = f"{GROUP}/sandboxes"
"""Of a Space's namespace with that label: the RuntimeClasses that count as sandboxes, separated by commas."""
ANNOTATION_MESH = f"{GROUP}/mesh"
"""Of a Space's namespace: its mesh, how far it has entered it, and since when, see desired/mesh_state.py."""
ANNOTATION_EGRESS_ADDRESSES = f"{GROUP}/egress-addresses"
"""Of an App's NetworkPolicy: the addresses of the names in its egresses, see desired/outgoing.py."""
ANNOTATION_HASH = f"{GROUP}/hash"
"""Digest of the desired object as decco last wrote it (see kube/apply.py)."""
ANNOTATION_INITIAL_REPLICAS = f"{GROUP}/initial-replicas"
ANNOTATION_REPLICAS = f"{GROUP}/replicas"
"""On a workload: the number of its pods while decco decides it (the App's replicas, or 0 while it is suspended)."""
ANNOTATION_FORMER_REPLICAS = f"{GROUP}/former-replicas"
"""On a workload: the number of its pods before the App was suspended."""
ANNOTATION_POD_ANNOTATIONS = f"{GROUP}/pod-annotations"
"""On a workload: the annotations of its pod template that decco wrote, by name, separated by commas."""
ANNOTATION_JOB_FIELDS = f"{GROUP}/job-fields"
"""On a Job: the fields of its spec, of those that others may set too, that decco wrote, separated by commas."""
ANNOTATION_SUSPEND = f"{GROUP}/suspend"
"""On a Job: "true" while its App's spec.job.suspend is; in between whoever queues the Job suspends and resumes it."""
ANNOTATION_RUN = f"{GROUP}/run"
"""On a Job: digest of the App's own ``pod``; another value means another run."""
ANNOTATION_RESUMED = f"{GROUP}/resumed"
"""On a Job: "true" since decco resumed it; if another client suspends it afterwards, decco does not resume it."""
ANNOTATION_PAUSED = f"{GROUP}/paused"
ANNOTATION_IMPORTED = f"{GROUP}/imported-from"
"""On objects that `decco import` made: version, namespace and name of the object of the first decco."""
ANNOTATION_ABANDON_DNS = f"{GROUP}/abandon-dns"
"""On a Space or App that is being deleted: "true" leaves its DNS records where they are."""
FINALIZER_DNS = f"{GROUP}/dns"
"""On a Space or App that has DNS records, or is about to."""
MANAGED_SELECTOR = f"{LABEL_MANAGED_BY}={FIELD_MANAGER}"


class Key(NamedTuple):
    """Names one object of a kind; ``namespace`` is "" for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@frozen
class Resource:
    """A kind's location in the API: enough to make every URL of it, and to fill apiVersion and kind. The version is
    ignored when two are compared: an object is the same one in all versions of its kind, and the cluster may cease to
    serve one and begin to serve another.
    """

    group: str
    version: str = field(compare=False)
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """URL path of the collection (no name), of one object, or of its subresource.

        A namespaced kind with an empty namespace gives the collection over all namespaces.
        """
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


SPACES = Resource(GROUP, VERSION, "spaces", "Space", namespaced=False)
APPS = Resource(GROUP, VERSION, "apps", "App")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
SECRETS = Resource("", "v1", "secrets", "Secret")
PODS = Resource("", "v1", "pods", "Pod")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
SERVICES = Resource("", "v1", "services", "Service")
RESOURCE_QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
LIMIT_RANGES = Resource("", "v1", "limitranges", "LimitRange")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
STATEFUL_SETS = Resource("apps", "v1", "statefulsets", "StatefulSet")
JOBS = Resource("batch", "v1", "jobs", "Job")
WORKLOADS = (DEPLOYMENTS, STATEFUL_SETS, JOBS)
"""The kinds that run the pods of an App."""
DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", "Ingress")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
SELF_REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False)
ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False)
OWN_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
AUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
GATEWAY_GROUP = "gateway.networking.k8s.io"
GATEWAY_CLASSES = Resource(GATEWAY_GROUP, "v1", "gatewayclasses", "GatewayClass", namespaced=False)
GATEWAYS = Resource(GATEWAY_GROUP, "v1", "gateways", "Gateway")
LISTENER_SETS = Resource(GATEWAY_GROUP, "v1", "listenersets", "ListenerSet")
HTTP_ROUTES = Resource(GATEWAY_GROUP, "v1", "httproutes", "HTTPRoute")
TLS_ROUTES = Resource(GATEWAY_GROUP, "v1", "tlsroutes", "TLSRoute")
CERTIFICATES = Resource("cert-manager.io", "v1", "certificates", "Certificate")
ENVOY_GATEWAY_GROUP = "gateway.envoyproxy.io"
SECURITY_POLICIES = Resource(ENVOY_GATEWAY_GROUP, "v1alpha1", "securitypolicies", "SecurityPolicy")
BACKEND_TRAFFIC_POLICIES = Resource(ENVOY_GATEWAY_GROUP, "v1alpha1", "backendtrafficpolicies", "BackendTrafficPolicy")
CLIENT_TRAFFIC_POLICIES = Resource(ENVOY_GATEWAY_GROUP, "v1alpha1", "clienttrafficpolicies", "ClientTrafficPolicy")
BACKEND_TLS_POLICIES = Resource(GATEWAY_GROUP, "v1", "backendtlspolicies", "BackendTLSPolicy")


def key_of(obj: Obj) -> Key:
    meta = obj["metadata"]
    return Key(meta.get("namespace", ""), meta["name"])


def uid_of(obj: Obj) -> str:
    """The object's UID, "" for one that is not created yet."""
    return str(obj["metadata"].get("uid", ""))


def labels_of(obj: Obj) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Obj) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def controller_of(obj: Obj) -> Obj | None:
    """The owner reference with ``controller: true``, or None."""
    for ref in obj["metadata"].get("ownerReferences") or ():
        if ref.get("controller"):
            return dict(ref)
    return None
