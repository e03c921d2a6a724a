"""The command ``decco`` beside a running controller on a real API server."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
import yaml

from decco.cli import complete
from decco.cli import main as cli
from testbed.controlplane import ControlPlane
from tests.integration.harness import GROUP, Cluster, Decco, app, eventually, http_app, pod, space, tls_secret

Obj = dict[str, Any]
RBAC = Path(__file__).resolve().parents[2] / "manifests" / "rbac" / "controller.yaml"
EDGE = {"edge__namespace": "edge", "edge__addresses": "192.0.2.10"}
ENVIRONMENT = {f"DECCO_{name.upper()}": value for name, value in EDGE.items()}
CHILDREN = (
    "namespaces,secrets,configmaps,services,resourcequotas,limitranges,deployments,jobs,networkpolicies,gateways,"
    "httproutes,tlsroutes,backendtlspolicies"
)


class Said:
    """What one call of the command printed."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    def data(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture
def run(
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    logging_restored: None,
) -> Run:
    """Calls the command in this process, as the administrator unless another kubeconfig is given."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["decco"])

    def call(*words: str, kubeconfig: Path | None = None) -> Said:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig or control_plane.kubeconfig))
        capsys.readouterr()
        status = cli.main(list(words))
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Said(status, out, err)

    return call


@pytest.fixture(scope="module")
def decco(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    """A controller with the settings that the commands have here."""
    decco = Decco(control_plane, tmp_path_factory.mktemp("decco"), **EDGE).start(wait=False)
    try:
        eventually(decco.ready, 60, "decco ready")
        yield decco
    finally:
        decco.kill()


def shop(name: str) -> list[Obj]:
    """A Space with all that it can have, and Apps of every form."""
    of = f"{name}-tls"
    return [
        tls_secret(of, f"{name}.example.net", f"*.{name}.example.net"),
        space(
            name,
            project=name,
            httpCertSecretName=of,
            tcpCertAndCaSecretName=of,
            encryptHttp=True,
            hostnames=[f"{name}.example.org"],
            resourceQuota={"hard": {"pods": "7"}},
            limitRange={"limits": [{"type": "Container", "default": {"memory": "256Mi"}}]},
        ),
        http_app(name, "web", "/web", initialReplicas=2),
        app(
            name,
            "db",
            endpoints=[
                {"name": "db", "port": 5432, "verifyTcpClientCert": True, "createClearTextService": True},
                {"name": "metrics", "port": 9090, "isMetricsEndpoint": True},
                {"name": "own", "port": 6000, "hostname": f"{name}.example.org", "createDnsRecord": True},
            ],
            tlsEgresses=[{"localPort": 7000, "endpoint": "own"}, {"localPort": 7001, "fqdn": "api.example.com"}],
        ),
        app(name, "once", runAsJob=True, jobBackoffLimit=2, endpoints=[]),
    ]


@pytest.fixture(scope="module")
def world(control_plane: ControlPlane, cluster: Cluster, decco: Decco) -> list[Obj]:
    """The objects of ``shop("cli-shop")``, applied and settled."""
    objects = shop("cli-shop")
    control_plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objects[:2]))
    eventually(lambda: cluster.space_condition("cli-shop", "NetworkReady"), 30)
    control_plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objects[2:]))
    eventually(lambda: cluster.app_condition("cli-shop", "once", "WorkloadReady"), 30)
    decco.settle()
    return objects


# -- render -----------------------------------------------------------------------------------------------------------


def written_by_daemon(control_plane: ControlPlane, name: str) -> dict[tuple[str, str], Obj]:
    """Everything that carries the labels of decco's children of this Space."""
    selector = f"app.kubernetes.io/managed-by=decco,{GROUP}/space={name}"
    listing = json.loads(control_plane.kubectl("get", CHILDREN, "-A", "-l", selector, "-o", "json"))
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in listing["items"]}


def is_within(wanted: Any, live: Any, path: str) -> None:
    """Everything that was rendered is live; what the server adds beside it is its own."""
    if isinstance(wanted, dict):
        assert isinstance(live, dict), path
        for name, value in wanted.items():
            if value in ("", {}, [], False) and name not in live:
                continue  # the server stores no zero values
            assert name in live, f"{path}.{name}"
            is_within(value, live[name], f"{path}.{name}")
    elif isinstance(wanted, list):
        assert len(wanted) == len(live), path
        for number, (ours, theirs) in enumerate(zip(wanted, live, strict=True)):
            is_within(ours, theirs, f"{path}[{number}]")
    elif not (isinstance(wanted, str) and wanted.startswith("<uid of ")):
        assert wanted == live, path


def test_what_is_rendered_is_what_the_daemon_writes(
    control_plane: ControlPlane, world: list[Obj], run: Run, tmp_path: Path
) -> None:
    """Exactly the same objects, and every field of each, up to what only a server can add."""
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(world))
    said = run("render", str(tmp_path), "-o", "json")
    assert said.status == 0, said.err
    rendered = {(obj["kind"], obj["metadata"]["name"]): obj for obj in said.data()["items"]}
    live = written_by_daemon(control_plane, "cli-shop")
    assert rendered.keys() == live.keys()
    assert len(live) > 20
    for address, obj in rendered.items():
        is_within(obj, live[address], "/".join(address))


def test_rendered_from_the_live_objects_also_the_digests_are_the_same(
    control_plane: ControlPlane, world: list[Obj], run: Run, tmp_path: Path
) -> None:
    """With known UIDs, the annotation by which the daemon detects whether it must write is equal too."""
    owners = control_plane.kubectl("get", "spaces,apps", "-A", "-o", "yaml")
    (tmp_path / "owners.yaml").write_text(owners)
    (tmp_path / "secret.yaml").write_text(yaml.safe_dump(world[0]))
    rendered = run("render", str(tmp_path), "-o", "json").data()["items"]
    ours = [obj for obj in rendered if obj["metadata"]["labels"][f"{GROUP}/space"] == "cli-shop"]
    live = written_by_daemon(control_plane, "cli-shop")
    hashed = {(obj["kind"], obj["metadata"]["name"]): obj["metadata"]["annotations"][f"{GROUP}/hash"] for obj in ours}
    assert hashed == {address: obj["metadata"]["annotations"][f"{GROUP}/hash"] for address, obj in live.items()}


# -- diff -------------------------------------------------------------------------------------------------------------


def test_a_settled_space_has_no_difference(world: list[Obj], run: Run) -> None:
    said = run("diff", "cli-shop")
    assert (said.status, said.out) == (0, "")


def versions(control_plane: ControlPlane, name: str) -> dict[tuple[str, str], tuple[str, int, str]]:
    """UID, generation and digest of each child: what a write would change, and news in its status would not."""
    found = {at: obj["metadata"] for at, obj in written_by_daemon(control_plane, name).items()}
    return {
        at: (meta["uid"], meta.get("generation", 0), meta["annotations"][f"{GROUP}/hash"]) for at, meta in found.items()
    }


def test_another_file_and_another_setting_are_differences(
    control_plane: ControlPlane, world: list[Obj], run: Run, tmp_path: Path
) -> None:
    before = versions(control_plane, "cli-shop")
    changed = {**world[2], "spec": {**world[2]["spec"], "pod": pod(8080, image="registry.example/app:2")}}
    (tmp_path / "web.yaml").write_text(yaml.safe_dump(changed))
    said = run("diff", str(tmp_path / "web.yaml"))
    assert said.status == 1
    assert "-      - image: registry.example/app:1\n+      - image: registry.example/app:2\n" in said.out
    assert said.out.count("diff ") == 1
    (tmp_path / "decco.yaml").write_text("edge: {namespace: other}\n")
    said = run("diff", "cli-shop/web", "--config", str(tmp_path / "decco.yaml"), "-o", "json")
    assert said.status == 0, "the variable is stronger than the file"
    (tmp_path / "decco.yaml").write_text("routing: {gatewayClassName: other}\n")
    said = run("diff", "cli-shop", "--config", str(tmp_path / "decco.yaml"), "-o", "json")
    assert [(each["action"], each["after"]["kind"]) for each in said.data()["changes"]] == [("change", "Gateway")]
    assert versions(control_plane, "cli-shop") == before, "nothing was written"


def test_a_new_space_is_shown_whole_and_secrets_are_not(run: Run, world: list[Obj], tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text(yaml.safe_dump_all(shop("cli-new")))
    said = run("diff", str(tmp_path / "new.yaml"))
    assert said.status == 1
    assert "diff Space cli-new: create Namespace cli-new" in said.out
    assert "diff App cli-new/web: create Deployment cli-new/web" in said.out
    assert world[0]["data"]["tls.key"] not in said.out
    assert "+  tls.key: '*** (after)'" in said.out


def test_diff_needs_the_permission_to_write(
    control_plane: ControlPlane, world: list[Obj], run: Run, tmp_path: Path
) -> None:
    control_plane.kubectl("create", "clusterrolebinding", "cli-viewer", "--clusterrole=view", "--user=viewer")
    (tmp_path / "new.yaml").write_text(yaml.safe_dump_all(shop("cli-new")))
    said = run("diff", str(tmp_path / "new.yaml"), kubeconfig=control_plane.kubeconfig_for("viewer"))
    assert said.status == 2
    assert said.err == (
        "decco: you may not create namespaces: a dry run needs the permission to write the object (DECCO-0505)\n"
    )


# -- explain ----------------------------------------------------------------------------------------------------------


def statements(said: Said) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in said.data()["statements"]:
        found.setdefault(each["about"], []).append(f"{each['state']} {each['text']}")
    return found


def test_explain_a_host_name(world: list[Obj], run: Run) -> None:
    said = run("explain", "db.cli-shop.example.net", "--no-lookup", "-o", "json")
    shown = statements(said)
    assert shown["owner"][0].startswith("ok Space cli-shop, since ")
    assert any("tls://db.cli-shop.example.net:443" in text for text in shown["endpoint db"])
    assert any(text.startswith("failure") and "no pod is ready" in text for text in shown["endpoint db"])
    codes = {each["text"]: each.get("code") for each in said.data()["statements"]}
    assert next(code for text, code in codes.items() if "no pod is ready" in text) == "DECCO-0227"
    assert "TLS *.cli-shop.example.net:443, Passthrough" in shown["listener"][0]
    assert said.status == 1


def test_explain_names_the_loser_of_a_claim(cluster: Cluster, world: list[Obj], decco: Decco, run: Run) -> None:
    cluster.create(space("cli-rival", domain="cli-shop.example.net"))
    eventually(lambda: cluster.space_condition("cli-rival", "RoutesReady"), 30)
    shown = statements(run("explain", "cli-rival", "--no-lookup", "-o", "json"))
    assert "is granted to Space cli-shop" in shown["host name"][0]
    shown = statements(run("explain", "x.cli-rival.cli-shop.example.net", "--no-lookup", "-o", "json"))
    assert shown["owner"][0].startswith("ok Space cli-shop")
    assert "cli-rival" in shown["claim"][0]
    cluster.delete(f"/apis/{GROUP}/v1beta2/spaces/cli-rival")


def test_explain_shows_the_certificate_and_what_an_app_lacks(world: list[Obj], run: Run) -> None:
    shown = statements(run("explain", "cli-shop", "--no-lookup", "-o", "json"))
    assert "cli-shop.example.net, *.cli-shop.example.net; until " in shown["certificate cli-shop-tls"][0]
    assert shown["record"] == [
        "warning cli-shop.example.net: no DNS provider is set; publish the name to 192.0.2.10 yourself"
    ]
    said = run("explain", "cli-shop/dbb", "--no-lookup")
    message = "decco: there is no App 'cli-shop/dbb'; did you mean 'cli-shop/db'? (DECCO-0504)\n"
    assert (said.status, said.err) == (2, message)


class Names(socketserver.BaseRequestHandler):
    """A DNS server of a few names, on loopback."""

    zone: ClassVar[dict[tuple[str, str], str]] = {}

    def handle(self) -> None:
        wire, sock = self.request
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = question.name.to_text().rstrip("."), dns.rdatatype.to_text(question.rdtype)
        answer = dns.message.make_response(query)
        if (name, kind) in self.zone:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, self.zone[name, kind]))
        elif not any(known == name for known, _ in self.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        sock.sendto(answer.to_wire(), self.client_address)


@pytest.fixture
def dns_server() -> Iterator[str]:
    """Address and port of the server of ``Names``."""
    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Names) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_explain_asks_dns(
    cluster: Cluster, world: list[Obj], run: Run, dns_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fqdn = "cli-shop.example.net"
    uid = (cluster.space("cli-shop") or {})["metadata"]["uid"]
    monkeypatch.setenv("DECCO_DNS__PROVIDERS", '[{"type": "memory", "zones": ["example.net"]}]')

    def shown(zone: dict[tuple[str, str], str]) -> list[str]:
        monkeypatch.setattr(Names, "zone", zone)
        found = statements(run("explain", fqdn, "--resolver", dns_server, "-o", "json"))
        assert found["record"] == [f"ok {fqdn}: wanted in zone example.net, leading to 192.0.2.10"]
        return found["DNS"]

    mark = {(f"_decco.{fqdn}", "TXT"): f'"v1 default {uid}"'}
    assert shown({}) == [f"failure {fqdn}: nothing is published"]
    assert shown({(fqdn, "A"): "192.0.2.10", **mark}) == [f"ok {fqdn}: 192.0.2.10; marked as decco's"]
    assert shown({(fqdn, "A"): "192.0.2.10"}) == [f"warning {fqdn}: 192.0.2.10; it has no ownership record of decco"]
    (wrong,) = shown({(fqdn, "AAAA"): "2001:db8::1", **mark})
    assert wrong.startswith(f"warning {fqdn}: 2001:db8::1, which is not 192.0.2.10: ")


def test_a_tenant_gets_what_he_may_read_and_a_message_for_the_rest(
    control_plane: ControlPlane, world: list[Obj], run: Run
) -> None:
    control_plane.kubectl("create", "rolebinding", "tenant", "-n", "cli-shop", "--clusterrole=view", "--user=tenant")
    tenant = control_plane.kubeconfig_for("tenant")
    rules = ["--verb=get,list,watch", f"--resource=apps.{GROUP}"]
    control_plane.kubectl("create", "role", "tenant-apps", "-n", "cli-shop", *rules)
    control_plane.kubectl(
        "create", "rolebinding", "tenant-apps", "-n", "cli-shop", "--role=tenant-apps", "--user=tenant"
    )
    said = eventually(
        lambda: _visible(run("explain", "web", "-n", "cli-shop", "--no-lookup", "-o", "json", kubeconfig=tenant))
    )
    shown = statements(said)
    assert shown["space"] == [
        "unknown you may not read Space cli-shop; what follows is from the status that decco reported"
    ]
    assert any("https://cli-shop.example.net/web" in text for text in shown["endpoint web"])
    assert shown["certificates"] == ["unknown you may not read the Secrets of namespace cli-shop"]
    assert "WorkloadReady" in shown
    assert any("spaces" in gap for gap in said.data()["gaps"])


def _visible(said: Said) -> Said | None:
    """RBAC is eventually consistent: a binding counts a moment after it was made."""
    return said if said.out else None


# -- graph ------------------------------------------------------------------------------------------------------------


def test_graph_says_what_the_live_policies_say(control_plane: ControlPlane, world: list[Obj], run: Run) -> None:
    said = run("graph", "cli-shop", "-o", "json")
    (place,) = said.data()["spaces"]
    assert {each["endpoint"] for each in place["endpoints"]} == {"web", "db", "metrics", "own"}
    assert place["allowed_from"] == [
        {"from": "edge in namespace edge", "endpoints": ["db", "own", "web"]},
        {"from": "monitoring", "endpoints": ["metrics"]},
    ]
    assert {(call["to"], call.get("allowed")) for call in said.data()["calls"]} == {
        ("own", True),
        ("api.example.com:443", None),
    }


# -- doctor -----------------------------------------------------------------------------------------------------------


def checks(said: Said) -> dict[str, str]:
    return {each["check"]: f"{each['state']} {each['text']}" for each in said.data()["checks"]}


def test_doctor_finds_what_is_well_and_what_is_not(
    control_plane: ControlPlane, cluster: Cluster, world: list[Obj], run: Run
) -> None:
    secret = tls_secret("cli-mislabelled", "x.example.net", share="nobody-here")
    secret["metadata"]["labels"][f"{GROUP}/share"] = "yes"
    cluster.create(secret)
    said = run("doctor", "-o", "json")
    shown = checks(said)
    assert said.status == 2
    assert shown["crd Space"].startswith("ok")
    assert shown["crd App"].startswith("ok")
    assert shown["clock"].startswith("ok")
    assert shown["gateway class decco"].startswith("failure there is no such GatewayClass")
    assert shown["edge"] == "ok identified by namespace edge"
    assert shown["secret decco/cli-mislabelled"].startswith("warning the label")
    cluster.delete("/api/v1/namespaces/decco/secrets/cli-mislabelled")


def test_doctor_names_a_stale_crd(control_plane: ControlPlane, cluster: Cluster, decco: Decco, run: Run) -> None:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/apps.{GROUP}"
    crd = cluster.get(path)
    assert crd is not None
    where = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/initialReplicas/description"
    old = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["initialReplicas"]
    cluster.patch(path, [{"op": "replace", "path": where, "value": "another"}], "json")
    try:
        assert checks(run("doctor", "-o", "json"))["crd App"].startswith(
            "warning the CRD is another version's (differs in spec.initialReplicas)"
        )
    finally:
        cluster.patch(path, [{"op": "replace", "path": where, "value": old["description"]}], "json")


def test_doctor_judges_the_permissions_of_the_manifests(
    control_plane: ControlPlane, cluster: Cluster, run: Run
) -> None:
    """With manifests/rbac the controller may do all that its code requests; without a rule of it, that one is named."""
    control_plane.kubectl("apply", "--server-side", "-f", str(RBAC))
    assert checks(run("doctor", "-o", "json"))["permissions"].startswith("ok service account decco/decco-controller")
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/decco-controller"
    role = cluster.get(path)
    assert role is not None
    less = [rule for rule in role["rules"] if "jobs" not in rule["resources"]]
    cluster.patch(path, {"rules": less})
    try:
        shown = eventually(lambda: _lacking(checks(run("doctor", "-o", "json"))["permissions"]))
        assert "may not get jobs.batch; list jobs.batch; watch jobs.batch; create jobs.batch; and 2 more" in shown
    finally:
        cluster.patch(path, {"rules": role["rules"]})


def _lacking(shown: str) -> str | None:
    return shown if shown.startswith("failure") else None


# -- as a plugin of kubectl -------------------------------------------------------------------------------------------


def test_kubectl_finds_and_completes_it(control_plane: ControlPlane, world: list[Obj], tmp_path: Path) -> None:
    source = Path(cli.__file__).resolve().parents[2]
    for name, module in (("kubectl-decco", "decco.cli.main"), ("kubectl_complete-decco", "decco.cli.complete")):
        function = "main" if module.endswith("main") else "kubectl"
        script = (
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(source)!r})\nfrom {module} import {function}\n"
        )
        (tmp_path / name).write_text(f"{script}sys.exit({function}())\n")
        (tmp_path / name).chmod(0o755)
    kubectl = str(control_plane.binaries.kubernetes["kubectl"])
    environment = {
        **os.environ,
        **ENVIRONMENT,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "KUBECONFIG": str(control_plane.kubeconfig),
    }

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [kubectl, *words], env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    done = call("decco", "graph", "cli-shop", "-o", "yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert yaml.safe_load(done.stdout)["spaces"][0]["name"] == "cli-shop"
    done = call("decco", "exlpain")
    assert done.returncode == 2
    assert done.stderr.startswith("kubectl decco: unknown command 'exlpain'; did you mean 'explain'?")
    done = call("__complete", "decco", "expl")
    assert done.stdout.splitlines()[0] == "explain"


def test_names_of_the_cluster_complete(
    control_plane: ControlPlane, world: list[Obj], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    monkeypatch.setattr(complete, "SECONDS", 60.0)  # the machine may be busy; what is tested is what comes
    assert [each.strip() for each in complete.candidates(["explain", "cli-sh"])] == ["cli-shop"]
    assert [each.strip() for each in complete.candidates(["explain", "cli-shop/w"])] == ["cli-shop/web"]
    assert [each.strip() for each in complete.candidates(["explain", "web", "-n", "cli-sh"])] == ["cli-shop"]
