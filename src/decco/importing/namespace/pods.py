"""What a pod refers to by name. Objects of these names must be in the Space's namespace, and decco moves none of them.

Values of variables are never in a message: many are passwords.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from decco.importing.app import beyond_baseline
from decco.importing.fields import Remarks, as_object, as_objects
from decco.objects import Obj
from decco.text import shown

_CONTAINERS = ("initContainers", "containers")
_ADVICE = {
    "Secret": "copy it to the Space's namespace, or have its owner share it and list it in the Space's secrets",
    "ConfigMap": "copy it to the Space's namespace",
    "ServiceAccount": "create it in the Space's namespace, with the RoleBindings that name it",
}


def remark_on_pod(pod: Obj, path: str, remarks: Remarks, namespace: str) -> None:
    """``path`` is that of the pod in the input; ``namespace`` the one that it leaves, "" if it is not known."""
    seen: set[tuple[str, str]] = set()
    for place, kind, name in _references(pod):
        if isinstance(name, str) and name and (kind, name) not in seen:
            seen.add((kind, name))
            if kind == "PersistentVolumeClaim":
                remarks.add(
                    f"{path}.{place}",
                    "data-to-be-moved",
                    f"claim {name} and its data stay in the old namespace, and pods wait for one of this name: create "
                    f"it "
                    "in the Space's namespace, and copy the data",
                )
            else:
                remarks.add(f"{path}.{place}", "reference-to-be-moved", f"{kind} {name}: {_ADVICE[kind]}")
    for place in beyond_baseline(pod):
        remarks.add(
            f"{path}.{place.removeprefix('pod.')}",
            "pod-beyond-baseline",
            "Pod Security level baseline, the default of a Space, does not allow it: change the pod, or set "
            "podSecurity: privileged in the Space",
        )
    if namespace:
        _old_names(pod, path, remarks, namespace)


def _references(pod: Obj) -> Iterator[tuple[str, str, Any]]:
    """(path in the pod, kind, name)."""
    yield "serviceAccountName", "ServiceAccount", pod.get("serviceAccountName")
    for at, secret in as_objects(pod.get("imagePullSecrets")):
        yield f"imagePullSecrets[{at}]", "Secret", secret.get("name")
    for kind in _CONTAINERS:
        for number, container in as_objects(pod.get(kind)):
            yield from _of_container(container, f"{kind}[{number}]")
    for at, volume in as_objects(pod.get("volumes")):
        place = f"volumes[{at}]"
        yield f"{place}.secret", "Secret", as_object(volume.get("secret")).get("secretName")
        yield f"{place}.configMap", "ConfigMap", as_object(volume.get("configMap")).get("name")
        claim = as_object(volume.get("persistentVolumeClaim")).get("claimName")
        yield f"{place}.persistentVolumeClaim", "PersistentVolumeClaim", claim
        for inner, source in as_objects(as_object(volume.get("projected")).get("sources")):
            yield f"{place}.projected.sources[{inner}]", "Secret", as_object(source.get("secret")).get("name")
            yield f"{place}.projected.sources[{inner}]", "ConfigMap", as_object(source.get("configMap")).get("name")
        for driver, value in volume.items():
            if driver != "secret":  # csi, cephfs, rbd, iscsi and others
                named = as_object(as_object(value).get("secretRef") or as_object(value).get("nodePublishSecretRef"))
                yield f"{place}.{driver}", "Secret", named.get("name")


def _of_container(container: Obj, place: str) -> Iterator[tuple[str, str, Any]]:
    for at, source in as_objects(container.get("envFrom")):
        yield f"{place}.envFrom[{at}]", "Secret", as_object(source.get("secretRef")).get("name")
        yield f"{place}.envFrom[{at}]", "ConfigMap", as_object(source.get("configMapRef")).get("name")
    for at, variable in as_objects(container.get("env")):
        source = as_object(variable.get("valueFrom"))
        yield f"{place}.env[{at}]", "Secret", as_object(source.get("secretKeyRef")).get("name")
        yield f"{place}.env[{at}]", "ConfigMap", as_object(source.get("configMapKeyRef")).get("name")


def _old_names(pod: Obj, path: str, remarks: Remarks, namespace: str) -> None:
    """Names of Services with the old namespace in them: <service>.<namespace>, with or without .svc."""
    qualified = re.compile(rf"[a-z0-9]\.{re.escape(namespace)}(\.svc\b|[:/]|$)")
    for kind in _CONTAINERS:
        for number, container in as_objects(pod.get(kind)):
            place = f"{path}.{kind}[{number}]"
            texts = [
                (f"{place}.env[{at}]", f"the variable {shown(str(variable.get('name')))}", variable.get("value"))
                for at, variable in as_objects(container.get("env"))
            ]
            for field in ("command", "args"):
                value = container.get(field)
                words = value if isinstance(value, list) else ()
                texts += [(f"{place}.{field}[{at}]", "it", word) for at, word in enumerate(words)]
            for where, what, text in texts:
                if isinstance(text, str) and qualified.search(text):
                    remarks.add(
                        where,
                        "old-namespace-in-name",
                        f"{what} names a Service of namespace {namespace}; in the Space use the Service's name alone, "
                        "which the import keeps, or the new namespace",
                    )
