"""The controller as a program: what it says and does when it cannot begin, how it ends, and what it may do.

On a control plane of its own, because the first thing that is missing here are the CRDs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest
import yaml

from testbed.controlplane import ControlPlane
from testbed.faults import Hold
from testbed.pki import Authority, KeyPair
from testbed.proxy import FaultProxy
from tests.delegated import delegated
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, pod, soon, space, tls_secret
from tests.integration.logs import assert_no_secrets, assert_sound, lines, log_lines, plain, repetitions
from tests.promises import PATIENCE, promised, timed
from tests.sample import full

MISTAKE_SECONDS = PATIENCE
"""For a dozen processes that end by themselves, each after a second of computing, on a machine that may be busy."""
END_SECONDS = 5.0
"""From SIGTERM to the end."""
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
MANIFESTS = Path(__file__).parents[2] / "manifests"
EXAMPLES = MANIFESTS / "examples"
ACCOUNT, ACCOUNT_GROUPS = "system:serviceaccount:decco:decco-controller", ("system:serviceaccounts",)
NOBODY = ("decco-controller", "decco-controller-gateway")
"""Roles of manifests/rbac that are enough to begin."""
WATCHED = {
    "spaces.decco.platform9.com",
    "apps.decco.platform9.com",
    "namespaces",
    "configmaps",
    "services",
    "resourcequotas",
    "limitranges",
    "networkpolicies.networking.k8s.io",
    "deployments.apps",
    "statefulsets.apps",
    "jobs.batch",
    "poddisruptionbudgets.policy",
    "ingresses.networking.k8s.io",
    "gatewayclasses.gateway.networking.k8s.io",
    "gateways.gateway.networking.k8s.io",
    "listenersets.gateway.networking.k8s.io",
    "httproutes.gateway.networking.k8s.io",
    "tlsroutes.gateway.networking.k8s.io",
    "backendtlspolicies.gateway.networking.k8s.io",
}
"""Kinds that a controller with the default settings follows on a cluster with the Gateway API."""


@pytest.fixture(scope="module")
def bare() -> Iterator[ControlPlane]:
    """A control plane with the CRDs of the Gateway API, but nothing of decco's."""
    with ControlPlane() as cp:
        cp.install_gateway_api()
        yield cp


@pytest.fixture(scope="module")
def installed(bare: ControlPlane) -> ControlPlane:
    """The same with all that an operator installs: CRDs, namespace, roles and policies."""
    bare.install_decco()
    return bare


@pytest.fixture
def there(installed: ControlPlane) -> Cluster:
    return Cluster(installed)


# Mistakes that no waiting cures: exit 2 and one line ------------------------------------------------------------------


def kubeconfig(cp: ControlPlane, path: Path, change: Callable[[Obj], object]) -> Path:
    """The controller's kubeconfig with a change."""
    config = json.loads(cp.controller_kubeconfig.read_text())
    change(config)
    path.write_text(json.dumps(config))
    return path


def _cluster(config: Obj) -> Obj:
    found: Obj = config["clusters"][0]["cluster"]
    return found


def _login(**user: object) -> Callable[[Obj], None]:
    def change(config: Obj) -> None:
        config["users"][0]["user"] = user

    return change


def _plugin(command: str) -> Callable[[Obj], None]:
    version = "client.authentication.k8s.io/v1"
    return _login(exec={"apiVersion": version, "command": command, "interactiveMode": "Never"})


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, KeyPair]:
    """Another cluster's authority, and a client certificate by it."""
    authority = Authority(tmp_path_factory.mktemp("stranger"))
    return authority.files.cert, authority.client("decco", "decco")


@pytest.fixture(scope="module")
def mistakes(
    bare: ControlPlane, stranger: tuple[Path, KeyPair], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Decco]:
    """A controller for each mistake, all started at once; each has ended."""
    folder = tmp_path_factory.mktemp("mistakes")
    other_ca, other_client = stranger
    files = {"client-certificate": str(other_client.cert), "client-key": str(other_client.key)}
    garbage = folder / "garbage"
    garbage.write_text("{{{: not YAML")
    taken = socket.create_server(("127.0.0.1", 0))
    changed = {
        "another authority": lambda config: _cluster(config).update({"certificate-authority": str(other_ca)}),
        "certificate of another cluster": _login(**files),
        "expired token": _login(token="expired-long-ago"),
        "token file missing": _login(tokenFile="/none/token"),
        "plugin missing": _plugin("no-such-plugin"),
    }
    started = {
        "missing file": Decco(bare, folder, kubeconfig=folder / "nowhere"),
        "garbage": Decco(bare, folder, kubeconfig=garbage),
        "context": Decco(bare, folder),
        "flag": Decco(bare, folder),
        "setting": Decco(bare, folder, routing__backend="gatewy"),
        "port taken": Decco(bare, folder),
        **{
            name: Decco(bare, folder, kubeconfig=kubeconfig(bare, folder / name.replace(" ", "-"), change))
            for name, change in changed.items()
        },
    }
    flags = {
        "context": ("--context", "prod"),
        "flag": ("--contxt=prod",),
        "port taken": ("--metrics-bind-address", f"127.0.0.1:{taken.getsockname()[1]}"),
    }
    with taken:
        for name, decco in started.items():
            decco.start(wait=False, flags=flags.get(name, ()))
        deadline = time.monotonic() + MISTAKE_SECONDS
        for decco in started.values():
            assert decco.process is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                decco.process.wait(max(0.0, deadline - time.monotonic()))
            decco.kill()  # its test sees a status that is not 2
    return started


MISTAKES = {
    # the error -> its message: what, where, and what to do
    "missing file": r"kubeconfig: cannot read /.*/nowhere \(No such file or directory\): correct the path, or who .*",
    "garbage": r"kubeconfig /.*/garbage is not valid YAML in line 1: .*",
    "context": r"kubeconfig /.* has no context 'prod': name another with --context \(it has: testbed\)",
    "flag": r"--contxt: unknown flag; did you mean --context\?",
    "setting": r'DECCO_ROUTING__BACKEND: "gatewy" must be gateway, ingress or none; did you mean gateway\?',
    "port taken": r"cannot listen on metricsBindAddress 127.0.0.1:\d+: address already in use; end what .*",
    "another authority": r"context testbed of .*: its certificate is not trusted: .*; correct the certificate-.*",
    "certificate of another cluster": r"context testbed of .* does not accept our credentials .*: renew them, or .*",
    "expired token": r"context testbed of .* does not accept our credentials .*: renew them, or give others with .*",
    "token file missing": r"tokenFile of user 'testbed' of .*: cannot read /none/token \(No such .*\): correct .*",
    "plugin missing": r"the exec plugin 'no-such-plugin' of user 'testbed' of .* is not installed",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_it_with_one_line(mistakes: dict[str, Decco], mistake: str) -> None:
    decco = mistakes[mistake]
    assert decco.process is not None
    assert decco.process.returncode == 2, decco.tail()
    (line,) = plain(decco)
    assert re.fullmatch(rf"decco-controller: {MISTAKES[mistake]} \(DECCO-05\d\d\)", line), line
    assert lines(decco, "warning", "error") == []


def test_every_mistake_is_in_the_table(mistakes: dict[str, Decco]) -> None:
    assert mistakes.keys() == MISTAKES.keys()


# What waiting cures ---------------------------------------------------------------------------------------------------


def without_crds(cp: ControlPlane) -> None:
    for plural in ("apps", "spaces"):
        path = f"{CRDS}/{plural}.decco.platform9.com"
        cp.request("DELETE", path)
        eventually(lambda path=path: cp.request("GET", path).status == 404, 30)


def test_without_crds_it_waits_and_goes_on(bare: ControlPlane, tmp_path: Path) -> None:
    without_crds(bare)
    decco = Decco(bare, tmp_path).start(wait=False)
    try:
        (line,) = eventually(lambda: lines(decco, "warning"), 10)
        assert line["reason"] == (
            "the cluster does not serve Spaces and Apps (decco.platform9.com): install them with "
            "`decco crds | kubectl apply --server-side -f -`; waiting"
        )
        time.sleep(3)
        assert len(log_lines(decco)) == 3, "it starts, it serves metrics, it waits"
        assert not decco.ready()
        assert decco.get("/healthz").startswith("ok"), "a restart would not help"
        bare.install_decco_crds()
        eventually(decco.ready, 15)
    finally:
        assert decco.stop() == 0
    assert_sound(decco)


@full
async def test_an_api_server_that_is_not_there_yet(
    installed: ControlPlane, there: Cluster, tmp_path: Path, name: str
) -> None:
    async with FaultProxy(installed) as proxy:
        await proxy.stop_listening()
        decco = await asyncio.to_thread(Decco(installed, tmp_path, kubeconfig=proxy.kubeconfig).start, wait=False)
        try:
            (line,) = await soon(lambda: lines(decco, "warning"), 10)
            assert re.fullmatch(
                rf"cannot reach context testbed of kubeconfig .* at {proxy.url} \(cannot connect to {proxy.url}: "
                r"connection refused\): is it up, and is this its address\? waiting",
                line["reason"],
            )
            await asyncio.sleep(2)
            assert len(lines(decco, "warning")) == 1
            assert (await asyncio.to_thread(decco.get, "/healthz")).startswith("ok")
            await proxy.start_listening()
            await soon(decco.ready, 15)
            await asyncio.to_thread(there.make_space, name)
        finally:
            assert await asyncio.to_thread(decco.stop) == 0
    assert_sound(decco)


def test_without_permission_it_says_which_and_goes_on(installed: ControlPlane, tmp_path: Path) -> None:
    """One line for each kind, and what to do; then, once a role is bound, it goes on by itself."""
    decco = Decco(installed, tmp_path, kubeconfig=installed.kubeconfig_for("nobody")).start(wait=False)
    binding, own_binding = f"{RBAC}/clusterrolebindings", f"{RBAC}/namespaces/decco/rolebindings"
    try:
        # Of Secrets, only the shared ones in decco's own namespace are followed.
        wanted = {(kind, None) for kind in WATCHED} | {("secrets", "decco")}
        eventually(
            lambda: {(line["resource"], line.get("namespace")) for line in lines(decco, "warning")} == wanted, 30
        )
        assert set(repetitions(decco).values()) == {1}, repetitions(decco).most_common(3)
        for line in lines(decco, "warning"):
            assert re.fullmatch(
                r'.* is forbidden: User "nobody" cannot list .* (at the cluster scope|in the namespace "decco")'
                r": allow it to list and watch them, as the roles in manifests/rbac do \(403 Forbidden\)",
                line["error"],
            )
        assert not decco.ready()
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "nobody"}
        for name in NOBODY:
            role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
            installed.create(binding, {"metadata": {"name": f"nobody-{name}"}, "roleRef": role, "subjects": [subject]})
        own = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "decco-controller-own"}
        installed.create(own_binding, {"metadata": {"name": "nobody"}, "roleRef": own, "subjects": [subject]})
        eventually(decco.ready, 35, "after the longest pause, 30 s")
    finally:
        status = decco.stop()
        for name in NOBODY:
            installed.request("DELETE", f"{binding}/nobody-{name}")
        installed.request("DELETE", f"{own_binding}/nobody")
    assert status == 0
    assert_sound(decco)


# With its own role ----------------------------------------------------------------------------------------------------


def test_its_own_role_is_enough(installed: ControlPlane, there: Cluster, tmp_path: Path) -> None:
    """A whole life of Spaces and Apps as the service account of manifests/rbac, under the policies: no 403 at all."""
    account = installed.kubeconfig_for(ACCOUNT, ACCOUNT_GROUPS)
    decco = Decco(installed, tmp_path, kubeconfig=account, leader_election__enabled="true").start()
    try:
        for secret in ("acme-http", "acme-tcp", "role-tls"):
            there.create(tls_secret(secret, "acme.decco.test", "*.acme.decco.test"))
        for file in sorted(EXAMPLES.glob("[1-5]-*.yaml")):
            for obj in yaml.safe_load_all(file.read_text()):
                there.create(obj)
                if obj["kind"] == "Space":
                    eventually(
                        lambda: (there.space_condition("acme", "NetworkReady") or {}).get("status") == "True", 15
                    )
        for each in ("web", "database", "shop"):
            eventually(lambda each=each: there.deployment("acme", each), 15)
        eventually(lambda: there.get("/apis/batch/v1/namespaces/acme/jobs/migrate"), 15)
        there.make_space("role", project="a", resourceQuota={"hard": {"pods": "5"}}, limitRange={"limits": []})
        there.create(app("role", "web", endpoints=[{"name": "db", "port": 5432, "certAndCaSecretName": "role-tls"}]))
        eventually(lambda: there.service("role", "db"), 15)
        eventually(lambda: there.get("/api/v1/namespaces/role/secrets/role-tls"), 15)
        # Changes, removals, repairs.
        there.patch(f"{APIS}/spaces/role", {"spec": {"project": "b", "resourceQuota": None, "mesh": "Istio"}})
        there.patch(
            f"{APIS}/namespaces/role/apps/web",
            {"spec": {"endpoints": [], "runAsJob": True, "pod": {"restartPolicy": "Never"}}},
        )
        eventually(lambda: there.get("/apis/batch/v1/namespaces/role/jobs/web"), 15)
        eventually(lambda: there.service("role", "db") is None and there.deployment("role", "web") is None, 30)
        eventually(lambda: there.get("/api/v1/namespaces/role/resourcequotas/decco") is None, 15)
        there.patch("/api/v1/namespaces/role", {"metadata": {"labels": {"decco.platform9.com/project": "stolen"}}})
        there.delete("/apis/apps/v1/namespaces/acme/deployments/web")
        eventually(lambda: there.deployment("acme", "web"), 15)

        def project() -> str:
            namespace = there.get("/api/v1/namespaces/role") or {}
            return str(namespace["metadata"]["labels"]["decco.platform9.com/project"])

        eventually(lambda: project() == "b", 15)
        there.make_space("plain")
        decco.settle()
        assert decco.metric('decco_api_requests_total{code="403"') == 0
        assert decco.metric("decco_api_requests_total{") > 100
        # Another process knows nothing of what this one has done, nor which Spaces have Secrets.
        assert decco.stop() == 0
        decco.start().settle()
        assert decco.metric('decco_api_requests_total{code="403"') == 0
        for each in ("role", "acme", "plain"):
            there.delete(f"{APIS}/spaces/{each}")
        eventually(lambda: there.get("/api/v1/namespaces/role") is None, 40)
        decco.settle()
        eventually(lambda: there.items("/apis/events.k8s.io/v1/namespaces/default/events"), 15, "Events about Spaces")
        with Decco(installed, tmp_path, kubeconfig=account, leader_election__enabled="true") as second:
            watched = 'decco_api_requests_total{code="200",resource="leases.coordination.k8s.io",verb="WATCH"}'
            eventually(lambda: second.metric(watched), 10, "the lease is followed by a watch")
            assert second.metric('decco_api_requests_total{code="403"') == 0
            assert second.stop() == 0
    finally:
        assert decco.stop() == 0
    assert_sound(decco)
    assert_no_secrets(decco, there)
    # A namespace that is being deleted does not accept Events; that is not a matter of permission.
    refused = [line for line in lines(decco) if "orbidden" in str(line)]
    assert [line for line in refused if "because it is being terminated" not in line["error"]] == []
    calls = [event for event in installed.audit() if event.user == ACCOUNT]
    used = {f"{event.resource}/{event.subresource}".rstrip("/") for event in calls}
    assert {resource for _, resource in granted("controller.yaml", HERE)} - used == NOT_CALLED
    writes = {(event.verb, f"{event.resource}/{event.subresource}".rstrip("/")) for event in calls if event.writes}
    beyond = {resource for _, resource in writes - set(granted("people.yaml", {"decco-tenant-edit"}))}
    listed = {resource for each in delegated() for _, resource in each.requests}
    assert beyond <= listed | ITS_OWN, "what a tenant may not do is a delegated call of SECURITY.md"


def granted(file: str, roles: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    """(verb, resource) in the rules of some roles in manifests/rbac."""
    for document in yaml.safe_load_all((MANIFESTS / "rbac" / file).read_text()):
        if document["kind"] in {"ClusterRole", "Role"} and document["metadata"]["name"] in roles:
            for rule in document["rules"]:
                yield from ((verb, resource) for verb in rule["verbs"] for resource in rule["resources"])


ITS_OWN = {"leases", "spaces"}
"""Its Lease, and the finalizers of Spaces. What tenants may do too, such as ConfigMaps, is not in either."""


HERE = {*NOBODY, "decco-controller-leader", "decco-controller-own"}
NOT_CALLED = {
    "spaces/finalizers",  # read by the admission plugin OwnerReferencesPermissionEnforcement
    "apps/finalizers",
    "tenantobjects",  # read by the policies
    "dnsendpoints",  # needs the DNS provider externaldns
    "clusterroles",  # read by the API server when decco creates its RoleBinding
}


def test_dry_run_writes_nothing(installed: ControlPlane, there: Cluster, tmp_path: Path, name: str) -> None:
    """Everything is computed and reported, by kind and name; no write is sent, not even of an Event."""
    there.create(tls_secret(name))
    there.create(space(name, tcpCertAndCaSecretName=name))
    mark = installed.audit_mark()
    decco = Decco(installed, tmp_path).start(flags=("--dry-run",))
    try:
        eventually(lambda: _pretended(decco, "replace status", "spaces.decco.platform9.com"), 10)
        there.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        there.create(app(name, "web", pod=pod(5432)))
        eventually(lambda: _pretended(decco, "replace status", "apps.decco.platform9.com"), 10)
        decco.settle()
    finally:
        assert decco.stop() == 0
    assert [event for event in installed.audit("decco", since=mark) if event.writes] == []
    assert _pretended(decco, "create", "namespaces") == [name]
    assert _pretended(decco, "create", "secrets") == [f"{name}/{name}"]
    assert _pretended(decco, "create", "deployments.apps") == [f"{name}/web"]
    assert_sound(decco)
    assert_no_secrets(decco, there)
    there.delete(f"{APIS}/spaces/{name}")


def _pretended(decco: Decco, verb: str, resource: str) -> list[str]:
    return [
        line["key"]
        for line in lines(decco, "info")
        if line["event"] == "dry run: not sent" and (line["verb"], line["resource"]) == (verb, resource)
    ]


# The end, at any moment of the start ----------------------------------------------------------------------------------


def test_sigterm_at_some_moments_of_the_start(installed: ControlPlane, tmp_path: Path) -> None:
    """Status 0, and quickly. Only while Python itself starts is there nothing of decco's that could listen."""
    for moment in (0.2, 0.4, 0.6, 0.8, 1.0, 1.2):
        decco = Decco(installed, tmp_path).start(wait=False)
        time.sleep(moment)
        status = decco.stop(END_SECONDS)
        assert status == 0 or (status == -signal.SIGTERM and not log_lines(decco)), (moment, status, decco.tail())
        assert_sound(decco)


@timed
def test_sigterm_while_modules_are_imported(
    installed: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a second that is not to be hit by chance: a library that never comes to its end stands for it."""
    reached = tmp_path / "reached"
    library = f"import pathlib, time\npathlib.Path({str(reached)!r}).touch()\ntime.sleep(60)\n"
    (tmp_path / "aiohttp.py").write_text(library)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    decco = Decco(installed, tmp_path).start(wait=False)
    eventually(reached.exists, 20)
    began = time.monotonic()
    assert decco.stop() == 0
    promised("the end after SIGTERM", time.monotonic() - began, END_SECONDS)
    assert log_lines(decco) == []


@pytest.mark.parametrize(
    ("path", "says"),
    [("/apis/decco.platform9.com$", "decco starts"), ("/configmaps$", "metrics and health are served")],
    ids=["before the API server answers", "while it lists"],
)
@timed
async def test_sigterm_while_it_waits(installed: ControlPlane, tmp_path: Path, path: str, says: str) -> None:
    async with FaultProxy(installed) as proxy:
        held = proxy.add(Hold(), path=path)
        decco = await asyncio.to_thread(Decco(installed, tmp_path, kubeconfig=proxy.kubeconfig).start, wait=False)
        await held.hit()
        began = time.monotonic()
        assert await asyncio.to_thread(decco.stop) == 0
        promised("the end after SIGTERM", time.monotonic() - began, 2.0)
        assert says in [line["event"] for line in log_lines(decco)]
        assert log_lines(decco)[-1]["event"] == "decco ends"
        assert_sound(decco)


@timed
def test_sigterm_while_a_plugin_is_asked(bare: ControlPlane, tmp_path: Path) -> None:
    plugin = tmp_path / "slow-plugin"
    asked = tmp_path / "asked"
    plugin.write_text(f"#!/bin/sh\ntouch {asked}\nexec sleep 60\n")
    plugin.chmod(0o755)
    decco = Decco(bare, tmp_path, kubeconfig=kubeconfig(bare, tmp_path / "config", _plugin(str(plugin))))
    decco.start(wait=False)
    eventually(asked.exists, 10)
    began = time.monotonic()
    assert decco.stop() == 0
    promised("the end after SIGTERM", time.monotonic() - began, 2.0)
    assert_sound(decco)
