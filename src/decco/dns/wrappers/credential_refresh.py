"""Credential refresh without a restart: a provider whose call is refused is made again from the current credentials.

Credentials are not watched: a call with old ones is refused, and the refusal triggers the refresh. A provider with
unchanged credentials causes no extra work.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

from decco.dns.errors import ProviderRefused, ZoneNotFound
from decco.dns.provider import Change, Outcome, Provider, Zone
from decco.dns.records import RecordSet
from decco.dns.wrappers.base import Wrapper
from decco.errors import ConfigError
from decco.log import get_logger

T = TypeVar("T")
log = get_logger("decco.dns")

Make = Callable[[], Awaitable[Provider | None]]
"""Makes the provider from the current credentials; None if they have not changed. Raises ConfigError."""


class CredentialRefresh(Wrapper):
    """Serves all zones of its provider, also concurrently: the old provider is closed after its last call."""

    def __init__(self, inner: Provider, make: Make) -> None:
        super().__init__(inner)
        self._make = make
        self._making = asyncio.Lock()
        self._calls: Counter[Provider] = Counter()

    async def zones(self) -> tuple[Zone, ...]:
        return await self._call(lambda provider: provider.zones())

    async def records(self, zone: Zone, names: Collection[str] | None = None) -> Sequence[RecordSet]:
        return await self._call(lambda provider: provider.records(zone, names))

    async def apply(self, zone: Zone, changes: Sequence[Change]) -> Sequence[Outcome]:
        return await self._call(lambda provider: provider.apply(zone, changes))

    async def _call(self, do: Callable[[Provider], Awaitable[T]]) -> T:
        used = self.inner
        try:
            return await self._with(used, do)
        except (ProviderRefused, ZoneNotFound) as error:  # a name server can report an unknown key as an unknown zone
            if not await self._renewed(used, error):
                raise
        return await self._with(self.inner, do)

    async def _with(self, provider: Provider, do: Callable[[Provider], Awaitable[T]]) -> T:
        self._calls[provider] += 1
        try:
            return await do(provider)
        finally:
            self._calls[provider] -= 1
            if not self._calls[provider]:
                del self._calls[provider]
                if provider is not self.inner:
                    await provider.close()

    async def _renewed(self, refused: Provider, error: ProviderRefused | ZoneNotFound) -> bool:
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
