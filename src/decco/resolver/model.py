"""What is found of a host name, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence

from decco.frozen import frozen


@frozen
class LookupResult:
    """The result of asking for a name once."""

    addresses: tuple[str, ...] = ()
    ttl: float | None = None
    """Seconds; None without an answer."""
    error: str = ""
    partial: bool = False
    """Whether a server failed, so that an address that is missing may still be the name's."""

    @classmethod
    def merged(cls, each: Sequence[LookupResult]) -> LookupResult:
        """The results for several types of records. That one type has no records is no error."""
        addresses = tuple(address for found in each for address in found.addresses)
        ttls = [found.ttl for found in each if found.ttl is not None]
        failures = [found for found in each if found.error]
        failures.sort(key=lambda found: not found.partial)
        error = failures[0].error if failures and not addresses else ""
        return cls(addresses, min(ttls, default=None), error, partial=any(found.partial for found in each))


@frozen
class Known:
    """What is known of a name."""

    addresses: tuple[str, ...] = ()
    """Sorted as text, without duplicates."""
    error: str = ""
    """Why it is not resolved: after some failures, or at once if no address is known."""
    pending: bool = False
    """Whether it was not asked for yet; ``addresses`` are then those from before this process."""
