"""Settings of the provider ``coredns``."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from decco.dns.provider_settings import ProviderSettings, Url
from decco.forms import Form

_PATH = re.compile(r"/[a-zA-Z0-9_./-]+")


class Settings(ProviderSettings):
    """CoreDNS with its etcd plugin. The Secret may hold ``username`` and ``password``, and ``ca.crt``, ``tls.crt``,
    ``tls.key`` in PEM for the connection to etcd.
    """

    platform_credentials = False

    type: Literal["coredns"] = "coredns"
    endpoints: Annotated[tuple[Url, ...], Form("a list of at least one URL", bool)]
    """URLs of etcd's client port; the next one is tried where one cannot be reached."""
    path: Annotated[str, Form("a path such as /skydns", lambda text: _PATH.fullmatch(text) is not None)] = "/skydns"
    """The plugin's own setting ``path``."""
