"""Finds the cluster's API server and reads the credentials for it.

The only file that uses kubernetes_asyncio, for two things: reading service account files, and the kinds of users in a
kubeconfig that have no plugin. Three of its functions are not used: writing to the user's kubeconfig, leaving private
keys in temporary files, and logging credentials.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import logging
import math
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from decco.errors import ConfigError
from decco.kube import exec_plugin, oidc
from decco.kube._light_import import bare_kubernetes_asyncio
from decco.kube.connection import RETRY_SECONDS, Access, Connection, Source
from decco.kube.errors import printable
from decco.kube.kubeconfig import ContextInUse, content_of, read, read_file
from decco.kube.tls import client_context
from decco.log import get_logger
from decco.proxy import is_http_url, proxy_from_environment, proxy_url

with bare_kubernetes_asyncio():
    from kubernetes_asyncio.client.configuration import Configuration
    from kubernetes_asyncio.config.config_exception import ConfigException
    from kubernetes_asyncio.config.incluster_config import (
        SERVICE_CERT_FILENAME,
        SERVICE_HOST_ENV_NAME,
        SERVICE_TOKEN_FILENAME,
        InClusterConfigLoader,
    )
    from kubernetes_asyncio.config.kube_config import KubeConfigLoader

log = get_logger(__name__)
# It also logs what it raises, a plugin's output included; decco reports it once, in its own words.
logging.getLogger("kubernetes_asyncio").setLevel(logging.CRITICAL + 1)

FILE_SECONDS: Final = 60.0
"""Token files are read again this often, as in client-go; a kubelet renews a token many minutes before its end."""
CERTIFICATE_SECONDS: Final = 300.0
"""Certificate files are read again this often, as in client-go."""
PLUGIN_SECONDS: Final = 60.0
"""Time limit of an exec plugin: it may open a browser or call a slow cloud API."""
DEFAULT_KUBECONFIG: Final = "~/.kube/config"
_TEXT: Final = 300


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
    if not os.environ.get(SERVICE_HOST_ENV_NAME):
        raise ConfigError(
            f"no cluster to connect to: no kubeconfig was given, KUBECONFIG is not set, {default} does not exist, and "
            f"this process does not run in a pod ({SERVICE_HOST_ENV_NAME} is not set); name a file with --kubeconfig"
        )
    return InClusterSource()


class _Contexts:
    """Makes TLS contexts, and returns the same one while its material is unchanged.

    Connections are pooled by context: a new one for old material would cost a new handshake for each.
    """

    def __init__(self) -> None:
        self._digest = b""
        self._context: ssl.SSLContext | None = None

    def get(
        self, *, ca: bytes | None, certificate: bytes | None, key: bytes | None, verify: bool, where: str
    ) -> ssl.SSLContext:
        digest = hashlib.sha256(repr((ca, certificate, key, verify)).encode()).digest()
        if self._context is None or digest != self._digest:
            self._context = client_context(ca=ca, certificate=certificate, key=key, verify=verify, where=where)
            self._digest = digest
        return self._context


class InClusterSource:
    """The service account of the pod we run in."""

    def __init__(self) -> None:
        self._token = SERVICE_TOKEN_FILENAME
        self._ca = SERVICE_CERT_FILENAME
        self._contexts = _Contexts()

    def describe(self) -> str:
        return "service account of this pod"

    async def load(self, *, rejected: bool = False) -> Access:
        del rejected  # the files are read at each load anyway
        return await asyncio.to_thread(self._load)

    def _load(self) -> Access:
        configuration = Configuration()
        try:
            InClusterConfigLoader(self._token, self._ca, environ=os.environ).load_and_set(configuration)
        except (ConfigException, OSError) as error:
            raise ConfigError(
                f"the pod's service account cannot be used: {str(error).rstrip('.')} ({self._token}); "
                "let the pod mount its token (automountServiceAccountToken), or give --kubeconfig"
            ) from error
        where = "the pod's service account"
        server = str(configuration.host)
        return Access(
            server=server,
            ssl=self._contexts.get(
                ca=read_file(Path(self._ca), where), certificate=None, key=None, verify=True, where=where
            ),
            proxy=proxy_from_environment(server),
            server_hostname=None,
            authorization=_header(configuration.api_key["BearerToken"], where),
            lasts=FILE_SECONDS,
        )


@dataclass(frozen=True, slots=True)
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
        self._contexts = _Contexts()
        self._plugin = _Plugin()
        self._user: dict[str, Any] = {}
        self._loader: Any = None
        self._name = context or ""

    def describe(self) -> str:
        return f"context {self._name} of kubeconfig {os.pathsep.join(map(str, self._paths))}"

    async def load(self, *, rejected: bool = False) -> Access:
        files = await asyncio.to_thread(self._read)
        self._name = files.context.name
        cluster, user = files.context.cluster, files.context.user
        where = f"user {files.context.user_name!r} of kubeconfig {files.context.source}"
        certificate, key, lasts = files.certificate, files.key, _lasts(cluster, user)
        if user.get("exec"):
            given = await self._plugin.credentials(user["exec"], cluster, files.ca, where, rejected=rejected)
            authorization = _header(f"Bearer {given.token}", where) if given.token else None
            if given.certificate:
                certificate, key = given.certificate.encode(), given.key.encode()
            lasts = min(lasts, given.lasts())
        else:
            authorization = await self._authorization(user, files.token, where)
        server = str(cluster["server"]).strip().rstrip("/")
        context = None
        if server.startswith("https:"):
            context = await asyncio.to_thread(
                self._contexts.get,
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
        )

    def _read(self) -> _Files:
        """All blocking reads: the kubeconfig, and the files that it names."""
        context = read(self._paths, self._context)
        cluster, user = context.cluster, context.user
        of_cluster = f"the cluster of context {context.name!r} of kubeconfig {context.source}"
        of_user = f"user {context.user_name!r} of kubeconfig {context.source}"
        _check_cluster(cluster, of_cluster)
        _check_user(user, of_user)
        token = user.get("tokenFile")
        return _Files(
            context=context,
            ca=content_of(cluster, "certificate-authority", of_cluster),
            certificate=content_of(user, "client-certificate", of_user),
            key=content_of(user, "client-key", of_user),
            token=read_file(Path(token), f"tokenFile of {of_user}").decode("utf-8-sig", "replace").strip()
            if token
            else None,
        )

    async def _authorization(self, user: dict[str, Any], token: str | None, where: str) -> str | None:
        """The Authorization header for a user without an exec plugin, None for one that has only a certificate."""
        if token is not None:  # a token file wins over a token, as in client-go
            return _header(f"Bearer {token}", where)
        if self._loader is None or self._user != user:
            # Kept while the user's entry is the same: it holds refresh tokens that issuers give out only once.
            self._loader = _loader(user)
            self._user = user
        configuration = Configuration()
        try:
            async with asyncio.timeout(PLUGIN_SECONDS):
                await self._loader.load_and_set(configuration)
        except TimeoutError as error:
            raise ConfigError(
                f"{where}: no credentials within {PLUGIN_SECONDS:g} s: "
                "try `kubectl get namespaces` with the same kubeconfig"
            ) from error
        except (ConfigException, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ConfigError(
                f"{where} cannot be used: {printable(str(error), _TEXT)}; correct it, or log in again"
            ) from error
        given = configuration.api_key.get("BearerToken")
        return _header(given, where) if given else None


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
    if provider:
        name = provider.get("name") if isinstance(provider, dict) else provider
        if name not in {"oidc", "gcp"}:
            raise ConfigError(
                f"{where} has an auth-provider that is not supported: {name!r}; use an exec plugin instead"
            )
    if user.get("exec") and not isinstance(user["exec"], dict):
        raise ConfigError(f"exec of {where} must be a mapping with apiVersion and command")


def _header(value: str, where: str) -> str:
    """A value for the Authorization header; files of tokens often end in a newline, which HTTP does not allow."""
    value = value.strip()
    if not (value.isascii() and value.isprintable()):
        raise ConfigError(f"the token or password of {where} has characters that cannot be sent: is it the right file?")
    if value in {"Bearer", "Basic"}:
        raise ConfigError(f"the token of {where} is empty: log in again")
    return value


# Exec plugins


class _Plugin:
    """Runs an exec plugin, and keeps its credentials until they expire or the server refuses them."""

    def __init__(self) -> None:
        self._run: exec_plugin.Plugin | None = None
        self._given: exec_plugin.Credentials | None = None

    async def credentials(
        self, settings: dict[str, Any], cluster: dict[str, Any], ca: bytes | None, where: str, *, rejected: bool
    ) -> exec_plugin.Credentials:
        where = f"the exec plugin {settings.get('command')!r} of {where}"
        try:
            plugin = exec_plugin.plugin(settings, cluster, ca)
        except ValueError as error:
            raise ConfigError(f"{where} cannot be run: {printable(str(error), _TEXT)}") from error
        if self._given is None or rejected or self._run != plugin or self._given.lasts() <= RETRY_SECONDS:
            self._given = await _run_plugin(plugin, where)
            self._run = plugin
        return self._given


async def _run_plugin(plugin: exec_plugin.Plugin, where: str) -> exec_plugin.Credentials:
    try:
        async with asyncio.timeout(PLUGIN_SECONDS):
            return await exec_plugin.run(plugin)
    except FileNotFoundError as error:
        hint = f": {printable(plugin.install_hint, _TEXT)}" if plugin.install_hint else ""
        raise ConfigError(f"{where} is not installed{hint}") from error
    except TimeoutError as error:
        raise ConfigError(
            f"{where} gave no answer within {PLUGIN_SECONDS:g} s: run it by hand to see what it waits for"
        ) from error
    except (OSError, ValueError) as error:
        text = str(error)
        tail = text if len(text) <= _TEXT else f"… {text[-_TEXT:]}"
        raise ConfigError(f"{where} failed: {printable(tail, 2 * _TEXT)}") from error


# The other kinds of users


class _Loader(KubeConfigLoader):  # type: ignore[misc] # the package has no types we use
    """kubernetes_asyncio's reading of tokens, passwords and auth-providers; its OIDC refresh is replaced by ours."""

    async def _refresh_oidc(self, provider: Any) -> None:
        settings = provider["config"].value
        where = "idp-certificate-authority of the kubeconfig's auth-provider"
        trust = await asyncio.to_thread(
            lambda: client_context(
                ca=content_of(settings, "idp-certificate-authority", where),
                certificate=None,
                key=None,
                verify=True,
                where=where,
            )
        )
        settings.update(await oidc.refresh(settings, trust))


def _loader(user: dict[str, Any]) -> _Loader:
    """A loader that has this user and nothing else: it neither reads nor writes files."""
    kept = {k: v for k, v in user.items() if not k.startswith("client-") and k != "tokenFile"}
    return _Loader(
        {
            "current-context": "context",
            "contexts": [{"name": "context", "context": {"cluster": "cluster", "user": "user"}}],
            "clusters": [{"name": "cluster", "cluster": {"server": "http://unused"}}],
            "users": [{"name": "user", "user": copy.deepcopy(kept)}],
        },
        config_base_path="",
    )
