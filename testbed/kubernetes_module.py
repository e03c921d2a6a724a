"""Writes testbed/kubernetes/<minor>/go.mod and go.sum: a small module that has Kubernetes' programs as its tools.

``k8s.io/kubernetes`` cannot be installed by ``go install``: its go.mod replaces the staging modules by folders of its
own repository. The module written here replaces each of them by its published version instead. Run it when a new patch
version is taken into ``testbed/versions.py``: ``python -m testbed.kubernetes_module 1.37``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from testbed.golang import go
from testbed.versions import KUBERNETES

FOLDER = Path(__file__).resolve().parent / "kubernetes"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")


def go_mod_for(version: str, theirs: str) -> str:
    """The go.mod that replaces each staging module of Kubernetes' own go.mod by its published version.

    Args:
        version: of Kubernetes, as ``1.37.2``; its staging modules are published as ``v0.37.2``.
        theirs: content of Kubernetes' own go.mod.
    """
    published = "v0." + version.removeprefix("1.")
    [language] = re.findall(r"^go (\S+)$", theirs, re.MULTILINE)
    staging = sorted(set(re.findall(r"^\s*(?:replace )?(k8s\.io/\S+) => \./staging/", theirs, re.MULTILINE)))
    lines = ["module decco.platform9.com/testbed/kubernetes", "", f"go {language}", ""]
    return "\n".join(lines + [f"replace {name} => {name} {published}\n" for name in staging])


def write_module(minor: str) -> None:
    """Writes the module of one minor from scratch."""
    version = KUBERNETES[minor]
    folder = FOLDER / minor
    folder.mkdir(parents=True, exist_ok=True)
    downloaded = json.loads(go(["mod", "download", "-json", f"k8s.io/kubernetes@v{version}"], FOLDER))
    (folder / "go.mod").write_text(go_mod_for(version, Path(downloaded["GoMod"]).read_text()))
    (folder / "go.sum").unlink(missing_ok=True)
    go(["get", "-tool", *(f"k8s.io/kubernetes/cmd/{program}@v{version}" for program in PROGRAMS)], folder)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in KUBERNETES:
        sys.exit(f"usage: python -m testbed.kubernetes_module {'|'.join(KUBERNETES)}")
    write_module(sys.argv[1])
