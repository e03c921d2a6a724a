"""The cluster's DNS domain, as the kubelet wrote it into the controller's own pod.

A name of a Service is absolute only with that domain, and no API of Kubernetes serves it. The search path of a pod with
``dnsPolicy: ClusterFirst`` has it: ``<namespace>.svc.<domain> svc.<domain> <domain>``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from decco.forms import is_dns_name
from decco.settings.model import Settings

RESOLV_CONF = Path("/etc/resolv.conf")
_IN_A_POD = "KUBERNETES_SERVICE_HOST"


def with_cluster_domain(
    settings: Settings, environ: Mapping[str, str] = os.environ, resolv_conf: Path = RESOLV_CONF
) -> Settings:
    """The settings with ``cluster_domain`` filled in, if it is not set and this process runs in a pod."""
    if settings.cluster_domain is not None or _IN_A_POD not in environ:
        return settings
    try:
        text = resolv_conf.read_text(errors="replace")
    except OSError:  # a pod without a resolver: only the setting, or its default, is left
        return settings
    return settings.model_copy(update={"cluster_domain": domain_of(text)})


def domain_of(resolv_conf: str) -> str | None:
    """The domain that a pod's search path names; None if the pod has another DNS policy."""
    paths = [line.split()[1:] for line in resolv_conf.splitlines() if line.split()[:1] == ["search"]]
    for entry in paths[-1] if paths else ():  # the last line counts (resolv.conf(5))
        before, _, domain = entry.removesuffix(".").partition("svc.")
        if not before and is_dns_name(domain):
            return domain
    return None
