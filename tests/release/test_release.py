"""What ``make release`` builds: complete, the same twice, and accepted by those that it is for."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from decco import __version__
from testbed import bundle as olm
from testbed import registry
from testbed.images import oci
from tests.release.conftest import build

IMAGES = ("controller", "stunnel")


def archive(release: Path, name: str) -> Path:
    [found] = release.glob(f"decco-{name}-{__version__}*.oci.tar")
    return found


def sbom(release: Path, name: str) -> dict[str, Any]:
    [found] = release.glob(f"decco-{name}-*.spdx.json")
    return dict(json.loads(found.read_text()))


def test_its_parts(release: Path) -> None:
    names = {path.name for path in release.iterdir()}
    machine = archive(release, "controller").name.partition("linux-")[2].partition(".")[0]
    assert names == {
        f"decco-{__version__}-py3-none-any.whl",
        f"decco-{__version__}.tar.gz",
        f"decco-{__version__}.tgz",
        f"decco-{__version__}.yaml",
        f"decco-{__version__}-policies.yaml",
        *(f"decco-{name}-{__version__}-linux-{machine}.oci.tar" for name in IMAGES),
        *(f"decco-{name}-{__version__}-linux-{machine}.spdx.json" for name in IMAGES),
        f"decco-bundle-{__version__}",
        f"decco-bundle-{__version__}.oci.tar",
        "release.json",
        "SHA256SUMS",
    }


def test_the_checksums(release: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=release, check=True)
    listed = {line.partition("  ")[2] for line in (release / "SHA256SUMS").read_text().splitlines()}
    there = {path.relative_to(release).as_posix() for path in release.rglob("*") if path.is_file()}
    assert listed == there - {"SHA256SUMS"}


def test_it_is_the_same_twice(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another folder, another time zone and language, and with nothing that the first build left in the cache of
    images.
    """
    cache = tmp_path / "cache"
    known = registry.provide().parents[2]
    cache.mkdir()
    for path in known.iterdir():
        if path.is_dir() and path.name != "images":
            (cache / path.name).symlink_to(path)
    build(tmp_path / "again", DECCO_CACHE=str(cache), TZ="Asia/Tokyo", LC_ALL="C")
    first, second = ((folder / "SHA256SUMS").read_text() for folder in (release, tmp_path / "again"))
    assert second.splitlines() == first.splitlines()


@pytest.mark.parametrize("name", [*IMAGES, "bundle"])
def test_a_registry_takes_the_images_and_serves_them_by_their_digest(release: Path, name: str, tmp_path: Path) -> None:
    digests = json.loads((release / "release.json").read_text())["images"]
    source = archive(release, name)
    with registry.serving(tmp_path) as address:
        push(source, f"http://{address}/v2/decco-project/{name}")
        url = f"http://{address}/v2/decco-project/{name}/manifests/{__version__}"
        request = urllib.request.Request(url, headers={"Accept": oci.MANIFEST})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.headers["Docker-Content-Digest"] == digests[source.name]
            manifest = json.load(answer)
    if name != "bundle":
        assert manifest["annotations"]["org.opencontainers.image.version"] == __version__
        assert all(layer["mediaType"].endswith("tar+gzip") for layer in manifest["layers"])


def push(source: Path, url: str) -> None:
    """As clients of registries do: https://github.com/opencontainers/distribution-spec."""
    with tarfile.open(source) as tar:

        def read(name: str) -> bytes:
            file = tar.extractfile(name)
            assert file is not None
            return file.read()

        [listed] = json.loads(read("index.json"))["manifests"]
        content = read(f"blobs/sha256/{listed['digest'].removeprefix('sha256:')}")
        manifest = json.loads(content)
        for blob in [manifest["config"], *manifest["layers"]]:
            data = read(f"blobs/sha256/{blob['digest'].removeprefix('sha256:')}")
            assert (len(data), hashlib.sha256(data).hexdigest()) == (blob["size"], blob["digest"][7:])
            start = urllib.request.Request(f"{url}/blobs/uploads/", method="POST")
            with urllib.request.urlopen(start, timeout=30) as answer:
                where = answer.headers["Location"]
            put = f"{where}{'&' if '?' in where else '?'}digest={blob['digest']}"
            kind = {"Content-Type": "application/octet-stream"}
            urllib.request.urlopen(urllib.request.Request(put, data, kind, method="PUT"), timeout=60).close()
    put = f"{url}/manifests/{listed['annotations'][oci.TAG]}"
    kind = {"Content-Type": oci.MANIFEST}
    urllib.request.urlopen(urllib.request.Request(put, content, kind, method="PUT"), timeout=30).close()


@pytest.mark.parametrize(
    ("name", "packages"),
    [
        (
            "controller",
            {"python3.11-minimal", "libssl3", "ca-certificates", "decco", "aiohttp", "pydantic", "botocore"},
        ),
        ("stunnel", {"stunnel4", "libssl3", "libc6", "ca-certificates"}),
    ],
)
def test_what_is_in_an_image_is_listed(release: Path, name: str, packages: set[str]) -> None:
    document = sbom(release, name)
    assert document["spdxVersion"] == "SPDX-2.3"
    found = {each["name"]: each for each in document["packages"]}
    assert packages <= found.keys()
    for each in packages:
        assert found[each]["versionInfo"]
        kinds = {reference["referenceType"] for reference in found[each]["externalRefs"]}
        assert "purl" in kinds
    if "decco" in packages:
        assert found["decco"]["versionInfo"] == __version__
    assert document["documentNamespace"].startswith("https://decco.platform9.com/spdx/")


WARNINGS = {
    "this bundle is using APIs which were deprecated and removed in v1.25": "it sees the names of resources, not the "
    "groups and versions: decco uses events.k8s.io/v1 and policy/v1",
    "RBAC includes permission to create/update poddisruptionbudgets": "tenants may have budgets in their namespaces",
}


def test_the_bundle_is_accepted(release: Path) -> None:
    said = olm.verdict(olm.provide(), release / f"decco-bundle-{__version__}")
    assert [line for line in said if not any(each in line for each in WARNINGS)] == []
    for each in WARNINGS:
        assert any(each in line for line in said), f"no longer needed: {each}"


def test_a_wrong_bundle_is_refused(release: Path, tmp_path: Path) -> None:
    """The judge judges: without a CRD that the ClusterServiceVersion owns."""
    folder = tmp_path / "bundle"
    subprocess.run(["cp", "-r", str(release / f"decco-bundle-{__version__}"), str(folder)], check=True)
    (folder / "manifests" / "apps.decco.platform9.com.customresourcedefinition.yaml").unlink()
    said = olm.verdict(olm.provide(), folder)
    assert any(line.startswith("error: ") and "Kind=App" in line for line in said), said
