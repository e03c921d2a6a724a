"""What must hold of the requests of a run, besides its end."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import orjson

from tests.faults.addresses import PLAN, is_event
from tests.faults.plans import Plan
from tests.faults.station import Sent

_WORKLOAD = re.compile(rf"^POST (?:apps|batch):namespaces/({PLAN}[^/]*)/(?:deployments|jobs)/(.*)$")
_POLICY = re.compile(rf"^(POST|DELETE) networking:namespaces/({PLAN}[^/]*)/networkpolicies/(.*)$")
_OWNER = re.compile(r"^PUT decco:.*/status$")
STATUS_ALLOWANCE = 4
"""Writes of a status more than without faults: each fault may pass through a few states that people should see."""
UPDATE_ALLOWANCE = 1
"""Updates of a child more than without faults, for each fault: what was decided on an old view is decided again."""


def is_minor(each: Sent) -> bool:
    return is_event(each.address)


class Policies:
    """A workload is created only when its Space's policy is there, and its own if it gets one."""

    def __init__(self, before: Sequence[Sent]) -> None:
        """``before``: the requests so far, which are not judged."""
        self._there: set[tuple[str, str]] = set()
        self._follow(before)

    def _follow(self, sent: Sequence[Sent]) -> list[str]:
        found = []
        for number, each in enumerate(sent):
            if each.status >= 300:
                continue
            if match := _POLICY.match(each.address):
                place = (match[2], match[3])
                if match[1] == "POST":
                    self._there.add(place)
                else:
                    self._there.discard(place)
            elif match := _WORKLOAD.match(each.address):
                found += [
                    f"{each.address} before the NetworkPolicy {policy}"
                    for policy in ("decco", f"app-{match[2]}")
                    if (match[1], policy) not in self._there
                    and (policy == "decco" or _is_created(match[1], policy, sent[number:]))
                ]
        return found

    def check(self, sent: Sequence[Sent]) -> list[str]:
        return self._follow(sent)


def _is_created(namespace: str, policy: str, sent: Sequence[Sent]) -> bool:
    matches = [_POLICY.match(each.address) for each in sent if each.status < 300]
    return ("POST", namespace, policy) in [match.groups() for match in matches if match]


def check(sent: Sequence[Sent], token: str, reference: Mapping[str, int] | None, plan: Plan) -> list[str]:
    """``reference``: successful writes by address in the runs without faults; None for such a run itself."""
    found = []
    done: Counter[str] = Counter()
    for each in sent:
        if each.status >= 300:
            continue
        if not _is_inside(each, token):
            found.append(f"a write outside the Space: {each.address}")
        if each.call.method == "DELETE":
            options = orjson.loads(each.call.body or b"{}")
            if not (options.get("preconditions") or {}).get("uid"):
                found.append(f"a delete without UID: {each.address}")
        if re.match(r"^DELETE decco:", each.address):
            found.append(f"an object of a person is deleted: {each.address}")
        if not is_minor(each):
            done[each.address] += 1
    if reference is None:
        return found
    faults = len(plan.faults)
    for address in sorted(done.keys() | reference.keys()):
        count, usual = done[address], reference.get(address, 0)
        if address.startswith("DELETE ") and count != usual:
            found.append(f"{count} deletes instead of {usual}: {address}")
        elif address.startswith("POST ") and count > usual:
            found.append(f"created {count} times instead of {usual}: {address}")
        elif count > usual + faults * (STATUS_ALLOWANCE if _OWNER.match(address) else UPDATE_ALLOWANCE):
            found.append(f"written {count} times instead of {usual}: {address}")
    return found


def _is_inside(each: Sent, token: str) -> bool:
    path = each.call.path
    if is_event(each.address) and path.startswith("/apis/events.k8s.io/v1/namespaces/default/"):
        # Events about a Space, which is in no namespace.
        return token in path or token.encode() in each.call.body
    match = re.search(r"/namespaces/([^/]+)/", path)
    where = match[1] if match else each.address.rsplit("/", 1)[-1].replace(PLAN, token)
    if "/spaces/" in path:
        where = path.split("/spaces/")[1].split("/")[0]
    return where in {token, f"{token}-other"}
