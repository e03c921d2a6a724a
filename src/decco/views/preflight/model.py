"""Inputs and results of checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from decco.desired.model import Served
from decco.kube.client import Client
from decco.objects import Resource
from decco.settings import Settings
from decco.views.running import Running


class Grade(StrEnum):
    """The severity of a result. UNKNOWN means that the user may not read the data, and counts as a warning."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One result: ``text`` states the fact and, unless it is OK, what to do."""

    name: str
    grade: Grade
    text: str


@dataclass(frozen=True, slots=True)
class ClusterContext:
    """The cluster under check."""

    client: Client
    settings: Settings
    running: Running
    served: Served
    now: datetime
    service_account: str
    """The service account of the controller, in the controller namespace."""
    groups: Mapping[str, Mapping[str, Resource]] = field(default_factory=dict)
    """API group -> its kinds, for the groups that were discovered."""


INGRESS_CLASSES = Resource("networking.k8s.io", "v1", "ingressclasses", "IngressClass", namespaced=False)
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
ADMISSION = "admissionregistration.k8s.io"
POLICIES = Resource(ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False)
BINDINGS = Resource(
    ADMISSION, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False
)
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False)
SELF_REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False)
