"""The shelf of images: what changes has another name; and what the sidecar's Dockerfile says, the archive says."""

from __future__ import annotations

from pathlib import Path

import pytest

from images.stunnel import build_root
from testbed import golang
from testbed.found import AssetsMissing
from testbed.images import oci, pattern, shelf
from testbed.images.recipe import config_of

DOCKERFILE = (build_root.HERE / "Dockerfile").read_text()


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


def test_the_sidecars_archive_starts_as_the_dockerfile_says() -> None:
    config = config_of(DOCKERFILE)
    assert config.entrypoint == (build_root.ENTRYPOINT,)
    assert config.cmd == (build_root.CONFIG,)
    assert config.user == f"{build_root.USER_ID}:{build_root.USER_ID}"
    assert config.labels["org.opencontainers.image.title"] == "decco TLS sidecar"


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        ("ADD x /y", "ADD: not known here"),
        ("FROM debian", "the Dockerfile's last stage is not FROM scratch"),
    ],
)
def test_what_the_dockerfile_says_beside_that_is_not_overlooked(instruction: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config_of(f"{DOCKERFILE}{instruction}\n")


def test_the_pattern_has_no_two_equal_blocks() -> None:
    size = 3 * pattern.BLOCK_BYTES + 5
    pieces = list(pattern.blocks(size))
    assert [len(piece) for piece in pieces] == [pattern.BLOCK_BYTES] * 3 + [5]
    assert len(set(pieces)) == 4
    assert list(pattern.blocks(0)) == []
