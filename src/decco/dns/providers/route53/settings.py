"""Settings of the provider ``route53``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from decco.dns.provider_settings import ProviderSettings, Url, ZoneName
from decco.forms import Form, NonEmpty


class Settings(ProviderSettings):
    """Amazon Route 53. The Secret holds ``accessKeyId`` and ``secretAccessKey``, and may hold ``sessionToken``; without
    one the usual chain applies: environment, web identity of the service account, files, instance.
    """

    platform_credentials = True
    cloud = "aws"
    title = "Route 53"

    type: Literal["route53"] = "route53"
    visibility: Literal["public", "private"] = "public"
    """Which hosted zones are meant, where both kinds have the same name."""
    zone_ids: Annotated[dict[ZoneName, NonEmpty], Form("a mapping of zones to texts", lambda _: True)] = Field(
        default_factory=dict
    )
    """Hosted zone IDs of zones whose name alone is not enough, or that decco may not look up."""
    endpoint_url: Url | None = None
    """Another endpoint: a VPC endpoint, or a stand-in for tests."""
    requests_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 4.0
    """The service allows five per account in total, for all its users."""
