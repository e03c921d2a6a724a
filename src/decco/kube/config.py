"""Finds the cluster's API server and reads the credentials for it, in the order and by the rules of client-go.

kubernetes_asyncio, the usual way to do this in Python, is not used: see docs/design/2026-11-29-start-up.md.
"""

from __future__ import annotations

import asyncio
import base64
import math
import os
import ssl
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from decco.errors import ConfigError
from decco.frozen import frozen
from decco.kube.connection import Access, Connection, Source
from decco.kube.exec_plugin import CachedPlugin
from decco.kube.kubeconfig import ContextInUse, content_of, read, read_file
from decco.kube.oidc import OidcTokens
from decco.kube.tls import client_context
from decco.proxy import is_http_url, proxy_from_environment, proxy_url

FILE_SECONDS: Final = 60.0
"""Token files are read again this often, as in client-go; a kubelet renews a token many minutes before its end."""
CERTIFICATE_SECONDS: Final = 300.0
"""Certificate files are read again this often, as in client-go."""
DEFAULT_KUBECONFIG: Final = "~/.kube/config"
SERVICE_HOST: Final = "KUBERNETES_SERVICE_HOST"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


async def connect(kubeconfig: str | None = None, context: str | None = None) -> Connection:
    """Find the cluster and load the credentials; nothing is sent to it.

    In this order: the file given; the files of $KUBECONFIG; ~/.kube/config; the service account of the pod. Raises
    ConfigError with a one-line message.
    """
    source = await asyncio.to_thread(_find, kubeconfig, context)
    return Connection.of(source, await source.load())


def _find(kubeconfig: str | None, context: str | None) -> Source:
    if kubeconfig:
        return KubeconfigSource([Path(kubeconfig).expanduser().absolute()], context)
    listed = [Path(p).expanduser().absolute() for p in os.environ.get("KUBECONFIG", "").split(os.pathsep) if p]
    if listed:
        present = [p for p in listed if p.exists()]
        if not present:
            raise ConfigError(
                f"KUBECONFIG names no file that exists: {os.pathsep.join(map(str, listed))}; "
                "correct it, or name a file with --kubeconfig"
            )
        return KubeconfigSource(present, context)
    default = Path(DEFAULT_KUBECONFIG).expanduser()
    if default.exists():
        return KubeconfigSource([default], context)
    if context:
        raise ConfigError(
            f"context {context!r} was asked for, but there is no kubeconfig: {default} does not exist; "
            "name a file with --kubeconfig"
        )
    if not os.environ.get(SERVICE_HOST):
        raise ConfigError(
            f"no cluster to connect to: no kubeconfig was given, KUBECONFIG is not set, {default} does not exist, and "
            f"this process does not run in a pod ({SERVICE_HOST} is not set); name a file with --kubeconfig"
        )
    return InClusterSource()


class InClusterSource:
    """The service account of the pod we run in."""

    def __init__(self) -> None:
        self._tls = lru_cache(maxsize=1)(client_context)

    def describe(self) -> str:
        return "service account of this pod"

    async def load(self, *, rejected: bool = False) -> Access:
        del rejected  # the files are read at each load anyway
        return await asyncio.to_thread(self._load)

    def _load(self) -> Access:
        where = "the pod's service account"
        host, port = os.environ.get(SERVICE_HOST, ""), os.environ.get("KUBERNETES_SERVICE_PORT") or "443"
        server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        try:
            token = (SERVICE_ACCOUNT / "token").read_text()
            ca = (SERVICE_ACCOUNT / "ca.crt").read_bytes()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{where} cannot be used: {error}; "
                "let the pod mount its token (automountServiceAccountToken), or give --kubeconfig"
            ) from error
        return Access(
            server=server,
            ssl=self._tls(ca=ca, certificate=None, key=None, verify=True, where=where),
            proxy=proxy_from_environment(server),
            server_hostname=None,
            authorization=_bearer(token, where),
            lasts=FILE_SECONDS,
        )


@frozen
class _Files:
    """The content of a context's files at the time of reading."""

    context: ContextInUse
    ca: bytes | None
    certificate: bytes | None
    key: bytes | None
    token: str | None


class KubeconfigSource:
    """One context of one or several kubeconfig files, read again at each load."""

    def __init__(self, paths: list[Path], context: str | None) -> None:
        self._paths = paths
        self._context = context
        # Connections are pooled by TLS context: a new one for the same material would cost a new handshake for each.
        self._tls = lru_cache(maxsize=1)(client_context)
        self._plugin = CachedPlugin()
        self._oidc = OidcTokens()
        self._name = context or ""

    def describe(self) -> str:
        return f"context {self._name} of kubeconfig {os.pathsep.join(map(str, self._paths))}"

    async def load(self, *, rejected: bool = False) -> Access:
        files = await asyncio.to_thread(self._read)
        self._name = files.context.name
        cluster, user = files.context.cluster, files.context.user
        where = files.context.of_user
        certificate, key, lasts = files.certificate, files.key, _lasts(cluster, user)
        if user.get("exec"):
            given = await self._plugin.credentials(user["exec"], cluster, files.ca, where, rejected=rejected)
            authorization = _bearer(given.token, where) if given.token else None
            if given.certificate:
                certificate, key = given.certificate.encode(), given.key.encode()
            lasts = min(lasts, given.lasts())
        elif user.get("auth-provider"):
            authorization = _bearer(await self._oidc.token(user["auth-provider"].get("config"), where), where)
        else:
            authorization = _authorization(user, files.token, where)
        server = str(cluster["server"]).strip().rstrip("/")
        context: ssl.SSLContext | bool = True
        if server.startswith("https:"):
            context = await asyncio.to_thread(
                self._tls,
                ca=files.ca,
                certificate=certificate,
                key=key,
                verify=not cluster.get("insecure-skip-tls-verify"),
                where=self.describe(),
            )
        return Access(
            server=server,
            ssl=context,
            proxy=proxy_url(cluster.get("proxy-url"), self.describe()) or proxy_from_environment(server),
            server_hostname=cluster.get("tls-server-name") or None,
            authorization=authorization,
            lasts=lasts,
            namespace=files.context.namespace,
        )

    def _read(self) -> _Files:
        """All blocking reads: the kubeconfig, and the files that it names."""
        context = read(self._paths, self._context)
        cluster, user = context.cluster, context.user
        _check_cluster(cluster, context.of_cluster)
        _check_user(user, context.of_user)
        token = user.get("tokenFile")
        return _Files(
            context=context,
            ca=content_of(cluster, "certificate-authority", context.of_cluster),
            certificate=content_of(user, "client-certificate", context.of_user),
            key=content_of(user, "client-key", context.of_user),
            token=read_file(Path(token), f"tokenFile of {context.of_user}").decode("utf-8-sig", "replace")
            if token
            else None,
        )


def _lasts(cluster: dict[str, Any], user: dict[str, Any]) -> float:
    """Seconds until the files that the context names should be read again."""
    if user.get("tokenFile") or user.get("auth-provider"):
        return FILE_SECONDS
    if cluster.get("certificate-authority") or user.get("client-certificate") or user.get("client-key"):
        return CERTIFICATE_SECONDS
    return math.inf


def _check_cluster(cluster: dict[str, Any], where: str) -> None:
    server = cluster.get("server")
    if not isinstance(server, str) or not is_http_url(server.strip()):
        raise ConfigError(f"{where} must have a server of the form https://host:port, not {server!r}")
    if cluster.get("insecure-skip-tls-verify") and (
        cluster.get("certificate-authority") or cluster.get("certificate-authority-data")
    ):
        raise ConfigError(f"{where} has both a certificate-authority and insecure-skip-tls-verify: remove one of them")


def _check_user(user: dict[str, Any], where: str) -> None:
    impersonation = sorted(k for k in ("as", "as-groups", "as-uid", "as-user-extra") if user.get(k))
    if impersonation:
        raise ConfigError(
            f"{where} asks for impersonation ({', '.join(impersonation)}), which decco does not do: "
            "remove that, or name another context with --context"
        )
    provider = user.get("auth-provider")
    name = provider.get("name") if isinstance(provider, dict) else provider
    if name and not (isinstance(provider, dict) and name == "oidc"):
        raise ConfigError(f"{where} has an auth-provider that is not supported: {name!r}; use an exec plugin instead")
    if user.get("exec") and not isinstance(user["exec"], dict):
        raise ConfigError(f"exec of {where} must be a mapping with apiVersion and command")


def _authorization(user: dict[str, Any], token: str | None, where: str) -> str | None:
    """The Authorization header for a token or a password; None for a user that has only a certificate, or nothing."""
    if token is not None:  # a token file wins over a token
        return _bearer(token, where)
    if user.get("token"):
        return _bearer(str(user["token"]), where)
    if "username" in user and "password" in user:
        pair = f"{user['username']}:{user['password']}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
    return None


def _bearer(token: str, where: str) -> str:
    """The Authorization header; files of tokens often end in a newline, which HTTP does not allow."""
    token = token.strip()
    if not (token.isascii() and token.isprintable()):
        raise ConfigError(f"the token of {where} has characters that cannot be sent: is it the right file?")
    if not token:
        raise ConfigError(f"the token of {where} is empty: log in again")
    return f"Bearer {token}"
