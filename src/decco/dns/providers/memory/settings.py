"""Settings of the provider ``memory``."""

from __future__ import annotations

from typing import Literal

from decco.dns.provider_settings import ProviderSettings


class Settings(ProviderSettings):
    """Records in this process only, lost when it ends: to try decco out."""

    platform_credentials = False
    readable = False

    type: Literal["memory"] = "memory"
