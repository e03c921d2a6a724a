from __future__ import annotations

from pathlib import Path

import pytest

from decco.settings import Settings
from decco.settings.cluster_domain import domain_of, with_cluster_domain

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}
SEARCH = "search decco.svc.k8s.example svc.k8s.example k8s.example corp.example\nnameserver 10.96.0.10\n"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        (SEARCH, "k8s.example"),
        ("options ndots:1\nsearch decco.svc.cluster.local svc.cluster.local cluster.local\n", "cluster.local"),
        ("search old.example\nsearch decco.svc.k8s.example. svc.k8s.example. k8s.example.\n", "k8s.example"),
        ("nameserver 10.0.0.1\nsearch corp.example\n", None),
        ("search\n", None),
        ("# search svc.k8s.example\n", None),
        ("search svc.\n", None),
        ("", None),
    ],
)
def test_the_domain_in_a_resolv_conf(text: str, want: str | None) -> None:
    assert domain_of(text) == want


def test_a_pod_knows_its_cluster_and_a_workstation_does_not(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(SEARCH)
    assert with_cluster_domain(Settings(), POD, file).services_domain == "k8s.example"
    assert with_cluster_domain(Settings(), {}, file).services_domain == "cluster.local"
    assert with_cluster_domain(Settings(), POD, tmp_path / "none").services_domain == "cluster.local"
    given = Settings.model_validate({"clusterDomain": "given.example"})
    assert with_cluster_domain(given, POD, file).services_domain == "given.example"
