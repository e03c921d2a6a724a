"""What a run creates is valid, carries its label, and has names that no Space may not have."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import cast

from decco.api.reserved_names import is_reserved
from decco.api.types import AppSpec, SpaceSpec
from decco.objects import API_VERSION, Obj
from decco.verify import material, objects, pods
from decco.verify.access import roles
from decco.verify.edge import Request, parse
from decco.verify.groups import setup
from decco.verify.names import LABEL, LATER, SPACES, Names, new_run
from decco.verify.pki import digest
from decco.verify.world import World

NAMES = Names("b123456", "decco.test", "decco")
WORLD = cast("World", SimpleNamespace(names=NAMES, image="image", user=None))


def test_names_are_those_of_spaces() -> None:
    for _ in range(50):
        names = Names(new_run(), "decco.test", "decco")
        for space in SPACES:
            assert re.fullmatch(r"[a-z][-a-z0-9]{0,62}", names.space(space))
            assert not is_reserved(names.space(space))


def test_spaces_and_apps_are_valid_and_labelled() -> None:
    for word in (*SPACES, *LATER):
        space = objects.space(NAMES, word)
        SpaceSpec.model_validate(space["spec"])
        assert labelled(space)
    for word, name in setup.APPS_OF_THE_RUN:
        app = setup.app(WORLD, word, name)
        AppSpec.model_validate(app["spec"])
        assert labelled(app)


def labelled(obj: Obj) -> bool:
    return obj["apiVersion"] == API_VERSION and obj["metadata"]["labels"] == {LABEL: NAMES.run}


def test_each_host_name_belongs_to_its_space() -> None:
    """Each Space may have an edge address of its own."""
    for word in (*SPACES, *LATER):
        assert NAMES.space_of(NAMES.fqdn(word)) == word
        assert NAMES.space_of(NAMES.host(word, "tcp")) == word
    assert {NAMES.space_of(name) for name in (NAMES.further, NAMES.wildcard, f"one.{NAMES.wild}")} == {"e"}
    for name in ("", NAMES.extra, NAMES.wild, f"x{NAMES.fqdn('b')}", f"{NAMES.fqdn('b')}.evil.test", "other.test"):
        assert NAMES.space_of(name) == "a"


def test_each_secret_that_a_space_names_is_made() -> None:
    made = {each["metadata"]["name"] for each in objects.shared_secrets(NAMES, material.make(NAMES))}
    for word in SPACES:
        spec = SpaceSpec.model_validate(objects.space(NAMES, word)["spec"])
        listed = {each.cert_secret_name for each in spec.http_hostnames}
        assert {spec.http_cert_secret_name, spec.tcp_cert_and_ca_secret_name, *listed} - {None} <= made


def test_everything_has_the_label() -> None:
    made = material.make(NAMES)
    rest: list[Obj] = [*objects.shared_secrets(NAMES, made), *roles(NAMES), *objects.canary(NAMES, "image", None)]
    rest += objects.namespaces(NAMES)
    assert {obj["metadata"]["labels"][LABEL] for obj in rest} == {NAMES.run}


def test_pods_pass_the_level_restricted() -> None:
    for spec in (pods.server("image", "name", [8080], 1000), pods.client("image", [], 1000)):
        [container] = spec["containers"]
        security = container["securityContext"]
        assert security["runAsNonRoot"]
        assert not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}


def test_results_are_read_from_the_termination_message() -> None:
    running: Obj = {"status": {"containerStatuses": [{"name": "verify", "state": {"running": {}}}]}}
    ended = {"name": "verify", "state": {"terminated": {"message": "a-to-b=yes\na-to-c=no\n"}}}
    assert pods.results(running) is None
    assert pods.results({}) is None
    assert pods.results({"status": {"containerStatuses": [ended]}}) == {"a-to-b": True, "a-to-c": False}


def test_why_a_pod_waits() -> None:
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    pod: Obj = {"status": {"initContainerStatuses": [{"name": "decco-tls", "state": state}]}}
    assert pods.waiting(pod) == "decco-tls: ImagePullBackOff no such image"
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no CPU"}
    assert pods.waiting({"status": {"conditions": [unscheduled]}}) == "no CPU"
    assert pods.waiting({"status": {"containerStatuses": [{"name": "x", "state": {"running": {}}}]}}) == ""
    slow = {"name": "decco-tls", "image": "nowhere.invalid/x", "state": {"waiting": {"reason": "PodInitializing"}}}
    behind = {"name": "web", "image": "y", "state": {"waiting": {"reason": "PodInitializing"}}}
    pod = {"status": {"initContainerStatuses": [slow], "containerStatuses": [behind]}}
    assert pods.waiting(pod) == "decco-tls: PodInitializing, image nowhere.invalid/x"


def test_answers_of_http() -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nLocation: x\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    answer = parse(raw, "GET", digest(b"der"))
    assert (answer.status, answer.body, answer.headers["location"]) == (200, "hello", "x")
    assert answer.certificate == digest(b"der")
    request = Request("server", "/x", host="other", method="POST", body="12")
    assert request.encoded().startswith(b"POST /x HTTP/1.1\r\nHost: other\r\n")
    assert request.encoded().endswith(b"Content-Length: 2\r\n\r\n12")
