"""``make skew-fixtures``: writes down what today's version leaves in a cluster, into tests/skew/<version>/.

To be run once for each release, before its tag, and never again for it. Until the first release 0.1.0 is the version
that is being made: run it when what decco writes was changed on purpose.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from decco import __version__
from testbed.controlplane import ControlPlane
from tests.integration.by_hand import run_pods
from tests.integration.harness import Cluster, Decco
from tests.skew.world import FIXTURES, SETTINGS, people_make, save


def main() -> None:
    with ControlPlane() as cp, tempfile.TemporaryDirectory() as scratch:
        cp.install_gateway_api()
        cp.install_decco_crds()
        cp.restart_manager()
        cp.create("/api/v1/namespaces", {"metadata": {"name": "decco"}})
        with Decco(cp, Path(scratch), **SETTINGS) as decco:
            cluster = Cluster(cp)
            people_make(cluster)
            for phase in ("Running", "Succeeded"):
                run_pods(cluster, "skew-b", "job", phase)  # a Job without a ready pod would be reported after a while
            decco.settle(quiet=2.0)
            save(FIXTURES / __version__, cp)
    print(f"tests/skew/{__version__} is what version {__version__} writes")


if __name__ == "__main__":
    main()
