"""Writes docs/reference/permissions.md: every rule of manifests/rbac with its reason, and decco's own permissions.

python -m tools.permissions            write the page
python -m tools.permissions --check    exit status 1, and a line, if the page is stale

The reason of a rule is the comment above it; a rule without one has that of the rule before. A permission that only the
policies ask for (resources of group decco.platform9.com that exist in RBAC only) is found in their expressions, and has
its meaning here; a permission without a meaning, and a meaning without a permission, end the program.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = "docs/reference/permissions.md"
GROUP: Final = "decco.platform9.com"
FILES: Final = ("controller.yaml", "people.yaml")

MEANINGS: Final = {
    ("domains/<domain>", "use"): (
        "Spaces with this `domainName`: create, change, delete them. Names directly in this domain, and this name "
        "itself, in `hostnames` and `httpHostnames`"
    ),
    ("domains/<domain>", "transfer"): (
        "the annotation `decco.platform9.com/transfer` for names directly in this domain, and for this name itself: "
        "moves a granted name from one Space to another"
    ),
    ("projects/<project>", "use"): "Spaces in this project: create, change, delete them",
    ("podsecuritylevels/privileged", "use"): "`podSecurity: privileged`; of decco itself: the label on the namespace",
    ("meshes/<mesh>", "use"): "`mesh` other than `None`",
    ("placements/<domain>", "use"): "`placement`, of Spaces of the domain: which clusters serve their names",
    ("isolationlevels/<level>", "use"): "an `isolation` below the floor that the parameters set for the domain",
    ("quotas/<space>", "use"): (
        "`resourceQuota`, `limitRange` and `limits`, and the creation of the Space, where the parameter "
        "`quotaNeedsPermission` is set"
    ),
    ("spaces/<space>", "pause"): "the annotation `decco.platform9.com/paused` of the Space",
    ("apps/<app>", "pause"): "the annotation `decco.platform9.com/paused` of the App (in its namespace)",
    ("spaces/<space>", "move"): (
        "the annotation `decco.platform9.com/move`, by which `decco move` hands its DNS names to another cluster"
    ),
    ("spaces/<space>", "abandon-dns"): (
        "the annotation `decco.platform9.com/abandon-dns` of the Space, and decco's finalizers"
    ),
    ("apps/<app>", "abandon-dns"): "the same of the App (in its namespace)",
    ("namespaces/<namespace>", "label"): (
        "labels and annotations `decco.platform9.com/*` of any namespace; owner references, finalizers, enforced Pod "
        "Security level and deletion of a Space's; the status of the Space and of its Apps"
    ),
    ("servicetypes/<type>", "use"): "Services of type LoadBalancer or NodePort in the Space's namespace",
    ("priorityclasses/<class>", "use"): (
        "Apps, pods and what pods are made of with a PriorityClass `system-*` in the Space's namespace"
    ),
    ("tenantobjects/<resource>", "exempt"): (
        "objects of this resource (`<resource>.<group>`) in the Space's namespace that the policies for tenants "
        "refuse: for controllers such as cert-manager; `issued-secrets`: Secrets named `decco-issued-*`"
    ),
}
NAMES: Final = {
    "domains": "domain",
    "projects": "project",
    "podsecuritylevels": "privileged",
    "meshes": "mesh",
    "placements": "domain",
    "isolationlevels": "level",
    "quotas": "space",
    "spaces": "space",
    "apps": "app",
    "namespaces": "namespace",
    "servicetypes": "type",
    "priorityclasses": "class",
    "tenantobjects": "resource",
}

_CHECK = re.compile(
    r'\.group\("decco\.platform9\.com"\)\s*\.resource\("(\w+)"\)((?:\s*\.\w+\((?:[^()]|\([^()]*(?:\([^()]*\)[^()]*)*\))*\))*?)'
    r'\s*\.check\("([a-z-]+)"\)'
)
_RULE = re.compile(r"^- apiGroups:", re.MULTILINE)


class Incomplete(ValueError):
    """A rule without reason, or a permission without meaning."""


@dataclass(frozen=True, slots=True)
class Role:
    """One ClusterRole or Role: its rules as (verbs, resources, names, reason)."""

    kind: str
    name: str
    rules: list[tuple[str, str, str, str]] = field(default_factory=list)


def roles(text: str) -> Iterator[Role]:
    """The roles of a YAML file, with the comments that YAML parsers drop."""
    for document in re.split(r"^---$", text, flags=re.MULTILINE):
        obj = yaml.safe_load(document)
        if not obj or obj["kind"] not in {"ClusterRole", "Role"}:
            continue
        _, _, body = document.partition("\nrules:\n")
        role = Role(obj["kind"], obj["metadata"]["name"])
        reason = ""
        for rule, comment in zip(obj["rules"], _comments(body), strict=True):
            reason = comment or reason
            if not reason:
                raise Incomplete(f"{role.name}: a rule without a comment that says why: {rule}")
            role.rules.append((*_cells(rule), reason))
        yield role


def _comments(body: str) -> Iterator[str]:
    """The comment directly above each rule, "" for none."""
    lines: list[str] = []
    for line in body.splitlines():
        if line.startswith("#"):
            lines.append(line.lstrip("# ").strip())
        elif _RULE.match(line):
            yield " ".join(lines)
            lines = []


def _cells(rule: dict[str, Any]) -> tuple[str, str, str]:
    group = rule["apiGroups"][0]
    resources = ", ".join(f"`{resource}{'.' + group if group else ''}`" for resource in rule["resources"])
    names = ", ".join(f"`{name}`" for name in rule.get("resourceNames", []))
    return ", ".join(rule["verbs"]), resources, names


def checks(text: str) -> Iterator[tuple[str, str, str]]:
    """Permissions that a policy asks for: (policy, resource, verb)."""
    for obj in yaml.safe_load_all(text):
        if not obj or obj["kind"] != "ValidatingAdmissionPolicy":
            continue
        spec = obj["spec"]
        for each in [*spec.get("matchConditions", []), *spec.get("variables", []), *spec["validations"]]:
            for found in _CHECK.finditer(each["expression"]):
                resource, verb = found.group(1), found.group(3)
                name = f"{resource}/<{NAMES[resource]}>" if resource in NAMES else resource
                yield obj["metadata"]["name"].partition(".")[0], name.replace("<privileged>", "privileged"), verb


def page(root: Path = ROOT) -> str:
    asked: dict[tuple[str, str], set[str]] = {}
    for path in sorted((root / "manifests" / "policies").glob("*.yaml")):
        for policy, resource, verb in checks(path.read_text()):
            asked.setdefault((resource, verb), set()).add(policy)
    if unknown := sorted(asked.keys() - MEANINGS.keys()):
        raise Incomplete(f"permissions without a meaning in tools/permissions.py: {unknown}")
    if unused := sorted(MEANINGS.keys() - asked.keys()):
        raise Incomplete(f"meanings of permissions that no policy asks for: {unused}")
    lines = [HEAD]
    lines += ["| resource | verb | allows | policy |", "|---|---|---|---|"]
    for key, meaning in MEANINGS.items():
        policies = ", ".join(f"`{policy}`" for policy in sorted(asked.get(key, set()))) or "-"
        lines.append(f"| `{key[0]}` | `{key[1]}` | {meaning} | {policies} |")
    for file in FILES:
        lines += ["", f"## {TITLES[file]}", "", f"From `manifests/rbac/{file}`."]
        for role in roles((root / "manifests" / "rbac" / file).read_text()):
            lines += [
                "",
                f"### {role.kind} `{role.name}`",
                "",
                "| verbs | resources | names | reason |",
                "|---|---|---|---|",
            ]
            lines += [
                f"| {verbs} | {resources} | {names} | {reason} |" for verbs, resources, names, reason in role.rules
            ]
    return "\n".join(lines) + "\n"


TITLES: Final = {"controller.yaml": "decco-controller", "people.yaml": "Users"}
HEAD: Final = """# Permissions

Generated by `make generate` from `manifests/rbac` and `manifests/policies`; do not edit.

## Permissions of group decco.platform9.com

These resources exist in RBAC only: a role names them, and the admission policies of `manifests/policies` check them.
The object's name is the `resourceNames` of the rule; a rule without names allows all. `cluster-admin` has all of them.
"""


def main(argv: Sequence[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.permissions", description="Write docs/reference/permissions.md."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if the page is stale")
    check = parser.parse_args(argv).check
    try:
        wanted = page(root)
    except Incomplete as error:
        sys.stderr.write(f"{error}\n")
        return 1
    path = root / PAGE
    if path.exists() and path.read_text() == wanted:
        return 0
    if check:
        sys.stderr.write(f"{PAGE} is stale: run `make generate` and commit the result\n")
        return 1
    path.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
