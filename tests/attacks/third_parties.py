"""Kinds of other projects that the policies read, as CRDs without a schema; and where each kind is served.

Of the Gateway API the real CRDs are installed.
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]

BUILT_IN: dict[str, tuple[str, str]] = {
    "pods": ("v1", "Pod"),
    "services": ("v1", "Service"),
    "endpoints": ("v1", "Endpoints"),
    "configmaps": ("v1", "ConfigMap"),
    "secrets": ("v1", "Secret"),
    "persistentvolumeclaims": ("v1", "PersistentVolumeClaim"),
    "replicationcontrollers": ("v1", "ReplicationController"),
    "podtemplates": ("v1", "PodTemplate"),
    "deployments.apps": ("apps/v1", "Deployment"),
    "daemonsets.apps": ("apps/v1", "DaemonSet"),
    "replicasets.apps": ("apps/v1", "ReplicaSet"),
    "statefulsets.apps": ("apps/v1", "StatefulSet"),
    "jobs.batch": ("batch/v1", "Job"),
    "cronjobs.batch": ("batch/v1", "CronJob"),
    "ingresses.networking.k8s.io": ("networking.k8s.io/v1", "Ingress"),
    "networkpolicies.networking.k8s.io": ("networking.k8s.io/v1", "NetworkPolicy"),
    "endpointslices.discovery.k8s.io": ("discovery.k8s.io/v1", "EndpointSlice"),
    "apps.decco.platform9.com": ("decco.platform9.com/v1beta2", "App"),
}
GATEWAY_API = {
    f"{plural}.gateway.networking.k8s.io": ("gateway.networking.k8s.io/v1", kind)
    for plural, kind in (
        ("gateways", "Gateway"),
        ("listenersets", "ListenerSet"),
        ("httproutes", "HTTPRoute"),
        ("grpcroutes", "GRPCRoute"),
        ("tlsroutes", "TLSRoute"),
        ("tcproutes", "TCPRoute"),
        ("udproutes", "UDPRoute"),
    )
}
KINDS: tuple[tuple[str, str, str], ...] = (
    ("gateway.networking.x-k8s.io", "v1alpha1", "XListenerSet"),
    ("multicluster.x-k8s.io", "v1alpha1", "ServiceExport"),
    ("multicluster.x-k8s.io", "v1alpha1", "ServiceImport"),
    ("externaldns.k8s.io", "v1alpha1", "DNSEndpoint"),
    ("cert-manager.io", "v1", "Certificate"),
    ("cert-manager.io", "v1", "CertificateRequest"),
    ("cert-manager.io", "v1", "Issuer"),
    ("acme.cert-manager.io", "v1", "Order"),
    ("acme.cert-manager.io", "v1", "Challenge"),
    ("traefik.io", "v1alpha1", "IngressRoute"),
    ("traefik.io", "v1alpha1", "IngressRouteTCP"),
    ("traefik.io", "v1alpha1", "IngressRouteUDP"),
    ("traefik.io", "v1alpha1", "Middleware"),
    ("traefik.io", "v1alpha1", "ServersTransport"),
    ("traefik.io", "v1alpha1", "TLSOption"),
    ("traefik.io", "v1alpha1", "TLSStore"),
    ("traefik.io", "v1alpha1", "TraefikService"),
    ("traefik.containo.us", "v1alpha1", "IngressRoute"),
    ("networking.istio.io", "v1 v1beta1 v1alpha3", "VirtualService"),
    ("networking.istio.io", "v1", "Gateway"),
    ("networking.istio.io", "v1", "ServiceEntry"),
    ("networking.istio.io", "v1", "DestinationRule"),
    ("networking.istio.io", "v1", "Sidecar"),
    ("networking.istio.io", "v1", "WorkloadEntry"),
    ("networking.istio.io", "v1", "WorkloadGroup"),
    ("networking.istio.io", "v1alpha3", "EnvoyFilter"),
    ("extensions.istio.io", "v1alpha1", "WasmPlugin"),
    ("extensions.istio.io", "v1alpha1", "TrafficExtension"),
    ("security.istio.io", "v1", "AuthorizationPolicy"),
    ("security.istio.io", "v1", "PeerAuthentication"),
    ("security.istio.io", "v1", "RequestAuthentication"),
    ("projectcontour.io", "v1", "HTTPProxy"),
    ("gateway.envoyproxy.io", "v1alpha1", "Backend"),
    ("gateway.envoyproxy.io", "v1alpha1", "BackendTrafficPolicy"),
    ("gateway.envoyproxy.io", "v1alpha1", "ClientTrafficPolicy"),
    ("gateway.envoyproxy.io", "v1alpha1", "EnvoyExtensionPolicy"),
    ("gateway.envoyproxy.io", "v1alpha1", "EnvoyPatchPolicy"),
    ("gateway.envoyproxy.io", "v1alpha1", "EnvoyProxy"),
    ("gateway.envoyproxy.io", "v1alpha1", "SecurityPolicy"),
    ("configuration.konghq.com", "v1", "KongPlugin"),
    ("cilium.io", "v2", "CiliumNetworkPolicy"),
)
"""Group, versions (the first is stored) and kind."""


def plural_of(kind: str) -> str:
    name = kind.lower()
    if name.endswith("y") and not name.endswith("way"):
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith("x") else f"{name}s"


def crd(group: str, versions: str, kind: str) -> Obj:
    plural = plural_of(kind)
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = [
        {"name": name, "served": True, "storage": i == 0, "schema": {"openAPIV3Schema": anything}}
        for i, name in enumerate(versions.split())
    ]
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # The API server asks for it where the group belongs to Kubernetes.
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": served},
    }


CRDS = [crd(*each) for each in KINDS]
API_OF: dict[str, tuple[str, str]] = {
    **BUILT_IN,
    **GATEWAY_API,
    **{
        made["metadata"]["name"]: (f"{group}/{versions.split()[0]}", kind)
        for made, (group, versions, kind) in zip(CRDS, KINDS, strict=True)
    },
}
"""apiVersion and kind by resource, written as in RBAC."""
