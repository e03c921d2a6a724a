"""decco for the Operator Lifecycle Manager (OLM), as OperatorHub demands it: a bundle of format registry+v1.

It is made from ``manifests/``, so that there is one description of what is installed. Three things differ:

* OLM creates the ServiceAccount, and the roles that are bound to it from the permissions in the ClusterServiceVersion.
* There is no ConfigMap of settings: OLM would overwrite it. Settings are variables, ``spec.config.env`` of the
  Subscription.
* A bundle cannot contain admission policies (operator-registry, pkg/lib/bundle/supported_resources.go): they are a
  file of the release, to be applied first.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from decco import __version__
from testbed.images import oci
from tools.release.images import REGISTRY
from tools.release.parts import CHECKOUT, MANIFESTS

Obj = dict[str, Any]

PACKAGE = "decco"
CHANNEL = "candidate-v0"
"""Named by the conventions of OLM: before 1.0 nothing is called stable."""
ACCOUNT = "decco-controller"
KEPT_KINDS = frozenset({"Service", "PodDisruptionBudget", "NetworkPolicy"})
"""Of manifests/controller, as they are."""
REPOSITORY = "https://github.com/decco-project/decco"
DESCRIPTION = f"""\
decco lets one shared cluster host many customers' Internet-facing services. A platform operator creates a **Space**
per customer; the services in it are **Apps**, thin wrappers around a PodSpec. decco creates everything else: namespace,
isolation, copies of certificates, routing by path and by TLS server name, TLS in and out of every pod, DNS records.

## Before the installation

A bundle cannot contain admission policies, and Spaces are not isolated from hostile tenants without them. Apply the
file `decco-{__version__}-policies.yaml` of the release first, and install into the namespace `decco`, which the
policies name:

    kubectl apply -f decco-{__version__}-policies.yaml

The cluster needs a network plug-in that enforces NetworkPolicies, and an edge: the Gateway API with ListenerSets, or an
Ingress controller. `decco doctor` says what is missing.

## Settings

Each setting is a variable of `spec.config.env` of the Subscription, as `DECCO_ROUTING__PARENT_GATEWAY=edge/public`; the
reference of settings lists them.
"""
TESTS = (
    ("basic-check-spec", "basic-check-spec-test", "basic"),
    ("olm-bundle-validation", "olm-bundle-validation-test", "olm"),
    ("olm-crds-have-validation", "olm-crds-have-validation-test", "olm"),
    ("olm-crds-have-resources", "olm-crds-have-resources-test", "olm"),
    ("olm-spec-descriptors", "olm-spec-descriptors-test", "olm"),
    ("olm-status-descriptors", "olm-status-descriptors-test", "olm"),
)
"""Of scorecard: argument, name, suite."""
SCORECARD_IMAGE = "quay.io/operator-framework/scorecard-test:v1.42.0"


def files(epoch: int) -> dict[str, str]:
    """Path in the bundle -> content."""
    return {
        f"manifests/{PACKAGE}.clusterserviceversion.yaml": _yaml(service_version(epoch)),
        **{f"manifests/{_file(obj)}": _yaml(obj) for obj in _objects()},
        "metadata/annotations.yaml": _yaml({"annotations": labels()}),
        "tests/scorecard/config.yaml": _yaml(scorecard()),
        "bundle.Dockerfile": _dockerfile(),
    }


def write(folder: Path, epoch: int) -> Path:
    """Writes the bundle as a folder, and as the image that catalogs name; returns the archive of that."""
    tree = folder / f"decco-bundle-{__version__}"
    for name, text in files(epoch).items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    archive = folder / f"decco-bundle-{__version__}.oci.tar"
    content: oci.Layer = {name: oci.file(text) for name, text in files(epoch).items() if name != "bundle.Dockerfile"}
    oci.write(archive, f"{REGISTRY}/bundle:{__version__}", [content], oci.Config(user="", labels=labels()))
    return archive


def labels() -> dict[str, str]:
    """Of the bundle's image, and annotations in its metadata."""
    prefix = "operators.operatorframework.io"
    return {
        f"{prefix}.bundle.mediatype.v1": "registry+v1",
        f"{prefix}.bundle.manifests.v1": "manifests/",
        f"{prefix}.bundle.metadata.v1": "metadata/",
        f"{prefix}.bundle.package.v1": PACKAGE,
        f"{prefix}.bundle.channels.v1": CHANNEL,
        f"{prefix}.bundle.channel.default.v1": CHANNEL,
        f"{prefix}.test.mediatype.v1": "scorecard+v1",
        f"{prefix}.test.config.v1": "tests/scorecard/",
    }


def service_version(epoch: int) -> Obj:
    """The ClusterServiceVersion: https://olm.operatorframework.io/docs/concepts/crds/clusterserviceversion/."""
    deployment = _deployment()
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    icon = base64.b64encode((CHECKOUT / "docs/assets/favicon.svg").read_bytes()).decode()
    [namespace] = _read(MANIFESTS / "rbac/0-namespace.yaml")
    roles = list(_roles())
    return {
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {
            "name": f"{PACKAGE}.v{__version__}",
            "namespace": "placeholder",
            # Of each architecture that is released.
            "labels": {"operatorframework.io/arch.amd64": "supported", "operatorframework.io/os.linux": "supported"},
            "annotations": {
                "alm-examples": json.dumps(_examples(), indent=1),
                "capabilities": "Seamless Upgrades",
                "categories": "Networking",
                "containerImage": image,
                "createdAt": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "description": "Hosts many customers' Internet-facing services on one shared cluster.",
                "repository": REPOSITORY,
                "support": "decco project",
                "operatorframework.io/suggested-namespace": "decco",
                "operatorframework.io/suggested-namespace-template": json.dumps(namespace, sort_keys=True),
            },
        },
        "spec": {
            "displayName": "decco",
            "description": DESCRIPTION,
            "version": __version__,
            "maturity": "beta",
            "minKubeVersion": "1.33.0",
            "provider": {"name": "decco project", "url": REPOSITORY},
            "maintainers": [{"name": "decco project", "email": "maintainers@decco.platform9.com"}],
            "links": [{"name": "Documentation", "url": f"{REPOSITORY}/tree/v{__version__}/docs"}],
            "keywords": ["multi-tenancy", "gateway-api", "sni", "mtls", "dns"],
            "icon": [{"base64data": icon, "mediatype": "image/svg+xml"}],
            "installModes": [
                {"type": kind, "supported": kind == "AllNamespaces"}
                for kind in ("OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces")
            ],
            "customresourcedefinitions": {"owned": [_owned(crd) for crd in _crds()]},
            "relatedImages": [
                {"name": "controller", "image": image},
                {"name": "stunnel", "image": f"{REGISTRY}/stunnel:{__version__}"},
            ],
            "install": {
                "strategy": "deployment",
                "spec": {
                    "clusterPermissions": [_permissions(roles, "ClusterRole")],
                    "permissions": [_permissions(roles, "Role")],
                    "deployments": [
                        {
                            "name": deployment["metadata"]["name"],
                            "label": deployment["metadata"]["labels"],
                            "spec": deployment["spec"],
                        }
                    ],
                },
            },
        },
    }


def scorecard() -> Obj:
    return {
        "apiVersion": "scorecard.operatorframework.io/v1alpha3",
        "kind": "Configuration",
        "metadata": {"name": "config"},
        "stages": [
            {
                "parallel": True,
                "tests": [
                    {
                        "entrypoint": ["scorecard-test", argument],
                        "image": SCORECARD_IMAGE,
                        "labels": {"suite": suite, "test": name},
                    }
                    for argument, name, suite in TESTS
                ],
            }
        ],
    }


def _deployment() -> Obj:
    [deployment] = _read(MANIFESTS / "controller/deployment.yaml")
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    del container["args"]
    container["volumeMounts"] = [each for each in container["volumeMounts"] if each["name"] != "settings"]
    pod["volumes"] = [each for each in pod["volumes"] if each["name"] != "settings"]
    return deployment


def _roles() -> Iterator[tuple[str, list[Obj]]]:
    """Kind and rules of each role that is bound to the controller."""
    objects = _read(MANIFESTS / "rbac/controller.yaml")
    bound = {(each["roleRef"]["kind"], each["roleRef"]["name"]) for each in objects if "roleRef" in each}
    for each in objects:
        if (each["kind"], each["metadata"]["name"]) in bound:
            yield each["kind"], each["rules"]


def _permissions(roles: list[tuple[str, list[Obj]]], kind: str) -> Obj:
    return {"serviceAccountName": ACCOUNT, "rules": [rule for its, rules in roles if its == kind for rule in rules]}


def _objects() -> Iterator[Obj]:
    """What OLM applies as it is, each in a file of its own: a loader reads the first document of a file only."""
    yield from _crds()
    controller = _read(MANIFESTS / "rbac/controller.yaml")
    bound = {each["roleRef"]["name"] for each in controller if "roleRef" in each}
    for obj in [*controller, *_read(MANIFESTS / "rbac/people.yaml")]:
        if obj["kind"] == "ClusterRole" and obj["metadata"]["name"] not in bound:
            yield obj
    for path in sorted((MANIFESTS / "controller").glob("*.yaml")):
        for obj in _read(path):
            if obj["kind"] in KEPT_KINDS:
                obj["metadata"].pop("namespace")
                yield obj


def _crds() -> Iterator[Obj]:
    for path in sorted((MANIFESTS / "crds").glob("*.yaml")):
        yield from _read(path)


def _owned(crd: Obj) -> Obj:
    names, [version] = crd["spec"]["names"], crd["spec"]["versions"]
    return {
        "kind": names["kind"],
        "name": crd["metadata"]["name"],
        "version": version["name"],
        "displayName": names["kind"],
        "description": version["schema"]["openAPIV3Schema"]["description"],
    }


def _examples() -> list[Obj]:
    """One of each kind, which consoles offer as a form."""
    found: dict[str, Obj] = {}
    for name in ("1-space.yaml", "2-http-app.yaml"):
        for obj in _read(MANIFESTS / "examples" / name):
            if obj["kind"] in {"Space", "App"}:
                found.setdefault(obj["kind"], obj)
    return list(found.values())


def _read(path: Path) -> list[Obj]:
    return [copy.deepcopy(each) for each in yaml.safe_load_all(path.read_text()) if each]


def _file(obj: Obj) -> str:
    return f"{obj['metadata']['name']}.{obj['kind'].lower()}.yaml"


class _Dumper(yaml.SafeDumper):
    """Writes what occurs twice twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _yaml(obj: Obj) -> str:
    return yaml.dump(obj, Dumper=_Dumper, sort_keys=False, width=120)


def _dockerfile() -> str:
    lines = "".join(f"LABEL {name}={value}\n" for name, value in labels().items())
    return f"FROM scratch\n{lines}COPY manifests /manifests/\nCOPY metadata /metadata/\nCOPY tests /tests/\n"
