"""The command lines of the three programs of a control plane, and why each flag is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.pki import KeyPair


@dataclass(frozen=True, slots=True)
class Network:
    """Where the API server is and which addresses Services get; without nodes only this machine uses either.

    ``address`` is the server's own, which is all that it listens on; ``kubernetes_ip`` is that of the Service
    ``kubernetes``, the first of ``services``.
    """

    address: str = "127.0.0.1"
    services: str = "10.96.0.0/16"
    kubernetes_ip: str = "10.96.0.1"
    nodes: bool = False


@dataclass(frozen=True, slots=True)
class Ports:
    """Free ports on loopback, one for each listener."""

    apiserver: int
    etcd: int
    etcd_peer: int
    manager: int


def etcd(ports: Ports, data: Path) -> list[str]:
    """etcd for one API server on this machine, whose data may be lost at a power cut."""
    client, peer = f"http://127.0.0.1:{ports.etcd}", f"http://127.0.0.1:{ports.etcd_peer}"
    return [
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--quota-backend-bytes=8589934592",  # 8 GiB: benchmarks with 10,000 objects and more
        "--log-level=warn",
    ]


def apiserver(
    ports: Ports,
    *,
    serving: KeyPair,
    ca_file: Path,
    signer: KeyPair,
    tokens: Path,
    audit: tuple[Path, Path] | None,
    network: Network,
    kubelet_client: KeyPair,
    admission: Sequence[str] = (),
) -> list[str]:
    """kube-apiserver as kubeadm runs it, on loopback unless pods must reach it.

    Args:
        ports: its own and etcd's.
        serving: its certificate.
        ca_file: authority of the clients' certificates.
        signer: signs and checks service account tokens.
        tokens: CSV file of static bearer tokens.
        audit: policy and log; None for no audit.
        network: with nodes, its address is one that pods reach.
        kubelet_client: what it shows to kubelets, for logs and exec.
        admission: admission plugins beside the default ones.
    """
    where = [f"--bind-address={network.address}", f"--advertise-address={network.address}"]
    if not network.nodes:
        # No loopback address may stand in the endpoints of the Service `kubernetes`, so they are not written.
        where.append("--endpoint-reconciler-type=none")
    audited = []
    if audit:
        policy, log = audit
        # Written before the request is answered for good, and in one file: a test reads it a moment later.
        audited = [f"--audit-policy-file={policy}", f"--audit-log-path={log}", "--audit-log-maxsize=100000"]
    if admission:
        where.append(f"--enable-admission-plugins={','.join(admission)}")
    return [
        *where,
        *audited,
        f"--secure-port={ports.apiserver}",
        f"--etcd-servers=http://127.0.0.1:{ports.etcd}",
        f"--tls-cert-file={serving.cert}",
        f"--tls-private-key-file={serving.key}",
        f"--client-ca-file={ca_file}",
        f"--token-auth-file={tokens}",
        f"--service-account-key-file={signer.cert}",
        f"--service-account-signing-key-file={signer.key}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-cluster-ip-range={network.services}",
        "--authorization-mode=Node,RBAC",
        f"--kubelet-client-certificate={kubelet_client.cert}",
        f"--kubelet-client-key={kubelet_client.key}",
        "--allow-privileged",
        "--kubelet-preferred-address-types=InternalIP",
        "--profiling=false",
        # At SIGTERM open watches are cut after 2 s, where the server else waits for them a whole minute.
        "--shutdown-send-retry-after",
    ]


def controller_manager(
    ports: Ports, *, kubeconfig: Path, ca: KeyPair, signer: KeyPair, certificates: Path, services: str
) -> list[str]:
    """kube-controller-manager with all its default controllers, each with its own service account as in production.

    Args:
        ports: its own.
        kubeconfig: of the user ``system:kube-controller-manager``.
        ca: signs certificates that nodes and pods request.
        signer: signs service account tokens.
        certificates: folder for the certificate that it makes for its own port.
        services: the network of Services' addresses.
    """
    return [
        f"--kubeconfig={kubeconfig}",
        f"--secure-port={ports.manager}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={certificates}",
        f"--root-ca-file={ca.cert}",
        f"--service-account-private-key-file={signer.key}",
        f"--cluster-signing-cert-file={ca.cert}",
        f"--cluster-signing-key-file={ca.key}",
        f"--service-cluster-ip-range={services}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        # Its own limits (20 requests a second) would be what a test of hundreds of Apps measures.
        "--kube-api-qps=2000",
        "--kube-api-burst=4000",
        "--profiling=false",
    ]
