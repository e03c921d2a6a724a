"""What every provider must do, against the service that it talks to. One test is one case of the matrix."""

from __future__ import annotations

import asyncio
import random

from decco.dns.errors import ProviderUnreachable
from decco.dns.providers.memory.client import MemoryProvider
from decco.dns.records import normalise, record_set
from decco.dns.registry import Owner, ownership_set
from tests.dns.world import ADDRESS, OTHER_UID, UID, World, conflict, ready, until, wanted_record

LABEL_63 = "l" * 63


def ownership_text(uid: str = UID, cluster: str = "here") -> str:
    return f'"v1 {cluster} {uid}"'


async def test_create_and_delete(world: World) -> None:
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(world.name())])
        await ready(dns, UID)
        assert await world.holds() == {
            (world.name(), "A"): {ADDRESS},
            (world.ownership_name(), "TXT"): {ownership_text()},
        }
        await world.answers(world.name(), "A", {ADDRESS})
        dns.release(UID)
        await until(dns, lambda: dns.gone(UID))
        assert await world.holds() == {}
        await world.answers(world.name(), "A", set())


async def test_a_to_cname_and_back(world: World) -> None:
    async with world.running() as dns:
        for targets, rtype, values in [
            ([ADDRESS], "A", {ADDRESS}),
            (["lb.example.org"], "CNAME", {"lb.example.org."}),
            (["lc.example.org"], "CNAME", {"lc.example.org."}),
            (["192.0.2.2"], "A", {"192.0.2.2"}),
        ]:
            dns.ensure(UID, [wanted_record(world.name(), *targets)])
            await ready(dns, UID)
            assert await world.holds() == {
                (world.name(), rtype): values,
                (world.ownership_name(), "TXT"): {ownership_text()},
            }
            await world.answers(world.name(), rtype, values)


async def test_a_and_aaaa(world: World) -> None:
    async with world.running() as dns:
        for targets in ([ADDRESS, "2001:db8::1"], ["2001:db8::2"], [ADDRESS], ["2001:DB8:0:0::3", "192.0.2.9"]):
            dns.ensure(UID, [wanted_record(world.name(), *targets)])
            await ready(dns, UID)
            held = await world.holds()
            shown = {v for (name, _), values in held.items() if name == world.name() for v in values}
            assert shown == {t.lower().replace(":0:0::", "::") for t in targets}


async def test_many_targets(world: World) -> None:
    many = {f"192.0.2.{i}" for i in range(1, 61)}
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(world.name(), *many)])
        await ready(dns, UID)
        assert (await world.holds())[world.name(), "A"] == many
        fewer = set(sorted(many)[::2])
        dns.ensure(UID, [wanted_record(world.name(), *fewer)])
        await ready(dns, UID)
        assert (await world.holds())[world.name(), "A"] == fewer
        await world.answers(world.name(), "A", fewer)


async def test_ttl_change(world: World) -> None:
    async with world.running() as dns:
        for ttl in (60, 600, 30):
            dns.ensure(UID, [wanted_record(world.name(), ADDRESS, "192.0.2.2", ttl=ttl)])
            await ready(dns, UID)
            assert {t for t, _ in (await world.read()).values()} == {ttl}


async def test_wildcard_siblings(world: World) -> None:
    wild, beside, below = world.name("*.w"), world.name("s.w"), world.name("a.b.w")
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(wild), wanted_record(beside, "192.0.2.2")])
        await ready(dns, UID)
        dns.ensure(OTHER_UID, [wanted_record(below, "192.0.2.3"), wanted_record(world.name("w"), "192.0.2.4")])
        await ready(dns, OTHER_UID)
        await world.answers(beside, "A", {"192.0.2.2"})
        await world.answers(below, "A", {"192.0.2.3"})
        await world.answers(world.name("w"), "A", {"192.0.2.4"})  # and nothing of the names below it
        await world.answers(world.name("w"), "TXT", set())
        dns.ensure(UID, [wanted_record(beside, "192.0.2.2")])
        await until(dns, lambda: dns.state(UID).published == {beside})
        assert {name for name, rtype in await world.holds() if rtype == "A"} == {beside, below, world.name("w")}


async def test_wildcard_answers(world: World) -> None:
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(world.name("*.w"))])
        await ready(dns, UID)
        if await asyncio.to_thread(world.backend.ask, world.name("any.w"), "A") is not None:
            await world.answers(world.name("any.w"), "A", {ADDRESS})
        # What a wildcard answers for is still free.
        dns.ensure(OTHER_UID, [wanted_record(world.name("free.w"), "192.0.2.5")])
        await ready(dns, OTHER_UID)
        await world.answers(world.name("free.w"), "A", {"192.0.2.5"})


async def test_label_of_63_octets(world: World) -> None:
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(world.name(LABEL_63))])
        await ready(dns, UID)
        await world.answers(world.name(LABEL_63), "A", {ADDRESS})


async def test_name_of_253_octets(world: World) -> None:
    budget = 253 - len(world.zone) - 1
    labels = [LABEL_63, LABEL_63, LABEL_63]
    labels.append("m" * (budget - 3 * 64))
    long = world.name(".".join(labels))
    assert len(long) == 253
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(long)])
        await ready(dns, UID)
        await world.answers(long, "A", {ADDRESS})
        dns.release(UID)
        await until(dns, lambda: dns.gone(UID))
        assert await world.holds() == {}


async def test_mixed_case_and_trailing_dot(world: World) -> None:
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(f"MiXed.{world.zone.upper()}.")])
        await ready(dns, UID)
        assert (world.name("mixed"), "A") in await world.holds()
        calls = world.calls["apply"]
        dns.ensure(UID, [wanted_record(world.name("mixed"))])
        assert dns.state(UID).ready
        assert world.calls["apply"] == calls


async def test_a_foreign_name_in_mixed_case(world: World) -> None:
    await world.put(f"TaKen.{world.zone}", "A", "192.0.2.99")
    before = await world.read()
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(world.name("taken"))])
        assert world.name("taken") in await conflict(dns, UID)
    assert await world.read() == before


async def test_idn(world: World) -> None:
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(f"bücher.{world.zone}"), wanted_record(f"例え.{world.zone}", "zürich.example")])
        await ready(dns, UID)
        held = await world.holds()
        assert held[normalise(f"bücher.{world.zone}"), "A"] == {ADDRESS}
        assert held[normalise(f"例え.{world.zone}"), "CNAME"] == {"xn--zrich-kva.example."}


async def test_apex(world: World) -> None:
    await world.put(world.zone, "MX", "10 mail.example.")
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(world.zone, ADDRESS, "2001:db8::1")])
        await ready(dns, UID)
        await world.answers(world.zone, "A", {ADDRESS})
        assert (await world.holds())[world.zone, "MX"] == {"10 mail.example."}
        dns.ensure(UID, [wanted_record(world.zone, "lb.example")])
        await until(dns, lambda: [p.reason for p in dns.state(UID).problems] == ["InvalidRecord"])
        dns.release(UID)
        await until(dns, lambda: dns.gone(UID))
        assert set(await world.holds()) == {(world.zone, "MX")}


FOREIGN = {
    "A": "192.0.2.99",
    "AAAA": "2001:db8::99",
    "CNAME": "elsewhere.example.",
    "TXT": '"mine"',
    "MX": "10 mail.example.",
    "SRV": "1 2 443 s.example.",
    "CAA": '0 issue "ca.example"',
}


async def test_foreign_record_of_any_type(world: World) -> None:
    foreign = {rtype: value for rtype, value in FOREIGN.items() if rtype in world.backend.types}
    for rtype, value in foreign.items():
        await world.put(world.name(rtype.lower()), rtype, value)
    before = await world.read()
    async with world.running() as dns:
        for rtype in foreign:
            dns.ensure(rtype, [wanted_record(world.name(rtype.lower()), ADDRESS)])
        dns.ensure(UID, [wanted_record(world.name("fine"))])
        await ready(dns, UID)
        for rtype in foreign:
            said = await conflict(dns, rtype)
            assert world.name(rtype.lower()) in said
            assert rtype in said
        dns.ensure(UID, [])
        await until(dns, lambda: not dns.state(UID).published)
    assert await world.read() == before


async def test_foreign_and_forged_ownership_records(world: World) -> None:
    marks = {
        "other-cluster": ownership_text(cluster="there"),
        "other-uid": ownership_text(uid="11111111-2222-3333-4444-555555555555"),
        "unknown-version": f'"v9 here {UID}"',
        "garbage": '"\\000\\255 not an ownership record"',
        "two": ownership_text(),
    }
    for label, text in marks.items():
        await world.put(world.name(label), "A", "192.0.2.99")
        await world.put(world.ownership_name(label), "TXT", text, *(['"second"'] if label == "two" else []))
    before = await world.read()
    async with world.running() as dns:
        for label in marks:
            dns.ensure(f"owner-{label}", [wanted_record(world.name(label))])
        dns.ensure(UID, [])
        for label in marks:
            assert world.name(label) in await conflict(dns, f"owner-{label}")
            dns.release(f"owner-{label}")
            await until(dns, lambda label=label: dns.gone(f"owner-{label}"))
    assert await world.read() == before


async def test_record_without_ownership_record(world: World) -> None:
    await world.put(world.name("unmarked"), "A", "192.0.2.99")
    before = await world.read()
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(world.name("unmarked"))])
        assert world.name("unmarked") in await conflict(dns, UID)
        dns.release(UID)
        await until(dns, lambda: dns.gone(UID))
    assert await world.read() == before


async def test_ownership_record_without_record(world: World) -> None:
    """Another cluster's keeps the name; one of ours gets its record back, or is deleted if the name is not desired."""
    await world.put(world.ownership_name("theirs"), "TXT", ownership_text(cluster="there"))
    await world.put(world.ownership_name("mine"), "TXT", ownership_text(OTHER_UID))
    await world.put(world.ownership_name("left"), "TXT", ownership_text(OTHER_UID))
    before = await world.read()
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(world.name("theirs"))])
        assert world.name("theirs") in await conflict(dns, UID)
        assert await world.read() == before
        dns.ensure(OTHER_UID, [wanted_record(world.name("mine"))])
        await until(dns, lambda: dns.state(OTHER_UID).published == {world.name("mine")})
        await ready(dns, OTHER_UID)
    held = await world.holds()
    assert held[world.name("mine"), "A"] == {ADDRESS}
    assert (world.ownership_name("left"), "TXT") not in held
    assert held[world.ownership_name("theirs"), "TXT"] == {ownership_text(cluster="there")}


async def test_a_name_taken_behind_our_back(world: World) -> None:
    """The poisoned name is found by the provider itself, not by an earlier reading, and blocks no other."""
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(world.name("first"))])
        await ready(dns, UID)
        world.faults.meanwhile = lambda: world.backend.put(world.zone, world.name("n5"), 300, "A", "192.0.2.99")
        for i in range(12):
            dns.ensure(f"u{i}", [wanted_record(world.name(f"n{i}"))])
        assert world.name("n5") in await conflict(dns, "u5")
        await ready(dns, *(f"u{i}" for i in range(12) if i != 5))
    held = await world.holds()
    assert held[world.name("n5"), "A"] == {"192.0.2.99"}
    assert (world.ownership_name("n5"), "TXT") not in held
    assert len([1 for name, rtype in held if rtype == "A"]) == 13


async def test_changed_behind_our_back(world: World) -> None:
    """Somebody takes over a name of ours between two of our changes: it is theirs from then on."""
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(world.name()), wanted_record(world.name("other"))])
        await ready(dns, UID)

        def take() -> None:
            world.backend.drop(world.zone, world.ownership_name(), "TXT")
            world.backend.put(world.zone, world.name(), 300, "A", "192.0.2.99")

        world.faults.meanwhile = take
        dns.ensure(UID, [wanted_record(world.name(), "192.0.2.2"), wanted_record(world.name("other"), "192.0.2.2")])
        await conflict(dns, UID)
        dns.release(UID)
        await until(dns, lambda: dns.gone(UID))
    assert await world.holds() == {(world.name(), "A"): {"192.0.2.99"}}


async def test_restart_changes_nothing(world: World) -> None:
    desired = [
        wanted_record(world.name("a"), ADDRESS, "2001:db8::1"),
        wanted_record(world.name("c"), "lb.example"),
        wanted_record(world.name("*.w")),
    ]
    async with world.running() as dns:
        dns.ensure(UID, desired)
        await ready(dns, UID)
    before = await world.read()
    world.calls.clear()
    async with world.running() as again:
        again.ensure(UID, desired)
        await ready(again, UID)
        assert world.calls["apply"] == 0
        again.ensure(UID, desired[:1])
        await until(again, lambda: again.state(UID).published == {world.name("a")})
    assert before.keys() - (await world.read()).keys() == {
        (world.name("c"), "CNAME"), (world.ownership_name("c"), "TXT"),
        (world.name("*.w"), "A"), (world.ownership_name("*.w"), "TXT"),
    }  # fmt: skip


async def test_two_clusters_on_one_zone(world: World) -> None:
    """Each name has one owner from the first moment on, and the other has no more requests than for a change of it."""
    mine = [wanted_record(world.name("here")), *(wanted_record(world.name(f"n{i}")) for i in range(10))]
    async with world.running("alone") as alone:
        for i, each in enumerate(mine):
            alone.ensure(f"a{i}", [each])
        await ready(alone, *(f"a{i}" for i in range(11)))
        without_rival = world.calls.total()
        for i in range(11):
            alone.release(f"a{i}")
        await until(alone, lambda: all(alone.gone(f"a{i}") for i in range(11)))
    other = world.backend.provider(world.zone)
    async with world.watched(), world.running("here") as here, world.running("there", [other]) as there:
        for i in range(10):
            here.ensure(f"h{i}", [wanted_record(world.name(f"n{i}"), "192.0.2.1")])
            there.ensure(f"t{i}", [wanted_record(world.name(f"n{i}"), "192.0.2.2")])
        here.ensure(UID, [wanted_record(world.name("here"))])
        there.ensure(OTHER_UID, [wanted_record(world.name("there"))])
        await ready(here, UID)
        await ready(there, OTHER_UID)

        def settled(i: int) -> bool:
            problems = {p.reason for p in (*here.state(f"h{i}").problems, *there.state(f"t{i}").problems)}
            return problems == {"RecordConflict"}

        await until(here, lambda: all(settled(i) for i in range(10)), there)
    for cluster in ("here", "there"):
        assert world.calls_of[cluster].total() <= 2 * without_rival, world.calls_of
    held = await world.holds()
    for i in range(10):
        winner = {"192.0.2.1": f'"v1 here h{i}"', "192.0.2.2": f'"v1 there t{i}"'}
        (value,) = held[world.name(f"n{i}"), "A"]
        assert held[world.ownership_name(f"n{i}"), "TXT"] == {winner[value]}


async def test_zone_deleted_and_created_again(world: World) -> None:
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(world.name())])
        await ready(dns, UID)
        await world.remove_zone()
        dns.ensure(OTHER_UID, [wanted_record(world.name("y"))])
        await until(dns, lambda: [p.reason for p in dns.state(OTHER_UID).problems] == ["ZoneNotFound"])
        await world.create_zone()
        await ready(dns, UID, OTHER_UID)
    assert {name for name, rtype in await world.holds() if rtype == "A"} == {world.name(), world.name("y")}


async def test_zone_moved_to_an_empty_one(world: World) -> None:
    old = MemoryProvider("old", (world.zone,))
    async with world.running(providers=[old]) as dns:
        dns.ensure(UID, [wanted_record(world.name())])
        await ready(dns, UID)
    async with world.running() as moved:
        moved.ensure(UID, [wanted_record(world.name())])
        await ready(moved, UID)
    assert set(await world.holds()) == {(world.name(), "A"), (world.ownership_name(), "TXT")}


async def test_zone_moved_with_its_records(world: World) -> None:
    """Records that were copied with the zone keep their owner: nothing is written, and all can be withdrawn."""
    desired = [wanted_record(world.name("a"), ADDRESS, "192.0.2.2"), wanted_record(world.name("c"), "lb.example")]
    async with world.running() as dns:
        dns.ensure(UID, desired)
        await ready(dns, UID)
    former = await world.read()
    new = MemoryProvider("new", (world.zone,))
    for (name, rtype), (ttl, values) in former.items():
        plain = [value.strip('"') for value in values]
        new.contents[world.zone].setdefault(name, {})[rtype] = record_set(name, rtype, ttl, plain)
    copied = {name: dict(types) for name, types in new.contents[world.zone].items()}
    world.calls.clear()
    async with world.running(providers=[new]) as moved:
        moved.ensure(UID, desired)
        await ready(moved, UID)
        assert world.calls["apply"] == 0
        assert new.contents[world.zone] == copied
        moved.release(UID)
        await until(moved, lambda: moved.gone(UID))
    assert new.contents[world.zone] == {}
    assert await world.read() == former, "the former zone is not read any more"


async def test_handover_between_owners(world: World) -> None:
    async with world.running() as dns:
        dns.ensure(UID, [wanted_record(world.name())])
        await ready(dns, UID)
        dns.ensure(OTHER_UID, [wanted_record(world.name(), "192.0.2.2")])
        await conflict(dns, OTHER_UID)
        dns.release(UID)
        await ready(dns, OTHER_UID)
        assert await world.holds() == {
            (world.name(), "A"): {"192.0.2.2"},
            (world.ownership_name(), "TXT"): {ownership_text(OTHER_UID)},
        }


async def test_a_thousand_names_in_two_calls(world: World) -> None:
    async with world.running() as dns:
        for i in range(1000):
            uid = f"{i:08x}{UID[8:]}"
            dns.ensure(uid, [wanted_record(world.name(f"s{i:04d}"))])
        await ready(dns, *(f"{i:08x}{UID[8:]}" for i in range(1000)))
        assert world.calls["apply"] <= 2
        assert world.calls["records"] == 1
    assert len(await world.holds()) == 2000


async def test_random_interleavings_with_a_second_writer(world: World) -> None:
    """Nothing foreign changes and nothing of ours dangles, whatever the second writer and the faults do."""
    dice = random.Random(5)
    foreign: dict[tuple[str, str], frozenset[str]] = {}
    wanted: dict[str, dict[str, str]] = {f"u{i}": {} for i in range(4)}
    async with world.running() as dns:
        for _ in range(60):
            name = world.name(f"n{dice.randrange(12)}")
            match dice.randrange(4):
                case 0 if not any(held == name for held, _ in foreign):
                    # The second writer is careful as well: it only takes a name that is free at that moment.
                    if not any(held == name for held, _ in await world.holds()):
                        rtype, value = dice.choice([("A", "192.0.2.99"), ("TXT", '"theirs"'), ("MX", "10 m.example.")])
                        world.faults.meanwhile = None
                        await world.put(name, rtype, value)
                        foreign[name, rtype] = frozenset({value})
                case 1 if foreign and dice.random() < 0.5:
                    key = dice.choice(sorted(foreign))
                    await world.drop(*key)
                    del foreign[key]
                case 2:
                    faults = dice.choice([world.faults.before, world.faults.after])
                    faults.append(ProviderUnreachable("lost", uncertain=True))
                case _:
                    uid = dice.choice(sorted(wanted))
                    mine = [world.name(f"n{i}") for i in range(12) if i % 4 == int(uid[1:])]
                    wanted[uid] = {n: dice.choice(["192.0.2.1", "lb.example"]) for n in dice.sample(mine, 2)}
                    dns.ensure(uid, [wanted_record(n, target) for n, target in wanted[uid].items()])
            await asyncio.sleep(dice.choice([0, 0.01, 0.05]))
        world.faults.before.clear()
        world.faults.after.clear()
    async with world.running() as again:  # a start compares the whole zone, as each hour does
        for uid, names in wanted.items():
            again.ensure(uid, [wanted_record(n, target) for n, target in names.items()])
        taken = {name for name, _ in foreign}

        def settled() -> bool:
            return all({p.name for p in again.state(uid).problems} == taken & names.keys() and
                       again.state(uid).published == names.keys() - taken
                       and all(p.reason == "RecordConflict" for p in again.state(uid).problems)
                       for uid, names in wanted.items())  # fmt: skip

        await until(again, settled)
    expected = dict(foreign)
    for uid, names in wanted.items():
        for name in names.keys() - taken:
            rtype, value = ("A", "192.0.2.1") if names[name] == "192.0.2.1" else ("CNAME", "lb.example.")
            expected[name, rtype] = frozenset({value})
            ownership = ownership_set(name, world.zone, Owner("here", uid), 180)
            expected[ownership.name, "TXT"] = frozenset(f'"{v}"' for v in ownership.values)
    assert await world.holds() == expected
