"""Builds the DNS service from settings: each provider with its wrappers, in one order for all providers.

    Cache( PlanGuard( Bisect( DryRun?( RateLimiter?( Instrumented( Deadline(
        CredentialRefresh?( LeaderGate( provider )))))))))

The cache is outermost, so it sees the final outcomes. Metrics and time limits are inside, so they cover each call that
is sent, also the halves of a refused batch. The leader gate is innermost: it checks right before the call.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import dns.tsig

from decco.dns.clouddns import CloudDnsProvider
from decco.dns.clouddns_auth import GoogleToken
from decco.dns.coredns import CoreDnsProvider
from decco.dns.credentials import access_key, aws_environment, check_environment, password, pem
from decco.dns.externaldns import Endpoints, ExternalDnsProvider
from decco.dns.memory import MemoryProvider
from decco.dns.none import NoneProvider
from decco.dns.provider import Provider
from decco.dns.rfc2136 import Rfc2136Provider
from decco.dns.service import Dns
from decco.dns.tsig_key import TsigKey, algorithm_name, choose, read_keys
from decco.dns.wrappers.bisect import Bisect
from decco.dns.wrappers.cache import Cache
from decco.dns.wrappers.credential_refresh import CredentialRefresh
from decco.dns.wrappers.deadline import Deadline
from decco.dns.wrappers.dryrun import DryRun
from decco.dns.wrappers.instrumented import Instrumented, Observe
from decco.dns.wrappers.leader_gate import LeaderGate
from decco.dns.wrappers.plan_guard import PlanGuard
from decco.dns.wrappers.rate_limiter import RateLimiter
from decco.dns.zonequeue import Pacing
from decco.errors import ConfigError
from decco.settings_dns import (
    CloudDnsSettings,
    CoreDnsSettings,
    DnsSettings,
    ExternalDnsSettings,
    MemorySettings,
    NoneSettings,
    ProviderSettings,
    Rfc2136Settings,
    Route53Settings,
)

Secrets = Mapping[str, Mapping[str, bytes]]
"""Content of Secrets in decco's namespace, decoded, by name and key."""
ReadSecret = Callable[[str], Awaitable[Mapping[str, bytes] | None]]
"""Reads a Secret of decco's namespace as it is now; None if it cannot be read at the moment."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What providers need from the rest of decco."""

    secrets: Secrets = field(default_factory=dict)
    namespace: str = "decco"
    """The controller namespace, for objects."""
    read_secret: ReadSecret | None = None
    """None: Secrets are not read again."""
    endpoints: Endpoints | None = None
    """Client for DNSEndpoint objects; None without a provider of type externaldns."""


def make_dns(
    settings: DnsSettings,
    cluster_id: str,
    outside: Outside,
    observe: Observe,
    *,
    dry_run: bool = False,
    may_write: Callable[[], bool] = lambda: True,
) -> Dns:
    """Make the service of all providers. Raises ConfigError for credentials that are missing or cannot be read."""
    stacks = [
        stack(renewing(one, outside, may_write), one, cluster_id, observe, dry_run=dry_run)
        for one in settings.providers
    ]
    pacing = Pacing(
        gather=settings.gather_milliseconds / 1000,
        compare=settings.compare_seconds,
        retry_base=settings.retry_base_seconds,
        retry_limit=settings.retry_max_seconds,
    )
    return Dns(stacks, cluster_id=cluster_id, ttl=settings.ttl, adopt=settings.adopt, pacing=pacing)


def stack(
    provider: Provider,
    settings: ProviderSettings,
    cluster_id: str,
    observe: Observe,
    *,
    dry_run: bool = False,
) -> Provider:
    """Put all wrappers around one provider."""
    calls: Provider = Instrumented(Deadline(provider, settings.timeout_seconds), observe)
    if settings.requests_per_second is not None:
        calls = RateLimiter(calls, settings.requests_per_second, burst=max(1, int(settings.requests_per_second)))
    if dry_run:
        calls = DryRun(calls)
    return Cache(PlanGuard(Bisect(calls), cluster_id))


def make_provider(settings: ProviderSettings, outside: Outside) -> Provider:
    """Make the bare provider of these settings."""
    return _MAKERS[type(settings)](settings, outside)


def renewing(settings: ProviderSettings, outside: Outside, may_write: Callable[[], bool] = lambda: True) -> Provider:
    """Make the provider with credential refresh: from a Secret, a file, or the platform's default chain."""
    provider = LeaderGate(make_provider(settings, outside), may_write)
    if not isinstance(settings, Rfc2136Settings | Route53Settings | CloudDnsSettings | CoreDnsSettings):
        return provider
    known = _credentials(settings, outside.secrets)

    async def make() -> Provider | None:
        nonlocal known
        secrets = outside.secrets
        if settings.secret_name is not None and outside.read_secret is not None:
            content = await outside.read_secret(settings.secret_name)
            if content is None:
                return None
            secrets = {settings.secret_name: content}
        # In a thread, because files are read.
        now = await asyncio.to_thread(_credentials, settings, secrets)
        if now == known and now is not None:
            return None
        made = await asyncio.to_thread(make_provider, settings, replace(outside, secrets=secrets))
        known = now
        return LeaderGate(made, may_write)

    return CredentialRefresh(provider, make)


def _credentials(settings: ProviderSettings, secrets: Secrets) -> object:
    """The credentials, for comparison; None if the platform's default chain provides them."""
    if settings.secret_name is not None:
        return dict(secrets.get(settings.secret_name, {}))
    if isinstance(settings, Rfc2136Settings) and settings.tsig_secret_file is not None:
        try:
            return Path(settings.tsig_secret_file).read_bytes()
        except OSError as error:
            return str(error)  # reported when the provider is made
    return None if isinstance(settings, Route53Settings | CloudDnsSettings) else ()


def _secret(settings: ProviderSettings, name: str, secrets: Secrets) -> Mapping[str, bytes]:
    if settings.secret_name is None:
        return {}
    if settings.secret_name not in secrets:
        raise ConfigError(
            f"dns.providers: {name} names the Secret {settings.secret_name}, which decco's namespace "
            "lacks: create it there"
        )
    return secrets[settings.secret_name]


def _none(settings: ProviderSettings, _outside: Outside) -> Provider:
    return NoneProvider(settings.name or "none", settings.zones)


def _memory(settings: ProviderSettings, _outside: Outside) -> Provider:
    return MemoryProvider(settings.name or "memory", settings.zones)


def _rfc2136(settings: ProviderSettings, outside: Outside) -> Provider:
    assert isinstance(settings, Rfc2136Settings)
    name = settings.name or settings.type
    return Rfc2136Provider(name, settings.zones, settings.host, settings.port, _tsig_key(settings, name, outside))


def _tsig_key(settings: Rfc2136Settings, name: str, outside: Outside) -> dns.tsig.Key | None:
    content = _secret(settings, name, outside.secrets)
    key_name = settings.tsig_key_name or access_key(content.get("keyName", b""), _location("keyName", settings, name))
    if settings.tsig_secret_file is not None:
        where = f"dns.providers: the TSIG key in the tsigSecretFile of {name}"
        try:
            raw = Path(settings.tsig_secret_file).read_bytes()
        except OSError as error:
            raise ConfigError(
                f"dns.providers: the tsigSecretFile of {name} cannot be read ({error.strerror}): "
                "correct the path, or the volume that is mounted there"
            ) from error
    elif settings.secret_name is not None:
        where = f"dns.providers: the TSIG key in the Secret {settings.secret_name} of {name}"
        raw = content.get("secret", b"")
    else:
        return None
    try:
        text = raw.decode("utf-8-sig").strip()
        if not text:
            raise ValueError("it is empty: write the key there, in base64 or as tsig-keygen writes it")
        key = choose(read_keys(text), key_name)
        named = replace(key, name=key_name or key.name)
        if not named.name:
            raise ValueError("it has no name: give tsigKeyName, the name of the key on the server")
        return replace(named, algorithm=_algorithm(settings, key)).signing()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where} cannot be used: it must be text in UTF-8") from error
    except ValueError as error:
        raise ConfigError(f"{where} cannot be used: {error}") from error


def _algorithm(settings: Rfc2136Settings, key: TsigKey) -> str:
    """The algorithm in the key's text. Raises ValueError if the settings name another one."""
    wanted = settings.tsig_algorithm.value
    if not key.algorithm:
        return wanted
    if "tsig_algorithm" in settings.model_fields_set and algorithm_name(key.algorithm) != wanted:
        raise ValueError(f"its algorithm is {key.algorithm}, but tsigAlgorithm is {wanted}: correct one of them")
    return key.algorithm


def _location(key: str, settings: ProviderSettings, name: str) -> str:
    return f"dns.providers: {key} in the Secret {settings.secret_name} of {name}"


def _route53(settings: ProviderSettings, outside: Outside) -> Provider:
    # Imported on demand: botocore adds 8 MB of memory (75 MB against 67 at the start).
    from decco.dns.route53 import Credentials, Route53Provider

    assert isinstance(settings, Route53Settings)
    name = settings.name or settings.type
    content = _secret(settings, name, outside.secrets)
    if settings.secret_name is not None:
        key, secret, token = (
            access_key(content.get(field, b""), _location(field, settings, name))
            for field in ("accessKeyId", "secretAccessKey", "sessionToken")
        )
        if not (key and secret):
            raise ConfigError(f"dns.providers: the Secret of {name} needs the keys accessKeyId and secretAccessKey")
        credentials: Credentials | None = Credentials(key, secret, token or None)
    else:
        check_environment(os.environ, _AWS_VARIABLES)
        found = aws_environment(os.environ)
        credentials = Credentials(found[0], found[1], found[2] or None) if found is not None else None
    return Route53Provider(
        name,
        settings.zones,
        private=settings.visibility == "private",
        zone_ids=dict(settings.zone_ids),
        credentials=credentials,
        endpoint_url=settings.endpoint_url,
        timeout=settings.timeout_seconds,
    )


def _coredns(settings: ProviderSettings, outside: Outside) -> Provider:
    assert isinstance(settings, CoreDnsSettings)
    name = settings.name or settings.type
    content = _secret(settings, name, outside.secrets)
    login = None
    if "username" in content or "password" in content:
        if not (content.get("username") and content.get("password")):
            raise ConfigError(
                f"dns.providers: the Secret of {name} has only one of username and password: add the other"
            )
        login = (
            password(content["username"], _location("username", settings, name)),
            password(content["password"], _location("password", settings, name)),
        )
    return CoreDnsProvider(
        name,
        settings.zones,
        settings.endpoints,
        prefix=settings.path,
        login=login,
        tls=_tls(name, content),
        timeout=settings.timeout_seconds,
    )


def _clouddns(settings: ProviderSettings, outside: Outside) -> Provider:
    assert isinstance(settings, CloudDnsSettings)
    name = settings.name or settings.type
    content = _secret(settings, name, outside.secrets)
    if settings.secret_name is not None and "key.json" not in content:
        raise ConfigError(f"dns.providers: the Secret of {name} needs the key key.json")
    if settings.secret_name is None:
        check_environment(os.environ, ("GOOGLE_APPLICATION_CREDENTIALS",))
    return CloudDnsProvider(
        name,
        settings.zones,
        project=settings.project,
        token=GoogleToken(content.get("key.json")),
        private=settings.visibility == "private",
        zone_ids=dict(settings.zone_ids),
        url=settings.url,
        timeout=settings.timeout_seconds,
    )


def _externaldns(settings: ProviderSettings, outside: Outside) -> Provider:
    name = settings.name or "externaldns"
    if outside.endpoints is None:
        raise ConfigError(
            f"dns.providers: {name} needs the CRD of DNSEndpoint, which this cluster does not serve: "
            "install ExternalDNS with its CRD, or choose another provider"
        )
    return ExternalDnsProvider(name, settings.zones, outside.endpoints, outside.namespace)


def _tls(name: str, content: Mapping[str, bytes]) -> ssl.SSLContext | None:
    """Make the context from a Secret's PEM texts; None uses the system's authorities."""
    authority, certificate, key = (pem(content.get(name, b"")) for name in ("ca.crt", "tls.crt", "tls.key"))
    if not (authority or certificate or key):
        return None
    if bool(certificate) != bool(key):
        raise ConfigError(f"dns.providers: the Secret of {name} has only one of tls.crt and tls.key: add the other")
    try:
        context = ssl.create_default_context(cadata=authority.decode("ascii", "ignore") if authority else None)
        if certificate and key:
            # The standard library reads a key pair from files only.
            with tempfile.TemporaryDirectory() as folder:
                pair = Path(folder) / "pair.pem"
                pair.touch(mode=0o600)
                pair.write_bytes(key + b"\n" + certificate)
                # An encrypted key must be an error, not a prompt on the terminal.
                context.load_cert_chain(pair, password="")
    except ssl.SSLError as error:
        raise ConfigError(
            f"dns.providers: the certificates in the Secret of {name} must be PEM, and tls.key the key of tls.crt"
        ) from error
    return context


_AWS_VARIABLES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE")
_MAKERS: dict[type[ProviderSettings], Callable[[ProviderSettings, Outside], Provider]] = {
    NoneSettings: _none,
    MemorySettings: _memory,
    Rfc2136Settings: _rfc2136,
    Route53Settings: _route53,
    CloudDnsSettings: _clouddns,
    CoreDnsSettings: _coredns,
    ExternalDnsSettings: _externaldns,
}
