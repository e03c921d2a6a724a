"""A Kubernetes control plane without nodes, ready in seconds: etcd, kube-apiserver and kube-controller-manager.

It is the real thing but for durability (etcd does not sync to disk) and high availability: RBAC is on, admission is
Kubernetes' default, and unlike envtest the controller-manager runs, so garbage collection, namespace deletion,
Deployments and Jobs work as they do in production.
"""

from __future__ import annotations

import json
import random
import re
import secrets
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from testbed import assets, flags, manifests
from testbed.api import REQUEST_SECONDS, Api, RequestFailed, Response
from testbed.audit import POLICY, AuditEvent, read_events
from testbed.kubeconfig import write_kubeconfig
from testbed.pki import Authority, write_private, write_signing_key
from testbed.processes import Process, Processes, ProcessFailed
from testbed.request_counts import RequestKey, parse_request_total
from testbed.versions import kubernetes_version

PORTS = range(20000, 30000)
"""Below Linux' ephemeral ports (32768), so that no outgoing connection takes a port while its server restarts, and
below the NodePorts (30000)."""
START_SECONDS = 240.0
"""Limit for each program; they need 1 to 2 s, but a machine may be busy."""
CONTROLLER_USER = "decco"
"""The user of decco's own requests: bound to cluster-admin, and the only one whose requests are audited."""
FENCE_AGENT = "testbed-fence"
FENCE_SECONDS = 10.0
POLL_SECONDS = 0.005


def free_port(taken: set[int]) -> int:
    """A loopback port that nothing listens on and that is not in ``taken``, to which it is added."""
    while True:
        port = random.choice(PORTS)
        if port in taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        taken.add(port)
        return port


class ControlPlane:
    """``with ControlPlane() as cp:`` starts a control plane in a temporary folder and ends it with the block.

    All methods are synchronous and may be called from any thread.

    Attributes:
        version: exact Kubernetes version, as ``1.37.2``.
        url: ``https://127.0.0.1:<port>`` (another address with nodes), the same over restarts of the API server.
        ca_file, client_cert, client_key: PEM files of an administrator (group system:masters).
        admin_token: bearer token of an administrator.
        kubeconfig: of that administrator.
        controller_kubeconfig: of user ``decco``, bound to cluster-admin; see ``audit``.
        controller_client: that user's certificate and key.
        api: a client as administrator.
        folder: everything of this control plane, with each program's output in ``<program>.log``.
        processes: what it started; further ones started there end with it.
    """

    def __init__(
        self,
        version: str | None = None,
        *,
        audit: bool = True,
        network: flags.Network | None = None,
        admission: Sequence[str] = (),
        apiserver_flags: Sequence[str] = (),
        manager_flags: Sequence[str] = (),
    ) -> None:
        """Prepares, starts nothing.

        Args:
            version: a minor (``1.37``); without it ``$KUBE_VERSION`` or the default.
            audit: whether requests of the user ``decco`` are recorded, see ``audit``.
            network: where pods reach the API server, if there are to be any; else it listens on loopback.
            admission: admission plugins beside Kubernetes' default ones.
            apiserver_flags: further ones of the API server.
            manager_flags: further ones of the controller manager.
        """
        self._apiserver_flags = tuple(apiserver_flags)
        self._manager_flags = tuple(manager_flags)
        self._admission = tuple(admission)
        self.version = kubernetes_version(version)
        self._audited = audit
        self._network = network or flags.Network()
        self._apiserver: Process | None = None
        self._manager: Process | None = None
        self._lock = threading.Lock()
        self._kubeconfigs: dict[tuple[str, tuple[str, ...]], Path] = {}

    def __enter__(self) -> ControlPlane:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # Life

    def start(self) -> None:
        """Starts all three programs and returns when the API server is ready and the controllers run.

        Raises:
            testbed.found.AssetsMissing: a program is neither here nor can be had; the message says what to install.
            ProcessFailed: one of them ended or did not become ready; the message holds its last lines.
        """
        self.binaries = assets.provide(self.version)
        self.folder = Path(tempfile.mkdtemp(prefix="decco-testbed-"))
        self.processes = Processes(self.folder)
        try:
            self._prepare()
            # Not waited for: the API server retries until etcd answers, and the two start side by side.
            self.start_etcd()
            self.start_apiserver()
            self._start_manager()
            self._bind_controller_user()
        except BaseException:
            self.processes.close(0)
            raise

    def stop(self) -> None:
        """Ends all programs at once, since nothing of them is kept, and removes the folder."""
        self.processes.close(0)
        self._apiserver = None

    @property
    def etcd_url(self) -> str:
        """Where etcd listens, in plain HTTP."""
        return f"http://127.0.0.1:{self._ports.etcd}"

    @property
    def etcd_folder(self) -> Path:
        """etcd's data; for others only while it is stopped."""
        return self.folder / "etcd"

    def start_etcd(self) -> None:
        """Starts etcd on its port and its data; the API server waits until it answers."""
        self._etcd = self.processes.start("etcd", [self.binaries.etcd, *flags.etcd(self._ports, self.etcd_folder)])

    def stop_etcd(self) -> None:
        """Ends etcd, in an orderly way; the API server does not live long without it."""
        self.processes.stop(self._etcd, sig=signal.SIGTERM)

    def start_apiserver(self) -> None:
        """Starts the API server on its port and its data, and waits until it is ready.

        Raises:
            ProcessFailed: it ended, or was not ready in time.
        """
        arguments = flags.apiserver(
            self._ports,
            serving=self._serving,
            ca_file=self.ca_file,
            signer=self._signer,
            tokens=self._tokens,
            audit=(self._audit_policy, self._audit_log) if self._audited else None,
            network=self._network,
            kubelet_client=self.admin,
            admission=self._admission,
        )
        program = self.binaries.kubernetes["kube-apiserver"]
        self._apiserver = self.processes.start("kube-apiserver", [program, *arguments, *self._apiserver_flags])
        self._apiserver.wait_until(self._is_ready, START_SECONDS)

    @property
    def apiserver_pid(self) -> int:
        assert self._apiserver is not None
        return self._apiserver.pid

    @property
    def etcd_pid(self) -> int:
        return self._etcd.pid

    def stop_apiserver(self, *, kill: bool = False) -> None:
        """Ends the API server, in an orderly way or by SIGKILL; its data stays in etcd for ``start_apiserver``."""
        if self._apiserver is not None:
            self.processes.stop(self._apiserver, sig=signal.SIGKILL if kill else signal.SIGTERM)
            self._apiserver = None

    def _prepare(self) -> None:
        taken: set[int] = set()
        self._ports = flags.Ports(*(free_port(taken) for _ in range(4)))
        self.url = f"https://{self._network.address}:{self._ports.apiserver}"
        pki = self.folder / "pki"
        pki.mkdir(mode=0o700)
        self._authority = Authority(pki)
        self.ca_file = self._authority.files.cert
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
        addresses = sorted({"127.0.0.1", self._network.address, self._network.kubernetes_ip})
        self._serving = self._authority.server("apiserver", ["localhost", *names, *addresses])
        self._signer = write_signing_key(pki, "service-account")
        self.admin_token = secrets.token_urlsafe(24)
        self._tokens = pki / "tokens.csv"
        write_private(self._tokens, f'{self.admin_token},admin,admin,"system:masters"\n'.encode())

        admin = self._authority.client("admin", "admin", ["system:masters"])
        self.client_cert, self.client_key = admin.cert, admin.key
        self.admin = admin
        self.api = Api(self._ports.apiserver, self.ca_file, admin, self._network.address)
        self.kubeconfig = write_kubeconfig(
            self.folder / "admin.kubeconfig", self.url, ca_file=self.ca_file, client=admin
        )
        self.controller_client = self._authority.client("controller", CONTROLLER_USER)
        self._controller_api = Api(self._ports.apiserver, self.ca_file, self.controller_client, self._network.address)
        self.controller_kubeconfig = write_kubeconfig(
            self.folder / "controller.kubeconfig", self.url, ca_file=self.ca_file, client=self.controller_client
        )
        self._audit_policy = self.folder / "audit-policy.json"
        self._audit_policy.write_text(json.dumps(POLICY))
        self._audit_log = self.folder / "audit.log"

    def _start_manager(self) -> None:
        arguments = flags.controller_manager(
            self._ports,
            kubeconfig=self.kubeconfig_for("system:kube-controller-manager"),
            ca=self._authority.files,
            signer=self._signer,
            certificates=self.folder / "pki",
            services=self._network.services,
        )
        program = self.binaries.kubernetes["kube-controller-manager"]
        manager = self._manager = self.processes.start(
            "kube-controller-manager", [program, *arguments, *self._manager_flags]
        )
        # The account of the default namespace is the first thing that its controllers make: they run.
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        manager.wait_until(lambda: self.request("GET", account).status == 200, START_SECONDS)

    def restart_manager(self) -> None:
        """Restarts the kube-controller-manager: its garbage collector looks for new kinds only every 30 seconds, so
        after CRDs were installed their objects' children would stay for as long.
        """
        assert self._manager is not None
        self.processes.stop(self._manager, 0, sig=signal.SIGKILL)
        self._start_manager()

    def _is_ready(self) -> bool:
        try:
            return self.request("GET", "/readyz").status == 200
        except OSError:
            return False

    def _bind_controller_user(self) -> None:
        group = "rbac.authorization.k8s.io"
        binding = {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "testbed-decco"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": CONTROLLER_USER}],
        }
        self.create(f"/apis/{group}/v1/clusterrolebindings", binding)

    # Use

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float = REQUEST_SECONDS,
    ) -> Response:
        """Sends one request as administrator, see ``Api.request``."""
        return self.api.request(method, path, body, headers=headers, seconds=seconds)

    def create(self, path: str, obj: Mapping[str, Any]) -> Any:
        """Creates an object as administrator, see ``Api.create``."""
        return self.api.create(path, obj)

    def kubectl(self, *args: str, input: str | None = None, seconds: float = REQUEST_SECONDS) -> str:  # noqa: A002
        """Runs kubectl as administrator and returns what it printed.

        Raises:
            RequestFailed: it ended with another status than 0; the message holds its output.
        """
        argv = [str(self.binaries.kubernetes["kubectl"]), f"--kubeconfig={self.kubeconfig}"]
        argv += [f"--cache-dir={self.folder / 'kubectl-cache'}", *args]
        done = subprocess.run(argv, input=input, capture_output=True, text=True, timeout=seconds, check=False)
        if done.returncode != 0:
            raise RequestFailed(f"kubectl {' '.join(args)}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig with a client certificate of that user in those groups; signed once, then kept."""
        who = (user, tuple(groups))
        with self._lock:
            if who not in self._kubeconfigs:
                name = f"{len(self._kubeconfigs):03d}-{re.sub('[^A-Za-z0-9.-]', '-', user)}"
                pair = self._authority.client(name, user, groups)
                path = self.folder / f"{name}.kubeconfig"
                self._kubeconfigs[who] = write_kubeconfig(path, self.url, ca_file=self.ca_file, client=pair)
            return self._kubeconfigs[who]

    def install_gateway_api(self) -> list[str]:
        """Installs the Gateway API's CRDs (standard channel) and returns their names."""
        return manifests.install_gateway_api(self.api)

    def install_decco_crds(self) -> list[str]:
        """Installs decco's CRDs from manifests/crds, those that are there, and returns their names."""
        return manifests.install_decco_crds(self.api)

    def install_decco(self) -> list[str]:
        """As an operator does, but for the controller itself: CRDs, namespace ``decco``, roles and policies.

        Returns:
            Names of the CRDs.
        """
        names = self.install_decco_crds()
        for folder in manifests.decco_folders():
            self.kubectl("apply", "--server-side", "-f", str(folder))
        return names

    # What was asked of the server

    def metrics(self) -> str:
        """The API server's own metrics, in Prometheus' text format."""
        answer = self.request("GET", "/metrics")
        if answer.status != 200:
            raise RequestFailed(f"GET /metrics: {answer.status}")
        return answer.body.decode()

    def request_counts(self) -> Counter[RequestKey]:
        """How many requests of each kind the API server has answered since it started, whoever sent them."""
        return parse_request_total(self.metrics())

    def write_counts(self) -> Counter[RequestKey]:
        """As ``request_counts``, but only requests that change something: POST, PUT, PATCH, DELETE, APPLY."""
        return Counter({key: count for key, count in self.request_counts().items() if key.writes})

    def audit_mark(self) -> int:
        """A position in the audit log: what is recorded from now on is ``audit(since=mark)``."""
        self._fence()
        return self._audit_log.stat().st_size if self._audit_log.exists() else 0

    def audit(self, user_agent_prefix: str = "", *, since: int = 0, writes: bool = False) -> list[AuditEvent]:
        """Requests of ``decco`` (``controller_kubeconfig``) and of ``REPLICAS``, in the order of their completion.

        Args:
            user_agent_prefix: only those whose User-Agent starts so.
            since: only those after this ``audit_mark``.
            writes: only those that change something.

        Returns:
            All requests that were answered before the call; a watch is there twice, see ``AuditEvent``.
        """
        self._fence()
        return [
            event
            for event in read_events(self._audit_log, since)
            if event.user_agent.startswith(user_agent_prefix)
            and event.user_agent != FENCE_AGENT
            and (event.writes or not writes)
        ]

    def _fence(self) -> None:
        """Waits until the audit log holds a request of our own: those answered before it are then in it too."""
        if not self._audited:
            raise RuntimeError("this control plane was started with audit=False")
        if self._apiserver is None:
            return
        nonce = f"/version?fence={secrets.token_hex(8)}"
        start = self._audit_log.stat().st_size if self._audit_log.exists() else 0
        self._controller_api.request("GET", nonce, headers={"User-Agent": FENCE_AGENT})
        deadline = time.monotonic() + FENCE_SECONDS
        while not any(event.uri == nonce for event in read_events(self._audit_log, start)):
            if time.monotonic() > deadline:
                raise ProcessFailed(
                    f"the API server did not record a request in {FENCE_SECONDS:.0f} s; "
                    f"it said:\n{self._apiserver.tail()}"
                )
            time.sleep(POLL_SECONDS)
