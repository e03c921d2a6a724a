"""The sidecar as it runs: one process for all, small, and no right that it does not need."""

from __future__ import annotations

import pytest

from tests.e2e import clients
from tests.e2e.world import Tenant, World

ENDPOINTS = 8
MEMORY_BYTES = 32 << 20


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    tenant = world.tenant("octopus")
    ports = range(9000, 9000 + ENDPOINTS)
    endpoints = [{"name": f"arm{port}", "port": port} for port in ports]
    tenant.run(tenant.app("octopus", [f"echo:{port}" for port in ports], endpoints=endpoints))
    for port in ports:
        tenant.listening(f"arm{port}")
    return tenant


def test_eight_endpoints_have_one_process(tenant: Tenant) -> None:
    for port in range(9000, 9000 + ENDPOINTS):
        with tenant.tls(f"arm{port}") as connection:
            assert clients.exchange(connection, b"x" * 1000) == b"x" * 1000
    [pod] = tenant.pods("octopus")
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["decco-tls"]
    node = tenant.world.cluster.node
    if node is None:
        pytest.skip("processes can be counted on the testbed's own node only")
    assert len(node.processes(pod, "stunnel")) == 1
    used = sum(node.memory(pid) for name in ("stunnel", "entry") for pid in node.processes(pod, name))
    print(f"sidecar with {ENDPOINTS} endpoints: {used / 2**20:.1f} MiB (proportional set size)")
    assert used < MEMORY_BYTES


def test_it_passes_restricted(tenant: Tenant) -> None:
    """The namespace enforces the level; a pod that runs has passed. Its own output is checked as well."""
    labels = tenant.world.get("namespace", tenant.name)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    [pod] = tenant.pods("octopus")
    [sidecar] = pod["spec"]["initContainers"]
    context = sidecar["securityContext"]
    assert context["runAsNonRoot"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_its_log_is_readable_and_holds_no_secret(tenant: Tenant) -> None:
    [pod] = tenant.pods("octopus")
    log = tenant.world.kubectl("logs", pod["metadata"]["name"], "-n", tenant.name, "-c", "decco-tls")
    assert log.strip()
    assert "PRIVATE KEY" not in log
    for line in tenant.tcp.key.decode().splitlines()[1:-1]:
        assert line not in log
