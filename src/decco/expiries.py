"""Expiry times in a Space, passed from the reconcilers to the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from decco.frozen import frozen


@frozen
class Expiries:
    """Each Secret's name -> Unix time."""

    certificates: Mapping[str, float] = field(default_factory=dict)
    lists: Mapping[str, float] = field(default_factory=dict)
    """The first of its lists of revoked certificates (``ca.crl``) that expires."""
