"""Settings of the provider ``none``."""

from __future__ import annotations

from typing import Literal

from decco.dns.provider_settings import ProviderSettings


class Settings(ProviderSettings):
    """No records: the names of these zones are managed elsewhere, and count as published."""

    platform_credentials = False
    readable = False

    type: Literal["none"] = "none"
