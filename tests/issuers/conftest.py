"""One control plane, name server, authority and cert-manager for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.certmanager import CertManager
from testbed.cluster import CONTROLLER
from testbed.controlplane import ControlPlane
from testbed.dns.bind import Bind
from testbed.dns.server import HOST
from testbed.manifests import decco_folders
from testbed.pebble import Pebble
from tests.integration.harness import Cluster, Decco, own_control_plane
from tests.integration.loop import assert_no_defects
from tests.issuers.world import FURTHER, ZONE, apply, cluster_issuer, documented, tsig_secret


@pytest.fixture(scope="session")
def bind() -> Iterator[Bind]:
    if line := Bind.missing():
        pytest.skip(line)
    with Bind() as server:
        for zone in (ZONE, FURTHER):
            server.create_zone(zone)
        yield server


@pytest.fixture(scope="session")
def pebble(bind: Bind) -> Iterator[Pebble]:
    with Pebble(f"{HOST}:{bind.port}") as authority:
        yield authority


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    with own_control_plane(restart_manager=True) as cp:
        for folder in decco_folders():
            cp.kubectl("apply", "--server-side", "-f", str(folder))
        yield cp


@pytest.fixture(scope="session")
def cert_manager(control_plane: ControlPlane, bind: Bind) -> Iterator[CertManager]:
    with CertManager(control_plane, f"{HOST}:{bind.port}") as running:
        yield running


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane, cert_manager: CertManager, pebble: Pebble, bind: Bind) -> Cluster:
    """With the documented permission of cert-manager and the documented issuer."""
    made = Cluster(control_plane)
    server = f"{HOST}:{bind.port}"
    apply(made, *documented("cert-manager-in-spaces"), tsig_secret())
    apply(made, *cluster_issuer(pebble, "letsencrypt", "letsencrypt", server))
    return made


@pytest.fixture(scope="session")
def decco(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    folder = tmp_path_factory.mktemp("decco")
    with Decco(cluster.cp, folder, kubeconfig=cluster.cp.kubeconfig_for(CONTROLLER)) as running:
        yield running
        assert running.stop() == 0, running.tail()
        assert_no_defects(running)
