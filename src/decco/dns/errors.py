"""What can go wrong with DNS, as one tree; each leaf has the reason that a condition shows.

DnsError
├── InvalidRecord        the name or a target can never be published; only another wish helps
├── ZoneNotFound         no zone for the name, or the provider has not (or no longer) the zone
├── RecordConflict       the name belongs to somebody else
├── ProviderRefused      the provider knows us not, or does not let us (credentials, policy, clock)
├── ProviderThrottled    asked too often; the same call is good later
├── ProviderUnreachable  no answer, or half of one; ``uncertain`` if the call may have been carried out
└── BatchRefused         one change of an all-or-nothing batch failed, the provider does not say which
"""

from __future__ import annotations

from typing import ClassVar

from decco.errors import DeccoError


class DnsError(DeccoError):
    """Base of the tree; its text is a sentence for the person who reads the condition."""

    reason: ClassVar[str] = "DNSError"
    whole_provider: bool = False
    """True if the cause lies with the provider, so that all its zones wait together."""


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
    """No usable answer; with ``uncertain`` the zone has to be read before anything is said about it."""

    reason = "ProviderUnreachable"
    advice = "decco tries again by itself; if it lasts, look at the provider, and at the way there from decco's pod"
    whole_provider = True

    def __init__(self, message: str, *, uncertain: bool = False, one_zone: bool = False) -> None:
        super().__init__(message)
        self.uncertain = uncertain
        self.whole_provider = not one_zone


class BatchRefused(DnsError):
    """Never leaves the wrappers: ``wrappers/bisect.py`` finds the change that failed.

    ``suspects`` are names that the provider's answer mentions, empty if it mentions none.
    """

    reason = "BatchRefused"

    def __init__(self, message: str, *, suspects: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.suspects = suspects


REASON_NO_ADDRESS = "NoAddress"
"""The edge has no address, so there is nothing to point the name to."""
REASON_PENDING = "Publishing"
"""The change is on its way and nothing is known to be wrong."""
REASONS = (
    *(cls.reason for cls in (InvalidRecord, ZoneNotFound, RecordConflict, ProviderRefused)),
    *(cls.reason for cls in (ProviderThrottled, ProviderUnreachable)),
    REASON_NO_ADDRESS,
    REASON_PENDING,
)
"""Every reason that ``Dns.state`` gives, for the reference in the docs."""
