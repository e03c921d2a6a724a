"""Finds or makes Helm 3: the cache, PATH, a build from its Go module.

decco's chart and the charts of other parts are rendered by the program that people use, not by an imitation of it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from testbed import cache, golang
from testbed.found import AssetsMissing, program
from testbed.progress import step
from testbed.versions import DEFAULT_KUBERNETES, HELM_MODULE, HELM_VERSION

MODULE = Path(__file__).resolve().parent / "helm_module"


def provide() -> Path:
    """Gives a Helm 3; where there is none, it is built (some minutes, once) and cached.

    Raises:
        AssetsMissing: there is none, and it cannot be built.
    """
    built = cache.programs("helm", HELM_VERSION) / "helm"
    if found := program(built):
        return found
    on_path = shutil.which("helm")
    if on_path and is_helm_3(Path(on_path)):
        return Path(on_path)
    try:
        with cache.locked("helm"):
            return program(built) or _build(built)
    except golang.GoFailed as error:
        raise AssetsMissing(f"Helm is not to be had: {error}\n  Install Go or Helm 3.") from error


def is_helm_3(helm: Path) -> bool:
    """Whether a program says that it is Helm 3; charts of this version are what decco ships."""
    done = subprocess.run([helm, "version", "--short"], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.startswith("v3.")


def _build(target: Path) -> Path:
    # Without these, Helm takes itself for an unreleased version and the cluster that it renders for as Kubernetes 1.20.
    major, minor = DEFAULT_KUBERNETES.split(".")
    linker = " ".join(
        f"-X helm.sh/helm/v3/{variable}={value}"
        for variable, value in {
            "internal/version.version": f"v{HELM_VERSION}",
            "pkg/chartutil.k8sVersionMajor": major,
            "pkg/chartutil.k8sVersionMinor": minor,
            "pkg/lint/rules.k8sVersionMajor": major,
            "pkg/lint/rules.k8sVersionMinor": minor,
        }.items()
    )
    with (
        step(f"building Helm {HELM_VERSION} from its Go module (some minutes, once)"),
        cache.appearing(target) as draft,
    ):
        golang.build(MODULE, HELM_MODULE, draft, linker)
    return target


if __name__ == "__main__":
    print(provide())
