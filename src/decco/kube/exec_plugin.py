"""Running a credential plugin: a program that prints an ``ExecCredential`` (client.authentication.k8s.io).

kubernetes_asyncio reads the settings but does not run the plugin for us: it would let a plugin that hangs live on,
lend it the controller's standard input, and wait for ever on one that writes more than a pipe holds to standard error.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from decco.kube.connection import RETRY_SECONDS

EXPIRY_SKEW_SECONDS: Final = 60.0
"""Credentials that name their end are renewed this long before it, or after half their life if that is later."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a plugin gave: a token, or a client certificate with its key (both PEM), or all; "" for what it did not."""

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


async def run(args: Sequence[str], env: Mapping[str, str], api_version: str) -> Credentials:
    """Run the plugin to its end; if this is cancelled, it and what it started are ended.

    Raises OSError if it cannot be started, and ValueError with a sentence for everything that it does wrong.
    """
    info = {"apiVersion": api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
    process = await asyncio.create_subprocess_exec(
        *args,
        env={**env, "KUBERNETES_EXEC_INFO": json.dumps(info)},
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
        said = errors.decode("utf-8", "replace").strip()
        raise ValueError(f"it ended with status {process.returncode}" + (f": {said}" if said else ""))
    try:
        answer = json.loads(output)
    except ValueError as error:
        raise ValueError(f"it did not print JSON: {error}") from error
    if not isinstance(answer, dict) or answer.get("kind") != "ExecCredential":
        raise ValueError("it did not print an ExecCredential")
    if answer.get("apiVersion") != api_version:
        raise ValueError(f"it speaks {answer.get('apiVersion')!r}, the kubeconfig asks for {api_version!r}")
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
        raise ValueError("it gave an expirationTimestamp that is no RFC 3339 time") from error
    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    return Credentials(token, certificate, key, expires)
