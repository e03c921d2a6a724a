"""Credential refresh without a restart: a provider whose call is refused is made again from the current credentials.

Credentials are not watched: a call with old ones is refused, and the refusal triggers the refresh. A provider with
unchanged credentials causes no extra work.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from decco.dns.errors import DnsError, ProviderRefused, ZoneNotFound
from decco.dns.provider import Provider
from decco.dns.wrappers.base import Call, T, Wrapper, log
from decco.errors import ConfigError

Make = Callable[[], Awaitable[Provider | None]]
"""Makes the provider from the current credentials; None if they have not changed. Raises ConfigError."""


class CredentialRefresh(Wrapper):
    """Serves all zones of its provider, also concurrently: the old provider is closed after its last call."""

    def __init__(self, inner: Provider, make: Make) -> None:
        super().__init__(inner)
        self._make = make
        self._making = asyncio.Lock()
        self._calls: Counter[Provider] = Counter()

    async def call(self, operation: str, call: Call[T]) -> T:
        used = self.inner
        try:
            return await self._with(used, call)
        except (ProviderRefused, ZoneNotFound) as error:  # a name server can report an unknown key as an unknown zone
            if not await self._renewed(used, error):
                raise
        return await self._with(self.inner, call)

    async def _with(self, provider: Provider, call: Call[T]) -> T:
        self._calls[provider] += 1
        try:
            return await call(provider)
        finally:
            self._calls[provider] -= 1
            if not self._calls[provider]:
                del self._calls[provider]
                if provider is not self.inner:
                    await provider.close()

    async def _renewed(self, refused: Provider, error: DnsError) -> bool:
        async with self._making:
            if self.inner is not refused:
                return True  # by a concurrent call for another zone
            try:
                made = await self._make()
            except ConfigError as mistake:
                raise ProviderRefused(
                    f"{error}; and the credentials there are now cannot be used: {mistake}"
                ) from error
            if made is None:
                return False
            self.inner = made
            if not self._calls[refused]:
                await refused.close()
            log.info("dns credentials renewed", provider=self.name)
            return True
