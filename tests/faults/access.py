"""How the processes of one run reach its control plane, which the first of them starts and ends."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from testbed.controlplane import ControlPlane
from testbed.pki import KeyPair


@dataclass(frozen=True)
class Access:
    """Addresses and files of a control plane; see ``ControlPlane`` for the names."""

    url: str
    etcd_url: str
    ca_file: Path
    controller_client: KeyPair
    admin: KeyPair
    folder: Path
    front: str
    """See ``front.py``."""

    @classmethod
    def to(cls, cp: ControlPlane, front: str) -> Access:
        return cls(cp.url, cp.etcd_url, cp.ca_file, cp.controller_client, cp.admin, cp.folder, front)

    @property
    def by_front(self) -> Access:
        """The same, for a proxy that is in front of the front."""
        return replace(self, url=self.front)

    @property
    def client_cert(self) -> Path:
        return self.admin.cert

    @property
    def client_key(self) -> Path:
        return self.admin.key

    def dumps(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def loads(cls, text: str) -> Access:
        found = json.loads(text)
        pairs = {
            name: KeyPair(**{part: Path(file) for part, file in found[name].items()})
            for name in ("controller_client", "admin")
        }
        files = {name: Path(found[name]) for name in ("ca_file", "folder")}
        return cls(found["url"], found["etcd_url"], front=found["front"], **files, **pairs)
