"""Groups of ``decco verify`` whose subject the cluster of tests/verify does not have: Istio, and a federation.

On a control plane without nodes, with Istio's CRDs installed in between, and a zone of BIND: so nothing gets as far as
pods, and what needs them must be seen to fail.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from testbed import manifests
from testbed.dns.bind import Bind
from testbed.dns.server import HOST, KEY_NAME, KEY_SECRET
from tests.integration.harness import Decco, own_control_plane
from tests.integration.test_verify import SETTINGS, Command, outcomes
from tests.sample import full

ZONE, EDGE = "verify.test", "192.0.2.7"
MISSING = Bind.missing()

pytestmark = [pytest.mark.skipif(bool(MISSING), reason=f"MISSING {MISSING}"), pytest.mark.timeout(300)]


@dataclass
class Scene:
    command: Command
    server: Bind

    def run(self, group: str) -> tuple[int, Any, str]:
        status, report, progress = self.command.run("--only", group, "--patience", "60")
        assert self.command.left() == []
        left = [name for name, _ in self.server.read(ZONE) if "verify-" in name]
        assert left == [], left
        return status, report, progress


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("verify")
    (folder / "tsig.key").write_text(KEY_SECRET)
    with own_control_plane() as cp, Bind() as server:
        server.create_zone(ZONE)
        provider = {
            "type": "rfc2136",
            "zones": [ZONE],
            "host": HOST,
            "port": server.port,
            "tsigKeyName": KEY_NAME,
            "tsigSecretFile": str(folder / "tsig.key"),
        }
        settings = {
            **SETTINGS,
            "dns__providers": json.dumps([provider]),
            "dns__federation__id": "world",
            "dns__retry_max_seconds": "2",
            "cluster_id": "east",
            "mesh__switch_seconds": "2",
            "edge__addresses": json.dumps([EDGE]),
        }
        with Decco(cp, folder, **settings):
            yield Scene(Command(cp, folder, settings), server)


def failed(report: Any) -> dict[str, Any]:
    return {each["name"]: each for each in report["probes"] if each["outcome"] == "failed"}


def test_a_host_name_has_one_owner(scene: Scene) -> None:
    status, report, progress = scene.run("claims")
    assert set(outcomes(report, "claims").values()) == {"passed"}, (progress, failed(report))
    assert status == 0


def test_another_clusters_part_is_kept(scene: Scene) -> None:
    status, report, progress = scene.run("federation")
    assert set(outcomes(report, "federation").values()) == {"passed"}, (progress, failed(report))
    assert status == 0


def test_records_of_a_federation_have_their_owner(scene: Scene) -> None:
    """Its ownership record has a value for each cluster."""
    _, report, progress = scene.run("dns")
    found = outcomes(report, "dns")
    assert (found["dns/fqdn"], found["dns/owner"]) == ("passed", "passed"), (progress, failed(report))


@full
def test_a_part_under_another_id_is_found(scene: Scene) -> None:
    """As where the controller has not taken over a changed clusterId."""
    other = Scene(replace(scene.command, settings={**scene.command.settings, "cluster_id": "west"}), scene.server)
    status, report, progress = other.run("federation")
    assert outcomes(report, "federation") == {"federation/published": "failed", "federation/others-kept": "skipped"}
    found = failed(report)["federation/published"]
    assert (status, found["code"]) == (1, "DECCO-0838"), progress
    assert "of the clusters ['east'], not" in found["text"], found


@full
def test_what_is_placed_elsewhere_has_nothing_here(scene: Scene) -> None:
    """Without nodes what is placed here does not run."""
    status, report, progress = scene.run("placement")
    assert outcomes(report, "placement") == {
        "placement/space-elsewhere": "passed",
        "placement/space-no-records": "passed",
        "placement/app-elsewhere": "passed",
        "placement/app-no-records": "passed",
        "placement/app-here": "failed",
        "placement/app-published": "skipped",
    }, (progress, failed(report))
    assert "WorkloadReady" in failed(report)["placement/app-here"]["text"]
    assert status == 1


@full
def test_a_controller_with_another_cluster_id_is_found(scene: Scene) -> None:
    other = Scene(replace(scene.command, settings={**scene.command.settings, "cluster_id": "west"}), scene.server)
    status, report, progress = other.run("placement")
    found = failed(report)["placement/app-here"]
    assert (status, found["code"]) == (1, "DECCO-0841"), progress
    assert "placed in west, the clusterId of these settings, does not run" in found["text"], found
    assert "this cluster, east" in found["text"], found


@full
def test_without_istio_nothing_is_said_of_it_and_with_its_kinds_alone_it_fails(scene: Scene) -> None:
    _, report, progress = scene.run("mesh")
    found = {each["name"]: each for each in report["probes"]}
    assert set(outcomes(report, "mesh").values()) == {"skipped"}, progress
    assert "there is no Istio" in found["mesh/space"]["text"]

    manifests.install_istio_crds(scene.command.cp.api)
    status, report, progress = scene.run("mesh")
    found = outcomes(report, "mesh")
    assert found == {
        "mesh/space": "passed",
        "mesh/pods": "failed",
        "mesh/own": "skipped",
        "mesh/outside": "skipped",
    }, (progress, failed(report))
    assert (status, failed(report)["mesh/pods"]["hint"] != "") == (1, True)
