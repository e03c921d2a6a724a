"""A small world with everything that decco writes, and how it is taken out of a control plane and put into another.

What a version of decco left in a cluster is more than what it sent: the server's defaults, ``managedFields``, UIDs in
owner references and in digests. So objects are taken as the server has them, and put back where it keeps them, into
etcd: the new cluster is then the old one, as after an upgrade of decco alone.

No private key is in the files. The Secrets' data is generated, and is the same each time.
"""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from testbed.controlplane import ControlPlane
from tests.integration.harness import GROUP, Cluster, Obj, app, http_app, pod

FIXTURES = Path(__file__).parent
SETTINGS = {"routing__gateway_class_name": "skew", "edge__namespace": "edge"}

RESOURCES = {
    f"/apis/{GROUP}/v1beta2/spaces": f"{GROUP}/spaces",
    "/api/v1/namespaces": "namespaces",
    "/api/v1/secrets": "secrets",
    "/api/v1/resourcequotas": "resourcequotas",
    "/api/v1/limitranges": "limitranges",
    "/apis/networking.k8s.io/v1/networkpolicies": "networkpolicies",
    "/apis/gateway.networking.k8s.io/v1/gateways": "gateway.networking.k8s.io/gateways",
    f"/apis/{GROUP}/v1beta2/apps": f"{GROUP}/apps",
    "/api/v1/configmaps": "configmaps",
    "/api/v1/services": "services/specs",
    "/apis/apps/v1/deployments": "deployments",
    "/apis/batch/v1/jobs": "jobs",
    "/apis/gateway.networking.k8s.io/v1/httproutes": "gateway.networking.k8s.io/httproutes",
    "/apis/gateway.networking.k8s.io/v1/tlsroutes": "gateway.networking.k8s.io/tlsroutes",
    "/apis/gateway.networking.k8s.io/v1/backendtlspolicies": "gateway.networking.k8s.io/backendtlspolicies",
}
"""Where a kind is listed -> where the API server keeps it in etcd, below /registry."""


def people_make(cluster: Cluster) -> None:
    """What people create: Spaces, Apps and a shared Secret, with each feature that gives another child."""
    cluster.create({"apiVersion": "v1", "kind": "Secret", **_shared(), "type": "kubernetes.io/tls", "data": pair()})
    certificates = {"httpCertSecretName": "skew-tls", "tcpCertAndCaSecretName": "skew-tls"}
    cluster.make_space("skew-a", project="skew", encryptHttp=True, **certificates)
    cluster.make_space(
        "skew-b",
        hostnames=["skew.example.org"],
        podSecurity="privileged",
        resourceQuota={"hard": {"pods": "10"}},
        limitRange={"limits": [{"type": "Container", "default": {"memory": "64Mi"}}]},
        topology={"zoneSpread": "Prefer"},
        **certificates,
    )
    cluster.create(http_app("skew-a", "web"))
    endpoints: list[Obj] = [
        {"name": "db", "port": 5432, "verifyTcpClientCert": True, "createClearTextService": True},
        {"name": "db-metrics", "port": 9100, "isMetricsEndpoint": True},
        {"name": "db-raw", "port": 7443, "disableTlsTermination": True, "tlsListenPort": 7443},
    ]
    egress = {"localPort": 6000, "endpoint": "db", "spaceName": "skew-a"}
    cluster.create(app("skew-a", "db", endpoints=endpoints, tlsEgresses=[{"localPort": 6001, "fqdn": "api.test"}]))
    cluster.create(app("skew-b", "caller", endpoints=[], tlsEgresses=[egress]))
    own = {"name": "own", "port": 8080, "hostname": "skew.example.org", "allowedClients": ["client.test"]}
    cluster.create(app("skew-b", "own", endpoints=[own]))
    cluster.create(app("skew-b", "job", endpoints=[], runAsJob=True, pod=pod(restartPolicy="Never")))


def _shared() -> Obj:
    labels, annotations = {f"{GROUP}/share": "true"}, {f"{GROUP}/share-with": "skew-a.example.net,skew-b.example.net"}
    return {"metadata": {"name": "skew-tls", "namespace": "decco", "labels": labels, "annotations": annotations}}


def pair() -> dict[str, str]:
    """The same certificate and key each time: signed without chance (RFC 6979)."""
    key = ec.derive_private_key(int.from_bytes(b"decco tests: this is no secret"), ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "skew.test")])
    names = ("skew-a.example.net", "*.skew-a.example.net", "skew-b.example.net", "skew.example.org")
    hosts = [x509.DNSName(host) for host in names]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    content = {"tls.crt": pem, "tls.key": private, "ca.crt": pem}
    return {name: base64.b64encode(value).decode() for name, value in content.items()}


# -- fixtures ---------------------------------------------------------------------------------------------------------


def take(cp: ControlPlane) -> Iterator[tuple[str, list[Obj]]]:
    """(file name, objects) of each kind: those of people and those of decco, without the Secrets' data."""
    for path in RESOURCES:
        listing = cp.request("GET", path).json()
        head = {"apiVersion": listing["apiVersion"], "kind": listing["kind"].removesuffix("List")}
        objects = [obj for obj in ({**head, **item} for item in listing["items"]) if _counts(obj)]
        for obj in objects:
            obj["metadata"].pop("resourceVersion")
            if obj["kind"] == "Secret":
                obj["data"] = {}
        yield f"{path.rpartition('/')[2]}.yaml", objects


def _counts(obj: Obj) -> bool:
    """Whether it is of decco, or one of those that ``people_make``."""
    labels = obj["metadata"].get("labels") or {}
    mine = labels.get("app.kubernetes.io/managed-by") == "decco" or f"{GROUP}/share" in labels
    return mine or obj["apiVersion"].startswith(GROUP)


def save(folder: Path, cp: ControlPlane) -> None:
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.yaml"):
        old.unlink()
    for name, objects in take(cp):
        if objects:
            text = "---\n".join(yaml.safe_dump(obj, sort_keys=True, width=120) for obj in objects)
            (folder / name).write_text(text)


def restore(folder: Path, cp: ControlPlane) -> list[Obj]:
    """Puts a version's objects into an empty control plane, with their UIDs; returns them."""
    places = {path.rpartition("/")[2]: place for path, place in RESOURCES.items()}
    restored: list[Obj] = []
    for name, place in places.items():
        file = folder / f"{name}.yaml"
        if not file.exists():
            continue
        for obj in yaml.load_all(file.read_text(), Loader=_Texts):
            if obj["kind"] == "Secret":
                obj["data"] = pair()
            meta = obj["metadata"]
            key = "/".join(["/registry", place, *([meta["namespace"]] if "namespace" in meta else []), meta["name"]])
            _put(cp, key, obj)
            restored.append(obj)
    return restored


class _Texts(yaml.SafeLoader):
    """Times stay texts, as in JSON."""


_Texts.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _put(cp: ControlPlane, key: str, obj: Any) -> None:
    body = {
        "key": base64.b64encode(key.encode()).decode(),
        "value": base64.b64encode(json.dumps(obj).encode()).decode(),
    }
    url = f"http://127.0.0.1:{cp._ports.etcd}/v3/kv/put"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode()), timeout=10) as answer:
        assert answer.status == 200
