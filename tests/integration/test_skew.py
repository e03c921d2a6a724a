"""Upgrades: a version with the same desired state does not write over its predecessor's, alone or side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from testbed.controlplane import ControlPlane
from tests.integration.harness import APIS, Cluster, Decco, eventually, own_control_plane
from tests.skew.world import FIXTURES, RESOURCES, SETTINGS, restore

VERSIONS = sorted(path.name for path in FIXTURES.iterdir() if path.is_dir() and any(path.glob("*.yaml")))
ADVICE = (
    "decco writes something else than version {version} did. Meant so, and {version} is released: say so in "
    "tests/skew/changes.yaml. Not yet released: run make skew-fixtures."
)


@pytest.fixture
def control_plane() -> Iterator[ControlPlane]:
    """An empty one without controllers: nothing but decco is to answer to what is put into it."""
    with own_control_plane() as cp:
        assert cp._manager is not None
        cp.processes.stop(cp._manager, 0)
        yield cp


@pytest.fixture
def cluster(control_plane: ControlPlane) -> Cluster:
    return Cluster(control_plane)


def versions_of(cluster: Cluster) -> dict[str, str]:
    """resourceVersion of everything that decco writes."""
    return {
        f"{path} {each['metadata'].get('namespace', '')}/{each['metadata']['name']}": each["metadata"][
            "resourceVersion"
        ]
        for path in RESOURCES
        for each in cluster.items(path)
    }


def _names(key: str) -> set[str]:
    """A key of ``versions_of`` as changes.yaml names it: the object, and its resource."""
    path, _, name = key.partition(" ")
    resource = path.rpartition("/")[2]
    return {f"{resource} {name}", resource}


def allowed(version: str) -> set[str]:
    """Resources, or single objects, that later versions write again, each with a reason."""
    changes = yaml.safe_load((FIXTURES / "changes.yaml").read_text()) or {}
    return set(changes.get(version) or {})


def writes(cp: ControlPlane, since: int) -> Counter[str]:
    events = cp.audit("decco-controller", since=since, writes=True)
    return Counter(
        f"{each.resource}/{each.subresource}".rstrip("/") + f" {each.namespace or ''}/{each.name}" for each in events
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_over_what_another_version_left(
    control_plane: ControlPlane, cluster: Cluster, tmp_path: Path, version: str
) -> None:
    left = restore(FIXTURES / version, control_plane)
    assert len(left) > 40
    before = versions_of(cluster)
    mark = control_plane.audit_mark()
    for name in ("today", "the next"):
        with Decco(control_plane, tmp_path, version="" if name == "today" else "9.9.9", **SETTINGS) as decco:
            decco.settle(quiet=1.0)
            assert decco.metric('decco_reconcile_total{controller="app"') >= 5
            found = writes(control_plane, mark)
            undeclared = {each for each in found if not {each, each.partition(" ")[0]} & allowed(version)}
            assert not undeclared, f"{ADVICE.format(version=version)} {name}: {undeclared}"
            twice = {each for each, times in found.items() if times > 1 and not each.startswith("events")}
            assert not twice, f"{name}: {twice}"
            if name == "the next":
                assert "9.9.9" in decco.get("/metrics")
    after = versions_of(cluster)
    changed = {each for each, known in before.items() if after.get(each) != known}
    assert not {each for each in changed if not _names(each) & allowed(version)}
    # Without this the test could not fail: the same two programs do write when there is a reason.
    spec = {"initialReplicas": 3}
    cluster.patch(f"{APIS}/namespaces/skew-a/apps/web", {"spec": spec})
    _handover(control_plane, cluster, tmp_path)


def _handover(cp: ControlPlane, cluster: Cluster, folder: Path) -> None:
    """Old and new at once, which a leader election forbids, and worse than any handover: both want the same, so one of
    them writes, the other sees it, and both are quiet.
    """
    with Decco(cp, folder, **SETTINGS) as old:
        eventually(lambda: (cluster.deployment("skew-a", "web") or {})["spec"]["replicas"] == 3, 10)
        old.settle()
        with Decco(cp, folder, version="9.9.9", **SETTINGS) as new:
            new.settle()
            mark = cp.audit_mark()
            cluster.patch(f"{APIS}/namespaces/skew-b/apps/own", {"spec": {"initialReplicas": 2}})
            eventually(lambda: (cluster.deployment("skew-b", "own") or {})["spec"]["replicas"] == 2, 10)
            for each in (old, new):
                each.settle(quiet=1.0)
            done = [each for each in cp.audit("decco-controller", since=mark, writes=True) if each.code < 300]
            found = Counter(each.resource for each in done if each.resource != "events")
            assert found["deployments"] == 1, found
            assert found["apps"] <= 2, found
            assert old.stop() == 0
            mark = cp.audit_mark()
            new.settle(quiet=1.0)
            assert not writes(cp, mark)
