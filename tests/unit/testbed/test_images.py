"""The shelf of images: what changes has another name; and what is built of a Dockerfile."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from images.controller import build_root as controller
from images.stunnel import build_root as sidecar
from testbed import bareroot, golang
from testbed.found import AssetsMissing
from testbed.images import archive, built, engine, oci, pattern, shelf

DOCKERFILE = """\
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS build
COPY one more /in/
COPY folder /folder
FROM scratch
COPY --from=build /image /
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DECCO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Recipe:
    """An image of one file, which counts how often it is made."""

    def __init__(self) -> None:
        self.made = 0

    def provide(self, *ingredients: str | Path, user: str = "1:1") -> shelf.Image:
        def layers(scratch: Path) -> list[oci.Layer]:
            self.made += 1
            (scratch / "file").write_text("content")
            return [{"file": oci.file(scratch / "file")}]

        return shelf.provide("app", oci.Config(user=user), ingredients, layers)


def test_an_image_is_made_once(own_cache: Path) -> None:
    recipe = Recipe()
    first, again = recipe.provide("a"), recipe.provide("a")
    assert first == again
    assert recipe.made == 1
    assert first.archive.parent == own_cache / "images"
    assert first.size == first.archive.stat().st_size > 0
    first.archive.unlink()
    assert recipe.provide("a").archive.exists()
    assert recipe.made == 2


def test_what_has_changed_has_another_name(tmp_path: Path) -> None:
    recipe = Recipe()
    source = tmp_path / "source"
    source.mkdir()
    (source / "one").write_text("1")
    found = [recipe.provide(source), recipe.provide(source, user="2:2"), recipe.provide(source, "more")]
    (source / "one").write_text("2")
    found.append(recipe.provide(source))
    (source / "one").rename(source / "two")
    found.append(recipe.provide(source))
    assert len({image.reference for image in found}) == len({image.archive for image in found}) == recipe.made == 5
    assert all(image.reference.startswith("testbed.decco.invalid/app:") for image in found)


def test_ingredients_are_distinguished() -> None:
    assert shelf.fingerprint("ab", "c") != shelf.fingerprint("a", "bc") != shelf.fingerprint("a", "b", "c")


def test_an_image_that_cannot_be_made_leaves_nothing_and_says_why(own_cache: Path) -> None:
    def layers(_: Path) -> list[oci.Layer]:
        raise golang.GoFailed("there is no `go` on PATH")

    with pytest.raises(AssetsMissing, match="the image app cannot be made: there is no `go` on PATH"):
        shelf.provide("app", oci.Config(), [], layers)
    assert list((own_cache / "images").iterdir()) == []


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A folder with a Dockerfile, what that copies, and what it does not."""
    folder = tmp_path / "context"
    (folder / "folder").mkdir(parents=True)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    for name in ("one", "more", "folder/inside", "other"):
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize(
    ("name", "counts"),
    [("one", True), ("more", True), ("folder/inside", True), ("Dockerfile", True), ("other", False)],
)
def test_an_image_is_built_again_when_what_its_dockerfile_copies_has_changed(
    context: Path, name: str, counts: bool
) -> None:
    before = shelf.fingerprint(*built.inputs(context))
    (context / name).write_text("changed")
    assert (shelf.fingerprint(*built.inputs(context)) != before) == counts


@pytest.mark.parametrize(
    ("folder", "packages"), [(built.CHECKOUT, controller.PACKAGES), (built.SIDECAR, {*sidecar.PACKAGES, "python3"})]
)
def test_our_dockerfiles_install_what_their_recipes_need(folder: Path, packages: Iterable[str]) -> None:
    text = (folder / "Dockerfile").read_text()
    installed = re.search(r"--no-install-recommends \\\n(.*)\n", text)
    assert installed is not None
    assert set(installed[1].split()) == set(packages)
    base = engine.BASE.search(text)
    assert base is not None
    assert base[2] == bareroot.RELEASE
    assert len(list(built.inputs(folder))) > 1


@pytest.mark.parametrize(("status", "expected"), [(0, True), (1, False)])
def test_a_client_of_docker_without_a_daemon_is_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, expected: bool
) -> None:
    (tmp_path / "docker").write_text(f"#!/bin/sh\nexit {status}\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engine.has_docker.__wrapped__() is expected


def test_docker_builds_and_saves_under_the_name_and_the_time(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker").write_text(f'#!/bin/sh\necho "$SOURCE_DATE_EPOCH $@" >> {tmp_path}/calls\n')
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(engine, "has_docker", lambda: True)
    engine.build(context, "r/app:1", tmp_path / "app.tar", epoch=7)
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"7 build --tag r/app:1 {context}",
        f" save --output {tmp_path}/app.tar r/app:1",
    ]


def test_a_build_that_fails_says_what_the_engine_printed(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\necho not like this\nexit 3\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(engine, "has_docker", lambda: True)
    with pytest.raises(AssetsMissing, match=r"cannot be built: .* ended with status 3:\nnot like this"):
        engine.build(context, "r/app:1", tmp_path / "app.tar")


def test_without_an_engine_it_says_what_to_install(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "has_docker", lambda: False)
    monkeypatch.setattr(bareroot, "PATH", str(tmp_path))
    with pytest.raises(AssetsMissing, match="by root with buildah"):
        engine.build(context, "r/app:1", tmp_path / "app.tar")


def saved(path: Path, *layers: dict[str, str], container: str = "c") -> Path:
    """An archive as `docker save` writes one of an image that buildah built in this container."""

    def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))

    with tarfile.open(path, "w") as tar:
        for number, layer in enumerate(layers):
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as inner:
                for name, text in layer.items():
                    add(inner, name, text.encode())
            add(tar, f"{number}.tar", packed.getvalue())
        add(
            tar,
            "abc.json",
            json.dumps({"container": container, "config": {"User": "1:2", "Hostname": container}}).encode(),
        )
        names = [f"{number}.tar" for number in range(len(layers))]
        add(tar, "manifest.json", json.dumps([{"Config": "abc.json", "Layers": names}]).encode())
    return path


def test_the_layers_of_an_archive_cover_one_another(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tar", {"etc/x": "old", "etc/y": "y"}, {"etc/x": "new"})
    assert archive.unpack(path, tmp_path / "root") == {"User": "1:2", "Hostname": "c"}
    assert {each.name: each.read_text() for each in (tmp_path / "root/etc").iterdir()} == {"x": "new", "y": "y"}
    assert archive.digest(path) == "abc.json"
    with pytest.raises(ValueError, match="removes"):
        archive.unpack(saved(tmp_path / "b.tar", {"etc/.wh.x": ""}), tmp_path / "other")


def test_an_image_has_no_name_of_the_container_in_which_it_was_built(tmp_path: Path) -> None:
    for name in ("one", "two"):
        path = saved(tmp_path / f"{name}-saved.tar", {"etc/x": "x"}, container=name)
        archive.without_build_container(path, tmp_path / f"{name}.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert archive.unpack(tmp_path / "one.tar", tmp_path / "root") == {"User": "1:2"}
    assert (tmp_path / "root/etc/x").read_text() == "x"
    digest = archive.digest(tmp_path / "one.tar")
    with tarfile.open(tmp_path / "one.tar") as tar:
        config = tar.extractfile(digest)
        assert config is not None
        assert f"{hashlib.sha256(config.read()).hexdigest()}.json" == digest


def test_the_pattern_has_no_two_equal_blocks() -> None:
    size = 3 * pattern.BLOCK_BYTES + 5
    pieces = list(pattern.blocks(size))
    assert [len(piece) for piece in pieces] == [pattern.BLOCK_BYTES] * 3 + [5]
    assert len(set(pieces)) == 4
    assert list(pattern.blocks(0)) == []
