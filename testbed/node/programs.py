"""The node's programs: Debian's, and those that are built from Go modules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from testbed import assets, gotool, packages, prerequisites
from testbed.found import AssetsMissing
from testbed.gotool import Tool

CONTAINERD_VERSION = "2.4.2"
CONTAINERD = "github.com/containerd/containerd/v2"
RUNC_VERSION = "1.3.4"
RUNC = Tool("runc", RUNC_VERSION, "runc_module", "github.com/opencontainers/runc", minutes=1, c_tags="seccomp")
"""With user namespaces, which Debian's 1.1 does not have."""
KUBERNETES = ("kubelet", "kube-proxy", "kube-scheduler")


def _containerd(name: str, minutes: float) -> Tool:
    version = ((f"{CONTAINERD}/version.Version", CONTAINERD_VERSION),)
    return Tool(name, CONTAINERD_VERSION, "containerd_module", f"{CONTAINERD}/cmd/{name}", version, minutes)


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of what the node runs."""

    containerd: Path
    shim: Path
    ctr: Path
    runc: Path
    """Debian's."""
    mapping_runc: Path
    """A newer one, with user namespaces."""
    kubelet: Path
    kube_proxy: Path
    scheduler: Path


def provide(version: str) -> Programs:
    """Gives all of them for one exact Kubernetes version; what is missing is installed or built.

    Raises:
        AssetsMissing: see the class.
    """
    if said := prerequisites.ensure(prerequisites.NODE):
        raise AssetsMissing(said)
    runc = packages.path_of("runc")
    assert runc is not None
    kubernetes = assets.provide(version, KUBERNETES).kubernetes
    return Programs(
        containerd=gotool.provide(_containerd("containerd", 2)),
        shim=gotool.provide(_containerd("containerd-shim-runc-v2", 0.5)),
        ctr=gotool.provide(_containerd("ctr", 0.5)),
        runc=runc,
        mapping_runc=gotool.provide(RUNC),
        kubelet=kubernetes["kubelet"],
        kube_proxy=kubernetes["kube-proxy"],
        scheduler=kubernetes["kube-scheduler"],
    )
