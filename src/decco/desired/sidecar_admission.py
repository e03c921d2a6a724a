"""Settings of a Space that cause a refusal of the TLS sidecar in every pod, found before a pod is created."""

from __future__ import annotations

import re
from collections.abc import Iterator

from decco.desired import reasons
from decco.desired.fitting import fit
from decco.desired.model import Problem, SpaceInputs
from decco.objects import Obj, annotations_of

ANNOTATION_UID_RANGE = "openshift.io/sa.scc.uid-range"
"""Written by OpenShift on each namespace; its default SecurityContextConstraints allow only these users."""
_RANGE = re.compile(r"([0-9]{1,12})/([0-9]{1,12})|([0-9]{1,12})-([0-9]{1,12})")


def sidecar_problems(inputs: SpaceInputs, namespace: Obj) -> Iterator[Problem]:
    """Problems for the condition of the Space; ``namespace`` is its live namespace."""
    sidecar = inputs.settings.sidecar
    for message in fit(sidecar.resources, inputs.space.spec).problems:
        yield Problem(reasons.SIDECAR_REFUSED, message)
    allowed = annotations_of(namespace).get(ANNOTATION_UID_RANGE)
    if sidecar.run_as_user is not None and allowed is not None and not _holds(str(allowed), sidecar.run_as_user):
        yield Problem(
            reasons.SIDECAR_REFUSED,
            f"namespace {inputs.space.name} has a range of user ids (annotation {ANNOTATION_UID_RANGE}) without "
            f"{sidecar.run_as_user}, the user of decco's TLS sidecar; set sidecar.runAsUser to null",
        )


def _holds(text: str, user: int) -> bool:
    """Whether a range, ``<first>/<number>`` or ``<first>-<last>``, has the user; True for any other text."""
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        return True
    first, number, low, high = match.groups()
    if first is not None:
        return int(first) <= user < int(first) + int(number)
    return int(low) <= user <= int(high)
