"""What happens in a schedule, as data: steps of users and faults, each at a time. A plan is made by a seed, and shrunk
by leaving out steps.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tests.simulation import specs
from tests.simulation.specs import APPS, FURTHER, POD_SECRETS, SECRETS, SPACES

MOST_SECONDS = 45.0
"""When the last step begins, at the latest."""


@dataclass(frozen=True, slots=True)
class Step:
    """``what`` names a method of ``actions.Actions``; ``for_`` seconds until a fault ends."""

    at: float
    what: str
    args: tuple[Any, ...] = ()
    for_: float = 0.0

    def __str__(self) -> str:
        lasts = f" for {self.for_:.2f} s" if self.for_ else ""
        return f"{self.at:6.2f} {self.what}{self.args}{lasts}"


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    steps: tuple[Step, ...]
    controllers: int = 1
    servers: int = 1
    settings: dict[str, str] = field(default_factory=dict)
    contested: bool = False
    """Whether Spaces compete for names: then the end depends on who came first."""
    envoy: bool = False
    """Whether the gateway is Envoy Gateway, with its policies."""
    issuer: bool = False
    """Whether there is cert-manager."""
    mesh: bool = False
    """Whether there is Istio."""
    federated: bool = False
    """Whether a second cluster has the same Spaces and Apps, a while later, and shares the names."""
    elected: bool = True
    """Whether the controllers have a leader election: without it, one controller sends nothing while nothing happens,
    and a schedule takes a third of the time."""

    def without(self, start: int, count: int) -> Plan:
        return replace(self, steps=self.steps[:start] + self.steps[start + count :])

    def dumped(self) -> str:
        """As JSON, one line for each step: what was found stays when plans are made in another way."""
        fields = {**asdict(self), "steps": [[step.at, step.what, step.args, step.for_] for step in self.steps]}
        steps = ",\n    ".join(json.dumps(each) for each in fields.pop("steps"))
        head = json.dumps(fields, indent=2).removesuffix("\n}")
        return f'{head},\n  "steps": [\n    {steps}\n  ]\n}}\n'


def load(text: str) -> Plan:
    """The reverse of ``Plan.dumped``."""
    fields = json.loads(text)
    steps = tuple(Step(at, what, tuple(args), for_) for at, what, args, for_ in fields.pop("steps"))
    return Plan(steps=steps, **fields)


EVERYWHERE = frozenset({"secret", "space", "app", "delete_space", "delete_app"})
"""Steps that are also taken in the second cluster of a federation."""


def elsewhere(plan: Plan) -> Plan:
    """What happens in the second cluster: what users do in the first, some seconds later, and no faults."""
    rng = random.Random(f"elsewhere {plan.seed}")
    late = rng.uniform(0.0, 10.0)
    steps = [replace(step, at=step.at + late if step.at else 0.0) for step in plan.steps if step.what in EVERYWHERE]
    return replace(plan, steps=tuple(steps), controllers=1, servers=1)


TRANSFERS = 0.3
"""Share of the steps about Spaces that compete for names in which one gets a name from another."""


ORPHANS = 0.3
"""Share of the deletions that leave the children."""


def _space(rng: random.Random, name: str, plan: Plan) -> dict[str, Any]:
    isolation = specs.level(plan.seed // ALIKE, name)
    return specs.space(rng, name, contested=plan.contested, issuer=plan.issuer, mesh=plan.mesh, isolation=isolation)


def _user_step(rng: random.Random, spaces: tuple[str, ...], plan: Plan) -> tuple[str, tuple[Any, ...]]:
    contested, name = plan.contested, rng.choice(spaces)
    choice = rng.random()
    if contested and len(spaces) > 1 and choice < 0.2 * TRANSFERS:
        holder = rng.choice([each for each in spaces if each != name])
        return "transfer", (name, rng.choice(FURTHER), holder)
    if choice < 0.2:
        return "space", (name, _space(rng, name, plan))
    if choice < 0.27:
        return ("orphan_space" if rng.random() < ORPHANS else "delete_space"), (name,)
    if choice < 0.62:
        which = rng.choice(APPS)
        return "app", (name, which, specs.app(rng, which, name, contested=contested))
    if choice < 0.72:
        return ("orphan_app" if rng.random() < ORPHANS else "delete_app"), (name, rng.choice(APPS))
    if choice < 0.80:
        return "secret", (rng.choice((*SECRETS, *POD_SECRETS)), rng.randint(0, 1), rng.random() < 0.8)
    if plan.envoy and plan.settings and choice < 0.83:
        return "edge_policy", (rng.choice(POLICIES), rng.random() < 0.6)
    return "damage", (name, rng.randint(0, 1 << 30), rng.choice(("delete", "change", "label", "orphan")))


FAULTS = (
    "crash",
    "term",
    "pause",
    "lose",
    "refuse",
    "slow",
    "cut",
    "silence",
    "garble",
    "double",
    "server",
    "stale",
    "partition",
    "compact",
    "restore",
    "forbid",
    "dns",
    "gateway",
    "skew",
    "unbind",
    "uninstall",
    "deny",
    "quota",
    "full",
    "resolver",
)
LASTS = {
    "pause": 40.0,
    "partition": 25.0,
    "server": 12.0,
    "uninstall": 45.0,
    "deny": 40.0,
    "quota": 40.0,
    "full": 40.0,
    "forbid": 30.0,
    "resolver": 40.0,
}
VERBS = (
    ("get", "list", "watch", "create", "update", "patch", "delete"),
    ("list", "watch"),
    ("create", "update", "patch"),
    ("delete",),
    ("get",),
)
"""Rights that are taken together."""
CHILDREN = (
    "namespaces",
    "configmaps",
    "services",
    "secrets",
    "deployments",
    "statefulsets",
    "poddisruptionbudgets",
    "jobs",
    "networkpolicies",
    "resourcequotas",
    "httproutes",
    "tlsroutes",
    "gateways",
    "listenersets",
    "backendtlspolicies",
    "rolebindings",
    "certificates",
    "securitypolicies",
    "backendtrafficpolicies",
)
POLICIES = ("SecurityPolicy", "BackendTrafficPolicy", "ClientTrafficPolicy")
"""Of Envoy Gateway."""
INSTALLED = ("listenersets", "httproutes", "tlsroutes", "backendtlspolicies", "gateways")
"""Of CustomResourceDefinitions that somebody may delete and install again."""
OF_OTHERS = {
    "envoy": ("securitypolicies", "backendtrafficpolicies"),
    "issuer": ("certificates",),
    "mesh": ("authorizationpolicies", "peerauthentications"),
}
"""The same, where a plan has them."""
OWN = 0.15
"""Share of the deleted definitions that are decco's own: with them go all Spaces, or all Apps."""


_ARGS: dict[str, Callable[[random.Random, Plan], tuple[Any, ...]]] = {
    "crash": lambda rng, plan: (rng.randrange(plan.controllers), rng.randint(0, 120)),
    "term": lambda rng, plan: (rng.randrange(plan.controllers),),
    "pause": lambda rng, plan: (rng.randrange(plan.controllers),),
    "partition": lambda rng, plan: (rng.randrange(plan.controllers),),
    "skew": lambda rng, plan: (rng.randrange(plan.controllers), rng.choice((-3600.0, 3600.0))),
    "lose": lambda rng, _: (rng.choice(("before", "after", "either")), rng.choice((0.1, 0.5, 1.0))),
    "refuse": lambda rng, _: (
        rng.choice((403, 409, 429, 500, 503, 504)),
        rng.choice((0.2, 0.6, 1.0)),
        rng.random() < 0.5,
    ),
    "slow": lambda rng, _: (round(rng.uniform(0.1, 4.0), 2),),
    "server": lambda rng, plan: (rng.randrange(plan.servers),),
    "stale": lambda rng, plan: (rng.randrange(plan.servers),),
    "forbid": lambda rng, _: (
        rng.choice((*CHILDREN, "spaces", "apps", "")),
        rng.choice(VERBS),
        rng.choice(("", "", *SPACES)),
    ),
    "unbind": lambda rng, _: (rng.choice(SPACES),),
    "uninstall": lambda rng, plan: (_uninstalled(rng, plan),),
    "deny": lambda rng, _: (rng.choice(CHILDREN), rng.random() < 0.5),
    "quota": lambda rng, _: (rng.choice(SPACES), rng.choice(CHILDREN[1:]), rng.randint(0, 1)),
    "dns": lambda rng, _: (rng.choice(("away", "uncertain")),),
    "resolver": lambda rng, _: (rng.choice(("silent", "absent")),),
}
"""The arguments of each fault that has some."""
AT_ONCE = frozenset({"crash", "term", "cut", "silence", "compact", "skew", "unbind"})
"""Faults without an end of their own."""


def _uninstalled(rng: random.Random, plan: Plan) -> list[str]:
    if rng.random() < OWN:
        return [rng.choice(("spaces", "apps"))]
    kinds = (*INSTALLED, *(each for name, plurals in OF_OTHERS.items() if getattr(plan, name) for each in plurals))
    return rng.sample(kinds, rng.randint(1, 3))


def _fault(rng: random.Random, what: str, plan: Plan, latest: float) -> Step:
    at = rng.uniform(0.0, latest)
    seconds = 0.0 if what in AT_ONCE else rng.uniform(0.1, LASTS.get(what, 8.0))
    if what == "refuse" and rng.random() < 0.2:
        seconds *= 5
    args = _ARGS[what](rng, plan) if what in _ARGS else ()
    return Step(round(at, 3), what, args, round(seconds, 3))


HOLDS = 0.15
"""Share of the plans in which something is paused."""
FEDERATED = 0.06
"""Share of the plans with a second cluster that serves the same names."""
SMALL = 0.92
"""Share of the small plans: nearly every defect needs few objects, steps and faults, and a small plan takes a fraction
of the time of a large one."""
SMALL_SECONDS = 12.0


ALIKE = 3
"""So many seeds in a row have the same users, with other faults and another order: the fresh deployment that their ends
are compared with is the same."""


def make(seed: int) -> Plan:
    """The plan of a seed: what users do, and faults of a few kinds."""
    rng = random.Random(f"plan {seed // ALIKE}")
    small = rng.random() < SMALL
    controllers = rng.choice((1, 1, 1, 1, 1, 2) if small else (1, 1, 2))
    contested = rng.random() < 0.3
    plan = Plan(
        seed,
        (),
        controllers=controllers,
        servers=rng.choice((1, 1, 2)),
        contested=contested,
        federated=not contested and rng.random() < FEDERATED,
        settings={"DECCO_ROUTING__PARENT_GATEWAY": "edge/shared"} if rng.random() < 0.3 else {},
        envoy=rng.random() < 0.4,
        issuer=rng.random() < 0.35,
        mesh=rng.random() < 0.3,
        elected=controllers > 1 or rng.random() < (0.1 if small else 0.4),
    )
    if small:
        spaces = SPACES[: rng.choice((1, 1, 1, 2)) + plan.contested]
        latest, edits, most_kinds, most_faults = SMALL_SECONDS, rng.randint(1, 5), 2, 2
    else:
        spaces = SPACES[: rng.randint(1, 3)]
        latest, edits, most_kinds, most_faults = MOST_SECONDS, rng.randint(2, 14), 4, 8
    steps = [Step(0.0, "secret", (name, 0, True)) for name in (*SECRETS, *POD_SECRETS)]
    steps += [Step(round(rng.uniform(0.0, latest / 9), 3), "space", (each, _space(rng, each, plan))) for each in spaces]
    for _ in range(edits):
        what, args = _user_step(rng, spaces, plan)
        steps.append(Step(round(rng.uniform(0.0, latest), 3), what, args))
    steps += _primaries(rng, steps, latest)
    rng = random.Random(f"faults {seed}")
    if rng.random() < HOLDS:
        steps += _holds(rng, spaces, latest)
    kinds = rng.sample(FAULTS, rng.randint(0, most_kinds))
    if kinds:
        steps += [_fault(rng, rng.choice(kinds), plan, latest) for _ in range(rng.randint(1, most_faults))]
    steps += _late_owners(rng, steps)
    return replace(plan, steps=tuple(sorted(steps, key=lambda step: step.at)))


def _holds(rng: random.Random, spaces: tuple[str, ...], latest: float) -> list[Step]:
    """Spaces and Apps are paused for a while, and edited or deleted meanwhile by the other steps."""
    return [
        Step(
            round(rng.uniform(0.0, latest), 3),
            "hold",
            (rng.choice(spaces), rng.choice(("", *APPS))),
            round(rng.uniform(1.0, latest), 3),
        )
        for _ in range(rng.randint(1, 2))
    ]


def _primaries(rng: random.Random, steps: list[Step], latest: float) -> list[Step]:
    """Apps for the canaries to be one of, before or after them: a chance would rarely let these meet."""
    canaries = [step for step in steps if step.what == "app" and step.args[1] == "next"]
    return [
        Step(round(rng.uniform(0.0, latest), 3), "app", (step.args[0], "web", specs.primary(rng)))
        for step in canaries
        if rng.random() < 0.7
    ]


def _late_owners(rng: random.Random, steps: list[Step]) -> list[Step]:
    """What a watch shows of owners that leave their children comes later than what others show of the children: a
    chance would rarely let these meet.
    """
    plurals = {"orphan_space": "spaces", "orphan_app": "apps"}
    return [
        Step(
            max(0.0, round(step.at - 0.3, 3)),
            "late",
            (plurals[step.what], round(rng.uniform(0.5, 6.0), 3)),
            round(rng.uniform(1.0, 8.0), 3),
        )
        for step in steps
        if step.what in plurals and rng.random() < 0.6
    ]
