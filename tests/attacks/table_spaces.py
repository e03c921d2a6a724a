"""Spaces: domain, project, host names, privileges, parameters, transfer. Attack and honest counterpart side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.attacks import people as p
from tests.attacks.attempts import OK, RBAC, SPACES, Attempt, Obj, create, delete, edit, flat
from tests.attacks.world import FINALIZER, space

PAUSED, ABANDON, TRANSFER, MOVE = (
    f"decco.platform9.com/{key}" for key in ("paused", "abandon-dns", "transfer", "move")
)
BANK, EVIL1, HELD = f"{SPACES}/bank", f"{SPACES}/evil1", f"{SPACES}/held"


def spec(**fields: Any) -> Obj:
    return {"spec": fields}


def notes(**annotations: str | None) -> Obj:
    known = {"paused": PAUSED, "abandon": ABANDON, "transfer": TRANSFER, "move": MOVE}
    return {"metadata": {"annotations": {known.get(key, key): value for key, value in annotations.items()}}}


def finalizers(*names: str) -> Obj:
    return {"metadata": {"finalizers": list(names)}}


def http(*names: str) -> list[Obj]:
    return [{"name": name, "certSecretName": "c"} for name in names]


def membership() -> Iterator[Attempt]:
    yield from create(
        "creates a Space in a foreign domain", p.OPERATOR_A, "DECCO-0603", SPACES, space("n", "victim.test")
    )
    yield from create("creates a Space in its domain", p.OPERATOR_A, OK, SPACES, space("n", "evil.test"))
    for domain in ("test", "sub.evil.test", "evil.test.victim.test", "xevil.test"):
        yield from create(f"creates a Space in {domain}", p.OPERATOR_A, "DECCO-0603", SPACES, space("n", domain))
    foreign = space("n", "evil.test", project="bank")
    yield from create("creates a Space in a foreign project", p.OPERATOR_A, "DECCO-0604", SPACES, foreign)
    yield from create(
        "creates a Space in its project", p.OPERATOR_A, OK, SPACES, space("n", "evil.test", project="widgets")
    )
    for who in (p.PLAIN_OPERATOR, p.PROJECT_ONLY):
        yield from create("creates a Space", who, "DECCO-0603", SPACES, space("n", "victim.test"))
    yield from create(
        "creates a Space in a project", p.DOMAIN_ONLY, "DECCO-0604", SPACES, space("n", "victim.test", project="bank")
    )
    yield from create("creates any Space", p.ADMIN, OK, SPACES, space("n", "any.test", project="any"))
    for who in (p.TENANT_A, p.KUBE_EDIT, p.KUBE_ADMIN, p.VIEWER, p.MAKER, p.STRANGER, p.CONTROLLER):
        yield from create("creates a Space", who, RBAC, SPACES, space("n", "evil.test"))


EDITS: tuple[tuple[str, Obj], ...] = (
    ("leaves the project", spec(project=None)),
    ("takes the Space into its project", spec(project="widgets")),
    ("opens the namespace to root", spec(podSecurity="restricted")),
    ("changes a certificate", spec(httpCertSecretName="mine")),
    ("removes the host names", spec(hostnames=None)),
    ("adds a host name of its own", spec(hostnames=["pay.example.net", "x.evil.test"])),
    ("sets a label", {"metadata": {"labels": {"a": "b"}}}),
    ("sets an annotation", notes(a="b")),
    ("pauses", notes(paused="true")),
    (
        "sets an owner reference",
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}]}},
    ),
    ("adds a finalizer", finalizers("attacker.example/hold")),
    ("adds a finalizer of decco's", finalizers("decco.platform9.com/hold")),
    ("stops encryption", spec(encryptHttp=True)),
    ("sets a quota", spec(resourceQuota={"hard": {"pods": "0"}})),
    ("changes the spread", spec(topology={"zoneSpread": "Require"})),
    ("sets a runtime class", spec(runtimeClassName="runc")),
)
"""What somebody with rights on another domain does to Space bank."""


def others() -> Iterator[Attempt]:
    for what, patch in EDITS:
        # Several policies refuse a pause, in no fixed order.
        code = "DECCO-0601|DECCO-0612" if what == "pauses" else "DECCO-0601"
        yield from edit(f"of another: {what}", p.OPERATOR_A, code, BANK, patch)
    for what, patch in EDITS[:4]:
        yield from edit(f"without the domain: {what}", p.PROJECT_ONLY, "DECCO-0601", BANK, patch, ways=("merge",))
        yield from edit(f"without the project: {what}", p.DOMAIN_ONLY, "DECCO-0602", BANK, patch, ways=("merge",))
    for what, patch in (EDITS[0], EDITS[2], EDITS[3], EDITS[6], EDITS[7], EDITS[10], EDITS[12]):
        yield from edit(f"of its own: {what}", p.OPERATOR_B, OK, BANK, patch)
    yield from edit("takes its Space into a foreign project", p.OPERATOR_B, "DECCO-0604", BANK, spec(project="widgets"))
    yield from delete("deletes the Space of another", p.OPERATOR_A, "DECCO-0601", BANK)
    yield from delete("deletes without the domain", p.PROJECT_ONLY, "DECCO-0601", BANK)
    yield from delete("deletes without the project", p.DOMAIN_ONLY, "DECCO-0602", BANK)
    yield from delete("deletes its own", p.OPERATOR_B, OK, BANK)
    yield Attempt("deletes all Spaces at once", p.SWEEPER, "DECCO-0601", "delete", SPACES)
    yield Attempt("deletes all Spaces at once", p.OPERATOR_A, RBAC, "delete", SPACES)
    yield Attempt("deletes all Spaces at once", p.ADMIN, OK, "delete", SPACES)
    yield from delete("deletes any", p.ADMIN, OK, BANK)
    for who in (p.TENANT_B, p.KUBE_ADMIN, p.MAKER):
        yield from edit("edits a Space", who, RBAC, BANK, spec(project=None), ways=("merge", "put"))
        yield Attempt("deletes a Space", who, RBAC, "delete", BANK)
    # The control plane does its work: garbage collection after deletions by each propagation policy.
    gone: Obj = {"metadata": {"finalizers": None, "ownerReferences": None}}
    yield from edit("removes foregroundDeletion", p.COLLECTOR, OK, BANK, gone, ways=("merge",))
    yield from delete("collects a Space", p.COLLECTOR, OK, BANK)


def json_patches() -> Iterator[Attempt]:
    """RFC 6902: another way to the same objects."""

    def patched(
        what: str, who: p.Person, expect: str, path: str, op: str, at: str, value: Any = None
    ) -> Iterator[Attempt]:
        operation = {"op": op, "path": at} | ({} if op == "remove" else {"value": value})
        yield Attempt(f"{what}, by a JSON patch", who, expect, "json", path, [operation])

    yield from patched("removes the project of another", p.OPERATOR_A, "DECCO-0601", BANK, "remove", "/spec/project")
    yield from patched("removes a name of another", p.OPERATOR_A, "DECCO-0601", BANK, "remove", "/spec/hostnames/0")
    yield from patched("removes its project", p.OPERATOR_B, OK, BANK, "remove", "/spec/project")
    yield from patched(
        "adds a foreign name", p.OPERATOR_A, "DECCO-0605", EVIL1, "add", "/spec/hostnames/0", "a.example.net"
    )
    yield from patched("adds its name", p.OPERATOR_A, OK, EVIL1, "add", "/spec/hostnames/-", "a.evil.test")
    yield from patched("roots", p.OPERATOR_A, "DECCO-0610", EVIL1, "add", "/spec/podSecurity", "privileged")
    yield from patched(
        "removes decco's finalizer", p.OPERATOR_A, "DECCO-0614", HELD, "remove", "/metadata/finalizers/0"
    )
    yield from patched("removes decco's finalizer", p.OPERATOR_FULL, OK, HELD, "remove", "/metadata/finalizers/0")


def hostnames() -> Iterator[Attempt]:
    def taken(
        what: str, who: p.Person, expect: str, *names: str, ways: tuple[str, ...] = ("merge", "put", "apply")
    ) -> Iterator[Attempt]:
        yield from edit(f"hostnames: {what}", who, expect, EVIL1, spec(hostnames=list(names)), ways=ways)
        yield from edit(f"httpHostnames: {what}", who, expect, EVIL1, spec(httpHostnames=http(*names)), ways=ways)

    yield from taken("the FQDN of another Space", p.OPERATOR_A, "DECCO-0605", "bank.victim.test")
    yield from taken("below the FQDN of another Space", p.OPERATOR_A, "DECCO-0605", "db.bank.victim.test")
    yield from taken("a foreign domain itself", p.OPERATOR_A, "DECCO-0605", "example.net")
    yield from taken("a name in a foreign domain", p.OPERATOR_A, "DECCO-0605", "www.example.net")
    yield from taken("a parent of its domain", p.OPERATOR_A, "DECCO-0605", "test")
    yield from taken("a domain that ends alike", p.OPERATOR_A, "DECCO-0605", "www.xevil.test")
    yield from taken("a top-level domain", p.OPERATOR_A, "DECCO-0605", "com")
    yield from taken("one of its own and one of another", p.OPERATOR_A, "DECCO-0605", "ok.evil.test", "pay.example.net")
    yield from taken("its domain itself", p.OPERATOR_A, OK, "evil.test")
    yield from taken("a name of its domain", p.OPERATOR_A, OK, "www.evil.test")
    yield from taken("below its domain", p.OPERATOR_A, OK, "a.b.c.evil.test")
    yield from taken("any name", p.ADMIN, OK, "www.example.net", "pay.example.net")
    for wildcard, expect in (("*.victim.test", "DECCO-0605"), ("*.example.net", "DECCO-0605"), ("*.evil.test", OK)):
        yield from edit(f"httpHostnames: {wildcard}", p.OPERATOR_A, expect, EVIL1, spec(httpHostnames=http(wildcard)))
    for field, value in (("hostnames", ["www.example.net"]), ("httpHostnames", http("www.example.net"))):
        made = space("n", "evil.test", **{field: value})
        yield from create(f"creates a Space with a foreign name in {field}", p.OPERATOR_A, "DECCO-0605", SPACES, made)
    made = space(
        "n", "victim.test", hostnames=["www.example.net", "example.net"], httpHostnames=http("shop.example.net")
    )
    yield from create("creates a Space with names of its domains", p.OPERATOR_B, OK, SPACES, made)
    yield from edit(
        "keeps a name and adds one", p.OPERATOR_B, OK, BANK, spec(hostnames=["pay.example.net", "b.example.net"])
    )
    yield from edit(
        "moves a name between the lists",
        p.OPERATOR_B,
        OK,
        BANK,
        spec(hostnames=[], httpHostnames=http("pay.example.net")),
        ways=("merge", "put"),
    )
    # Who no longer may use example.net keeps the name and edits the rest.
    yield from edit("keeps a granted name of a foreign domain", p.OPERATOR_MOVES, OK, BANK, spec(encryptHttp=True))
    yield from edit(
        "adds a name beside it",
        p.OPERATOR_MOVES,
        "DECCO-0605",
        BANK,
        spec(hostnames=["pay.example.net", "b.example.net"]),
    )
    yield from slots()


def slots() -> Iterator[Attempt]:
    """Every slot of the policy decides: one foreign name at each place among eight."""
    many = p.OPERATOR_MANY
    domains = [f"x.d{i}.test" for i in range(1, 10)]
    single = [f"n{i}.single.test" for i in range(1, 10)]
    patch = lambda names: spec(hostnames=names)  # noqa: E731
    yield from edit("names of eight domains", many, OK, EVIL1X, patch(domains[:8]))
    yield from edit("names of nine domains", many, "DECCO-0606", EVIL1X, patch(domains), ways=("merge",))
    yield from edit(
        "names of twelve domains as administrator", p.ADMIN, OK, EVIL1X, patch([f"x.y{i}.test" for i in range(12)])
    )
    yield from edit("eight single names", many, OK, EVIL1X, patch(single[:8]))
    yield from edit("nine single names", many, "DECCO-0605", EVIL1X, patch(single), ways=("merge",))
    yield from edit("single names of domains not its own", many, OK, EVIL1X, patch(["n1.single.test", "x.d1.test"]))
    yield from edit("below a single name", many, OK, EVIL1X, patch(["x.n1.single.test"]))
    for i in range(8):
        names = [*domains[:i], "www.victim.test", *domains[i:7]]
        yield from edit(
            f"a foreign name as domain {i + 1} of 8", many, "DECCO-0605", EVIL1X, patch(names), ways=("merge",)
        )
        names = [*single[:i], "n0.single.test", *single[i:7]]
        yield from edit(
            f"a foreign name as single name {i + 1} of 8", many, "DECCO-0605", EVIL1X, patch(names), ways=("merge",)
        )


EVIL1X = f"{SPACES}/plain"
"""A Space in evil.test without a project: OPERATOR_MANY has no project."""


def privileges() -> Iterator[Attempt]:
    elsewhere = {"clusters": [{"id": "elsewhere"}]}
    for field, value, code in (
        ("podSecurity", "privileged", "DECCO-0610"),
        ("mesh", "Istio", "DECCO-0611"),
        ("placement", elsewhere, "DECCO-0615"),
    ):
        made = space("n", "evil.test", **{field: value})
        yield from create(f"creates a Space with {field}", p.OPERATOR_A, code, SPACES, made)
        yield from create(f"creates a Space with {field}", p.OPERATOR_FULL, OK, SPACES, made)
        yield from create(f"creates a Space with {field}", p.ADMIN, OK, SPACES, made)
        yield from edit(f"sets {field}", p.OPERATOR_A, code, EVIL1, spec(**{field: value}))
        yield from edit(f"sets {field}", p.OPERATOR_FULL, OK, EVIL1, spec(**{field: value}))
    placed = f"{SPACES}/placed"
    for words, value in (
        ("removes a placement", None),
        ("makes a cluster stand by", {"clusters": [{"id": "east"}, {"id": "west", "role": "Standby"}]}),
        ("adds a cluster", {"clusters": [{"id": "east"}, {"id": "west"}, {"id": "north"}]}),
    ):
        yield from edit(words, p.OPERATOR_A, "DECCO-0615", placed, spec(placement=value))
        yield from edit(words, p.OPERATOR_FULL, OK, placed, spec(placement=value))
    # An apply takes away only what its own manager has set.
    fewer = spec(placement={"clusters": [{"id": "east"}]})
    yield from edit("takes a cluster away", p.OPERATOR_A, "DECCO-0615", placed, fewer, ways=("merge",))
    yield from edit("takes a cluster away", p.OPERATOR_FULL, OK, placed, fewer, ways=("merge",))
    again = {"clusters": [{"id": "west", "role": "Active"}, {"id": "east"}]}
    yield from edit("says a placement in other words", p.OPERATOR_A, OK, placed, spec(placement=again))
    yield from edit("edits a placed Space", p.OPERATOR_A, OK, placed, spec(encryptHttp=True))
    rooted = f"{SPACES}/rooted"
    yield from edit("edits what an administrator made privileged", p.OPERATOR_A, OK, rooted, spec(encryptHttp=True))
    yield from edit(
        "lowers what an administrator made privileged",
        p.OPERATOR_A,
        OK,
        rooted,
        spec(podSecurity="restricted", mesh="None"),
    )
    for value in ("true", "false", ""):
        yield from edit(f"pauses with {value!r}", p.OPERATOR_A, "DECCO-0612", EVIL1, notes(paused=value))
    yield from edit("pauses", p.PAUSER, OK, EVIL1, notes(paused="true"))
    yield from edit("pauses", p.OPERATOR_FULL, OK, EVIL1, notes(paused="true"))
    yield from edit("resumes", p.OPERATOR_A, "DECCO-0612", HELD, notes(paused=None))
    yield from edit("resumes", p.OPERATOR_FULL, OK, HELD, notes(paused=None))
    paused = space("n", "evil.test", {"annotations": {PAUSED: "true"}})
    yield from create("creates a paused Space", p.OPERATOR_A, "DECCO-0612", SPACES, paused)
    yield from create("creates a paused Space", p.PAUSER, OK, SPACES, paused)
    for way in ("to other", "from other"):
        for who in (p.OPERATOR_A, p.PAUSER):
            yield from edit(f"moves its names {way}", who, "DECCO-0618", EVIL1, notes(move=way))
        yield from edit(f"moves its names {way}", p.OPERATOR_FULL, OK, EVIL1, notes(move=way))
        moving = space("n", "evil.test", {"annotations": {MOVE: way}})
        yield from create(f"creates a Space that moves {way}", p.OPERATOR_A, "DECCO-0618", SPACES, moving)
    yield from edit("leaves records behind", p.OPERATOR_A, "DECCO-0613", EVIL1, notes(abandon="true"))
    yield from edit("leaves records behind", p.PAUSER, "DECCO-0613", EVIL1, notes(abandon="true"))
    yield from edit("leaves records behind", p.OPERATOR_FULL, OK, EVIL1, notes(abandon="true"))
    left = space("n", "evil.test", {"annotations": {ABANDON: "true"}})
    yield from create("creates a Space that leaves records behind", p.OPERATOR_A, "DECCO-0613", SPACES, left)
    removed = {"metadata": {"finalizers": None}}
    yield from edit("removes decco's finalizer", p.OPERATOR_A, "DECCO-0614", HELD, removed)
    yield from edit(
        "replaces decco's finalizer", p.OPERATOR_A, "DECCO-0614", HELD, finalizers("a.example/b"), ways=("merge", "put")
    )
    yield from edit("removes decco's finalizer", p.PAUSER, "DECCO-0614", HELD, removed)
    yield from edit("removes decco's finalizer", p.OPERATOR_FULL, OK, HELD, removed)
    # With abandon-dns, and "use" on nothing: the finalizers of decco, and nothing else.
    yield from edit("removes decco's finalizer", p.CLEANER, OK, HELD, removed)
    yield from edit(
        "removes decco's finalizer and edits", p.CLEANER, "DECCO-0601", HELD, {**removed, **spec(encryptHttp=True)}
    )
    yield from edit(
        "adds a foreign finalizer",
        p.CLEANER,
        "DECCO-0601",
        HELD,
        finalizers(FINALIZER, "a.example/b"),
        ways=("merge", "put"),
    )
    yield from edit("sets a label", p.CLEANER, "DECCO-0601", HELD, {"metadata": {"labels": {"a": "b"}}})
    yield from edit("sets an annotation", p.CLEANER, "DECCO-0601", HELD, notes(a="b"))
    yield from edit("sets an owner", p.CLEANER, "DECCO-0601", HELD, EDITS[9][1])
    yield from edit("sets its finalizer", p.CONTROLLER, OK, EVIL1, finalizers(FINALIZER), ways=("merge",))
    yield from edit("removes its finalizer", p.CONTROLLER, OK, HELD, removed, ways=("merge",))


def transfer() -> Iterator[Attempt]:
    def moved(
        what: str, who: p.Person, expect: str, text: str, ways: tuple[str, ...] = ("merge", "put", "apply")
    ) -> Iterator[Attempt]:
        yield from edit(f"transfer: {what}", who, expect, EVIL1X, notes(transfer=text), ways=ways)

    yield from moved("a name of another", p.OPERATOR_A, "DECCO-0607", "bank.victim.test=bank")
    yield from moved("a name of its own domain, without transfer", p.OPERATOR_A, "DECCO-0607", "plain.evil.test=plain")
    yield from moved("a name of a domain that it may transfer", p.OPERATOR_MOVES, OK, "pay.example.net=bank")
    yield from moved("a wildcard of that domain", p.OPERATOR_MOVES, OK, "*.example.net=bank")
    yield from moved("a single name that it may transfer", p.OPERATOR_MOVES, OK, "www.single.test=bank")
    yield from moved("another single name", p.OPERATOR_MOVES, "DECCO-0607", "web.single.test=bank")
    yield from moved("a name that it may only use", p.OPERATOR_MOVES, "DECCO-0607", "bank.victim.test=bank")
    yield from moved("any name", p.ADMIN, OK, "bank.victim.test=bank")
    for i in range(8):
        texts = [f"a{j}.example.net=bank" for j in range(7)]
        single = [*texts[:i], "www.single.test=bank", *texts[i:]]
        texts.insert(i, "bank.victim.test=bank")
        yield from moved(
            f"a foreign name as {i + 1} of 8", p.OPERATOR_MOVES, "DECCO-0607", ", ".join(texts), ways=("merge",)
        )
        yield from moved(f"a single name as {i + 1} of 8", p.OPERATOR_MOVES, OK, ", ".join(single), ways=("merge",))
    nine = ",".join(f"a{j}.example.net=bank" for j in range(9))
    yield from moved("eight names", p.OPERATOR_MOVES, OK, nine.rpartition(",")[0])
    yield from moved("nine names", p.OPERATOR_MOVES, "DECCO-0609", nine, ways=("merge",))
    yield from moved("nine names as administrator", p.ADMIN, OK, nine)
    for text in (
        "bank.victim.test",
        "=bank",
        "a.example.net=",
        "a.example.net=bank=evil1",
        "a b=c",
        "https://a=b",
        "A.example.net=bank",
        "x" * 9000,
    ):
        yield from moved(f"malformed: {text[:20]}", p.OPERATOR_MOVES, "DECCO-0608", text, ways=("merge",))
    made = space("n", "evil.test", {"annotations": {TRANSFER: "bank.victim.test=bank"}})
    yield from create("creates a Space that takes a name", p.OPERATOR_A, "DECCO-0607", SPACES, made)
    # Transfer is beside "use", not instead of it.
    yield from edit(
        "transfer: to a Space of another",
        p.OPERATOR_A,
        "DECCO-0601|DECCO-0607",
        BANK,
        notes(transfer="plain.evil.test=plain"),
    )


def status() -> Iterator[Attempt]:
    forged: Obj = {"status": {"hostname": "bank.victim.test", "conditions": []}}
    for who, expect in (
        (p.STATUS_WRITER, "DECCO-0625"),
        (p.OPERATOR_A, RBAC),
        (p.TENANT_A, RBAC),
        (p.MAKER, RBAC),
        (p.ADMIN, OK),
        (p.CONTROLLER, OK),
    ):
        ways = ("put",) if who is p.CONTROLLER else ("merge", "put")
        yield from edit("writes the status of a Space", who, expect, f"{EVIL1}/status", forged, ways=ways)


SPACE_ATTEMPTS = flat(membership(), others(), json_patches(), hostnames(), privileges(), transfer(), status())


def parameters() -> list[Attempt]:
    """With the parameters of ``PARAMETER_DATA``."""
    found: list[Attempt] = []
    for level, expect in (("Standard", "DECCO-0616"), ("UserNamespace", "DECCO-0616"), ("Sandboxed", OK)):
        made = space("quoted", "evil.test", isolation=level)
        found += create(f"creates a Space with isolation {level}", p.QUOTED, expect, SPACES, made)
    found += create("creates a Space without isolation", p.QUOTED, "DECCO-0616", SPACES, space("quoted", "evil.test"))
    for what, who, expect, domain, level in (
        ("below the floor", p.OPERATOR_FULL, OK, "evil.test", "Standard"),
        ("below the default floor", p.OPERATOR_B, "DECCO-0616", "victim.test", "Standard"),
        ("at the default floor", p.ADMIN, OK, "victim.test", "UserNamespace"),
    ):
        made = space("quoted", domain, isolation=level)
        found += create(f"creates a Space {what}", who, expect, SPACES, made)
    found += edit("lowers the isolation", p.QUOTED, "DECCO-0616", EVIL1, spec(isolation="UserNamespace"))
    found += edit("keeps an isolation below the floor", p.OPERATOR_A, OK, EVIL1, spec(encryptHttp=True))
    for field, value in (
        ("resourceQuota", {"hard": {"pods": "9"}}),
        ("limitRange", {"limits": []}),
        ("limits", {"requestBody": "1Mi"}),
    ):
        found += edit(f"sets {field}", p.OPERATOR_A, "DECCO-0617", EVIL1, spec(**{field: value}))
        found += edit(f"sets {field}", p.OPERATOR_FULL, OK, EVIL1, spec(**{field: value}))
    found += create(
        "creates a Space without a quota",
        p.OPERATOR_A,
        "DECCO-0617",
        SPACES,
        space("n", "evil.test", isolation="Sandboxed"),
    )
    found += create(
        "creates a Space with a quota",
        p.OPERATOR_FULL,
        OK,
        SPACES,
        space("quoted", "evil.test", resourceQuota={"hard": {"pods": "9"}}),
    )
    return found


PARAMETER_DATA = {
    "isolationFloor": "UserNamespace",
    "isolationFloor.evil.test": "Sandboxed",
    "isolationFloor.xvictim.test": "Sandboxed",
    "quotaNeedsPermission": "true",
}
