"""A policy of the cluster refuses children: Apps need no change after the policy is corrected."""

from __future__ import annotations

from testbed.controlplane import ControlPlane
from tests.integration.admission_rules import forbidding, in_force
from tests.integration.harness import APIS, Cluster, Decco, app, eventually
from tests.sample import full

PATIENCE = 180.0
"""Three times the minute that is promised: the machine may be busy."""


def reason(cluster: Cluster, namespace: str, name: str) -> str:
    return str((cluster.app_condition(namespace, name, "WorkloadReady") or {}).get("reason"))


@full
def test_all_apps_proceed_after_a_policy_is_corrected(
    control_plane: ControlPlane, cluster: Cluster, decco: Decco, name: str
) -> None:
    cluster.make_space(name)
    apps = [f"web-{number}" for number in range(5)]
    deployments = f"/apis/apps/v1/namespaces/{name}/deployments"
    probe = {"metadata": {"name": "probe"}, "spec": {"selector": {"matchLabels": {"a": "b"}}}}
    probe["spec"]["template"] = {  # type: ignore[assignment]
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "a", "image": "registry.example/app:1"}]},
    }
    with forbidding(control_plane, name, "false") as policy:
        in_force(control_plane, deployments, probe, lambda status, _: status == 422)
        for each in apps:
            cluster.create(app(name, each, endpoints=[]))
        eventually(lambda: all(reason(cluster, name, each) == "Invalid" for each in apps), 60)
        decco.settle()
        versions = {each: (cluster.app(name, each) or {})["metadata"]["generation"] for each in apps}
        cluster.patch(policy, {"spec": {"validations": [{"expression": "true"}]}})
        eventually(lambda: all(cluster.deployment(name, each) for each in apps), PATIENCE)
        eventually(lambda: all(reason(cluster, name, each) != "Invalid" for each in apps), 30)
        assert versions == {each: (cluster.app(name, each) or {})["metadata"]["generation"] for each in apps}


def test_a_child_that_is_deleted_after_a_refusal_is_created_at_once(
    control_plane: ControlPlane, cluster: Cluster, decco: Decco, name: str
) -> None:
    """The change is refused for good, the former object is deleted by hand: what can be created then is."""
    cluster.make_space(name)
    cluster.create(app(name, "web", endpoints=[]))
    path = f"/apis/apps/v1/namespaces/{name}/deployments/web"
    before = eventually(lambda: cluster.get(path), 30)
    decco.settle()
    with forbidding(control_plane, name, "oldObject == null"):
        patch = {"metadata": {"labels": {"x": "y"}}}
        headers = {"Content-Type": "application/merge-patch+json"}
        ask = f"{path}?dryRun=All"
        eventually(lambda: control_plane.request("PATCH", ask, patch, headers=headers).status == 422, 60)
        changed = {"spec": {"pod": {"terminationGracePeriodSeconds": 7}}}
        cluster.patch(f"{APIS}/namespaces/{name}/apps/web", changed)
        eventually(lambda: reason(cluster, name, "web") == "Invalid", 60)
        cluster.delete(path)
        again = eventually(lambda: cluster.get(path), 20, "no cached refusal keeps it away")
        assert again["metadata"]["uid"] != before["metadata"]["uid"]
        assert again["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 7
