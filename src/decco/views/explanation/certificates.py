"""Whether a certificate exists, its expiry, and its names."""

from __future__ import annotations

from collections.abc import Iterator

from decco.desired import reasons
from decco.desired import secrets as secret_rules
from decco.desired.model import SecretFacts, SecretState, SecretView, SpaceFacts
from decco.objects import SECRETS, Key
from decco.views.explanation.statements import State, Statement, World

SOON_DAYS = 21
"""A certificate that expires within this number of days should have been renewed: most issuers renew a month before."""


def certificate(
    world: World, space: SpaceFacts, secret: str | None, purpose: str, hostname: str | None
) -> Iterator[Statement]:
    """Whether the Secret is usable for ``purpose``; ``hostname`` is the name that it must be valid for, if any."""
    if secret is None:
        return
    controller_namespace = world.snapshot.caches.settings.namespace
    about = f"certificate {secret}"
    view = world.result.secrets.get(Key(space.name, secret)) or SecretView(secret, SecretState.MISSING)
    own = secret in secret_rules.named_by_space(space.spec)
    if Key(controller_namespace, secret) in world.result.assumed and view.facts is None:
        where = controller_namespace
        if not world.snapshot.may_read(SECRETS, space.name):
            where = f"{space.name}, and of {controller_namespace}"
        text = f"you may not read the Secrets of {where}: nothing is known of it; a platform operator sees it"
        yield Statement(State.UNKNOWN, about, text)
        return
    problem = secret_rules.problem_of(
        view, space=space.name, controller_namespace=controller_namespace, now=world.now, local=not own
    )
    if problem is not None:
        state = State.WARNING if problem.reason in reasons.WAITING else State.FAILURE
        yield Statement(state, about, f"{purpose}: {problem.reason}: {problem.message}")
        return
    assert view.facts is not None
    yield validity(world, about, purpose, view.facts, hostname)


def validity(world: World, about: str, purpose: str, facts: SecretFacts, hostname: str | None) -> Statement:
    """The names and the expiry of a usable certificate."""
    names = ", ".join(facts.dns_names) or "no DNS name"
    text = f"{purpose}: for {names}"
    state = State.OK
    if facts.not_after is not None:
        days = (facts.not_after - world.now).days
        text += f"; until {facts.not_after:%Y-%m-%d}, {days} days"
        if days < SOON_DAYS:
            state, text = State.WARNING, f"{text}: renew it"
    if hostname is not None and not any(_is_for(name.lower(), hostname) for name in facts.dns_names):
        state = State.FAILURE
        text += f"; {hostname} is not among its names, and clients will refuse it: have it issued again with that name"
    return Statement(state, about, text)


def _is_for(pattern: str, hostname: str) -> bool:
    """Whether a certificate is valid for this name: "*" matches exactly one label (RFC 9525 section 6.3)."""
    return hostname.partition(".")[2] == pattern[2:] if pattern.startswith("*.") else pattern == hostname
