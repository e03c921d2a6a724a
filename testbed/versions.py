"""The parts of the testbed: one exact version of each part, so that a failing test fails everywhere."""

from __future__ import annotations

import os
from dataclasses import dataclass

KUBERNETES = {"1.34": "1.34.4", "1.37": "1.37.2"}
"""Minor to patch version. Each minor has its go.mod and go.sum in testbed/kubernetes/<minor>/."""
DEFAULT_KUBERNETES = "1.37"

CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kubectl")
"""Programs of Kubernetes that a control plane needs; the modules can build kube-scheduler, kubelet, kube-proxy too."""

ETCD_MODULE = "go.etcd.io/etcd/server/v3"
ETCD_VERSION = "3.6.15"
"""Built where there is no etcd on PATH that is new enough."""

HELM_MODULE = "helm.sh/helm/v3/cmd/helm"
HELM_VERSION = "3.22.0"
"""Its go.mod and go.sum are in testbed/helm_module/; built where there is no Helm 3 on PATH."""


@dataclass(frozen=True, slots=True)
class Module:
    """A Go module at one version with the checksum that go.sum would hold, so that its files can be trusted."""

    path: str
    version: str
    checksum: str


GATEWAY_API = Module("sigs.k8s.io/gateway-api", "v1.6.3", "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=")
"""The newest that Go 1.26 accepts. Its standard channel serves ListenerSet, TLSRoute and BackendTLSPolicy as v1."""

EXTERNAL_DNS = Module("sigs.k8s.io/external-dns", "v0.22.0", "h1:+ASJ3KF7DLqHo2LsG8Qinuh2J389MS86I19i/r8ewUc=")
"""For the CRD of DNSEndpoint; the program itself cannot be built from modules."""

CERT_MANAGER = Module(
    "github.com/cert-manager/cert-manager", "v1.21.2", "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68="
)
"""For its CRDs."""

ENVOY_GATEWAY = Module("github.com/envoyproxy/gateway", "v1.9.1", "h1:vAVp6/AlBXJ1aOhp1mxL7fNEzVEfjADUguUhm2wzxQY=")
"""For its CRDs; the program is built in testbed/envoygateway_module."""

ISTIO_API = Module("istio.io/api", "v1.32.0", "h1:37mJvg9I0biYZAEQF+MATs4FNeCpXEIVO3LFpVb6iNM=")
"""For the CRDs of Istio; its control plane is not built here."""

KWOK = Module("sigs.k8s.io/kwok", "v0.8.0", "h1:OTIOTwgROqPMovcTwxICx2eYQ4AwLpSx5EpjbDKF4SQ=")
"""For the stages of nodes and pods; the program is built in testbed/kwok_module."""

COREDNS_MODULE = "github.com/coredns/coredns"
COREDNS_VERSION = "1.15.0"
"""As in testbed/dns/coredns_build/go.mod; with all of CoreDNS' default plugins, etcd and kubernetes among them."""

PROMETHEUS_OPERATOR = Module(
    "github.com/prometheus-operator/prometheus-operator",
    "v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
)
"""For its CRDs only."""


def kubernetes_version(minor: str | None = None) -> str:
    """Exact Kubernetes version, as ``1.37.2``, of a minor or of ``$KUBE_VERSION`` or of the default.

    Raises:
        ValueError: a version that the testbed has no modules for.
    """
    wanted = (minor or os.environ.get("KUBE_VERSION") or DEFAULT_KUBERNETES).removeprefix("v")
    for known, full in KUBERNETES.items():
        if wanted in {known, full}:
            return full
    raise ValueError(f"KUBE_VERSION: {wanted!r} is not one of {', '.join(KUBERNETES)}")
