"""The Secrets that an App's pod refers to, which its Space lists in ``secrets`` or the sidecar's image needs.

They are ordinary references of a PodSpec, which the kubelet follows: a pod without them waits, or its image cannot be
pulled. Of the copies that decco makes it knows whether they are there, so it creates no workload while one is about to
be written, and reports those that are missing.
"""

from __future__ import annotations

from collections.abc import Iterator

from decco.desired.endpoints import objects
from decco.desired.model import AppInputs, Problem, SecretState
from decco.desired.secret_use import ANY_CONTENT
from decco.desired.secrets import problem_of
from decco.objects import Obj


def pod_secrets(pod: Obj) -> frozenset[str]:
    """Names of the Secrets that a PodSpec cannot do without, and its imagePullSecrets; the PodSpec is not validated."""
    return frozenset(name for name in _named(pod) if isinstance(name, str))


def needed_by_pods(inputs: AppInputs, *, has_sidecar: bool) -> frozenset[str]:
    """The Secrets that the App's pods need and that decco copies for that."""
    named = pod_secrets(inputs.spec.pod) & frozenset(inputs.space.spec.secrets)
    return named | frozenset(inputs.settings.sidecar.image_pull_secrets) if has_sidecar else named


def _named(pod: Obj) -> Iterator[object]:
    for reference in objects(pod.get("imagePullSecrets")):
        yield reference.get("name")
    for volume in objects(pod.get("volumes")):
        yield from _required(volume.get("secret"), "secretName")
        projected = volume.get("projected")
        for part in objects(projected.get("sources") if isinstance(projected, dict) else None):
            yield from _required(part.get("secret"), "name")
    for kind in ("initContainers", "containers"):
        for container in objects(pod.get(kind)):
            for variable in objects(container.get("env")):
                value = variable.get("valueFrom")
                yield from _required(value.get("secretKeyRef") if isinstance(value, dict) else None, "name")
            for source in objects(container.get("envFrom")):
                yield from _required(source.get("secretRef"), "name")


def _required(reference: object, field: str) -> Iterator[object]:
    if isinstance(reference, dict) and reference.get("optional") is not True:
        yield reference.get(field)


def secret_problems(inputs: AppInputs, named: frozenset[str]) -> tuple[Problem, ...]:
    """Why Secrets among these are not there for the pods."""
    found = []
    for name in sorted(named & inputs.secrets.keys()):
        problem = problem_of(
            inputs.secrets[name],
            space=inputs.space.name,
            fqdn=inputs.space.fqdn,
            controller_namespace=inputs.settings.namespace,
            now=inputs.now,
            use=ANY_CONTENT,
        )
        if problem is not None:
            found.append(Problem(problem.reason, f"for the pods: {problem.message}"))
    return tuple(found)


def awaited(inputs: AppInputs, named: frozenset[str]) -> Problem | None:
    """The first Secret among these of which decco is about to write the copy; None if there is none."""
    pending = frozenset(name for name in named if _state(inputs, name) is SecretState.PENDING)
    return next(iter(secret_problems(inputs, pending)), None)


def _state(inputs: AppInputs, name: str) -> SecretState | None:
    view = inputs.secrets.get(name)
    return view.state if view is not None else None
