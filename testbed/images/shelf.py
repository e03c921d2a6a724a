"""Keeps the archives of images in the cache, each under a hash of all that goes into it.

The same hash is the image's tag: what has changed has another name, so that a node never runs an old image by mistake,
and never has a reason to pull one (``imagePullPolicy: IfNotPresent``).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from testbed import cache, golang
from testbed.found import AssetsMissing
from testbed.images import oci
from testbed.progress import step

HERE = Path(__file__).resolve().parent
REGISTRY = "testbed.decco.invalid"
"""A registry that cannot exist (RFC 2606), so that a pull by mistake fails at once."""
TAG_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is there: its name as pods say it, and the archive from which a node imports it."""

    name: str
    reference: str
    archive: Path

    @property
    def size(self) -> int:
        """Bytes of the archive."""
        return self.archive.stat().st_size


def provide(
    name: str,
    config: oci.Config,
    ingredients: Iterable[str | bytes | Path],
    layers: Callable[[Path], list[oci.Layer]],
    reference: str = "",
) -> Image:
    """Gives an image that is written without an engine, from the cache if that has one of the same ingredients.

    Args:
        name: the image's name without registry and tag.
        config: how a container starts.
        ingredients: all that ``layers`` depends on: texts, and files or folders by their content.
        layers: makes the layers; it may use the folder that it is given, until they are written.
        reference: what pods say, if they do not say the usual name.

    Raises:
        AssetsMissing: this machine lacks something to make it with.
    """

    def write(reference: str, archive: Path) -> None:
        with step(f"making the image {name}"), tempfile.TemporaryDirectory(prefix="decco-image-") as scratch:
            oci.write(archive, reference, layers(Path(scratch)), config)

    return kept(name, [repr(config), HERE / "oci.py", *ingredients], write, reference)


def kept(
    name: str, ingredients: Iterable[str | bytes | Path], write: Callable[[str, Path], None], reference: str = ""
) -> Image:
    """Gives an image; ``write`` makes its archive, under a reference, if the cache has none of the same ingredients.

    Raises:
        AssetsMissing: see ``provide``.
    """
    tag = fingerprint(name, "-".join(cache.go_platform()), *ingredients)[:TAG_LENGTH]
    image = Image(name, reference or f"{REGISTRY}/{name}:{tag}", cache.root() / "images" / f"{name}-{tag}.tar")
    if not image.archive.is_file():
        with cache.locked(f"image-{name}"):
            if not image.archive.is_file():
                try:
                    with cache.appearing(image.archive) as draft:
                        write(image.reference, draft)
                except golang.GoFailed as error:
                    raise AssetsMissing(f"the image {name} cannot be made: {error}") from error
    return image


def fingerprint(*ingredients: str | bytes | Path) -> str:
    """A hash in hex of texts, bytes, and files or folders with the names and the content of all that is in them."""
    whole = hashlib.sha256()
    for ingredient in ingredients:
        if isinstance(ingredient, Path) and ingredient.is_dir():
            files = [path for path in sorted(ingredient.rglob("*")) if path.is_file() and path.suffix != ".pyc"]
            part = fingerprint(*(piece for path in files for piece in (str(path.relative_to(ingredient)), path)))
        elif isinstance(ingredient, Path):
            with ingredient.open("rb") as file:
                part = hashlib.file_digest(file, "sha256").hexdigest()
        else:
            content = ingredient.encode() if isinstance(ingredient, str) else ingredient
            part = hashlib.sha256(content).hexdigest()
        # Parts of one length: nothing can move from one ingredient to the next unseen.
        whole.update(part.encode())
    return whole.hexdigest()
