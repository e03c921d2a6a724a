"""Reads ``apiserver_request_total``: what was asked of an API server since it started.

https://kubernetes.io/docs/reference/instrumentation/metrics/
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

WRITE_VERBS = frozenset({"POST", "PUT", "PATCH", "DELETE", "APPLY", "DELETECOLLECTION"})

_SAMPLE = re.compile(r"^apiserver_request_total\{(?P<labels>.*)\} (?P<value>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class RequestKey(NamedTuple):
    """One kind of request. ``verb`` as in the metric: GET, LIST, WATCH, POST, PUT, PATCH, APPLY, DELETE, ..."""

    verb: str
    resource: str
    subresource: str
    code: str

    @property
    def writes(self) -> bool:
        return self.verb in WRITE_VERBS


def parse_request_total(metrics: str) -> Counter[RequestKey]:
    """Adds up the samples over the labels that are not in the key (version, scope, component, dry run)."""
    counts: Counter[RequestKey] = Counter()
    for sample in _SAMPLE.finditer(metrics):
        labels = dict(_LABEL.findall(sample["labels"]))
        key = RequestKey(labels["verb"], labels["resource"], labels["subresource"], labels["code"])
        counts[key] += int(float(sample["value"]))
    return counts
