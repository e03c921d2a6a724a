"""Sabotages, each of which the command must see, and whose cause it must name.

Each test states which probe fails, with which code, and words of the cause that a reader finds in the report.
"""

from __future__ import annotations

import contextlib
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from decco.objects import LABEL_SPACE
from testbed.api import RequestFailed
from testbed.node.edge import GATEWAY, NAMESPACE
from tests.e2e.clients import whoever
from tests.images.pki import Authority
from tests.promises import TIMED, promised
from tests.verify.rig import PROMISED_SECONDS, Rig, Run

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

Obj = dict[str, Any]
QUICK = ("--patience", "45" if TIMED else "150")
"""What is broken is waited for to the end; what is whole must get Ready meanwhile, also on a busy machine."""


def saved(rig: Rig, *names: str) -> Obj:
    """Objects as they can be created again."""
    found = json.loads(rig.cluster.kubectl("get", *names, "-o", "json"))
    for field in ("resourceVersion", "uid", "creationTimestamp", "managedFields", "generation"):
        found["metadata"].pop(field, None)
    found.pop("status", None)
    return dict(found)


@contextlib.contextmanager
def changed(rig: Rig, *names: str, patch: Any) -> Iterator[None]:
    """An object with a merge patch; as before at the end."""
    before = saved(rig, *names)
    rig.cluster.kubectl("patch", *names, "--type=merge", "-p", json.dumps(patch))
    try:
        yield
    finally:
        rig.cluster.kubectl("replace", "-f", "-", input=json.dumps(before))


def assert_named(run: Run, probe: str, code: str, *words: str) -> None:
    """The run has failed in time; this probe has, with this code; the words are in the report."""
    failed = run.named("failed")
    print(f"\n  {run.found['counts']} in {run.seconds:.0f} s")
    print("\n".join(f"  {name} {each['code']}: {each['text']}" for name, each in failed.items()))
    print("\n".join(f"  doctor: {each['about']} {each['code']}: {each['text']}" for each in run.found["doctor"]))
    assert run.status == 1, run.progress[-2000:]
    promised(f"a run that fails by {probe}", run.seconds, PROMISED_SECONDS)
    assert probe in failed, run.failures
    assert failed[probe]["code"] == code, failed[probe]
    assert failed[probe]["hint"]
    text = json.dumps(run.found)
    assert [word for word in words if word not in text] == [], run.failures


def assert_whole(rig: Rig) -> None:
    assert rig.left() == []


def test_a_policy_binding_is_deleted(rig: Rig) -> None:
    name = ("validatingadmissionpolicybinding", "tenant-hostnames.decco.platform9.com")
    before = saved(rig, *name)
    rig.cluster.kubectl("delete", *name)
    try:
        with rig.controller():
            run = rig.run("--only", "tenancy", *QUICK)
    finally:
        rig.cluster.kubectl("create", "-f", "-", input=json.dumps(before))
    assert_named(run, "tenancy/route-foreign", "DECCO-0824", "there is no ValidatingAdmissionPolicyBinding", name[1])
    assert "tenancy/service-node-port" in run.named("passed")
    assert_whole(rig)


def test_the_enforcer_is_stopped(rig: Rig) -> None:
    rig.enforcer.stop()
    try:
        with rig.controller():
            run = rig.run("--only", "isolation", *QUICK)
    finally:
        rig.enforcer.start()
    assert_named(run, "isolation/enforced", "DECCO-0814", "has no effect")
    assert list(run.named("failed")) == ["isolation/enforced"]
    assert "isolation/b-to-a-tls" in run.named("skipped")
    assert_whole(rig)


def test_another_proxy_ends_tls_before_the_edge(rig: Rig, tmp_path: Path) -> None:
    """The certificate that clients see is of a wrong authority."""
    with proxy(rig, tmp_path) as address, rig.controller():
        run = rig.run("--only", "routing", f"--edge={address}", *QUICK)
    assert_named(run, "routing/http", "DECCO-0807", "presents a certificate that is not the one of its Secret")
    assert_whole(rig)


def test_the_dns_server_does_not_answer(rig: Rig) -> None:
    with rig.controller():
        rig.names.stop()
        try:
            run = rig.run("--only", "dns", *QUICK)
        finally:
            rig.names.start()
        # A Space whose records cannot be withdrawn stays, with its cause, until the next run.
        again = rig.run("--only", "admission")
    assert_named(run, "dns/answers", "DECCO-0821", "does not answer")
    assert (again.status, again.failures) == (0, [])
    assert_whole(rig)


def test_a_permission_is_missing(rig: Rig) -> None:
    """The controller may read NetworkPolicies and not create them."""
    name = ("clusterrole", "decco-controller")
    rules = saved(rig, *name)["rules"]
    for rule in rules:
        if "networkpolicies" in rule.get("resources", ()):
            rule["verbs"] = [verb for verb in rule["verbs"] if verb != "create"]
    with changed(rig, *name, patch={"rules": rules}), rig.controller():
        run = rig.run("--only", "setup", *QUICK)
    failed = run.named("failed")
    assert_named(run, "setup/space-a", failed["setup/space-a"]["code"], 'create resource \\"networkpolicies\\"')
    assert "forbidden" in failed["setup/space-a"]["text"]
    assert_whole(rig)


def test_the_controller_is_stopped(rig: Rig) -> None:
    run = rig.run(*QUICK)
    assert_named(run, "setup/controller", "DECCO-0801", "Lease")
    assert run.named("passed").keys() <= {"dns/answers", "dns/every-provider"}
    assert_whole(rig)


def test_the_sidecar_has_no_image(rig: Rig) -> None:
    wrong = {"DECCO_SIDECAR__IMAGE": "nowhere.invalid/stunnel:1"}
    with rig.controller(wrong):
        run = rig.run("--only", "mtls", *QUICK)
    assert_named(run, "setup/app-a-web", run.named("failed")["setup/app-a-web"]["code"], "nowhere.invalid/stunnel:1")
    assert_whole(rig)


def test_the_edge_is_down(rig: Rig) -> None:
    """The proxy has no pods; its address stays."""
    where = ["deployment", "-n", NAMESPACE, "-l", f"gateway.envoyproxy.io/owning-gateway-name={GATEWAY}"]
    name = rig.cluster.kubectl("get", *where, "-o", "name").strip()
    with rig.controller():
        # Envoy Gateway would set it back, so it is stopped first.
        scale = ["-n", NAMESPACE, "scale"]
        rig.cluster.kubectl(*scale, "deployment/envoy-gateway", "--replicas=0")
        rig.cluster.kubectl(*scale, name, "--replicas=0")
        try:
            run = rig.run("--only", "routing", f"--edge={rig.cluster.edge}", *QUICK)
        finally:
            rig.cluster.kubectl(*scale, "deployment/envoy-gateway", "--replicas=1")
            rig.cluster.kubectl(*scale, name, "--replicas=1")
            rig.cluster.kubectl("-n", NAMESPACE, "rollout", "status", name, "--timeout=120s", seconds=130)
    assert_named(run, "routing/edge", "DECCO-0805", f"no connection from here to {rig.cluster.edge}:443")
    assert_whole(rig)


def test_the_edge_is_not_identified(rig: Rig) -> None:
    """With a wrong edge.namespace the edge does not reach Spaces of a project."""
    wrong = {"DECCO_EDGE__NAMESPACE": "somewhere-else"}
    with rig.controller(wrong):
        run = rig.run("--only", "routing", *QUICK, settings=wrong)
    # Envoy's own words, or none within the time of a request.
    assert_named(run, "routing/http-project", "DECCO-0806", "set edge.namespace or edge.cidrs")
    assert run.named("failed")["setup/app-a-web"]["code"] == "DECCO-0181", run.failures
    assert "routing/http-open" in run.named("passed"), run.failures
    assert_whole(rig)


def test_the_gateway_takes_no_listeners(rig: Rig) -> None:
    name = ("gateway", GATEWAY, "-n", NAMESPACE)
    with (
        changed(rig, *name, patch={"spec": {"allowedListeners": {"namespaces": {"from": "None", "selector": None}}}}),
        rig.controller(),
    ):
        run = rig.run("--only", "routing", *QUICK)
    assert_named(run, "setup/space-a", run.named("failed")["setup/space-a"]["code"], "RoutesReady")
    assert_whole(rig)


def test_another_policy_opens_the_way_out(rig: Rig) -> None:
    """Of a platform that gives every namespace a NetworkPolicy: policies add up, so declared egress is open."""
    with rig.controller(), opened(rig):
        run = rig.run("--only", "egress", *QUICK)
    assert_named(run, "egress/declared-undeclared", "DECCO-0830", "connected")
    assert run.named("failed").keys() <= {"egress/declared-undeclared", "egress/declared-api-server"}
    assert_whole(rig)


@contextlib.contextmanager
def opened(rig: Rig) -> Iterator[None]:
    """Writes a NetworkPolicy for all egress into each Space e as soon as its namespace exists."""
    ended = threading.Event()
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "platform"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
    }

    def write() -> None:
        while not ended.wait(0.5):
            for name in rig.cluster.kubectl("get", "namespaces", "-l", LABEL_SPACE, "-o", "name").split():
                if name.endswith("-e"):
                    with contextlib.suppress(RequestFailed):  # it may be there, or the namespace going
                        where = ["-n", name.partition("/")[2]]
                        rig.cluster.kubectl("create", *where, "-f", "-", input=json.dumps(policy))

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(60)


@contextlib.contextmanager
def proxy(rig: Rig, folder: Path) -> Iterator[str]:
    """Ends TLS on an address of this machine with a certificate of its own, and answers nothing."""
    leaf = Authority("another proxy").leaf("anything.test")
    pair = folder / "pair.pem"
    pair.write_bytes(leaf.cert + leaf.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError), context.wrap_socket(self.request, server_side=True) as connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    class Plain(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            return

    address = "127.0.0.77"
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with (
        socketserver.ThreadingTCPServer((address, 443), Handler) as server,
        socketserver.ThreadingTCPServer((address, 80), Plain) as plain,
    ):
        for each in (server, plain):
            each.daemon_threads = True
            threading.Thread(target=each.serve_forever, daemon=True).start()
        try:
            with whoever(address, "anything.test"):
                pass
            yield address
        finally:
            server.shutdown()
            plain.shutdown()
