"""Recognises and summarises the API server's refusals because of a missing permission."""

from __future__ import annotations

import re

from decco.kube.errors import Forbidden

_RBAC = re.compile(r'cannot (\S+) resource "(\S+)" in API group "(\S*)"(?: in the namespace "(\S+)")?')
"""The text of k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go, forbiddenMessage. Policies and quotas
have other texts."""


def permission_lacking(error: Forbidden) -> str | None:
    """``get secrets in namespace acme``; None if the cause is not a missing permission."""
    found = _RBAC.search(error.message)
    if found is None:
        return None
    verb, resource, group, namespace = found.groups()
    where = f" in namespace {namespace}" if namespace else ""
    return f"{verb} {resource}{'.' if group else ''}{group}{where}"
