"""Configuration files and flags of the node's programs, with the reasons."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from testbed.node.sandbox import Addresses
from testbed.pki import KeyPair

NAME = "testbed"
"""The node's."""
CNI_PLUGINS = Path("/usr/lib/cni")
SYNC = os.environ.get("NODE_SYNC", "30s")
"""The kubelet's default is a minute: a renewed certificate then takes 60 to 90 seconds; tests need not wait so."""
DOMAIN = "cluster.local"
MTU = 1500


_RUNTIME = """
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.{handler}]
runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.{handler}.options]
BinaryName = "{binary}"
SystemdCgroup = false
"""
BOX, MAPPED = "box", "mapped"
"""Runtime handlers beside the default: the same runtime under another name, as a sandbox would be; and one with user
namespaces."""


def containerd(folder: Path, *, sandbox_image: str, runc: Path, mapping_runc: Path) -> str:
    """containerd's configuration (TOML, version 3) with all of its state below ``folder``."""
    handlers = {"runc": runc, BOX: runc, MAPPED: mapping_runc}
    runtimes = "\n".join(_RUNTIME.format(handler=name, binary=binary) for name, binary in handlers.items())
    return f"""version = 3
root = "{folder}/root"
state = "{folder}/state"
oom_score = 0

[grpc]
address = "{folder}/containerd.sock"

[ttrpc]
address = "{folder}/containerd.sock.ttrpc"

[plugins.'io.containerd.cri.v1.images']
snapshotter = "overlayfs"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{sandbox_image}"

[plugins.'io.containerd.cri.v1.runtime']
# Without CAP_SYS_RESOURCE no process may be made less likely to be killed than its parent.
restrict_oom_score_adj = true
enable_selinux = false
max_container_log_line_size = 65536

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{CNI_PLUGINS}"]
conf_dir = "{folder}/cni"

{runtimes}"""


def cni(folder: Path, addresses: Addresses) -> dict[str, Any]:
    """Pods' network: a pair of interfaces each, routed. Unlike on a bridge all traffic passes the node's own rules."""
    ranges = [[{"subnet": addresses.pods}]]
    ipam = {"type": "host-local", "ranges": ranges, "dataDir": str(folder / "addresses")}
    routed = {"type": "ptp", "ipMasq": False, "mtu": MTU, "ipam": {**ipam, "routes": [{"dst": "0.0.0.0/0"}]}}
    return {
        "cniVersion": "1.0.0",
        "name": "decco",
        "plugins": [routed, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }


def kubelet(folder: Path, addresses: Addresses, *, ca_file: Path, cgroup: str) -> dict[str, Any]:
    """KubeletConfiguration of a node that shares its machine with others."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": addresses.node,
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(ca_file)}},
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{folder}/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "clusterDomain": DOMAIN,
        "clusterDNS": [addresses.node],
        "resolvConf": str(folder / "resolv.conf"),
        "failSwapOn": False,
        "failCgroupV1": False,
        "enforceNodeAllocatable": ["pods"],
        # The machine's disk is others' business; a full one must not evict the tests' pods.
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": False,
        "maxPods": 250,
        "podLogsDir": str(folder / "log" / "pods"),
        "volumePluginDir": str(folder / "volume-plugins"),
        # A renewed Secret reaches a pod when the kubelet syncs the pod again: after this, or up to half more.
        "syncFrequency": SYNC,
        "serializeImagePulls": False,
        "shutdownGracePeriod": "0s",
        "makeIPTablesUtilChains": True,
        "logging": {"verbosity": 1},
        "staticPodPath": "",
        "registerNode": True,
    }


def kubelet_flags(folder: Path, addresses: Addresses, *, config: Path, kubeconfig: Path) -> list[str]:
    """What cannot be in its file."""
    return [
        f"--config={config}",
        f"--kubeconfig={kubeconfig}",
        f"--root-dir={folder / 'kubelet'}",
        f"--cert-dir={folder / 'kubelet-pki'}",
        f"--hostname-override={NAME}",
        f"--node-ip={addresses.node}",
    ]


def kube_proxy(kubeconfig: Path, addresses: Addresses) -> list[str]:
    """iptables, and no attempt at the sizes of tables that belong to the machine."""
    return [
        f"--kubeconfig={kubeconfig}",
        "--proxy-mode=iptables",
        f"--hostname-override={NAME}",
        f"--cluster-cidr={addresses.pods}",
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
        # Edits are seen within this; the default waits a second between two syncs.
        "--iptables-min-sync-period=100ms",
        "--healthz-bind-address=127.0.0.1:10256",
        "--metrics-bind-address=127.0.0.1:10249",
    ]


def scheduler(kubeconfig: Path, port: int) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--leader-elect=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]


def corefile(
    addresses: Addresses, server: str, client: KeyPair, ca_file: Path, hosts: Path, zones: dict[str, str]
) -> str:
    """CoreDNS for pods.

    Args:
        addresses: where it listens.
        server: URL of the API server.
        client: its user there.
        ca_file: authority of the API server.
        hosts: file in the form of /etc/hosts with names of the world outside; read again when it changes.
        zones: further zones to the address and port of the server that is asked for them.
    """
    further = "".join(f"{zone}:53 {{\n  bind {addresses.node}\n  forward . {to}\n}}\n" for zone, to in zones.items())
    return f"""{further}.:53 {{
  bind {addresses.node}
  errors
  ready {addresses.node}:8181
  kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
    endpoint {server}
    tls {client.cert} {client.key} {ca_file}
    pods insecure
    ttl 5
  }}
  hosts {hosts} {{
    reload 500ms
    ttl 1
    fallthrough
  }}
}}
"""


def resolv_conf(addresses: Addresses) -> str:
    """For pods with ``dnsPolicy: Default``."""
    return f"nameserver {addresses.node}\n"


def to_json(value: Any) -> str:
    return json.dumps(value, indent=2)
