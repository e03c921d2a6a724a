"""Jobs with a sidecar: they end by themselves, and it with them."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.world import APPS, RESTRICTED, Obj, Tenant, World, eventually
from tests.sample import full

EGRESS = 15432


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    tenant = world.tenant("batch")
    tenant.tcp = tenant.authority.leaf(f"*.{tenant.fqdn}")
    tenant.run(tenant.app("store", ["echo:9000"], endpoints=[{"name": "store", "port": 9000}]))
    return tenant


def job(tenant: Tenant, name: str, args: list[str], **spec: object) -> Obj:
    """An App that runs the echo program once, with a way out to ``store`` and a port of its own."""
    container = {
        "name": "echo",
        "image": tenant.world.cluster.echo,
        "args": args,
        "ports": [{"containerPort": 9000}],
        "securityContext": RESTRICTED,
    }
    return tenant.app_of(
        {"containers": [container], "restartPolicy": "Never"},
        name,
        runAsJob=True,
        endpoints=[{"name": f"{name}-door", "port": 9000}],
        tlsEgresses=[{"localPort": EGRESS, "endpoint": "store"}],
        **spec,
    )


def finished(tenant: Tenant, name: str) -> str:
    """Complete or Failed, once it is; raises until then."""
    [found] = tenant.world.list("jobs", tenant.name, f"decco.platform9.com/app={name}")
    [ended] = [
        each["type"]
        for each in found["status"].get("conditions", ())
        if each["status"] == "True" and each["type"] in {"Complete", "Failed"}
    ]
    return str(ended)


def test_a_job_with_endpoints_and_egresses_completes(tenant: Tenant) -> None:
    tenant.world.apply(job(tenant, "migrate", ["ask", "--retry", "--text", "done", f"localhost:{EGRESS}"]))
    assert eventually(lambda: finished(tenant, "migrate"), 60) == "Complete"
    [pod] = tenant.world.list("pods", tenant.name, "decco.platform9.com/app=migrate")
    assert pod["status"]["phase"] == "Succeeded"
    [sidecar] = pod["status"]["initContainerStatuses"]
    assert sidecar["state"]["terminated"], "the sidecar still runs"
    assert sidecar["restartCount"] == 0
    tenant.wait_app("migrate")


def test_a_job_that_fails_says_so(tenant: Tenant) -> None:
    app = job(tenant, "broken", ["ask", "--deadline", "1s", "localhost:1"], jobBackoffLimit=0)
    tenant.world.apply(app)
    assert eventually(lambda: finished(tenant, "broken"), 60) == "Failed"

    def reported() -> bool:
        conditions = tenant.world.get(APPS, "broken", tenant.name)["status"]["conditions"]
        [ready] = [each for each in conditions if each["type"] == "WorkloadReady"]
        return bool(ready["status"] == "False" and "Failed" in ready["reason"])

    eventually(reported, 15)


@full
def test_a_sidecar_that_dies_does_not_keep_the_job(tenant: Tenant) -> None:
    """Its stunnel is killed while the Job runs: it starts again, and goes when the Job's own container does."""
    node = tenant.world.cluster.node
    if node is None:
        pytest.skip("a process in a pod can be killed on the testbed's own node only")
    wait = ["ask", "--retry", "--deadline", "20s", "--text", "late", "http://localhost:9999/never"]
    tenant.world.apply(job(tenant, "long", wait, jobBackoffLimit=0))
    [pod] = eventually(lambda: [each for each in tenant.pods("long") if each["status"]["phase"] == "Running"], 60)
    [stunnel] = node.processes(pod, "stunnel")
    os.kill(stunnel, signal.SIGKILL)

    def restarted() -> bool:
        now = tenant.world.get("pod", pod["metadata"]["name"], tenant.name)
        return bool(now["status"]["initContainerStatuses"][0]["restartCount"])

    eventually(restarted, 30, "the sidecar restarted")
    # Its own deadline ends the Job's container; a sidecar that would not end with it would keep the pod for ever.
    assert eventually(lambda: finished(tenant, "long"), 120) == "Failed"
    [after] = tenant.world.list("pods", tenant.name, "decco.platform9.com/app=long")
    assert after["status"]["phase"] == "Failed"
