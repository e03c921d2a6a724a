"""What the commands report: one fact each, with the code and the severity of the catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from decco.frozen import frozen
from decco.kube.errors import Forbidden
from decco.messages import Category, Message, Severity, messages

SOON_DAYS = 21
"""A certificate that expires within this number of days should have been renewed: most issuers renew a month before."""
LISTS_SOON = timedelta(days=1)
"""As the alert DeccoCRLExpiry."""
_RBAC = re.compile(r'cannot (\S+) resource "(\S+)" in API group "(\S*)"(?: in the namespace "(\S+)")?')
"""The text of k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go, forbiddenMessage. Policies and quotas
have other texts."""


@frozen
class Finding:
    """``text`` states the fact and, if something is wrong, what to do."""

    about: str
    """The part that the fact is about; "" for remarks."""
    text: str
    name: str = ""
    """Of the message in the catalogue: a finding or the reason of a condition; "" if all is well."""

    @property
    def _message(self) -> Message | None:
        return messages(Category.FINDING).get(self.name) or messages(Category.CONDITION).get(self.name)

    @property
    def severity(self) -> Severity:
        """An unknown name is the reason of a condition that another version of decco wrote."""
        if not self.name:
            return Severity.OK
        return self._message.severity if self._message is not None else Severity.FAILURE

    @property
    def code(self) -> str:
        return self._message.code if self._message is not None else ""


Findings = Iterator[Finding]


def permission_lacking(error: Forbidden) -> str | None:
    """``get secrets in namespace acme``; None if the cause is not a missing permission."""
    found = _RBAC.search(error.message)
    if found is None:
        return None
    verb, resource, group, namespace = found.groups()
    where = f" in namespace {namespace}" if namespace else ""
    return f"{verb} {resource}{'.' if group else ''}{group}{where}"
