"""Running a credential plugin: a program that prints an ``ExecCredential`` (client.authentication.k8s.io).

Follows client-go (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins)
for a program without a terminal: a plugin never gets the controller's standard input, and one that needs it
(``interactiveMode: Always``) is refused.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from decco.errors import ConfigError
from decco.frozen import frozen
from decco.kube.connection import RETRY_SECONDS
from decco.text import printable

PLUGIN_SECONDS: Final = 60.0
"""Time limit of a plugin: it may open a browser or call a slow cloud API."""
EXPIRY_SKEW_SECONDS: Final = 60.0
"""Credentials that name their end are renewed this long before it, or after half their life if that is later."""
API_GROUP: Final = "client.authentication.k8s.io"
EXTENSION: Final = f"{API_GROUP}/exec"
"""Name of the cluster's extension that is handed to plugins as ``config``."""
_TEXT: Final = 300
"""Characters of a plugin's own text that a message contains."""


@frozen
class Plugin:
    """How to call it."""

    args: list[str]
    env: dict[str, str]
    api_version: str
    info: str
    """JSON of the ExecCredential that it is passed."""
    install_hint: str


@frozen
class Credentials:
    """What a plugin gave: a token, or a client certificate with its key (both PEM), or all; "" for what is missing."""

    token: str
    certificate: str
    key: str
    expires: datetime | None

    def lasts(self) -> float:
        """Seconds until they should be renewed."""
        if self.expires is None:
            return math.inf
        left = (self.expires - datetime.now(UTC)).total_seconds()
        return max(left - EXPIRY_SKEW_SECONDS, left / 2, RETRY_SECONDS)


class CachedPlugin:
    """Runs a plugin, and keeps its credentials until they expire, the server refuses them or the settings change."""

    def __init__(self) -> None:
        self._run: Plugin | None = None
        self._given: Credentials | None = None

    async def credentials(
        self, settings: Mapping[str, Any], cluster: Mapping[str, Any], ca: bytes | None, where: str, *, rejected: bool
    ) -> Credentials:
        """The arguments are those of ``plugin``; ``where`` names the user for errors. Raises ConfigError."""
        where = f"the exec plugin {settings.get('command')!r} of {where}"
        try:
            wanted = plugin(settings, cluster, ca)
        except ValueError as error:
            raise ConfigError(f"{where} cannot be run: {printable(str(error), _TEXT)}") from error
        if self._given is not None and not rejected and self._run == wanted and self._given.lasts() > RETRY_SECONDS:
            return self._given
        try:
            async with asyncio.timeout(PLUGIN_SECONDS):
                self._given = await run(wanted)
        except FileNotFoundError as error:
            hint = f": {printable(wanted.install_hint, _TEXT)}" if wanted.install_hint else ""
            raise ConfigError(f"{where} is not installed{hint}") from error
        except TimeoutError as error:
            raise ConfigError(
                f"{where} gave no answer within {PLUGIN_SECONDS:g} s: run it by hand to see what it waits for"
            ) from error
        except (OSError, ValueError) as error:
            text = str(error)
            tail = text if len(text) <= _TEXT else f"… {text[-_TEXT:]}"
            raise ConfigError(f"{where} failed: {printable(tail, 2 * _TEXT)}") from error
        self._run = wanted
        return self._given


def plugin(settings: Mapping[str, Any], cluster: Mapping[str, Any], ca: bytes | None) -> Plugin:
    """Reads a user's ``exec``. ``cluster`` is the kubeconfig's, and ``ca`` its authority in PEM, also where it names a
    file: a plugin with provideClusterInfo is passed both. Raises ValueError with what is wrong.
    """
    command, version = settings.get("command"), settings.get("apiVersion")
    if not isinstance(command, str) or not command:
        raise ValueError("its command is missing: name the program")
    if not isinstance(version, str) or not version.startswith(f"{API_GROUP}/"):
        raise ValueError(f"its apiVersion is {version!r}, and must be {API_GROUP}/v1 or {API_GROUP}/v1beta1")
    mode = settings.get("interactiveMode") or "IfAvailable"
    if mode not in {"Never", "IfAvailable", "Always"}:
        raise ValueError(f"its interactiveMode is {mode!r}, and must be Never, IfAvailable or Always")
    if mode == "Always":
        raise ValueError("its interactiveMode is Always, but decco has no terminal: use a plugin without prompts")
    args, env = settings.get("args") or [], settings.get("env") or []
    if not isinstance(args, list) or not all(isinstance(arg, str) for arg in args):
        raise ValueError("its args must be a list of texts: write numbers in quotes")
    pairs = [(item.get("name"), item.get("value") or "") if isinstance(item, dict) else (None, "") for item in env]
    if not all(isinstance(name, str) and name and isinstance(value, str) for name, value in pairs):
        raise ValueError("its env must be a list of mappings with name and value, both texts")
    spec: dict[str, Any] = {"interactive": False}
    if settings.get("provideClusterInfo"):
        spec["cluster"] = _cluster(cluster, ca)
    # A kubeconfig is YAML, in which a cluster's config may have a date; Go's reader hands it on as text.
    info = json.dumps({"apiVersion": version, "kind": "ExecCredential", "spec": spec}, default=str)
    return Plugin(
        [command, *args],
        {str(name): value for name, value in pairs},
        version,
        info,
        str(settings.get("installHint") or ""),
    )


def _cluster(cluster: Mapping[str, Any], ca: bytes | None) -> dict[str, Any]:
    """The ``Cluster`` of k8s.io/client-go/pkg/apis/clientauthentication."""
    info: dict[str, Any] = {"server": cluster.get("server")}
    for name in ("tls-server-name", "insecure-skip-tls-verify", "proxy-url", "disable-compression"):
        if cluster.get(name):
            info[name] = cluster[name]
    if ca:
        info["certificate-authority-data"] = base64.b64encode(ca).decode()
    for extension in cluster.get("extensions") or ():
        if isinstance(extension, dict) and extension.get("name") == EXTENSION:
            info["config"] = extension.get("extension")
    return info


async def run(plugin: Plugin) -> Credentials:
    """Run the plugin to its end; if this is cancelled, it and what it started are ended.

    Raises OSError if it cannot be started, and ValueError with a message for any other failure.
    """
    process = await asyncio.create_subprocess_exec(
        *plugin.args,
        env={**os.environ, **plugin.env, "KUBERNETES_EXEC_INFO": plugin.info},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
    )
    try:
        output, errors = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):  # it has just ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()
        raise
    if process.returncode:
        text = errors.decode("utf-8", "replace").strip()
        raise ValueError(f"it ended with status {process.returncode}" + (f": {text}" if text else ""))
    try:
        answer = json.loads(output)
    except ValueError as error:
        raise ValueError(f"it did not print JSON: {error}") from error
    if not isinstance(answer, dict) or answer.get("kind") != "ExecCredential":
        raise ValueError("it did not print an ExecCredential")
    if answer.get("apiVersion") != plugin.api_version:
        raise ValueError(f"it speaks {answer.get('apiVersion')!r}, the kubeconfig asks for {plugin.api_version!r}")
    return _credentials(answer.get("status"))


def _credentials(status: Any) -> Credentials:
    fields = [
        (status.get(name) if isinstance(status, dict) else None) or ""
        for name in ("token", "clientCertificateData", "clientKeyData", "expirationTimestamp")
    ]
    if not all(isinstance(value, str) for value in fields):
        raise ValueError("it printed a status with fields that are not text")
    token, certificate, key, expiry = fields
    if bool(certificate) != bool(key) or not (token or certificate):
        raise ValueError("it gave neither a token nor a client certificate with its key")
    try:
        expires = datetime.fromisoformat(expiry) if expiry else None
    except ValueError as error:
        raise ValueError("it gave an expirationTimestamp that is not an RFC 3339 time") from error
    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    return Credentials(token, certificate, key, expires)
