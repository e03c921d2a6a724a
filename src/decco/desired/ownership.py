"""The owner that an object without an owner reference names in its labels and annotations; what blocks a deletion.

The owner reference with its UID is the identity. It gets lost: a backup tool restores objects without owner references
and under new UIDs, ``kubectl delete --cascade=orphan`` removes them, and whoever may write an object may remove them.
Labels and annotations remain. They do not depend on decco's memory, so a restart does not change the decision. The
reasons are in docs/design/2026-11-29-ownership.md.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from decco.desired.names import ANNOTATION_COPIED_FROM
from decco.objects import (
    ANNOTATION_FQDN,
    ANNOTATION_HASH,
    APPS,
    FIELD_MANAGER,
    GROUP,
    LABEL_APP,
    LABEL_MANAGED_BY,
    LABEL_PROJECT,
    LABEL_SPACE,
    NAMESPACES,
    SPACES,
    Key,
    Obj,
    annotations_of,
    controller_of,
    labels_of,
)

_BESIDE_THE_OWNER = frozenset(kind.kind for kind in (SPACES, APPS, NAMESPACES))
"""Kinds that a child's owner references name: the policy of a Space also belongs to the namespace."""


class LabelledOwner(NamedTuple):
    """The owner that an object's labels and annotations name; ``app`` is "" for a child of the Space itself."""

    space: str
    app: str = ""
    fqdn: str = ""
    """Of a namespace only."""
    project: str = ""
    """Of a namespace only; "" for none."""

    @property
    def key(self) -> Key:
        """Of the Space or App, also if it does not exist."""
        return Key(self.space, self.app) if self.app else Key("", self.space)


def owner_of_child(obj: Obj) -> LabelledOwner | None:
    """Of an object in a Space's namespace: its labels name the Space whose namespace it is in, and its App if any.

    Only clients that may write in that namespace can set them, so no object of another owner is adopted.
    """
    labels = labels_of(obj)
    if labels.get(LABEL_MANAGED_BY) != FIELD_MANAGER or labels.get(LABEL_SPACE) != obj["metadata"].get("namespace"):
        return None
    if any(owner.get("kind") not in _BESIDE_THE_OWNER for owner in obj["metadata"].get("ownerReferences") or ()):
        return None  # for example, a gateway controller copies a Gateway's labels to the Service that it creates
    return LabelledOwner(labels[LABEL_SPACE], labels.get(LABEL_APP) or "")


def is_child(obj: Obj) -> bool:
    """Whether the object looks like a child of a Space or App: controlled by one, and labelled for its own namespace.

    What was restored without its owner reference does not; it is read again when it is adopted.
    """
    owner = controller_of(obj)
    labelled = labels_of(obj).get(LABEL_SPACE) == obj["metadata"].get("namespace")
    return labelled and owner is not None and str(owner.get("apiVersion")).startswith(f"{GROUP}/")


def owner_of_copy(obj: Obj) -> LabelledOwner | None:
    """Of a Secret: beside the labels, an annotation states that it is the copy of a Secret of the same name."""
    source = annotations_of(obj).get(ANNOTATION_COPIED_FROM) or ""
    if source.partition("/")[2] != obj["metadata"]["name"]:
        return None
    return owner_of_child(obj)


def owner_of_namespace(obj: Obj) -> LabelledOwner | None:
    """Of a namespace: the Space of its name, its FQDN and its project.

    The policy namespace-labels allows only decco, and clients with the permission "label", to write these. A Space of
    the same name in another domain or project is another owner: the workloads in the namespace were not made for it.
    """
    labels, fqdn = labels_of(obj), annotations_of(obj).get(ANNOTATION_FQDN)
    name = obj["metadata"]["name"]
    if labels.get(LABEL_MANAGED_BY) != FIELD_MANAGER or labels.get(LABEL_SPACE) != name or not fqdn:
        return None
    return LabelledOwner(name, "", fqdn, labels.get(LABEL_PROJECT) or "")


def is_marked_namespace(obj: Obj) -> bool:
    """Whether the namespace has a key that only decco, and clients with the permission "label", may write.

    decco creates its namespaces with these keys. If a namespace has the owner reference of a Space and none of the
    keys, another client set the reference, perhaps to obtain copies of the Space's Secrets. Nor is a
    Space of another name, or an App, the owner of a namespace.
    """
    owner = controller_of(obj) or {}
    if owner.get("kind") == APPS.kind or (
        owner.get("kind") == SPACES.kind and owner["name"] != obj["metadata"]["name"]
    ):
        return False
    return LABEL_SPACE in labels_of(obj) or not annotations_of(obj).keys().isdisjoint(
        {ANNOTATION_FQDN, ANNOTATION_HASH}
    )


# -- deletion ---------------------------------------------------------------------------------------------------------

MOST_HOLDERS = 5
"""Maximum number of finalizers in a message."""

_OF_KUBERNETES = frozenset({"foregroundDeletion", "orphan"})
"""Set by the API server for the garbage collector, which removes them by itself."""
_FINALIZER = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_./]{0,316}")
"""A qualified name: what the API server takes as a finalizer's name."""
_REMAINING = re.compile(r"(?:: |, )(\S+) in \d+ resource instances")
"""Finalizers in the message of a namespace's condition NamespaceFinalizersRemaining
(k8s.io/kubernetes/pkg/controller/namespace/deletion/status_condition_utils.go)."""


def holders_of(live: Obj) -> tuple[str, ...]:
    """Finalizers that block the deletion of the object, sorted; for a namespace also those of objects inside it."""
    found = {str(name) for name in live["metadata"].get("finalizers") or () if name not in _OF_KUBERNETES}
    for condition in (live.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "NamespaceFinalizersRemaining":
            found.update(_REMAINING.findall(str(condition.get("message"))))
    return tuple(sorted(name for name in found if _FINALIZER.fullmatch(name))[:MOST_HOLDERS])
