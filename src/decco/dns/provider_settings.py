"""What the settings of all DNS providers have in common, and what a provider declares in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from decco.forms import DnsLabel, Form, NameServer, NonEmpty, Seconds, Section
from decco.hostnames import WrongName, normalise
from decco.objects import Resource

_URL = re.compile(r"https?://[^/\s]+/?")


def _zone(text: str) -> str:
    try:
        return normalise(text)
    except WrongName as error:
        raise ValueError(f"cannot be a zone: {error}") from error


ZoneName = Annotated[str, AfterValidator(_zone), Form("a DNS name, without '*'", lambda name: not name.startswith("*"))]
Url = Annotated[str, Form("a URL such as https://host:port", lambda text: _URL.fullmatch(text) is not None)]


class ProviderSettings(Section):
    """The credentials of a provider come from a Secret of decco's own namespace (the model names its keys), from files,
    or from the platform. Whenever the provider refuses a call they are read again.
    """

    platform_credentials: ClassVar[bool]
    """Whether the platform provides the credentials if there is no Secret. Each model has to declare it."""
    credential_files: ClassVar[Mapping[str, str]] = {}
    """Key of a credential -> field with the file that contains it, in place of the Secret."""
    kind: ClassVar[Resource | None] = None
    """The kind of the Kubernetes objects that are written instead of records, if any."""

    readable: ClassVar[bool] = True
    """Whether others than the controller can read the records."""
    cloud: ClassVar[str | None] = None
    """Scheme of the providerID of nodes in the cloud that the provider belongs to; ``decco init`` proposes it there."""
    title: ClassVar[str] = ""
    """In the proposal of ``decco init``: the name in that cloud, or what a cluster with its ``kind`` has."""
    proposed: ClassVar[tuple[str, ...]] = ()
    """Lines that ``decco init`` writes beside the zones."""

    name: DnsLabel | None = None
    """Name of the provider in metrics, logs and conditions; by default its type."""
    zones: Annotated[tuple[ZoneName, ...], Form("a list of at least one DNS name", bool)]
    """Zones that this provider serves; a host name belongs to the longest zone that holds it."""
    name_servers: tuple[NameServer, ...] = ()
    """The zones' authoritative servers, asked for the published records (probe.enabled). Without them those of the NS
    records, which count from their first right answer on: they may be those of another view of the zone."""
    secret_name: NonEmpty | None = None
    """Secret in decco's namespace with the credentials."""
    timeout_seconds: Seconds = 30.0
    """Longest time for one call; a whole zone may take ten times as long to read."""
    requests_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Calls per second at most, averaged; without it as many as there are batches, one after the other per zone."""
    type: str

    @property
    def label(self) -> str:
        """The name of the provider, unique in this process."""
        return self.name or self.type
