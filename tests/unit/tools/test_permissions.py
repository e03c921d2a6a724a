"""The generated page of permissions: comments are reasons, policies are asked for their checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import permissions

ROLE = """# About the role.
kind: ClusterRole
metadata: {name: r}
rules:
# Reason one,
# in two lines.
- apiGroups: [apps]
  resources: [deployments, deployments/scale]
  verbs: [get, list] # said here
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [s]
  verbs: [get]
# Reason two.
- apiGroups: [x.io]
  resources: [y]
  verbs: [use]
---
kind: ClusterRoleBinding
metadata: {name: r}
"""


def test_the_comment_above_a_rule_is_its_reason() -> None:
    (role,) = permissions.roles(ROLE)
    assert role.rules == [
        ("get, list", "`deployments.apps`, `deployments/scale.apps`", "", "Reason one, in two lines."),
        ("get", "`secrets`", "`s`", "Reason one, in two lines."),
        ("use", "`y.x.io`", "", "Reason two."),
    ]


def test_a_rule_without_a_reason_is_an_error() -> None:
    with pytest.raises(permissions.Incomplete, match="r: a rule without a comment"):
        list(permissions.roles(ROLE.replace("# Reason one,\n# in two lines.\n", "")))


def test_checks_of_all_forms_are_found() -> None:
    text = """
kind: ValidatingAdmissionPolicy
metadata: {name: p.decco.platform9.com}
spec:
  variables:
  - name: a
    expression: >-
      authorizer.group("decco.platform9.com").resource("domains")
      .name(variables.x[0].substring(variables.x[0].indexOf(".") + 1)).check("use").allowed() ||
      authorizer.group("decco.platform9.com").resource("domains").check("transfer").allowed()
  validations:
  - expression: authorizer.group("decco.platform9.com").resource("apps").namespace(n).name(x).check("pause").allowed()
"""
    assert list(permissions.checks(text)) == [
        ("p", "domains/<domain>", "use"),
        ("p", "domains/<domain>", "transfer"),
        ("p", "apps/<app>", "pause"),
    ]


def test_a_stale_page_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("manifests", "docs/reference"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("rbac", "policies"):
        (tmp_path / "manifests" / folder).symlink_to(permissions.ROOT / "manifests" / folder)
    assert permissions.main(["--check"], tmp_path) == 1
    assert "docs/reference/permissions.md is stale" in capsys.readouterr().err
    assert permissions.main([], tmp_path) == 0
    assert permissions.main(["--check"], tmp_path) == 0
