"""Spaces whose certificates cert-manager's own controllers obtain from Pebble, on a real API server with decco's
policies in force: every program has the permissions of its manifests and no others.
"""

from __future__ import annotations

import re
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509

from testbed.certmanager import NAMESPACE
from testbed.dns.server import KEY_NAME, KEY_SECRET
from testbed.pebble import Pebble
from tests.integration.by_hand import GATEWAY
from tests.integration.harness import Cluster, Obj, eventually

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "certificates.md"
ZONE, FURTHER = "issued.test", "further.test"
"""Zones of the name server: of the Spaces' domain, and of their further names."""
SECONDS = 240.0
"""Of an order by DNS-01: cert-manager waits a minute after it has seen the record, first for the FQDN, then for the
wildcard."""
CERT_MANAGER = "/apis/cert-manager.io/v1"


def documented(name: str) -> list[Obj]:
    """The objects of this name in the blocks of docs/certificates.md."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    objects = [obj for block in blocks for obj in yaml.safe_load_all(block)]
    found = [obj for obj in objects if isinstance(obj, dict) and (obj.get("metadata") or {}).get("name") == name]
    assert found, f"no {name} in {DOCUMENT.name}"
    return found


def cluster_issuer(pebble: Pebble, document: str, name: str, nameserver: str = "") -> list[Obj]:
    """A documented ClusterIssuer, with what differs between clusters replaced; and the Secret with its TSIG key."""
    [issuer] = documented(document)
    issuer["metadata"]["name"] = name
    acme = issuer["spec"]["acme"]
    acme |= {
        "server": pebble.directory,
        "caBundle": pebble.ca_bundle,
        "privateKeySecretRef": {"name": f"{name}-account"},
    }
    for solver in acme["solvers"]:
        if update := solver.get("dns01", {}).get("rfc2136"):
            assert update["tsigAlgorithm"] == "HMACSHA256"
            update |= {"nameserver": nameserver, "tsigKeyName": KEY_NAME}
    return [issuer]


def tsig_secret(name: str = "acme-tsig", secret: str = KEY_SECRET) -> Obj:
    """As rfc2136 wants it: the base64 text of the key is the content."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "stringData": {"secret": secret},
    }


def apply(cluster: Cluster, *objects: Obj) -> None:
    cluster.cp.kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", input=yaml.safe_dump_all(objects, sort_keys=False)
    )


def shown(cluster: Cluster, space: str) -> dict[str, str]:
    """Host name -> Secret of the HTTPS listeners."""
    gateway = cluster.get(f"{GATEWAY}/namespaces/{space}/gateways/decco") or {"spec": {"listeners": []}}
    listeners: list[Obj] = gateway["spec"]["listeners"]
    return {
        each["hostname"]: each["tls"]["certificateRefs"][0]["name"] for each in listeners if each["protocol"] == "HTTPS"
    }


def certificates(cluster: Cluster, space: str) -> dict[str, Obj]:
    return {each["metadata"]["name"]: each for each in cluster.items(f"{CERT_MANAGER}/namespaces/{space}/certificates")}


def state(cluster: Cluster, space: str) -> tuple[str, str]:
    """Reason and message of the Space's CertificatesReady."""
    found = cluster.space_condition(space, "CertificatesReady") or {}
    return str(found.get("reason")), str(found.get("message"))


def secret(cluster: Cluster, space: str, name: str) -> Obj:
    return cluster.get(f"/api/v1/namespaces/{space}/secrets/{name}") or {}


def leaf(content: Obj) -> x509.Certificate:
    """The first certificate of a Secret."""
    return x509.load_pem_x509_certificates(b64decode(content["data"]["tls.crt"]))[0]


def names_of(certificate: x509.Certificate) -> set[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(found.value.get_values_for_type(x509.DNSName))


def verified(content: Obj, root: bytes, folder: Path) -> None:
    """OpenSSL verifies the chain of a Secret by the authority's root."""
    chain, trust = folder / "chain.pem", folder / "root.pem"
    chain.write_bytes(b64decode(content["data"]["tls.crt"]))
    trust.write_bytes(root)
    argv = ["openssl", "verify", "-CAfile", str(trust), "-untrusted", str(chain), str(chain)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def renew(cluster: Cluster, space: str, name: str) -> None:
    """What `cmctl renew` writes."""
    path = f"{CERT_MANAGER}/namespaces/{space}/certificates/{name}"
    live = cluster.get(path)
    assert live is not None
    conditions: list[dict[str, Any]] = [each for each in live["status"]["conditions"] if each["type"] != "Issuing"]
    conditions.append(
        {
            "type": "Issuing",
            "status": "True",
            "reason": "ManuallyTriggered",
            "message": "Certificate re-issuance manually triggered",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "observedGeneration": live["metadata"]["generation"],
        }
    )
    cluster.patch(f"{path}/status", {"status": {"conditions": conditions}})


def issued(cluster: Cluster, space: str, *names: str, seconds: float = SECONDS) -> None:
    """Waits until these Certificates are Ready."""

    def all_there() -> bool:
        found = certificates(cluster, space)
        return all((cluster.condition(found.get(each), "Ready") or {}).get("status") == "True" for each in names)

    eventually(all_there, seconds, f"{space}: {', '.join(names)}")
