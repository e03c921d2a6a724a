"""Labels and annotations of an App's pods: their form, and the keys that an App may not set.

Labels select pods, and annotations configure what runs beside them or below them: proxies of a mesh, further networks,
devices and mounts of the node, roles in the cloud. An App's author has no rights on these, so their keys are refused.
Keys of Kubernetes' own domains are refused, since its controllers give them a meaning, except those in a list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from decco.api.model import Model
from decco.api.rules import VALIDATIONS, Reason, cel_string, validation
from decco.frozen import frozen
from decco.objects import GROUP, LABEL_MANAGED_BY

MAX_KEYS = 64
MAX_LABEL_VALUE = 63
MAX_ANNOTATION_VALUE = 16384

_NAME = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = rf"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?{_NAME}"
_VALUE = f"({_NAME})?"

_RECOMMENDED = "app.kubernetes.io/"
"""Kubernetes' recommended labels, which are for users; decco writes managed-by."""
_EXTERNAL_DNS = "external-dns.alpha.kubernetes.io/"
"""Host names there are checked by the policy tenant-annotations."""
_OF_CONTROLLERS = (
    "controller-revision-hash",
    "controller-uid",
    "job-name",
    "pod-template-generation",
    "pod-template-hash",
)
"""Labels without a domain that controllers of Kubernetes give to pods."""
_FREE_ANNOTATIONS = (
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
    "controller.kubernetes.io/pod-deletion-cost",
    "kubectl.kubernetes.io/default-container",
    "kubectl.kubernetes.io/default-logs-container",
    "kubernetes.io/egress-bandwidth",
    "kubernetes.io/ingress-bandwidth",
)
"""Keys in Kubernetes' domains that are for users and are about their pod alone."""
_MESHES = ("consul.hashicorp.com", "istio.io", "kuma.io", "linkerd.io", "openservicemesh.io")
"""Injection of a proxy, and ports that go past it: the Space's field mesh decides about these."""
_NETWORKS = (
    *("antrea.io", "cilium.io", "cncf.io", "k8s.aliyun.com", "multus-cni.io", "networking.gke.io", "ovn.org"),
    *("projectcalico.org", "tke.cloud.tencent.com"),
)
"""Further networks and chosen addresses, which NetworkPolicies do not cover."""
_RUNTIMES = ("crio.io", "gvisor.dev", "katacontainers.io", "nri.io")
_RUNTIME_PREFIXES = (
    *("com.github.containers.", "dev.gvisor.", "io.containerd.", "io.katacontainers.", "io.kubernetes.", "org.crun."),
    *("org.systemd.", "run.oci."),
)
"""Container runtimes reverse their domain: devices, mounts, units and hypervisors of the node."""
_CLOUDS = ("iam.amazonaws.com", "iam.cloud.google.com", "vpc.amazonaws.com")
"""Roles that an agent on the node gives to pods by their metadata."""
_AGENTS = ("ad.datadoghq.com", "co.elastic.hints", "co.elastic.monitor")
"""Checks that an agent on the node runs, with the node's network, against addresses of the annotation's choice."""


def _domains(*names: str) -> str:
    """A pattern of keys in these domains and below."""
    return rf"^([-a-z0-9.]*\.)?({'|'.join(map(re.escape, names))})/"


_OWN = rf"{_domains(GROUP)}|^{re.escape(LABEL_MANAGED_BY)}$"
_KUBERNETES = rf"{_domains('kubernetes.io', 'k8s.io')}|^({'|'.join(_OF_CONTROLLERS)})$"
_OTHERS = (
    rf"{_domains(*_MESHES, *_NETWORKS, *_RUNTIMES, *_CLOUDS, *_AGENTS)}"
    rf"|^({'|'.join(map(re.escape, _RUNTIME_PREFIXES))})|^aadpodidbinding$"
)

_OWN_MESSAGE = f"has a key that decco writes itself: leave out {GROUP}/* and {LABEL_MANAGED_BY}"


@frozen
class MapRule:
    """What must hold for a map of texts; ``cel`` is about ``self``, the map."""

    cel: str
    holds: Callable[[dict[str, str]], bool]
    message: str
    reason: Reason = Reason.FORBIDDEN

    def as_validation(self) -> dict[str, Any]:
        return validation(self.cel, self.message, reason=self.reason)


def _no_key(pattern: str, message: str, *, free: Iterable[str] = (), free_prefixes: tuple[str, ...] = ()) -> MapRule:
    free = tuple(free)
    allowed = f"k in [{', '.join(map(cel_string, free))}] || " if free else ""
    allowed += "".join(f"k.startsWith({cel_string(prefix)}) || " for prefix in free_prefixes)

    def may(key: str) -> bool:
        allowed = key in free or key.startswith(free_prefixes)
        return allowed or re.search(pattern, key) is None

    return MapRule(
        f"self.all(k, {allowed}!k.matches({cel_string(pattern)}))", lambda found: all(map(may, found)), message
    )


_KEY_RULE = MapRule(
    f"self.all(k, k.matches({cel_string(f'^{_KEY}$')}))",
    lambda found: all(re.fullmatch(_KEY, key) for key in found),
    'has a key that is not of the form of Kubernetes: at most 63 letters, digits, "-", "_" and ".", with a DNS name in '
    'lower case and "/" before them if you like, such as example.com/team',
    Reason.INVALID,
)
OWN_RULE = _no_key(_OWN, _OWN_MESSAGE)
_BEYOND = (
    "has a key of a service mesh, a network, a container runtime, a cloud or an agent of the node, which reaches "
    "beyond the pod: remove it; the Space's fields mesh and runtimeClassName are for the platform operator"
)

LABEL_RULES = (
    _KEY_RULE,
    MapRule(
        f"self.all(k, self[k].matches({cel_string(f'^{_VALUE}$')}))",
        lambda found: all(re.fullmatch(_VALUE, value) for value in found.values()),
        'has a value that no label can have: at most 63 letters, digits, "-", "_" and ".", with a letter or digit at '
        "both ends; other texts can be annotations",
        Reason.INVALID,
    ),
    OWN_RULE,
    _no_key(
        _KUBERNETES,
        "has a key that controllers of Kubernetes write, such as pod-template-hash, job-name or *.kubernetes.io/*: "
        "use app.kubernetes.io/*, a name without a domain, or a domain of your own",
        free_prefixes=(_RECOMMENDED,),
    ),
    _no_key(_OTHERS, _BEYOND),
)
ANNOTATION_RULES = (
    _KEY_RULE,
    OWN_RULE,
    _no_key(
        _KUBERNETES,
        "has a key of Kubernetes' own domains, which configures the node or is written by kubectl and controllers: of "
        f"these only {', '.join((*_FREE_ANNOTATIONS, _RECOMMENDED + '*'))} and {_EXTERNAL_DNS}* are for pods of an App",
        free=_FREE_ANNOTATIONS,
        free_prefixes=(_RECOMMENDED, _EXTERNAL_DNS),
    ),
    _no_key(_OTHERS, _BEYOND),
)


def _checked(rules: tuple[MapRule, ...], longest: int) -> AfterValidator:
    def check(found: dict[str, str]) -> dict[str, str]:
        if len(found) > MAX_KEYS:
            raise ValueError(f"has more than {MAX_KEYS} keys")
        if any(len(value) > longest for value in found.values()):
            raise ValueError(f"has a value of more than {longest} characters")
        broken = tuple(("", rule.message) for rule in rules if not rule.holds(found))
        if broken:
            text = "; ".join(message for _, message in broken)
            raise PydanticCustomError("rules", "{text}", {"text": text, "broken": broken})
        return found

    return AfterValidator(check)


def map_schema(rules: tuple[MapRule, ...], longest: int) -> dict[str, Any]:
    return {
        "type": "object",
        "maxProperties": MAX_KEYS,
        "additionalProperties": {"type": "string", "maxLength": longest},
        VALIDATIONS: [rule.as_validation() for rule in rules],
    }


Labels = Annotated[
    dict[str, str], _checked(LABEL_RULES, MAX_LABEL_VALUE), WithJsonSchema(map_schema(LABEL_RULES, MAX_LABEL_VALUE))
]
Annotations = Annotated[
    dict[str, str],
    _checked(ANNOTATION_RULES, MAX_ANNOTATION_VALUE),
    WithJsonSchema(map_schema(ANNOTATION_RULES, MAX_ANNOTATION_VALUE)),
]


class PodMetadata(Model):
    labels: Labels | None = None
    """Further labels of the pods. decco's own, and those that controllers of Kubernetes write, are refused."""
    annotations: Annotations | None = None
    """Annotations of the pods. Keys that configure a mesh, a network, a container runtime or the node are refused."""
