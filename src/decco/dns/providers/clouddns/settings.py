"""Settings of the provider ``clouddns``."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from decco.dns.provider_settings import ProviderSettings, Url, ZoneName
from decco.forms import Form

_PROJECT = re.compile(r"[a-z0-9.:-]+")
_MANAGED_ZONE = re.compile(r"[a-z0-9-]+")


class Settings(ProviderSettings):
    """Google Cloud DNS. The Secret holds ``key.json``, a service account's key; without one the usual chain applies:
    GOOGLE_APPLICATION_CREDENTIALS, workload identity, the metadata server.
    """

    platform_credentials = True
    cloud = "gce"
    title = "Cloud DNS"
    proposed = ("project: my-project",)

    type: Literal["clouddns"] = "clouddns"
    project: Annotated[str, Form("the ID of a project", lambda text: _PROJECT.fullmatch(text) is not None)]
    """ID of the project that has the managed zones."""
    visibility: Literal["public", "private"] = "public"
    """Which managed zones are meant, where both kinds serve the same name."""
    zone_ids: Annotated[
        dict[ZoneName, str],
        Form(
            "a mapping of zones to names of managed zones", lambda ids: all(map(_MANAGED_ZONE.fullmatch, ids.values()))
        ),
    ] = Field(default_factory=dict)
    """Names of managed zones where a zone's own name is not enough."""
    url: Url = "https://dns.googleapis.com"
    """Another endpoint: private access, or a stand-in for tests."""
