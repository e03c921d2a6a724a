"""Writes kubeconfig files: one cluster, one user, one context; certificates by reference, as kubeadm does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from testbed.pki import KeyPair, write_private


def write_kubeconfig(
    path: Path,
    server: str,
    *,
    ca_file: Path | None = None,
    client: KeyPair | None = None,
    token: str | None = None,
    namespace: str = "default",
) -> Path:
    """Writes a kubeconfig (JSON, which is YAML) and returns its path.

    Args:
        path: the file to write; it becomes readable by its owner only.
        server: URL of the API server.
        ca_file: authority of the server's certificate; None for plain HTTP.
        client: certificate and key that authenticate the user.
        token: bearer token that authenticates the user.
        namespace: namespace of commands that name none.
    """
    cluster: dict[str, Any] = {"server": server}
    if ca_file is not None:
        cluster["certificate-authority"] = str(ca_file)
    user: dict[str, Any] = {}
    if client is not None:
        user = {"client-certificate": str(client.cert), "client-key": str(client.key)}
    if token is not None:
        user["token"] = token
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": cluster}],
        "users": [{"name": "testbed", "user": user}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed", "namespace": namespace}}],
        "current-context": "testbed",
    }
    write_private(path, json.dumps(config, indent=2).encode() + b"\n")
    return path
