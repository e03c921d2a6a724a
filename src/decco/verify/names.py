"""The names of one run's objects, and the label by which they are found again."""

from __future__ import annotations

import secrets

from decco.frozen import frozen
from decco.hostnames import in_zone
from decco.objects import Obj, labels_of

LABEL = "verify.decco.platform9.com/run"
"""On every object that a run makes, with the run's id."""
SPACES = ("a", "b", "c", "d", "e", "f", "g")
"""a and d are of one project, b of another, the rest of none. e has further names over HTTPS and declares its egress, f
has limits, g an isolation.
"""
ISSUED, CLAIMANT, ZONED, MESHED, PLACED = "h", "i", "j", "k", "l"
"""Spaces that single probes make: with certificates from an issuer, with names that another Space has, spread over
zones, in a service mesh, and placed in another cluster.
"""
LATER = (ISSUED, CLAIMANT, ZONED, MESHED, PLACED)
PROJECTS = {"a": "one", "d": "one", "b": "two"}
DEFAULT_DOMAIN = "decco-verify.test"
"""Without DNS providers the names are only sent to the edge, never resolved."""


def new_run() -> str:
    """Begins with a letter, as names of Spaces must."""
    return secrets.choice("bcdfghjk") + secrets.token_hex(3)


def made_by_a_run(obj: Obj) -> bool:
    """Whether the label fits the name: anybody can copy a label to an object that no run has made."""
    run, name = labels_of(obj).get(LABEL), obj["metadata"]["name"]
    return run is not None and (name == f"decco-verify-{run}" or name.startswith(f"verify-{run}-"))


@frozen
class Names:
    """``run`` is the id; ``domain`` the domainName of the Spaces; ``controller`` decco's own namespace."""

    run: str
    domain: str
    controller: str

    @property
    def labels(self) -> dict[str, str]:
        return {LABEL: self.run}

    def space(self, space: str) -> str:
        """Name of a Space and of its namespace."""
        return f"verify-{self.run}-{space}"

    def fqdn(self, space: str) -> str:
        return f"{self.space(space)}.{self.domain}"

    def project(self, space: str) -> str | None:
        word = PROJECTS.get(space)
        return f"verify-{self.run}-{word}" if word else None

    def secret(self, word: str) -> str:
        """A Secret in decco's namespace, or of the same name in a Space's."""
        return f"verify-{self.run}-{word}"

    def host(self, space: str, endpoint: str) -> str:
        return f"{endpoint}.{self.fqdn(space)}"

    @property
    def extra(self) -> str:
        """A host name of Space a outside of its FQDN."""
        return f"verify-{self.run}-extra.{self.domain}"

    @property
    def further(self) -> str:
        """A name of Space e outside of its FQDN, over HTTPS."""
        return f"verify-{self.run}-shop.{self.domain}"

    @property
    def wildcard(self) -> str:
        """Another one, for one label below ``wild``."""
        return f"*.{self.wild}"

    @property
    def wild(self) -> str:
        return f"verify-{self.run}-any.{self.domain}"

    def space_of(self, host: str) -> str:
        """The Space whose name this is; "a" for names of none."""
        if host == self.further or host.endswith(f".{self.wild}"):
            return "e"
        words = (*SPACES, *LATER)
        return next((word for word in words if in_zone(host, self.fqdn(word))), "a")

    @property
    def claimed(self) -> str:
        """A host name that Space g has first, and that the claimant asks for."""
        return f"verify-{self.run}-claim.{self.domain}"

    @property
    def outside(self) -> str:
        """A namespace that is not a Space's."""
        return f"verify-{self.run}-outside"

    @property
    def monitoring(self) -> str:
        """A namespace whose pods may read metrics of all Spaces."""
        return f"verify-{self.run}-monitoring"

    @property
    def tenant(self) -> str:
        """A user without rights but those that a run gives, and the name of the roles that give them."""
        return f"decco-verify-{self.run}"
