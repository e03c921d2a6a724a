"""What separates the pods of a Space from their node's kernel: ``spec.isolation`` in the PodSpecs of its Apps, and on
the namespace for the policy space-pods, which holds for every pod there.
"""

from __future__ import annotations

from decco.api.types import Isolation, SpaceSpec
from decco.desired import reasons
from decco.desired.model import Problem, SpaceFacts
from decco.objects import Obj
from decco.settings import Settings
from decco.text import shown


def isolation_level(spec: SpaceSpec) -> str | None:
    """The label of the namespace; None for Standard."""
    return spec.isolation.value if spec.isolation is not Isolation.STANDARD else None


def sandboxes_text(spec: SpaceSpec, settings: Settings) -> str | None:
    """The annotation of the namespace. Without it, the policy permits no pod in a Sandboxed Space."""
    needed = spec.isolation is not Isolation.STANDARD
    return (",".join(settings.isolation.sandboxes) or None) if needed else None


def isolation_text(spec: SpaceSpec, settings: Settings) -> str:
    """What every pod of a Space above Standard has, for people."""
    sandboxes = ", ".join(settings.isolation.sandboxes) or "none is set"
    if spec.isolation is Isolation.SANDBOXED:
        return f"Sandboxed: a RuntimeClass of isolation.sandboxes ({sandboxes})"
    return "UserNamespace: hostUsers is false"


def sandbox_problem(space: SpaceFacts, settings: Settings) -> Problem | None:
    """Why no pod of a Sandboxed Space has a default RuntimeClass, or None."""
    if space.spec.isolation is not Isolation.SANDBOXED:
        return None
    sandboxes, own = settings.isolation.sandboxes, space.spec.runtime_class_name
    if not sandboxes:
        message = (
            "isolation is Sandboxed, and the setting isolation.sandboxes is empty: no pod of the Space is created; set "
            "it to the RuntimeClasses of the cluster that are sandboxes"
        )
    elif own is not None and own not in sandboxes:
        message = (
            f"isolation is Sandboxed, and the Space's runtimeClassName {own} is not one of isolation.sandboxes "
            f"({', '.join(sandboxes)}): choose one of them, or remove it"
        )
    else:
        return None
    return Problem(reasons.SANDBOX_MISSING, message)


def isolate(pod: Obj, space: SpaceFacts, settings: Settings) -> Problem | None:
    """Fills in the RuntimeClass and the user namespace of a user's PodSpec; or why it is isolated less than its Space
    demands. A PodSpec with a value that is not of the right type is left to the API server.
    """
    spec = space.spec
    if pod.get("runtimeClassName") is None:
        sandboxes = settings.isolation.sandboxes if spec.isolation is Isolation.SANDBOXED else ()
        default = spec.runtime_class_name or next(iter(sandboxes), None)
        if default is not None:
            pod["runtimeClassName"] = default
    runtime = pod.get("runtimeClassName")
    sandboxed = isinstance(runtime, str) and runtime in settings.isolation.sandboxes
    if spec.isolation is Isolation.STANDARD or sandboxed:
        return None
    if spec.isolation is Isolation.SANDBOXED:
        if (problem := sandbox_problem(space, settings)) is not None:
            return problem
        message = (
            f"pod.runtimeClassName {shown(str(runtime))} is not a sandbox, which Space {space.name} demands: choose "
            f"one of {', '.join(settings.isolation.sandboxes)}, or remove it"
        )
        return Problem(reasons.ISOLATION_TOO_WEAK, message)
    if pod.get("hostUsers") is None:
        pod["hostUsers"] = False
    if pod["hostUsers"] is not True:
        return None
    message = f"pod.hostUsers is true, and Space {space.name} demands a user namespace for each pod: remove it"
    return Problem(reasons.ISOLATION_TOO_WEAK, message)
