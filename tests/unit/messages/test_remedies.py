"""Codes of the first hour have a topic, a page and commands; every other code has its place in the list of messages."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from decco.messages import Category, messages
from decco.messages.remedies import DOCUMENTATION, known, page, topics, topics_of

ROOT = Path(__file__).parents[3]
CODES = sorted({message.code for _, message in known()})
FIRST_HOUR = {
    "no CRDs": ["crd-missing", "check-not-served"],
    "no Gateway API, Gateway or class": [
        *("routing-kinds-missing", "gateway-class-missing", "gateway-missing", "gateway-api-missing"),
        *("GatewayAPIMissing", "GatewayNotFound", "WaitingForEdge"),
    ],
    "a Gateway that does not take the listeners": ["gateway-allows-none", "listener-refused", "NotAccepted"],
    "a certificate of another name": ["CertificateNameMismatch", "WrongCertificate", "certificate-for-other-names"],
    "a policy without enforcer": ["verify-not-enforced"],
    "admission policies missing": ["policy-missing", "policy-without-parameters"],
    "no rights of the controller": ["permissions-missing", "Forbidden", "service-account-missing"],
    "no rights of one's own": ["check-forbidden", "MayNotAskError"],
    "no rights in DNS": ["ProviderRefused", "dns-provider-wrong", "ZoneNotFound", "DnsError"],
    "the edge unknown": ["edge-unknown", "edge-unknown-to-projects", "EdgeUnknown", "gateway-without-address"],
    "images that cannot be pulled": ["ProgressDeadlineExceeded", "NoReadyPod", "no-ready-pod"],
    "no controller": ["controller-missing", "no-leader", "no-replica"],
    "no Secret": ["SecretMissing", "CertificateMissing"],
    "no API server": ["Unreachable", "Untrusted", "Unauthorized"],
    "wrong settings": ["settings-wrong", "WrongSettings", "ConfigError"],
}


@pytest.mark.parametrize(("name"), [name for names in FIRST_HOUR.values() for name in names])
def test_what_goes_wrong_in_the_first_hour_has_a_remedy(name: str) -> None:
    found = [
        messages(category)[name]
        for category in (Category.FINDING, Category.CONDITION, Category.ERROR)
        if name in messages(category)
    ]
    assert found
    for message in found:
        assert topics_of(message.code), message.code


@pytest.mark.parametrize("code", CODES)
def test_the_address_of_each_code_is_a_place_on_its_page(code: str) -> None:
    address = page(code)
    assert address.startswith(f"{DOCUMENTATION}/")
    name, _, anchor = address.removeprefix(f"{DOCUMENTATION}/").partition("#")
    text = (ROOT / "docs" / name.replace(".html", ".md")).read_text()
    assert text.count(f'<a id="{anchor}"></a>') == 1


def test_topics_name_codes_of_the_catalogue_and_programs_that_are_explained() -> None:
    for name, topic in topics().items():
        assert set(topic.codes) <= set(CODES), name
        assert topic.look or topic.cure, name
        for command in [*topic.look, *topic.cure]:
            assert shlex.split(command)[0] in {"kubectl", "decco", "decco-controller"}, command


def test_the_address_is_written_in_one_place() -> None:
    """Who publishes the site elsewhere changes one line."""
    found = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "src").rglob("*")
        if path.suffix in {".py", ".toml", ".js", ".html"} and "decco-project.github.io" in path.read_text()
    ]
    assert found == ["src/decco/messages/remedies.py"]
