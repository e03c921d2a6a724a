"""How many pods the workload of an App has, and who decides it.

* ``replicas`` set: it is the number, and decco repairs it. The scale subresource of App writes this field.
* Otherwise ``initialReplicas`` is written at creation and when it changes; in between the number belongs to whoever
  scales the workload.
* ``suspend``: none, repaired too. At the end the number is ``replicas`` or the one before the suspension, which an
  annotation of the workload has.

Reasons and alternatives: docs/design/2026-11-30-scale-and-suspend.md.
"""

from __future__ import annotations

from decco.api.types import AppSpec
from decco.frozen import frozen
from decco.objects import (
    ANNOTATION_FORMER_REPLICAS,
    ANNOTATION_INITIAL_REPLICAS,
    ANNOTATION_REPLICAS,
    Obj,
    annotations_of,
)


@frozen
class LiveReplicas:
    """What a live Deployment or StatefulSet says of its number of pods."""

    replicas: int
    initial: str
    """``initialReplicas`` as decco last wrote it, "" if the annotation was removed."""
    former: int | None
    """The number before the suspension; None if it is not suspended without ``replicas``."""

    @classmethod
    def of(cls, workload: Obj) -> LiveReplicas:
        found = annotations_of(workload)
        return cls(
            replicas=workload["spec"].get("replicas", 1),
            initial=found.get(ANNOTATION_INITIAL_REPLICAS, ""),
            former=_count(found.get(ANNOTATION_FORMER_REPLICAS, "")),
        )


@frozen
class Replicas:
    """Desired number of pods, and the annotations of the workload that say who decides it."""

    count: int
    annotations: dict[str, str | None]


def desired_replicas(spec: AppSpec, live: LiveReplicas | None) -> Replicas:
    """``count`` is written at creation, while an annotation says that decco decides it, and when that ends."""
    annotations: dict[str, str | None] = {ANNOTATION_INITIAL_REPLICAS: str(spec.initial_replicas)}
    count = _written(spec, live)
    if spec.suspend:
        annotations[ANNOTATION_REPLICAS] = "0"
        if spec.replicas is None:
            annotations[ANNOTATION_FORMER_REPLICAS] = str(count)
        return Replicas(0, annotations)
    if spec.replicas is not None:
        annotations[ANNOTATION_REPLICAS] = str(count)
    return Replicas(count, annotations)


def expected_pods(spec: AppSpec, live: LiveReplicas | None) -> int:
    """How many pods the App has when it is not suspended."""
    if spec.replicas is not None:
        return spec.replicas
    if live is None or (live.initial and live.initial != str(spec.initial_replicas)):
        return spec.initial_replicas
    return live.former if live.former is not None else live.replicas


def _written(spec: AppSpec, live: LiveReplicas | None) -> int:
    """What others made of the number without ``replicas`` is carried over by the apply layer, so it is read only where
    a suspension begins, lasts or ends.
    """
    suspended = live is not None and (spec.suspend or live.former is not None)
    return expected_pods(spec, live if suspended else None)


def _count(text: str) -> int | None:
    """A number in an annotation, which anybody may have written."""
    return int(text) if text.isascii() and text.isdigit() and int(text[:10]) < 2**31 and len(text) <= 10 else None
