"""The pauses of repair_backoff, on a clock of the test's own."""

from __future__ import annotations

import pytest

from decco.desired.mesh.meshes import meshes
from decco.kube.repair_backoff import FREE_REPAIRS, LONGEST_OF_ISOLATION, LONGEST_PAUSE, QUIET_SECONDS, RepairBackoff
from decco.objects import CONFIGMAPS, NAMESPACES, NETWORK_POLICIES, Key, Resource
from decco.reconcilers.caches import Role
from decco.reconcilers.kinds import KINDS

AT = Key("acme", "web")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def pauses(resource: Resource, times: int) -> list[float]:
    """The pause before each repair of an object that is altered at once every time."""
    clock = Clock()
    shapes = {kind.resource: kind.shape for kind in KINDS if kind.role is Role.CHILD}
    repair_backoff, found = RepairBackoff(clock, lambda *_: True, lambda each: shapes[each].short_repair_backoff), []
    for _ in range(times):
        found.append(left := repair_backoff.pause_left(resource, AT))
        clock.now += left
        assert repair_backoff.pause_left(resource, AT) == 0
        repair_backoff.repaired(resource, AT)
    return found


def test_the_first_repairs_come_at_once_and_then_the_pauses_double() -> None:
    found = pauses(CONFIGMAPS, FREE_REPAIRS + 12)
    assert found[:FREE_REPAIRS] == [0.0] * FREE_REPAIRS
    assert found[FREE_REPAIRS : FREE_REPAIRS + 4] == [2.0, 4.0, 8.0, 16.0]
    assert found[-1] == LONGEST_PAUSE


@pytest.mark.parametrize("resource", [NAMESPACES, NETWORK_POLICIES, *meshes()["Istio"].kinds])
def test_what_isolates_is_not_left_for_long(resource: Resource) -> None:
    assert max(pauses(resource, 50)) == LONGEST_OF_ISOLATION


def test_after_a_time_of_quiet_all_is_forgotten_and_others_are_not_concerned() -> None:
    clock = Clock()
    repair_backoff = RepairBackoff(clock, lambda *_: True)
    for _ in range(FREE_REPAIRS):
        repair_backoff.repaired(CONFIGMAPS, AT)
    assert repair_backoff.pause_left(CONFIGMAPS, AT) > 0
    assert repair_backoff.pause_left(CONFIGMAPS, Key("acme", "db")) == 0
    clock.now += QUIET_SECONDS + 1
    assert repair_backoff.pause_left(CONFIGMAPS, AT) == 0
    repair_backoff.repaired(CONFIGMAPS, AT)
    assert repair_backoff.pause_left(CONFIGMAPS, AT) == 0


def test_quiet_objects_take_no_memory() -> None:
    clock = Clock()
    repair_backoff = RepairBackoff(clock, lambda *_: True)
    for number in range(100):
        repair_backoff.repaired(CONFIGMAPS, Key("acme", str(number)))
        clock.now += QUIET_SECONDS / 10
    repair_backoff.repaired(CONFIGMAPS, AT)
    assert len(repair_backoff._known) == 11


def test_what_was_written_is_known_as_long_as_the_object_exists() -> None:
    clock, exists = Clock(), {"0", "1"}
    repair_backoff = RepairBackoff(clock, lambda _, key: key.name in exists)
    for number in range(10):
        repair_backoff.wrote(CONFIGMAPS, Key("acme", str(number)), "hash")
    assert repair_backoff.is_repeat(CONFIGMAPS, Key("acme", "9"), "hash")
    clock.now += QUIET_SECONDS + 1
    for _ in range(6):
        repair_backoff.wrote(CONFIGMAPS, AT, "hash")
    assert {key.name for _, key in repair_backoff._written} == {*exists, AT.name}
    clock.now += QUIET_SECONDS + 1
    exists.clear()
    repair_backoff.wrote(CONFIGMAPS, AT, "hash")
    assert {key.name for _, key in repair_backoff._written} == {AT.name}
