"""What happens in a schedule, as data: steps of users and faults, each at a time. A plan is made by a seed, and shrunk
by leaving out steps.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

Obj = dict[str, Any]

SPACES = ("alpha", "beta", "gamma")
APPS = ("web", "db", "batch", "tool")
SECRETS = ("tls", "more")
DOMAIN = "example.net"
FURTHER = ("shop.example.net", "mail.example.net", "x.alpha.example.net")
"""Names that several Spaces may want."""
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

    def without(self, start: int, count: int) -> Plan:
        return replace(self, steps=self.steps[:start] + self.steps[start + count :])


def space(rng: random.Random, name: str, contested: bool) -> Obj:
    spec: Obj = {"domainName": DOMAIN}
    if rng.random() < 0.6:
        spec["project"] = rng.choice(("red", "blue"))
    if rng.random() < 0.5:
        spec["httpCertSecretName"] = rng.choice(SECRETS)
        spec["encryptHttp"] = rng.random() < 0.4
    if rng.random() < 0.6:
        spec["tcpCertAndCaSecretName"] = "tls"
    if contested:
        spec["hostnames"] = sorted(rng.sample(FURTHER, rng.randint(0, 2)))
    elif rng.random() < 0.3:
        spec["hostnames"] = [f"{name}.example.com"]
    if rng.random() < 0.2:
        spec["resourceQuota"] = {"hard": {"pods": str(rng.randint(5, 9))}}
    if rng.random() < 0.2:
        spec["podSecurity"] = rng.choice(("baseline", "restricted"))
    return spec


def app(rng: random.Random, name: str, space_name: str) -> Obj:
    image = f"registry.example/app:{rng.randint(1, 4)}"
    spec: Obj = {"pod": {"containers": [{"name": "main", "image": image, "ports": [{"containerPort": 8080}]}]}}
    if name == "batch" or rng.random() < 0.1:
        return {**spec, "runAsJob": True, "endpoints": []}
    if rng.random() < 0.5:
        spec["initialReplicas"] = rng.randint(0, 3)
    kind = rng.random()
    endpoint: Obj = {"name": f"{name}", "port": 8080}
    if kind < 0.4:
        endpoint["httpPath"] = f"/{name}"
    elif kind < 0.8:
        endpoint["createDnsRecord"] = rng.random() < 0.7
        endpoint["verifyTcpClientCert"] = rng.random() < 0.5
        if rng.random() < 0.3:
            endpoint["certAndCaSecretName"] = "more"
        if rng.random() < 0.3:
            endpoint["createClearTextService"] = True
    else:
        return {**spec, "endpoints": []}
    if rng.random() < 0.2:
        endpoint["name"] = f"{name}-{rng.randint(1, 2)}"
    spec["endpoints"] = [endpoint]
    if rng.random() < 0.2:
        other = rng.choice([each for each in SPACES if each != space_name])
        spec["tlsEgresses"] = [{"localPort": 9000, "endpoint": "db", "spaceName": other, "certAndCaSecretName": "tls"}]
    return spec


def _user_step(rng: random.Random, spaces: tuple[str, ...], contested: bool) -> tuple[str, tuple[Any, ...]]:
    name = rng.choice(spaces)
    choice = rng.random()
    if choice < 0.2:
        return "space", (name, space(rng, name, contested))
    if choice < 0.27:
        return "delete_space", (name,)
    if choice < 0.62:
        which = rng.choice(APPS)
        return "app", (name, which, app(rng, which, name))
    if choice < 0.72:
        return "delete_app", (name, rng.choice(APPS))
    if choice < 0.80:
        return "secret", (rng.choice(SECRETS), rng.randint(0, 1), rng.random() < 0.8)
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
)
LASTS = {"pause": 40.0, "partition": 25.0, "server": 12.0, "silence": 0.0}


def _fault(rng: random.Random, what: str, plan: Plan) -> Step:
    at = rng.uniform(0.0, MOST_SECONDS)
    seconds = rng.uniform(0.1, LASTS.get(what, 8.0)) if LASTS.get(what, 8.0) else 0.0
    daemon = rng.randrange(plan.controllers)
    args: tuple[Any, ...] = ()
    if what in ("crash", "term", "pause", "partition", "skew"):
        args = (daemon,)
    if what == "crash":
        args = (daemon, rng.randint(0, 120))
    elif what == "skew":
        args = (daemon, rng.choice((-3600.0, 3600.0)))
    elif what == "lose":
        args = (rng.choice(("before", "after", "either")), round(rng.choice((0.1, 0.5, 1.0)), 2))
    elif what == "refuse":
        args = (rng.choice((403, 409, 429, 500, 503, 504)), rng.choice((0.2, 0.6, 1.0)), rng.random() < 0.5)
    elif what == "slow":
        args = (round(rng.uniform(0.1, 4.0), 2),)
    elif what in ("server", "stale"):
        args = (rng.randrange(plan.servers),)
    elif what == "forbid":
        args = (
            rng.choice(("deployments", "secrets", "httproutes", "networkpolicies", "namespaces", "services", "jobs")),
        )
    elif what == "dns":
        args = (rng.choice(("away", "uncertain")),)
    if what in ("crash", "term", "cut", "silence", "compact", "skew"):
        seconds = 0.0
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
    )
    spaces = SPACES[: rng.randint(1, 3)]
    steps = [Step(0.0, "secret", (name, 0, True)) for name in SECRETS]
    steps += [
        Step(round(rng.uniform(0.0, 5.0), 3), "space", (name, space(rng, name, plan.contested))) for name in spaces
    ]
    for _ in range(rng.randint(2, 14)):
        what, args = _user_step(rng, spaces, plan.contested)
        steps.append(Step(round(rng.uniform(0.0, MOST_SECONDS), 3), what, args))
    kinds = rng.sample(FAULTS, rng.randint(0, 4))
    steps += [_fault(rng, rng.choice(kinds), plan) for _ in range(rng.randint(1, 8) if kinds else 0)]
    return replace(plan, steps=tuple(sorted(steps, key=lambda step: step.at)))
