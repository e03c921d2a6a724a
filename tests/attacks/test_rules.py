"""Every rule of the controller's roles is necessary: its request is recorded, or a request is refused without it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.audit import SERVICE_ACCOUNT
from testbed.manifests import MANIFESTS, read
from tests.attacks.attempts import NAMESPACES, OK, SPACES, Attempt, Obj, merged
from tests.attacks.life import MERGE, Life
from tests.attacks.people import CONTROLLER
from tests.attacks.standing import owner
from tests.attacks.table_controller import BINDINGS, RBAC_GROUP
from tests.attacks.table_namespaces import label
from tests.attacks.world import FINALIZER, RBAC, apps, until

Rule = tuple[str, str, str]
"""Verb, group and resource."""
DECCO = "decco.platform9.com"
BANK, JOB = f"{NAMESPACES}/bank", f"{apps('bank')}/job"
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/bank/httproutes"
CONFIGMAPS = f"{BANK}/configmaps"


def attempt(technique: str, path: str, body: object) -> Attempt:
    return Attempt("works", CONTROLLER, OK, technique, path, body)  # type: ignore[arg-type]


def without() -> dict[Rule, Attempt]:
    """Rules that no request shows, because admission reads them: a request that is refused without each."""
    released = {"metadata": {"finalizers": None}}
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "n"}}
    privileged = label("pod-security.kubernetes.io/enforce", "privileged")
    binding: Obj = {
        "metadata": {"name": "n"},
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": "decco-controller-secrets"},
        "subjects": [{"kind": "ServiceAccount", "name": "decco-controller", "namespace": "decco"}],
    }

    return {
        ("label", DECCO, "namespaces"): attempt("put", BANK, lambda live: merged(live, label(f"{DECCO}/project", "x"))),
        ("abandon-dns", DECCO, "spaces"): attempt("merge", f"{SPACES}/bank", released),
        ("abandon-dns", DECCO, "apps"): attempt("merge", JOB, released),
        ("exempt", DECCO, "tenantobjects"): attempt("create", ROUTES, {**route, "spec": {"hostnames": ["any.test"]}}),
        ("use", DECCO, "podsecuritylevels"): attempt("put", BANK, lambda live: merged(live, privileged)),
        ("update", DECCO, "spaces/finalizers"): attempt("create", CONFIGMAPS, _owned("Space", "bank")),
        ("update", DECCO, "apps/finalizers"): attempt("create", CONFIGMAPS, _owned("App", "job")),
        ("bind", RBAC_GROUP, "clusterroles"): attempt("create", BINDINGS.format("bank"), binding),
    }


def _owned(kind: str, name: str) -> Obj:
    """With blockOwnerDeletion, which the plugin OwnerReferencesPermissionEnforcement checks."""
    reference = {**owner(name, "11111111-2222-3333-4444-555555555555"), "kind": kind}
    return {"metadata": {"name": "n", "ownerReferences": [reference]}}


WITHOUT = without()


def roles() -> Iterator[Obj]:
    for obj in read([MANIFESTS / "rbac" / "controller.yaml"]):
        if obj["kind"] in {"ClusterRole", "Role"}:
            yield obj


def rules() -> Iterator[Rule]:
    for role in roles():
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    yield from ((verb, group, resource) for verb in rule["verbs"])


@pytest.mark.full
def test_every_rule_is_called(life: Life) -> None:
    """In any namespace: where is the matter of the roles' bindings and of the confined deputy."""
    events = [event for event in life.cp.audit() if event.user == SERVICE_ACCOUNT]
    called = {(event.verb, event.group, f"{event.resource}/{event.subresource}".rstrip("/")) for event in events}
    unused = set(rules()) - called - WITHOUT.keys()
    assert not unused, "\n".join(" ".join(each) for each in sorted(unused))
    assert not WITHOUT.keys() - set(rules()), "no rule"


@pytest.mark.parametrize(
    "rule",
    [pytest.param(rule, id=" ".join(rule), marks=pytest.mark.full if i % 4 else []) for i, rule in enumerate(WITHOUT)],
)
def test_without_the_rule_something_is_refused(life: Life, rule: Rule) -> None:
    finalizers = {"metadata": {"finalizers": [FINALIZER]}}
    for path in (f"{SPACES}/bank", JOB):
        assert life.cp.request("PATCH", path, finalizers, headers=MERGE).status == 200
    works = WITHOUT[rule]
    until(lambda: life.world.verdict(works) == OK, f"before: {life.world.verdict(works)}")
    [role] = [role for role in roles() if _less(role, rule) != role]
    path = f"{RBAC}/clusterroles/{role['metadata']['name']}"
    stored = life.cp.request("GET", path).json()
    _put(life, path, _less(stored, rule))
    try:
        until(lambda: life.world.verdict(works) != OK, "the refusal")
    finally:
        _put(life, path, stored)
        until(lambda: life.world.verdict(works) == OK, "the rule")


def _put(life: Life, path: str, role: Obj) -> None:
    live = life.cp.request("GET", path).json()
    answer = life.cp.request("PUT", path, {**live, "rules": role["rules"]})
    assert answer.status == 200, answer.body


def _less(role: Obj, rule: Rule) -> Obj:
    """The role without this permission, and with all its others."""
    verb, group, resource = rule
    kept = []
    for each in role["rules"]:
        if verb in each["verbs"] and resource in each["resources"] and group in each["apiGroups"]:
            others = [other for other in each["resources"] if other != resource]
            verbs = [other for other in each["verbs"] if other != verb]
            kept += [{**each, "resources": others}] if others else []
            kept += [{**each, "resources": [resource], "verbs": verbs}] if verbs else []
        else:
            kept.append(each)
    return {**role, "rules": kept}
