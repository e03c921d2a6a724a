"""Which images there are: one function each, which gives the name that a pod says and the archive that a node imports.

    image = catalog.echo()
    ctr -n k8s.io images import <image.archive>       then a pod may say image: <image.reference>

An archive that is not in the cache is made: in seconds, those of Dockerfiles in minutes.
"""

from __future__ import annotations

from collections.abc import Callable

from testbed.images.built import controller, stunnel
from testbed.images.envoy import envoy
from testbed.images.programs import busybox, echo, go_program, of_examples, pause
from testbed.images.shelf import REGISTRY, Image

__all__ = [
    "IMAGES",
    "REGISTRY",
    "Image",
    "busybox",
    "controller",
    "echo",
    "envoy",
    "go_program",
    "of_examples",
    "pause",
    "stunnel",
]

IMAGES: dict[str, Callable[[], Image]] = {
    "pause": pause,
    "echo": echo,
    "busybox": busybox,
    "examples": of_examples,
    "stunnel": stunnel,
    "envoy": envoy,
    "controller": controller,
}
"""Those that are made of this repository and of packages alone; ``go_program`` is for programs built elsewhere."""
