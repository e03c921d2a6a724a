"""A cold copy of etcd's data, and the way back to it: what an operator does after a disaster.

As the Kubernetes manual asks for, the API server is stopped before etcd's data is replaced, and started afterwards.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from testbed.controlplane import ControlPlane


def snapshot(cp: ControlPlane) -> Path:
    """Copies etcd's data; the control plane is away for the moment, and runs on afterwards."""
    copy = cp.folder / "etcd-snapshot"
    cp.stop_apiserver(kill=True)
    cp.stop_etcd()
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(cp.etcd_folder, copy)
    _start(cp)
    return copy


def restore(cp: ControlPlane, copy: Path, *, writes: int = 0) -> None:
    """Puts the copy in the place of etcd's data: resourceVersions go back, and what came later never was.

    ``writes``: so many ConfigMap versions are written before anybody else is connected, so that the new history
    overtakes the lost one.
    """
    cp.stop_apiserver(kill=True)
    cp.stop_etcd()
    shutil.rmtree(cp.etcd_folder)
    shutil.copytree(copy, cp.etcd_folder)
    _start(cp)
    if writes:
        path = "/api/v1/namespaces/default/configmaps"
        cp.create(path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "overtakes"}})
        for n in range(writes):
            cp.request(
                "PATCH",
                f"{path}/overtakes",
                {"data": {"n": str(n)}},
                headers={"Content-Type": "application/merge-patch+json"},
            )


def _start(cp: ControlPlane) -> None:
    cp.start_etcd()
    cp.start_apiserver()
    cp.restart_manager()
