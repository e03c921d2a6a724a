"""What every peer in Python is started with. It imports nothing of decco: peers have an environment of their own."""

from __future__ import annotations

import argparse
import base64
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Arguments:
    """``recipe``: see bench/recipe.py; ``in_flight``: how many Spaces and Apps at once."""

    kubeconfig: Path
    recipe: Path
    in_flight: int


def arguments() -> Arguments:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    given = parser.parse_args()
    return Arguments(given.kubeconfig, given.recipe, given.in_flight)


def tls(kubeconfig: Path) -> tuple[ssl.SSLContext, str]:
    """The context and the URL of a kubeconfig with a client certificate in it."""
    content = yaml.safe_load(kubeconfig.read_text())
    cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    context = ssl.create_default_context(cadata=_part(cluster, "certificate-authority").decode())
    with tempfile.NamedTemporaryFile() as both:
        both.write(_part(user, "client-certificate") + b"\n" + _part(user, "client-key"))
        both.flush()
        context.load_cert_chain(both.name)
    return context, cluster["server"]


def _part(group: dict[str, str], name: str) -> bytes:
    if f"{name}-data" in group:
        return base64.b64decode(group[f"{name}-data"])
    return Path(group[name]).read_bytes()
