"""Short names of Space and App beside those of products that are found in the same clusters.

kubectl takes the first group that has a name, so with two of them ``kubectl delete sp`` deletes the other kind.
"""

from __future__ import annotations

import pytest

from decco.api.crd import crds

KNOWN = {
    "Kubernetes": "cm cs csr deploy ds ej ep ev hpa ing limits netpol no ns pc pdb po pv pvc quota rc rs sa sc sts svc "
    "cj crd crds",
    "Gateway API": "gc gtw refgrant btlspolicy lset",
    "Envoy Gateway": "sp btp ctp eep epp envproxy eproxy be hrf",
    "cert-manager": "cert certs cr crs ciss iss",
    "Istio": "vs gw dr se we wg sc ap pa ra telemetry",
    "Argo": "app apps appset appsets appproj appprojs wf wftmpl cwft cwf ro",
    "Flux": "ks hr gitrepo helmrepo ocirepo",
    "Knative": "kservice ksvc rt cfg config rev dm sks kpa king",
    "KEDA": "so sj ta cta",
    "Prometheus operator": "prom am smon pmon promrule probe thanos",
    "Cilium": "ciliumnp cnp ccnp cep ciliumep cew cid ciliumid cn",
    "Linkerd": "sp srv saz authzpolicy",
}
"""Linkerd's sp is ServiceProfile."""


@pytest.mark.parametrize("product", KNOWN)
def test_no_other_kind_has_them(product: str) -> None:
    own = {short for crd in crds() for short in crd["spec"]["names"]["shortNames"]}
    assert own >= {"dapp", "dspace"}
    assert own.isdisjoint(KNOWN[product].split())
