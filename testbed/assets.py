"""Finds or makes the programs of a control plane, so that `make demo` and `make test` need nothing installed before.

Kubernetes: ``$KUBEBUILDER_ASSETS``, the cache, the official build if its server answers, a build from Go modules.
``testbed.etcd`` does the same for etcd.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import cache, download, etcd, golang
from testbed.found import GIVEN, AssetsMissing, given, program
from testbed.progress import step
from testbed.versions import (
    CERT_MANAGER,
    CONTROL_PLANE,
    ENVOY_GATEWAY,
    EXTERNAL_DNS,
    GATEWAY_API,
    ISTIO_API,
    Module,
    kubernetes_version,
)

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Binaries:
    """Programs of one control plane: ``kubernetes`` by name, as ``kubectl``."""

    etcd: Path
    kubernetes: dict[str, Path]


def provide(version: str, programs: Sequence[str] = CONTROL_PLANE) -> Binaries:
    """Gives etcd and those programs of one exact Kubernetes version; what is not cached is made and cached.

    Raises:
        AssetsMissing: see the class.
    """
    _refuse_other_minor(version)
    found = {name: given(name) or _cached(version, name) for name in programs}
    if None in found.values():
        with cache.locked("kubernetes"):
            for name in programs:
                found[name] = found[name] or _cached(version, name) or _make(version, name)
    return Binaries(etcd.provide(), {name: path for name, path in found.items() if path})


def gateway_api_crds() -> list[Path]:
    """The files with the CRDs of the Gateway API's standard channel (and a policy that belongs to them).

    Raises:
        AssetsMissing: see the class.
    """
    folder = cache.root() / "gateway-api" / GATEWAY_API.version
    if not folder.is_dir():
        with cache.locked("kubernetes"):
            if not folder.is_dir():
                _make_gateway_api_crds(folder)
    return sorted(folder.glob("*.yaml"))


def _make_gateway_api_crds(folder: Path) -> None:
    what = f"the CRDs of the Gateway API {GATEWAY_API.version}"
    try:
        with step(f"taking {what} from its Go module"), cache.appearing(folder) as draft:
            source = golang.module_folder(GATEWAY_API, HERE) / "config" / "crd" / "standard"
            draft.mkdir()
            for file in source.glob("gateway.networking.k8s.io_*.yaml"):
                shutil.copyfile(file, draft / file.name)
    except golang.GoFailed as error:
        if not download.reachable(download.GITHUB):
            raise AssetsMissing(f"{what} are not to be had: {error}") from error
        try:
            with step(f"downloading {what}"), cache.appearing(folder) as draft:
                draft.mkdir()
                download.fetch(download.gateway_api(GATEWAY_API.version), draft / "standard-install.yaml")
        except download.DownloadFailed as failed:
            raise AssetsMissing(f"{what} are not to be had: {error}\n  {failed}") from failed


def cert_manager_crds() -> list[Path]:
    """The files with the CRDs of cert-manager.

    Raises:
        AssetsMissing: see the class.
    """
    return _module_crds("cert-manager", CERT_MANAGER, "deploy/crds", "*cert-manager.io_*.yaml")


def envoy_gateway_crds() -> list[Path]:
    """The files with the CRDs of Envoy Gateway.

    Raises:
        AssetsMissing: see the class.
    """
    folder = "charts/gateway-helm/charts/crds/crds/generated"
    return _module_crds("envoy-gateway-crds", ENVOY_GATEWAY, folder, "gateway.envoyproxy.io_*.yaml")


def istio_crds() -> list[Path]:
    """The file with the CRDs of Istio.

    Raises:
        AssetsMissing: see the class.
    """
    return _module_crds("istio-crds", ISTIO_API, "kubernetes", "customresourcedefinitions.gen.yaml")


def _module_crds(name: str, module: Module, inside: str, files: str) -> list[Path]:
    folder = cache.root() / name / module.version
    if not folder.is_dir():
        what = f"the CRDs of {module.path} {module.version}"
        try:
            with cache.locked("kubernetes"), step(f"taking {what} from its Go module"):
                if not folder.is_dir():
                    source = golang.module_folder(module, HERE) / inside
                    with cache.appearing(folder) as draft:
                        draft.mkdir()
                        for file in source.glob(files):
                            shutil.copyfile(file, draft / file.name)
        except golang.GoFailed as error:
            raise AssetsMissing(f"{what} are not to be had: {error}") from error
    return sorted(folder.glob("*.yaml"))


def external_dns_crd() -> Path:
    """The file with ExternalDNS's own CRD of DNSEndpoint.

    Raises:
        AssetsMissing: see the class.
    """
    target = cache.root() / "external-dns" / EXTERNAL_DNS.version / "dnsendpoints.externaldns.k8s.io.yaml"
    if not target.is_file():
        what = f"the CRD of DNSEndpoint {EXTERNAL_DNS.version}"
        try:
            with (
                cache.locked("external-dns"),
                step(f"taking {what} from its Go module"),
                cache.appearing(target) as draft,
            ):
                source = golang.module_folder(EXTERNAL_DNS, HERE) / "config" / "crd" / "standard" / target.name
                shutil.copyfile(source, draft)
        except golang.GoFailed as error:
            raise AssetsMissing(f"{what} is not to be had: {error}") from error
    return target


def without_go() -> bool:
    """Whether a control plane can be had without Go: its programs are here, or the official server answers."""
    version = kubernetes_version()
    here = all(given(name) or _cached(version, name) for name in CONTROL_PLANE)
    return here or (cache.go_platform()[0] == "linux" and _official_reachable())


def _refuse_other_minor(version: str) -> None:
    """Refuses a folder ``$KUBEBUILDER_ASSETS`` of another minor version, which would fail later with misleading errors.

    Raises:
        AssetsMissing: see the class.
    """
    apiserver = given("kube-apiserver")
    if apiserver is None:
        return
    done = subprocess.run([apiserver, "--version"], capture_output=True, text=True, check=False)
    minor = re.search(r"v(\d+\.\d+)\.", done.stdout)
    if minor is None or not version.startswith(f"{minor[1]}."):
        raise AssetsMissing(
            f"{GIVEN} holds {done.stdout.strip() or apiserver}, but Kubernetes {version} is wanted: "
            f"unset it, or set KUBE_VERSION to what it holds"
        )


def _cached(version: str, name: str) -> Path | None:
    return program(cache.programs("kubernetes", version) / name)


@functools.cache
def _official_reachable() -> bool:
    return download.reachable(download.KUBERNETES)


def _make(version: str, name: str) -> Path:
    target = cache.programs("kubernetes", version) / name
    tried: list[str] = []
    # There are no official servers for other systems than Linux.
    if cache.go_platform()[0] == "linux" and _official_reachable():
        try:
            with step(f"downloading {name} {version}"), cache.appearing(target) as draft:
                download.fetch_kubernetes(version, cache.go_platform(), name, draft)
            return target
        except download.DownloadFailed as error:
            tried.append(str(error))
    else:
        tried.append(f"{download.KUBERNETES} does not answer here")
    minor = version.rsplit(".", 1)[0]
    module = HERE / "kubernetes" / minor
    linker = " ".join(
        f"-X k8s.io/component-base/version.{key}={value}"
        for key, value in {
            "gitVersion": f"v{version}",
            "gitMajor": minor.split(".")[0],
            "gitMinor": minor.split(".")[1],
        }.items()
    )
    try:
        hint = " (some minutes, once)" if name == "kube-apiserver" else ""
        with step(f"building {name} {version} from Go modules{hint}"), cache.appearing(target) as draft:
            golang.build(module, f"k8s.io/kubernetes/cmd/{name}", draft, linker)
    except golang.GoFailed as error:
        tried.append(str(error))
        raise AssetsMissing(
            "\n  ".join(
                [
                    f"{name} {version} is not to be had:",
                    *tried,
                    f"Install Go, or set {GIVEN} to a folder with {', '.join(CONTROL_PLANE)} and etcd.",
                ]
            )
        ) from error
    return target
