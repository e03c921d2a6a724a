"""OCI archives, read back by the specification: what is written says the truth about itself."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed import cache
from testbed.images import oci

NAME = "registry.invalid/group/app:1.0"
CONFIG = oci.Config(
    entrypoint=["/app"],
    cmd=["serve", "--port", "8080"],
    env={"B": "2", "A": "1"},
    workdir="/srv",
    ports=["8080/tcp"],
    labels={"title": "an app"},
)


class Archive:
    """An archive as a reader sees it: by following the descriptors from index.json, each of which is checked."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as tar:
            self.members = {member.name: member for member in tar}
            self.files = {name: _content(tar, member) for name, member in self.members.items() if member.isfile()}
        self.index = json.loads(self.files["index.json"])
        self.used = {"oci-layout", "index.json"}
        [self.entry] = self.index["manifests"]
        self.manifest = json.loads(self.blob(self.entry))
        self.config = json.loads(self.blob(self.manifest["config"]))
        self.layers = [self.blob(layer) for layer in self.manifest["layers"]]

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        algorithm, _, digest = descriptor["digest"].partition(":")
        name = f"blobs/{algorithm}/{digest}"
        content = self.files[name]
        self.used.add(name)
        assert algorithm == "sha256"
        assert hashlib.sha256(content).hexdigest() == digest
        assert len(content) == descriptor["size"]
        return content

    def entries(self) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
        for layer in self.layers:
            with tarfile.open(fileobj=io.BytesIO(layer), mode="r:") as tar:
                for member in tar:
                    yield member, _content(tar, member) if member.isfile() else None


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def archive(folder: Path, *layers: oci.Layer, config: oci.Config = CONFIG) -> Archive:
    oci.write(folder / "image.tar", NAME, layers, config)
    assert [path.name for path in folder.iterdir()] == ["image.tar"]  # nothing is left beside it
    return Archive(folder / "image.tar")


def test_it_says_of_itself_what_is_true(tmp_path: Path) -> None:
    image = archive(tmp_path, {"app": oci.program(b"one")}, {"srv/page": oci.file("two")})
    assert json.loads(image.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    assert image.index["schemaVersion"] == image.manifest["schemaVersion"] == 2
    assert (image.index["mediaType"], image.entry["mediaType"], image.manifest["mediaType"]) == (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
    )
    assert image.manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    assert [layer["mediaType"] for layer in image.manifest["layers"]] == ["application/vnd.oci.image.layer.v1.tar"] * 2
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in image.layers]
    assert image.config["rootfs"] == {"type": "layers", "diff_ids": diff_ids}
    assert len(set(diff_ids)) == 2
    assert image.used == set(image.files)  # no unreferenced blob


def test_it_has_its_name_for_containerd_and_its_tag_by_the_standard(tmp_path: Path) -> None:
    entry = archive(tmp_path, {"app": oci.program(b"")}).entry
    assert entry["annotations"] == {"io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": "1.0"}


def test_its_configuration_is_that_of_a_dockerfile(tmp_path: Path) -> None:
    image = archive(tmp_path, {"app": oci.program(b"")})
    assert image.config["config"] == {
        "User": "65532:65532",
        "Env": ["A=1", "B=2", f"PATH={oci.PATH}"],
        "Entrypoint": ["/app"],
        "Cmd": ["serve", "--port", "8080"],
        "WorkingDir": "/srv",
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": {"title": "an app"},
    }
    platform = dict(zip(("os", "architecture"), cache.go_platform(), strict=True))
    assert image.entry["platform"] == platform
    assert {key: image.config[key] for key in platform} == platform


def test_files_have_their_modes_and_belong_to_root_at_time_zero(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"from a file")
    content = {
        "usr/bin/app": oci.program(b"\x7fELF"),
        "etc/app.conf": oci.file("text"),
        "etc/secret": oci.file(b"s", 0o400),
        "data": oci.file(tmp_path / "data"),
        "tmp": oci.folder(0o1777),
        "a" * 200 + "/long": oci.file("x"),
    }
    (tmp_path / "out").mkdir()
    image = archive(tmp_path / "out", content)
    found = {member.name: (member.mode, data) for member, data in image.entries()}
    assert found == {
        "a" * 200: (0o755, None),
        "a" * 200 + "/long": (0o644, b"x"),
        "data": (0o644, b"from a file"),
        "etc": (0o755, None),
        "etc/app.conf": (0o644, b"text"),
        "etc/secret": (0o400, b"s"),
        "tmp": (0o1777, None),
        "usr": (0o755, None),
        "usr/bin": (0o755, None),
        "usr/bin/app": (0o755, b"\x7fELF"),
    }
    assert list(found) == sorted(found)  # so a folder comes before what is in it
    for member in [*image.members.values(), *(member for member, _ in image.entries())]:
        assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", 0), member.name


def test_the_same_content_is_the_same_archive(tmp_path: Path) -> None:
    """Whatever the order in which it is named, and whatever the times and owners of the files that it comes from."""
    made = []
    for turn, names in enumerate((["b", "a/c", "a/b"], ["a/b", "b", "a/c"])):
        folder = tmp_path / str(turn)
        for name in names:
            path = folder / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        config = oci.Config(env=dict(sorted({"X": "1", "Y": "2"}.items(), reverse=bool(turn))))
        oci.write(folder / "image.tar", NAME, [oci.tree(folder / "root")], config)
        made.append((folder / "image.tar").read_bytes())
    assert made[0] == made[1]


def test_a_folder_on_disk_comes_with_its_modes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True, mode=0o700)
    (root / "etc" / "file").write_text("x")
    (root / "etc").chmod(0o711)
    (root / "etc" / "file").chmod(0o640)
    assert oci.tree(root) == {"etc": oci.folder(0o711), "etc/file": oci.file(root / "etc/file", 0o640)}
    (root / "link").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="link is neither a file nor a folder"):
        oci.tree(root)


def test_two_layers_of_the_same_content_are_one_blob(tmp_path: Path) -> None:
    image = archive(tmp_path, {"a": oci.file("x")}, {"a": oci.file("x")})
    assert len(image.layers) == len(image.config["rootfs"]["diff_ids"]) == 2
    assert len([name for name in image.files if name.startswith("blobs/")]) == 3


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../up", "", "."])
def test_a_path_that_leads_out_of_the_image_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="is no path below the root of an image"):
        oci.write(tmp_path / "image.tar", NAME, [{path: oci.file("x")}], CONFIG)


@pytest.mark.parametrize("reference", ["app", "app:1", "registry.invalid/app", "registry.invalid:5000/app", "r/app:"])
def test_a_name_that_containerd_would_not_take_as_it_is_is_refused(tmp_path: Path, reference: str) -> None:
    with pytest.raises(ValueError, match="write it as registry/name:tag"):
        oci.write(tmp_path / "image.tar", reference, [], CONFIG)
