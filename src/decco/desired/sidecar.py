"""The TLS sidecar of an App's pods: its ConfigMap, its container, its volumes.

stunnel runs as a native sidecar (KEP-753: an init container with ``restartPolicy: Always``), so that it is up before
the App's containers, ends after them, and lets Jobs end. One process serves all endpoints and egresses of the pod,
with as few rights as the Pod Security level ``restricted`` requires.

The container is a function of the *structure* alone: which ports the sidecar listens on and which Secrets it reads.
The ConfigMap holds all the rest (allowed clients, targets, names), and neither its digest nor that of a Secret is put
into the pod template: the image's entry point watches the mounted files and makes stunnel reload them without dropping
a connection. A digest would turn every such change, and every renewed certificate, into a restart of all pods. A change
of structure is a change of ports or volumes, and rolls the pods by itself.

For the same reason everything is mounted as a directory: the kubelet updates a directory, but never a ``subPath``.
"""

from __future__ import annotations

import hashlib

from decco.desired import names
from decco.desired.egress import ResolvedEgress
from decco.desired.endpoints import ResolvedApp, TlsServer
from decco.desired.model import AppInputs, Child, Problem
from decco.desired.sidecar_resources import fit
from decco.desired.stunnel import SECRETS_DIR, config
from decco.frozen import frozen
from decco.objects import CONFIGMAPS, Obj

CONTAINER = "decco-tls"
CONFIG_VOLUME = "decco-tls-config"
SECRET_VOLUME_PREFIX = "decco-tls-secret-"  # noqa: S105 - the name of a volume
CONFIG_DIR = "/etc/decco/stunnel"
CONFIG_FILE = "stunnel.conf"
UNPRIVILEGED_PORTS = "net.ipv4.ip_unprivileged_port_start"
"""A sysctl of the pod's own network, "safe" since Kubernetes 1.22 and allowed by every Pod Security level."""
FIRST_UNPRIVILEGED_PORT = 1024
STARTUP_SECONDS = 60
"""How long stunnel may take until it listens; it takes some milliseconds."""

_READABLE_BY_ALL = 0o444
"""The sidecar is not root and has no group of the volume's; no other container of the pod mounts these volumes."""


@frozen
class Sidecar:
    """What decco adds to a pod with TLS."""

    config_map: Child
    container: Obj
    volumes: list[Obj]
    sysctls: list[Obj]


def sidecar(
    inputs: AppInputs, resolved: ResolvedApp, egresses: tuple[ResolvedEgress, ...]
) -> tuple[Sidecar | None, tuple[Problem, ...]]:
    """The sidecar, or None for a pod without TLS; and what had to be left out of it."""
    if not resolved.servers and not egresses:
        return None, ()
    text, refused = config(resolved.servers, egresses)
    meta = names.app_meta(inputs, names.stunnel_config(inputs.name))
    # By name, so that a new order of the endpoints in the spec does not restart the pods.
    servers = sorted((e.tls for e in resolved.servers if e.tls is not None), key=lambda tls: tls.port_name)
    named = {tls.secret for tls in servers} | {egress.secret for egress in egresses if egress.secret is not None}
    secrets = sorted(named)
    made = Sidecar(
        config_map=names.child(CONFIGMAPS, meta, data={CONFIG_FILE: text}),
        container=_container(inputs, servers, secrets),
        volumes=_volumes(names.stunnel_config(inputs.name), secrets),
        sysctls=_sysctls(egresses),
    )
    return made, refused


def _container(inputs: AppInputs, servers: list[TlsServer], secrets: list[str]) -> Obj:
    settings = inputs.settings.sidecar
    # Without a user the cluster chooses one; for clusters that do not, the image names a non-root user.
    user = settings.run_as_user
    ports = [{"name": tls.port_name, "containerPort": tls.port, "protocol": "TCP"} for tls in servers]
    mounts: list[Obj] = [{"name": CONFIG_VOLUME, "mountPath": CONFIG_DIR, "readOnly": True}]
    mounts += [{"name": _volume(s), "mountPath": f"{SECRETS_DIR}/{s}", "readOnly": True} for s in secrets]
    container: Obj = {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "restartPolicy": "Always",
        "args": [f"{CONFIG_DIR}/{CONFIG_FILE}"],
        "resources": fit(settings.resources, inputs.space.spec, inputs.spec.pod).resources,
        "securityContext": {
            "runAsNonRoot": True,
            **({"runAsUser": user, "runAsGroup": user} if user is not None else {}),
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": mounts,
    }
    if ports:
        container["ports"] = ports
        # stunnel opens all listeners before it serves any, so a probe of one is enough. The listeners of egresses are
        # on the loopback interface, where the kubelet cannot probe them: in a pod with egresses only, the App's first
        # connections may come some milliseconds too early. An exec probe would need a second program in the image.
        container["startupProbe"] = {
            "tcpSocket": {"port": ports[0]["name"]},
            "periodSeconds": 1,
            "failureThreshold": STARTUP_SECONDS,
        }
    return container


def _volumes(config_map: str, secrets: list[str]) -> list[Obj]:
    files: Obj = {"name": CONFIG_VOLUME, "configMap": {"name": config_map, "defaultMode": _READABLE_BY_ALL}}
    # Not optional: a new pod without its Secret waits, visibly, in ContainerCreating. It never serves without TLS.
    return [files] + [
        {"name": _volume(secret), "secret": {"secretName": secret, "defaultMode": _READABLE_BY_ALL}}
        for secret in secrets
    ]


def _volume(secret: str) -> str:
    """A volume's name has 63 characters and no dots, a Secret's 253 with dots."""
    return SECRET_VOLUME_PREFIX + hashlib.sha256(secret.encode()).hexdigest()[:16]


def _sysctls(egresses: tuple[ResolvedEgress, ...]) -> list[Obj]:
    """Allows an unprivileged process to listen on the lowest local port; most runtimes allow it by default."""
    lowest = min((egress.local_port for egress in egresses), default=FIRST_UNPRIVILEGED_PORT)
    if lowest >= FIRST_UNPRIVILEGED_PORT:
        return []
    return [{"name": UNPRIVILEGED_PORTS, "value": str(lowest)}]
