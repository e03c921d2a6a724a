"""What ``decco import`` makes of the first decco's objects is taken by a real API server, and decco makes it run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from testbed.controlplane import ControlPlane
from tests.integration.harness import Cluster, Decco, eventually

SAMPLE = Path(__file__).parents[1] / "importing" / "first-decco.yaml"


def test_the_result_is_accepted(control_plane: ControlPlane, cluster: Cluster, decco: Decco, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    text = SAMPLE.read_text().replace("north", "imported").replace("spaces", "first")
    given = [sys.executable, "-m", "decco.cli.main", "import", "-", "-o", str(folder)]
    done = subprocess.run(given, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr  # the sample holds what has no counterpart
    applied = control_plane.kubectl("apply", "--validate=strict", "-f", str(folder / "1-spaces.yaml"))
    assert "space.decco.platform9.com/imported created" in applied
    eventually(lambda: (cluster.space_condition("imported", "NetworkReady") or {}).get("status") == "True", 15)
    control_plane.kubectl("apply", "--validate=strict", "-f", str(folder / "2-permissions.yaml"))
    applied = control_plane.kubectl("apply", "--validate=strict", "-f", str(folder / "3-apps.yaml"))
    assert applied.count("created") == 6
    for name in ("store", "wiki", "timeserver-tcp", "probe", "later"):
        eventually(lambda name=name: cluster.deployment("imported", name), 10)
    eventually(lambda: cluster.get("/apis/batch/v1/namespaces/imported/jobs/tidy"), 10)
    # The talk's TCP example, which lists no endpoints.
    assert eventually(lambda: cluster.service("imported", "timeserver-tcp"), 10)
    assert (cluster.service("imported", "store-raw") or {})["spec"]["ports"][0]["port"] == 7443
    assert (cluster.service("imported", "store-metrics") or {})["spec"]["ports"][0]["port"] == 9100
    assert cluster.service("imported", "store-admin") is None
    assert (cluster.deployment("imported", "store") or {})["spec"]["replicas"] == 2
