"""One cluster with a node, an edge and a controller for the whole suite: our own, ``E2E_CLUSTER=kind``, or the one of
``E2E_KUBECONFIG``.

``E2E_BACKEND`` chooses the edge of our own and decco's routes, see ``testbed.cluster.Backend``; the tests are the same.
``E2E_DECCO=pod`` runs decco in the cluster, see ``testbed.deployed``; otherwise it is a process of this machine.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from testbed import cluster as clusters
from testbed import prerequisites
from testbed.audit import SERVICE_ACCOUNT
from testbed.cluster import Backend, Cluster
from testbed.controller import Controller
from testbed.deployed import deployed, metrics
from testbed.found import AssetsMissing
from testbed.images import programs
from testbed.kind import kind
from testbed.node import traefik
from testbed.node.config import BOX
from tests.e2e.world import World

FULL = os.environ.get("E2E") == "full"
"""``make e2e``: nothing is sampled, and a machine that cannot do it is an error."""
AS_POD = os.environ.get("E2E_DECCO") == "pod"
BACKEND = Backend(os.environ.get("E2E_BACKEND", Backend.GATEWAY))
PROBE_INTERVAL = 10
"""Of the setting probe.intervalSeconds, the least there is."""
SANDBOXES = {"isolation": {"sandboxes": [BOX]}}
UNKNOWN = re.compile(r'^.*code="401"[^}]*\} [1-9].*$', re.MULTILINE)
FORBIDDEN = re.compile(r'^.*code="403"[^}]*\} [1-9].*$', re.MULTILINE)
POST = re.compile(r'verb="POST"')
EVENT = re.compile(r'resource="events\.events\.k8s\.io",verb="POST"')
MISSING = pytest.StashKey[str]()

collect_ignore = [] if BACKEND is Backend.GATEWAYS else ["test_own_gateway.py"]


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    given = os.environ.get("E2E_KUBECONFIG")
    started = time.monotonic()
    if not given and not FULL and os.geteuid() == 0 and (line := prerequisites.reason(*prerequisites.NODE)):
        request.config.stash[MISSING] = line
        pytest.skip(line)
    try:
        if given:
            context = clusters.given(Path(given))
        else:
            context = kind() if os.environ.get("E2E_CLUSTER") == "kind" else _own()
        with context as found:
            print(f"\ncluster with node and edge ready in {time.monotonic() - started:.1f} s")
            yield found
    except AssetsMissing as error:
        if FULL or given:
            raise
        request.config.stash[MISSING] = str(error)
        pytest.skip(f"no end-to-end tests: {error}")


def _own() -> AbstractContextManager[Cluster]:
    """Traefik takes some minutes to build: in a run that may do without, it is used only if that was done before."""
    if BACKEND is Backend.INGRESS and not FULL and not traefik.PROGRAM.path.exists():
        raise AssetsMissing("Traefik is not built yet; `make e2e-routing` does that")
    return clusters.own(backend=BACKEND)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One loud line where there were no such tests."""
    if error := config.stash.get(MISSING, ""):
        terminalreporter.write_line(f"NO END-TO-END TESTS HAVE RUN: {error}", red=True, bold=True)


@pytest.fixture(scope="session")
def world(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if AS_POD:
        with deployed(cluster, {"logLevel": "debug", "probe": {"intervalSeconds": PROBE_INTERVAL}, **SANDBOXES}):
            yield World(cluster, lambda: _exposed(cluster))
            _assert_its_roles_are_enough(cluster)
        return
    log = tmp_path_factory.mktemp("controller") / "decco.log"
    settings = {
        **cluster.settings,
        "DECCO_PROBE__INTERVAL_SECONDS": str(PROBE_INTERVAL),
        "DECCO_ISOLATION__SANDBOXES": json.dumps([BOX]),
    }
    with Controller(cluster.controller_kubeconfig, log, settings, "--log-level=debug") as running:
        yield World(cluster, running.metrics)


def _exposed(cluster: Cluster) -> str:
    return "\n".join(metrics(cluster).values())


def _assert_its_roles_are_enough(cluster: Cluster) -> None:
    """Nothing that all these tests made decco ask, by its ServiceAccount, was forbidden by the roles.

    Creations in a namespace that ends, or beyond a quota, are answered by 403 too: only the audit log distinguishes
    them, and a cluster that is not our own has none for us.
    """
    exposition = _exposed(cluster)
    assert UNKNOWN.findall(exposition) == []
    assert [line for line in FORBIDDEN.findall(exposition) if not POST.search(line)] == []
    if cluster.node:
        asked = [event for event in cluster.node.cp.audit() if event.user == SERVICE_ACCOUNT]
        assert any(event.code == 201 for event in asked)
        assert [event for event in asked if event.forbidden] == []
    # Events about what is in a namespace that ends are refused; so others must have been taken.
    assert any('code="201"' in line for line in exposition.splitlines() if EVENT.search(line))


@pytest.fixture(scope="session")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The echo program as a client on this machine."""
    target = tmp_path_factory.mktemp("asker") / "echo"
    programs.build("echo", target)
    return target
