"""Host names as decco compares and sends them.

One spelling for one name: lower case (RFC 4343), no trailing dot, international labels as A-labels (RFC 5891, mapped by
UTS 46), so that equality of text is equality of names. In the lowest layer because the settings name zones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import idna

from decco.text import truncate

MAX_NAME = 253
"""Octets of a name as text without the trailing dot (RFC 1035 2.3.4: 255 on the wire)."""
MAX_LABEL = 63
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
_SHOWN = 80
_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # the dots of UTS 46


class WrongName(ValueError):
    """A text that is not a name which decco can publish; contains what is wrong with it and what to do."""


def normalise(text: str) -> str:
    """Give the one spelling of a name that decco is to publish.

    Allowed are letters, digits, hyphens and underscores, and ``*`` as the whole first label. Raises WrongName with a
    message that contains the name and the wrong label.
    """
    shown = ascii(truncate(text, _SHOWN + 1))
    plain = text.removesuffix(".")
    if not plain:
        raise WrongName("the empty name cannot be published: give a host name")
    labels = [_label(label, shown) for label in _DOTS.split(plain)]
    if "*" in labels[1:]:
        raise WrongName(f"the name {shown} has a '*' that is not the whole first label: move it there or drop it")
    name = ".".join(labels)
    if len(name) > MAX_NAME:
        raise WrongName(f"the name {shown} has {len(name)} octets: at most {MAX_NAME} are allowed")
    return name


def canonical(text: str) -> str:
    """The spelling for comparison of a name from elsewhere: any characters, never an error."""
    return text.removesuffix(".").lower()


def in_zone(name: str, zone: str) -> bool:
    """Whether ``name`` is ``zone`` or below it; both in the one spelling."""
    return name == zone or name.endswith(f".{zone}")


def zone_of(name: str, zones: Iterable[str]) -> str | None:
    """The longest of ``zones`` that contains ``name``, or None; all in the one spelling."""
    known = zones if isinstance(zones, (set, frozenset, dict)) else frozenset(zones)
    rest = name
    while rest and rest not in known:
        _, _, rest = rest.partition(".")
    return rest or None


def _label(label: str, shown: str) -> str:
    if label == "*":
        return label
    if not label:
        raise WrongName(f"the name {shown} has an empty label: remove the doubled or leading dot")
    if label.isascii():
        low = label.lower()
    else:
        try:
            low = idna.encode(label, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            why = str(error)[:200]
            raise WrongName(
                f"the name {shown} has the label {label[:_SHOWN]!a}, which IDNA does not allow: {why!a}"
            ) from error
    if len(low) > MAX_LABEL:
        raise WrongName(f"the name {shown} has a label of {len(low)} octets: at most {MAX_LABEL} are allowed")
    if not _LABEL.fullmatch(low):
        raise WrongName(f"the name {shown} has the label {label[:_SHOWN]!a}: use letters, digits and inner hyphens")
    return low
