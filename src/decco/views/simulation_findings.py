"""Remarks about a simulation: problems of the Spaces and Apps, and what had to be assumed about Secrets and UIDs."""

from __future__ import annotations

from collections.abc import Iterable

from decco.api.parse import InvalidObjectError
from decco.desired import reasons
from decco.objects import Key
from decco.views.documents import Document
from decco.views.findings import Finding, Findings
from decco.views.simulation import SimulationResult
from decco.views.snapshot import Snapshot, has_placeholder

_RUNTIME_REASONS = frozenset(
    {
        reasons.UNAVAILABLE,
        reasons.PROGRESS_DEADLINE_EXCEEDED,
        reasons.REPLICA_FAILURE,
        reasons.JOB_FAILED,
        reasons.NOT_ACCEPTED,
        reasons.NOT_PROGRAMMED,
    }
)
"""Reasons about the runtime state of correct objects. ``decco explain`` reports them; they are omitted here."""

NAMES_SHOWN = 3


def findings(snapshot: Snapshot, result: SimulationResult, documents: Iterable[Document]) -> list[Finding]:
    """The problems, with the locations of the ``documents``. Messages are those of admission and conditions."""
    locations = {(document.kind, document.key): f"{document.location}: " for document in documents}
    found: list[Finding] = []
    for reconciled in result.results:
        store = snapshot.caches.spaces if reconciled.kind == "Space" else snapshot.caches.apps
        entry = store.get(reconciled.key)
        if entry is not None and isinstance(entry.facts, Exception):
            mistakes = entry.facts.problems if isinstance(entry.facts, InvalidObjectError) else (str(entry.facts),)
            said = [(mistake, "spec-invalid") for mistake in mistakes]
        elif reconciled.kind == "App" and (missing := _without_space(snapshot, reconciled.key)) is not None:
            said = [(missing, reasons.SPACE_NOT_FOUND)]
        elif entry is not None and entry.deleting:
            said = [("is being deleted", "object-being-deleted")]
        else:
            problems = [problem for problem in reconciled.problems() if problem.reason not in _RUNTIME_REASONS]
            said = [(f"{problem.reason}: {problem.message}", problem.reason) for problem in problems]
        where = f"{locations.get((reconciled.kind, reconciled.key), '')}{reconciled}"
        found += [Finding("", f"{where}: {text}", name) for text, name in said]
    return found


def prevents_rendering(finding: Finding) -> bool:
    """Whether no objects can be rendered for the object."""
    return finding.name in {"spec-invalid", reasons.SPACE_NOT_FOUND, reasons.PAUSED}


def _without_space(snapshot: Snapshot, key: Key) -> str | None:
    if snapshot.caches.space(key.namespace) is not None:
        return None
    if snapshot.caches.spaces.get(Key("", key.namespace)) is not None:
        return (
            f"Space {key.namespace} is not usable, so nothing can be made of its Apps: "
            f"see `decco explain {key.namespace}`"
        )
    if snapshot.offline:
        return f"there is no Space {key.namespace} in the files, and an App gets its names from it: give it as well"
    return (
        f"there is no Space {key.namespace}, and an App must be in the namespace of a Space: create it, or move the App"
    )


def assumptions(snapshot: Snapshot, result: SimulationResult) -> Findings:
    """What was assumed, since it could not be read."""
    if not snapshot.offline:
        for key in sorted(result.assumed):
            text = f"Secret {key} cannot be seen: taken to be there, and its copies are left out"
            yield Finding("", text, "secret-assumed")
        return
    for key, spaces in sorted(result.assumed.items()):
        text = (
            f"Secret {key} is not in the files: taken to be there, usable, and shared with {_and(sorted(spaces))}; its "
            "copies are not shown"
        )
        yield Finding("", text, "secret-assumed")
    controller_namespace = snapshot.caches.settings.namespace
    named = {space for spaces in result.assumed.values() for space in spaces}
    found = [space for name in named if (space := snapshot.caches.space(name)) is not None]
    if any(key.namespace == controller_namespace for key in result.assumed) and any(
        facts.spec.encrypt_http for _, facts in found
    ):
        text = "encryptHttp: the ConfigMap with the authority of such a Secret is not shown either"
        yield Finding("", text, "authority-not-shown")
    if any(write.after is not None and has_placeholder(write.after) for write in result.writes):
        text = (
            "UIDs in owner references are known once the objects exist: do not apply these objects as they are, "
            "Kubernetes would collect them as orphans"
        )
        yield Finding("", text, "uids-unknown")


def _and(names: list[str]) -> str:
    if len(names) == 1:
        return f"Space {names[0]}"
    more = len(names) - NAMES_SHOWN
    listed, last = (names[:NAMES_SHOWN], f"{more} more") if more > 0 else (names[:-1], names[-1])
    return f"Spaces {', '.join(listed)} and {last}"
