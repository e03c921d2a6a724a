"""Builds the DNS service from settings: each provider with its wrappers, in one order for all providers.

    Cache( PlanGuard( Bisect( DryRun?( RateLimiter?( Instrumented( Deadline(
        CredentialRefresh( LeaderGate( provider )))))))))

The cache is outermost, so it sees the final outcomes. Metrics and time limits are inside, so they cover each call that
is sent, also the halves of a refused batch. The leader gate is innermost: it checks right before the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field

from decco.dns import providers
from decco.dns.credentials import Credentials, Secrets, read_credentials
from decco.dns.provider import Context, Objects, Provider
from decco.dns.provider_settings import ProviderSettings
from decco.dns.service import Dns
from decco.dns.settings import DnsSettings
from decco.dns.wrappers.base import Deadline, DryRun, Instrumented, LeaderGate, Observe, RateLimiter
from decco.dns.wrappers.batches import Bisect, PlanGuard
from decco.dns.wrappers.cache import Cache
from decco.dns.wrappers.credential_refresh import CredentialRefresh
from decco.frozen import frozen
from decco.objects import Resource

ReadSecret = Callable[[str], Awaitable[Mapping[str, bytes] | None]]
"""Reads a Secret of decco's namespace as it is now; None if it cannot be read at the moment."""


@frozen
class ProviderEnvironment:
    """What providers need from the rest of decco."""

    secrets: Secrets = field(default_factory=dict)
    namespace: str = "decco"
    """The controller namespace, for objects."""
    read_secret: ReadSecret | None = None
    """None: Secrets are not read again."""
    objects: Mapping[Resource, Objects] = field(default_factory=dict)
    """Clients for the kinds that providers declare; without those that the cluster does not serve."""


def make_dns(
    settings: DnsSettings,
    cluster_id: str,
    environment: ProviderEnvironment,
    observe: Observe,
    *,
    dry_run: bool = False,
    may_write: Callable[[], bool] = lambda: True,
) -> Dns:
    """Make the service of all providers. Raises ConfigError for credentials that are missing or cannot be read."""
    stacks = [
        stack(refreshing(one, environment, may_write), one, cluster_id, observe, dry_run=dry_run)
        for one in settings.providers
    ]
    return Dns(stacks, cluster_id, settings)


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


def make_provider(settings: ProviderSettings, environment: ProviderEnvironment) -> Provider:
    return _make(settings, read_credentials(settings, environment.secrets), environment)


def _make(settings: ProviderSettings, credentials: Credentials, environment: ProviderEnvironment) -> Provider:
    objects = environment.objects.get(settings.kind) if settings.kind is not None else None
    made: Provider = providers.client(settings.type).make(
        settings, Context(credentials, environment.namespace, objects)
    )
    return made


def refreshing(
    settings: ProviderSettings, environment: ProviderEnvironment, may_write: Callable[[], bool] = lambda: True
) -> Provider:
    """Make the provider so that it is made again when its credentials have changed, wherever they come from."""
    known = read_credentials(settings, environment.secrets)
    # The platform's credentials cannot be compared, so each refusal may mean that they have changed.
    comparable = settings.secret_name is not None or not settings.platform_credentials

    async def make() -> Provider | None:
        nonlocal known
        secrets = environment.secrets
        if settings.secret_name is not None and environment.read_secret is not None:
            content = await environment.read_secret(settings.secret_name)
            if content is None:
                return None
            secrets = {settings.secret_name: content}
        # In threads, because files are read.
        now = await asyncio.to_thread(read_credentials, settings, secrets)
        if now == known and comparable:
            return None
        made = await asyncio.to_thread(_make, settings, now, environment)
        known = now
        return LeaderGate(made, may_write)

    return CredentialRefresh(LeaderGate(_make(settings, known, environment), may_write), make)
