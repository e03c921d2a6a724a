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


TRANSFERS = 0.3
"""Share of the steps about Spaces that compete for names in which one gets a name from another."""


ORPHANS = 0.3
"""Share of the deletions that leave the children."""


def _user_step(rng: random.Random, spaces: tuple[str, ...], plan: Plan) -> tuple[str, tuple[Any, ...]]:
    contested, name = plan.contested, rng.choice(spaces)
    choice = rng.random()
    if contested and len(spaces) > 1 and choice < 0.2 * TRANSFERS:
        holder = rng.choice([each for each in spaces if each != name])
        return "transfer", (name, rng.choice(FURTHER), holder)
    if choice < 0.2:
        return "space", (name, specs.space(rng, name, contested=contested, issuer=plan.issuer, mesh=plan.mesh))
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
    "uninstall": lambda rng, _: (rng.sample(INSTALLED, rng.randint(1, 3)),),
    "deny": lambda rng, _: (rng.choice(CHILDREN), rng.random() < 0.5),
    "quota": lambda rng, _: (rng.choice(SPACES), rng.choice(CHILDREN[1:]), rng.randint(0, 1)),
    "dns": lambda rng, _: (rng.choice(("away", "uncertain")),),
}
"""The arguments of each fault that has some."""
AT_ONCE = frozenset({"crash", "term", "cut", "silence", "compact", "skew", "unbind"})
"""Faults without an end of their own."""


def _fault(rng: random.Random, what: str, plan: Plan) -> Step:
    at = rng.uniform(0.0, MOST_SECONDS)
    seconds = 0.0 if what in AT_ONCE else rng.uniform(0.1, LASTS.get(what, 8.0))
    if what == "refuse" and rng.random() < 0.2:
        seconds *= 5
    args = _ARGS[what](rng, plan) if what in _ARGS else ()
    return Step(round(at, 3), what, args, round(seconds, 3))


def make(seed: int) -> Plan:
    """The plan of a seed: what users do, and faults of a few kinds."""
    rng = random.Random(f"plan {seed}")
    plan = Plan(
        seed,
        (),
        controllers=rng.choice((1, 1, 2)),
        servers=rng.choice((1, 1, 2)),
        contested=rng.random() < 0.3,
        settings={"DECCO_ROUTING__PARENT_GATEWAY": "edge/shared"} if rng.random() < 0.3 else {},
        envoy=rng.random() < 0.4,
        issuer=rng.random() < 0.35,
        mesh=random.Random(f"mesh {seed}").random() < 0.3,
    )
    spaces = SPACES[: rng.randint(1, 3)]
    steps = [Step(0.0, "secret", (name, 0, True)) for name in (*SECRETS, *POD_SECRETS)]
    for name in spaces:
        spec = specs.space(rng, name, contested=plan.contested, issuer=plan.issuer, mesh=plan.mesh)
        steps.append(Step(round(rng.uniform(0.0, 5.0), 3), "space", (name, spec)))
    for _ in range(rng.randint(2, 14)):
        what, args = _user_step(rng, spaces, plan)
        steps.append(Step(round(rng.uniform(0.0, MOST_SECONDS), 3), what, args))
    kinds = rng.sample(FAULTS, rng.randint(0, 4))
    steps += [_fault(rng, rng.choice(kinds), plan) for _ in range(rng.randint(1, 8) if kinds else 0)]
    steps += _primaries(random.Random(f"primaries {seed}"), steps)
    steps += _late_owners(random.Random(f"late {seed}"), steps)
    return replace(plan, steps=tuple(sorted(steps, key=lambda step: step.at)))


def _primaries(rng: random.Random, steps: list[Step]) -> list[Step]:
    """Apps for the canaries to be one of, before or after them: a chance would rarely let these meet."""
    canaries = [step for step in steps if step.what == "app" and step.args[1] == "next"]
    return [
        Step(round(rng.uniform(0.0, MOST_SECONDS), 3), "app", (step.args[0], "web", specs.primary(rng)))
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
