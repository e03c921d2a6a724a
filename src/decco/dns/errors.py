"""Errors of DNS; each class has the reason that a condition shows.

DnsError
├── InvalidRecord        the name or a target cannot be published; the desired record must change
├── ZoneNotFound         no zone for the name, or the provider does not (or no longer) have the zone
├── RecordConflict       the name has another owner
├── ProviderRefused      authentication or authorization failed (credentials, policy, clock)
├── ProviderThrottled    rate limit exceeded; the same call can succeed later
├── ProviderUnreachable  no answer, or a partial one; ``uncertain`` if the call may have been carried out
└── BatchRefused         one change of an atomic batch failed, the provider does not report which
"""

from __future__ import annotations

from typing import ClassVar

from decco.errors import DeccoError


class DnsError(DeccoError):
    """Base class; the text becomes the message of a condition."""

    reason: ClassVar[str] = "DNSError"
    whole_provider: bool = False
    """True if the cause is the provider, so that all its zones back off together."""


class InvalidRecord(DnsError):
    reason = "InvalidRecord"


class ZoneNotFound(DnsError):
    reason = "ZoneNotFound"


class RecordConflict(DnsError):
    reason = "RecordConflict"


class ProviderRefused(DnsError):
    reason = "ProviderRefused"


class ProviderThrottled(DnsError):
    reason = "ProviderThrottled"
    advice = "decco goes on more slowly by itself"
    whole_provider = True


class ProviderUnreachable(DnsError):
    """No usable answer; with ``uncertain`` the zone must be read before its state is reported."""

    reason = "ProviderUnreachable"
    advice = "decco tries again by itself; if it lasts, check the provider, and its connection from decco's pod"
    whole_provider = True

    def __init__(self, message: str, *, uncertain: bool = False, one_zone: bool = False) -> None:
        super().__init__(message)
        self.uncertain = uncertain
        self.whole_provider = not one_zone


class BatchRefused(DnsError):
    """Handled inside the wrappers: ``wrappers/batches.py`` finds the change that failed.

    ``suspects`` are the names in the provider's answer, if any.
    """

    reason = "BatchRefused"

    def __init__(self, message: str, *, suspects: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.suspects = suspects


REASON_NO_ADDRESS = "NoAddress"
"""The edge has no address, so the name has no target."""
REASON_OTHERS = "WaitingForCluster"
"""The name leads here until another cluster serves it."""
REASON_PENDING = "Publishing"
"""The change is in progress, without a known error."""
_SHOWN = (InvalidRecord, ZoneNotFound, RecordConflict, ProviderRefused, ProviderThrottled, ProviderUnreachable)
REASONS = (*(error.reason for error in _SHOWN), REASON_NO_ADDRESS, REASON_OTHERS, REASON_PENDING)
"""Every reason that ``Dns.state`` gives, for the reference in the docs."""
